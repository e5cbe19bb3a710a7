//! What every request is answered from.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::Answers;
use super::families::Counters;
use super::guard::Guard;
use super::places::Places;
use super::process::Process;
use crate::metrics::{Block, BlockBuilder};
use crate::watch::board::Board;
use crate::watch::events::Events;
use crate::watch::visits::Visits;

/// How many large answers are made at once, each on a thread of its own.
const LARGE: usize = 2;

/// What every request is answered from.
#[derive(Debug)]
pub struct State {
    pub(super) board: Arc<Board>,
    pub(super) events: Events,
    /// Every collector that there is, and whether it is on.
    pub(super) collectors: Vec<(&'static str, bool)>,
    /// Queries of the operator's own, as they are named in `collect[]`.
    pub(super) queries: Vec<String>,
    pub(super) telemetry_path: String,
    pub(super) counters: Counters,
    pub(super) started: Instant,
    pub(super) places: Places,
    pub(super) answers: Answers,
    pub(super) large: Arc<Semaphore>,
    pub(super) guard: Guard,
    /// Collections at scrape time; nobody can ask for them where none.
    pub(super) visits: Option<Visits>,
    process: Process,
}

impl State {
    /// `collectors` names every collector that exists and says whether it is on.
    pub fn new(
        board: Arc<Board>,
        events: Events,
        collectors: Vec<(&'static str, bool)>,
        telemetry_path: &str,
    ) -> State {
        State {
            board,
            events,
            collectors,
            queries: Vec::new(),
            telemetry_path: telemetry_path.to_owned(),
            counters: Counters::new(),
            started: Instant::now(),
            places: Places::new(),
            answers: Answers::default(),
            large: Arc::new(Semaphore::new(LARGE)),
            guard: Guard::open(),
            visits: None,
            process: Process::new(),
        }
    }

    /// Answers only whom the guard lets in.
    pub fn guarded(self, guard: Guard) -> State {
        State { guard, ..self }
    }

    /// Knows these queries by name.
    pub fn asking(self, queries: Vec<String>) -> State {
        State { queries, ..self }
    }

    /// Answers `/probe` too.
    pub fn visiting(self, visits: Visits) -> State {
        State { visits: Some(visits), ..self }
    }

    /// The configuration was loaded anew, or could not be.
    pub fn config_loaded(&self, success: bool) {
        self.counters.config_loaded(success);
    }

    /// The families of the process, as they are now.
    pub(super) fn block(&self) -> Block {
        let mut out = BlockBuilder::new(None);
        self.counters.write(&mut out);
        self.process.write(&mut out);
        out.finish()
    }
}
