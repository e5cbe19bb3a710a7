//! The rounds of collecting: when one is due, and what is made of it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{info, warn};

use super::board::Slot;
use super::clock::{Pace, Rhythm, lead};
use super::collection::{Collected, Collection};
use super::families::{Job, Run, TargetInstruments, unix_now};
use super::headroom::{Limits, Peak};
use super::snapshot::{CollectorResult, Snapshot};
use super::target::Target;
use crate::collect::{Collector, Why};
use crate::metrics::Block;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::pool;

/// Copied values that are older than this many of their intervals are not shown.
pub(super) const SHOWN_FOR_INTERVALS: u32 = 2;

/// No scraper makes a target be asked more often.
const OFTEN: Duration = Duration::from_secs(1);

/// A target's place among all, for spreading them over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) place: usize,
    pub(super) of: usize,
}

/// The rounds of one target.
#[derive(Debug)]
pub(super) struct Rounds {
    every: Duration,
    /// Scrapers that come more often are served as often.
    follows: bool,
    place: Place,
    rhythm: Rhythm,
    /// When the last round began; none before the first.
    began: Option<Instant>,
    now: bool,
    /// A round was due while a probe was finding out whether anybody gets in.
    owed: bool,
    took: Duration,
    /// The server answered in the last round.
    had_answers: bool,
    limits: Option<(Limits, Instant)>,
    peak: Peak,
    /// Collectors whose failure the log has told.
    told: Vec<&'static str>,
    /// When those that do not ask in every round last did.
    asked: HashMap<&'static str, Instant>,
    /// Collectors that have once had no answer when a round was over: what comes behind one has no time left.
    late: Vec<&'static str>,
}

impl Rounds {
    pub(super) fn new(every: Duration, follows: bool, place: Place) -> Rounds {
        Rounds {
            every,
            follows,
            place,
            rhythm: Rhythm::default(),
            began: None,
            now: false,
            owed: false,
            took: Duration::ZERO,
            had_answers: false,
            limits: None,
            peak: Peak::default(),
            told: Vec::new(),
            asked: HashMap::new(),
            late: Vec::new(),
        }
    }

    /// A scrape came.
    pub(super) fn scraped(&mut self, at: Instant) {
        self.rhythm.arrived(at);
    }

    /// Somebody gets in. Where the last round had nobody to ask there is nothing to show: it is made up for.
    pub(super) fn can_be_had(&mut self) {
        self.now |= !self.had_answers;
    }

    /// A round that was owed can be had after all.
    pub(super) fn make_up(&mut self) {
        self.now = true;
    }

    pub(super) fn owe(&mut self) {
        self.owed = true;
    }

    pub(super) fn take_owed(&mut self) -> bool {
        std::mem::take(&mut self.owed)
    }

