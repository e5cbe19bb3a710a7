//! What the pool wants of connections: what a session is, and a script in its tests.

use tokio::time::Instant;

use super::super::budget::Place;
use super::super::failure::Failure;
use super::super::signal::Standing;

/// Opens connections.
pub trait Connector: Send + Sync + 'static {
    type Connection: Connection;

    /// Whether there is hope for another connection. While there is none, one that works is not given up for its age.
    fn can_open(&self) -> bool {
        true
    }

    /// Ends by the deadline. The place lives as long as the connection does.
    fn open(&self, place: Place, deadline: Instant) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;
}

/// A connection that knows how it stands. Each exchange ends by its deadline, and is then a loss by timeout; if the
/// caller stops waiting before, the connection is `Unanswered`.
pub trait Connection: Send + 'static {
    /// What its keeper wants to know of it when it is lost.
    type Known: Send + 'static;

    fn known(&self) -> Self::Known;

    /// The server's name for it.
    fn id(&self) -> u32;

    fn standing(&self) -> Standing<'_>;

    /// When the server last answered.
    fn answered_at(&self) -> Instant;

    fn ping(&mut self, deadline: Instant) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Ends what the last user may have left open.
    fn reset(&mut self, deadline: Instant) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Takes leave of the server, in bounded time.
    fn close(self) -> impl Future<Output = ()> + Send;
}
