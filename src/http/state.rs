//! What every request is answered from.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::families::Counters;
use super::process::Process;
use crate::metrics::{Block, BlockBuilder};
use crate::watch::board::Board;

/// How many scrapes may have an answer in memory at once. A scrape costs well under a millisecond, so 50 scrapers that come
/// together are served one after the other; only clients that do not read hold a place for long.
pub(super) const SCRAPES: usize = 64;

/// What every request is answered from.
#[derive(Debug)]
pub struct State {
    pub(super) board: Arc<Board>,
    /// Every collector that there is, and whether it is on.
    pub(super) collectors: Vec<(&'static str, bool)>,
    pub(super) telemetry_path: String,
    pub(super) counters: Counters,
    pub(super) started: Instant,
    pub(super) scrapes: Arc<Semaphore>,
    process: Process,
}

impl State {
    /// `collectors` names every collector that exists and says whether it is on.
    pub fn new(board: Arc<Board>, collectors: Vec<(&'static str, bool)>, telemetry_path: &str) -> State {
        State {
            board,
            collectors,
            telemetry_path: telemetry_path.to_owned(),
            counters: Counters::new(),
            started: Instant::now(),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            process: Process::new(),
        }
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
