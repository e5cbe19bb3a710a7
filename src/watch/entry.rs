//! Going in by the second door for one round, and out again; by the connection that is kept where it does not let us in.
//!
//! The connection has the place of those that ask about losses, so that what a target holds stays within its budget. It
//! belongs to no pool: it is not in a pool's statistics, and its end is no loss.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::collection::{self, Collection, Found, Line, Pooled, Source};
use super::door::{Door, SecondDoor, Way};
use super::patience;
use super::pools::{Inbox, News, Opener};
use super::seat::Seat;
use super::standing::Standing;
use super::target::Target;
use crate::collect::Collector;
use crate::mysql::budget::{Budget, Place, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{self, Addresses, Connection, PhaseTimes};
use crate::mysql::pool::{Gate, Lease, Pool};
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// A round's way to the server.
pub(super) struct Entry {
    way: Way,
    target: Arc<Target>,
    pool: Pool<Opener>,
    gate: Arc<Gate>,
    inbox: Arc<Inbox>,
    budget: Budget,
    turn: Arc<Semaphore>,
    found: Found,
    /// How the first try went; nothing while we had no turn.
    entered: OnceLock<Result<(Door, String), Failure>>,
}

/// A connection that got in, with what it takes to have one.
pub(super) struct Inside {
    connection: Connection,
    _place: Place,
    _turn: OwnedSemaphorePermit,
}

/// What the collectors ask on.
pub(super) enum Through {
    Door(Box<Inside>),
    Kept(Box<Lease<Opener>>),
}

impl Entry {
    pub(super) fn new(seat: &Seat, door: &SecondDoor, way: Way) -> Entry {
        Entry {
            way,
            target: seat.target.clone(),
            pool: seat.pools.first().clone(),
            gate: seat.pools.gate().clone(),
            inbox: seat.pools.inbox().clone(),
            budget: seat.budget.clone(),
            turn: door.turn().clone(),
            found: seat.found.clone(),
            entered: OnceLock::new(),
        }
    }

    /// Collects once.
    pub(super) async fn collect(self, collectors: Vec<&'static Collector>) -> Collection {
        let errand = collection::errand(&self.target, &collectors, false);
        let mut collection = collection::run(&errand, collectors, &self, self.found.clone()).await;
        collection.entered = self.entered.into_inner();
        collection
    }

    async fn enter(&self, by: Instant) -> Result<Inside, Option<Failure>> {
        let turn = timeout_at(by, self.turn.clone().acquire_owned()).await.ok().and_then(Result::ok).ok_or(None)?;
        let place = self.budget.take(Purpose::Evidence).ok_or(None)?;
        let login = log_in(self.way.clone(), self.target.clone(), place, turn, by);
        match patience::within(login, by, &self.gate, Inside::leave).await {
            Ok(ended) => ended.map_err(Some),
            Err(unfinished) => {
                self.inbox.tell(News::Unfinished(unfinished));
                let says = "logging in by the second door took longer than the deadline";
                Err(Some(Failure::new(Phase::Greeting, Reason::Timeout, says)))
            }
        }
    }
}

impl Source for Entry {
    type Line = Through;

    async fn open(&self, deadline: Instant) -> Result<Through, Failure> {
        let now = Instant::now();
        // Whoever can be asked otherwise is left half of the time.
        let by = if self.pool.holds(0) { now + deadline.saturating_duration_since(now) / 2 } else { deadline };
        let refused = match self.enter(by).await {
            Ok(inside) => {
                let facts = inside.connection.facts();
                let address = facts.peer_addr.map_or_else(|| self.way.at(), |peer| peer.to_string());
                // What counts is the first try.
                let _ = self.entered.set(Ok((Door::second(facts.server.flavor), address)));
                return Ok(Through::Door(Box::new(inside)));
            }
            Err(refused) => refused,
        };
        if let Some(refused) = &refused {
            let _ = self.entered.set(Err(refused.clone()));
        }
        // One that is there needs no opening.
        if self.pool.holds(0) {
            let kept = Pooled { pool: self.pool.clone(), is_long: false };
            return kept.open(deadline).await.map(|lease| Through::Kept(Box::new(lease)));
        }
        Err(refused.unwrap_or_else(|| {
            Failure::new(Phase::Auth, Reason::Other, "the one connection by the second door is in use")
        }))
    }
}

/// Everything up to a login, by a server that is the target's.
async fn log_in(
    way: Way,
    target: Arc<Target>,
    place: Place,
    turn: OwnedSemaphorePermit,
    connected_by: Instant,
) -> Result<Inside, Failure> {
    let mut times = PhaseTimes::default();
    let addresses = match way.address {
        Some(address) => Addresses::of_peer(Some(address)),
        None => handshake::resolve(&way.access, connected_by, &mut times).await?,
    };
    let mut dialed = handshake::dial(&way.access, &addresses, target.connect_timeout, connected_by, &mut times).await?;
    dialed.greeting().await?;
    if way.server.is_some() && way.server.as_ref() != dialed.server() {
        return Err(another(&way));
    }
    let mut connection = dialed.login(&way.access, patience::longest(), &mut times).await?;
    let Some(identity) = &way.identity else { return Ok(Inside { connection, _place: place, _turn: turn }) };
    match Standing::ask(&mut connection, patience::longest()).await {
        Ok(standing) if standing.identity.as_ref() == Some(identity) => {
            Ok(Inside { connection, _place: place, _turn: turn })
        }
        Ok(_) => {
            connection.quit().await;
            Err(another(&way))
        }
        Err(failure) => {
            if failure.errno.is_some() {
                connection.quit().await;
            }
            Err(failure)
        }
    }
}

fn another(way: &Way) -> Failure {
    Failure::new(Phase::Auth, Reason::Other, format!("what answers at {} is not the server of `address`", way.at()))
        .with_hint("correct `second_door` of the target, or set it to `off`")
}

impl Inside {
    async fn leave(self) {
        self.connection.quit().await;
    }
}

impl Line for Through {
    fn server(&self) -> &Server {
        match self {
            Through::Door(inside) => &inside.connection.facts().server,
            Through::Kept(lease) => lease.server(),
        }
    }

    async fn query(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        match self {
            Through::Door(inside) => inside.connection.query(sql, deadline).await,
            Through::Kept(lease) => lease.query(sql, deadline).await,
        }
    }

    async fn done(self) {
        match self {
            Through::Door(inside) => inside.leave().await,
            Through::Kept(lease) => lease.done().await,
        }
    }
}
