//! How new connections to a target went in the last hour, a minute each: enough for a small picture of it, and bounded.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// So many minutes are kept.
pub const MINUTES: usize = 60;

/// The latest minutes, oldest first; those in which nobody tried are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    minutes: VecDeque<Minute>,
}

/// The fresh logins that ended within one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// Minutes since 1970.
    number: u64,
    pub good: u32,
    pub failed: u32,
    /// Of those whose time was taken.
    timed: u32,
    sum: Duration,
    pub slowest: Duration,
}

impl Hour {
    /// A login got in. One that waited for a frozen server to wake says nothing of how long logins take.
    pub fn good(&mut self, at: SystemTime, took: Option<Duration>) {
        let minute = self.minute(at);
        minute.good += 1;
        if let Some(took) = took {
            minute.timed += 1;
            minute.sum += took;
            minute.slowest = minute.slowest.max(took);
        }
    }

    /// A login failed.
    pub fn failed(&mut self, at: SystemTime) {
        self.minute(at).failed += 1;
    }

    fn minute(&mut self, at: SystemTime) -> &mut Minute {
        let number = number(at);
        // A clock that was set back would leave minutes of a time that is yet to come.
        while self.minutes.back().is_some_and(|last| last.number > number) {
            self.minutes.pop_back();
        }
        if self.minutes.back().is_none_or(|last| last.number < number) {
            if self.minutes.len() >= MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute {
                number,
                good: 0,
                failed: 0,
                timed: 0,
                sum: Duration::ZERO,
                slowest: Duration::ZERO,
            });
        }
        self.minutes.back_mut().expect("one was just pushed, if there was none")
    }

    /// The last hour up to now, oldest minute first; none where nobody tried.
    pub fn until(&self, now: SystemTime) -> [Option<Minute>; MINUTES] {
        let first = (number(now) + 1).saturating_sub(MINUTES as u64);
        let mut hour = [None; MINUTES];
        for minute in &self.minutes {
            let at = minute.number.checked_sub(first).and_then(|at| hour.get_mut(at as usize));
            if let Some(at) = at {
                *at = Some(*minute);
            }
        }
        hour
    }
}

impl Minute {
    /// How long logins took on average; none where none was timed.
    pub fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.timed)
    }
}

fn number(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64, second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(minute * 60 + second)
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_minute_has_its_mean_and_its_slowest() {
        let mut hour = Hour::default();
        hour.good(at(100, 1), Some(2 * MS));
        hour.good(at(100, 59), Some(4 * MS));
        hour.good(at(100, 59), None);
        hour.failed(at(100, 59));
        let last = hour.until(at(100, 59))[MINUTES - 1].expect("tried in this minute");
        assert_eq!((last.good, last.failed, last.mean(), last.slowest), (3, 1, Some(3 * MS), 4 * MS));
        let other = hour.until(at(159, 0));
        assert_eq!((other[0], other[1]), (Some(last), None));
        assert_eq!(hour.until(at(160, 0)), [None; MINUTES], "more than an hour ago");
    }

    #[test]
    fn no_more_than_an_hour_is_kept_and_a_clock_may_be_set_back() {
        let mut hour = Hour::default();
        for minute in 0..500 {
            hour.failed(at(minute, 0));
        }
        assert_eq!(hour.minutes.len(), MINUTES);
        assert!(hour.until(at(499, 30)).iter().all(Option::is_some));
        hour.good(at(450, 0), None);
        let now = hour.until(at(450, 0));
        assert_eq!(now[MINUTES - 1].map(|minute| (minute.good, minute.mean())), Some((1, None)));
        hour.good(at(2, 0), Some(MS));
        assert_eq!(hour.minutes.len(), 1);
    }
}
