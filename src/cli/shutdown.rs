//! When the daemon is to stop: SIGTERM or Ctrl-C; and when it is to read its configuration anew: SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// The signals that the daemon listens to.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; must be called inside the runtime.
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when the daemon is asked to stop.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => info!(signal = "SIGTERM", "stopping"),
            _ = self.interrupt.recv() => info!(signal = "SIGINT", "stopping"),
        }
    }
}

/// Takes SIGHUP over, whose default would end the process; must be called inside the runtime.
pub(super) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
