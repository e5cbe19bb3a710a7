//! What a connection is doing and since when, seen at its socket.
//!
//! hyper's own header timeout cannot tell a client that sends slowly from one that rests between two scrapes, and
//! it has none for a client that does not read. Both are seen where the bytes pass, so the socket is wrapped (`wire`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// The answer waits for a database until then.
    waits: Option<Instant>,
}

impl Life {
    pub(super) fn new() -> Life {
        let now =
            Now { step: Step::Opened, since: Instant::now(), in_service: 0, more: false, stalled: None, waits: None };
        Life { now: Mutex::new(now), give_up: Notify::new(), abort: AtomicBool::new(false) }
    }

    /// Sorts connections: the first is the one that is missed least.
    pub(super) fn rank(&self) -> (Step, Instant) {
        let now = self.now();
        (now.step, now.since)
    }

    pub(super) fn deadline(&self, deadlines: &Deadlines) -> Instant {
        let Now { step, since, stalled, waits, .. } = *self.now();
        let begun = waits.filter(|_| step == Step::Answering).map_or(since, |waits| since.max(waits));
        let end = begun
            + match step {
                Step::Opened | Step::Asking => deadlines.asking,
                Step::Answering => deadlines.answering,
                Step::Resting => deadlines.resting,
            };
        stalled.map_or(end, |stalled| end.min(stalled + deadlines.stalled))
    }

    /// The answer is not due before.
    pub(super) fn waits_until(&self, until: Instant) {
        self.now().waits = Some(until);
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

    pub(super) fn is_aborted(&self) -> bool {
        self.abort.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_came(&self) {
        let mut now = self.now();
        match now.step {
            Step::Answering => now.more = true,
            Step::Asking => {}
            Step::Opened | Step::Resting => now.enter(Step::Asking),
        }
    }

    /// hyper also answers by itself, what it cannot read as a request.
    pub(super) fn bytes_leave(&self) {
        self.now().enter(Step::Answering);
    }

    /// Whether the system took what we sent, if only a part of it.
    pub(super) fn has_room(&self, room: bool) {
        let mut now = self.now();
        now.stalled = match room {
            false => now.stalled.or_else(|| Some(Instant::now())),
            true => None,
        };
    }

    pub(super) fn all_bytes_left(&self) {
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
            *self = Now {
                step,
                since: Instant::now(),
                in_service: self.in_service,
                more: false,
                stalled: None,
                waits: None,
            };
        }
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
            life.bytes_leave();
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
        life.bytes_leave();
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
