//! Queries of the operator's own: when each is due, how it is asked, and what is made of its answer.
//!
//! Each run has a connection of its own, in a place of the budget that nobody else waits for. One query at a time is asked
//! of those that are quick, and beside it one of those that once were not. So whatever a query does, to its session, to the
//! time or to memory, is done to nothing else: what it sets goes with its connection, and an answer that is too large is
//! left unread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::board::Slot;
use super::families::{Job, Run, TargetInstruments};
use super::patience::{self, Unfinished};
use super::rounds::{SHOWN_FOR_INTERVALS, within_series};
use super::snapshot::{CollectorResult, Snapshot};
use super::target::Target;
use crate::collect::Why;
use crate::collect::query::Query;
use crate::metrics::Block;
use crate::mysql::budget::{Budget, Place, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{self, Addresses, Beyond, Connection, Facts, Most, PhaseTimes};
use crate::mysql::pool::Gate;
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// Of an answer: more text than any that people or dashboards look at.
const MOST_BYTES: usize = 4 << 20;

/// What of a larger answer is read all the same, so that the server does not count an aborted client.
const READ_OUT: usize = 8 << 20;

/// Between the first ones, and until one that nobody could be asked is tried again.
const FIRST: Duration = Duration::from_millis(700);

/// The queries of one target.
#[derive(Debug)]
pub(super) struct Queries {
    each: Vec<Due>,
    /// Those whose failure the log has told.
    told: BTreeSet<String>,
}

#[derive(Debug)]
struct Due {
    query: Arc<Query>,
    every: Duration,
    due: Instant,
    lane: Lane,
}

/// Whom a query waits for: others of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Quick,
    /// Those that have once taken long.
    Slow,
}

/// What takes longer is not quick.
pub(super) const LONG: Duration = Duration::from_millis(300);

/// A query that was asked.
#[derive(Debug)]
pub(super) struct Asked {
    query: Arc<Query>,
    every: Duration,
    outcome: Outcome,
    took: Duration,
    began: Instant,
    began_at: SystemTime,
    /// A login that others go on with.
    pub(super) unfinished: Option<Unfinished>,
}

#[derive(Debug)]
enum Outcome {
    Good(Block),
    /// It is not for this server.
    NotForIt,
    Failed(Wrong),
}

/// Why a query has no samples.
#[derive(Debug)]
enum Wrong {
    /// It could not be asked, or the server refused it.
    Failure(Failure),
    /// What it answered.
    Answer(String),
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Wrong {
        Wrong::Failure(failure)
    }
}

impl Queries {
    /// The first ones are due soon, not all at once.
    pub(super) fn new(target: &Target, now: Instant) -> Queries {
        let due = |(number, query): (usize, &Arc<Query>)| {
            let every = target.pace_of(query);
            let due = now + (FIRST * (number as u32 + 1)).min(every);
            Due { query: query.clone(), every, due, lane: Lane::Quick }
        };
        Queries { each: target.queries.iter().enumerate().map(due).collect(), told: BTreeSet::new() }
    }

    pub(super) fn due(&self, lane: Lane) -> Option<Instant> {
        self.each.iter().filter(|each| each.lane == lane).map(|each| each.due).min()
    }

    /// The one that has been due longest; it is due again after its interval.
    pub(super) fn take(&mut self, lane: Lane, now: Instant) -> Option<(Arc<Query>, Duration)> {
        let is_due = |each: &&mut Due| each.lane == lane && each.due <= now;
        let next = self.each.iter_mut().filter(is_due).min_by_key(|each| each.due)?;
        next.due = now + next.every;
        Some((next.query.clone(), next.every))
    }

    /// Nobody can be asked now: those that are due have nothing new to tell.
    pub(super) fn put_off(&mut self, now: Instant, instruments: &TargetInstruments, snapshot: &mut Snapshot) {
        for Due { query, .. } in self.each.iter().filter(|each| each.due <= now) {
            instruments.not_collected(&query.label(), Duration::ZERO);
            let last_success = snapshot.last_success(&query.name);
            let error = Some("not asked: no session gets an answer now".to_owned());
            snapshot.ran(CollectorResult { name: query.name.clone().into(), last_success, error });
        }
        self.delay(now);
    }

    fn delay(&mut self, now: Instant) {
        for each in &mut self.each {
            each.due = each.due.max(now + FIRST.min(each.every));
        }
    }

