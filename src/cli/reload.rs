//! Reading the configuration anew while the daemon runs: by SIGHUP or `POST /-/reload`, one after another.
//!
//! All of it is read and judged as at the start, beside the thread that the probes share. A mistake anywhere changes
//! nothing. What only a start can change is named, and stays as it is.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::ready::{Ready, queries, ready, switched};
use crate::config::{Config, Loaded, Mistakes, Sources, load};
use crate::http::{self, Reload, Reloaded};
use crate::watch::{Changed, Changes};

/// So many names are told of each kind.
const NAMED: usize = 50;

/// Who reads the configuration anew.
pub(super) struct Reloader {
    pub(super) sources: Sources,
    /// What the daemon was started with.
    pub(super) started: Config,
    pub(super) state: Arc<http::State>,
    pub(super) changes: Changes,
    pub(super) hangup: Signal,
    pub(super) asked: mpsc::Receiver<Reload>,
}

impl Reloader {
    /// Reloads when somebody wants it, until the daemon ends.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                // A sender that is gone means the same.
                () = async { drop(stopped.wait_for(|stop| *stop).await) } => return,
                Some(reload) = self.asked.recv() => {
                    let reloaded = self.reload("POST /-/reload").await;
                    reload.answer(reloaded);
                }
                Some(()) = self.hangup.recv() => {
                    self.reload("SIGHUP").await;
                }
            }
        }
    }

    async fn reload(&self, by: &str) -> Reloaded {
        let sources = self.sources.clone();
        let read = spawn_blocking(move || read(&sources)).await;
        let (loaded, ready) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(mistakes)) => {
                let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                let cause = all.join("; ");
                warn!(by, cause, "cannot use the new configuration; the old one stays in force");
                return self.refused(mistakes.to_string());
            }
            Err(died) => {
                error!(by, %died, "reading the configuration died of a defect; the old one stays in force");
                return self.refused("error: reading the configuration died of a defect; see the log".to_owned());
            }
        };
        let (collectors, queries) = (switched(&ready.targets), queries(&loaded.config));
        let Some(changed) = self.changes.make(ready.targets, ready.rules).await else {
            return Reloaded::Refused("error: the program ends\n".to_owned());
        };
        self.state.set_collectors(collectors);
        self.state.set_queries(queries);
        self.state.set_lifecycle(loaded.config.web.lifecycle);
        self.state.config_loaded(true);
        let later = needs_restart(&self.started, &loaded.config).join(", ");
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        let Changed { added, altered, removed, unchanged } = &changed;
        let names = |names: &[String]| (!names.is_empty()).then(|| listed(names));
        info!(
            by,
            added = names(added),
            altered = names(altered),
            removed = names(removed),
            unchanged,
            "the configuration is in force anew"
        );
        if !later.is_empty() {
            warn!(settings = later, "changed settings that take a restart; until then the old ones stay in force");
        }
        Reloaded::Done(told(&changed, &later, &loaded.warnings))
    }

    fn refused(&self, says: String) -> Reloaded {
        self.state.config_loaded(false);
        Reloaded::Refused(says + "\n")
    }
}

fn read(sources: &Sources) -> Result<(Loaded, Ready), Mistakes> {
    let loaded = load(sources)?;
    let ready = ready(&loaded)?;
    Ok((loaded, ready))
}

/// The settings that have changed and that only a start can change.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let (was, is) = (&started.web, &now.web);
    let changed = [
        ("web.listen_addresses", was.listen_addresses != is.listen_addresses),
        ("web.systemd_socket", was.systemd_socket != is.systemd_socket),
        ("web.telemetry_path", was.telemetry_path != is.telemetry_path),
        ("web.config_file", was.config_file != is.config_file),
        ("log.level", started.log.level != now.log.level),
        ("log.format", started.log.format != now.log.format),
        ("state_directory", started.state_directory != now.state_directory),
        ("control", started.control != now.control),
        ("events.keep", started.events != now.events),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

fn told(changed: &Changed, later: &str, warnings: &[String]) -> String {
    let Changed { added, altered, removed, unchanged } = changed;
    let mut text = format!(
        "reloaded: {} added, {} altered, {} removed, {unchanged} unchanged\n",
        added.len(),
        altered.len(),
        removed.len()
    );
    let mut line = |what: &str, says: &str| {
        let written = writeln!(text, "  {what}: {says}");
        debug_assert!(written.is_ok(), "a string takes everything");
    };
    for (what, names) in [("added", added), ("altered", altered), ("removed", removed)] {
        if !names.is_empty() {
            line(what, &listed(names));
        }
    }
    if !later.is_empty() {
        line("needs a restart", later);
    }
    for warning in warnings {
        line("warning", warning);
    }
    text
}

fn listed(names: &[String]) -> String {
    match names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
        None => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told_by_name_and_what_needs_a_restart() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let changed = Changed { added: names(&["a", "b"]), altered: names(&["c"]), removed: Vec::new(), unchanged: 3 };
        assert_eq!(
            told(&changed, "log.level", &names(&["x: y"])),
            "reloaded: 2 added, 1 altered, 0 removed, 3 unchanged\n  added: a, b\n  altered: c\n  needs a restart: \
             log.level\n  warning: x: y\n"
        );
        let many: Vec<String> = (0..52).map(|n| n.to_string()).collect();
        assert!(listed(&many).ends_with("49 and 2 more"), "{}", listed(&many));
    }
}
