//! Sessions as the pool's connections, and the gate before them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::budget::Place;
use super::super::failure::{Failure, Phase, Reason};
use super::super::handshake::{Access, Facts};
use super::super::session::Session;
use super::super::signal::Standing;
use super::connect::{Connection, Connector};
use crate::config::Tls;

/// Whether connections may be opened to a server: only as the last probe did, and only if that got in.
///
/// A server that does not let one in would count each further try; one that has frozen would keep them all waiting.
#[derive(Debug)]
pub struct Gate {
    probed: watch::Sender<Option<Arc<Facts>>>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { probed: watch::Sender::new(None) }
    }
}

impl Gate {
    /// A fresh connection got in, and this is what it negotiated.
    pub fn open(&self, facts: Facts) {
        self.probed.send_replace(Some(Arc::new(facts)));
    }

    pub fn close(&self) {
        self.probed.send_if_modified(|probed| probed.take().is_some());
    }

    /// What the last probe negotiated; none if the gate is closed.
    pub fn facts(&self) -> Option<Arc<Facts>> {
        self.probed.borrow().clone()
    }

    pub fn is_open(&self) -> bool {
        self.probed.borrow().is_some()
    }

    /// Ends when the gate is open.
    pub async fn opened(&self) {
        // It fails when the sender is gone, and that is ours.
        let _ = self.probed.subscribe().wait_for(Option::is_some).await;
    }
}

/// Opens sessions to one server, as its last good probe did.
#[derive(Debug)]
pub struct Sessions {
    access: Access,
    tls: Tls,
    statement_limit: Duration,
    gate: Arc<Gate>,
}

impl Sessions {
    pub fn new(access: Access, tls: Tls, statement_limit: Duration, gate: Arc<Gate>) -> Sessions {
        Sessions { access, tls, statement_limit, gate }
    }
}

impl Connector for Sessions {
    type Connection = Session;

    async fn open(&self, place: Place, deadline: Instant) -> Result<Session, Failure> {
        let Some(probed) = self.gate.facts() else { return Err(closed()) };
        // The server's own idle limit: what it does to an application it shall do to us.
        Session::open(&self.access, &self.tls, &probed, None, self.statement_limit, place, deadline).await
    }
}

/// Why nothing is opened while the gate is closed.
pub fn closed() -> Failure {
    Failure::new(Phase::Auth, Reason::Other, "the last probe did not get in")
}

impl Connection for Session {
    type Known = ();

    fn known(&self) {}

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
