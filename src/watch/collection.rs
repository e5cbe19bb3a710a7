//! One round of collecting: every collector that is on asks its one statement, on a connection of the pool.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use super::headroom::Headroom;
use super::pools::Opener;
use super::target::Target;
use crate::collect::{self, Ask, Collector, Known, Why};
use crate::metrics::{Block, BlockBuilder};
use crate::mysql::failure::{Failure, Reason};
use crate::mysql::pool::{Lease, Pool, Refused, Which};
use crate::mysql::rows::Rows;
use crate::mysql::session::ends_session;

/// What came of a round.
#[derive(Debug)]
pub(super) struct Collection {
    /// How long it took to get a connection, where there was one.
    pub(super) connected_in: Option<Duration>,
    pub(super) results: Vec<(&'static Collector, Collected)>,
    pub(super) headroom: Headroom,
    /// What the server said of itself on the way.
    pub(super) seen: Seen,
}

/// What else is known after a round, from the same answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) com_kill: Option<u64>,
    pub(super) wait_timeout: Option<Duration>,
    pub(super) interactive_timeout: Option<Duration>,
}

/// What a collector brought home.
#[derive(Debug)]
pub(super) enum Collected {
    Values {
        block: Block,
        asked_at: SystemTime,
        asked: Instant,
        took: Duration,
    },
    /// This server cannot be asked; `why` is a label of `mysql_conn_feature_supported`.
    Skipped {
        why: Why,
    },
    Failed {
        failure: Failure,
        took: Duration,
    },
}

/// Collects once, on a connection of the pool.
pub(super) async fn collect(target: Arc<Target>, pool: Pool<Opener>) -> Collection {
    let deadline = Instant::now() + target.timeout;
    let mut round = Round { pool, lease: None, unopened: None, collection: Collection::of(Vec::new()) };
    for collector in &target.collectors {
        let collected = round.run(&target, collector, deadline).await;
        round.collection.results.push((collector, collected));
    }
    if let Some(lease) = round.lease.take() {
        lease.give_back().await;
    }
    round.collection
}

impl Collection {
    /// A round that asks nobody.
    pub(super) fn of(results: Vec<(&'static Collector, Collected)>) -> Collection {
        Collection { connected_in: None, results, headroom: Headroom::default(), seen: Seen::default() }
    }

    /// What the room below the limits, and losses, are judged by.
    fn note(&mut self, collector: &Collector, rows: &Rows) {
        let value = |name| collect::value(rows, name);
        let seconds = |name| Duration::try_from_secs_f64(value(name)?).ok();
        if collector.name == "global_status" {
            self.headroom.used = value("Threads_connected");
            self.headroom.peak = value("Max_used_connections");
            self.seen.com_kill = value("Com_kill").map(|count| count as u64);
        }
        if collector.name == "global_variables" {
            self.headroom.limit = value("max_connections");
            self.seen.wait_timeout = seconds("wait_timeout");
            self.seen.interactive_timeout = seconds("interactive_timeout");
        }
    }
}

struct Round {
    pool: Pool<Opener>,
    lease: Option<Lease<Opener>>,
    /// Why there is no connection to ask on.
    unopened: Option<Failure>,
    collection: Collection,
}

impl Round {
    async fn run(&mut self, target: &Target, collector: &'static Collector, deadline: Instant) -> Collected {
        let first = self.ask(target, collector, deadline).await;
        // A connection that was used a moment ago is handed out unchecked. That it has ended shows at the first use,
        // and says nothing about the server now: one more connection answers that.
        let stale = matches!(
            &first,
            Collected::Failed { failure, .. } if ends_session(failure) && failure.reason != Reason::Timeout
        );
        if stale && self.collection.results.is_empty() && self.unopened.is_none() {
            return self.ask(target, collector, deadline).await;
        }
        first
    }

    async fn ask(&mut self, target: &Target, collector: &'static Collector, deadline: Instant) -> Collected {
        if let Some(failure) = &self.unopened {
            return Collected::Failed { failure: failure.clone(), took: Duration::ZERO };
        }
        let mut lease = match self.lease.take() {
            Some(lease) => lease,
            None => {
                let began = Instant::now();
                match self.acquire(deadline).await {
                    Ok(lease) => {
                        self.collection.connected_in = Some(began.elapsed());
                        lease
                    }
                    Err(failure) => {
                        self.unopened = Some(failure.clone());
                        return Collected::Failed { failure, took: began.elapsed() };
                    }
                }
            }
        };
        let sql = match (collector.ask)(&Known { server: lease.session.server() }) {
            Ask::Sql(sql) => sql,
            Ask::Skip { why, .. } => {
                self.lease = Some(lease);
                return Collected::Skipped { why };
            }
        };
        let (asked, asked_at) = (Instant::now(), SystemTime::now());
        match lease.session.query(&sql, deadline).await {
            Ok(rows) => {
                self.collection.note(collector, &rows);
                let mut out = BlockBuilder::new(target.label.as_deref());
                (collector.read)(&rows, &Known { server: lease.session.server() }, &mut out);
                self.lease = Some(lease);
                Collected::Values { block: out.finish(), asked_at, asked, took: asked.elapsed() }
            }
            Err(failure) => {
                // One that has ended leaves the pool as what it is.
                if !ends_session(&failure) {
                    self.lease = Some(lease);
                }
                match missing(&failure) {
                    Some(why) => Collected::Skipped { why },
                    None => Collected::Failed { failure, took: asked.elapsed() },
                }
            }
        }
    }

    async fn acquire(&self, deadline: Instant) -> Result<Lease<Opener>, Failure> {
        match timeout_at(deadline, self.pool.acquire(Which::Working)).await {
            Ok(acquired) => acquired.map_err(Refused::failure),
            Err(_) => Err(Refused::Timeout.failure()),
        }
    }
}

/// Whether the server's answer means that it does not have what was asked for.
fn missing(failure: &Failure) -> Option<Why> {
    match failure.errno? {
        // No such table, column, variable, engine or statement in this version.
        1146 | 1109 | 1054 | 1193 | 1286 | 1064 | 1235 => Some(Why::Version),
        _ => None,
    }
}
