//! Stories of connections, second by second.

use std::sync::Arc;

use super::Event::*;
use super::*;
use crate::metrics::{BlockBuilder, Format, write};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A machine, and the time it is told.
struct Story {
    machine: Machine,
    zero: Instant,
    at: f64,
    outcomes: Vec<Outcome>,
}

impl Story {
    fn new() -> Story {
        Story { machine: Machine::default(), zero: Instant::now(), at: 0.0, outcomes: Vec::new() }
    }

    /// A story of a target that has been well for ten seconds.
    fn of_a_good_day() -> Story {
        let mut story = Story::new();
        story.then(5.0, ProbeOk, State::Connected);
        story.then(10.0, KeptOk, State::Connected);
        story
    }

    #[track_caller]
    fn then(&mut self, at: f64, event: Event, state: State) -> Outcome {
        assert!(at >= self.at, "stories are told in order");
        self.at = at;
        let outcome = self.machine.on(event, self.now());
        assert_eq!(self.machine.state(), state, "after {event:?} at {at}");
        self.outcomes.push(outcome);
        outcome
    }

    fn now(&self) -> Instant {
        self.zero + seconds(self.at)
    }

    fn downtime(&self) -> f64 {
        self.machine.downtime(self.now()).as_secs_f64()
    }

    fn outage_start(&self) -> Option<f64> {
        self.machine.outage_start().map(|start| (start - self.zero).as_secs_f64())
    }
}

#[test]
fn a_server_that_is_stopped_and_started() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(20.5, AttemptStarted, State::Degraded);
    story.then(20.6, AttemptFailed, State::Backoff);
    // The probe before the loss says nothing of after it.
    assert_eq!(story.outage_start(), Some(20.0));
    story.then(22.0, AttemptStarted, State::Reconnecting);
    story.then(22.1, AttemptFailed, State::Backoff);
    story.then(25.0, ProbeFailed, State::Backoff);
    assert_eq!(story.downtime(), 5.0);
    story.then(40.0, AttemptStarted, State::Reconnecting);
    let back = story.then(40.5, AttemptOk, State::Connected);
    assert_eq!((back.recovered, back.outage_ended), (Some(seconds(20.5)), Some(seconds(20.5))));
    assert_eq!((story.outage_start(), story.downtime()), (None, 20.5));
    let later = story.then(55.0, ProbeOk, State::Connected);
    assert_eq!(later, Outcome::default());
    assert_eq!(story.downtime(), 20.5);
}

#[test]
fn what_got_no_answer_was_of_no_use_from_when_it_asked() {
    let frozen = |good_at: Option<f64>| {
        let mut story = Story::of_a_good_day();
        let at = |second: f64| story.zero + seconds(second);
        let (asked, lost, connecting, failed, back) = (at(20.0), at(25.0), at(23.0), at(33.0), at(40.0));
        if let Some(good_at) = good_at {
            story.machine.on(ProbeOk, at(good_at));
        }
        story.machine.on_since(KeptLost, asked, lost);
        story.machine.on_since(ProbeFailed, connecting, failed);
        let ended = story.machine.on(ProbeOk, back);
        (story.machine.downtime(back), ended.outage_ended, ended.recovered)
    };
    // From the first question; the recovery is from when the loss was seen.
    assert_eq!(frozen(None), (seconds(20.0), Some(seconds(20.0)), Some(seconds(15.0))));
    // Something got in while that one waited.
    assert_eq!(frozen(Some(22.0)), (seconds(18.0), Some(seconds(18.0)), Some(seconds(15.0))));

    // Nothing is kept: from the first login that failed.
    let mut story = Story::new();
    story.then(5.0, ProbeOk, State::Connected);
    let (began, failed) = (story.zero + seconds(20.0), story.zero + seconds(30.0));
    story.machine.on_since(ProbeFailed, began, failed);
    assert_eq!(story.outage_start(), Some(20.0));

    // The question was asked before we slept.
    let mut story = Story::of_a_good_day();
    story.then(3630.0, Stalled(seconds(3600.0)), State::Connected);
    let (asked, lost) = (story.zero + seconds(25.0), story.zero + seconds(3631.0));
    story.machine.on_since(KeptLost, asked, lost);
    story.machine.on_since(AttemptFailed, lost, lost);
    assert_eq!((story.outage_start(), story.machine.downtime(lost)), (Some(3630.0), seconds(1.0)));
}

#[test]
fn a_single_loss_that_is_replaced_at_once_is_a_recovery_and_no_outage() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(20.3, AttemptStarted, State::Degraded);
    let back = story.then(20.4, AttemptOk, State::Connected);
    assert_eq!((back.recovered, back.outage_ended), (Some(seconds(0.4)), None));
    assert_eq!(story.downtime(), 0.0);
}

