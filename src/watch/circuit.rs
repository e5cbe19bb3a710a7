//! When trying again makes it worse.
//!
//! A server counts every connection of a host that ends before its login is decided, and at `max_connect_errors` (100
//! by default) in a row it blocks the host, for the applications on it too. A refused password is not counted, a good
//! login sets the count back; a certificate that we refuse, and a login that we give up, are counted.
//!
//! `hold_off` makes attempts that we break off ourselves ever rarer. `Circuit` stops those that the server refuses for
//! a reason that trying makes worse, or that would be among the last before the block, and lets one through now and
//! then.

use std::time::Duration;

use tokio::time::Instant;

use crate::mysql::failure::{Failure, Phase, Reason};

/// One gentle attempt per so long: a corrected password is noticed soon, and twelve logins an hour exhaust neither an
/// hourly limit of connections nor a sensible limit of wrong passwords before somebody has read the alert.
pub const CIRCUIT_INTERVAL: Duration = Duration::from_secs(300);
/// Where every further failure brings this host nearer to being blocked, waits grow up to this many intervals.
const LONGEST_NEAR_BLOCK: u32 = 12;
/// What `max_connect_errors` is unless somebody changed it.
const USUAL_MAX_CONNECT_ERRORS: u64 = 100;
/// Gentle attempts are spread: a hundred targets may share the account whose password is wrong.
const SPREAD: f64 = 0.1;

/// Why attempts are suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// The server refuses us, and each further attempt makes it worse.
    Refused(Reason),
    /// Half of the interrupted connections that get this host blocked, for everyone on it, are used up.
    NearBlock,
}

/// Whether attempts are let through.
#[derive(Clone, Copy, Debug)]
pub struct Circuit {
    every: Duration,
    open: Option<Open>,
    /// Connections of this host in a row that were cut before login, as far as is known.
    cut: u64,
    max_connect_errors: u64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    why: Suspended,
    next: Instant,
    /// Failures since it opened.
    failures: u32,
}

impl Default for Circuit {
    fn default() -> Circuit {
        Circuit::new(CIRCUIT_INTERVAL)
    }
}

impl Circuit {
    pub fn new(every: Duration) -> Circuit {
        Circuit { every, open: None, cut: 0, max_connect_errors: USUAL_MAX_CONNECT_ERRORS }
    }

    /// Whether an attempt may be made now. While the circuit is open one is let through an interval; it need not be
    /// heard of again.
    pub fn let_through(&mut self, now: Instant, random: f64) -> bool {
        let Some(open) = &mut self.open else { return true };
        if now < open.next {
            return false;
        }
        open.next = now + spread(self.every, random);
        true
    }

    /// An operator wants an attempt now.
    pub fn nudge(&mut self, now: Instant) {
        if let Some(open) = &mut self.open {
            open.next = open.next.min(now);
        }
    }

    /// An attempt failed. A failure of another kind closes the circuit: a server that was restarted starts anew.
    pub fn failed(&mut self, failure: &Failure, now: Instant, random: f64) {
        if counts_towards_block(failure) {
            self.cut = self.cut.saturating_add(1);
        }
        let why = if makes_it_worse(failure.reason) {
            Suspended::Refused(failure.reason)
        } else if counts_towards_block(failure) && self.is_near_block() {
            Suspended::NearBlock
        } else {
            self.open = None;
            return;
        };
        let failures = self.open.filter(|open| open.why == why).map_or(0, |open| open.failures) + 1;
        let intervals = match why {
            Suspended::Refused(_) => 1,
            Suspended::NearBlock => 2_u32.saturating_pow(failures - 1).min(LONGEST_NEAR_BLOCK),
        };
        self.open = Some(Open { why, next: now + spread(self.every * intervals, random), failures });
    }

    /// An attempt logged in: it also clears the server's count of interrupted connections from here.
    pub fn succeeded(&mut self) {
        self.open = None;
        self.cut = 0;
    }

    /// What the server's `host_cache` says of this host, and its `max_connect_errors`. Where no host is ever blocked
    /// (a socket, loopback, `skip_name_resolve` on MariaDB) the limit is `u64::MAX`.
    pub fn told(&mut self, errors: u64, max_connect_errors: u64) {
        self.cut = errors;
        self.max_connect_errors = max_connect_errors.max(1);
    }

