//! Coming back: how a target stands, when to try again, and when trying makes it worse.
//!
//! Joins the state machine, the backoff and the circuit of one target and shows them. Attempts are fresh logins of our
//! own, besides those of the schedule, and only while nobody gets in; with the first that does, all is open again.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::backoff::{Backoff, BackoffInstruments, Spacing, Trigger};
use super::circuit::{self, Circuit, Suspended};
use super::state::{Event, Machine, Outcome, State, StateInstruments};
use crate::metrics::Instruments;
use crate::mysql::failure::{Failure, Reason};

/// How a target is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub spacing: Spacing,
    pub circuit_interval: Duration,
    pub down_after: Duration,
    /// Between two probes of the schedule.
    pub every: Duration,
    /// Whether the server holds broken-off logins against our host.
    pub is_counted: bool,
}

/// What changed with an event, to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub state: Option<(State, State)>,
    pub recovered: Option<Duration>,
    pub outage_ended: Option<Duration>,
    /// The circuit opened (with why), or closed.
    pub circuit: Option<Option<Suspended>>,
}

/// The standing of one target. It outlives the target's task.
#[derive(Clone, Debug)]
pub struct Recovery {
    manner: Manner,
    machine: Machine,
    backoff: Backoff,
    circuit: Circuit,
    /// Logins in a row that the server counts against this host.
    uncompleted: u32,
    suspended_until: Option<Instant>,
    attempt_at: Option<(Instant, Trigger)>,
    /// Connections that were lost and not opened anew.
    to_replace: u64,
    states: StateInstruments,
    attempts: BackoffInstruments,
}

impl Recovery {
    pub fn new(manner: Manner, all: &Instruments) -> Recovery {
        Recovery {
            manner,
            machine: Machine::new(manner.down_after),
            backoff: Backoff::new(manner.spacing),
            circuit: Circuit::new(manner.circuit_interval),
            uncompleted: 0,
            suspended_until: None,
            attempt_at: None,
            to_replace: 0,
            states: StateInstruments::new(all),
            attempts: BackoffInstruments::new(all),
        }
    }

    pub fn state(&self) -> State {
        self.machine.state()
    }

    pub fn outage_start(&self) -> Option<Instant> {
        self.machine.outage_start()
    }

    pub fn suspended(&self) -> Option<Suspended> {
        self.circuit.suspended()
    }

    /// When the next attempt besides the schedule's is due.
    pub fn attempt_due(&self) -> Option<Instant> {
        self.attempt_at.map(|(at, _)| at)
    }

    /// When the state changes by itself, if nothing else happens.
    pub fn next_change(&self) -> Option<Instant> {
        self.machine.next_change()
    }

    /// Until when the schedule's probes are suspended; none if the next one is made.
    pub fn suspended_until(&self, now: Instant) -> Option<Instant> {
        let held_off = self.suspended_until.filter(|until| now < *until);
        let open = self.circuit.next().filter(|next| now < *next);
        held_off.max(open)
    }

    /// Whether an attempt may be made now. Where trying makes it worse, this is the one of its interval.
    pub fn let_through(&mut self, now: Instant) -> bool {
        self.suspended_until.is_none_or(|until| until <= now) && self.circuit.let_through(now, fastrand::f64())
    }

    /// The attempt that was due begins, or cannot; says who wanted it.
    pub fn take_attempt(&mut self) -> Option<Trigger> {
        self.attempt_at.take().map(|(_, trigger)| trigger)
    }

    /// A fresh login begins in order to come back.
    pub fn attempt_started(&mut self, now: Instant) -> Change {
        self.step(Event::AttemptStarted, now)
    }

    /// A fresh login went well.
    pub fn good(&mut self, attempt: Option<Trigger>, now: Instant) -> Change {
        if let Some(trigger) = attempt {
            self.attempts.attempted(true, trigger);
        }
        let was_open = self.circuit.is_open();
        self.circuit.succeeded();
        self.backoff.reset();
        self.uncompleted = 0;
        (self.suspended_until, self.attempt_at) = (None, None);
        let event = if attempt.is_some() { Event::AttemptOk } else { Event::ProbeOk };
        Change { circuit: was_open.then_some(None), ..self.step(event, now) }
    }

