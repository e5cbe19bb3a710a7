//! Everything that is known of one loss, as plain values. `None`, `NotAsked` and `Unknown` mean just that.
//!
//! Six questions decide: did the server say why; is it another incarnation or another server; how long had the
//! connection rested, and how well do we know; does the server still list the thread; how many were lost at once; and
//! how do fresh connections fare. All times are spans, so that no clock is needed here.

use std::sync::Arc;
use std::time::Duration;

use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::server::{Flavor, Version};
use crate::mysql::signal::Signal;

/// How long a server may be away before its losses are booked without knowing how it comes back.
pub const GIVE_UP: Duration = Duration::from_secs(300);

/// The evidence of one loss.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What was seen on the lost connection.
    pub signal: Signal,
    /// The number of the error packet, where one came.
    pub errno: Option<u16>,
    pub rest: Rest,
    /// The bytes of the statement that was being sent.
    pub sending: Option<u64>,
    /// By how much our own timers were late around the loss.
    pub lateness: Duration,
    /// The deadline that an answer had; timers that were late by more than that saw nothing.
    pub deadline: Duration,

    /// The server that the connection was opened to.
    pub server: Option<(Flavor, Version)>,
    /// The session's own `wait_timeout`, read when it was opened: it can differ from the global one.
    pub wait_timeout: Option<Duration>,
    pub transaction: Transaction,
    pub max_allowed_packet: Option<u64>,
    /// How long before the asking it was opened.
    pub opened_ago: Option<Duration>,
    /// What the server was while the connection lived.
    pub before: Incarnation,

    /// What the server is now, as a connection said that was asked after the loss. `None`: nobody could be asked.
    pub after: Option<Incarnation>,
    /// Whether several identities were seen behind the target while all was well.
    pub several_identities: bool,
    /// Whether the old identity still answers behind the target.
    pub old_identity_answers: Option<bool>,
    /// As the same connection that gave `after` says; without meaning where that is another identity.
    pub thread: Thread,
    /// Whether the server lists the thread as one that waits for a statement.
    pub is_asleep: Option<bool>,
    pub kills: Option<Kills>,

    /// How many of our connections to this target were noticed lost within the same second, this one included.
    pub lost_at_once: u64,
    /// The exactly known ages of other losses, at once or earlier, that this incarnation of the path has seen.
    pub watched_ages: Vec<Duration>,
    /// The fresh attempts since the last good answer on the lost connection.
    pub fresh: Attempts,
    /// Whether what was sent on a kept connection that does not answer was acknowledged by the far end's TCP.
    pub acknowledged: Option<bool>,
    pub path: Path,
    pub ladder: Ladder,

    /// How long the server has been away, or out of reach of any question.
    pub away_for: Duration,
    pub give_up: Duration,
}

impl Evidence {
    /// A loss of which nothing is known but what was seen.
    pub fn new(signal: Signal, rest: Rest, deadline: Duration) -> Evidence {
        Evidence {
            signal,
            errno: None,
            rest,
            sending: None,
            lateness: Duration::ZERO,
            deadline,
            server: None,
            wait_timeout: None,
            transaction: Transaction::Unknown,
            max_allowed_packet: None,
            opened_ago: None,
            before: Incarnation::default(),
            after: None,
            several_identities: false,
            old_identity_answers: None,
            thread: Thread::NotAsked,
            is_asleep: None,
            kills: None,
            lost_at_once: 1,
            watched_ages: Vec::new(),
            fresh: Attempts::default(),
            acknowledged: None,
            path: Path::Unknown,
            ladder: Ladder::default(),
            away_for: Duration::ZERO,
            give_up: GIVE_UP,
        }
    }
}

/// How long the connection had rested when it was lost, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Somebody read the idle socket: a FIN, reset or packet that came unasked came at exactly this age.
    Watched(Duration),
    /// Noticed at the next use, this long after the last answer: it ended somewhere on the way.
    UpTo(Duration),
    /// In the midst of a statement, this long after it was sent. No idle timeout of the server runs then; one of the
    /// path does.
    Busy(Duration),
}

/// Whether a transaction was open, and which idle timeout the server had in force for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    Unknown,
    None,
    /// Open, with no idle timeout of its own: `wait_timeout` holds.
    Open,
    /// Open, with this idle timeout in the place of `wait_timeout`.
    Limited(Duration),
}

/// The idle timeouts of transactions in a session of MariaDB; zero is off, as the server has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTransactionTimeouts {
    /// `idle_transaction_timeout`
    pub any: Duration,
    /// `idle_readonly_transaction_timeout`
    pub read_only: Duration,
    /// `idle_write_transaction_timeout`
    pub write: Duration,
}

impl IdleTransactionTimeouts {
    /// What holds in an open transaction. The one of its kind goes before the one of all transactions; whether it has
    /// written may be unknown.
    pub fn in_force(self, has_written: Option<bool>) -> Transaction {
        let of = |own: Duration| match if own.is_zero() { self.any } else { own } {
            Duration::ZERO => Transaction::Open,
            limit => Transaction::Limited(limit),
        };
        match has_written {
            Some(true) => of(self.write),
            Some(false) => of(self.read_only),
            None if of(self.write) == of(self.read_only) => of(self.write),
            None => Transaction::Unknown,
        }
    }
}

/// Which server it is: `server_uuid`; MariaDB's `server_uid` where it has one; else `server_id`, host name and port
/// together, since two servers on one host can share the first two.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Arc<str>);

