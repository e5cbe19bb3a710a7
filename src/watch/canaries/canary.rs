//! One canary's life: opened, watched while it rests, pinged, left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::desk::Ended;
use super::super::ladder::MOST_CANARIES;
use super::super::ladder::canary::CanaryId;
use super::super::patience;
use super::super::pools::{Inbox, News};
use super::super::standing::Standing;
use super::super::target::Target;
use crate::mysql::budget::{Budget, Place, Purpose};
use crate::mysql::canary::{Canary, Ending, Pinged};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{self, Addresses, Connection, Facts, PhaseTimes};
use crate::mysql::pool::Gate;
use crate::mysql::signal::Signal;

/// How long a ping may take at most.
const PING_WITHIN: Duration = Duration::from_secs(5);

/// How long one that leaves may take, and how often is looked whether it has.
const LEAVING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// What a canary is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// It has answered, and rests anew, with this limit in the server.
    Rest(Duration),
    Ping,
    /// `is_to_be_killed`: if the server does not hear that we leave.
    Close {
        is_to_be_killed: bool,
    },
}

/// What a canary tells.
#[derive(Debug)]
pub(super) enum Told {
    Opened {
        thread_id: u32,
        standing: Arc<Standing>,
    },
    Unopened(Failure),
    /// The connections that the target is allowed are in use.
    NoPlace,
    Resting,
    Answered,
    /// No answer in time; it may still come.
    Silent(Box<Ended>),
    Died(Box<Ended>),
    /// We have left, and the server may not know.
    Left {
        thread_id: u32,
    },
}

/// How a canary gets in: where the last probe did.
pub(super) struct Way {
    pub(super) target: Arc<Target>,
    pub(super) facts: Arc<Facts>,
    pub(super) budget: Budget,
    pub(super) gate: Arc<Gate>,
    /// Takes a login that is not finished in time.
    pub(super) late: Arc<Inbox>,
}

/// What a canary is, besides its connection.
struct Born {
    id: CanaryId,
    opened_at: Instant,
    standing: Arc<Standing>,
}

/// Lives until it is told to leave, or ends.
pub(super) async fn live(
    way: Way,
    id: CanaryId,
    session_wait_timeout: Duration,
    mut orders: mpsc::UnboundedReceiver<Order>,
    tell: impl Fn(Told),
) {
    let target = way.target.clone();
    let Some(place) = way.place().await else { return tell(Told::NoPlace) };
    let opened_at = Instant::now();
    let deadline = opened_at + target.timeout;
    let (connection, _place) = match way.open(place, deadline).await {
        Ok(opened) => opened,
        Err(failure) => return tell(Told::Unopened(failure)),
    };
    let (mut canary, standing) = match settle(connection, session_wait_timeout, deadline).await {
        Ok(settled) => settled,
        Err(failure) => return tell(Told::Unopened(failure)),
    };
    let born = Born { id, opened_at, standing };
    tell(Told::Opened { thread_id: canary.thread_id(), standing: born.standing.clone() });
    let within = target.timeout.min(PING_WITHIN);
    let mut pinged: Option<Instant> = None;
    let mut is_silent = false;
    loop {
        let event = tokio::select! {
            order = orders.recv() => Err(order.unwrap_or(Order::Close { is_to_be_killed: false })),
            lived = async {
                match pinged {
                    None => Pinged::Ended(canary.watch().await),
                    // Beyond its deadline a late answer is listened for, without an end.
                    Some(at) if is_silent => canary.ping(at + LISTEN).await,
                    Some(at) => canary.ping(at + within).await,
                }
            } => Ok(lived),
        };
        match event {
            Ok(Pinged::Answered) => {
                (pinged, is_silent) = (None, false);
                tell(Told::Answered);
            }
            Ok(Pinged::Silent) if is_silent => return tell(Told::Left { thread_id: canary.thread_id() }),
            Ok(Pinged::Silent) => {
                is_silent = true;
                let rested = pinged.map_or(Duration::ZERO, |at| canary.rested().saturating_sub(at.elapsed()));
                let detail = "no answer within the deadline".to_owned();
                let ending = Ending { at: Instant::now(), rested, signal: Signal::Timeout, errno: None, detail };
                tell(Told::Silent(Box::new(born.ended(&canary, ending))));
            }
            Ok(Pinged::Ended(ending)) => return tell(Told::Died(Box::new(born.ended(&canary, ending)))),
            Err(Order::Ping) => pinged = Some(Instant::now()),
            Err(Order::Rest(session_wait_timeout)) => {
                match canary.rest_anew(session_wait_timeout, Instant::now() + target.timeout).await {
                    Ok(()) => tell(Told::Resting),
                    Err(failure) => {
                        let signal = match failure.reason {
                            Reason::Timeout => Signal::Timeout,
                            Reason::Reset => Signal::RstOnWrite,
                            _ if failure.errno.is_some() => Signal::ErrPacket,
                            _ => Signal::Fin,
                        };
                        let (at, errno) = (Instant::now(), failure.errno);
                        let detail = failure.detail;
                        let ending = Ending { at, rested: Duration::ZERO, signal, errno, detail };
                        return tell(Told::Died(Box::new(born.ended(&canary, ending))));
                    }
                }
            }
            Err(Order::Close { is_to_be_killed }) => {
                let thread_id = canary.thread_id();
                if !canary.quit().await && is_to_be_killed {
                    tell(Told::Left { thread_id });
                }
                return;
            }
        }
    }
}

