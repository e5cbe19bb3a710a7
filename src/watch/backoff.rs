//! When trying again makes it worse.
//!
//! A server counts every connection of a host that ends before its login is decided, and at `max_connect_errors` (100
//! by default) in a row it blocks the host, for the applications on it too. A refused password is not counted, a good
//! login sets the count back; a certificate that we refuse, and a login that we give up, are counted.

use std::time::Duration;

use crate::mysql::failure::{Failure, Phase};

/// The longest pause while few attempts have failed: an operator who mends a certificate wants to see it soon.
const PATIENT: Duration = Duration::from_secs(600);
/// The pause from then on; a hundred such attempts take four days.
const CAREFUL: Duration = Duration::from_secs(3600);
/// Half of the default limit.
const MANY: u32 = 50;

/// Whether the server holds this failure against our host: it ended between the greeting and the login's outcome,
/// and not by the server's own word.
pub(super) fn is_held_against_us(failure: &Failure) -> bool {
    matches!(failure.phase, Phase::Tls | Phase::Auth) && failure.errno.is_none()
}

/// How long to try nothing after this many such failures in a row. The first two may be a passing trouble.
pub(super) fn hold_off(every: Duration, in_a_row: u32) -> Option<Duration> {
    let doublings = in_a_row.checked_sub(2).filter(|doublings| *doublings > 0)?;
    let longest = if in_a_row < MANY { PATIENT } else { CAREFUL };
    let pause = every.saturating_mul(1 << doublings.min(16)).min(longest.max(every));
    // A tick that comes a moment before the pause has ended is the one that was meant.
    Some(pause.saturating_sub(every / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::Reason;

    #[test]
    fn attempts_that_cannot_be_completed_become_rare_before_the_host_is_blocked() {
        for every in [1, 15, 300].map(Duration::from_secs) {
            let (mut attempts, mut elapsed) = (0, Duration::ZERO);
            while elapsed < Duration::from_secs(24 * 3600) {
                attempts += 1;
                elapsed += hold_off(every, attempts).map_or(every, |pause| pause + every / 2);
            }
            assert!(attempts < 80, "{attempts} attempts a day at {every:?}");
        }
    }

    #[test]
    fn the_first_failures_change_nothing_and_no_number_overflows() {
        let every = Duration::from_secs(15);
        assert_eq!([0, 1, 2].map(|in_a_row| hold_off(every, in_a_row)), [None; 3]);
        assert_eq!(hold_off(every, 3), Some(Duration::from_millis(22_500)));
        assert!(hold_off(Duration::MAX, u32::MAX).is_some());
    }

    #[test]
    fn only_what_we_break_off_between_greeting_and_login_is_held_against_us() {
        let failure = |phase, errno| {
            let mut failure = Failure::new(phase, Reason::Other, "");
            failure.errno = errno;
            failure
        };
        assert!(is_held_against_us(&failure(Phase::Tls, None)));
        assert!(is_held_against_us(&failure(Phase::Auth, None)));
        assert!(!is_held_against_us(&failure(Phase::Auth, Some(1045))));
        assert!(!is_held_against_us(&failure(Phase::Tcp, None)));
        assert!(!is_held_against_us(&failure(Phase::Query, None)));
    }
}
