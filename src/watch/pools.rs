//! The pools of a target: its kept connections, used as an application uses its own.
//!
//! Collectors use the first pool, the exerciser all of them. What happens to the connections is counted here and told
//! to the target's task through the `Inbox`, in its order; both outlive the task, so that nothing is lost when that is
//! started anew.

pub mod families;
mod known;
mod inbox;
mod opener;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use self::families::PoolInstruments;
use crate::config::Tls;
use crate::mysql::budget::Budget;
use crate::mysql::failure::{Failure, Phase};
use crate::mysql::handshake::Access;
use crate::mysql::pool::{self, Checked, CloseReason, Counts, Gate, Lost, Observer, Pool, Sessions, Settings, Waited};
use crate::mysql::signal::Signal;

pub use inbox::{Inbox, News};
pub use known::{Known, Watched};
pub use opener::Opener;

/// A pool as an operator wants it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub settings: Settings,
    /// Of the connections; the driver's own where none is said.
    pub charset: Option<String>,
    /// How long an answer may take, and how long sending a large statement.
    pub read_timeout: Duration,
    pub write_timeout: Duration,
    pub exercise: Option<Exercise>,
}

/// How a pool is used when nothing else uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exercise {
    pub statement: String,
    /// How often the first connection is used.
    pub busy: Duration,
    /// How long the others rest before they are used, in turn.
    pub rests: Vec<Duration>,
}

/// How a pool stands.
#[derive(Clone, Debug)]
pub struct Occupancy {
    pub name: Arc<str>,
    pub size: u32,
    pub max_overflow: u32,
    pub recycle: Option<Duration>,
    pub counts: Counts,
}

/// The pools of one target. Clones are the same pools.
#[derive(Clone, Debug)]
pub struct Pools {
    pools: Vec<(Arc<Plan>, Pool<Opener>)>,
    gate: Arc<Gate>,
    inbox: Arc<Inbox>,
    instruments: PoolInstruments,
    /// How often all connections were dropped: who rests with one is to use another.
    dropped: watch::Sender<u64>,
    /// How often the first connection of the first pool has answered.
    control: watch::Sender<u64>,
}

impl Pools {
    /// Empty pools, the first of which the collectors use.
    pub fn new(
        plans: &[Arc<Plan>],
        access: &Access,
        tls: &Tls,
        budget: &Budget,
        instruments: PoolInstruments,
    ) -> Pools {
        let (gate, inbox) = (Arc::new(Gate::default()), Arc::new(Inbox::default()));
        let pool = |plan: &Arc<Plan>| {
            instruments.declare(&plan.settings);
            let limit = plan.read_timeout + plan.write_timeout;
            let sessions = Sessions::new(access.clone(), tls.clone(), limit, gate.clone());
            let witness = Arc::new(Witness {
                pool: plan.settings.name.clone(),
                gate: gate.clone(),
                inbox: inbox.clone(),
                instruments: instruments.clone(),
            });
            let opener = Opener::new(sessions, plan.charset.clone(), gate.clone(), inbox.clone());
            (plan.clone(), Pool::new(opener, plan.settings.clone(), budget.clone(), witness))
        };
        Pools {
            pools: plans.iter().map(pool).collect(),
            gate,
            inbox,
            instruments,
            dropped: watch::Sender::new(0),
            control: watch::Sender::new(0),
        }
    }

    /// When all connections were dropped because somebody asked.
    pub fn dropped(&self) -> watch::Receiver<u64> {
        self.dropped.subscribe()
    }

    /// Counts the answers of the first connection of the first pool, when it is in steady use.
    pub fn control(&self) -> &watch::Sender<u64> {
        &self.control
    }

    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Plan>, &Pool<Opener>)> {
        self.pools.iter().map(|(plan, pool)| (plan, pool))
    }

    /// The pool that collectors use.
    pub fn first(&self) -> &Pool<Opener> {
        &self.pools[0].1
    }

    /// The name of the pool that collectors use.
    pub fn first_name(&self) -> &str {
        &self.pools[0].0.settings.name
    }

    /// Whether that pool is in steady use without collectors.
    pub fn first_is_exercised(&self) -> bool {
        self.pools[0].0.exercise.is_some()
    }

    /// Closes every resting connection, and those in use when they come back; says how many of each.
    pub fn recover(&self) -> pool::Recovered {
        let mut all = pool::Recovered { closed: 0, marked: 0 };
        for (_, pool) in &self.pools {
            let one = pool.recover();
            all.closed += one.closed;
            all.marked += one.marked;
        }
        self.dropped.send_modify(|count| *count += 1);
        all
    }

    /// Closes everything in order, by the deadline.
    pub async fn shutdown(&self, deadline: Instant) {
        futures_util::future::join_all(self.pools.iter().map(|(_, pool)| pool.shutdown(deadline))).await;
    }

    /// Puts how the pools stand now into the instruments, and says it.
    pub fn show(&self) -> Vec<Occupancy> {
        let show = |(plan, pool): &(Arc<Plan>, Pool<Opener>)| {
            let (settings, counts) = (&plan.settings, pool.counts());
            self.instruments.counted(&settings.name, counts);
            Occupancy {
                name: settings.name.clone(),
                size: settings.size,
                max_overflow: settings.max_overflow,
                recycle: settings.recycle,
                counts,
            }
        };
        self.pools.iter().map(show).collect()
    }
}

/// Listens to one pool.
struct Witness {
    pool: Arc<str>,
    gate: Arc<Gate>,
    inbox: Arc<Inbox>,
    instruments: PoolInstruments,
}

impl Observer<Known> for Witness {
    fn opened(&self, result: Result<(), &Failure>, took: Duration) {
        self.instruments.opened(&self.pool, result.is_ok(), took);
        if let Err(failure) = result
            && *failure != pool::closed()
        {
            // Whoever comes next waits for a probe to get in: not each user of the pool tries for itself. A server that
            // only refuses what the pool wants of the connection lets every probe in.
            if failure.phase != Phase::Query || failure.errno.is_none() {
                self.gate.turn_away(failure);
            }
            self.inbox.tell(News::Unopened(failure.clone()));
        }
    }

    fn closed(&self, reason: CloseReason) {
        self.instruments.closed(&self.pool, reason);
    }

    fn waited(&self, result: Waited, took: Duration) {
        self.instruments.waited(&self.pool, result, took);
    }

    fn checked(&self, result: Checked) {
        self.instruments.checked(&self.pool, result);
    }

    fn used(&self, took: Duration) {
        self.instruments.used(&self.pool, took);
    }

    fn lost(&self, lost: Lost<Known>) {
        self.instruments.lost(&self.pool, lost.rested());
        if lost.signal == Signal::Timeout {
            // The server may be frozen. First a probe must get in.
            self.gate.fall_silent();
        }
        self.inbox.tell(News::Lost(Box::new(lost)));
    }
}
