//! One round of collecting: each collector asks its statements, one after the other, on one connection.
//!
//! Where that comes from is the caller's affair (`Source`): a pool, or a login of its own. Before the first one that could
//! be refused something, the server is asked what it has and what the account may (`collect::Facts`); that is kept for a
//! while. Collectors that may take long, or ask less often, have rounds of their own, on a connection of their own, so
//! that they delay nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::door::{Door, Ports};
use super::headroom::{Headroom, Limits};
use super::pools::Opener;
use super::target::Target;
use crate::collect::{self, Ask, Collector, Facts, Known, Needs, Pace, Tunables, Why};
use crate::metrics::{Block, BlockBuilder};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::pool::{Lease, Pool, Refused, Which};
use crate::mysql::rows::Rows;
use crate::mysql::server::{Flavor, Server};
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
    /// What collectors were answered whose counters are kept by `View`.
    pub(super) counted: Vec<(&'static str, Vec<Rows>)>,
    /// The account that the server took us for, where it was asked.
    pub(super) account: Option<String>,
    /// The server's ports, where it has said them.
    pub(super) ports: Option<Ports>,
    /// How going in by a second door went, and where that is; nothing where nobody tried.
    pub(super) entered: Option<Result<(Door, String), Failure>>,
}

/// What else is known after a round, from the same answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) com_kill: Option<u64>,
    pub(super) wait_timeout: Option<Duration>,
    pub(super) interactive_timeout: Option<Duration>,
}

/// How long what was found out about a server holds. An operator who has granted a right sees it after that.
const FACTS_FOR: Duration = Duration::from_secs(300);

/// What a collector waits for a table that somebody has locked, as mysqld_exporter has it.
const LOCK_WAIT: &str = "SET SESSION lock_wait_timeout = 2";

/// Facts about the server that was asked last. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(Arc<Mutex<Option<Latest>>>);

#[derive(Clone, Debug)]
struct Latest {
    version: String,
    until: Instant,
    facts: Arc<Facts>,
}

impl Found {
    fn of(&self, version: &str) -> Option<Arc<Facts>> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_it = |latest: &&Latest| latest.version == version && Instant::now() < latest.until;
        latest.as_ref().filter(is_of_it).map(|latest| latest.facts.clone())
    }

    /// Whether the account has a global right, as far as was found out.
    pub(super) fn may(&self, right: &str) -> Option<bool> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().map(|latest| latest.facts.may(&[right]))
    }

    /// The server may be set up otherwise now, or be another one.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn keep(&self, version: &str, facts: Arc<Facts>) {
        let latest = Latest { version: version.to_owned(), until: Instant::now() + FACTS_FOR, facts };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
    }
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

/// A connection to ask on.
pub(super) trait Line {
    fn server(&self) -> &Server;

    fn query(&mut self, sql: &str, deadline: Instant) -> impl Future<Output = Result<Rows, Failure>> + Send;

    /// Nothing more is asked.
    fn done(self) -> impl Future<Output = ()> + Send;
}

/// Where connections come from.
pub(super) trait Source {
    type Line: Line;

    fn open(&self, deadline: Instant) -> impl Future<Output = Result<Self::Line, Failure>> + Send;
}

/// What collectors are told.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    /// The label `target` of what they bring home.
    pub(super) label: Option<String>,
    pub(super) tunables: Tunables,
    /// Of every collector that may be sent: what is found out about the server serves all of them.
    pub(super) needs: Vec<Needs>,
    /// They may take long: the server ends their statements after this, a moment before we give up.
    pub(super) server_limit: Option<Duration>,
    pub(super) deadline: Instant,
    /// How long single collectors may take, where that is less.
    pub(super) each: BTreeMap<&'static str, Duration>,
}

/// Collects once, on a connection of the pool: with every round, or what may take long.
pub(super) async fn collect(
    target: Arc<Target>,
    collectors: Vec<&'static Collector>,
    is_long: bool,
    pool: Pool<Opener>,
    found: Found,
) -> Collection {
    let errand = errand(&target, &collectors, is_long);
    run(&errand, collectors, &Pooled { pool, is_long }, found).await
}

