//! The idle ladder of one target, joined to what the target's other connections learn.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::canaries::{Canaries, Happened};
use super::events::What;
use super::keeper::Keeper;
use super::ladder::Event;
use super::ladder::bounds::{Bounds, Owner};
use super::ladder::canary::{CanaryId, Role};
use super::ladder::families::IdleInstruments;
use super::loss::{Cause, Ladder, Rest};
use super::pools::Inbox;
use super::standing::Standing;
use super::target::Target;
use crate::mysql::budget::Budget;
use crate::mysql::pool::Gate;

/// Above this share of its connections the server is left alone; canaries come back below the other.
const FULL: f64 = 0.8;
const ROOM: f64 = 0.75;

/// How long canaries stay away after a login that found no place.
const STAYS_AWAY: Duration = Duration::from_secs(600);

/// The ladder of one target; it does nothing where it is switched off.
pub(super) struct Idle {
    canaries: Option<Canaries>,
    instruments: IdleInstruments,
    keeper: Keeper,
    target: Arc<Target>,
    wait_timeout: Option<Duration>,
    /// The global one, as it was collected last.
    collected: Option<Duration>,
    told: (Option<Duration>, Owner),
    /// The account, or the server, is full until then for all we know.
    full_until: Option<Instant>,
}

impl Idle {
    pub(super) fn new(
        target: &Arc<Target>,
        budget: &Budget,
        gate: &Arc<Gate>,
        inbox: &Arc<Inbox>,
        instruments: IdleInstruments,
        keeper: Keeper,
    ) -> Idle {
        let canaries = target.ladder.clone().map(|settings| {
            let address = target.access.endpoint.to_string();
            let learned = keeper.recall(&target.name, &address);
            Canaries::new(target.clone(), settings, learned, budget.clone(), gate.clone(), inbox.clone())
        });
        let bounds = canaries.as_ref().map_or(Bounds::default(), Canaries::bounds);
        Idle {
            told: (bounds.lost, Owner::NoneSeen),
            canaries,
            instruments,
            keeper,
            target: target.clone(),
            wait_timeout: None,
            collected: None,
            full_until: None,
        }
    }

    /// What happens next to a canary; never anything where the ladder is off. To stop waiting loses nothing.
    pub(super) async fn next(&mut self) -> Happened {
        match &mut self.canaries {
            Some(canaries) => canaries.next().await,
            None => pending().await,
        }
    }

    fn on(&mut self, event: Event) {
        if let Some(canaries) = &mut self.canaries {
            canaries.on(event);
        }
    }

    /// The busy connection has answered what it was asked at that time.
    pub(super) fn control_answered(&mut self, asked: Instant) {
        self.on(Event::ControlAnswered { asked });
    }

    pub(super) fn control_lost(&mut self) {
        self.on(Event::ControlLost);
    }

    /// A new session has said where it stands.
    pub(super) fn met(&mut self, standing: &Standing, several_identities: bool) {
        if let Some(canaries) = self.canaries.as_mut().filter(|_| !several_identities) {
            canaries.met(standing);
        }
        if let Some(wait_timeout) = standing.wait_timeout {
            self.limited(wait_timeout);
        }
    }

    /// What the server says of all sessions.
    pub(super) fn configured(&mut self, wait_timeout: Duration, interactive_timeout: Duration) {
        self.instruments.configured(wait_timeout, interactive_timeout);
        // Of a session that an `init_connect` has changed the session itself knows better.
        if self.collected.replace(wait_timeout) != Some(wait_timeout) {
            self.limited(wait_timeout);
        }
    }

    fn limited(&mut self, wait_timeout: Duration) {
        if self.wait_timeout.replace(wait_timeout) != Some(wait_timeout) {
            self.on(Event::WaitTimeout(wait_timeout));
        }
    }

    /// How many connections the server has in use, of how many.
    pub(super) fn used(&mut self, (used, limit): (u64, u64)) {
        let share = used as f64 / (limit.max(1)) as f64;
        let is_full = self.full_until.is_some_and(|until| Instant::now() < until);
        if share > FULL {
            self.on(Event::Room(false));
        } else if share < ROOM && !is_full {
            self.on(Event::Room(true));
        }
    }

    /// Whether any canary has a connection.
    pub(super) fn is_parked(&self) -> bool {
        let parked = |canaries: &Canaries| Role::ALL.iter().any(|role| canaries.parked(*role) > 0);
        self.canaries.as_ref().is_some_and(parked)
    }

    /// A fresh login found no place: whoever only rests makes room for it, and stays away for a while.
    pub(super) fn make_room(&mut self) {
        self.full_until = Some(Instant::now() + STAYS_AWAY);
        self.on(Event::Room(false));
    }

    pub(super) fn explained(&mut self, ids: Vec<CanaryId>) {
        for id in ids {
            self.on(Event::Explained { id });
        }
    }

    /// We did not run: the ages of what rests now are worth nothing.
    pub(super) fn stalled(&mut self) {
        self.on(Event::ServerChanged);
    }

    /// A pool's connection was lost, by this cause: it may say that the limit has moved.
    pub(super) fn lost(&mut self, cause: Cause, rest: Rest) {
        let survived = self.canaries.as_ref().map_or(Duration::ZERO, |canaries| canaries.bounds().survived);
        let by_the_path = matches!(cause, Cause::MiddleboxReset | Cause::MiddleboxSilent | Cause::Unknown);
        let (Rest::Watched(rest) | Rest::UpTo(rest)) = rest else { return };
        if by_the_path && rest < survived {
            self.on(Event::Doubt);
        }
    }

    /// What a verdict may know of the path.
    pub(super) fn ladder(&self) -> Ladder {
        let bounds = self.canaries.as_ref().map_or(Bounds::default(), Canaries::bounds);
        Ladder {
            survived_max: Some(bounds.survived).filter(|survived| !survived.is_zero()),
            lost_min: bounds.lost,
            limit: bounds.lost,
        }
    }

    /// Shows what is known now, and keeps it for the next start; says what has changed about the limit.
    pub(super) fn show(&mut self) -> Option<What> {
        let canaries = self.canaries.as_ref()?;
        let bounds = canaries.bounds();
        for role in Role::ALL {
            self.instruments.parked(role, canaries.parked(role));
        }
        self.instruments.known(bounds, self.wait_timeout);
        self.keeper.keep(&self.target.name, &self.target.access.endpoint.to_string(), canaries.learned());
        let owner = canaries.owner()?;
        if std::mem::replace(&mut self.told, (bounds.lost, owner)) == (bounds.lost, owner) {
            return None;
        }
        let safe_lifetime = self.wait_timeout.and_then(|wait_timeout| bounds.safe_lifetime(wait_timeout));
        Some(What::IdleLimit {
            owner: owner.label(),
            survived_seconds: bounds.survived.as_secs_f64(),
            lost_seconds: bounds.lost.map(|lost| lost.as_secs_f64()),
            safe_lifetime_seconds: safe_lifetime.map(|safe| safe.as_secs_f64()),
        })
    }

    /// Leaves every canary in order.
    pub(super) async fn end(&mut self, deadline: Instant) {
        if let Some(canaries) = &mut self.canaries {
            canaries.end(deadline).await;
        }
    }
}
