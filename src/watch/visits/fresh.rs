//! Logins for one visit each, and what is remembered of a server between two visits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::super::collection::{Found, Line, Source};
use super::super::patience;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{self, Access, Connection, Lookup, PhaseTimes};
use crate::mysql::pool::Gate;
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// Tasks that go on without the one who began them.
pub(super) type Tasks = Arc<Mutex<JoinSet<()>>>;

/// How long a server that has accepted a connection and says nothing is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the phases before the greeting leave of the deadline, so that they are told from it.
const EARLIER: Duration = Duration::from_millis(5);

/// A server as visits know it.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) found: Found,
    pub(super) lookup: Arc<Lookup>,
    gate: Arc<Gate>,
    /// A login is under way that nobody waits for any more.
    silent: AtomicBool,
    /// The failure that the log has told.
    told: Mutex<Option<String>>,
}

impl Met {
    /// Whether this failure, or that there is none, is news.
    pub(super) fn is_news(&self, failure: Option<&Failure>) -> bool {
        let words = failure.map(Failure::to_string);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *told != words;
        *told = words;
        is_news
    }
}

/// Opens a connection of its own for each visit.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) access: Access,
    pub(super) met: Arc<Met>,
    pub(super) tasks: Tasks,
}

impl Source for Fresh {
    type Line = Connection;

    async fn open(&self, deadline: Instant) -> Result<Connection, Failure> {
        // Each handshake that is given up is an aborted connect at the server, and enough of them block this host.
        if self.met.silent.load(Ordering::Relaxed) {
            let says = "an earlier connection still waits for the server's first word or the end of a login";
            return Err(Failure::new(Phase::Greeting, Reason::Timeout, says));
        }
        let login = log_in(self.access.clone(), deadline - EARLIER);
        match patience::within(login, deadline, &self.met.gate, Connection::quit).await {
            Ok(ended) => ended,
            Err(unfinished) => {
                let met = self.met.clone();
                met.silent.store(true, Ordering::Relaxed);
                let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                tasks.spawn(async move {
                    // Whatever comes of it, the next visit asks anew.
                    let _ = timeout(LONGEST_WAIT, unfinished.finish()).await;
                    met.silent.store(false, Ordering::Relaxed);
                });
                Err(Failure::new(
                    Phase::Greeting,
                    Reason::Timeout,
                    "connected, but within the deadline the server has not said anything, or not finished the login",
                ))
            }
        }
    }
}

/// Everything up to a login. The server may take as long as it likes once it has accepted the connection.
async fn log_in(access: Access, connected_by: Instant) -> Result<Connection, Failure> {
    let mut times = PhaseTimes::default();
    let addresses = handshake::resolve(&access, connected_by, &mut times).await?;
    let left = connected_by.saturating_duration_since(Instant::now());
    let mut dialed = handshake::dial(&access, &addresses, left, connected_by, &mut times).await?;
    dialed.greeting().await?;
    dialed.login(&access, patience::longest(), &mut times).await
}

impl Line for Connection {
    fn server(&self) -> &Server {
        &self.facts().server
    }

    async fn query(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        Connection::query(self, sql, deadline).await
    }

    async fn done(self) {
        self.quit().await;
    }
}
