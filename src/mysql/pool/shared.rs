//! What a pool, its leases and its openings share, and the one place where a connection leaves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::super::budget::{Budget, Place};
use super::super::signal::Standing;
use super::connect::{Connection, Connector};
use super::observe::{CloseReason, During, Lost, Observer};
use super::slots::{Kept, Slots};

/// What a connection is asked when it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetOnReturn {
    /// ROLLBACK: what the last user left open does not reach the next.
    Rollback,
    None,
}

/// How a pool behaves. Names and defaults are those that people know from SQLAlchemy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The label `pool`.
    pub name: Arc<str>,
    /// How many connections stay.
    pub size: u32,
    /// How many more there may be; they are closed when they come back.
    pub max_overflow: u32,
    /// How long to wait for a connection to come free.
    pub timeout: Duration,
    /// The age at which a connection is replaced when it is next wanted.
    pub recycle: Option<Duration>,
    /// A connection that has rested this long is asked for a sign of life before it is handed out.
    pub pre_ping: Option<Duration>,
    pub reset_on_return: ResetOnReturn,
    /// How long logging in may take.
    pub open_within: Duration,
    /// How long a check or a reset may take.
    pub answer_within: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: "default".into(),
            size: 2,
            max_overflow: 1,
            timeout: Duration::from_secs(30),
            recycle: Some(Duration::from_secs(280)),
            pre_ping: Some(Duration::from_millis(500)),
            reset_on_return: ResetOnReturn::Rollback,
            open_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(5),
        }
    }
}

/// Who listens to a pool of these.
pub type Listener<C> = Arc<dyn Observer<<<C as Connector>::Connection as Connection>::Known>>;

pub(super) struct Shared<C: Connector> {
    pub(super) connector: C,
    pub(super) settings: Settings,
    pub(super) budget: Budget,
    pub(super) observer: Listener<C>,
    slots: Mutex<Slots<C::Connection>>,
    /// A slot became empty.
    emptied: Notify,
    /// Closings, and openings whose asker went away; none once the pool has ended.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl<C: Connector> Shared<C> {
    pub(super) fn new(connector: C, settings: Settings, budget: Budget, observer: Listener<C>) -> Shared<C> {
        Shared {
            slots: Mutex::new(Slots::new(settings.size, settings.max_overflow)),
            connector,
            settings,
            budget,
            observer,
            emptied: Notify::new(),
            tasks: Mutex::new(Some(JoinSet::new())),
        }
    }

    /// Never held while anything is awaited, observed, or dropped that has a `Drop` of ours.
    pub(super) fn slots(&self) -> MutexGuard<'_, Slots<C::Connection>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection rest, unless it is not wanted any more.
    pub(super) fn rest(&self, at: usize, kept: Kept<C::Connection>) {
        let mut slots = self.slots();
        if let Some(reason) = slots.unwanted(&kept) {
            drop(slots);
            return self.leave(at, kept, reason, During::Use);
        }
        slots.rest(at, kept);
        slots.serve(&self.budget);
        let superfluous = slots.take_superfluous();
        slots.serve(&self.budget);
        drop(slots);
        if let Some(kept) = superfluous {
            self.end(kept, CloseReason::Superfluous, During::Use);
        }
    }

    /// A connection that was out leaves, and others may have its slot.
    pub(super) fn leave(&self, at: usize, kept: Kept<C::Connection>, reason: CloseReason, during: During) {
        self.slots().gone(at);
        self.end(kept, reason, during);
        self.slots().serve(&self.budget);
    }

    /// The same, but the caller comes first: it gets the place of a new connection for the slot, if there is one.
    pub(super) fn replace(
        &self,
        at: usize,
        kept: Kept<C::Connection>,
        reason: CloseReason,
        during: During,
    ) -> Option<Place> {
        self.slots().gone(at);
        self.end(kept, reason, during);
        let mut slots = self.slots();
        let place = slots.claim(at, &self.budget);
        slots.serve(&self.budget);
        place
    }

    /// Nothing was opened for a slot.
    pub(super) fn unopened(&self, at: usize) {
        let mut slots = self.slots();
        slots.unopened(at);
        slots.serve(&self.budget);
        drop(slots);
        self.emptied.notify_waiters();
    }

    /// All that rest leave; says how many they were.
    pub(super) fn clear(&self, stop: bool) -> u32 {
        let mut slots = self.slots();
        let (idle, places) = if stop { slots.stop() } else { slots.recover() };
        drop(slots);
        drop(places);
        let closed = idle.len() as u32;
        for kept in idle {
            self.end(kept, if stop { CloseReason::Shutdown } else { CloseReason::Recover }, During::Use);
        }
        self.slots().serve(&self.budget);
        closed
    }

    /// The one place where a connection leaves: it is counted with its reason, and closed in order if it still can be.
    fn end(&self, kept: Kept<C::Connection>, wish: CloseReason, during: During) {
        let Kept { conn, slot, opened_at, .. } = kept;
        self.emptied.notify_waiters();
        match conn.standing() {
            // Whatever else was to be done with it: it ended without our wish.
            Standing::Lost(loss) => {
                let lost = Lost {
                    pool: self.settings.name.clone(),
                    slot: slot as u32,
                    connection_id: conn.id(),
                    opened_at,
                    last_answer_at: conn.answered_at(),
                    noticed_at: loss.noticed_at,
                    signal: loss.signal,
                    failure: loss.failure.clone(),
                    during,
                    known: conn.known(),
                };
                // Its place is free before anyone hears of it.
                drop(conn);
                self.observer.closed(CloseReason::Lost);
                self.observer.lost(lost);
            }
            Standing::Unanswered => {
                drop(conn);
                self.observer.closed(wish);
            }
            Standing::InStep => {
                self.observer.closed(wish);
                self.own(conn.close());
            }
        }
    }

    /// Runs something to its end that nobody waits for; the pool joins it.
    pub(super) fn own(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match tasks.as_mut() {
            Some(tasks) => {
                while tasks.try_join_next().is_some() {}
                tasks.spawn_on(work, &runtime);
            }
            // Nobody is left to join it.
            None => {
                drop(tasks);
                drop(work);
            }
        }
    }

    /// Waits until no connection is out and every closing has ended; what has not by the deadline is dropped.
    pub(super) async fn join(&self, deadline: Instant) {
        let all_back = async {
            loop {
                let emptied = self.emptied.notified();
                if self.slots().is_empty() {
                    return;
                }
                emptied.await;
            }
        };
        // Who still has a connection then has not heard that we end.
        let _ = timeout_at(deadline, all_back).await;
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut tasks) = tasks else { return };
        if timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tasks.shutdown().await;
        }
    }
}
