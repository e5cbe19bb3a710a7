//! One round of collecting: every collector that is on asks its one statement on the kept session.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::headroom::Headroom;
use super::target::Target;
use crate::collect::{self, Ask, Collector, Known, Why};
use crate::metrics::{Block, BlockBuilder};
use crate::mysql::budget::{Budget, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::Facts;
use crate::mysql::rows::Rows;
use crate::mysql::session::{Session, ends_session};

/// The probe speaks it; trying it with the driver would be a failed login at the server, every time.
const UNKNOWN_TO_THE_DRIVER: &str = "sha256_password";

/// What a round needs and gives back.
#[derive(Debug)]
pub(super) struct Collection {
    /// The session to use next time, if it is still in order.
    pub(super) session: Option<Session>,
    /// How long opening a session took, where one was opened.
    pub(super) opened_in: Option<Duration>,
    /// Why there was no session to ask on.
    pub(super) unopened: Option<Failure>,
    pub(super) results: Vec<(&'static Collector, Collected)>,
    pub(super) headroom: Headroom,
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

/// Collects once. `probed` is what the last good probe negotiated; without it no session is opened.
pub(super) async fn collect(
    target: Arc<Target>,
    session: Option<Session>,
    probed: Option<Facts>,
    budget: Budget,
) -> Collection {
    let deadline = Instant::now() + target.timeout;
    let mut round = Collection::without_session(Vec::with_capacity(target.collectors.len()));
    round.session = session;
    for collector in &target.collectors {
        let collected = round.run(&target, collector, probed.as_ref(), &budget, deadline).await;
        round.results.push((collector, collected));
    }
    round
}

impl Collection {
    /// A round in which nobody could be asked.
    pub(super) fn without_session(results: Vec<(&'static Collector, Collected)>) -> Collection {
        Collection { session: None, opened_in: None, unopened: None, results, headroom: Headroom::default() }
    }

    async fn run(
        &mut self,
        target: &Target,
        collector: &'static Collector,
        probed: Option<&Facts>,
        budget: &Budget,
        deadline: Instant,
    ) -> Collected {
        let was_kept = self.session.is_some();
        let first = self.ask(target, collector, probed, budget, deadline).await;
        // A session that rested may have been ended by the server meanwhile. That shows at the first use, at once,
        // and says nothing about the server now: one fresh session answers that.
        let stale = matches!(
            &first,
            Collected::Failed { failure, .. } if ends_session(failure) && failure.reason != Reason::Timeout
        );
        if was_kept && stale && self.results.is_empty() {
            return self.ask(target, collector, probed, budget, deadline).await;
        }
        first
    }

    async fn ask(
        &mut self,
        target: &Target,
        collector: &'static Collector,
        probed: Option<&Facts>,
        budget: &Budget,
        deadline: Instant,
    ) -> Collected {
        if self.session.is_none() {
            if let Some(failure) = &self.unopened {
                return Collected::Failed { failure: failure.clone(), took: Duration::ZERO };
            }
            let began = Instant::now();
            if let Err(failure) = self.open(target, probed, budget, deadline).await {
                self.unopened = Some(failure.clone());
                return Collected::Failed { failure, took: began.elapsed() };
            }
        }
        // Opened above, or kept: there is one.
        let Some(mut session) = self.session.take() else { unreachable!("a session was just opened") };
        let sql = match (collector.ask)(&Known { server: session.server() }) {
            Ask::Sql(sql) => sql,
            Ask::Skip { why, .. } => {
                self.session = Some(session);
                return Collected::Skipped { why };
            }
        };
        let (asked, asked_at) = (Instant::now(), SystemTime::now());
        match session.query(&sql, deadline).await {
            Ok(rows) => {
                self.note(collector, &rows);
                let mut out = BlockBuilder::new(target.label.as_deref());
                (collector.read)(&rows, &Known { server: session.server() }, &mut out);
                self.session = Some(session);
                Collected::Values { block: out.finish(), asked_at, asked, took: asked.elapsed() }
            }
            Err(failure) => {
                if !ends_session(&failure) {
                    self.session = Some(session);
                }
                match missing(&failure) {
                    Some(why) => Collected::Skipped { why },
                    None => Collected::Failed { failure, took: asked.elapsed() },
                }
            }
        }
    }

    async fn open(
        &mut self,
        target: &Target,
        probed: Option<&Facts>,
        budget: &Budget,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Some(probed) = probed else {
            return Err(Failure::new(Phase::Auth, Reason::Other, "the last probe did not get in"));
        };
        if probed.auth_plugin == UNKNOWN_TO_THE_DRIVER {
            let detail = format!("the session cannot log in with the plugin {UNKNOWN_TO_THE_DRIVER}");
            let hint = "give the account the plugin caching_sha2_password";
            return Err(Failure::new(Phase::Auth, Reason::AuthPlugin, detail).with_hint(hint));
        }
        let Some(place) = budget.take(Purpose::Pool) else {
            let full = format!("all {} connections of the budget are in use", budget.limit());
            return Err(Failure::new(Phase::Auth, Reason::Other, full).with_hint("raise `connections` of the target"));
        };
        let began = Instant::now();
        // A session rests between rounds; this end must not come from the server's own idle limit.
        let idle_limit = target.every * 4;
        let session =
            Session::open(&target.access, &target.tls, probed, idle_limit, target.timeout, place, deadline).await?;
        self.session = Some(session);
        self.opened_in = Some(began.elapsed());
        Ok(())
    }

    /// What the room below the limits is judged by.
    fn note(&mut self, collector: &Collector, rows: &Rows) {
        if collector.name == "global_status" {
            self.headroom.used = collect::value(rows, "Threads_connected");
            self.headroom.peak = collect::value(rows, "Max_used_connections");
        }
        if collector.name == "global_variables" {
            self.headroom.limit = collect::value(rows, "max_connections");
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
