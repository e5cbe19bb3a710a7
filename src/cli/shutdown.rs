//! When the daemon is to stop: SIGTERM or Ctrl-C.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// The signals that the daemon listens to.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over; must be called inside the runtime.
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the daemon is asked to stop.
    pub(super) async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return info!(signal = "SIGTERM", "stopping"),
                _ = self.interrupt.recv() => return info!(signal = "SIGINT", "stopping"),
                // Its default would end the process, and a closed terminal is no reason for that.
                _ = self.hangup.recv() => warn!(signal = "SIGHUP", "reloading is not supported yet; restart to apply a changed configuration"),
            }
        }
    }
}
