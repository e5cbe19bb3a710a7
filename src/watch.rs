//! One task a target, and what it learns.
//!
//! `start` gives every target its place on the board, its instruments and its budget, and keeps its task alive: a
//! task that dies of a defect is counted, logged and started anew, and the others do not notice.

pub mod snapshot;
pub mod board;
pub mod clock;
mod stall;
pub mod events;
pub mod circuit;
pub mod backoff;
pub mod state;
pub mod recovery;
pub mod loss;
pub mod standing;
pub mod ladder;
mod patience;
pub mod pools;
pub mod agenda;
pub mod door;
pub mod target;
pub mod probe;
mod exercise;
mod history;
mod evidence;
mod desk;
mod view;
pub mod families;
pub mod headroom;
mod canaries;
mod keeper;
mod idle;
mod outage;
mod collection;
mod rounds;
mod walks;
mod shelf;
mod told;
mod seat;
mod entry;
mod doorkeeper;
pub mod visits;
mod task;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tracing::error;

use self::board::{Board, Slot};
use self::collection::Found;
use self::events::Events;
use self::families::TargetInstruments;
use self::keeper::Keeper;
use self::pools::Pools;
use self::pools::families::PoolInstruments;
use self::recovery::Recovery;
use self::rounds::Place;
use self::seat::Seat;
use self::shelf::Shelf;
use self::snapshot::Snapshot;
use self::stall::Stalls;
use self::target::Target;
use self::visits::{Rules, Visits};
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
    events: Events,
    stalls: Stalls,
    keeper: Option<Keeper>,
    visits: Visits,
}

/// What all targets share, as configured.
#[derive(Clone, Debug)]
pub struct Common {
    /// Where what is learned is kept for the next start; nowhere if none.
    pub state_directory: Option<PathBuf>,
    /// How many events are kept.
    pub events: usize,
}

impl Watch {
    /// Gives every target its place. Nothing runs yet.
    pub fn new(targets: Vec<Arc<Target>>, rules: Rules, common: &Common, shutdown: &watch::Receiver<bool>) -> Watch {
        let of = targets.len();
        let (events, stalls) = (Events::keeping(common.events), Stalls::new());
        let is_configured = |name: &str| targets.iter().any(|target| target.name == name);
        let keeper = common.state_directory.as_deref().map(|directory| Keeper::open(directory, is_configured));
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
                instruments.declare_collector(&format!("collect.{}", collector.name), target.pace(collector));
            }
            let of_pools = PoolInstruments::new(instruments.all());
            let pools = Pools::new(&target.pools, &target.access, &target.tls, &budget, of_pools);
            let shelf = Shelf::new(Recovery::new(target.manner, instruments.all()));
            let slot = Arc::new(Slot::new(&target.name, target.label.clone(), snapshot));
            let place = Place { place, of };
            Seat {
                name: target.name.as_str().into(),
                found: Found::default(),
                target,
                slot,
                instruments,
                budget,
                pools,
                shelf,
                place,
                events: events.clone(),
                stalls: stalls.clone(),
                keeper: keeper.clone(),
                shutdown: shutdown.clone(),
            }
        };
        let seats: Vec<Seat> = targets.into_iter().enumerate().map(seat).collect();
        let board = Arc::new(Board::new(seats.iter().map(|seat| seat.slot.clone()).collect()));
        let visits = Visits::new(rules, &seats, shutdown.clone());
        Watch { board, seats, events, stalls, keeper, visits }
    }

    /// What happens to the targets.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Collections at scrape time.
    pub fn visits(&self) -> &Visits {
        &self.visits
    }

    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Watches until shutdown; returns when the last task has left its connections.
    pub async fn run(self) {
        let Watch { seats, stalls, keeper, visits, .. } = self;
        let beside = {
            let keeper = keeper.clone();
            async move {
                let keeping = async {
                    match &keeper {
                        Some(keeper) => keeper.run().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::join!(stalls.run(), keeping)
            }
        };
        tokio::select! {
            () = watch(seats) => {}
            _ = beside => {}
        }
        visits.close().await;
        if let Some(keeper) = keeper {
            keeper.store().await;
        }
    }
}

/// Keeps the task of every target alive until shutdown.
async fn watch(all: Vec<Seat>) {
    let mut tasks = JoinSet::new();
    let mut seats: HashMap<Id, Seat> = HashMap::new();
    for seat in all {
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
