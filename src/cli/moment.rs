//! A watch of a command's own, for the moment that it looks: the daemon's probes, backoff and manners, without its
//! ladder and its pools' exercise.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::exit::{Exit, complain};
use crate::config::Loaded;
use crate::watch::board::Board;
use crate::watch::events::Events;
use crate::watch::target::{self, Target};
use crate::watch::visits;
use crate::watch::{Common, Watch};

/// Events that a command may want to tell of.
const EVENTS: usize = 1000;

/// The targets of these names, all when none is named, or what is wrong.
pub(super) fn chosen(loaded: &Loaded, names: &[String]) -> Result<Vec<Arc<Target>>, Exit> {
    let targets = target::lower(loaded).map_err(|mistakes| complain(&mistakes))?;
    let unknown: Vec<&str> =
        names.iter().filter(|name| targets.iter().all(|target| target.name != **name)).map(String::as_str).collect();
    if unknown.is_empty() {
        let is_wanted = |target: &Arc<Target>| names.is_empty() || names.contains(&target.name);
        return Ok(targets.into_iter().filter(is_wanted).collect());
    }
    let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let unknown = unknown.join("`, `");
    Err(complain(&format!("error: there is no target `{unknown}`\n  hint: configured are {}", known.join(", "))))
}

/// The watch while it runs. `end` it: connections are left in order.
pub(super) struct Moment {
    pub(super) board: Arc<Board>,
    pub(super) events: Events,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Moment {
    /// Begins to watch, with a probe of each target so often. Must be called inside the runtime.
    pub(super) fn begin(loaded: &Loaded, targets: &[Arc<Target>], every: Duration) -> Result<Moment, Exit> {
        let rules = visits::rules(loaded).map_err(|mistakes| complain(&mistakes))?;
        let targets = targets.iter().map(|target| Arc::new(target.for_a_moment(every))).collect();
        let (stop, stopped) = watch::channel(false);
        let common = Common { state_directory: None, events: EVENTS };
        let watch = Watch::new(targets, rules, &common, &stopped);
        let (board, events) = (watch.board().clone(), watch.events().clone());
        Ok(Moment { board, events, stop, task: tokio::spawn(watch.run()) })
    }

    /// Leaves every connection in order.
    pub(super) async fn end(self) -> Result<(), Exit> {
        self.stop.send_replace(true);
        let ended = self.task.await;
        ended.map_err(|died| complain(&format!("error: watching died of a defect\n  cause: {died}")))
    }
}
