//! One task a target, and what it learns.
//!
//! `crew` gives every target its place on the board, its instruments and its budget, and keeps its task alive: a
//! task that dies of a defect is counted, logged and started anew, and the others do not notice. A reload exchanges the
//! targets that it changes, and leaves the rest alone.

pub mod finding;
pub mod hour;
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
mod errand;
pub mod pools;
pub mod snapshot;
pub mod board;
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
mod queries;
mod shelf;
mod told;
mod seat;
mod lanes;
mod way;
mod entry;
mod doorkeeper;
pub mod visits;
pub mod look;
mod task;
mod crew;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use self::board::Board;
use self::crew::Crew;
use self::events::Events;
use self::keeper::Keeper;
use self::seat::Shared;
use self::stall::Stalls;
use self::target::Target;
use self::visits::{Rules, Visits};
use crate::metrics::Family;

pub use crew::{Changed, Changes};

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

/// The watch over all targets.
#[derive(Debug)]
pub struct Watch {
    crew: Crew,
    shutdown: watch::Receiver<bool>,
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
        let is_configured = |name: &str| targets.iter().any(|target| target.name == name);
        let keeper = match &common.state_directory {
            Some(directory) => Keeper::open(directory, is_configured),
            None => Keeper::forgetful(),
        };
        let shared = Shared { events: Events::keeping(common.events), stalls: Stalls::new(), keeper };
        Watch { crew: Crew::new(targets, rules, shared, shutdown), shutdown: shutdown.clone() }
    }

    /// What happens to the targets.
    pub fn events(&self) -> &Events {
        &self.crew.shared().events
    }

    /// Collections at scrape time.
    pub fn visits(&self) -> &Visits {
        self.crew.visits()
    }

    pub fn board(&self) -> &Arc<Board> {
        self.crew.board()
    }

    /// By which other targets take the place of these.
    pub fn changes(&self) -> Changes {
        self.crew.changes()
    }

    /// Watches until shutdown; returns when the last task has left its connections.
    pub async fn run(self) {
        let Watch { crew, shutdown } = self;
        let Shared { stalls, keeper, .. } = crew.shared().clone();
        let visits = crew.visits().clone();
        tokio::select! {
            () = crew.run(shutdown) => {}
            _ = async { tokio::join!(stalls.run(), keeper.run()) } => {}
        }
        visits.close().await;
        keeper.store().await;
    }
}