/// What the collectors of a round, or one that may take long, are told.
pub(super) fn errand(target: &Target, collectors: &[&'static Collector], is_long: bool) -> Errand {
    let longest = collectors.iter().map(|collector| target.deadline(collector)).max();
    let within = if is_long { longest.unwrap_or_default() } else { target.timeout };
    Errand {
        label: target.label.clone(),
        tunables: target.tunables.clone(),
        needs: target.collectors.iter().map(|collector| collector.needs).collect(),
        // The connection may be one that the rounds use too.
        server_limit: is_long.then(|| (within * 11 / 12).max(target.timeout)),
        deadline: Instant::now() + within,
        each: collectors.iter().map(|collector| (collector.name, target.deadline(collector))).collect(),
    }
}

/// Sends collectors on an errand.
pub(super) async fn run(
    errand: &Errand,
    collectors: Vec<&'static Collector>,
    source: &impl Source,
    found: Found,
) -> Collection {
    let collection = Collection::of(Vec::new());
    let mut round =
        Round { errand, source, found, facts: None, line: None, has_answered: false, unopened: None, collection };
    for collector in collectors {
        let collected = round.run(collector).await;
        round.collection.results.push((collector, collected));
    }
    if let Some(line) = round.line.take() {
        line.done().await;
    }
    round.collection
}

/// Connections of a pool.
pub(super) struct Pooled {
    pub(super) pool: Pool<Opener>,
    pub(super) is_long: bool,
}

impl Source for Pooled {
    type Line = Lease<Opener>;

    async fn open(&self, deadline: Instant) -> Result<Lease<Opener>, Failure> {
        let which = if self.is_long { Which::Beyond } else { Which::Working };
        match timeout_at(deadline, self.pool.acquire(which)).await {
            Ok(acquired) => acquired.map_err(Refused::failure),
            Err(_) => Err(Refused::Timeout.failure()),
        }
    }
}

impl Line for Lease<Opener> {
    fn server(&self) -> &Server {
        self.session.server()
    }

    async fn query(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        self.session.query(sql, deadline).await
    }

    async fn done(self) {
        self.give_back().await;
    }
}

impl Collection {
    /// A round that asks nobody.
    pub(super) fn of(results: Vec<(&'static Collector, Collected)>) -> Collection {
        Collection {
            connected_in: None,
            results,
            headroom: Headroom::default(),
            seen: Seen::default(),
            counted: Vec::new(),
            account: None,
            ports: None,
            entered: None,
        }
    }

    /// Whether a connection that was there had no answer in time to what any server answers at once.
    pub(super) fn is_silent(&self) -> bool {
        self.results.iter().any(|(collector, collected)| {
            let Collected::Failed { failure, .. } = collected else { return false };
            collector.is_plain() && failure.phase == Phase::Query && failure.reason == Reason::Timeout
        })
    }

    /// What the room below the limits, and losses, are judged by.
    fn note(&mut self, collector: &Collector, answers: &[Rows], flavor: Flavor) {
        let value = |name| answers.first().and_then(|rows| collect::value(rows, name));
        let seconds = |name| Duration::try_from_secs_f64(value(name)?).ok();
        if collector.name == "global_status" {
            answers.iter().take(1).for_each(|status| self.headroom.status(status));
            self.seen.com_kill = value("Com_kill").map(|count| count as u64);
        }
        if collector.name == "global_variables" {
            self.ports = answers.first().map(Ports::read);
            self.headroom.limits = answers.first().and_then(|variables| Limits::read(variables, flavor));
            self.seen.wait_timeout = seconds("wait_timeout");
            self.seen.interactive_timeout = seconds("interactive_timeout");
        }
    }
}

struct Round<'e, S: Source> {
    errand: &'e Errand,
    source: &'e S,
    found: Found,
    facts: Option<Arc<Facts>>,
    line: Option<S::Line>,
    /// The connection has answered in this round.
    has_answered: bool,
    /// Why there is no connection to ask on.
    unopened: Option<Failure>,
    collection: Collection,
}

impl<S: Source> Round<'_, S> {
    async fn run(&mut self, collector: &'static Collector) -> Collected {
        let first = self.ask(collector).await;
        // A connection that was used a moment ago is handed out unchecked. That it has ended shows at the first use,
        // and says nothing about the server now: one more connection answers that. One that has answered was ended by
        // what it asked, or by somebody who did not like it: that is not asked again at once.
        let stale = matches!(
            &first,
            Collected::Failed { failure, .. } if ends_session(failure) && failure.reason != Reason::Timeout
        );
        if stale && !self.has_answered && self.collection.results.is_empty() && self.unopened.is_none() {
            return self.ask(collector).await;
        }
        first
    }

    async fn ask(&mut self, collector: &'static Collector) -> Collected {
        if let Some(failure) = &self.unopened {
            return Collected::Failed { failure: failure.clone(), took: Duration::ZERO };
        }
        let mut line = match self.line.take() {
            Some(line) => line,
            None => {
                let began = Instant::now();
                match self.source.open(self.errand.deadline).await {
                    Ok(line) => {
                        self.collection.connected_in = Some(began.elapsed());
                        line
                    }
                    Err(failure) => {
                        self.unopened = Some(failure.clone());
                        return Collected::Failed { failure, took: began.elapsed() };
                    }
                }
            }
        };
        let (asked, asked_at) = (Instant::now(), SystemTime::now());
        let own = self.errand.each.get(collector.name).copied();
        let deadline = own.map_or(self.errand.deadline, |own| self.errand.deadline.min(asked + own));
        match self.ask_on(&mut line, collector, deadline).await {
            Ok(block) => {
                self.line = Some(line);
                Collected::Values { block, asked_at, asked, took: asked.elapsed() }
            }
            Err(Refusal::Skip(why)) => {
                self.line = Some(line);
                Collected::Skipped { why }
            }
            Err(Refusal::Failed(failure)) => {
                // One that has ended leaves the pool as what it is.
                if !ends_session(&failure) {
                    self.line = Some(line);
                }
                match missing(&failure) {
                    Some(why) => Collected::Skipped { why },
                    None => Collected::Failed { failure, took: asked.elapsed() },
                }
            }
        }
    }

    async fn ask_on(
        &mut self,
        line: &mut S::Line,
        collector: &'static Collector,
        deadline: Instant,
    ) -> Result<Block, Refusal> {
        let server = line.server().clone();
        let facts = match collector.is_plain() {
            true => Arc::default(),
            false => self.facts(line, deadline).await?,
        };
        let tunables = &self.errand.tunables;
        let statements = match (collector.ask)(&Known { server: &server, facts: &facts, tunables }) {
            Ask::Sql(sql) => vec![sql],
            Ask::All(statements) => statements,
            Ask::Skip { why } => return Err(Refusal::Skip(why)),
        };
        let mut answers = Vec::with_capacity(statements.len());
        for sql in &statements {
            let left = deadline.saturating_duration_since(Instant::now());
            let bounded = match collector.pace {
                _ if self.errand.server_limit.is_some() => None,
                // Whoever waits behind it has the other half.
                _ if collector.may_wait() => bounded(&server, sql, left / 2),
                Pace::Behind => bounded(&server, sql, left * 11 / 12),
                _ => None,
            };
            answers.push(line.query(bounded.as_deref().unwrap_or(sql), deadline).await?);
            self.has_answered = true;
        }
        self.collection.note(collector, &answers, server.flavor);
        let label = self.errand.label.clone();
        let is_ours = collector.is_ours();
        if is_ours || answers.iter().map(Rows::len).sum::<usize>() < MANY {
            let block = read(collector, &answers, &Known { server: &server, facts: &facts, tunables }, label);
            if is_ours {
                self.collection.counted.push((collector.name, answers));
            }
            return Ok(block);
        }
        let tunables = tunables.clone();
        let elsewhere = spawn_blocking(move || {
            read(collector, &answers, &Known { server: &server, facts: &facts, tunables: &tunables }, label)
        });
        // That thread does not panic, and is not told to stop.
        elsewhere.await.map_err(|died| Failure::new(Phase::Query, Reason::Other, died.to_string()).into())
    }

    /// What is known of this server; asked anew when that is old.
    async fn facts(&mut self, line: &mut S::Line, deadline: Instant) -> Result<Arc<Facts>, Refusal> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        let Errand { needs, tunables, .. } = self.errand;
        line.query(LOCK_WAIT, deadline).await?;
        self.has_answered = true;
        if let Some(limit) = self.errand.server_limit.and_then(|limit| server_limit(line.server(), limit)) {
            line.query(&limit, deadline).await?;
        }
        let version = line.server().version_text.clone();
        let facts = match self.found.of(&version) {
            Some(facts) => facts,
            None => {
                let mut answers = vec![line.query(&Facts::rights(line.server()), deadline).await?];
                for sql in Facts::statements(needs, tunables, line.server(), &answers[0]) {
                    answers.push(line.query(&sql, deadline).await?);
                }
                let facts = Arc::new(Facts::read(&answers));
                self.found.keep(&version, facts.clone());
                facts
            }
        };
        self.collection.account = facts.account().map(str::to_owned);
        self.facts = Some(facts.clone());
        Ok(facts)
    }
}