/// A late answer is listened for this long; the ladder gives the canary up long before.
const LISTEN: Duration = Duration::from_secs(3600);

impl Born {
    fn ended(&self, canary: &Canary, ending: Ending) -> Ended {
        let facts = canary.facts();
        let mut failure = Failure::new(Phase::Query, Reason::Other, ending.detail);
        failure.errno = ending.errno;
        Ended {
            id: self.id,
            connection_id: facts.connection_id,
            server: facts.server.clone(),
            standing: self.standing.clone(),
            opened_at: self.opened_at,
            at: ending.at,
            rested: ending.rested,
            signal: ending.signal,
            failure,
        }
    }
}

impl Way {
    /// A place of its own, once those that are just leaving have left: there are never more canaries than promised.
    async fn place(&self) -> Option<Place> {
        let end = Instant::now() + LEAVING;
        while self.budget.held(Purpose::Canary) as usize >= MOST_CANARIES {
            if Instant::now() > end {
                return None;
            }
            sleep(LOOK).await;
        }
        self.budget.take(Purpose::Canary)
    }

    /// Logs in, without keepalive, which would hide what the canary is there to find out.
    async fn open(self, place: Place, deadline: Instant) -> Result<(Connection, Place), Failure> {
        let Way { target, facts, gate, late, .. } = self;
        let login = async move {
            let (mut times, longest) = (PhaseTimes::default(), patience::longest());
            let addresses = Addresses::of_peer(facts.peer_addr);
            let within = target.connect_timeout;
            let dialed = handshake::dial(&target.access, &addresses, within, longest, &mut times).await?;
            Ok((dialed.login(&target.access, longest, &mut times).await?, place))
        };
        let leave = |(connection, place): (Connection, Place)| async move {
            connection.quit().await;
            drop(place);
        };
        match patience::within(login, deadline, &gate, leave).await {
            Ok(opened) => opened,
            Err(unfinished) => {
                late.tell(News::Unfinished(unfinished));
                Err(Failure::new(Phase::Auth, Reason::Timeout, "logging in took longer than the deadline"))
            }
        }
    }
}

/// Asks where it stands and lets it rest; what fails here is left in order.
async fn settle(
    mut connection: Connection,
    session_wait_timeout: Duration,
    deadline: Instant,
) -> Result<(Canary, Arc<Standing>), Failure> {
    let standing = match Standing::ask(&mut connection, deadline).await {
        Ok(standing) => standing,
        Err(failure) => {
            connection.quit().await;
            return Err(failure);
        }
    };
    let canary = Canary::rest(connection, session_wait_timeout, deadline).await?;
    Ok((canary, Arc::new(standing)))
}
