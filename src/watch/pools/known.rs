//! A pool's connection, and what it knows of itself when it is lost.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::loss::Transaction;
use super::super::standing::Standing;
use crate::mysql::budget::Place;
use crate::mysql::failure::Failure;
use crate::mysql::pool::{Connection, Connector, Sessions};
use crate::mysql::server::Server;
use crate::mysql::session::Session;
use crate::mysql::signal;

/// A session that has been asked where it stands.
#[derive(Debug)]
pub struct Watched {
    pub session: Session,
    standing: Arc<Standing>,
    transaction: Transaction,
}

/// What is known of a connection, for the verdict on its loss.
#[derive(Clone, Debug)]
pub struct Known {
    pub server: Server,
    /// As it was when the connection was opened.
    pub standing: Arc<Standing>,
    pub transaction: Transaction,
    /// When it was last asked something, and the bytes of the statement; none for a ping.
    pub asked_at: Instant,
    pub asked: u64,
}

impl Watched {
    /// Whether its user left a transaction open: it may rest for less time then.
    pub fn rests_in(&mut self, transaction: Transaction) {
        self.transaction = transaction;
    }

    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }
}

/// Opens sessions that know where they stand.
#[derive(Debug)]
pub struct Opener {
    sessions: Sessions,
    charset: Option<String>,
}

impl Opener {
    pub fn new(sessions: Sessions, charset: Option<String>) -> Opener {
        Opener { sessions, charset }
    }
}

impl Connector for Opener {
    type Connection = Watched;

    async fn open(&self, place: Place, deadline: Instant) -> Result<Watched, Failure> {
        let mut session = self.sessions.open(place, deadline).await?;
        match prepare(&mut session, self.charset.as_deref(), deadline).await {
            Ok(standing) => Ok(Watched { session, standing: Arc::new(standing), transaction: Transaction::None }),
            Err(failure) => {
                session.close().await;
                Err(failure)
            }
        }
    }
}

async fn prepare(session: &mut Session, charset: Option<&str>, deadline: Instant) -> Result<Standing, Failure> {
    if let Some(charset) = charset {
        // A name that the configuration has checked: letters, digits and `_`.
        session.query(&format!("SET NAMES {charset}"), deadline).await.map_err(|failure| match failure.errno {
            Some(_) => failure.with_hint("the server does not know this `charset` of the pool"),
            None => failure,
        })?;
    }
    match Standing::ask(session, deadline).await {
        // Something between that knows only some statements: the session serves, and says less when it is lost.
        Err(refused) if refused.errno.is_some() && session.standing() == signal::Standing::InStep => {
            Ok(Standing::silent())
        }
        answer => answer,
    }
}

impl Connection for Watched {
    type Known = Known;

    fn known(&self) -> Known {
        Known {
            server: self.session.server().clone(),
            standing: self.standing.clone(),
            transaction: self.transaction,
            asked_at: self.session.asked_at(),
            asked: self.session.asked(),
        }
    }

    fn id(&self) -> u32 {
        self.session.connection_id()
    }

    fn standing(&self) -> signal::Standing<'_> {
        self.session.standing()
    }

    fn answered_at(&self) -> Instant {
        self.session.answered_at()
    }

    async fn ping(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.session.ping(deadline).await
    }

    async fn reset(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.transaction = Transaction::None;
        self.session.query("ROLLBACK", deadline).await.map(drop)
    }

    async fn close(self) {
        self.session.close().await;
    }
}
