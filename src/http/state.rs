//! What every request is answered from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::answer::Answers;
use super::families::Counters;
use super::guard::Guard;
use super::places::Places;
use super::process::Process;
use super::reload::Reload;
use crate::metrics::{Block, BlockBuilder};
use crate::watch::board::Board;
use crate::watch::events::Events;
use crate::watch::visits::Visits;

/// How many large answers are made at once, each on a thread of its own.
const LARGE: usize = 2;

/// Every collector that there is, and whether it is on.
type Collectors = Arc<[(&'static str, bool)]>;

/// What every request is answered from.
#[derive(Debug)]
pub struct State {
    pub(super) board: Arc<Board>,
    pub(super) events: Events,
    /// Every collector that there is, and whether it is on.
    collectors: Mutex<Collectors>,
    /// Queries of the operator's own, as they are named in `collect[]`.
    queries: Mutex<Arc<[String]>>,
    pub(super) telemetry_path: String,
    pub(super) counters: Counters,
    pub(super) started: Instant,
    pub(super) places: Places,
    pub(super) answers: Answers,
    pub(super) large: Arc<Semaphore>,
    pub(super) guard: Guard,
    /// Collections at scrape time; nobody can ask for them where none.
    pub(super) visits: Option<Visits>,
    /// Who reads the configuration anew; nobody where none.
    pub(super) reloads: Option<mpsc::Sender<Reload>>,
    lifecycle: AtomicBool,
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
            collectors: Mutex::new(collectors.into()),
            queries: Mutex::default(),
            telemetry_path: telemetry_path.to_owned(),
            counters: Counters::new(),
            started: Instant::now(),
            places: Places::new(),
            answers: Answers::default(),
            large: Arc::new(Semaphore::new(LARGE)),
            guard: Guard::open(),
            visits: None,
            reloads: None,
            lifecycle: AtomicBool::new(true),
            process: Process::new(),
        }
    }

    /// Those of now.
    pub(super) fn collectors(&self) -> Collectors {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these are on, and these are not.
    pub fn set_collectors(&self, collectors: Vec<(&'static str, bool)>) {
        *self.collectors.lock().unwrap_or_else(PoisonError::into_inner) = collectors.into();
    }

    /// Those of now.
    pub(super) fn queries(&self) -> Arc<[String]> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these queries are known by name.
    pub fn set_queries(&self, queries: Vec<String>) {
        *self.queries.lock().unwrap_or_else(PoisonError::into_inner) = queries.into();
    }

    /// Answers only whom the guard lets in.
    pub fn guarded(self, guard: Guard) -> State {
        State { guard, ..self }
    }

    /// Answers `/probe` too.
    pub fn visiting(self, visits: Visits) -> State {
        State { visits: Some(visits), ..self }
    }

    /// Answers `POST /-/reload` too.
    pub fn reloading(self, reloads: mpsc::Sender<Reload>) -> State {
        State { reloads: Some(reloads), ..self }
    }

    /// Whether POST requests that change something are taken at the addresses that are listened on.
    pub fn set_lifecycle(&self, on: bool) {
        self.lifecycle.store(on, Ordering::Relaxed);
    }

    pub(super) fn has_lifecycle(&self) -> bool {
        self.lifecycle.load(Ordering::Relaxed)
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
