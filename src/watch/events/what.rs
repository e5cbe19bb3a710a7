//! What an event tells, and the line that it writes to the log.

use std::time::Duration;

use serde::Serialize;
use tracing::{info, warn};

/// One kind of event with what belongs to it; the field `kind` of `/events`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// An established connection was lost.
    Lost(Box<Loss>),
    /// The target's state has changed; `phase` and `reason` say how the latest fresh connection failed.
    State {
        from: &'static str,
        to: &'static str,
        phase: Option<&'static str>,
        reason: Option<&'static str>,
    },
    /// The first good answer after a loss.
    Recovered {
        after_seconds: f64,
    },
    /// Neither a fresh nor a kept connection was of use for so long.
    OutageEnded {
        seconds: f64,
    },
    /// Attempts are suspended, since trying makes it worse.
    CircuitOpened {
        why: &'static str,
    },
    CircuitClosed,
    /// What lies between us and the server; `seen_as` is the address that the server sees of us.
    Path {
        path: &'static str,
        seen_as: Option<String>,
    },
    /// Collectors get in by another port: `main`, or `admin` or `extra` at this address while the main one is full.
    Door {
        door: &'static str,
        address: Option<String>,
    },
    /// The target's name resolves to other addresses than before.
    Addresses {
        before: Vec<String>,
        after: Vec<String>,
    },
    /// What is known of the idle limit of the path from here has changed.
    IdleLimit {
        owner: &'static str,
        survived_seconds: f64,
        lost_seconds: Option<f64>,
        safe_lifetime_seconds: Option<f64>,
    },
    /// Somebody asked to drop every pooled connection and to connect anew.
    RecoverAsked {
        closed: u64,
        in_use: u64,
    },
    /// A fresh connection that somebody waits for since asking to recover has got in, or has not.
    RecoverTried {
        good: bool,
        /// Since it was asked for.
        seconds: f64,
        phase: Option<&'static str>,
        reason: Option<&'static str>,
        detail: Option<String>,
        hint: Option<String>,
    },
    /// We did not run ourselves.
    Stalled {
        seconds: f64,
        suspended_seconds: f64,
    },
}

/// A lost connection with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loss {
    pub source: &'static str,
    /// Of a pool's connection.
    pub pool: Option<String>,
    pub cause: &'static str,
    pub confidence: &'static str,
    pub signal: &'static str,
    pub errno: Option<u16>,
    /// How long it had rested.
    pub idle_seconds: f64,
    /// `exact`, `up_to` (nobody watched: it ended on the way) or `busy` (in the midst of a statement).
    pub idle: &'static str,
    /// Whether the server still listed the thread; none while not known.
    pub thread_listed: Option<bool>,
    pub path: Option<&'static str>,
    /// What was done on the connection when that was noticed.
    pub during: Option<&'static str>,
    pub lost_at_once: u64,
    /// By how much `Com_kill` moved without us; none while not known.
    pub kills: Option<u64>,
    pub wait_timeout_seconds: Option<f64>,
    /// The server's number of the connection.
    pub connection_id: u32,
    /// When the loss was noticed: it may be booked much later. RFC 3339.
    pub noticed: String,
    pub detail: String,
}

impl What {
    pub const KINDS: [&str; 13] = [
        "lost",
        "state",
        "recovered",
        "outage_ended",
        "circuit_opened",
        "circuit_closed",
        "path",
        "door",
        "addresses",
        "idle_limit",
        "recover_asked",
        "recover_tried",
        "stalled",
    ];