    /// When the next round is due; never while nobody ever got in.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.began {
            _ if self.now => Some(Instant::now()),
            None => None,
            Some(last) => Some(self.pace().next_collection(&self.rhythm, last)),
        }
    }

    /// When the last round began.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// A round begins, or would have.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.now, self.owed) = (false, false);
        let pace = self.pace();
        pace.started(&mut self.rhythm, now);
        self.began = Some(now);
    }

    /// The collectors of a round that begins now: those of every round, and of the others those whose time has come.
    pub(super) fn wanted(&mut self, target: &Target, now: Instant) -> Vec<&'static Collector> {
        let mut wanted = target.quick();
        wanted.retain(|collector| {
            let pace = target.pace(collector);
            if pace <= target.every {
                return true;
            }
            // A round that is a little early is not left out: the next would be a whole interval late.
            let is_due = self.asked.get(collector.name).is_none_or(|last| now + target.every / 2 >= *last + pace);
            if is_due {
                self.asked.insert(collector.name, now);
            }
            is_due
        });
        wanted
    }

    fn pace(&self) -> Pace {
        let often = self.rhythm.shortest().filter(|_| self.follows).map(|period| period.max(OFTEN));
        let every = often.map_or(self.every, |often| often.min(self.every));
        Pace { every, lead: lead(self.took, every, self.place.place, self.place.of) }
    }

    /// The order in which the next round asks: what was late once asks last from then on.
    pub(super) fn order(&self, quick: Vec<&'static Collector>) -> Vec<&'static Collector> {
        let (last, first): (Vec<_>, Vec<_>) = quick.into_iter().partition(|one| self.late.contains(&one.name));
        [first, last].concat()
    }

    /// The first that has no answer in time is the one; those behind it were not even asked.
    fn note_late(&mut self, collection: &Collection) {
        let late = collection.results.iter().find(|(_, collected)| {
            let Collected::Failed { failure, .. } = collected else { return false };
            failure.phase == Phase::Query && failure.reason == Reason::Timeout
        });
        // A server that does not even tell its status answers nobody.
        if let Some((collector, _)) = late.filter(|(collector, _)| !collector.is_plain())
            && !self.late.contains(&collector.name)
        {
            self.late.push(collector.name);
        }
    }

    /// What a round is in which there was nobody to ask.
    pub(super) fn nobody(target: &Target) -> Collection {
        let failed =
            |collector: &&'static _| (*collector, Collected::Failed { failure: pool::closed(), took: Duration::ZERO });
        Collection::of(target.quick().iter().chain(&target.behind()).map(failed).collect())
    }

    /// Takes in a round. Says when the server last answered in it, if it did.
    pub(super) fn ended(
        &mut self,
        mut collection: Collection,
        target: &Target,
        slot: &Slot,
        instruments: &TargetInstruments,
        snapshot: &mut Snapshot,
        is_away: bool,
    ) -> Option<Instant> {
        if let Some(connected_in) = collection.connected_in {
            instruments.collector_duration.with_label_values(&["connection"]).set(connected_in.as_secs_f64());
        }
        self.overran(&collection, instruments);
        self.note_late(&collection);
        let shown_for = self.every * SHOWN_FOR_INTERVALS;
        let answered = self.take_in(&mut collection, target, slot, instruments, snapshot, is_away);
        snapshot.connections = None;
        self.had_answers = answered.is_some();
        if let Some(at) = answered {
            // Limits hardly ever change: one round without them does not take the ratios away.
            let headroom = &mut collection.headroom;
            match headroom.limits {
                Some(limits) => self.limits = Some((limits, at + shown_for)),
                None => headroom.limits = self.limits.filter(|(_, until)| at < *until).map(|(limits, _)| limits),
            }
            headroom.peak_at = self.peak.of(headroom, unix_now());
            snapshot.connections = collection.headroom.connections();
            slot.copied_by_us("headroom", collection.headroom.block(target.label.as_deref()), at + shown_for);
        }
        answered
    }

    /// Takes in what collectors have brought home. Says when the server last answered, if it did.
    pub(super) fn take_in(
        &mut self,
        collection: &mut Collection,
        target: &Target,
        slot: &Slot,
        instruments: &TargetInstruments,
        snapshot: &mut Snapshot,
        is_away: bool,
    ) -> Option<Instant> {
        if let Some(account) = collection.account.take() {
            snapshot.account = Some(account);
        }
        for (collector, answers) in std::mem::take(&mut collection.counted) {
            instruments.view.take(collector, &answers, &target.tunables.host_groups);
        }
        let (mut run, mut answered, mut said, mut again) = (Run::Ok, None, None, Vec::new());
        let mut results = Vec::with_capacity(collection.results.len());
        for (collector, collected) in std::mem::take(&mut collection.results) {
            let label = format!("collect.{}", collector.name);
            let last_success = snapshot.last_success(collector.name);
            let mut seen = CollectorResult { name: collector.name.into(), last_success, error: None };
            match collected {
                Collected::Values { block, asked_at, asked, took } => {
                    let shown_for = target.pace(collector) * SHOWN_FOR_INTERVALS;
                    instruments.dropped(block.dropped);
                    instruments.collected(&label, took, asked_at);
                    instruments.feature(&label, None);
                    let block = within_series(block, collector.name, target, slot, instruments);
                    match collector.is_ours() {
                        true => slot.copied_by_us(collector.name, block, asked + shown_for),
                        false => slot.copied(collector.name, block, asked + shown_for),
                    }
                    seen.last_success = Some(asked_at);
                    answered = answered.max(Some(asked + took));
                }
                Collected::Skipped { why: Why::Grant } => {
                    instruments.not_collected(&label, Duration::ZERO);
                    instruments.feature(&label, Some(Why::Grant.label()));
                }
                Collected::Skipped { why } => {
                    instruments.collected(&label, Duration::ZERO, SystemTime::now());
                    instruments.feature(&label, Some(why.label()));
                }
                Collected::Failed { failure, took } => {
                    run = Run::of(&failure);
                    if failure.errno.is_none() && failure.reason != Reason::Timeout {
                        // It was not asked, or not to the end: it need not wait for its turn.
                        self.asked.remove(collector.name);
                    }
                    instruments.not_collected(&label, took);
                    if is_about_a_grant(&failure) {
                        instruments.feature(&label, Some("grant"));
                    }
                    // While nobody gets in, the probe's line in the log says why.
                    if !is_away && !self.told.contains(&collector.name) {
                        self.told.push(collector.name);
                        // What keeps them all from asking is told once.
                        let is_new = said.replace(failure.detail.clone()).as_ref() != Some(&failure.detail);
                        if is_new {
                            warn!(target = %target.name, collector = collector.name, reason = failure.reason.label(),
                            detail = failure.detail, "collector failed");
                        }
                    }
                    seen.error = Some(failure.to_string());
                }
            }
            if seen.error.is_none() && self.told.contains(&collector.name) {
                self.told.retain(|told| *told != collector.name);
                again.push(collector.name);
            }
            results.push(seen);
        }
        if !again.is_empty() {
            info!(target = %target.name, collectors = again.join(","), "collectors succeed again");
        }
        instruments.run(Job::Collect, run);
        results.into_iter().for_each(|seen| snapshot.ran(seen));
        answered
    }

    fn overran(&mut self, collection: &Collection, instruments: &TargetInstruments) {
        let Some(began) = self.began else { return };
        let took = began.elapsed();
        let failed = |(_, collected): &(_, Collected)| matches!(collected, Collected::Failed { .. });
        if !collection.results.iter().any(failed) {
            // Rises at once, falls slowly: being late for a scrape costs more than being early.
            self.took = took.max(self.took * 7 / 8);
        }
        for _ in 0..(took.as_nanos() / self.every.as_nanos()) {
            instruments.run(Job::Collect, Run::Skipped);
        }
    }
}

