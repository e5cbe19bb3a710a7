//! Keeps the findings on the board up to date: whoever reads it finds them beside what they were judged from.
//!
//! A judgement asks nobody. It takes some tens of microseconds, follows what is new within a second, and comes as often as
//! rounds and probes end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::diagnose::{Facts, Past, block, diagnose};
use crate::watch::board::{Board, Slot};

/// How often is looked for what is new.
const LOOK: Duration = Duration::from_secs(1);

/// Whoever waits has a turn after so many targets.
const AT_ONCE: usize = 8;

/// The judge of all targets.
#[derive(Debug)]
pub struct Judge {
    board: Arc<Board>,
    cases: HashMap<String, Case>,
}

/// What is remembered of one target.
#[derive(Debug)]
struct Case {
    news: u64,
    judged_at: Instant,
    past: Past,
}

impl Judge {
    /// Judges all targets once, so that the families are there from the first scrape.
    pub fn new(board: Arc<Board>) -> Judge {
        let mut judge = Judge { board, cases: HashMap::new() };
        let now = Instant::now();
        for slot in judge.board.slots().iter() {
            judge.look(slot, now);
        }
        judge
    }

    /// Judges what is new until shutdown.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // A sender that is gone means the same.
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            let slots = self.board.slots();
            self.cases.retain(|name, _| slots.iter().any(|slot| slot.name() == name));
            let mut judged = 0;
            for slot in slots.iter() {
                judged += usize::from(self.look(slot, Instant::now()));
                if judged >= AT_ONCE {
                    judged = 0;
                    yield_now().await;
                }
            }
        }
    }

    /// Judges a target if something is new of it, or was not for a while: what it was judged from may be too old now.
    fn look(&mut self, slot: &Slot, now: Instant) -> bool {
        let (news, every) = (slot.news(), slot.snapshot().every.max(LOOK));
        let is_known = |case: &Case| case.news == news && now < case.judged_at + every;
        // A slot that a reload has put in the place of another has not been judged yet.
        if slot.is_judged() && self.cases.get(slot.name()).is_some_and(is_known) {
            return false;
        }
        let past = self.cases.remove(slot.name()).map_or_else(Past::default, |case| case.past);
        let mut case = Case { news, judged_at: now, past };
        judge(slot, Some(&mut case.past), now);
        self.cases.insert(slot.name().to_owned(), case);
        true
    }
}

/// Judges one target and puts what was found on the board. Without a past, counters are judged since the server started.
pub fn judge(slot: &Slot, past: Option<&mut Past>, now: Instant) {
    let (blocks, snapshot) = (slot.shown(now), slot.snapshot());
    let past = past.map(|past| {
        let facts = Facts::new(&blocks, &snapshot, now, None);
        past.read(now, |name| facts.value(name));
        &*past
    });
    let findings = diagnose(&Facts::new(&blocks, &snapshot, now, past));
    let block = block(slot.label(), &findings);
    slot.judged(findings, block);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Block, BlockBuilder, Kind};
    use crate::watch::snapshot::Snapshot;

    fn variables(wait_timeout: f64) -> Block {
        let mut out = BlockBuilder::new(None);
        out.single("mysql_global_variables_wait_timeout", Kind::Gauge, "", wait_timeout);
        out.finish()
    }

    fn found(slot: &Slot) -> Vec<String> {
        slot.findings().iter().map(|finding| finding.name.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_finding_comes_and_goes_within_a_second_of_what_it_was_made_from() {
        let snapshot = Snapshot { every: Duration::from_secs(15), ..Snapshot::default() };
        let slot = Arc::new(Slot::new("a", None, snapshot));
        let judge = Judge::new(Arc::new(Board::new(vec![slot.clone()])));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(judge.run(stopped));
        let until = Instant::now() + Duration::from_secs(3600);
        slot.answered(until);
        for (wait_timeout, expect) in
            [(10.0, vec!["wait_timeout_extreme"]), (600.0, vec![]), (10.0, vec!["wait_timeout_extreme"])]
        {
            slot.copied("global_variables", variables(wait_timeout), until);
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(found(&slot), expect);
        }
        // What is too old to be shown is too old to be judged.
        slot.copied("global_variables", variables(10.0), Instant::now() + Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(18)).await;
        assert_eq!(found(&slot), [""; 0]);
        stop.send_replace(true);
        task.await.expect("it ends");
    }
}
