//! How long to wait before the next attempt at a server that is away: exponentially more, with full jitter, between a
//! floor and a cap. Whether to try at all is `circuit`'s business.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::circuit::Circuit;
use crate::metrics::{Gauge, Instruments, IntCounterVec};

crate::metrics! {
    /// Attempts to connect anew after a connection was lost, since the exporter started. result: ok or error; trigger: auto (by the backoff) or manual (asked for by an operator).
    RECONNECT_ATTEMPTS: counter "mysql_conn_reconnect_attempts_total" { result, trigger };
    /// Seconds that the exporter waits, in all, before the next attempt to connect; 0 when it waits for none.
    BACKOFF_DELAY: gauge "mysql_conn_backoff_delay_seconds" {};
    /// Attempts to connect in this outage; 0 when there is none.
    BACKOFF_ATTEMPTS: gauge "mysql_conn_backoff_attempts" {};
    /// When the next attempt to connect is due, in seconds since 1970; 0 when none is.
    BACKOFF_NEXT_ATTEMPT: gauge "mysql_conn_backoff_next_attempt_timestamp_seconds" {};
    /// Whether attempts are suspended, but for a gentle one now and then, because trying makes it worse (0 or 1): access denied, account locked, password expired, host blocked or about to be, the account's own limit.
    CIRCUIT_OPEN: gauge "mysql_conn_circuit_open" {};
}

/// How attempts are spaced. Zero is never waited, not even before the first: a server that is lost is lost by many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    /// The least between two attempts.
    pub floor: Duration,
    /// The most that the first attempt waits; doubled with each further one.
    pub first: Duration,
    /// The most that any attempt waits. It bounds how late a server that is back is noticed.
    pub cap: Duration,
}

impl Default for Spacing {
    fn default() -> Spacing {
        Spacing { floor: Duration::from_millis(250), first: Duration::from_secs(1), cap: Duration::from_secs(15) }
    }
}

impl Spacing {
    /// The most that this attempt waits; the first is number 0.
    fn ceiling(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.checked_pow(attempt).and_then(|factor| self.first.checked_mul(factor));
        doubled.unwrap_or(self.cap).clamp(self.floor.min(self.cap), self.cap)
    }
}

/// The waits of one outage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    spacing: Spacing,
    attempts: u32,
    delay: Duration,
}

impl Backoff {
    pub fn new(spacing: Spacing) -> Backoff {
        Backoff { spacing, ..Backoff::default() }
    }

    /// How long to wait before the next attempt, which is counted with this. `random` is even in 0..1.
    ///
    /// The whole span from floor to ceiling is used: those who lost the same server at the same instant are as far
    /// apart as can be, and waits that fell below the floor would have met again at it.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let ceiling = self.spacing.ceiling(self.attempts);
        let floor = self.spacing.floor.min(ceiling);
        self.delay = floor + (ceiling - floor).mul_f64(random.clamp(0.0, 1.0));
        self.attempts = self.attempts.saturating_add(1);
        self.delay
    }

    /// Attempts since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The wait that was last said; zero when there is none.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// A good query ends the outage.
    pub fn reset(&mut self) {
        *self = Backoff::new(self.spacing);
    }
}

/// Who wanted an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    Auto,
    Manual,
}

impl Trigger {
    pub const ALL: [Trigger; 2] = [Trigger::Auto, Trigger::Manual];

    pub fn label(self) -> &'static str {
        match self {
            Trigger::Auto => "auto",
            Trigger::Manual => "manual",
        }
    }
}

/// The live instruments of one target's attempts.
#[derive(Clone, Debug)]
pub struct BackoffInstruments {
    attempts: IntCounterVec,
    delay: Gauge,
    in_outage: Gauge,
    next: Gauge,
    circuit_open: Gauge,
}

impl BackoffInstruments {
    /// Closed sets stand at 0.
    pub fn new(all: &Instruments) -> BackoffInstruments {
        let instruments = BackoffInstruments {
            attempts: all.counters(&RECONNECT_ATTEMPTS),
            delay: all.gauge(&BACKOFF_DELAY),
            in_outage: all.gauge(&BACKOFF_ATTEMPTS),
            next: all.gauge(&BACKOFF_NEXT_ATTEMPT),
            circuit_open: all.gauge(&CIRCUIT_OPEN),
        };
        for trigger in Trigger::ALL {
            for result in ["ok", "error"] {
                instruments.attempts.with_label_values(&[result, trigger.label()]);
            }
        }
        instruments
    }

