//! The operator's queries that are under way: one of those that are quick, and beside it one of those that once were not.
//!
//! One that turns out to be slow makes way for the others, where the place beside it is free.

use tokio::time::Instant;

use super::errand::Errand;
use super::queries::{self, Asked, LONG, Lane, Queries};
use super::seat::Seat;
use super::snapshot::Snapshot;
use super::target::Target;

pub(super) struct Lanes {
    queries: Queries,
    quick: Errand<Asked>,
    /// Since when the quick one is under way.
    since: Instant,
    slow: Errand<Asked>,
}

impl Lanes {
    pub(super) fn new(target: &Target, now: Instant) -> Lanes {
        Lanes { queries: Queries::new(target, now), quick: Errand::default(), since: now, slow: Errand::default() }
    }

    /// When there is something to do, if no query ends before.
    pub(super) fn due(&self) -> Option<Instant> {
        let beside_is_free = !self.slow.is_under_way();
        let slow = self.queries.due(Lane::Slow).filter(|_| beside_is_free);
        let quick = match self.quick.is_under_way() {
            false => self.queries.due(Lane::Quick),
            true => beside_is_free.then(|| self.since + LONG),
        };
        slow.into_iter().chain(quick).min()
    }

    /// Asks those that are due and have a place; where nobody can be asked they are told as failed.
    pub(super) fn go_on(&mut self, now: Instant, seat: &Seat, snapshot: &mut Snapshot) {
        if self.quick.is_under_way() && !self.slow.is_under_way() && self.since + LONG <= now {
            std::mem::swap(&mut self.quick, &mut self.slow);
        }
        for lane in [Lane::Quick, Lane::Slow] {
            let place = match lane {
                Lane::Quick => &mut self.quick,
                Lane::Slow => &mut self.slow,
            };
            if place.is_under_way() || self.queries.due(lane).is_none_or(|due| now < due) {
                continue;
            }
            let Some(facts) = seat.pools.gate().facts() else {
                return self.queries.put_off(now, &seat.instruments, snapshot);
            };
            let Some(query) = self.queries.take(lane, now) else { continue };
            place.begin(queries::ask(
                seat.target.clone(),
                facts,
                seat.budget.clone(),
                seat.pools.gate().clone(),
                query,
            ));
            if lane == Lane::Quick {
                self.since = now;
            }
        }
    }

    /// The end of one of them.
    pub(super) async fn ended(&mut self) -> Asked {
        tokio::select! {
            asked = self.quick.ended() => asked,
            asked = self.slow.ended() => asked,
        }
    }

    /// Takes in what came of a query. Says when the server answered, if it did.
    pub(super) fn take_in(&mut self, asked: Asked, seat: &Seat, snapshot: &mut Snapshot) -> Option<Instant> {
        self.queries.take_in(asked, &seat.target, &seat.slot, &seat.instruments, snapshot)
    }

    pub(super) async fn finish(&mut self) {
        tokio::join!(self.quick.finish(), self.slow.finish());
    }
}
