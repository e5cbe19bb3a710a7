//! What a connection is doing and since when, seen at its socket.
//!
//! hyper's own header timeout cannot tell a client that sends slowly from one that rests between two scrapes, and
//! it has none for a client that does not read. Both are seen where the bytes pass, so the socket is wrapped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The steps of a connection, in the order in which it is given up for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Between two requests.
    Resting,
    /// Accepted; nothing has come yet.
    Opened,
    /// A request has begun and is not complete.
    Asking,
    /// A request is complete and its answer not yet with the system.
    Answering,
}

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    pub(super) asking: Duration,
    pub(super) answering: Duration,
    /// Without a byte of the answer being taken.
    pub(super) stalled: Duration,
    pub(super) resting: Duration,
}

/// One connection's step, shared by its socket, its service and the accept loop.
#[derive(Debug)]
pub(super) struct Life {
    now: Mutex<Now>,
    /// Tells the connection to make room.
    give_up: Notify,
    abort: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    step: Step,
    since: Instant,
    /// Requests handed to the service whose answers it has not given back.
    in_service: u32,
    /// Bytes of a next request came while this one was being answered.
    more: bool,
    /// The system has had no room for the answer since then.
    stalled: Option<Instant>,
}

impl Life {
    pub(super) fn new() -> Life {
        let now = Now { step: Step::Opened, since: Instant::now(), in_service: 0, more: false, stalled: None };
        Life { now: Mutex::new(now), give_up: Notify::new(), abort: AtomicBool::new(false) }
    }

    /// Sorts connections: the first is the one that is missed least.
    pub(super) fn rank(&self) -> (Step, Instant) {
        let now = self.now();
        (now.step, now.since)
    }

    pub(super) fn deadline(&self, deadlines: &Deadlines) -> Instant {
        let Now { step, since, stalled, .. } = *self.now();
        let end = since
            + match step {
                Step::Opened | Step::Asking => deadlines.asking,
                Step::Answering => deadlines.answering,
                Step::Resting => deadlines.resting,
            };
        stalled.map_or(end, |stalled| end.min(stalled + deadlines.stalled))
    }

    /// Since when the client has taken no byte of an answer that waits for it.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.now().stalled
    }

    /// Makes room for another: the connection is closed as soon as its task runs.
    pub(super) fn give_up(&self) {
        self.give_up.notify_one();
    }

    pub(super) async fn given_up(&self) {
        self.give_up.notified().await;
    }

    /// From here on closing means a reset, so that the system forgets what the client has not read.
    pub(super) fn abort(&self) {
        self.abort.store(true, Ordering::Relaxed);
    }

    pub(super) fn service_begins(&self) {
        let mut now = self.now();
        now.in_service += 1;
        now.enter(Step::Answering);
    }

    pub(super) fn service_ends(&self) {
        self.now().in_service -= 1;
    }

    fn bytes_came(&self) {
        let mut now = self.now();
        match now.step {
            Step::Answering => now.more = true,
            Step::Asking => {}
            Step::Opened | Step::Resting => now.enter(Step::Asking),
        }
    }

    /// hyper also answers by itself, what it cannot read as a request.
    fn bytes_leave(&self, written: &Poll<io::Result<usize>>) {
        let mut now = self.now();
        now.enter(Step::Answering);
        now.stalled = match written {
            Poll::Pending => now.stalled.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => None,
        };
    }

    fn all_bytes_left(&self) {
        let mut now = self.now();
        if now.step == Step::Answering && now.in_service == 0 {
            let next = if now.more { Step::Asking } else { Step::Resting };
            now.enter(next);
        }
    }

    /// Nothing that panics runs under the lock, and every write is one assignment.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    /// Entering a step that one is in does not prolong it.
    fn enter(&mut self, step: Step) {
        if self.step != step {
            *self = Now { step, since: Instant::now(), in_service: self.in_service, more: false, stalled: None };
        }
    }
}

/// A socket that keeps its connection's `Life`.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    life: Arc<Life>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, life: Arc<Life>) -> Wire {
        Wire { stream, life }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.life.abort.load(Ordering::Relaxed) {
            // Nothing is lost when this fails: the system then takes its own time.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.life.bytes_came();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.life.bytes_leave(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.life.bytes_leave(&written);
        written
    }

    /// A body is queued whole, not copied, only for a socket that says this.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.life.all_bytes_left();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_alive_connection_goes_round() {
        let life = Life::new();
        let step = || life.rank().0;
        assert_eq!(step(), Step::Opened);
        life.all_bytes_left();
        assert_eq!(step(), Step::Opened, "there was nothing to flush");
        for _ in 0..2 {
            life.bytes_came();
            assert_eq!(step(), Step::Asking);
            life.service_begins();
            life.all_bytes_left();
            assert_eq!(step(), Step::Answering, "the answer is still being made");
            life.service_ends();
            life.bytes_leave(&Poll::Ready(Ok(1)));
            life.all_bytes_left();
            assert_eq!(step(), Step::Resting);
        }
    }

    #[test]
    fn half_a_request_behind_another_is_not_rest() {
        let life = Life::new();
        life.bytes_came();
        life.service_begins();
        life.service_ends();
        life.bytes_leave(&Poll::Ready(Ok(1)));
        life.bytes_came();
        life.all_bytes_left();
        assert_eq!(life.rank().0, Step::Asking);
    }

    #[tokio::test(start_paused = true)]
    async fn sending_a_little_does_not_prolong_a_step() {
        let life = Life::new();
        life.bytes_came();
        let deadlines = Deadlines {
            asking: Duration::from_secs(10),
            answering: Duration::from_secs(30),
            stalled: Duration::from_secs(5),
            resting: Duration::from_secs(300),
        };
        let deadline = life.deadline(&deadlines);
        tokio::time::advance(Duration::from_secs(9)).await;
        life.bytes_came();
        assert_eq!(life.deadline(&deadlines), deadline);
    }
}
