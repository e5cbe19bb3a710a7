//! One timed attempt to become a client of the server.
//!
//! A probe never retries and never pools: a second try would hide what it measures. It logs in, asks one statement
//! and leaves with COM_QUIT. One thing it does not do is to walk away from a server that has accepted the connection
//! and says nothing: each handshake that is given up counts at the server as an aborted connect, and enough of
//! them block this host. So that one attempt is kept open (`Silent`) until the server wakes or the path is dead.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::target::Target;
use crate::mysql::budget::Place;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{self, Connection, Dialed, Facts, PhaseTimes};
use crate::mysql::path::{self, Path};

/// What a probe asks: as light as a statement can be.
const STATEMENT: &str = "SELECT 1";

/// How long to wait for a greeting on one connection at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The same where the server that woke may not be the one behind this connection: the name has several addresses of
/// one family, or something lies between that keeps the connection to us alive by itself.
const LONGEST_WAIT_OF_MANY: Duration = Duration::from_secs(60);

/// How a probe went within its deadline.
#[derive(Debug)]
pub enum Probed {
    Ended(Box<Ended>),
    /// Connected, but no greeting in time. A failure, of which the rest is still awaited.
    Silent(Box<Silent>),
}

/// A probe that is over.
#[derive(Debug)]
pub struct Ended {
    /// The whole probe, up to the answer of the statement.
    pub took: Duration,
    pub times: PhaseTimes,
    pub outcome: Result<Facts, Failure>,
    /// What the target's name resolved to, where there was a name and an answer.
    pub addresses: Option<BTreeSet<IpAddr>>,
    /// What was found out about the path, where the server was asked.
    pub path: Option<Found>,
}

/// What the server has said of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: Known,
    /// The address that the server sees of us.
    pub seen_as: Option<String>,
}

/// What is known of the path to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    #[default]
    NotAsked,
    /// The server did not say: asking again would only be one more error for it.
    NotTold,
    Is(Path),
}

/// A connection on which the server has not said anything yet.
#[derive(Debug)]
pub struct Silent {
    dialed: Dialed,
    addresses: Option<BTreeSet<IpAddr>>,
    path: Known,
    times: PhaseTimes,
    began: Instant,
    place: Place,
}

/// Probes the target once.
///
/// `path` is what is known of the path from earlier probes; where nothing is, the server is asked for it, after the
/// measured part.
pub async fn probe(target: &Target, place: Place, path: Known) -> Probed {
    let began = Instant::now();
    let deadline = began + target.timeout;
    let mut times = PhaseTimes::default();
    let ended = |times, addresses, outcome, took| {
        Probed::Ended(Box::new(Ended { took, times, outcome, addresses, path: None }))
    };
    let resolved = match handshake::resolve(&target.access, deadline, &mut times).await {
        Ok(resolved) => resolved,
        Err(failure) => return ended(times, None, Err(failure), began.elapsed()),
    };
    let addresses = resolved.of_name();
    let dialed = handshake::dial(&target.access, &resolved, target.connect_timeout, deadline, &mut times).await;
    let mut dialed = match dialed {
        Ok(dialed) => dialed,
        Err(failure) => return ended(times, addresses, Err(failure), began.elapsed()),
    };
    let asked = Instant::now();
    match timeout_at(deadline, dialed.greeting()).await {
        Err(_) => Probed::Silent(Box::new(Silent { dialed, addresses, path, times, began, place })),
        Ok(Err(failure)) => ended(times, addresses, Err(failure), began.elapsed()),
        Ok(Ok(())) => {
            times.record(Phase::Greeting, asked.elapsed());
            let (outcome, took, path) = log_in(target, dialed, &mut times, path, began, deadline).await;
            Probed::Ended(Box::new(Ended { took, times, outcome, addresses, path }))
        }
    }
}

/// The failure of a probe whose greeting is still awaited.
pub fn no_greeting(waited: Duration) -> Failure {
    Failure::new(
        Phase::Greeting,
        Reason::Timeout,
        format!("connected, but the server has not said anything for {:.1} s", waited.as_secs_f64()),
    )
    .with_hint(
        "the server is frozen or overloaded, or is slow to resolve the name of this host (`skip_name_resolve`), or \
         what listens there is no MySQL server",
    )
}

impl Silent {
    /// The phases that were passed so far.
    pub fn times(&self) -> &PhaseTimes {
        &self.times
    }

    pub fn waited(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until the server wakes, closes, or the path turns out to be dead.
    pub async fn wait(mut self, target: &Target) -> Ended {
        // A frozen server's kernel answers keepalives, a dead path does not. Without them a dead path is noticed
        // at the end of the wait only, which is still an end.
        let _ = self.dialed.keep_alive();
        // One server often has an address of each family.
        let of_a_family = |v4| self.addresses.iter().flatten().filter(|address| address.is_ipv4() == v4).count();
        let many = of_a_family(true) > 1 || of_a_family(false) > 1;
        let longest = if many || self.path == Known::Is(Path::Proxied) { LONGEST_WAIT_OF_MANY } else { LONGEST_WAIT };
        let left = longest.saturating_sub(self.began.elapsed());
        let outcome = match timeout(left, self.dialed.greeting()).await {
            Err(_) => Err(no_greeting(self.began.elapsed())),
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(())) => {
                let deadline = Instant::now() + target.timeout;
                let (outcome, ..) = log_in(target, self.dialed, &mut self.times, self.path, self.began, deadline).await;
                outcome
            }
        };
        drop(self.place);
        Ended { took: self.began.elapsed(), times: self.times, outcome, addresses: self.addresses, path: None }
    }
}

/// Everything after the greeting; the time is taken before COM_QUIT.
async fn log_in(
    target: &Target,
    dialed: Dialed,
    times: &mut PhaseTimes,
    path: Known,
    began: Instant,
    deadline: Instant,
) -> (Result<Facts, Failure>, Duration, Option<Found>) {
    let mut connection: Connection = match dialed.login(&target.access, deadline, times).await {
        Ok(connection) => connection,
        Err(failure) => return (Err(failure), began.elapsed(), None),
    };
    let asked = Instant::now();
    let answer = connection.query(STATEMENT, deadline).await;
    let took = began.elapsed();
    match answer {
        Ok(_) => {
            times.record(Phase::Query, asked.elapsed());
            let facts = connection.facts().clone();
            let path = match (path, facts.local_addr) {
                (Known::NotAsked, Some(ours)) => Some(ask_path(&mut connection, &facts, ours, deadline).await),
                _ => None,
            };
            connection.quit().await;
            (Ok(facts), took, path)
        }
        Err(failure) => {
            // After an ERR the session is still in order; after anything else there is nobody to say goodbye to.
            if failure.errno.is_some() {
                connection.quit().await;
            }
            (Err(failure), took, None)
        }
    }
}

async fn ask_path(connection: &mut Connection, facts: &Facts, ours: SocketAddr, deadline: Instant) -> Found {
    let question = path::question(&facts.server, facts.connection_id);
    let rows = connection.query(&question, deadline).await.ok();
    let seen_as = rows.as_ref().and_then(|rows| rows.scalar()).map(str::to_owned);
    let path = seen_as.as_deref().and_then(|shown| Path::between(ours, shown)).map_or(Known::NotTold, Known::Is);
    Found { path, seen_as }
}
