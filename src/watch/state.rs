//! How a target stands: exactly one state at a time, and for how long nothing of it was of use.
//!
//! The state is not stepped from one to the next, it follows from a few facts; so it is one, whatever comes in which
//! order.
//!
//! | a fresh connection | kept connections | and | state |
//! | --- | --- | --- | --- |
//! | any | any | switched off | `disabled` |
//! | good | good, or there are none | | `connected` |
//! | not tried yet | good | | `connected` |
//! | good | lost and not replaced | | `degraded` |
//! | failed | good | | `degraded` |
//! | failed, or not tried yet | lost, or there are none | the circuit is open, or it has lasted `down_after` | `down` |
//! | not tried yet | lost, or there are none | | `reconnecting` |
//! | failed | lost, or there are none | an attempt is under way | `reconnecting` |
//! | failed | lost, or there are none | the next attempt is waited for | `backoff` |
//!
//! | event | what it changes |
//! | --- | --- |
//! | `ProbeOk` | fresh: good; an attempt ends; an open circuit closes; an outage ends |
//! | `AttemptOk` | the same, and what was lost is replaced |
//! | `ProbeFailed`, `AttemptFailed` | fresh: failed; an attempt ends |
//! | `AttemptStarted` | an attempt is under way |
//! | `KeptOk` | kept: good; an outage ends |
//! | `KeptLost` | kept: lost; the clock of the recovery starts |
//! | `CircuitOpened`, `CircuitClosed` | attempts are suspended, or no longer |
//! | `Disabled`, `Enabled` | switched off: all that was known is forgotten |
//! | `Stalled` | time in which we did not run is nobody's downtime |
//! | `Tick` | nothing but the time |
//!
//! An outage is the time in which neither a fresh nor a kept connection is of use, `reconnecting` before the first
//! attempt aside. It began when the last one was lost, which may turn out later: a fresh connection that was good before
//! the loss says nothing of after it. Whatever got no answer until its deadline was of no use from when it asked, unless
//! something else was good meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::{Counter, Gauge, GaugeVec, Histogram, Instruments, IntCounterVec};

crate::metrics! {
    /// How the target stands (1 for exactly one state). connected: all that is used works; degraded: something works, not all; reconnecting: nothing does and an attempt is under way; backoff: the next attempt is waited for; down: so for a minute, or attempts are suspended because trying makes it worse; disabled: switched off.
    STATE: gauge "mysql_conn_state" { state };
    /// How often the target has entered each state since the exporter started; the state at the start is not counted.
    STATE_CHANGES: counter "mysql_conn_state_changes_total" { state };
    /// Seconds from the moment a loss was seen to the first good query after it.
    RECOVERY_DURATION: histogram(RECOVERY_SECONDS) "mysql_conn_recovery_duration_seconds" {};
    /// When the present outage began (no connection of use, fresh or kept), in seconds since 1970; 0 when there is none.
    OUTAGE_START: gauge "mysql_conn_outage_start_timestamp_seconds" {};
    /// Seconds without a usable connection, fresh or kept, since the exporter started: from the first question that got no answer to the first answer. Time in which the exporter itself did not run is left out.
    DOWNTIME: counter "mysql_conn_downtime_seconds_total" {};
}

/// From a replaced connection to a server that is set up anew.
const RECOVERY_SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

/// After so long the attempts go on, but nobody need watch them one by one.
pub const DOWN_AFTER: Duration = Duration::from_secs(60);

/// The states of a target, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    Connected,
    Degraded,
    Reconnecting,
    Backoff,
    Down,
    Disabled,
}

impl State {
    pub const ALL: [State; 6] =
        [State::Connected, State::Degraded, State::Reconnecting, State::Backoff, State::Down, State::Disabled];

    /// The value of the label `state`.
    pub fn label(self) -> &'static str {
        match self {
            State::Connected => "connected",
            State::Degraded => "degraded",
            State::Reconnecting => "reconnecting",
            State::Backoff => "backoff",
            State::Down => "down",
            State::Disabled => "disabled",
        }
    }
}

/// What can happen to a target's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    ProbeOk,
    ProbeFailed,
    /// A fresh connection is tried to replace what was lost.
    AttemptStarted,
    AttemptOk,
    AttemptFailed,
    /// A kept connection answered.
    KeptOk,
    /// A kept connection was lost and there is none in its place.
    KeptLost,
    CircuitOpened,
    CircuitClosed,
    Disabled,
    Enabled,
    /// We did not run ourselves for so long, until now: a stopped process, a suspended machine.
    Stalled(Duration),
    /// Time passed.
    Tick,
}