    /// Takes in what came of a query. Says when the server answered, if it did.
    pub(super) fn take_in(
        &mut self,
        asked: Asked,
        target: &Target,
        slot: &Slot,
        instruments: &TargetInstruments,
        snapshot: &mut Snapshot,
    ) -> Option<Instant> {
        let Asked { query, every, outcome, took, began, began_at, .. } = asked;
        let label = query.label();
        let last_success = snapshot.last_success(&query.name);
        let mut seen = CollectorResult { name: query.name.clone().into(), last_success, error: None };
        if took > LONG
            && let Some(each) = self.each.iter_mut().find(|each| each.query.name == query.name)
        {
            each.lane = Lane::Slow;
        }
        let says = match outcome {
            Outcome::Good(block) => {
                instruments.dropped(block.dropped);
                instruments.collected(&label, took, began_at);
                instruments.feature(&label, None);
                instruments.run(Job::Collect, Run::Ok);
                let block = within_series(block, &query.name, target, slot, instruments);
                slot.copied(query.name.clone(), block, began + every * SHOWN_FOR_INTERVALS);
                if self.told.remove(&query.name) {
                    info!(target = %target.name, query = query.name, "query succeeds again");
                }
                seen.last_success = Some(began_at);
                snapshot.ran(seen);
                return Some(began + took);
            }
            Outcome::NotForIt => {
                instruments.collected(&label, Duration::ZERO, began_at);
                instruments.feature(&label, Some(Why::Version.label()));
                return None;
            }
            Outcome::Failed(Wrong::Failure(failure)) => {
                instruments.run(Job::Collect, Run::of(&failure));
                if matches!(failure.errno, Some(1044 | 1142 | 1143 | 1227)) {
                    instruments.feature(&label, Some(Why::Grant.label()));
                }
                failure.to_string()
            }
            Outcome::Failed(Wrong::Answer(says)) => {
                instruments.run(Job::Collect, Run::Error);
                says
            }
        };
        instruments.not_collected(&label, took);
        seen.error = Some(says.clone());
        snapshot.ran(seen);
        if self.told.insert(query.name.clone()) {
            warn!(target = %target.name, query = query.name, detail = says, "query failed");
        }
        None
    }
}

/// Asks one query, on a connection that is opened for it. It ends within its timeout and the time to log in.
pub(super) async fn ask(
    target: Arc<Target>,
    facts: Arc<Facts>,
    budget: Budget,
    gate: Arc<Gate>,
    (query, every): (Arc<Query>, Duration),
) -> Asked {
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let mut unfinished = None;
    let outcome = match query.is_for_server(&facts.server) {
        false => Outcome::NotForIt,
        true => match run(&target, facts, &budget, &gate, &query, &mut unfinished).await {
            Ok(block) => Outcome::Good(block),
            Err(wrong) => Outcome::Failed(wrong),
        },
    };
    Asked { query, every, outcome, took: began.elapsed(), began, began_at, unfinished }
}

async fn run(
    target: &Arc<Target>,
    facts: Arc<Facts>,
    budget: &Budget,
    gate: &Arc<Gate>,
    query: &Query,
    unfinished: &mut Option<Unfinished>,
) -> Result<Block, Wrong> {
    let deadline = Instant::now() + target.timeout;
    let place = place(budget, deadline).await?;
    let logging_in = login(target.clone(), facts.clone(), place);
    let leave = |(connection, _place): (Connection, Place)| connection.quit();
    let (mut connection, _place) = match patience::within(logging_in, deadline, gate, leave).await {
        Ok(ended) => ended?,
        Err(late) => {
            *unfinished = Some(late);
            let says = "logging in took longer than the deadline";
            return Err(Failure::new(Phase::Auth, Reason::Timeout, says).into());
        }
    };
    let answer = statements(&mut connection, &facts.server, query).await;
    if connection.is_in_step() {
        connection.quit().await;
    }
    let rows = answer?;
    query.read(&rows, target.label.as_deref()).map_err(Wrong::Answer)
}

/// A place in the budget, as soon as one is free.
async fn place(budget: &Budget, deadline: Instant) -> Result<Place, Failure> {
    loop {
        let freed = budget.freed();
        if let Some(place) = budget.take(Purpose::OnDemand) {
            return Ok(place);
        }
        if timeout_at(deadline, freed).await.is_err() {
            let says = format!("none of the {} connections of this target is free", budget.limit());
            return Err(
                Failure::new(Phase::Query, Reason::Timeout, says).with_hint("raise `connections` of the target")
            );
        }
    }
}

