//! A connection that is out: being checked, in use, or being reset.
//!
//! Wherever its holder stops, it leaves the pool's books in order. Only `give_back` keeps the connection.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::budget::Place;
use super::super::signal::Standing;
use super::connect::{Connection, Connector};
use super::observe::{Checked, CloseReason, During};
use super::shared::{ResetOnReturn, Shared};
use super::slots::Kept;

/// A connection on loan. Dropped instead of given back, it is closed as `cancelled`: an answer may be under way.
pub struct Lease<C: Connector> {
    shared: Arc<Shared<C>>,
    at: usize,
    /// Taken only when the lease ends.
    kept: Option<Kept<C::Connection>>,
    during: During,
    rested: Duration,
    /// Since when its user has it.
    used_since: Option<Instant>,
}

impl<C: Connector> Lease<C> {
    pub(super) fn new(shared: Arc<Shared<C>>, at: usize, kept: Kept<C::Connection>) -> Lease<C> {
        let rested = kept.rested_since.elapsed();
        Lease { shared, at, kept: Some(kept), during: During::Check, rested, used_since: None }
    }

    /// The slot, for `Which::Slot`.
    pub fn slot(&self) -> u32 {
        self.at as u32
    }

    /// How long the connection had rested before this lease.
    pub fn rested(&self) -> Duration {
        self.rested
    }

    pub fn opened_at(&self) -> Instant {
        self.kept().opened_at
    }

    /// Resets the connection and lets it rest for the next.
    pub async fn give_back(mut self) {
        self.end_use();
        let reset = self.shared.settings.reset_on_return == ResetOnReturn::Rollback;
        let wanted = self.shared.slots().unwanted(self.kept()).is_none();
        if reset && wanted && self.conn().standing() == Standing::InStep {
            self.during = During::Reset;
            let deadline = Instant::now() + self.shared.settings.answer_within;
            if self.conn_mut().reset(deadline).await.is_err() {
                return self.leave(CloseReason::ResetFailed);
            }
        }
        match self.conn().standing() {
            Standing::InStep => self.rest(),
            Standing::Unanswered | Standing::Lost(_) => self.leave(CloseReason::Cancelled),
        }
    }

    /// Whether the connection may be handed out; if not, why it leaves.
    pub(super) async fn check(&mut self) -> Result<(), CloseReason> {
        let settings = &self.shared.settings;
        let is_old = settings.recycle.is_some_and(|age| self.opened_at().elapsed() >= age);
        if is_old && self.shared.connector.can_open() {
            return Err(CloseReason::Recycle);
        }
        if settings.pre_ping.is_none_or(|after| self.rested < after) {
            return Ok(());
        }
        let deadline = Instant::now() + settings.answer_within;
        // An error that the server gives as an answer is a sign of life; what it is about shows in use.
        let _ = self.conn_mut().ping(deadline).await;
        let alive = self.conn().standing() == Standing::InStep;
        self.shared.observer.checked(if alive { Checked::Alive } else { Checked::Dead });
        if alive { Ok(()) } else { Err(CloseReason::Cancelled) }
    }

    /// From here on it is its user's.
    pub(super) fn begin_use(mut self) -> Lease<C> {
        self.during = During::Use;
        self.used_since = Some(Instant::now());
        self
    }

    fn end_use(&mut self) {
        if let Some(since) = self.used_since.take() {
            self.shared.observer.used(since.elapsed());
        }
    }

    /// Lets it rest as it is.
    pub(super) fn rest(mut self) {
        if let Some(kept) = self.kept.take() {
            self.shared.rest(self.at, kept);
        }
    }

    pub(super) fn leave(mut self, reason: CloseReason) {
        if let Some(kept) = self.kept.take() {
            self.shared.leave(self.at, kept, reason, self.during);
        }
    }

    /// Leaves, and gives the slot with a place for another connection, if the budget has one.
    pub(super) fn replace(mut self, reason: CloseReason) -> Option<(usize, Place)> {
        let place = self.shared.replace(self.at, self.kept.take()?, reason, self.during)?;
        Some((self.at, place))
    }

    fn kept(&self) -> &Kept<C::Connection> {
        self.kept.as_ref().expect("a lease has its connection until it ends")
    }

    fn conn(&self) -> &C::Connection {
        &self.kept().conn
    }

    fn conn_mut(&mut self) -> &mut C::Connection {
        &mut self.kept.as_mut().expect("a lease has its connection until it ends").conn
    }
}

impl<C: Connector> Deref for Lease<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        self.conn()
    }
}

impl<C: Connector> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        self.conn_mut()
    }
}

impl<C: Connector> Drop for Lease<C> {
    fn drop(&mut self) {
        self.end_use();
        if let Some(kept) = self.kept.take() {
            self.shared.leave(self.at, kept, CloseReason::Cancelled, self.during);
        }
    }
}
