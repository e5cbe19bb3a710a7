//! A pool's connection, and what it knows of itself when it is lost.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::loss::Transaction;
use super::super::standing::Standing;
use crate::mysql::failure::Failure;
use crate::mysql::pool::Connection;
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
    pub(super) fn new(session: Session, standing: Arc<Standing>) -> Watched {
        Watched { session, standing, transaction: Transaction::None }
    }

    /// Whether its user left a transaction open: it may rest for less time then.
    pub fn rests_in(&mut self, transaction: Transaction) {
        self.transaction = transaction;
    }

    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
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