async fn login(target: Arc<Target>, facts: Arc<Facts>, place: Place) -> Result<(Connection, Place), Failure> {
    let (mut times, longest) = (PhaseTimes::default(), patience::longest());
    let addresses = Addresses::of_peer(facts.peer_addr);
    let dialed = handshake::dial(&target.access, &addresses, target.connect_timeout, longest, &mut times).await?;
    Ok((dialed.login(&target.access, longest, &mut times).await?, place))
}

/// The query, in a session that reads only, within its limits.
async fn statements(connection: &mut Connection, server: &Server, query: &Query) -> Result<Rows, Wrong> {
    let said = &query.said;
    let began = Instant::now();
    let deadline = began + said.timeout;
    // A single statement is a transaction of its own. What writes is refused (1792), and what a server would commit
    // before it is not in what may be configured.
    connection.query("SET SESSION TRANSACTION READ ONLY", deadline).await?;
    // The server's end comes first: so the connection can be left in order.
    let on_server = said.timeout * 9 / 10;
    connection.query(&limits(server, on_server, said.max_rows), deadline).await?;
    let most = Most { rows: said.max_rows as usize, bytes: MOST_BYTES, read_out: READ_OUT };
    let asked = Instant::now();
    let too_late = || {
        let says = format!("no answer within its timeout of {}", humantime::format_duration(said.timeout));
        Wrong::Failure(Failure::new(Phase::Query, Reason::Timeout, says))
    };
    let rows = match connection.query_bounded(&said.sql, most, deadline).await {
        Ok(Ok(rows)) => rows,
        Err(failure) if failure.reason == Reason::Timeout => return Err(too_late()),
        Err(failure) => return Err(failure.into()),
        Ok(Err(Beyond::Rows)) => {
            return Err(Wrong::Answer(format!(
                "the answer has more than {} rows (`max_rows`); ask for less, or raise it",
                said.max_rows
            )));
        }
        Ok(Err(Beyond::Bytes)) => {
            let says = format!("the answer is larger than {} MiB; ask for less", MOST_BYTES >> 20);
            return Err(Wrong::Answer(says));
        }
    };
    if asked.elapsed() >= on_server {
        // MySQL's SLEEP() ends early and without an error.
        return Err(too_late());
    }
    Ok(rows)
}

/// The limits that the server keeps by itself: of time, and of rows where the statement has no LIMIT of its own.
fn limits(server: &Server, time: Duration, rows: u32) -> String {
    // One more than may come: so it shows that there are more.
    let mut sql = format!(
        "SET SESSION sql_select_limit = {}, lock_wait_timeout = {}",
        u64::from(rows) + 1,
        time.as_secs().max(1)
    );
    if server.mariadb_since(10, 1, 1) {
        sql.push_str(&format!(", max_statement_time = {:.3}", time.as_secs_f64()));
    }
    if server.mysql_since(5, 7, 8) {
        sql.push_str(&format!(", max_execution_time = {}", time.as_millis().max(1)));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_query_that_takes_long_delays_only_others_that_do() {
        let now = Instant::now();
        let due = |lane| Due { query: Arc::new(query()), every: Duration::from_secs(9), due: now, lane };
        let mut queries = Queries { each: vec![due(Lane::Slow), due(Lane::Quick)], told: BTreeSet::new() };
        for lane in [Lane::Quick, Lane::Slow] {
            assert_eq!(queries.due(lane), Some(now));
            assert!(queries.take(lane, now).is_some() && queries.take(lane, now).is_none(), "{lane:?}");
            assert_eq!(queries.due(lane), Some(now + Duration::from_secs(9)));
        }
        queries.delay(now + Duration::from_secs(10));
        assert_eq!(queries.due(Lane::Quick), Some(now + Duration::from_secs(10) + FIRST));
    }

    fn query() -> Query {
        let said = config::Query {
            sql: "SELECT 1".to_owned(),
            every: Duration::from_secs(9),
            timeout: Duration::from_secs(1),
            labels: Vec::new(),
            values: Default::default(),
            targets: None,
            servers: None,
            max_rows: 1,
            max_series: 1,
        };
        Query::new("q", &said)
    }

    #[test]
    fn the_server_is_told_the_limits_in_its_own_words() {
        let said = |version: &str| limits(&Server::from_version(version), Duration::from_millis(4500), 10);
        let all = "SET SESSION sql_select_limit = 11, lock_wait_timeout = 4";
        assert_eq!(said("9.7.4"), format!("{all}, max_execution_time = 4500"));
        assert_eq!(said("10.11.19-MariaDB"), format!("{all}, max_statement_time = 4.500"));
        assert_eq!(said("5.6.51"), all);
    }
}
