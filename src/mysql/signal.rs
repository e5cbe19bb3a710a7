//! How a connection was seen to end: the raw observation, apart from any verdict.

/// What was seen when a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    ErrPacket,
    Fin,
    Rst,
    RstOnWrite,
    Timeout,
    TlsAlert,
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