/// What an event led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The state before and after, where they differ.
    pub changed: Option<(State, State)>,
    /// From the loss to this, the first good query.
    pub recovered: Option<Duration>,
    /// How long the outage lasted that ended with this.
    pub outage_ended: Option<Duration>,
}

/// What is known of one target's connections.
#[derive(Clone, Debug)]
pub struct Machine {
    down_after: Duration,
    state: State,
    /// Whether the latest fresh connection was good.
    fresh: Option<bool>,
    /// Whether kept connections are good; `None` while there are none.
    kept: Option<bool>,
    attempting: bool,
    suspended: bool,
    disabled: bool,
    /// Since when kept connections are lost, unless a fresh one has been good since.
    kept_lost: Option<Marked>,
    /// When something was good last, or we last awoke from a stall: no outage began before.
    good_at: Option<Instant>,
    /// When the loss was seen that no good query has ended yet.
    loss_seen: Option<Marked>,
    outage: Option<Marked>,
    /// Of the outages that ended.
    downtime: Duration,
    /// What was taken of it, the present outage's included.
    taken: Duration,
}

/// A moment from which time is taken, less the time in which we did not run.
#[derive(Clone, Copy, Debug)]
struct Marked {
    at: Instant,
    stalled: Duration,
}

impl Marked {
    fn at(at: Instant) -> Marked {
        Marked { at, stalled: Duration::ZERO }
    }

    fn elapsed(self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at).saturating_sub(self.stalled)
    }

    fn stall(&mut self, stalled: Duration, now: Instant) {
        // What was stalled before the mark is none of its time.
        self.stalled += stalled.min(self.elapsed(now));
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new(DOWN_AFTER)
    }
}

impl Machine {
    /// Nothing is known yet.
    pub fn new(down_after: Duration) -> Machine {
        Machine {
            down_after,
            state: State::Reconnecting,
            fresh: None,
            kept: None,
            attempting: false,
            suspended: false,
            disabled: false,
            kept_lost: None,
            good_at: None,
            loss_seen: None,
            outage: None,
            downtime: Duration::ZERO,
            taken: Duration::ZERO,
        }
    }

    /// Takes in what happened just now.
    pub fn on(&mut self, event: Event, now: Instant) -> Outcome {
        self.on_since(event, now, now)
    }