    /// A fresh login that began `since` failed. The next attempt follows by the backoff, or when trying does no harm.
    pub fn bad(&mut self, failure: &Failure, attempt: Option<Trigger>, since: Instant, now: Instant) -> Change {
        if let Some(trigger) = attempt {
            self.attempts.attempted(false, trigger);
        }
        let before = self.circuit.suspended();
        self.circuit.failed(failure, now, fastrand::f64());
        let after = self.circuit.suspended();
        self.hold_off(failure, now);
        let event = if attempt.is_some() { Event::AttemptFailed } else { Event::ProbeFailed };
        let first = self.step_since(event, since, now);
        let second = match (before.is_some(), after.is_some()) {
            (false, true) => self.step(Event::CircuitOpened, now),
            (true, false) => self.step(Event::CircuitClosed, now),
            _ => Change::default(),
        };
        let circuit = (before != after).then_some(after);
        Change { state: second.state.or(first.state), circuit, ..first }
    }

    /// Plans the next attempt, while none is planned and nobody gets in.
    pub fn plan(&mut self, now: Instant) {
        if self.attempt_at.is_some() {
            return;
        }
        let at = match self.circuit.next() {
            Some(next) => next,
            None => now + self.backoff.next_delay(fastrand::f64()),
        };
        self.attempt_at = Some((self.suspended_until.map_or(at, |until| until.max(at)), Trigger::Auto));
    }

    /// An operator wants an attempt now.
    pub fn wanted(&mut self, now: Instant) {
        self.circuit.nudge(now);
        self.suspended_until = None;
        self.backoff.reset();
        self.attempt_at = Some((now, Trigger::Manual));
    }

    /// A connection of ours has left. Where the account's own limit kept us out, there may be a place now.
    pub fn left(&mut self, now: Instant) {
        if self.circuit.suspended() == Some(Suspended::Refused(Reason::UserLimit)) {
            self.circuit.nudge(now + self.manner.spacing.floor);
            self.attempt_at = None;
            self.plan(now);
        }
    }

    /// A kept connection answered.
    pub fn kept(&mut self, now: Instant) -> Change {
        self.step(Event::KeptOk, now)
    }

    /// A kept connection was lost, and answered nothing since.
    pub fn lost(&mut self, since: Instant, now: Instant) -> Change {
        self.to_replace += 1;
        self.step_since(Event::KeptLost, since, now)
    }

    /// A pool has opened a connection, perhaps in the place of a lost one.
    pub fn opened(&mut self, now: Instant) -> Change {
        match self.to_replace.checked_sub(1) {
            Some(left) => {
                self.to_replace = left;
                self.good(Some(Trigger::Auto), now)
            }
            None => self.kept(now),
        }
    }

    /// A pool could not open a connection.
    pub fn unopened(&mut self, failure: &Failure, now: Instant) -> Change {
        let attempt = (self.to_replace > 0).then_some(Trigger::Auto);
        self.bad(failure, attempt.or(Some(Trigger::Auto)), now, now)
    }

