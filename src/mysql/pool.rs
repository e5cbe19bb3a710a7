//! A pool of kept connections, with the semantics that applications have from SQLAlchemy.
//!
//! ```text
//! acquire   wait for one's turn (at most `timeout`)
//!             -> one that rested: too old? (recycle) still there? (pre_ping) -> in use
//!             -> none: a place in the budget, then open one                  -> in use
//! give_back   reset, then rest; closed if superfluous or not wanted any more
//! ```
//!
//! It exists to be watched: opening, waiting, checking and closing are told to its `Observer`, and a connection leaves
//! in one place only (`shared`), so that opened well = closed + open at any time, wherever someone stops waiting.
//! It tries nothing twice: when to try again is for the one who has the pool.

mod observe;
mod connect;
mod slots;
mod shared;
mod lease;
mod opening;
mod turn;
mod sessions;

use std::sync::Arc;

use tokio::time::Instant;

use super::budget::Budget;
use shared::Shared;
use slots::Line;
use turn::{Turn, wait};

pub use connect::{Connection, Connector};
pub use lease::Lease;
pub use observe::{Checked, CloseReason, During, Lost, Observer, Waited};
pub use opening::Refused;
pub use sessions::{Gate, Sessions, closed};
pub use shared::{Listener, ResetOnReturn, Settings};
pub use slots::{Counts, Which};

/// A pool. Its clones are the same pool. It is to be shut down: dropped, it closes nothing in order.
pub struct Pool<C: Connector> {
    shared: Arc<Shared<C>>,
}

/// What `recover` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Resting connections that were closed.
    pub closed: u32,
    /// Connections in use that will be closed when they come back.
    pub marked: u32,
}

impl<C: Connector> Pool<C> {
    /// An empty pool: connections are opened when they are wanted.
    pub fn new(connector: C, settings: Settings, budget: Budget, observer: Listener<C>) -> Pool<C> {
        Pool { shared: Arc::new(Shared::new(connector, settings, budget, observer)) }
    }

    /// A connection that was just opened, checked, or used a moment ago.
    ///
    /// May be cancelled at any point. `timeout` is for waiting; checking and opening have times of their own.
    ///
    /// # Panics
    ///
    /// If `which` names a slot beyond `size`.
    pub async fn acquire(&self, which: Which) -> Result<Lease<C>, Refused> {
        if let Which::Slot(named) = which {
            assert!(named < self.shared.settings.size, "slot {named} of {}", self.shared.settings.size);
        }
        self.timed(which).await
    }

    async fn timed(&self, which: Which) -> Result<Lease<C>, Refused> {
        let asked = Instant::now();
        let result = self.find(which, asked + self.shared.settings.timeout).await;
        let waited = match &result {
            Ok(_) => Waited::Ok,
            Err(Refused::Timeout) => Waited::Timeout,
            Err(Refused::Failed(_) | Refused::Stopped) => Waited::Error,
        };
        self.shared.observer.waited(waited, asked.elapsed());
        result.map(Lease::begin_use)
    }

    async fn find(&self, which: Which, deadline: Instant) -> Result<Lease<C>, Refused> {
        let mut turn = wait(&self.shared, which, Line::Last, deadline).await?;
        loop {
            let mut lease = match turn {
                Turn::Opening(opening) => return opening.await,
                Turn::Rested(lease) => lease,
            };
            let Err(reason) = lease.check().await else { return Ok(lease) };
            turn = match lease.replace(reason) {
                Some((at, place)) => Turn::Opening(opening::Opening::begin(&self.shared, at, place)),
                // The one that leaves in order still has its place, or another purpose was faster.
                None => wait(&self.shared, which, Line::First, deadline).await?,
            };
        }
    }

    /// Closes every resting connection, and marks those in use to be closed when they come back.
    pub fn recover(&self) -> Recovered {
        let closed = self.shared.clear(false);
        Recovered { closed, marked: self.shared.slots().counts().used }
    }

    /// Closes everything in order: what rests now, what is in use when it comes back. Ends by the deadline.
    pub async fn shutdown(&self, deadline: Instant) {
        self.shared.clear(true);
        self.shared.join(deadline).await;
    }

    /// Whether there is a connection in this slot: it can be had without opening one.
    pub fn holds(&self, slot: u32) -> bool {
        self.shared.slots().holds(slot as usize)
    }

    pub fn counts(&self) -> Counts {
        self.shared.slots().counts()
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub fn connector(&self) -> &C {
        &self.shared.connector
    }
}

impl<C: Connector> Clone for Pool<C> {
    fn clone(&self) -> Pool<C> {
        Pool { shared: self.shared.clone() }
    }
}

impl<C: Connector> std::fmt::Debug for Pool<C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Pool").field("settings", self.settings()).field("counts", &self.counts()).finish()
    }
}

#[cfg(test)]
mod tests;
