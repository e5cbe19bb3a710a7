//! What a target's connections have been through lately: the part of a loss's evidence that lies before it.
//!
//! Pure, and bounded: of each kind the latest are kept.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::loss::{Fresh, Identity, Kills};
use super::standing::Standing;

const ATTEMPTS: usize = 64;
const READINGS: usize = 256;
const LOSSES: usize = 256;
const AGES: usize = 32;

/// Losses within this of each other may have one cause.
const TOGETHER: Duration = Duration::from_secs(1);
/// A loss that is known no better than this says nothing of the moment.
const SHARP: Duration = Duration::from_secs(5);
/// `Com_kill` moves all the time where it did in so many of the last intervals.
const ALWAYS: usize = 6;
const OF_INTERVALS: usize = 8;

/// The latest of what happened.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    attempts: VecDeque<(Instant, Fresh)>,
    readings: VecDeque<Reading>,
    own_kills: VecDeque<(Instant, u64)>,
    losses: VecDeque<Span>,
    ages: VecDeque<Duration>,
    identities: Identities,
}

/// `Com_kill` as it was read.
#[derive(Clone, Debug)]
struct Reading {
    at: Instant,
    identity: Option<Identity>,
    com_kill: u64,
}

/// A connection was lost within this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

/// Connections that may have been lost at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Together {
    pub(super) count: u64,
    /// The first of them was lost no earlier than this.
    pub(super) from: Instant,
}

/// The servers that were met behind the target.
#[derive(Clone, Debug, Default)]
struct Identities {
    latest: Option<Identity>,
    left: BTreeSet<Identity>,
    several: bool,
}

impl History {
    /// A fresh connection was tried.
    pub(super) fn attempted(&mut self, at: Instant, fresh: Fresh) {
        push(&mut self.attempts, (at, fresh), ATTEMPTS);
    }

    /// The fresh attempts after a time, in their order.
    pub(super) fn attempts_since(&self, since: Instant) -> impl Iterator<Item = &(Instant, Fresh)> {
        self.attempts.iter().filter(move |(at, _)| *at > since)
    }

    /// A server said how often it was asked to KILL, and who it is.
    pub(super) fn stood(&mut self, standing: &Standing) {
        if let Some(com_kill) = standing.com_kill {
            self.kills_read(standing.read_at, standing.identity.clone(), com_kill);
        }
        if let Some(identity) = &standing.identity {
            self.identities.met(identity);
        }
    }

    /// `Com_kill` of the collectors' round, of the server that was met last.
    pub(super) fn kills_collected(&mut self, at: Instant, com_kill: u64) {
        self.kills_read(at, self.identities.latest.clone(), com_kill);
    }

    fn kills_read(&mut self, at: Instant, identity: Option<Identity>, com_kill: u64) {
        push(&mut self.readings, Reading { at, identity, com_kill }, READINGS);
    }

    /// We killed threads of our own.
    pub(super) fn killed(&mut self, at: Instant, count: u64) {
        if count > 0 {
            push(&mut self.own_kills, (at, count), READINGS);
        }
    }

    /// How `Com_kill` of a server moved since before a time, without our own; none while it was not read before.
    pub(super) fn kills_since(&self, since: Instant, identity: Option<&Identity>) -> Option<Kills> {
        let of_it = || self.readings.iter().filter(|reading| reading.identity.as_ref() == identity);
        let before = of_it().rfind(|reading| reading.at <= since)?;
        let now = of_it().next_back().filter(|now| now.at > before.at)?;
        // A counter that is smaller now is another life's, or was flushed.
        let moved = now.com_kill.checked_sub(before.com_kill)?;
        let ours: u64 =
            self.own_kills.iter().filter(|(at, _)| before.at < *at && *at <= now.at).map(|(_, count)| count).sum();
        let counts: Vec<u64> = of_it().filter(|reading| reading.at <= since).map(|reading| reading.com_kill).collect();
        let intervals = counts.windows(2).rev().take(OF_INTERVALS);
        let always_moving = intervals.filter(|pair| pair[1] > pair[0]).count() >= ALWAYS;
        Some(Kills { moved: moved.saturating_sub(ours), always_moving })
    }

    /// A connection was lost. Who answers next may be another server for good reason.
    pub(super) fn lost(&mut self, span: Span) {
        self.identities.left.clear();
        push(&mut self.losses, span, LOSSES);
    }

    /// Those that may have been lost at the same moment as this one, itself included. Of the others only those count
    /// of which the moment is known well.
    pub(super) fn at_once(&self, span: Span) -> Together {
        let others: Vec<&Span> = {
            let mut itself = true;
            let not_it = |other: &&Span| !(**other == span && std::mem::take(&mut itself));
            self.losses.iter().filter(not_it).filter(|other| other.to - other.from <= SHARP).collect()
        };
        let meets = |moment: Instant| {
            let met = others.iter().filter(|other| other.from <= moment + TOGETHER && moment <= other.to + TOGETHER);
            let alone = Together { count: 1, from: span.from };
            met.fold(alone, |met, other| Together { count: met.count + 1, from: met.from.min(other.from) })
        };
        let within = |moment: &Instant| span.from <= *moment + TOGETHER && *moment <= span.to + TOGETHER;
        let moments = others.iter().flat_map(|other| [other.from, other.to]).filter(within);
        let alone = Together { count: 1, from: span.from };
        moments.map(meets).max_by_key(|met| met.count).unwrap_or(alone)
    }