    /// Why attempts are suspended, if they are.
    pub fn suspended(&self) -> Option<Suspended> {
        self.open.map(|open| open.why)
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When the next gentle attempt is let through.
    pub fn next(&self) -> Option<Instant> {
        self.open.map(|open| open.next)
    }

    fn is_near_block(&self) -> bool {
        self.cut.saturating_mul(2) >= self.max_connect_errors
    }
}

/// Reasons with which trying makes it worse: wrong passwords lock accounts, logins use up limits, and a blocked host
/// is blocked for all who share it. A host that is not allowed harms nobody by asking: the backoff is enough.
fn makes_it_worse(reason: Reason) -> bool {
    use Reason::*;
    matches!(reason, AccessDenied | AccountLocked | PasswordExpired | HostBlocked | UserLimit)
}

/// Also a greeting that we gave up waiting for, however patient the wait was.
fn counts_towards_block(failure: &Failure) -> bool {
    let ungreeted = failure.phase == Phase::Greeting && failure.reason == Reason::Timeout;
    is_held_against_us(failure) || ungreeted
}

fn spread(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 + SPREAD * random.clamp(0.0, 1.0))
}

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

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(reason: Reason) -> Failure {
        let mut failure = Failure::new(Phase::Auth, reason, "words");
        failure.errno = Some(1);
        failure
    }

    fn cut(phase: Phase, reason: Reason) -> Failure {
        Failure::new(phase, reason, "words")
    }

    #[test]
    fn one_attempt_an_interval_reaches_a_server_that_refuses() {
        use Reason::*;
        for reason in [AccessDenied, AccountLocked, PasswordExpired, HostBlocked, UserLimit] {
            let zero = Instant::now();
            let mut random = fastrand::Rng::with_seed(5);
            let mut circuit = Circuit::new(SECOND * 60);
            let mut reached = Vec::new();
            for second in 0..3600 {
                let now = zero + SECOND * second;
                if circuit.let_through(now, random.f64()) {
                    reached.push(now);
                    circuit.failed(&refused(reason), now, random.f64());
                }
                assert_eq!(circuit.suspended(), Some(Suspended::Refused(reason)));
            }
            assert!(reached.windows(2).all(|two| two[1] - two[0] >= SECOND * 60), "{reason:?}");
            assert!((54..=60).contains(&reached.len()), "{reason:?}: {}", reached.len());
            circuit.succeeded();
            assert!(!circuit.is_open() && circuit.let_through(zero, 0.0));
        }
    }

    #[test]
    fn what_trying_does_not_make_worse_is_tried() {
        for reason in Reason::ALL {
            let mut circuit = Circuit::default();
            circuit.failed(&refused(*reason), Instant::now(), 0.0);
            assert_eq!(circuit.is_open(), makes_it_worse(*reason), "{reason:?}");
        }
        let open = Reason::ALL.iter().filter(|reason| makes_it_worse(**reason)).count();
        assert_eq!(open, 5);
    }

    #[test]
    fn a_gentle_attempt_that_nobody_hears_of_does_not_stop_the_next() {
        let zero = Instant::now();
        let mut circuit = Circuit::new(SECOND * 60);
        circuit.failed(&refused(Reason::AccessDenied), zero, 0.0);
        assert_eq!(circuit.next(), Some(zero + SECOND * 60));
        assert!(!circuit.let_through(zero + SECOND * 59, 0.0));
        assert!(circuit.let_through(zero + SECOND * 60, 0.0));
        assert!(!circuit.let_through(zero + SECOND * 61, 0.0));
        assert!(circuit.let_through(zero + SECOND * 120, 0.0));
    }

    #[test]
    fn an_operator_need_not_wait() {
        let zero = Instant::now();
        let mut circuit = Circuit::default();
        circuit.failed(&refused(Reason::AccessDenied), zero, 0.5);
        circuit.nudge(zero + SECOND);
        assert!(circuit.is_open() && circuit.let_through(zero + SECOND, 0.0));
        assert!(!circuit.let_through(zero + SECOND * 2, 0.0));
    }

    #[test]
    fn a_failure_of_another_kind_closes_it() {
        let mut circuit = Circuit::default();
        circuit.failed(&refused(Reason::AccessDenied), Instant::now(), 0.0);
        circuit.failed(&cut(Phase::Tcp, Reason::Refused), Instant::now(), 0.0);
        assert!(!circuit.is_open());
    }

    #[test]
    fn a_host_about_to_be_blocked_slows_down() {
        let zero = Instant::now();
        let expired = cut(Phase::Tls, Reason::TlsExpired);
        let mut circuit = Circuit::new(SECOND * 60);
        circuit.told(3, 10);
        circuit.failed(&expired, zero, 0.0);
        assert!(!circuit.is_open());
        // Half of ten.
        let waits: Vec<u64> = (0..7)
            .map(|_| {
                circuit.failed(&expired, zero, 0.0);
                circuit.next().map_or(0, |next| (next - zero).as_secs() / 60)
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 12, 12, 12]);
        assert_eq!(circuit.suspended(), Some(Suspended::NearBlock));
        circuit.succeeded();
        circuit.failed(&expired, zero, 0.0);
        assert!(!circuit.is_open());
    }

    #[test]
    fn only_what_is_cut_before_login_counts_towards_a_block() {
        let mut circuit = Circuit::default();
        circuit.told(99, 100);
        for harmless in [
            cut(Phase::Dns, Reason::Dns),
            cut(Phase::Tcp, Reason::Timeout),
            cut(Phase::Query, Reason::Timeout),
            refused(Reason::TooManyConnections),
            refused(Reason::Offline),
        ] {
            circuit.failed(&harmless, Instant::now(), 0.0);
            assert!(!circuit.is_open(), "{harmless}");
        }
        // A server that says little of its limits: half of the usual hundred.
        let mut circuit = Circuit::default();
        let mut tried = 0;
        while !circuit.is_open() {
            circuit.failed(&cut(Phase::Greeting, Reason::Timeout), Instant::now(), 0.0);
            tried += 1;
        }
        assert_eq!(tried, 50);
    }

    #[test]
    fn an_open_circuit_of_many_targets_is_spread() {
        let mut random = fastrand::Rng::with_seed(9);
        let zero = Instant::now();
        let next = |_| {
            let mut circuit = Circuit::default();
            circuit.failed(&refused(Reason::AccessDenied), zero, random.f64());
            circuit.next().map_or(Duration::ZERO, |next| next - zero)
        };
        let at: Vec<Duration> = (0..100).map(next).collect();
        assert!(at.iter().all(|at| *at >= CIRCUIT_INTERVAL));
        let within_a_second = |start: Duration| at.iter().filter(|at| (start..start + SECOND).contains(*at)).count();
        assert!(at.iter().all(|start| within_a_second(*start) <= 12));
    }

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
