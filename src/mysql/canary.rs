//! A connection that rests, and is watched while it does.
//!
//! Without traffic and without TCP keepalive, which would hide what it is there to find out: how long an idle
//! connection lives on this path, and how it ends. Its session's own `wait_timeout` is longer than its rest, so that
//! the server does not end it, and finite, so that the server ends what a silent path leaves behind.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use super::handshake::{Connection, Facts, Unasked};
use super::server::Version;
use super::signal::Signal;

/// A resting connection.
#[derive(Debug)]
pub struct Canary {
    connection: Connection,
    since: Instant,
    /// When it was asked, as long as it has not answered.
    asked: Option<Instant>,
}

/// How a canary ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub at: Instant,
    /// How long it had rested: to the moment itself where it was watched, to the ping where it was pinged.
    pub rested: Duration,
    pub signal: Signal,
    /// The server's error number, where it sent one.
    pub errno: Option<u16>,
    /// In the words of the server, the system or the TLS library.
    pub detail: String,
}

/// What became of a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinged {
    /// It lives, and rests anew from now on.
    Answered,
    /// Nothing came in time. Another `ping` sends nothing and goes on waiting for the same answer.
    Silent,
    Ended(Ending),
}

impl Canary {
    /// Lets a connection rest from now on.
    pub async fn rest(
        connection: Connection,
        session_wait_timeout: Duration,
        deadline: Instant,
    ) -> Result<Canary, Failure> {
        let mut canary = Canary { connection, since: Instant::now(), asked: None };
        canary.rest_anew(session_wait_timeout, deadline).await?;
        Ok(canary)
    }

    /// Lets it rest anew, with another limit in the server.
    pub async fn rest_anew(&mut self, session_wait_timeout: Duration, deadline: Instant) -> Result<(), Failure> {
        // The most that servers take; more raises a warning.
        let seconds = session_wait_timeout.as_secs().clamp(1, 31_536_000);
        let mut statement = format!("SET SESSION wait_timeout = {seconds}");
        let server = &self.connection.facts().server;
        if server.is_mariadb() && server.version >= Version::new(10, 3, 0) {
            statement.push_str(", SESSION idle_transaction_timeout = 0");
        }
        self.connection.query(&statement, deadline).await?;
        self.since = Instant::now();
        Ok(())
    }

    pub fn facts(&self) -> &Facts {
        self.connection.facts()
    }

    /// The number by which the server lists it.
    pub fn thread_id(&self) -> u32 {
        self.facts().connection_id
    }

    /// How long it has rested.
    pub fn rested(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits until somebody ends it. To stop waiting loses nothing.
    pub async fn watch(&mut self) -> Ending {
        let unasked = self.connection.unasked().await;
        let at = Instant::now();
        Ending::new(at, at - self.since, unasked)
    }

    /// Asks whether it lives, or goes on waiting for the answer that it owes. To stop waiting loses nothing.
    pub async fn ping(&mut self, deadline: Instant) -> Pinged {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let rested = asked - self.since;
        match timeout_at(deadline, self.connection.ping_again()).await {
            Err(_) => Pinged::Silent,
            Ok(Ok(())) => {
                (self.asked, self.since) = (None, Instant::now());
                Pinged::Answered
            }
            Ok(Err(mut unasked)) => {
                // Whoever answers what we write with a reset had forgotten the connection before.
                if unasked.signal == Signal::Rst {
                    unasked.signal = Signal::RstOnWrite;
                }
                Pinged::Ended(Ending::new(Instant::now(), rested, unasked))
            }
        }
    }

    /// Takes leave. Says whether the server has heard it; else it may list the thread until the session's own limit.
    pub async fn quit(self) -> bool {
        self.asked.is_none() && self.connection.leave().await
    }
}

impl Ending {
    fn new(at: Instant, rested: Duration, unasked: Unasked) -> Ending {
        Ending { at, rested, signal: unasked.signal, errno: unasked.errno, detail: unasked.detail }
    }
}