/// So many rows are read on a thread of their own: probes and their clocks go on meanwhile.
const MANY: usize = 1000;

fn read(collector: &Collector, answers: &[Rows], known: &Known, label: Option<String>) -> Block {
    let mut out = BlockBuilder::new(label.as_deref());
    (collector.read)(answers, known, &mut out);
    out.finish()
}

/// What has the server end a statement before we do, so that the connection lives.
fn server_limit(server: &Server, limit: Duration) -> Option<String> {
    let seconds = limit.as_secs_f64();
    match server.is_mariadb() {
        true => server.mariadb_since(10, 1, 1).then(|| format!("SET SESSION max_statement_time = {seconds:.3}")),
        false => {
            server.mysql_since(5, 7, 8).then(|| format!("SET SESSION max_execution_time = {:.0}", seconds * 1000.0))
        }
    }
}

/// The same SELECT, ended by the server after this: a lock that somebody holds costs no connection.
fn bounded(server: &Server, sql: &str, limit: Duration) -> Option<String> {
    let select = sql.strip_prefix("SELECT ")?;
    match server.is_mariadb() {
        true => server
            .mariadb_since(10, 1, 2)
            .then(|| format!("SET STATEMENT max_statement_time={:.3} FOR {sql}", limit.as_secs_f64().max(0.001))),
        false => server
            .mysql_since(5, 7, 8)
            .then(|| format!("SELECT /*+ MAX_EXECUTION_TIME({}) */ {select}", limit.as_millis().max(1))),
    }
}

/// Why a collector has nothing to say.
enum Refusal {
    Skip(Why),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Failed(failure)
    }
}

/// Whether the server's answer means that it does not have what was asked for.
fn missing(failure: &Failure) -> Option<Why> {
    match failure.errno? {
        // No such table, column, variable or engine in this version.
        1146 | 1109 | 1054 | 1193 | 1286 => Some(Why::Version),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_ends_what_may_wait_for_a_lock() {
        let check = |version: &str, expect: Option<&str>| {
            let bounded = bounded(&Server::from_version(version), "SELECT ts FROM h.h", Duration::from_millis(450));
            assert_eq!(bounded.as_deref(), expect, "{version}");
        };
        check("9.7.4", Some("SELECT /*+ MAX_EXECUTION_TIME(450) */ ts FROM h.h"));
        check("11.8.9-MariaDB-4", Some("SET STATEMENT max_statement_time=0.450 FOR SELECT ts FROM h.h"));
        check("5.6.51", None);
    }
}
