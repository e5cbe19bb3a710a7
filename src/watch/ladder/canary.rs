//! One connection that rests: how long it has, and how long it is meant to.

use std::time::Duration;

use tokio::time::Instant;

/// The ladder's own name of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanaryId(pub u32);

/// What a canary is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Rests until something ends it before our eyes, and is never pinged.
    Watching,
    /// Rests to an age and is pinged then: what drops connections silently shows in no other way.
    Searching,
}

impl Role {
    pub const ALL: [Role; 2] = [Role::Watching, Role::Searching];

    pub fn label(self) -> &'static str {
        match self {
            Role::Watching => "watching",
            Role::Searching => "searching",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Opening,
    Resting,
    /// Asked after this rest.
    Pinged(Duration),
    /// Was asked after this rest and has not answered in time; it may still do.
    Silent(Duration),
    /// Has answered, and is told its next age.
    Free,
    Arming,
}

#[derive(Clone, Debug)]
pub(super) struct Canary {
    pub(super) id: CanaryId,
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) planned: Duration,
    /// The session's own limit in the server.
    pub(super) session_wait_timeout: Duration,
    /// The last traffic.
    pub(super) since: Instant,
    pub(super) thread_id: Option<u32>,
}

impl Canary {
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// The server lets it rest that long, with something to spare.
    pub(super) fn may_rest(&self, age: Duration) -> bool {
        age.mul_f64(1.1) + Duration::from_secs(10) < self.session_wait_timeout
    }

    pub(super) fn is_open(&self) -> bool {
        self.state != State::Opening
    }
}

/// The `wait_timeout` for a session that is to rest that long: longer, so that the server does not end it; finite, so
/// that one that a silent path leaves behind in the server ends itself.
pub(super) fn session_wait_timeout(planned: Duration) -> Duration {
    Duration::from_secs(planned.mul_f64(1.5).as_secs_f64().ceil() as u64 + 60)
}
