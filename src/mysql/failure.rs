//! Why a connection could not be had: the phase that failed, the reason, and what a person can do about it.
//!
//! `Reason` is one closed set for every metric, event and message. A new one is a change of the contract.

use std::fmt;

/// The phases of a new connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Resolving the host name.
    Dns,
    /// The TCP handshake, or connecting to the unix socket.
    Tcp,
    /// Waiting for the server's first packet.
    Greeting,
    /// The TLS handshake, the certificate's verification included.
    Tls,
    /// Logging in.
    Auth,
    /// The first statement.
    Query,
}

impl Phase {
    pub const ALL: [Phase; 6] = [Phase::Dns, Phase::Tcp, Phase::Greeting, Phase::Tls, Phase::Auth, Phase::Query];

    pub fn label(self) -> &'static str {
        match self {
            Phase::Dns => "dns",
            Phase::Tcp => "tcp",
            Phase::Greeting => "greeting",
            Phase::Tls => "tls",
            Phase::Auth => "auth",
            Phase::Query => "query",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)*) => {
        /// Why a connection could not be had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The value of the label `reason`.
            pub fn label(self) -> &'static str {
                match self {
                    $(Reason::$variant => $label,)*
                }
            }
        }
    };
}

reasons! {
    /// The name could not be resolved.
    Dns = "dns",
    /// Nothing listens there, or a firewall says so.
    Refused = "refused",
    /// No route, or an ICMP message that says so.
    Unreachable = "unreachable",
    /// No answer within the deadline.
    Timeout = "timeout",
    /// The connection was reset.
    Reset = "reset",
    /// The connection was closed in order, before it was of use.
    Closed = "closed",
    /// We require TLS and the server has none.
    TlsUnsupported = "tls_unsupported",
    /// The server requires TLS and we came without.
    TlsRequired = "tls_required",
    /// The server's certificate has expired.
    TlsExpired = "tls_expired",
    /// The server's certificate is signed by a CA that we don't trust.
    TlsUnknownCa = "tls_unknown_ca",
    /// The server's certificate is for another name.
    TlsWrongName = "tls_wrong_name",
    /// Any other failure of the TLS handshake.
    TlsOther = "tls_other",
    /// Wrong password, unknown account, or no right to the database.
    AccessDenied = "access_denied",
    /// The account is locked, by an operator or after failed logins.
    AccountLocked = "account_locked",
    /// The password has expired.
    PasswordExpired = "password_expired",
    /// The database does not exist.
    UnknownDatabase = "unknown_database",
    /// The server blocks this host after too many interrupted connections.
    HostBlocked = "host_blocked",
    /// No account matches this host.
    HostNotAllowed = "host_not_allowed",
    /// The server's connection limit is reached.
    TooManyConnections = "too_many_connections",
    /// The account's own limit is reached.
    UserLimit = "user_limit",
    /// The account's authentication plugin cannot be served.
    AuthPlugin = "auth_plugin",
    /// What came is not the MySQL protocol, or breaks it.
    Protocol = "protocol",
    /// The server is in offline mode.
    Offline = "offline",
    /// The server is shutting down.
    ServerShutdown = "server_shutdown",
    /// Any other error.
    Other = "other",
}

/// One failure to connect, ready to be counted and to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub phase: Phase,
    pub reason: Reason,
    /// The server's error number, where the server gave one.
    pub errno: Option<u16>,
    /// What was seen, in the words of the server, the system or the TLS library.
    pub detail: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(phase: Phase, reason: Reason, detail: impl Into<String>) -> Failure {
        Failure { phase, reason, errno: None, detail: detail.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} failed: {}", self.phase.label(), self.detail)?;
        if let Some(errno) = self.errno {
            write!(out, " ({errno})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
