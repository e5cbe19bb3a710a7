//! What a task is given; it can be given again to a new task when this one died of a defect.

use std::sync::Arc;

use tokio::sync::watch;

use super::board::Slot;
use super::collection::Found;
use super::events::{Events, What};
use super::families::TargetInstruments;
use super::idle::Idle;
use super::keeper::Keeper;
use super::pools::Pools;
use super::rounds::Place;
use super::shelf::Shelf;
use super::stall::Stalls;
use super::target::Target;
use crate::mysql::budget::Budget;

/// Everything of one target that outlives its task.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) target: Arc<Target>,
    pub(super) name: Arc<str>,
    pub(super) slot: Arc<Slot>,
    pub(super) instruments: TargetInstruments,
    pub(super) budget: Budget,
    pub(super) pools: Pools,
    pub(super) shelf: Shelf,
    pub(super) place: Place,
    pub(super) events: Events,
    /// What was found out about the server, for its collectors.
    pub(super) found: Found,
    pub(super) stalls: Stalls,
    pub(super) keeper: Option<Keeper>,
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Seat {
    pub(super) fn tell(&self, what: What) {
        self.events.tell(&self.name, what, 1);
    }

    /// Several that say the same.
    pub(super) fn tell_times(&self, what: What, times: u64) {
        self.events.tell(&self.name, what, times);
    }

    /// A ladder that begins with what was learned before.
    pub(super) fn idle(&self) -> Idle {
        let (gate, inbox) = (self.pools.gate(), self.pools.inbox());
        let instruments = self.instruments.idle.clone();
        Idle::new(&self.target, &self.budget, gate, inbox, instruments, self.keeper.clone())
    }
}
