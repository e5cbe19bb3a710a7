//! Waiting for one's turn.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::connect::Connector;
use super::lease::Lease;
use super::opening::{Opening, Refused};
use super::shared::Shared;
use super::slots::{Grant, Line, Which};

/// What one gets who has waited.
pub(super) enum Turn<C: Connector> {
    /// A connection that rested.
    Rested(Lease<C>),
    Opening(Opening<C>),
}

/// A place in the line; given up when dropped, and what was granted with it goes to others.
struct Ticket<'a, C: Connector> {
    shared: &'a Arc<Shared<C>>,
    number: u64,
    woken: Arc<Notify>,
}

impl<C: Connector> Ticket<'_, C> {
    fn collect(&self) -> Option<Result<Turn<C>, Refused>> {
        let mut slots = self.shared.slots();
        if slots.stopped() {
            return Some(Err(Refused::Stopped));
        }
        slots.serve(&self.shared.budget);
        let granted = slots.collect(self.number)?;
        drop(slots);
        Some(Ok(match granted {
            Grant::Kept(at, kept) => Turn::Rested(Lease::new(self.shared.clone(), at, kept)),
            Grant::Open(at, place) => Turn::Opening(Opening::begin(self.shared, at, place)),
        }))
    }
}

impl<C: Connector> Drop for Ticket<'_, C> {
    fn drop(&mut self) {
        // The place is dropped when the lock is free again.
        let place = self.shared.slots().resign(self.number, &self.shared.budget);
        drop(place);
    }
}

/// Waits until a connection, or the right to open one, has come.
pub(super) async fn wait<C: Connector>(
    shared: &Arc<Shared<C>>,
    which: Which,
    line: Line,
    deadline: Instant,
) -> Result<Turn<C>, Refused> {
    let (number, woken) = shared.slots().join(which, line);
    let ticket = Ticket { shared, number, woken };
    loop {
        // From before the look, so that a place that comes free after it is not missed.
        let freed = shared.budget.freed();
        if let Some(turn) = ticket.collect() {
            return turn;
        }
        tokio::select! {
            () = ticket.woken.notified() => {}
            () = freed => {}
            () = sleep_until(deadline) => return ticket.collect().unwrap_or(Err(Refused::Timeout)),
        }
    }
}
