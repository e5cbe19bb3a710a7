//! How long to wait before the next attempt, and when not to try at all.
//!
//! `Backoff` spaces attempts at a server that is away: exponentially, with full jitter, between a floor and a cap.
//! `Circuit` stops attempts that a server refuses for a reason that trying makes worse, and slows down those that
//! would get this host blocked; it lets one through now and then. Neither has a clock or dice of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::metrics::{Gauge, Instruments, IntCounterVec};
use crate::mysql::failure::{Failure, Phase, Reason};

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

    /// What the server's `host_cache` says of this host, and its `max_connect_errors`.
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

/// Connections that end after TCP and before login, unless the server ended them by an error packet.
fn counts_towards_block(failure: &Failure) -> bool {
    let before_login = matches!(failure.phase, Phase::Greeting | Phase::Tls | Phase::Auth);
    let by_the_server = failure.errno.is_some() || failure.reason == Reason::HostBlocked;
    before_login && !by_the_server
}

fn spread(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 + SPREAD * random.clamp(0.0, 1.0))
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

    fn refused(reason: Reason) -> Failure {
        let mut failure = Failure::new(Phase::Auth, reason, "words");
        failure.errno = Some(1);
        failure
    }

    fn cut(phase: Phase, reason: Reason) -> Failure {
        Failure::new(phase, reason, "words")
    }

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
        assert!(most_within(SECOND, &at) <= 12);
    }
}
