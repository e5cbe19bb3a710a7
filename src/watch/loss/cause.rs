//! The causes of a lost connection, and what a verdict is.
//!
//! `Cause` is one closed set for every metric, event and message. A new one is a change of the contract.

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)*) => {
        /// Why an established connection was lost.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Cause {
            pub const ALL: &[Cause] = &[$(Cause::$variant),*];

            /// The value of the label `cause`.
            pub fn label(self) -> &'static str {
                match self {
                    $(Cause::$variant => $label,)*
                }
            }
        }
    };
}

causes! {
    /// The server ended it after the session's `wait_timeout`.
    WaitTimeout = "wait_timeout",
    /// The server ended it because a transaction rested too long (MariaDB).
    IdleTransactionTimeout = "idle_transaction_timeout",
    /// The server stopped, or crashed, and is another incarnation now.
    ServerRestart = "server_restart",
    /// Another server answers in its place.
    Failover = "failover",
    /// The server went into offline mode.
    Offline = "offline",
    /// More was sent than the server's `max_allowed_packet`.
    PacketTooLarge = "packet_too_large",
    /// Somebody ended it with KILL.
    Killed = "killed",
    /// Something between us and the server closed or reset it.
    MiddleboxReset = "middlebox_reset",
    /// Something between us and the server forgot it without a word.
    MiddleboxSilent = "middlebox_silent",
    /// The way to the server was lost.
    Network = "network",
    /// The server accepts connections and answers nothing.
    ServerFrozen = "server_frozen",
    /// The server went away and did not come back in time.
    ServerDown = "server_down",
    /// The TLS layer ended it.
    Tls = "tls",
    /// What came broke the protocol.
    Protocol = "protocol",
    /// We were stopped, starved or suspended ourselves: the observation is worth nothing.
    ClientStall = "client_stall",
    /// The evidence does not decide.
    Unknown = "unknown",
}

/// How sure a verdict is. Part of events and logs, not of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confidence {
    /// All that the cause needs was seen, and no other known cause fits.
    High,
    /// The usual cause of what was seen; something was not asked, or an alternative remains.
    Low,
}

impl Confidence {
    pub fn label(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Low => "low",
        }
    }
}

/// What came of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Decided {
        cause: Cause,
        confidence: Confidence,
    },
    /// The server is away, or nobody could be asked yet: to be judged again, and not counted until then.
    Provisional,
}

/// Whose connection it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A pool's, used as an application uses one.
    Pool,
    /// A canary's of the idle ladder, watched on our own socket.
    Canary,
}

impl Source {
    pub const ALL: [Source; 2] = [Source::Pool, Source::Canary];

    /// The value of the label `source`.
    pub fn label(self) -> &'static str {
        match self {
            Source::Pool => "pool",
            Source::Canary => "canary",
        }
    }

    /// Whether a loss of this source can have that cause: such series stand at 0 from the first scrape.
    ///
    /// A canary never opens a transaction and sends nothing but pings.
    pub fn can_have(self, cause: Cause) -> bool {
        self == Source::Pool || !matches!(cause, Cause::IdleTransactionTimeout | Cause::PacketTooLarge)
    }
}
