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
///
/// Where there was silence instead of an answer, also the connections that are there had better rest until somebody gets
/// in: each that is asked and then given up is one that a frozen server counts as aborted when it wakes.
#[derive(Debug)]
pub struct Gate {
    stands: watch::Sender<Stands>,
}

#[derive(Debug)]
enum Stands {
    /// A fresh connection got in, and this is what it negotiated.
    Open(Arc<Facts>),
    Closed,
    Silent,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { stands: watch::Sender::new(Stands::Closed) }
    }
}

impl Gate {
    /// A fresh connection got in, and this is what it negotiated.
    pub fn open(&self, facts: Facts) {
        self.stands.send_replace(Stands::Open(Arc::new(facts)));
    }

    /// A fresh connection did not get in.
    pub fn close(&self) {
        self.stands.send_replace(Stands::Closed);
    }

    /// There was no answer in time: not to a connection that was there, or not even a greeting.
    pub fn fall_silent(&self) {
        self.stands.send_replace(Stands::Silent);
    }

    /// A fresh connection has ended thus.
    pub fn turn_away(&self, failure: &Failure) {
        // Without an answer to the SYN it is the host or the path that says nothing: what is there will be found lost.
        match (failure.phase, failure.reason) {
            (Phase::Dns | Phase::Tcp, _) => self.close(),
            (_, Reason::Timeout) => self.fall_silent(),
            _ => self.close(),
        }
    }

    /// What the last probe negotiated; none if the gate is closed.
    pub fn facts(&self) -> Option<Arc<Facts>> {
        match &*self.stands.borrow() {
            Stands::Open(facts) => Some(facts.clone()),
            Stands::Closed | Stands::Silent => None,
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(&*self.stands.borrow(), Stands::Open(_))
    }

    /// Whether there was silence, and nobody has got in or was turned away since.
    pub fn is_silent(&self) -> bool {
        matches!(&*self.stands.borrow(), Stands::Silent)
    }

    /// Ends when the gate is open.
    pub async fn opened(&self) {
        // It fails when the sender is gone, and that is ours.
        let _ = self.stands.subscribe().wait_for(|stands| matches!(stands, Stands::Open(_))).await;
    }

    /// Ends when there is no silence.
    pub async fn broke_silence(&self) {
        let _ = self.stands.subscribe().wait_for(|stands| !matches!(stands, Stands::Silent)).await;
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

    fn can_open(&self) -> bool {
        self.gate.is_open()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_timeout_of_who_took_the_connection() {
        let gate = Gate::default();
        assert!(!gate.is_silent() && !gate.is_open());
        for (phase, reason, silent) in [
            (Phase::Greeting, Reason::Timeout, true),
            (Phase::Auth, Reason::Timeout, true),
            (Phase::Tcp, Reason::Refused, false),
            (Phase::Query, Reason::Timeout, true),
            (Phase::Tcp, Reason::Timeout, false),
            (Phase::Auth, Reason::AccessDenied, false),
        ] {
            gate.turn_away(&Failure::new(phase, reason, "words"));
            assert_eq!(gate.is_silent(), silent, "{phase:?} {reason:?}");
        }
    }
}
