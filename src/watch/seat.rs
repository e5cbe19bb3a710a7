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
use super::pools::families::PoolInstruments;
use super::recovery::Recovery;
use super::rounds::Place;
use super::shelf::Shelf;
use super::stall::Stalls;
use super::target::Target;
use crate::mysql::budget::{Budget, Purpose};

/// What all targets have together.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) events: Events,
    pub(super) stalls: Stalls,
    pub(super) keeper: Keeper,
}

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
    pub(super) keeper: Keeper,
    /// When this target is to be left.
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Seat {
    /// A place for a target that nobody has watched before.
    pub(super) fn new(target: Arc<Target>, place: Place, shared: &Shared, shutdown: watch::Receiver<bool>) -> Seat {
        let snapshot = target.unknown();
        let budget = Budget::reserving(target.connections, &[Purpose::Probe, Purpose::Evidence]);
        let instruments = TargetInstruments::new(target.every, budget.clone());
        for collector in &target.collectors {
            instruments.declare_collector(&format!("collect.{}", collector.name), target.pace(collector));
        }
        for query in &target.queries {
            instruments.declare_collector(&query.label(), target.pace_of(query));
        }
        let of_pools = PoolInstruments::new(instruments.all());
        let pools = Pools::new(&target.pools, &target.access, &target.tls, &budget, of_pools);
        let shelf = Shelf::new(Recovery::new(target.manner, instruments.all()));
        Seat {
            name: target.name.as_str().into(),
            found: Found::default(),
            slot: Arc::new(Slot::new(&target.name, target.label.clone(), snapshot)),
            target,
            instruments,
            budget,
            pools,
            shelf,
            place,
            events: shared.events.clone(),
            stalls: shared.stalls.clone(),
            keeper: shared.keeper.clone(),
            shutdown,
        }
    }

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
