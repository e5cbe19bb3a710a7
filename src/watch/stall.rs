//! By how much our own timers were late: a process that was stopped or starved, a machine that was suspended.
//!
//! What such a process saw of a server meanwhile is worth nothing. One ticker for the whole program measures it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(250);

/// Timers are late by less than this on any busy machine.
const WORTH_KEEPING: Duration = Duration::from_millis(250);

const KEPT: usize = 64;

/// The latest times at which we did not run.
#[derive(Clone, Debug)]
pub(super) struct Stalls(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The ticker runs; without it nothing is measured.
    ticks: bool,
    last_tick: Instant,
    suspended: Duration,
    stalls: VecDeque<Stall>,
}

/// A while in which we did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) late: Duration,
    /// Of that, what no clock of ours but the one of the machine's boot has seen.
    pub(super) suspended: Duration,
}

impl Stalls {
    pub(super) fn new() -> Stalls {
        Stalls(Arc::new(Mutex::new(State {
            ticks: false,
            last_tick: Instant::now(),
            suspended: suspended(),
            stalls: VecDeque::new(),
        })))
    }

    /// Measures until it is dropped.
    pub(super) async fn run(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.state().ticked(Instant::now(), suspended());
        }
    }

    /// The worst lateness in a while that ended just now, or shortly before.
    pub(super) fn worst_between(&self, from: Instant, to: Instant) -> Duration {
        let mut state = self.state();
        state.catch_up(Instant::now(), suspended());
        state.between(from, to).map(|stall| stall.late).max().unwrap_or_default()
    }

    /// The longest suspension of the machine in a while.
    pub(super) fn suspended_between(&self, from: Instant, to: Instant) -> Duration {
        let mut state = self.state();
        state.catch_up(Instant::now(), suspended());
        state.between(from, to).map(|stall| stall.suspended).max().unwrap_or_default()
    }

    /// Stalls that ended after a moment, oldest first.
    pub(super) fn since(&self, moment: Instant) -> Vec<Stall> {
        let mut state = self.state();
        state.catch_up(Instant::now(), suspended());
        state.stalls.iter().filter(|stall| stall.to > moment).copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ticked(&mut self, now: Instant, suspended: Duration) {
        self.catch_up(now, suspended);
        (self.ticks, self.last_tick) = (true, now);
    }

    /// Whoever is woken first after a stall sees it, not only the ticker.
    fn catch_up(&mut self, now: Instant, suspended: Duration) {
        let asleep = suspended.saturating_sub(self.suspended);
        let late = now.saturating_duration_since(self.last_tick + TICK) + asleep;
        self.suspended = suspended;
        if !self.ticks || late < WORTH_KEEPING {
            return;
        }
        if self.stalls.len() >= KEPT {
            self.stalls.pop_front();
        }
        self.stalls.push_back(Stall { from: self.last_tick, to: now, late, suspended: asleep });
        self.last_tick = now;
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Stall> {
        self.stalls.iter().filter(move |stall| stall.to >= from && stall.from <= to)
    }
}

/// For how long this machine has been suspended since it was started.
fn suspended() -> Duration {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call only writes the struct that it is given.
        match unsafe { libc::clock_gettime(clock, &mut time) } {
            0 => Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)),
            // A system without such a clock: no suspension is seen.
            _ => Duration::ZERO,
        }
    };
    let (running, since_boot) = (read(libc::CLOCK_MONOTONIC), read(libc::CLOCK_BOOTTIME));
    // The two are read one after the other.
    let apart = since_boot.saturating_sub(running);
    if apart < Duration::from_millis(100) { Duration::ZERO } else { apart }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_while_without_ticks_is_a_stall_for_what_overlaps_it() {
        let zero = Instant::now();
        let mut state = State { ticks: false, last_tick: zero, suspended: Duration::ZERO, stalls: VecDeque::new() };
        state.ticked(zero + SECOND * 9, Duration::ZERO);
        assert!(state.stalls.is_empty(), "before the first tick nothing was measured");
        for quarter in 1..=4 {
            state.ticked(zero + SECOND * 9 + TICK * quarter, Duration::ZERO);
        }
        assert!(state.stalls.is_empty());
        // Stopped from 10 s to 15 s; somebody else wakes first.
        state.catch_up(zero + SECOND * 15, Duration::ZERO);
        state.ticked(zero + SECOND * 15, Duration::ZERO);
        let worst =
            |from: u32, to: u32| state.between(zero + SECOND * from, zero + SECOND * to).map(|stall| stall.late).max();
        assert_eq!(worst(12, 13), Some(SECOND * 5 - TICK));
        assert_eq!((worst(0, 9), worst(16, 20)), (None, None));
        assert_eq!(state.stalls.len(), 1, "told once");
    }

    #[test]
    fn a_suspended_machine_was_late_although_its_clock_stood_still() {
        let zero = Instant::now();
        let mut state = State { ticks: true, last_tick: zero, suspended: SECOND, stalls: VecDeque::new() };
        state.ticked(zero + TICK, SECOND * 3601);
        let stall = state.stalls.back().expect("seen");
        assert_eq!((stall.late, stall.suspended), (SECOND * 3600, SECOND * 3600));
        state.ticked(zero + TICK * 2, SECOND * 3601);
        assert_eq!(state.stalls.len(), 1);
    }
}