impl Identity {
    pub fn new(text: &str) -> Identity {
        Identity(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One life of a server, as a connection to it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incarnation {
    pub identity: Option<Identity>,
    /// How long before the asking it began: `Uptime`, and the time that has passed since that was read.
    pub began_ago: Option<Duration>,
}

/// What the server says of the lost connection's thread: id, user and client address match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    NotAsked,
    /// Listed, but not asked again: a server takes a moment to clear up, so this says nothing yet.
    ListedOnce,
    /// Listed, and still listed a second later.
    Listed,
    /// Not listed, or listed with the command `Killed`.
    Gone,
}

/// What `Com_kill` did since the connection was last known to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kills {
    /// How far it moved, without our own KILLs.
    pub moved: u64,
    /// Whether it moves all the time on this server, so that its moving says little.
    pub always_moving: bool,
}

/// How one fresh connection fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    Good,
    /// It got in, but the greeting came after its deadline.
    LateGreeting,
    Failed {
        phase: Phase,
        reason: Reason,
        errno: Option<u16>,
    },
}

impl From<&Failure> for Fresh {
    fn from(failure: &Failure) -> Fresh {
        Fresh::Failed { phase: failure.phase, reason: failure.reason, errno: failure.errno }
    }
}

/// All fresh attempts of a while, however many, in little space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    last: Option<Fresh>,
    ungreeted: bool,
    unreached: bool,
    tcp_timed_out: bool,
    offline: bool,
}

impl Attempts {
    /// The next attempt, in the order of time.
    pub fn note(&mut self, fresh: Fresh) {
        self.last = Some(fresh);
        match fresh {
            Fresh::Good => {}
            Fresh::LateGreeting => self.ungreeted = true,
            Fresh::Failed { phase, reason, errno } => {
                self.ungreeted |= phase == Phase::Greeting && reason == Reason::Timeout;
                self.unreached |= matches!(phase, Phase::Dns | Phase::Tcp);
                self.tcp_timed_out |= phase == Phase::Tcp && reason == Reason::Timeout;
                self.offline |= reason == Reason::Offline || errno == Some(3032);
            }
        }
    }

    pub fn last(&self) -> Option<Fresh> {
        self.last
    }

    /// The last one got in.
    pub fn is_good(&self) -> bool {
        matches!(self.last, Some(Fresh::Good | Fresh::LateGreeting))
    }

    /// The last one found nobody who could answer; a server that refuses us by an error packet is not away.
    pub fn is_away(&self) -> bool {
        use Reason::*;
        match self.last {
            Some(Fresh::Failed { phase, reason, .. }) => {
                matches!(phase, Phase::Dns | Phase::Tcp) || matches!(reason, Timeout | Reset | Closed | ServerShutdown)
            }
            _ => false,
        }
    }

    /// One was accepted and not greeted in time.
    pub fn ungreeted(&self) -> bool {
        self.ungreeted
    }

    /// One failed before it had reached the server's port.
    pub fn unreached(&self) -> bool {
        self.unreached
    }

    /// One got no answer from the server's port.
    pub fn tcp_timed_out(&self) -> bool {
        self.tcp_timed_out
    }

    /// One was told that the server is in offline mode.
    pub fn offline(&self) -> bool {
        self.offline
    }
}

/// What lies between: our socket's address compared with what the server shows as this thread's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Unknown,
    Direct,
    Proxied,
}

/// What the idle ladder knows of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// The longest rest that was survived.
    pub survived_max: Option<Duration>,
    /// The shortest rest that was not.
    pub lost_min: Option<Duration>,
    /// The path's limit, once it is confirmed.
    pub limit: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_timeout_of_a_transactions_kind_goes_before_that_of_all() {
        let timeouts = IdleTransactionTimeouts { any: seconds(9), read_only: seconds(5), write: seconds(0) };
        assert_eq!(timeouts.in_force(Some(false)), Transaction::Limited(seconds(5)));
        assert_eq!(timeouts.in_force(Some(true)), Transaction::Limited(seconds(9)));
        assert_eq!(timeouts.in_force(None), Transaction::Unknown);
        assert_eq!(IdleTransactionTimeouts::default().in_force(None), Transaction::Open);
        let one = IdleTransactionTimeouts { any: seconds(9), ..IdleTransactionTimeouts::default() };
        assert_eq!(one.in_force(None), Transaction::Limited(seconds(9)));
    }

    #[test]
    fn attempts_remember_what_any_of_them_met() {
        let mut attempts = Attempts::default();
        assert!(!attempts.is_away() && !attempts.is_good());
        for (failure, away) in [
            (Failure::new(Phase::Tcp, Reason::Timeout, ""), true),
            (Failure::new(Phase::Greeting, Reason::Timeout, ""), true),
            (Failure::new(Phase::Greeting, Reason::Closed, ""), true),
            (Failure::new(Phase::Auth, Reason::ServerShutdown, ""), true),
            (Failure::new(Phase::Greeting, Reason::TooManyConnections, ""), false),
            (Failure::new(Phase::Auth, Reason::AccessDenied, ""), false),
            (Failure::new(Phase::Tcp, Reason::Refused, ""), true),
        ] {
            attempts.note(Fresh::from(&failure));
            assert_eq!(attempts.is_away(), away, "{failure}");
        }
        attempts.note(Fresh::Good);
        assert!(attempts.is_good() && attempts.ungreeted() && attempts.unreached() && attempts.tcp_timed_out());
        assert!(!attempts.offline());
    }
}
