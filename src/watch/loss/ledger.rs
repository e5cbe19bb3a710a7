//! Losses that it is too early to judge: held, judged again when evidence arrives, booked once.
//!
//! Counters never go back, so a loss is counted when it leaves this ledger and not before: what was lost is what was
//! counted and what is held, at any time. A kill storm while the server is away must not grow it without bound: past
//! `ROOM`, losses that look alike are folded into one entry and share its fate.

use super::cause::{Cause, Confidence, Source, Verdict};
use super::evidence::Evidence;
use super::judge::judge;

/// So many are held one by one: more than the connections a target is allowed, several times over.
const ROOM: usize = 64;

/// Provisional losses, oldest first. `N` is what the caller needs to ask again and to tell of them.
#[derive(Clone, Debug)]
pub struct Ledger<N> {
    held: Vec<Held<N>>,
}

/// One provisional loss, or several that look alike.
#[derive(Clone, Debug)]
pub struct Held<N> {
    pub source: Source,
    pub evidence: Evidence,
    /// Of the first, where several were folded.
    pub note: N,
    pub count: u64,
}

/// Losses that have their cause, to be counted now.
#[derive(Clone, Debug)]
pub struct Booked<N> {
    pub held: Held<N>,
    pub cause: Cause,
    pub confidence: Confidence,
}

impl<N> Default for Ledger<N> {
    fn default() -> Ledger<N> {
        Ledger { held: Vec::new() }
    }
}

impl<N> Ledger<N> {
    /// A new loss: booked at once if its evidence decides, held otherwise.
    pub fn lost(&mut self, source: Source, evidence: Evidence, note: N) -> Option<Booked<N>> {
        let verdict = judge(&evidence);
        let held = Held { source, evidence, note, count: 1 };
        match verdict {
            Verdict::Decided { cause, confidence } => Some(Booked { held, cause, confidence }),
            Verdict::Provisional => {
                self.hold(held);
                None
            }
        }
    }

    fn hold(&mut self, new: Held<N>) {
        if self.held.len() >= ROOM {
            // The latest one like it: lost at about the same time.
            let alike = |old: &&mut Held<N>| old.source == new.source && old.evidence.signal == new.evidence.signal;
            if let Some(like) = self.held.iter_mut().rev().find(alike) {
                like.count += new.count;
                return;
            }
        }
        self.held.push(new);
    }

    /// Judges all anew, after `refresh` has put into each what was learned since. What is decided leaves the ledger.
    pub fn settle(&mut self, mut refresh: impl FnMut(&mut Held<N>)) -> Vec<Booked<N>> {
        let mut booked = Vec::new();
        let mut still = Vec::new();
        for mut held in self.held.drain(..) {
            refresh(&mut held);
            match judge(&held.evidence) {
                Verdict::Decided { cause, confidence } => booked.push(Booked { held, cause, confidence }),
                Verdict::Provisional => still.push(held),
            }
        }
        self.held = still;
        booked
    }

    /// What is held, for asking about it.
    pub fn iter(&self) -> impl Iterator<Item = &Held<N>> {
        self.held.iter()
    }

    /// How many losses of this source are not counted yet.
    pub fn provisional(&self, source: Source) -> u64 {
        self.held.iter().filter(|held| held.source == source).map(|held| held.count).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::evidence::{Fresh, Identity, Incarnation, Rest};
    use super::*;
    use crate::mysql::failure::{Phase, Reason};
    use crate::mysql::signal::Signal;

    const SECOND: Duration = Duration::from_secs(1);

    fn lost_with_the_server(signal: Signal) -> Evidence {
        let mut evidence = Evidence::new(signal, Rest::UpTo(SECOND), SECOND * 3);
        evidence.before.identity = Some(Identity::new("a"));
        evidence.opened_ago = Some(SECOND * 60);
        evidence.fresh.note(Fresh::Failed { phase: Phase::Tcp, reason: Reason::Refused, errno: None });
        evidence
    }

    fn is_back(uptime: Duration) -> impl FnMut(&mut Held<u32>) {
        move |held| {
            held.evidence.fresh.note(Fresh::Good);
            let identity = held.evidence.before.identity.clone();
            held.evidence.after = Some(Incarnation { identity, began_ago: Some(uptime) });
        }
    }

    fn counts(booked: &[Booked<u32>]) -> Vec<(Source, Cause, u64)> {
        booked.iter().map(|booked| (booked.held.source, booked.cause, booked.held.count)).collect()
    }

    #[test]
    fn what_is_held_is_booked_once_when_the_server_is_back() {
        let mut ledger = Ledger::default();
        assert!(ledger.lost(Source::Pool, lost_with_the_server(Signal::Fin), 1).is_none());
        assert!(ledger.lost(Source::Canary, lost_with_the_server(Signal::Timeout), 2).is_none());
        assert!(ledger.settle(|_| ()).is_empty());
        assert_eq!((ledger.provisional(Source::Pool), ledger.provisional(Source::Canary)), (1, 1));
        let booked = ledger.settle(is_back(SECOND * 5));
        assert_eq!(
            counts(&booked),
            [(Source::Pool, Cause::ServerRestart, 1), (Source::Canary, Cause::ServerRestart, 1)]
        );
        assert!(ledger.is_empty() && ledger.settle(is_back(SECOND * 6)).is_empty());
    }

    #[test]
    fn what_is_decided_is_never_held() {
        let mut ledger = Ledger::default();
        let mut evidence = lost_with_the_server(Signal::ErrPacket);
        evidence.errno = Some(1053);
        let booked = ledger.lost(Source::Pool, evidence, 1).map(|booked| booked.cause);
        assert_eq!((booked, ledger.provisional(Source::Pool)), (Some(Cause::ServerRestart), 0));
    }

    #[test]
    fn a_server_that_stays_away_is_given_up_on() {
        let mut ledger = Ledger::default();
        ledger.lost(Source::Pool, lost_with_the_server(Signal::Fin), 1);
        ledger.lost(Source::Pool, lost_with_the_server(Signal::Timeout), 2);
        let mut away = |seconds| ledger.settle(|held| held.evidence.away_for = SECOND * seconds);
        assert_eq!(counts(&away(299)), []);
        assert_eq!(counts(&away(300)), [(Source::Pool, Cause::ServerDown, 1), (Source::Pool, Cause::Network, 1)]);
    }

    #[test]
    fn hundreds_lost_at_once_take_little_room_and_all_are_counted() {
        let mut ledger = Ledger::default();
        for each in 0..5000 {
            let source = if each % 3 == 0 { Source::Canary } else { Source::Pool };
            let signal = Signal::ALL[each as usize % Signal::ALL.len()];
            ledger.lost(source, lost_with_the_server(signal), each);
        }
        assert!(ledger.iter().count() <= ROOM + Source::ALL.len() * Signal::ALL.len());
        let held = (ledger.provisional(Source::Pool), ledger.provisional(Source::Canary));
        assert_eq!(held, (3333, 1667));
        let booked = ledger.settle(is_back(SECOND));
        let counted = |source| -> u64 {
            booked.iter().filter(|booked| booked.held.source == source).map(|booked| booked.held.count).sum()
        };
        assert_eq!((counted(Source::Pool), counted(Source::Canary)), held);
    }
}