#[test]
fn a_full_server_that_answers_the_kept_session_is_degraded() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, ProbeFailed, State::Degraded);
    story.then(35.0, ProbeFailed, State::Degraded);
    story.then(36.0, KeptOk, State::Degraded);
    assert_eq!((story.outage_start(), story.downtime()), (None, 0.0));
    // Now the session is gone too: nothing is of use from here, not from the first failed probe.
    story.then(40.0, KeptLost, State::Backoff);
    assert_eq!(story.outage_start(), Some(40.0));
    let back = story.then(50.0, ProbeOk, State::Degraded);
    assert_eq!(back.recovered, Some(seconds(10.0)));
    story.then(51.0, KeptOk, State::Connected);
    assert_eq!(story.downtime(), 10.0);
}

#[test]
fn a_pool_that_loses_while_the_probe_is_fine_is_degraded() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(25.0, ProbeOk, State::Degraded);
    story.then(40.0, ProbeOk, State::Degraded);
    // A probe was good since the loss: the outage begins here.
    story.then(55.0, ProbeFailed, State::Backoff);
    assert_eq!(story.outage_start(), Some(55.0));
}

#[test]
fn a_target_without_kept_connections_stands_as_its_probe_does() {
    let mut story = Story::new();
    assert_eq!(story.machine.state(), State::Reconnecting);
    story.then(1.0, ProbeOk, State::Connected);
    story.then(16.0, ProbeFailed, State::Backoff);
    let back = story.then(31.0, ProbeOk, State::Connected);
    assert_eq!((back.recovered, story.downtime()), (Some(seconds(15.0)), 15.0));
}

#[test]
fn a_server_that_was_never_there_is_down_from_the_first_failure() {
    let mut story = Story::new();
    story.then(0.0, AttemptStarted, State::Reconnecting);
    assert_eq!(story.downtime(), 0.0);
    story.then(3.0, AttemptFailed, State::Backoff);
    story.then(10.0, AttemptStarted, State::Reconnecting);
    assert_eq!((story.outage_start(), story.downtime()), (Some(3.0), 7.0));
}

#[test]
fn after_a_minute_it_is_down_until_a_good_query() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(20.0, AttemptFailed, State::Backoff);
    assert_eq!(story.machine.next_change().map(|at| at - story.zero), Some(seconds(80.0)));
    story.then(79.9, Tick, State::Backoff);
    story.then(80.0, Tick, State::Down);
    assert_eq!(story.machine.next_change(), None);
    story.then(90.0, AttemptStarted, State::Down);
    story.then(90.1, AttemptFailed, State::Down);
    story.then(100.0, AttemptStarted, State::Down);
    let back = story.then(100.1, AttemptOk, State::Connected);
    assert_eq!(back.changed, Some((State::Down, State::Connected)));
    assert_eq!(story.machine.next_change(), None);
}

#[test]
fn an_open_circuit_is_down_at_once_unless_something_still_answers() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, ProbeFailed, State::Degraded);
    story.then(20.0, CircuitOpened, State::Degraded);
    story.then(30.0, KeptLost, State::Down);
    story.then(35.0, CircuitClosed, State::Backoff);
    story.then(36.0, CircuitOpened, State::Down);
    // The gentle attempt gets in.
    story.then(50.0, ProbeOk, State::Degraded);
    story.then(51.0, KeptOk, State::Connected);
    story.then(60.0, KeptLost, State::Degraded);
    story.then(61.0, ProbeFailed, State::Backoff);
}

#[test]
fn a_target_that_is_switched_off_counts_nothing_and_starts_anew() {
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(20.0, AttemptFailed, State::Backoff);
    let off = story.then(30.0, Disabled, State::Disabled);
    assert_eq!(off.outage_ended, Some(seconds(10.0)));
    for event in [ProbeFailed, KeptLost, CircuitOpened, Tick, Stalled(seconds(3.0))] {
        story.then(40.0, event, State::Disabled);
    }
    assert_eq!((story.outage_start(), story.downtime()), (None, 10.0));
    story.then(50.0, Disabled, State::Disabled);
    story.then(60.0, Enabled, State::Reconnecting);
    let on = story.then(61.0, ProbeOk, State::Connected);
    assert_eq!((on.recovered, story.downtime()), (None, 10.0));
}

#[test]
fn a_flapping_server_is_accounted_for_to_the_second() {
    let mut story = Story::of_a_good_day();
    let mut entered_backoff = 0;
    for round in 0..20 {
        let began = 20.0 + 3.0 * f64::from(round);
        story.then(began, KeptLost, State::Degraded);
        let failed = story.then(began + 0.25, AttemptFailed, State::Backoff);
        entered_backoff += u32::from(failed.changed.is_some());
        let back = story.then(began + 1.0, AttemptOk, State::Connected);
        assert_eq!(back.recovered, Some(seconds(1.0)));
    }
    assert_eq!((story.downtime(), entered_backoff), (20.0, 20));
    let changes = story.outcomes.iter().filter(|outcome| outcome.changed.is_some()).count();
    assert_eq!(changes, 1 + 3 * 20);
}