    /// Takes in what happened, and since when it was so if it is bad: a question had no answer from then on. Time never
    /// goes back; an event that comes late counts as of now.
    pub fn on_since(&mut self, event: Event, since: Instant, now: Instant) -> Outcome {
        let since = self.good_at.map_or(since, |good| since.max(good)).min(now);
        let mut outcome = Outcome::default();
        match event {
            Event::ProbeOk | Event::AttemptOk => {
                self.fresh = Some(true);
                if event == Event::AttemptOk && self.kept.is_some() {
                    self.kept = Some(true);
                }
                self.kept_lost = None;
                self.attempting = false;
                self.suspended = false;
                outcome.recovered = self.good_query(now);
            }
            Event::ProbeFailed | Event::AttemptFailed => {
                self.fresh = Some(false);
                self.attempting = false;
            }
            Event::AttemptStarted => self.attempting = true,
            Event::KeptOk => {
                self.kept = Some(true);
                self.kept_lost = None;
                outcome.recovered = self.good_query(now);
            }
            Event::KeptLost => {
                self.kept = Some(false);
                self.kept_lost = self.kept_lost.or(Some(Marked::at(since)));
                self.loss_seen = self.loss_seen.or(Some(Marked::at(now)));
            }
            Event::CircuitOpened => self.suspended = true,
            Event::CircuitClosed => self.suspended = false,
            Event::Disabled => {
                *self = Machine {
                    disabled: true,
                    state: self.state,
                    outage: self.outage,
                    downtime: self.downtime,
                    taken: self.taken,
                    good_at: Some(now),
                    ..Machine::new(self.down_after)
                };
            }
            Event::Enabled => (self.disabled, self.good_at) = (false, Some(now)),
            Event::Stalled(stalled) => {
                for mark in [&mut self.outage, &mut self.kept_lost, &mut self.loss_seen].into_iter().flatten() {
                    mark.stall(stalled, now);
                }
                self.good_at = Some(now);
            }
            Event::Tick => {}
        }
        if self.is_out() {
            self.begin_outage(since, now);
        } else {
            outcome.outage_ended = self.end_outage(now);
        }
        let state = self.follow(now);
        if state != self.state {
            outcome.changed = Some((self.state, state));
            self.state = state;
        }
        outcome
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// When the present outage began.
    pub fn outage_start(&self) -> Option<Instant> {
        self.outage.map(|outage| outage.at)
    }

    /// The time without a usable connection so far, the present outage's included. It never goes back, if a stall is
    /// told before the time is asked.
    pub fn downtime(&self, now: Instant) -> Duration {
        self.downtime + self.outage.map_or(Duration::ZERO, |outage| outage.elapsed(now))
    }

    /// The downtime since this was last asked, for a counter.
    pub fn take_downtime(&mut self, now: Instant) -> Duration {
        let all = self.downtime(now);
        let new = all.saturating_sub(self.taken);
        self.taken += new;
        new
    }

    /// When the state changes by itself, if nothing else happens: a `Tick` is due then.
    pub fn next_change(&self) -> Option<Instant> {
        let outage = self.outage.filter(|_| !self.disabled && self.state != State::Down)?;
        outage.at.checked_add(outage.stalled.saturating_add(self.down_after))
    }

    fn follow(&self, now: Instant) -> State {
        if self.disabled {
            return State::Disabled;
        }
        match (self.fresh, self.kept) {
            (Some(true), Some(false)) | (Some(false), Some(true)) => return State::Degraded,
            (Some(true), _) | (None, Some(true)) => return State::Connected,
            (Some(false), _) | (None, _) => {}
        }
        if self.suspended || self.outage.is_some_and(|outage| outage.elapsed(now) >= self.down_after) {
            return State::Down;
        }
        if self.attempting || self.fresh.is_none() { State::Reconnecting } else { State::Backoff }
    }

    /// Nothing is of use, and that is known and not only not tried yet.
    fn is_out(&self) -> bool {
        let of_use = self.fresh == Some(true) || self.kept == Some(true);
        let known = self.fresh.is_some() || self.kept.is_some();
        known && !of_use && !self.disabled
    }

    fn begin_outage(&mut self, since: Instant, now: Instant) {
        if self.outage.is_some() {
            return;
        }
        self.outage = Some(self.kept_lost.unwrap_or_else(|| Marked::at(since)));
        self.loss_seen = self.loss_seen.or(Some(Marked::at(now)));
    }

    fn end_outage(&mut self, now: Instant) -> Option<Duration> {
        let lasted = self.outage.take()?.elapsed(now);
        self.downtime += lasted;
        Some(lasted)
    }

    fn good_query(&mut self, now: Instant) -> Option<Duration> {
        self.good_at = Some(now);
        Some(self.loss_seen.take()?.elapsed(now))
    }
}

/// The live instruments of one target's state.
#[derive(Clone, Debug)]
pub struct StateInstruments {
    state: GaugeVec,
    changes: IntCounterVec,
    recovery: Histogram,
    outage_start: Gauge,
    downtime: Counter,
}

impl StateInstruments {
    /// Closed sets stand at 0.
    pub fn new(all: &Instruments) -> StateInstruments {
        let instruments = StateInstruments {
            state: all.gauges(&STATE),
            changes: all.counters(&STATE_CHANGES),
            recovery: all.histogram(&RECOVERY_DURATION),
            outage_start: all.gauge(&OUTAGE_START),
            downtime: all.seconds_counter(&DOWNTIME),
        };
        for state in State::ALL {
            instruments.changes.with_label_values(&[state.label()]);
        }
        instruments.show_state(State::Reconnecting);
        instruments
    }

    /// What an event led to.
    pub fn happened(&self, outcome: &Outcome) {
        if let Some((_, entered)) = outcome.changed {
            self.changes.with_label_values(&[entered.label()]).inc();
            self.show_state(entered);
        }
        if let Some(took) = outcome.recovered {
            self.recovery.observe(took.as_secs_f64());
        }
    }

    /// How it stands now; `unix_now` is the system's clock, in seconds since 1970.
    pub fn show(&self, machine: &mut Machine, now: Instant, unix_now: f64) {
        self.show_state(machine.state());
        let began = |start: Instant| unix_now - now.saturating_duration_since(start).as_secs_f64();
        self.outage_start.set(machine.outage_start().map_or(0.0, began));
        self.downtime.inc_by(machine.take_downtime(now).as_secs_f64());
    }

    fn show_state(&self, now: State) {
        for state in State::ALL {
            self.state.with_label_values(&[state.label()]).set(f64::from(state == now));
        }
    }
}

#[cfg(test)]
mod tests;
