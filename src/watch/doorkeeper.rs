//! Keeps the second door of one target: whether a round goes in by it, and who is told.

use tokio::time::Instant;
use tracing::warn;

use super::collection::Collection;
use super::door::{Door, RIGHT, SecondDoor};
use super::entry::Entry;
use super::events::What;
use super::loss::Identity;
use super::seat::Seat;
use crate::mysql::failure::{Failure, Reason};
use crate::mysql::handshake::Facts;
use crate::mysql::path::Path;

/// What the main door has shown last.
#[derive(Clone, Copy, Debug)]
pub(super) struct MainDoor<'a> {
    /// How the latest login failed, while none got in since.
    pub(super) failure: Option<&'a Failure>,
    /// What lies between.
    pub(super) path: Option<Path>,
    /// Who is met there, if that is one server.
    pub(super) identity: Option<&'a Identity>,
}

impl MainDoor<'_> {
    fn is_full(&self) -> bool {
        self.failure.is_some_and(|failure| failure.reason == Reason::TooManyConnections)
    }
}

pub(super) struct Doorkeeper {
    door: SecondDoor,
    seat: Seat,
}

impl Doorkeeper {
    pub(super) fn new(seat: &Seat) -> Doorkeeper {
        let keeper = Doorkeeper {
            door: SecondDoor::new(seat.target.second_door.clone(), seat.target.access.clone()),
            seat: seat.clone(),
        };
        keeper.show();
        keeper
    }

    /// The way in for a round, where the main door is full and there is another.
    pub(super) fn entry(&self, main: MainDoor<'_>, now: Instant) -> Option<Entry> {
        let way = self.door.way(main.path, main.identity, now).filter(|_| main.is_full())?;
        Some(Entry::new(&self.seat, &self.door, way))
    }

    /// A login by the main door got in.
    pub(super) fn main_opened(&mut self, facts: &Facts) {
        if self.door.main_opened(facts) {
            self.changed(None);
        }
    }

    /// An operator wants everything tried anew.
    pub(super) fn try_again(&mut self) {
        self.door.try_again();
    }

    /// A round has ended.
    pub(super) fn collected(&mut self, collection: &mut Collection, main: MainDoor<'_>, now: Instant) {
        if let Some(ports) = collection.ports.take() {
            self.door.advertised(ports);
        }
        if let Some(may) = self.seat.found.may(RIGHT) {
            self.door.may_use_admin(may);
        }
        if let Some(missing) = self.door.missing(main.path) {
            self.seat.instruments.feature("second_door", missing.err().map(|why| why.label()));
        }
        // The main door may have opened meanwhile.
        let Some(entered) = collection.entered.take().filter(|_| main.is_full()) else { return };
        match entered {
            Ok((door, address)) => {
                if self.door.entered(door) {
                    self.changed(Some(address));
                }
            }
            Err(failure) => self.refused(&failure, now),
        }
    }

    fn refused(&mut self, failure: &Failure, now: Instant) {
        let (has_changed, is_news) = self.door.refused(failure, self.seat.target.manner.circuit_interval, now);
        if is_news {
            let by_right = (failure.errno == Some(1227)).then_some("grant the account SERVICE_CONNECTION_ADMIN");
            warn!(target = %self.seat.name, phase = failure.phase.label(), reason = failure.reason.label(),
                errno = failure.errno, detail = failure.detail, hint = failure.hint.as_deref().or(by_right),
                "the second door does not let us in");
        }
        if has_changed {
            self.changed(None);
        }
    }

    fn changed(&self, address: Option<String>) {
        self.show();
        self.seat.tell(What::Door { door: self.door.in_use().label(), address });
    }

    /// Its label.
    pub(super) fn in_use(&self) -> &'static str {
        self.door.in_use().label()
    }

    fn show(&self) {
        self.seat.instruments.door(self.door.in_use());
    }
}

impl std::fmt::Debug for Doorkeeper {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let in_use: Door = self.door.in_use();
        out.debug_struct("Doorkeeper").field("in_use", &in_use).finish()
    }
}
