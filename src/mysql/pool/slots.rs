//! The book of a pool: which connections rest, which are out, and who waits for one. No waiting in here.
//!
//! A connection has a slot from before it is opened until it is gone. There are `size` slots for those that stay and
//! `max_overflow` more, so no count can be exceeded. Who waits stands in one line and is served in its order; one
//! that waits for a certain slot lets others pass who don't.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::budget::{Budget, Place, Purpose};
use super::observe::CloseReason;

/// Which connection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that was used last, as pools do: the others rest long.
    Latest,
    /// The one that has rested longest.
    Longest,
    /// The one of this slot, and no other; it is opened if there is none.
    Slot(u32),
    /// The one of the first slot, or one beyond `size`: the others shall go on resting. The one that was used last is
    /// taken first.
    Working,
    /// One beyond `size`, for what runs long; where the pool has none, the first.
    Beyond,
}

/// A connection of the pool and what the pool knows about it.
#[derive(Debug)]
pub(super) struct Kept<C> {
    pub(super) conn: C,
    pub(super) slot: usize,
    pub(super) opened_at: Instant,
    pub(super) rested_since: Instant,
    /// Connections of an earlier generation are closed instead of kept.
    pub(super) generation: u64,
    /// Counts up with each return: who has the most was used last.
    returned: u64,
}

impl<C> Kept<C> {
    pub(super) fn new(conn: C, slot: usize, generation: u64) -> Kept<C> {
        let now = Instant::now();
        Kept { conn, slot, opened_at: now, rested_since: now, generation, returned: 0 }
    }
}

#[derive(Debug)]
enum Slot<C> {
    Empty,
    Opening,
    Idle(Kept<C>),
    /// Handed out, checked, reset, or granted to one who waits.
    Used,
}

/// What one who waited gets: a connection, or the right to open one.
#[derive(Debug)]
pub(super) enum Grant<C> {
    Kept(usize, Kept<C>),
    Open(usize, Place),
}

#[derive(Debug)]
struct Waiter<C> {
    ticket: u64,
    which: Which,
    woken: Arc<Notify>,
    grant: Option<Grant<C>>,
}

/// Where one who comes stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    First,
    Last,
}

/// Connections of a pool now, and since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub idle: u32,
    pub used: u32,
    /// Under way, and not yet counted as opened.
    pub opening: u32,
    /// Who waits for a connection.
    pub pending: u32,
    pub opened: u64,
    pub closed: u64,
}

#[derive(Debug)]
pub(super) struct Slots<C> {
    size: usize,
    slots: Vec<Slot<C>>,
    line: VecDeque<Waiter<C>>,
    tickets: u64,
    returns: u64,
    generation: u64,
    stopped: bool,
    opened: u64,
    closed: u64,
}