    /// We did not run for so long ourselves.
    pub fn stalled(&mut self, stalled: Duration, now: Instant) -> Change {
        self.step(Event::Stalled(stalled), now)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Change {
        self.step(Event::Tick, now)
    }

    /// What the server says of its limit of broken-off logins.
    pub fn limit_told(&mut self, max_connect_errors: u64) {
        let most = if self.manner.is_counted { max_connect_errors } else { u64::MAX };
        // Just let in: the server's count of this host begins anew.
        self.circuit.told(0, most);
    }

    /// Puts how it stands now into the instruments.
    pub fn show(&mut self, now: Instant) {
        let wall = SystemTime::now();
        let unix_now = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.states.show(&mut self.machine, now, unix_now);
        let next = self.attempt_at.map(|(at, _)| wall + at.saturating_duration_since(now));
        self.attempts.show(&self.backoff, &self.circuit, next);
    }

    /// The server counts every handshake that is not completed, and blocks this host for everyone at
    /// `max_connect_errors` (100 by default) in a row. What cannot be completed is tried ever more rarely.
    fn hold_off(&mut self, failure: &Failure, now: Instant) {
        self.uncompleted = if circuit::is_held_against_us(failure) { self.uncompleted + 1 } else { 0 };
        let pause = circuit::hold_off(self.manner.every, self.uncompleted).filter(|_| self.manner.is_counted);
        self.suspended_until = pause.map(|pause| now + pause);
    }

    fn step(&mut self, event: Event, now: Instant) -> Change {
        self.step_since(event, now, now)
    }

    fn step_since(&mut self, event: Event, since: Instant, now: Instant) -> Change {
        let outcome: Outcome = self.machine.on_since(event, since, now);
        self.states.happened(&outcome);
        Change {
            state: outcome.changed,
            recovered: outcome.recovered,
            outage_ended: outcome.outage_ended,
            circuit: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::Phase;

    const SECOND: Duration = Duration::from_secs(1);

    fn recovery() -> Recovery {
        let manner = Manner {
            spacing: Spacing::default(),
            circuit_interval: SECOND * 60,
            down_after: SECOND * 60,
            every: SECOND * 15,
            is_counted: true,
        };
        Recovery::new(manner, &Instruments::default())
    }

    fn failure(phase: Phase, reason: Reason, errno: Option<u16>) -> Failure {
        let mut failure = Failure::new(phase, reason, "words");
        failure.errno = errno;
        failure
    }

    #[test]
    fn attempts_follow_by_the_backoff_until_one_gets_in() {
        let zero = Instant::now();
        let mut recovery = recovery();
        recovery.good(None, zero);
        assert_eq!((recovery.state(), recovery.attempt_due()), (State::Connected, None));
        recovery.lost(zero + SECOND, zero + SECOND);
        let refused = failure(Phase::Tcp, Reason::Refused, None);
        recovery.unopened(&refused, zero + SECOND);
        let mut now = zero + SECOND;
        for _ in 0..20 {
            recovery.plan(now);
            let due = recovery.attempt_due().expect("planned");
            assert!(due > now && due <= now + SECOND * 15, "{:?}", due - now);
            now = due;
            assert!(recovery.let_through(now));
            assert_eq!(recovery.take_attempt(), Some(Trigger::Auto));
            recovery.attempt_started(now);
            assert!(matches!(recovery.state(), State::Reconnecting | State::Down), "{:?}", recovery.state());
            recovery.bad(&refused, Some(Trigger::Auto), now, now);
        }
        let change = recovery.good(Some(Trigger::Auto), now);
        assert_eq!((change.recovered, recovery.state()), (Some(now - zero - SECOND), State::Connected));
        assert_eq!(recovery.attempt_due(), None);
    }

    #[test]
    fn where_trying_makes_it_worse_one_attempt_an_interval_is_let_through_whoever_comes() {
        let zero = Instant::now();
        let mut recovery = recovery();
        let denied = failure(Phase::Auth, Reason::AccessDenied, Some(1045));
        let change = recovery.bad(&denied, None, zero, zero);
        assert_eq!(change.circuit, Some(Some(Suspended::Refused(Reason::AccessDenied))));
        assert_eq!(recovery.state(), State::Down);
        let mut reached = 0;
        for second in 1..600 {
            let now = zero + SECOND * second;
            recovery.plan(now);
            let due = recovery.attempt_due().is_some_and(|due| due <= now);
            if due {
                recovery.take_attempt();
            }
            // The schedule's probe comes every 15 s too.
            if (due || second % 15 == 0) && recovery.let_through(now) {
                reached += 1;
                recovery.bad(&denied, None, now, now);
            }
        }
        assert!((8..=9).contains(&reached), "{reached}");
        recovery.wanted(zero + SECOND * 600);
        assert!(recovery.let_through(zero + SECOND * 600), "an operator need not wait");
        let change = recovery.good(Some(Trigger::Manual), zero + SECOND * 600);
        assert_eq!((change.circuit, recovery.state()), (Some(None), State::Connected));
    }

    #[test]
    fn an_account_that_was_full_is_tried_when_one_of_ours_has_left() {
        let zero = Instant::now();
        let mut recovery = recovery();
        recovery.bad(&failure(Phase::Auth, Reason::UserLimit, Some(1226)), None, zero, zero);
        recovery.plan(zero);
        assert!(recovery.attempt_due().is_some_and(|due| due >= zero + SECOND * 60));
        recovery.left(zero + SECOND);
        assert!(recovery.attempt_due().is_some_and(|due| due < zero + SECOND * 2));
        // What somebody else refuses is none of its business.
        let denied = failure(Phase::Auth, Reason::AccessDenied, Some(1045));
        recovery.bad(&denied, None, zero + SECOND * 2, zero + SECOND * 2);
        recovery.plan(zero + SECOND * 2);
        let due = recovery.attempt_due();
        recovery.left(zero + SECOND * 3);
        assert_eq!(recovery.attempt_due(), due);
    }

    #[test]
    fn a_lost_connection_that_is_replaced_at_once_is_a_recovery_without_an_outage() {
        let zero = Instant::now();
        let mut recovery = recovery();
        recovery.good(None, zero);
        recovery.kept(zero);
        let change = recovery.lost(zero + SECOND, zero + SECOND);
        assert_eq!(change.state, Some((State::Connected, State::Degraded)));
        let change = recovery.opened(zero + SECOND * 2);
        assert_eq!(change.state, Some((State::Degraded, State::Connected)));
        assert_eq!((change.recovered, change.outage_ended), (Some(SECOND), None));
    }
}