    pub fn attempted(&self, ok: bool, trigger: Trigger) {
        self.attempts.with_label_values(&[if ok { "ok" } else { "error" }, trigger.label()]).inc();
    }

    /// What is waited for now. `next` is when the next attempt is due by the system's clock, if one is.
    pub fn show(&self, backoff: &Backoff, circuit: &Circuit, next: Option<SystemTime>) {
        let unix = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.delay.set(backoff.delay().as_secs_f64());
        self.in_outage.set(f64::from(backoff.attempts()));
        self.next.set(next.map_or(0.0, unix));
        self.circuit_open.set(f64::from(circuit.is_open()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The most connections that come within one span of time.
    fn most_within(span: Duration, at: &[Duration]) -> usize {
        let from = |start: Duration| at.iter().filter(|other| (start..start + span).contains(*other)).count();
        at.iter().map(|start| from(*start)).max().unwrap_or(0)
    }

    #[test]
    fn a_hundred_targets_do_not_come_back_at_the_same_instant() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut at = [Duration::ZERO; 100];
        let mut backoffs = [Backoff::default(); 100];
        for attempt in 0..8 {
            for (at, backoff) in at.iter_mut().zip(&mut backoffs) {
                *at += backoff.next_delay(random.f64());
            }
            // 100 in 0.75 s are 1.3 in 10 ms; later ones are further apart.
            let most = most_within(Duration::from_millis(10), &at);
            assert!(most <= if attempt == 0 { 8 } else { 6 }, "attempt {attempt}: {most} at once");
        }
    }

    #[test]
    fn no_wait_is_shorter_than_the_floor_or_longer_than_the_cap() {
        let spacing = Spacing::default();
        for random in [-1.0, 0.0, 0.3, 0.999, 1.0, 7.0] {
            let mut backoff = Backoff::new(spacing);
            for attempt in 1..=1000 {
                let delay = backoff.next_delay(random);
                assert!((spacing.floor..=spacing.cap).contains(&delay), "{delay:?}");
                assert_eq!((backoff.attempts(), backoff.delay()), (attempt, delay));
            }
        }
    }

    #[test]
    fn waits_grow_with_the_attempts() {
        for random in [0.01, 0.5, 1.0] {
            let mut backoff = Backoff::default();
            let delays: Vec<_> = (0..40).map(|_| backoff.next_delay(random)).collect();
            assert!(delays.is_sorted(), "{delays:?}");
            assert!(delays[3] > delays[0]);
        }
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..6).map(|_| backoff.next_delay(1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 15, 15]);
    }

    #[test]
    fn attempt_numbers_do_not_overflow() {
        let mut backoff = Backoff { attempts: u32::MAX - 1, ..Backoff::default() };
        for _ in 0..3 {
            assert_eq!(backoff.next_delay(1.0), Duration::from_secs(15));
        }
        assert_eq!(backoff.attempts(), u32::MAX);
        let huge = Spacing { floor: SECOND, first: Duration::MAX, cap: Duration::MAX };
        assert_eq!(Backoff::new(huge).next_delay(0.0), SECOND);
    }

    #[test]
    fn odd_settings_keep_the_cap() {
        let odd = Spacing { floor: SECOND * 9, first: SECOND * 30, cap: SECOND * 2 };
        let mut backoff = Backoff::new(odd);
        assert_eq!((backoff.next_delay(0.0), backoff.next_delay(1.0)), (SECOND * 2, SECOND * 2));
        let low = Spacing { floor: SECOND, first: Duration::ZERO, cap: SECOND * 2 };
        assert_eq!(Backoff::new(low).next_delay(1.0), SECOND);
    }

    #[test]
    fn a_success_starts_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..9 {
            backoff.next_delay(1.0);
        }
        backoff.reset();
        assert_eq!((backoff.attempts(), backoff.delay()), (0, Duration::ZERO));
        assert_eq!(backoff.next_delay(1.0), SECOND);
    }
}
