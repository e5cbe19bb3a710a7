//! One task a target, and what it learns.
//!
//! `start` gives every target its place on the board, its instruments and its budget, and keeps its task alive: a
//! task that dies of a defect is counted, logged and started anew, and the others do not notice.

pub mod snapshot;
pub mod board;
pub mod clock;
pub mod circuit;
pub mod backoff;
pub mod state;
pub mod recovery;
pub mod loss;
pub mod standing;
pub mod ladder;
mod patience;
pub mod pools;
pub mod target;
pub mod probe;
mod exercise;
mod history;
mod evidence;
mod desk;
pub mod families;
pub mod headroom;
mod canaries;
mod outage;
mod collection;
mod rounds;
mod shelf;
mod told;
mod task;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tracing::error;

use self::board::{Board, Slot};
use self::families::TargetInstruments;
use self::pools::Pools;
use self::pools::families::PoolInstruments;
use self::recovery::Recovery;
use self::rounds::Place;
use self::shelf::Shelf;
use self::snapshot::Snapshot;
use self::target::Target;
use self::task::Seat;
use crate::metrics::Family;
use crate::mysql::budget::{Budget, Purpose};

/// Every family of this room, by the file that declares them.
pub static FAMILIES: &[&[&Family]] = &[
    families::FAMILIES,
    pools::families::FAMILIES,
    state::FAMILIES,
    backoff::FAMILIES,
    loss::families::FAMILIES,
    ladder::families::FAMILIES,
    headroom::FAMILIES,
    board::FAMILIES,
];

/// A task that dies at once, again and again, is not started more often than this.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The watch over all targets.
#[derive(Debug)]
pub struct Watch {
    board: Arc<Board>,
    seats: Vec<Seat>,
}

impl Watch {
    /// Gives every target its place. Nothing runs yet.
    pub fn new(targets: Vec<Arc<Target>>, shutdown: &watch::Receiver<bool>) -> Watch {
        let of = targets.len();
        let seat = |(place, target): (usize, Arc<Target>)| {
            let snapshot = Snapshot {
                address: target.access.endpoint.to_string(),
                required: target.required,
                every: target.every,
                ..Snapshot::default()
            };
            let budget = Budget::reserving(target.connections, &[Purpose::Probe, Purpose::Evidence]);
            let instruments = TargetInstruments::new(target.every, budget.clone());
            for collector in &target.collectors {
                instruments.declare_collector(&format!("collect.{}", collector.name), target.every);
            }
            let of_pools = PoolInstruments::new(instruments.all());
            let pools = Pools::new(&target.pools, &target.access, &target.tls, &budget, of_pools);
            let shelf = Shelf::new(Recovery::new(target.manner, instruments.all()));
            let slot = Arc::new(Slot::new(&target.name, target.label.clone(), snapshot));
            let place = Place { place, of };
            Seat { target, slot, instruments, budget, pools, shelf, place, shutdown: shutdown.clone() }
        };
        let seats: Vec<Seat> = targets.into_iter().enumerate().map(seat).collect();
        let board = Arc::new(Board::new(seats.iter().map(|seat| seat.slot.clone()).collect()));
        Watch { board, seats }
    }

    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Watches until shutdown; returns when the last task has left its connections.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let mut seats: HashMap<Id, Seat> = HashMap::new();
        for seat in self.seats {
            let id = tasks.spawn(task::run(seat.clone())).id();
            seats.insert(id, seat);
        }
        while let Some(ended) = tasks.join_next_with_id().await {
            let Err(died) = ended else { continue };
            let Some(seat) = seats.remove(&died.id()) else { continue };
            if *seat.shutdown.borrow() {
                continue;
            }
            error!(target = %seat.target.name, defect = %died, "the task of a target died and is started anew");
            seat.instruments.restarted();
            let again = seat.clone();
            let id = tasks
                .spawn(async move {
                    tokio::time::sleep(RESTART_PAUSE).await;
                    task::run(again).await;
                })
                .id();
            seats.insert(id, seat);
        }
    }
}
