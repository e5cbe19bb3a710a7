//! What a pool tells of itself while it works: for instruments, for the verdict on a loss.
//!
//! Calls come as things happen, outside of the pool's lock, and must not wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::failure::Failure;
use super::super::signal::Signal;

/// Why a connection left the pool; the label `reason` of `mysql_conn_pool_closed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// It was older than `recycle` when it was wanted.
    Recycle,
    /// It came back when `size` others were resting.
    Superfluous,
    /// It ended without our wish.
    Lost,
    /// The server refused to reset it.
    ResetFailed,
    /// Whoever had it stopped without giving it back.
    Cancelled,
    /// An operator wanted new connections.
    Recover,
    /// The pool ends.
    Shutdown,
}

impl CloseReason {
    pub const ALL: [CloseReason; 7] = [
        CloseReason::Recycle,
        CloseReason::Superfluous,
        CloseReason::Lost,
        CloseReason::ResetFailed,
        CloseReason::Cancelled,
        CloseReason::Recover,
        CloseReason::Shutdown,
    ];

    pub fn label(self) -> &'static str {
        match self {
            CloseReason::Recycle => "recycle",
            CloseReason::Superfluous => "superfluous",
            CloseReason::Lost => "lost",
            CloseReason::ResetFailed => "reset_failed",
            CloseReason::Cancelled => "cancelled",
            CloseReason::Recover => "recover",
            CloseReason::Shutdown => "shutdown",
        }
    }
}

/// How acquiring ended; the label `result` of `mysql_conn_pool_acquires_total`. One that was cancelled has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waited {
    Ok,
    /// Nothing came free in time.
    Timeout,
    /// Opening failed, or the pool ended.
    Error,
}

impl Waited {
    pub const ALL: [Waited; 3] = [Waited::Ok, Waited::Timeout, Waited::Error];

    pub fn label(self) -> &'static str {
        match self {
            Waited::Ok => "ok",
            Waited::Timeout => "timeout",
            Waited::Error => "error",
        }
    }
}

/// What a check found; the label `result` of `mysql_conn_pool_checks_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checked {
    Alive,
    Dead,
}

impl Checked {
    pub const ALL: [Checked; 2] = [Checked::Alive, Checked::Dead];

    pub fn label(self) -> &'static str {
        match self {
            Checked::Alive => "alive",
            Checked::Dead => "dead",
        }
    }
}

/// What was done on a connection when it was found lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum During {
    /// The ping before it was handed out.
    Check,
    Use,
    /// The reset after it was given back.
    Reset,
}

impl During {
    pub fn label(self) -> &'static str {
        match self {
            During::Check => "check",
            During::Use => "use",
            During::Reset => "reset",
        }
    }
}

/// A connection that ended without our wish: what this side knows, for the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost<K = ()> {
    pub pool: Arc<str>,
    pub slot: u32,
    /// The server's name for it.
    pub connection_id: u32,
    pub opened_at: Instant,
    /// It ended between this and `noticed_at`: nobody reads a resting connection of the pool.
    pub last_answer_at: Instant,
    pub noticed_at: Instant,
    pub signal: Signal,
    pub failure: Failure,
    pub during: During,
    /// What the connection itself knew.
    pub known: K,
}

impl<K> Lost<K> {
    /// How long it had rested at the most.
    pub fn rested(&self) -> Duration {
        self.noticed_at.saturating_duration_since(self.last_answer_at)
    }
}

/// Who listens. Opened well is closed and open, at every call's end; closed as `Lost` comes with one `lost` each.
pub trait Observer<K = ()>: Send + Sync + 'static {
    fn opened(&self, _result: Result<(), &Failure>, _took: Duration) {}
    fn closed(&self, _reason: CloseReason) {}
    /// From asking to having: waiting, checking and opening.
    fn waited(&self, _result: Waited, _took: Duration) {}
    fn checked(&self, _result: Checked) {}
    /// From having to giving back, the reset not included.
    fn used(&self, _took: Duration) {}
    /// Comes before anything is opened in its place.
    fn lost(&self, _lost: Lost<K>) {}
}

impl<K> Observer<K> for () {}