impl<C> Slots<C> {
    pub(super) fn new(size: u32, max_overflow: u32) -> Slots<C> {
        let all = size as usize + max_overflow as usize;
        Slots {
            size: size as usize,
            slots: std::iter::repeat_with(|| Slot::Empty).take(all).collect(),
            line: VecDeque::new(),
            tickets: 0,
            returns: 0,
            generation: 0,
            stopped: false,
            opened: 0,
            closed: 0,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |is: fn(&Slot<C>) -> bool| self.slots.iter().filter(|slot| is(slot)).count() as u32;
        Counts {
            idle: count(|slot| matches!(slot, Slot::Idle(_))),
            used: count(|slot| matches!(slot, Slot::Used)),
            opening: count(|slot| matches!(slot, Slot::Opening)),
            pending: self.line.iter().filter(|waiter| waiter.grant.is_none()).count() as u32,
            opened: self.opened,
            closed: self.closed,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// A connection has this slot, resting or out.
    pub(super) fn holds(&self, at: usize) -> bool {
        matches!(self.slots.get(at), Some(Slot::Idle(_) | Slot::Used))
    }

    /// Nothing rests, is out, or is being opened.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Empty))
    }

    pub(super) fn join(&mut self, which: Which, at: Line) -> (u64, Arc<Notify>) {
        self.tickets += 1;
        let woken = Arc::new(Notify::new());
        let waiter = Waiter { ticket: self.tickets, which, woken: woken.clone(), grant: None };
        match at {
            Line::First => self.line.push_front(waiter),
            Line::Last => self.line.push_back(waiter),
        }
        (self.tickets, woken)
    }

    /// Gives to everyone in the line what can be given, in order.
    pub(super) fn serve(&mut self, budget: &Budget) {
        if self.stopped {
            return;
        }
        for at in 0..self.line.len() {
            if self.line[at].grant.is_none()
                && let Some(grant) = self.grant(self.line[at].which, budget)
            {
                self.line[at].grant = Some(grant);
                self.line[at].woken.notify_one();
            }
        }
    }

    fn grant(&mut self, which: Which, budget: &Budget) -> Option<Grant<C>> {
        let eligible = |at: &usize| match which {
            Which::Latest | Which::Longest => true,
            Which::Slot(wanted) => *at == wanted as usize,
            Which::Working => *at == 0 || *at >= self.size,
            Which::Beyond if self.slots.len() > self.size => *at >= self.size,
            Which::Beyond => *at == 0,
        };
        let idle = (0..self.slots.len()).filter(eligible).filter_map(|at| match &self.slots[at] {
            Slot::Idle(kept) => Some((kept.returned, at)),
            _ => None,
        });
        let chosen = if which == Which::Longest { idle.min() } else { idle.max() };
        if let Some((_, at)) = chosen {
            let Slot::Idle(kept) = std::mem::replace(&mut self.slots[at], Slot::Used) else {
                unreachable!("it was idle just now")
            };
            return Some(Grant::Kept(at, kept));
        }
        let empty = (0..self.slots.len()).filter(eligible).find(|at| matches!(self.slots[*at], Slot::Empty))?;
        Some(Grant::Open(empty, self.claim(empty, budget)?))
    }

    /// The right to open a connection for this slot, if it is still empty and the budget has a place.
    pub(super) fn claim(&mut self, at: usize, budget: &Budget) -> Option<Place> {
        if self.stopped || !matches!(self.slots[at], Slot::Empty) {
            return None;
        }
        let place = budget.take(Purpose::Pool)?;
        self.slots[at] = Slot::Opening;
        Some(place)
    }

    /// What was granted to this ticket, which then leaves the line.
    pub(super) fn collect(&mut self, ticket: u64) -> Option<Grant<C>> {
        let at = self.line.iter().position(|waiter| waiter.ticket == ticket && waiter.grant.is_some())?;
        self.line.remove(at)?.grant
    }

    /// Takes a ticket out of the line; what was granted to it goes to others. A place comes back to be dropped
    /// outside of the lock.
    pub(super) fn resign(&mut self, ticket: u64, budget: &Budget) -> Option<Place> {
        let at = self.line.iter().position(|waiter| waiter.ticket == ticket)?;
        let granted = self.line.remove(at).and_then(|waiter| waiter.grant);
        let place = granted.and_then(|grant| self.undo(grant));
        self.serve(budget);
        place
    }

    fn undo(&mut self, grant: Grant<C>) -> Option<Place> {
        match grant {
            // As if it had never been granted: it goes on resting.
            Grant::Kept(at, kept) => {
                self.slots[at] = Slot::Idle(kept);
                None
            }
            Grant::Open(at, place) => {
                self.slots[at] = Slot::Empty;
                Some(place)
            }
        }
    }

    /// A connection was opened for this slot.
    pub(super) fn opened(&mut self, at: usize) {
        debug_assert!(matches!(self.slots[at], Slot::Opening));
        self.slots[at] = Slot::Used;
        self.opened += 1;
    }

    /// None was opened.
    pub(super) fn unopened(&mut self, at: usize) {
        debug_assert!(matches!(self.slots[at], Slot::Opening));
        self.slots[at] = Slot::Empty;
    }

    /// Why a connection that comes back is not wanted any more.
    pub(super) fn unwanted(&self, kept: &Kept<C>) -> Option<CloseReason> {
        match () {
            _ if self.stopped => Some(CloseReason::Shutdown),
            _ if kept.generation < self.generation => Some(CloseReason::Recover),
            _ => None,
        }
    }

    /// A connection comes to rest.
    pub(super) fn rest(&mut self, at: usize, mut kept: Kept<C>) {
        debug_assert!(matches!(self.slots[at], Slot::Used));
        self.returns += 1;
        kept.returned = self.returns;
        kept.rested_since = Instant::now();
        self.slots[at] = Slot::Idle(kept);
    }

    /// A connection that was out is gone.
    pub(super) fn gone(&mut self, at: usize) {
        debug_assert!(matches!(self.slots[at], Slot::Used));
        self.slots[at] = Slot::Empty;
        self.closed += 1;
    }

    /// One that rests beyond `size`: of the last slot, so that those of the first stay what they are.
    pub(super) fn take_superfluous(&mut self) -> Option<Kept<C>> {
        let mut idle = (0..self.slots.len()).filter(|at| matches!(self.slots[*at], Slot::Idle(_)));
        let last = idle.clone().next_back()?;
        idle.nth(self.size)?;
        self.take_idle(last)
    }

    /// All that rest, what was granted and not collected included; places come back to be dropped outside of the lock.
    fn take_all_idle(&mut self) -> (Vec<Kept<C>>, Vec<Place>) {
        let mut places = Vec::new();
        for waiting in 0..self.line.len() {
            if let Some(grant) = self.line[waiting].grant.take() {
                places.extend(self.undo(grant));
            }
        }
        let idle = (0..self.slots.len()).filter_map(|at| self.take_idle(at)).collect();
        (idle, places)
    }

    fn take_idle(&mut self, at: usize) -> Option<Kept<C>> {
        match std::mem::replace(&mut self.slots[at], Slot::Empty) {
            Slot::Idle(kept) => {
                self.closed += 1;
                Some(kept)
            }
            other => {
                self.slots[at] = other;
                None
            }
        }
    }

    /// A new generation: what rests goes now, what is out when it comes back.
    pub(super) fn recover(&mut self) -> (Vec<Kept<C>>, Vec<Place>) {
        self.generation += 1;
        self.take_all_idle()
    }

    /// Nobody is served any more, and everybody who waits learns that.
    pub(super) fn stop(&mut self) -> (Vec<Kept<C>>, Vec<Place>) {
        self.stopped = true;
        for waiter in &self.line {
            waiter.woken.notify_one();
        }
        self.take_all_idle()
    }
}
