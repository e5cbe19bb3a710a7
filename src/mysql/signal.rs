//! How the loss of an established connection showed itself: the raw observation, apart from any verdict.

/// What was seen when a connection ended without our wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The server said why, in an error packet.
    ErrPacket,
    /// The far end closed in order. Over TLS also without a close_notify.
    Fin,
    /// A reset that came unasked, while we were silent.
    Rst,
    /// A reset or a broken pipe in answer to what we wrote.
    RstOnWrite,
    /// No answer within the deadline.
    Timeout,
    /// The TLS layer ended the connection with an alert.
    TlsAlert,
    /// A packet came that was not due.
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

    /// The value of the label `signal`.
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
}