/// What a target may still show of a block; the rest is left out and counted.
pub(super) fn within_series(
    block: Block,
    name: &str,
    target: &Target,
    slot: &Slot,
    instruments: &TargetInstruments,
) -> Block {
    let Some(most) = target.max_series else { return block };
    let room = (most as usize).saturating_sub(slot.series_beside(name));
    let (block, left_out) = block.cut(room);
    instruments.over_budget(left_out as u64);
    block
}

fn is_about_a_grant(failure: &Failure) -> bool {
    failure.phase == Phase::Query && matches!(failure.errno, Some(1044 | 1045 | 1142 | 1143 | 1227))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::named;

    #[test]
    fn what_had_no_answer_in_time_asks_last_from_then_on() {
        let [status, heartbeat, slaves] =
            ["global_status", "heartbeat", "slave_status"].map(|name| named(name).expect("it is one"));
        let late = || Failure::new(Phase::Query, Reason::Timeout, "no answer within the deadline");
        let failed = |collector| (collector, Collected::Failed { failure: late(), took: Duration::from_secs(1) });
        let mut rounds = Rounds::new(Duration::from_secs(15), false, Place { place: 0, of: 1 });
        let order = |rounds: &Rounds| {
            rounds.order(vec![status, heartbeat, slaves]).iter().map(|collector| collector.name).collect::<Vec<_>>()
        };
        // A server that does not answer at all says nothing of any collector.
        rounds.note_late(&Collection::of(vec![failed(status), failed(heartbeat), failed(slaves)]));
        assert_eq!(order(&rounds), ["global_status", "heartbeat", "slave_status"]);
        rounds.note_late(&Collection::of(vec![failed(heartbeat), failed(slaves)]));
        rounds.note_late(&Collection::of(vec![failed(heartbeat)]));
        assert_eq!(order(&rounds), ["global_status", "slave_status", "heartbeat"]);
    }
}