    /// The value of `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Lost(_) => "lost",
            What::State { .. } => "state",
            What::Recovered { .. } => "recovered",
            What::OutageEnded { .. } => "outage_ended",
            What::CircuitOpened { .. } => "circuit_opened",
            What::CircuitClosed => "circuit_closed",
            What::Path { .. } => "path",
            What::Door { .. } => "door",
            What::Addresses { .. } => "addresses",
            What::IdleLimit { .. } => "idle_limit",
            What::RecoverAsked { .. } => "recover_asked",
            What::RecoverTried { .. } => "recover_tried",
            What::Stalled { .. } => "stalled",
        }
    }

    /// A repetition within this of the last is folded. How a target stands is told unless it flaps: its last word is to
    /// be found.
    pub(super) fn folded_within(&self) -> Duration {
        match self {
            What::State { .. } | What::Recovered { .. } | What::OutageEnded { .. } | What::Door { .. } => {
                Duration::from_secs(10)
            }
            _ => Duration::from_secs(60),
        }
    }

    /// Whether the other says the same, but for what differs each time: times, ages, numbers.
    pub(super) fn is_like(&self, other: &What) -> bool {
        match (self, other) {
            (What::Lost(one), What::Lost(other)) => {
                let key = |loss: &Loss| {
                    (
                        loss.source,
                        loss.pool.clone(),
                        loss.cause,
                        loss.confidence,
                        loss.signal,
                        loss.errno,
                        loss.thread_listed,
                    )
                };
                key(one) == key(other)
            }
            (What::Recovered { .. }, What::Recovered { .. }) => true,
            (What::OutageEnded { .. }, What::OutageEnded { .. }) => true,
            (What::Stalled { .. }, What::Stalled { .. }) => true,
            (
                What::RecoverTried { good, phase, reason, .. },
                What::RecoverTried { good: other_good, phase: other_phase, reason: other_reason, .. },
            ) => (good, phase, reason) == (other_good, other_phase, other_reason),
            _ => self == other,
        }
    }

    /// Writes the line for it; `count` is how often it has happened, this one included.
    pub(super) fn log(&self, target: &str, count: u64) {
        let count = (count > 1).then_some(count);
        match self {
            What::Lost(loss) => warn!(target = %target, source = loss.source, pool = loss.pool, cause = loss.cause,
                confidence = loss.confidence, idle = format_args!("{:.1}s", loss.idle_seconds), signal = loss.signal,
                errno = loss.errno, thread_listed = loss.thread_listed, path = loss.path, during = loss.during,
                lost_at_once = loss.lost_at_once, kills = loss.kills, connection_id = loss.connection_id, count,
                detail = loss.detail, "connection lost"),
            What::State { from, to, phase, reason } => {
                info!(target = %target, from, state = to, phase, reason, count, "state changed");
            }
            What::Recovered { after_seconds } => {
                info!(target = %target, after = format_args!("{after_seconds:.3}s"), count, "connection recovered");
            }
            What::OutageEnded { seconds } => {
                info!(target = %target, down = format_args!("{seconds:.3}s"), count, "outage ended");
            }
            What::CircuitOpened { why } => warn!(target = %target, why, count,
                "attempts are suspended but for one now and then, since trying makes it worse"),
            What::CircuitClosed => info!(target = %target, count, "attempts are no longer suspended"),
            What::Path { path, seen_as } => {
                info!(target = %target, path, seen_as = seen_as.as_deref(), count, "path to the server");
            }
            What::Door { door, address } => {
                info!(target = %target, door, address = address.as_deref(), count, "collectors get in by this door");
            }
            What::Addresses { before, after } => {
                info!(target = %target, before = before.join(","), after = after.join(","), count,
                    "the name has other addresses");
            }
            What::IdleLimit { owner, survived_seconds, lost_seconds, safe_lifetime_seconds } => {
                info!(target = %target, owner, survived = format_args!("{survived_seconds:.1}s"), lost = lost_seconds,
                    safe_lifetime = safe_lifetime_seconds, count, "idle limit of the path");
            }
            What::RecoverAsked { closed, in_use } => {
                info!(target = %target, closed, in_use, count, "pooled connections are dropped, as asked");
            }
            What::RecoverTried { good: true, seconds, .. } => {
                info!(target = %target, after = format_args!("{seconds:.3}s"), count, "good again, as was asked for");
            }
            What::RecoverTried { good: false, seconds, phase, reason, detail, .. } => {
                warn!(target = %target, after = format_args!("{seconds:.3}s"), phase, reason, count,
                    detail = detail.as_deref(), "not good again yet, as was asked for");
            }
            What::Stalled { seconds, suspended_seconds } => {
                warn!(target = %target, late = format_args!("{seconds:.1}s"),
                    suspended = format_args!("{suspended_seconds:.1}s"), count,
                    "this program did not run for a while: stopped, starved, or suspended with its machine");
            }
        }
    }
}
