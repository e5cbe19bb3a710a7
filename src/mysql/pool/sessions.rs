//! Sessions as the pool's connections.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::budget::Place;
use super::super::failure::{Failure, Phase, Reason};
use super::super::handshake::{Access, Facts};
use super::super::session::Session;
use super::super::signal::Standing;
use super::connect::{Connection, Connector};
use crate::config::Tls;

/// Opens sessions to one server, as its last good probe did.
#[derive(Debug)]
pub struct Sessions {
    access: Access,
    tls: Tls,
    statement_limit: Duration,
    probed: Mutex<Option<Facts>>,
}

impl Sessions {
    /// Nothing is opened before a probe has got in.
    pub fn new(access: Access, tls: Tls, statement_limit: Duration) -> Sessions {
        Sessions { access, tls, statement_limit, probed: Mutex::new(None) }
    }

    /// What the last probe negotiated; none if it did not get in, and then no session is opened.
    pub fn probed(&self, facts: Option<Facts>) {
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}

impl Connector for Sessions {
    type Connection = Session;

    async fn open(&self, place: Place, deadline: Instant) -> Result<Session, Failure> {
        let probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(probed) = probed else {
            return Err(Failure::new(Phase::Auth, Reason::Other, "the last probe did not get in"));
        };
        // The server's own idle limit: what it does to an application it shall do to us.
        Session::open(&self.access, &self.tls, &probed, None, self.statement_limit, place, deadline).await
    }
}

impl Connection for Session {
    fn id(&self) -> u32 {
        self.connection_id()
    }

    fn standing(&self) -> Standing<'_> {
        Session::standing(self)
    }

    fn answered_at(&self) -> Instant {
        Session::answered_at(self)
    }

    async fn ping(&mut self, deadline: Instant) -> Result<(), Failure> {
        Session::ping(self, deadline).await
    }

    async fn reset(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.query("ROLLBACK", deadline).await.map(drop)
    }

    async fn close(self) {
        Session::close(self).await;
    }
}
