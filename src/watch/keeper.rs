//! Keeps what the idle ladders have learned in a file, for the next start.
//!
//! `idle.json` in the state directory, for all targets. It is a convenience: whatever is wrong with it is told in the
//! log, and the limits are learned anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use super::ladder::memory::{Learned, Memory};

const FILE: &str = "idle.json";

/// The file is not written more often than this.
const PAUSE: Duration = Duration::from_secs(5);

/// The file and what belongs in it. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Keeper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// None where what is learned lives as long as the program.
    path: Option<PathBuf>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    memory: Memory,
    is_dirty: bool,
    /// The log has told that the file cannot be written.
    told: bool,
}

impl Keeper {
    /// Keeps it in memory alone: for targets that a reload alters.
    pub(super) fn forgetful() -> Keeper {
        Keeper(Arc::new(Shared { path: None, state: Mutex::default(), changed: Notify::new() }))
    }

    /// Forgets targets that are no longer configured.
    pub(super) fn retain(&self, is_configured: impl Fn(&str) -> bool) {
        self.state().memory.retain(is_configured);
    }

    /// Begins with what the file says of targets that are still configured.
    pub(super) fn open(directory: &Path, is_configured: impl Fn(&str) -> bool) -> Keeper {
        let path = directory.join(FILE);
        let shown = path.display();
        let mut memory = Memory::load(&path).unwrap_or_else(|error| {
            warn!(file = %shown, %error, "what was learned about idle limits cannot be read; it is learned anew");
            Memory::default()
        });
        memory.retain(is_configured);
        let state = Mutex::new(State { memory, ..State::default() });
        Keeper(Arc::new(Shared { path: Some(path), state, changed: Notify::new() }))
    }

    pub(super) fn recall(&self, target: &str, address: &str) -> Option<Learned> {
        self.state().memory.recall(target, address, SystemTime::now())
    }

    pub(super) fn keep(&self, target: &str, address: &str, learned: Learned) {
        let mut state = self.state();
        if state.memory.keep(target, address, learned, SystemTime::now()) {
            state.is_dirty = true;
            self.0.changed.notify_one();
        }
    }

    /// Writes the file soon after there is something new, until it is dropped.
    pub(super) async fn run(&self) {
        loop {
            self.0.changed.notified().await;
            self.store().await;
            sleep(PAUSE).await;
        }
    }

    /// Writes the file now, if there is something new.
    pub(super) async fn store(&self) {
        let Some(path) = self.0.path.clone() else { return };
        let shown = path.display().to_string();
        let memory = {
            let mut state = self.state();
            if !std::mem::take(&mut state.is_dirty) {
                return;
            }
            state.memory.clone()
        };
        let written = spawn_blocking(move || {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            memory.store(&path)
        });
        // That thread does not panic, and is not told to stop.
        let written = written.await.unwrap_or_else(|died| Err(std::io::Error::other(died)));
        let mut state = self.state();
        match written {
            Ok(()) if std::mem::take(&mut state.told) => {
                info!(file = shown, "what is learned about idle limits is kept again");
            }
            Ok(()) => {}
            Err(error) => {
                state.is_dirty = true;
                if !std::mem::replace(&mut state.told, true) {
                    warn!(file = shown, %error,
                        "what is learned about idle limits cannot be kept for the next start; see `state_directory`");
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ladder::bounds::Bounds;
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_there_at_the_next_start_and_damage_is_survived() {
        let directory = std::env::temp_dir().join(format!("goneaway-keeper-{}", std::process::id())).join("deeper");
        let bounds = Bounds { survived: Duration::from_secs(340), lost: Some(Duration::from_secs(350)) };
        let learned = Learned { bounds, settled_ago: None };
        let keeper = Keeper::open(&directory, |_| true);
        assert_eq!(keeper.recall("a", "db"), None);
        keeper.keep("a", "db", learned);
        keeper.keep("b", "db", learned);
        keeper.store().await;
        let again = Keeper::open(&directory, |target| target == "a");
        assert_eq!((again.recall("a", "db"), again.recall("b", "db")), (Some(learned), None));
        fs::write(directory.join(FILE), "{\"version\":1,\"tar").expect("ours");
        let anew = Keeper::open(&directory, |_| true);
        assert_eq!(anew.recall("a", "db"), None);
        anew.keep("a", "db", learned);
        anew.store().await;
        assert_eq!(Keeper::open(&directory, |_| true).recall("a", "db"), Some(learned));
        fs::remove_dir_all(directory.parent().expect("ours")).expect("ours");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_stays_to_be_written() {
        let keeper = Keeper::open(Path::new("/dev/null/never"), |_| true);
        keeper.keep("a", "db", Learned::default());
        keeper.store().await;
        assert!(keeper.state().is_dirty && keeper.state().told);
    }
}
