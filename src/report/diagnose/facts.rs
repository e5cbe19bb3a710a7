//! What a judgement is made from: the samples that a scrape would show of a target, and its snapshot.
//!
//! So a finding can be checked by whoever reads `/metrics`, what is too old is not judged, and one look at a server from
//! the command line is judged by the same rules as a daemon's memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::past::{COUNTERS, Growth, Past};
use crate::metrics::{Block, Sample, samples};
use crate::mysql::failure::Failure;
use crate::mysql::server::Server;
use crate::watch::snapshot::Snapshot;

/// What is known of one target.
#[derive(Debug)]
pub struct Facts<'a> {
    pub(super) blocks: &'a [Arc<Block>],
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: SystemTime,
    pub(super) at: Instant,
    /// None for one look: then counters are judged since the server started.
    pub(super) past: Option<&'a Past>,
}

impl<'a> Facts<'a> {
    pub fn new(blocks: &'a [Arc<Block>], snapshot: &'a Snapshot, at: Instant, past: Option<&'a Past>) -> Facts<'a> {
        Facts { blocks, snapshot, now: SystemTime::now(), at, past }
    }

    pub fn all(&self, family: &str) -> Vec<Sample> {
        samples(self.blocks, family)
    }

    /// The value of a family that has one sample.
    pub fn value(&self, family: &str) -> Option<f64> {
        self.all(family).first().map(|sample| sample.value)
    }

    pub fn labelled(&self, family: &str, label: &str, value: &str) -> Option<f64> {
        self.all(family).iter().find(|sample| sample.label(label) == value).map(|sample| sample.value)
    }

    /// A global variable of the server.
    pub fn variable(&self, name: &str) -> Option<f64> {
        self.value(&format!("mysql_global_variables_{name}"))
    }

    /// A status variable of the server.
    pub fn status(&self, name: &str) -> Option<f64> {
        self.value(&format!("mysql_global_status_{name}"))
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        self.snapshot.probe.as_ref()?.failure.as_ref()
    }

    pub(super) fn server(&self) -> Option<&Server> {
        self.snapshot.server.as_ref()
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.server().is_some_and(Server::is_mariadb)
    }

    pub(super) fn unix_now(&self) -> f64 {
        self.now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    /// How a counter of the server has grown: lately where that is remembered, else since the server began to count.
    pub(super) fn growth(&self, counter: &str) -> Option<Growth> {
        let name = format!("mysql_global_status_{counter}");
        debug_assert!(COUNTERS.contains(&name.as_str()), "{name} is not remembered");
        let now = self.value(&name)?;
        match self.past {
            Some(past) => past.growth(&name, now, self.at),
            None => {
                let since = self.status("uptime_since_flush_status").or_else(|| self.status("uptime"))?;
                Some(Growth { by: now, over: Duration::from_secs_f64(since.clamp(1.0, 1e9)) })
            }
        }
    }

    /// Hosts that hold sessions, one at least.
    pub fn hosts(&self) -> f64 {
        let sessions = self.all("mysql_conn_sessions");
        let mut hosts: Vec<&str> = sessions.iter().map(|sample| sample.label("host_group")).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.len().max(1) as f64
    }

    /// The statement that begins the server's counts anew. MariaDB 11.5 has its old name for the session's own.
    pub(super) fn flush_status(&self) -> &'static str {
        match self.server().is_some_and(|server| server.mariadb_since(11, 5, 1)) {
            true => "FLUSH GLOBAL STATUS;",
            false => "FLUSH STATUS;",
        }
    }

    /// The account that we log in as, as SQL wants it. Where the server has not told, its host is a guess.
    pub(super) fn account(&self) -> String {
        let (user, host) = match self.snapshot.account.as_deref().and_then(|account| account.rsplit_once('@')) {
            Some((user, host)) => (user, host),
            None => (self.snapshot.user.as_str(), "%"),
        };
        account(user, host)
    }
}

/// An account as SQL wants it.
pub(super) fn account(user: &str, host: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    format!("{}@{}", quoted(user), quoted(host))
}