#[test]
fn a_suspended_machine_was_not_down_while_it_slept() {
    // It slept while all was well: the losses it finds are new.
    let mut story = Story::of_a_good_day();
    story.then(3610.0, Stalled(seconds(3595.0)), State::Connected);
    story.then(3610.0, KeptLost, State::Degraded);
    let back = story.then(3611.0, AttemptOk, State::Connected);
    assert_eq!((back.recovered, story.downtime()), (Some(seconds(1.0)), 0.0));

    // It slept in the midst of an outage.
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(21.0, AttemptFailed, State::Backoff);
    story.then(3630.0, Stalled(seconds(3600.0)), State::Backoff);
    assert_eq!((story.downtime(), story.outage_start()), (10.0, Some(20.0)));
    assert_eq!(story.machine.next_change().map(|at| at - story.zero), Some(seconds(3680.0)));
    let back = story.then(3635.0, AttemptOk, State::Connected);
    assert_eq!((back.recovered, back.outage_ended), (Some(seconds(15.0)), Some(seconds(15.0))));

    // More sleep than there was time takes nothing from before.
    let mut story = Story::of_a_good_day();
    story.then(20.0, KeptLost, State::Degraded);
    story.then(20.0, AttemptFailed, State::Backoff);
    story.then(22.0, Stalled(seconds(9999.0)), State::Backoff);
    story.then(24.0, AttemptOk, State::Connected);
    assert_eq!(story.downtime(), 2.0);
}

#[test]
fn whatever_comes_there_is_one_state_and_downtime_only_grows() {
    let events = [
        ProbeOk,
        ProbeFailed,
        AttemptStarted,
        AttemptOk,
        AttemptFailed,
        KeptOk,
        KeptLost,
        CircuitOpened,
        CircuitClosed,
        Disabled,
        Enabled,
        Tick,
    ];
    let mut random = fastrand::Rng::with_seed(1);
    let mut entered = [0; State::ALL.len()];
    for _ in 0..500 {
        let mut machine = Machine::new(seconds(5.0));
        let (mut now, mut before) = (Instant::now(), Duration::ZERO);
        for _ in 0..200 {
            let step = seconds(random.f64() * 2.0);
            now += step;
            // A stall is of the time since the last event.
            let stalled = random.u8(..10) == 0;
            let event = if stalled { Stalled(step) } else { events[random.usize(..events.len())] };
            let was = machine.state();
            let since = now.checked_sub(seconds(random.f64() * 9.0)).unwrap_or(now);
            let outcome = machine.on_since(event, since, now);
            assert_eq!(outcome.changed, (was != machine.state()).then_some((was, machine.state())));
            entered[machine.state() as usize] += 1;
            let downtime = machine.downtime(now);
            assert!(downtime >= before, "{event:?}: {before:?} then {downtime:?}");
            before = downtime;
            let is_out = machine.outage_start().is_some();
            match machine.state() {
                State::Connected | State::Degraded | State::Disabled => assert!(!is_out),
                State::Backoff => assert!(is_out),
                State::Reconnecting | State::Down => {}
            }
        }
    }
    assert!(entered.iter().all(|times| *times > 0), "{entered:?}");
}

#[test]
fn the_state_set_has_one_and_the_counters_never_fall() {
    let all = Instruments::default();
    let instruments = StateInstruments::new(&all);
    let shown = |name: &str| {
        let mut out = BlockBuilder::new(None);
        all.write(&mut out);
        let text = write(&[Arc::new(out.finish())], Format::Text);
        let lines = text.lines().filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
        lines.map(|line| line[name.len()..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown("mysql_conn_state{"), ["state=\"reconnecting\"} 1"]);
    let mut story = Story::of_a_good_day();
    for outcome in story.outcomes.clone() {
        instruments.happened(&outcome);
    }
    instruments.happened(&story.then(20.0, KeptLost, State::Degraded));
    instruments.happened(&story.then(20.5, AttemptFailed, State::Backoff));
    instruments.show(&mut story.machine, story.zero + seconds(25.0), 1000.0);
    assert_eq!(shown("mysql_conn_state{"), ["state=\"backoff\"} 1"]);
    assert_eq!(shown("mysql_conn_outage_start_timestamp_seconds"), [" 995"]);
    assert_eq!(shown("mysql_conn_downtime_seconds_total"), [" 5"]);
    instruments.happened(&story.then(25.0, AttemptOk, State::Connected));
    instruments.show(&mut story.machine, story.zero + seconds(25.0), 1000.0);
    assert_eq!(shown("mysql_conn_outage_start_timestamp_seconds"), Vec::<String>::new());
    assert_eq!(shown("mysql_conn_recovery_duration_seconds_sum"), [" 5"]);
    // A new machine, as when the target's task is started anew.
    instruments.show(&mut Machine::default(), story.now(), 1000.0);
    assert_eq!(shown("mysql_conn_downtime_seconds_total"), [" 5"]);
    assert_eq!(shown("mysql_conn_state_changes_total{").len(), 3);
}