    /// The exact age at which a connection that was watched was ended.
    pub(super) fn aged(&mut self, age: Duration) {
        push(&mut self.ages, age, AGES);
    }

    /// Exact ages of other connections than the one that had this age.
    pub(super) fn other_ages(&self, own: Option<Duration>) -> Vec<Duration> {
        let mut own = own;
        self.ages.iter().rev().copied().filter(|age| own.take_if(|own| *own == *age).is_none()).collect()
    }

    /// Whether a server has answered since; none while only one answer by another came.
    pub(super) fn answers_since(&self, identity: &Identity, since: Instant) -> Option<bool> {
        let later = || self.readings.iter().filter(|reading| reading.at > since);
        if later().any(|reading| reading.identity.as_ref() == Some(identity)) {
            return Some(true);
        }
        (later().count() >= 2).then_some(false)
    }

    /// Who is met behind the target, if that is one server.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identities.latest.as_ref().filter(|_| !self.identities.several)
    }

    /// Whether several servers were met behind the target while all was well.
    pub(super) fn several_identities(&self) -> bool {
        self.identities.several
    }
}

impl Identities {
    /// One that comes back after another was met was there all the time.
    fn met(&mut self, identity: &Identity) {
        if self.latest.as_ref() == Some(identity) {
            return;
        }
        self.several |= self.left.contains(identity);
        if let Some(before) = self.latest.replace(identity.clone()) {
            self.left.insert(before);
        }
        if self.left.len() > ATTEMPTS {
            self.left.clear();
        }
    }
}

fn push<T>(kept: &mut VecDeque<T>, new: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::{Phase, Reason};

    const SECOND: Duration = Duration::from_secs(1);

    fn span(zero: Instant, from: u64, to: u64) -> Span {
        Span { from: zero + SECOND / 10 * from as u32, to: zero + SECOND / 10 * to as u32 }
    }

    #[test]
    fn those_are_lost_at_once_that_may_share_a_moment() {
        let zero = Instant::now();
        let mut history = History::default();
        // Two that were watched, one in steady use, and one that had rested for a minute.
        let spans = [span(zero, 300, 300), span(zero, 302, 302), span(zero, 295, 305), span(zero, 0, 600)];
        for each in spans {
            history.lost(each);
        }
        let at_once = |span| history.at_once(span).count;
        assert_eq!(spans.map(at_once), [3, 3, 3, 4]);
        assert_eq!(history.at_once(spans[0]).from, spans[2].from);
        let later = span(zero, 590, 600);
        history.lost(later);
        // The one that had rested may have gone with it, or with the others; it is no witness itself.
        assert_eq!((history.at_once(later).count, history.at_once(spans[3]).count), (1, 4));
    }

    #[test]
    fn kills_are_counted_from_before_the_last_answer_and_without_our_own() {
        let zero = Instant::now();
        let mut history = History::default();
        let at = |second: u64| zero + SECOND * second as u32;
        history.kills_collected(at(0), 5);
        history.kills_collected(at(10), 6);
        assert_eq!(history.kills_since(at(10), None), None, "nothing was read since");
        history.kills_collected(at(20), 9);
        let moved = |since| history.kills_since(at(since), None).map(|kills| kills.moved);
        assert_eq!((moved(12), moved(10), moved(9), moved(0)), (Some(3), Some(3), Some(4), Some(4)));
        assert_eq!(history.kills_since(zero - SECOND, None), None, "nothing was read before");
        assert_eq!(history.kills_since(at(12), Some(&Identity::new("other"))), None);
        history.killed(at(15), 2);
        assert_eq!(history.kills_since(at(12), None).map(|kills| kills.moved), Some(1));
        history.kills_collected(at(30), 0);
        assert_eq!(history.kills_since(at(12), None), None, "the counter began anew");
        let other = Identity::new("other");
        assert_eq!(history.answers_since(&other, at(12)), Some(false));
        assert_eq!(history.answers_since(&other, at(25)), None);
    }

    #[test]
    fn a_server_on_which_kill_is_daily_bread_is_known() {
        let zero = Instant::now();
        let mut history = History::default();
        for second in 0..10 {
            history.kills_collected(zero + SECOND * second, u64::from(second));
        }
        let kills = history.kills_since(zero + SECOND * 8, None).expect("read before and after");
        assert_eq!((kills.moved, kills.always_moving), (1, true));
    }

    #[test]
    fn a_server_that_comes_back_was_one_of_several() {
        let mut identities = Identities::default();
        for (name, several) in [("a", false), ("a", false), ("b", false), ("b", false), ("a", true)] {
            identities.met(&Identity::new(name));
            assert_eq!(identities.several, several, "{name}");
        }
    }

    #[test]
    fn attempts_before_the_last_answer_say_nothing() {
        let zero = Instant::now();
        let mut history = History::default();
        let refused = Fresh::Failed { phase: Phase::Tcp, reason: Reason::Refused, errno: None };
        history.attempted(zero, refused);
        history.attempted(zero + SECOND, Fresh::Good);
        let since: Vec<Fresh> = history.attempts_since(zero).map(|(_, fresh)| *fresh).collect();
        assert_eq!(since, [Fresh::Good]);
    }

    #[test]
    fn an_age_is_no_witness_of_itself() {
        let mut history = History::default();
        for age in [7, 7, 9] {
            history.aged(SECOND * age);
        }
        assert_eq!(history.other_ages(Some(SECOND * 7)), [SECOND * 9, SECOND * 7]);
        assert_eq!(history.other_ages(None).len(), 3);
    }
}
