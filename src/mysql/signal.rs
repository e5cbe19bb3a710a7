//! How the end of a kept connection showed: the raw observation, apart from its cause.
//!
//! The cause wants evidence from both ends; the signal is all that an application gets to see.

use std::io;

use rustls::AlertDescription;
use tokio::time::Instant;

use super::failure::{Failure, Reason};

/// How the end showed; the label of `mysql_conn_lost_signals_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The server said why.
    ErrPacket,
    /// An orderly end of the stream, with or without TLS's farewell.
    Fin,
    /// A reset, unasked.
    Rst,
    /// A reset in answer to what we wrote.
    RstOnWrite,
    /// Nothing came in time.
    Timeout,
    /// TLS failed or was ended with an alert.
    TlsAlert,
    /// A packet that does not belong here. MySQL's farewell to a session that rested too long (4031) reads as this
    /// at the first use: it waited in the socket, and the driver takes it for an answer out of order.
    OutOfSync,
}

impl Signal {
    pub const ALL: [Signal; 7] = [
        Signal::ErrPacket,
        Signal::Fin,
        Signal::Rst,
        Signal::RstOnWrite,
        Signal::Timeout,
        Signal::TlsAlert,
        Signal::OutOfSync,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Signal::ErrPacket => "err_packet",
            Signal::Fin => "fin",
            Signal::Rst => "rst",
            Signal::RstOnWrite => "rst_on_write",
            Signal::Timeout => "timeout",
            Signal::TlsAlert => "tls_alert",
            Signal::OutOfSync => "out_of_sync",
        }
    }

    /// The signal that an error of the stream is.
    pub fn of(error: &io::Error) -> Signal {
        use io::ErrorKind::*;
        match error.kind() {
            UnexpectedEof => Signal::Fin,
            ConnectionReset | ConnectionAborted => Signal::Rst,
            BrokenPipe => Signal::RstOnWrite,
            // The kernel's patience ended, before ours or on a path that it was told is gone.
            TimedOut | HostUnreachable | NetworkUnreachable | NetworkDown => Signal::Timeout,
            _ if tls_of(error).is_some_and(says_that_it_ended) => Signal::Fin,
            _ if tls_of(error).is_some() => Signal::TlsAlert,
            // The system would not carry what we wrote, which is as good as silence.
            _ if error.raw_os_error().is_some() => Signal::Timeout,
            // What is not the stream's is the protocol's.
            _ => Signal::OutOfSync,
        }
    }
}

/// The error of TLS in an error of the stream.
pub fn tls_of(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the server's last word is that its own stream has ended. Somebody between us closed that side first: a
/// proxy, whose FIN comes here right behind. OpenSSL calls the missing farewell a decode error.
pub fn says_that_it_ended(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::AlertReceived(AlertDescription::DecodeError | AlertDescription::CloseNotify))
}

/// The end of a connection, as it was seen from this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub signal: Signal,
    pub failure: Failure,
    pub noticed_at: Instant,
}

impl Loss {
    pub fn now(signal: Signal, mut failure: Failure) -> Loss {
        if signal == Signal::OutOfSync && failure.reason == Reason::Other {
            failure.reason = Reason::Protocol;
        }
        Loss { signal, failure, noticed_at: Instant::now() }
    }
}

/// How a kept connection stands between two exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// The last answer was read to its end, so the next one will be the next question's.
    InStep,
    /// Somebody asked and did not wait for the answer: it must not be asked again.
    Unanswered,
    Lost(&'a Loss),
}

#[cfg(test)]
mod tests {
    use super::super::failure::Phase;
    use super::*;

    #[test]
    fn every_end_of_a_stream_has_its_signal() {
        use io::ErrorKind::*;
        for (error, expected) in [
            (io::Error::from(UnexpectedEof), Signal::Fin),
            (io::Error::new(UnexpectedEof, "peer closed connection without sending TLS close_notify"), Signal::Fin),
            (io::Error::from_raw_os_error(libc::ECONNRESET), Signal::Rst),
            (io::Error::from_raw_os_error(libc::EPIPE), Signal::RstOnWrite),
            (io::Error::from_raw_os_error(libc::ETIMEDOUT), Signal::Timeout),
            (io::Error::from_raw_os_error(libc::EHOSTUNREACH), Signal::Timeout),
            (io::Error::from_raw_os_error(libc::EPERM), Signal::Timeout),
            (io::Error::new(InvalidData, rustls::Error::DecryptError), Signal::TlsAlert),
            (
                io::Error::new(InvalidData, rustls::Error::AlertReceived(AlertDescription::BadRecordMac)),
                Signal::TlsAlert,
            ),
            (io::Error::new(InvalidData, rustls::Error::AlertReceived(AlertDescription::DecodeError)), Signal::Fin),
            (io::Error::new(InvalidData, "malformed"), Signal::OutOfSync),
            (io::Error::other("packets out of sync"), Signal::OutOfSync),
        ] {
            assert_eq!(Signal::of(&error), expected, "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_packet_out_of_order_is_a_breach_of_the_protocol() {
        let failure = Failure::new(Phase::Query, Reason::Other, "Packets out of sync");
        assert_eq!(Loss::now(Signal::OutOfSync, failure.clone()).failure.reason, Reason::Protocol);
        assert_eq!(Loss::now(Signal::Timeout, failure).failure.reason, Reason::Other);
    }
}
