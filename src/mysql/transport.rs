//! What the errors of sockets and of TLS mean to someone who wants to be a server's client.
//!
//! An orderly end is `UnexpectedEof` here: of TCP, of TLS with its farewell and without, since servers rarely say one.
//! `InvalidData` that is not TLS's is a breach of the MySQL protocol.

use std::io;

use rustls::{AlertDescription, CertificateError};

use super::failure::{Failure, Phase, Reason};
use super::signal::{Signal, says_that_it_ended, tls_of};

/// The failure that an error on a connection is.
pub fn failure(phase: Phase, error: &io::Error) -> Failure {
    match tls_of(error) {
        // Once logged in, it is the connection that has ended, not TLS that has failed.
        Some(of_tls) if phase == Phase::Query && says_that_it_ended(of_tls) => return closed(phase, error),
        Some(of_tls) => return tls(phase, of_tls),
        None => {}
    }
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => return closed(phase, error),
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        // Of a unix socket.
        io::ErrorKind::NotFound => Reason::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Reason::Unreachable
        }
        io::ErrorKind::TimedOut => return timeout_with(phase, error.to_string()),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => Reason::Reset,
        io::ErrorKind::InvalidData => Reason::Protocol,
        _ => Reason::Other,
    };
    let mut failure = Failure::new(phase, reason, error.to_string());
    failure.hint = hint(phase, reason, error.kind()).map(str::to_owned);
    failure
}

/// How an established connection ended, by the error that reading from it gave.
pub fn signal(error: &io::Error) -> Signal {
    if let Some(error) = tls_of(error) {
        return if says_that_it_ended(error) { Signal::Fin } else { Signal::TlsAlert };
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Signal::Fin,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Signal::Rst,
        io::ErrorKind::BrokenPipe => Signal::RstOnWrite,
        io::ErrorKind::InvalidData => Signal::OutOfSync,
        // Keepalive or retransmission gave up, or the network says that there is no way.
        _ => Signal::Timeout,
    }
}

/// The failure that a passed deadline is.
pub fn timeout(phase: Phase) -> Failure {
    timeout_with(phase, "no answer within the deadline".into())
}

fn timeout_with(phase: Phase, detail: String) -> Failure {
    Failure::new(phase, Reason::Timeout, detail).with_hint(match phase {
        Phase::Dns => "the resolver does not answer; see /etc/resolv.conf",
        Phase::Tcp => "packets are dropped: check firewalls, security groups, routes, and that the host is up",
        Phase::Greeting => {
            "the port is open but nobody speaks: the server hangs or is overloaded; if it greets after some seconds, \
             it waits for reverse DNS: set skip_name_resolve"
        }
        Phase::Tls | Phase::Auth => "the server greeted and then fell silent: it hangs, or the path drops packets",
        Phase::Query => "the login worked but the first statement hangs: the server is overloaded, or the path fails",
    })
}

fn closed(phase: Phase, error: &io::Error) -> Failure {
    // tokio and rustls have words of their own for it, which explain less.
    let detail = match error.get_ref() {
        Some(inner) if inner.is::<InMidPacket>() => "the connection was closed in the middle of a packet",
        _ => "the connection was closed",
    };
    let failure = Failure::new(phase, Reason::Closed, detail);
    match phase {
        Phase::Greeting => failure.with_hint(
            "a proxy whose backend is down, a server that is shutting down, or a rule of hosts.allow ends connections \
             like this",
        ),
        Phase::Tls => failure.with_hint("the server ended the TLS handshake; its error log may say why"),
        Phase::Auth => failure.with_hint(
            "the server ended the login without a word: connect_timeout passed, it shuts down, or a proxy cut in",
        ),
        _ => failure,
    }
}

/// The inside of an `UnexpectedEof` that came after a part of a packet.
#[derive(Debug)]
pub struct InMidPacket;

impl std::fmt::Display for InMidPacket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("closed in the middle of a packet")
    }
}

impl std::error::Error for InMidPacket {}

fn hint(phase: Phase, reason: Reason, kind: io::ErrorKind) -> Option<&'static str> {
    Some(match (reason, phase) {
        (Reason::Refused, _) if kind == io::ErrorKind::NotFound => {
            "no such socket: the server is not running, or has its socket elsewhere (SELECT @@socket)"
        }
        (Reason::Refused, _) => {
            "nothing listens there: the server is down, listens on another port or address (bind_address, \
             skip_networking), or a firewall rejects"
        }
        (Reason::Unreachable, _) => "no route to the host, or a firewall says so; check the address and the network",
        (Reason::Reset, Phase::Greeting) => {
            "something accepts connections and resets them: a proxy without backend, or a firewall in between"
        }
        (Reason::Reset, _) => "the server process died, or a firewall or proxy on the path cut the connection",
        (Reason::Other, _) if kind == io::ErrorKind::PermissionDenied => {
            "this process may not connect there: see the socket's permissions, or the local firewall"
        }
        _ => return None,
    })
}

