//! Opening a connection for a slot.
//!
//! A login that stops half way is an aborted connect in the server and brings this host nearer to being blocked. So it
//! is finished even if the one who wanted it went away; the connection then rests for the next.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::super::budget::Place;
use super::super::failure::{Failure, Phase, Reason};
use super::connect::Connector;
use super::lease::Lease;
use super::observe::CloseReason;
use super::shared::Shared;
use super::slots::Kept;

/// Why there was no connection to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// All were in use for as long as we wanted to wait, or the budget was.
    Timeout,
    /// Opening one failed.
    Failed(Failure),
    /// The pool has ended.
    Stopped,
}

impl Refused {
    /// The failure that this is to someone who wanted to ask something.
    pub fn failure(self) -> Failure {
        match self {
            Refused::Timeout => Failure::new(Phase::Auth, Reason::Other, "all connections of the pool are in use")
                .with_hint("raise `size` or `max_overflow` of the pool, or `connections` of the target"),
            Refused::Failed(failure) => failure,
            Refused::Stopped => Failure::new(Phase::Auth, Reason::Other, "the pool has ended"),
        }
    }
}

/// A slot that is kept for a connection to come; free for others when dropped.
struct Vacancy<C: Connector> {
    shared: Arc<Shared<C>>,
    at: usize,
    filled: bool,
}

impl<C: Connector> Vacancy<C> {
    async fn fill(mut self, place: Place) -> Result<Lease<C>, Refused> {
        let generation = self.shared.slots().generation();
        let began = Instant::now();
        let opened = self.shared.connector.open(place, began + self.shared.settings.open_within).await;
        let took = began.elapsed();
        let conn = match opened {
            Ok(conn) => conn,
            Err(failure) => {
                self.shared.observer.opened(Err(&failure), took);
                return Err(Refused::Failed(failure));
            }
        };
        self.filled = true;
        let stopped = {
            let mut slots = self.shared.slots();
            slots.opened(self.at);
            slots.stopped()
        };
        let lease = Lease::new(self.shared.clone(), self.at, Kept::new(conn, self.at, generation));
        self.shared.observer.opened(Ok(()), took);
        if stopped {
            lease.leave(CloseReason::Shutdown);
            return Err(Refused::Stopped);
        }
        Ok(lease)
    }
}

impl<C: Connector> Drop for Vacancy<C> {
    fn drop(&mut self) {
        if !self.filled {
            self.shared.unopened(self.at);
        }
    }
}

type Work<C> = Pin<Box<dyn Future<Output = Result<Lease<C>, Refused>> + Send>>;

/// A login under way.
pub(super) struct Opening<C: Connector> {
    shared: Arc<Shared<C>>,
    work: Option<Work<C>>,
}

impl<C: Connector> Opening<C> {
    /// For a slot that was granted or claimed with its place.
    pub(super) fn begin(shared: &Arc<Shared<C>>, at: usize, place: Place) -> Opening<C> {
        let vacancy = Vacancy { shared: shared.clone(), at, filled: false };
        Opening { shared: shared.clone(), work: Some(Box::pin(vacancy.fill(place))) }
    }
}

impl<C: Connector> Future for Opening<C> {
    type Output = Result<Lease<C>, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = self.work.as_mut() else { return Poll::Ready(Err(Refused::Stopped)) };
        let result = work.as_mut().poll(context);
        if result.is_ready() {
            self.work = None;
        }
        result
    }
}

impl<C: Connector> Drop for Opening<C> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.shared.own(async move {
                if let Ok(lease) = work.await {
                    lease.rest();
                }
            });
        }
    }
}
