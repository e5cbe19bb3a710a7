//! Asking the server about connections that were lost: one fresh connection, for all that were lost lately.
//!
//! That it gets in, or where it fails, is evidence itself. What it is told: which server and which life of it this is,
//! how many KILLs there were, and whether the lost threads are still listed. A server takes a moment to clear up, so
//! what is listed is asked for again a second later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::loss::{Fresh, Thread};
use super::standing::{Askable, Standing};
use super::target::Target;
use crate::mysql::budget::Place;
use crate::mysql::failure::Failure;
use crate::mysql::handshake::{self, Addresses, Connection, Facts, PhaseTimes};
use crate::mysql::server::Server;

/// A thread that is still listed is asked for again after this.
const SETTLE: Duration = Duration::from_secs(1);

/// So many threads are asked about at once; more that were lost together are judged without.
const MOST_THREADS: usize = 200;

/// What is to be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    /// Of lost connections.
    pub(super) threads: Vec<Session>,
    /// Left behind in the server by a silent path: they are to be ended.
    pub(super) orphans: Vec<Session>,
}

/// A session that we had, as the server knows it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) thread_id: u32,
    /// As it was when it was opened: a number means another thread in another life.
    pub(super) standing: Arc<Standing>,
}

impl Session {
    fn may_be_of(&self, life: &Standing) -> bool {
        !self.standing.tells_its_life() || !life.tells_its_life() || self.standing.is_same_life(life)
    }
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) at: Instant,
    pub(super) fresh: Fresh,
    /// Why nobody could be asked.
    pub(super) failure: Option<Failure>,
    pub(super) standing: Option<Standing>,
    pub(super) threads: BTreeMap<u32, Thread>,
    /// Of those that are listed: they wait for a statement.
    pub(super) asleep: BTreeSet<u32>,
    /// KILLs of our own that were sent.
    pub(super) killed: u64,
}

impl Answer {
    fn none(at: Instant, failure: Failure) -> Answer {
        let fresh = Fresh::from(&failure);
        Answer { fresh, failure: Some(failure), ..Answer::good(at) }
    }

    pub(super) fn good(at: Instant) -> Answer {
        Answer {
            at,
            fresh: Fresh::Good,
            failure: None,
            standing: None,
            threads: BTreeMap::new(),
            asleep: BTreeSet::new(),
            killed: 0,
        }
    }
}

/// Asks. It ends within the target's deadline and the second for asking again.
pub(super) async fn ask(target: &Target, facts: &Facts, question: Question, place: Place) -> Answer {
    let deadline = Instant::now() + target.timeout;
    let mut connection = match connect(target, facts, deadline).await {
        Ok(connection) => connection,
        Err(failure) => return Answer::none(Instant::now(), failure),
    };
    let mut answer = Answer::good(Instant::now());
    match question_all(&mut connection, facts, question, &mut answer, deadline).await {
        Ok(()) => connection.quit().await,
        // A server that answers with an error is there; what it did not say is not known.
        Err(failure) if failure.errno.is_some() => connection.quit().await,
        Err(failure) => {
            // What it has said until then is true.
            answer.fresh = Fresh::from(&failure);
            answer.failure = Some(failure);
        }
    }
    drop(place);
    answer
}

async fn connect(target: &Target, facts: &Facts, deadline: Instant) -> Result<Connection, Failure> {
    let mut times = PhaseTimes::default();
    let addresses = Addresses::of_peer(facts.peer_addr);
    let dialed = handshake::dial(&target.access, &addresses, target.connect_timeout, deadline, &mut times).await?;
    dialed.login(&target.access, deadline, &mut times).await
}