/// The failure that an error of the TLS library is.
///
/// It belongs to phase `tls` though it may come later: with TLS 1.3 the server judges our certificate when we are
/// about to log in.
pub fn tls(phase: Phase, error: &rustls::Error) -> Failure {
    let phase = if phase == Phase::Query { phase } else { Phase::Tls };
    let rustls::Error::InvalidCertificate(certificate) = error else {
        let failure = Failure::new(phase, Reason::TlsOther, error.to_string());
        return match tls_hint(error) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        };
    };
    let (reason, hint) = match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            Reason::TlsExpired,
            "renew the server's certificate, then restart it or ALTER INSTANCE RELOAD TLS (MariaDB: FLUSH SSL)",
        ),
        CertificateError::UnknownIssuer => (
            Reason::TlsUnknownCa,
            "set `ca` to the authority that signed the server's certificate (MySQL's own is ca.pem in its data directory)",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            Reason::TlsWrongName,
            "connect by a name of the certificate, set `server_name` to one, or use VERIFY_CA; the common name does \
             not count, only subject alternative names",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (Reason::TlsOther, "the certificate's time has not begun, or this machine's clock is behind")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (Reason::TlsOther, "the certificate is not meant for servers (extended key usage serverAuth)")
        }
        CertificateError::BadEncoding | CertificateError::Other(_) => (
            Reason::TlsOther,
            "the certificate cannot be verified: it needs X.509 version 3, and an authority's own certificate must \
             not be the server's unless it is the one in `ca`",
        ),
        _ => (Reason::TlsOther, "the server's certificate cannot be verified"),
    };
    Failure::new(phase, reason, error.to_string()).with_hint(hint)
}

fn tls_hint(error: &rustls::Error) -> Option<&'static str> {
    match error {
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        )
        | rustls::Error::PeerIncompatible(_) => Some(
            "no TLS version or cipher in common: this client speaks TLS 1.2 and 1.3 (see tls_version in the server)",
        ),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA,
        ) => Some("the server refuses the client certificate; is it signed by the server's ssl_ca and still valid?"),
        rustls::Error::InvalidMessage(_) => Some("what came is not TLS: does something on the path tamper with it?"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(error: io::Error) -> Reason {
        failure(Phase::Tcp, &error).reason
    }

    #[test]
    fn the_systems_errors_have_their_reasons() {
        for (errno, expected) in [
            (libc::ECONNREFUSED, Reason::Refused),
            (libc::ENOENT, Reason::Refused),
            (libc::EHOSTUNREACH, Reason::Unreachable),
            (libc::ENETUNREACH, Reason::Unreachable),
            (libc::ETIMEDOUT, Reason::Timeout),
            (libc::ECONNRESET, Reason::Reset),
            (libc::EPIPE, Reason::Reset),
            (libc::EACCES, Reason::Other),
            (libc::EMFILE, Reason::Other),
        ] {
            assert_eq!(reason(io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }

    #[test]
    fn an_orderly_end_is_closed_and_a_breach_of_rules_is_protocol() {
        assert_eq!(reason(io::ErrorKind::UnexpectedEof.into()), Reason::Closed);
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, InMidPacket);
        assert!(failure(Phase::Auth, &cut).detail.contains("middle of a packet"));
        assert_eq!(reason(io::Error::new(io::ErrorKind::InvalidData, "packets out of order")), Reason::Protocol);
    }

    #[test]
    fn the_tls_librarys_errors_have_their_reasons() {
        use CertificateError as Bad;
        for (certificate, expected) in [
            (Bad::Expired, Reason::TlsExpired),
            (Bad::UnknownIssuer, Reason::TlsUnknownCa),
            (Bad::NotValidForName, Reason::TlsWrongName),
            (Bad::NotValidYet, Reason::TlsOther),
            (Bad::BadSignature, Reason::TlsOther),
        ] {
            let error = rustls::Error::InvalidCertificate(certificate);
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            let failure = failure(Phase::Auth, &error);
            assert_eq!((failure.phase, failure.reason), (Phase::Tls, expected));
            assert!(failure.hint.is_some());
        }
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        assert!(tls(Phase::Auth, &alert).hint.is_some_and(|hint| hint.contains("client certificate")));
    }

    #[test]
    fn every_timeout_has_a_hint() {
        for phase in Phase::ALL {
            let failure = timeout(phase);
            assert_eq!((failure.phase, failure.reason), (phase, Reason::Timeout));
            assert!(failure.hint.is_some());
        }
    }
}
