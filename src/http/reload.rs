//! A reload on its way, from who asks for it to whoever has the configuration.

use tokio::sync::{mpsc, oneshot};

/// How many may wait; each takes what the files say when its turn comes, so more would change nothing.
const WAITING: usize = 8;

/// Somebody wants the configuration read anew, and waits to be told.
#[derive(Debug)]
pub struct Reload(oneshot::Sender<Reloaded>);

/// What came of it, in words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in force, but for what it names.
    Done(String),
    /// It has mistakes, and nothing was changed.
    Refused(String),
}

/// Both ends: whoever asks, and whoever does it.
pub fn reloads() -> (mpsc::Sender<Reload>, mpsc::Receiver<Reload>) {
    mpsc::channel(WAITING)
}

impl Reload {
    pub(super) fn ask() -> (Reload, oneshot::Receiver<Reloaded>) {
        let (tell, told) = oneshot::channel();
        (Reload(tell), told)
    }

    /// Tells who asked, if that one still waits.
    pub fn answer(self, reloaded: Reloaded) {
        let _ = self.0.send(reloaded);
    }
}