async fn question_all(
    connection: &mut Connection,
    facts: &Facts,
    mut question: Question,
    answer: &mut Answer,
    deadline: Instant,
) -> Result<(), Failure> {
    let standing = Standing::ask(connection, deadline).await?;
    answer.at = standing.read_at;
    answer.standing = Some(standing.clone());
    // A server that was started anew gives the numbers to others.
    question.threads.retain(|session| session.may_be_of(&standing));
    question.threads.truncate(MOST_THREADS);
    let threads: Vec<u32> = question.threads.iter().map(|session| session.thread_id).collect();
    (answer.threads, answer.asleep) = look(connection, &facts.server, &threads, &BTreeMap::new(), deadline).await?;
    let listed: Vec<u32> =
        answer.threads.iter().filter(|(_, thread)| **thread == Thread::ListedOnce).map(|(id, _)| *id).collect();
    if !listed.is_empty() {
        sleep(SETTLE).await;
        let (again, asleep) = look(connection, &facts.server, &listed, &answer.threads, deadline + SETTLE).await?;
        answer.threads.extend(again);
        answer.asleep = asleep;
    }
    for orphan in question.orphans.iter().filter(|orphan| orphan.standing.is_same_life(&standing)) {
        let id = orphan.thread_id;
        match connection.query(&format!("KILL {id}"), deadline + SETTLE).await {
            Ok(_) => answer.killed += 1,
            // It has ended meanwhile (1094); the server does not count that.
            Err(failure) if failure.errno.is_some() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Which of these threads the server lists, and which of those wait for a statement.
async fn look(
    connection: &mut impl Askable,
    server: &Server,
    ids: &[u32],
    before: &BTreeMap<u32, Thread>,
    deadline: Instant,
) -> Result<(BTreeMap<u32, Thread>, BTreeSet<u32>), Failure> {
    if ids.is_empty() {
        return Ok(Default::default());
    }
    let rows = connection.ask(&statement(server, ids), deadline).await?;
    let listed_as = |fits: fn(&str) -> bool| -> BTreeSet<u32> {
        rows.pairs().filter(|(_, command)| fits(command)).filter_map(|(id, _)| id.parse().ok()).collect()
    };
    let listed = listed_as(|command| !command.eq_ignore_ascii_case("Killed"));
    let asleep = listed_as(|command| command.eq_ignore_ascii_case("Sleep"));
    let now = |id: u32| match (listed.contains(&id), before.contains_key(&id)) {
        (false, _) => Thread::Gone,
        (true, false) => Thread::ListedOnce,
        (true, true) => Thread::Listed,
    };
    Ok((ids.iter().map(|id| (*id, now(*id))).collect(), asleep))
}

/// Every account sees its own threads; so a number that has gone to somebody else is not taken for ours.
fn statement(server: &Server, ids: &[u32]) -> String {
    // MySQL counts uses of the old table as a deprecated feature.
    let table = match server.mysql_since(8, 0, 22) {
        true => "performance_schema.processlist",
        false => "information_schema.processlist",
    };
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    format!(
        "SELECT id, command FROM {table} WHERE id IN ({}) AND user = SUBSTRING_INDEX(USER(), '@', 1)",
        ids.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::rows::Rows;

    struct Lists(Vec<(&'static str, &'static str)>);

    impl Askable for Lists {
        async fn ask(&mut self, _sql: &str, _deadline: Instant) -> Result<Rows, Failure> {
            Ok(Rows::of(&["id", "command"], self.0.iter().map(|(id, command)| vec![Some(*id), Some(*command)])))
        }
    }

    #[tokio::test]
    async fn a_listed_thread_is_believed_at_the_second_look_and_a_killed_one_is_gone() {
        let mut lists = Lists(vec![("7", "Sleep"), ("8", "Killed"), ("9", "Query")]);
        let server = Server::from_version("10.11.6-MariaDB");
        let later = Instant::now();
        let (first, asleep) = look(&mut lists, &server, &[6, 7, 8, 9], &BTreeMap::new(), later).await.expect("rows");
        let expect = [(6, Thread::Gone), (7, Thread::ListedOnce), (8, Thread::Gone), (9, Thread::ListedOnce)];
        assert_eq!((&first, asleep), (&expect.into(), [7].into()));
        lists.0 = vec![("7", "Sleep")];
        let (again, _) = look(&mut lists, &server, &[7, 9], &first, later).await.expect("rows");
        assert_eq!(again, [(7, Thread::Listed), (9, Thread::Gone)].into());
    }

    #[test]
    fn the_question_is_about_our_own_threads() {
        let old = statement(&Server::from_version("8.0.21"), &[7, 8]);
        assert!(old.contains("information_schema.processlist WHERE id IN (7, 8) AND user ="), "{old}");
        assert!(statement(&Server::from_version("8.0.22"), &[7]).contains("performance_schema.processlist"));
    }
}
