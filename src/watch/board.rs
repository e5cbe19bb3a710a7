//! The board: what every target's task last said, ready for whoever asks.
//!
//! A scrape reads the board and never waits for a database. What was copied from a server carries the moment
//! after which it is no longer shown, and that is judged when somebody looks: a task that hangs cannot keep old
//! values alive.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::finding::Finding;
use super::snapshot::Snapshot;
use crate::metrics::{Block, BlockBuilder};

crate::metrics! {
    /// Whether any authenticated connection to the target, fresh or kept, answered a query within the last two intervals (0 or 1).
    UP: gauge "mysql_up" {};
}

/// All targets, in the order of their names. A reload puts others in their place.
#[derive(Debug)]
pub struct Board {
    slots: Mutex<Arc<[Arc<Slot>]>>,
}

/// One target's place on the board. Its task writes, everybody reads.
#[derive(Debug)]
pub struct Slot {
    name: String,
    /// The label `target`; none for the one anonymous target of mysqld_exporter's flags.
    label: Option<String>,
    /// `mysql_up` as 0 and as 1, made once.
    up: [Arc<Block>; 2],
    state: Mutex<State>,
    scraped: watch::Sender<Option<Instant>>,
    /// How often somebody asked to connect anew.
    recoveries: watch::Sender<u64>,
    /// So many of them the target's task has taken up.
    taken_up: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    own: Arc<Block>,
    copied: BTreeMap<Cow<'static, str>, Copied>,
    up_until: Option<(Instant, SystemTime)>,
    snapshot: Arc<Snapshot>,
    /// How often there was something new to judge.
    news: u64,
    is_judged: bool,
    findings: Arc<[Finding]>,
    /// The findings' families.
    judged: Arc<Block>,
}

/// What a collector copied from the server.
#[derive(Clone, Debug)]
struct Copied {
    block: Arc<Block>,
    series: usize,
    until: Instant,
    /// The same by the wall clock: the other one stands still while a machine is suspended.
    until_by_wall: SystemTime,
    /// Whether `collect[]` speaks of it: families of our own are always shown.
    is_collector: bool,
}

impl Copied {
    fn new(block: Block, until: Instant, is_collector: bool) -> Copied {
        let until_by_wall = wall(until);
        Copied { series: block.series(), block: Arc::new(block), until, until_by_wall, is_collector }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now <= self.until && SystemTime::now() <= self.until_by_wall + WALL_CLOCK_STEP
    }
}

/// How far a wall clock may be set forward without values being taken for old.
const WALL_CLOCK_STEP: Duration = Duration::from_secs(60);

fn wall(at: Instant) -> SystemTime {
    SystemTime::now() + at.saturating_duration_since(Instant::now())
}

/// Which part of the board a scrape wants; empty lists mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub targets: Vec<String>,
    pub collectors: Vec<String>,
}

impl Board {
    pub fn new(slots: Vec<Arc<Slot>>) -> Board {
        Board { slots: Mutex::new(slots.into()) }
    }

    /// Those of now.
    pub fn slots(&self) -> Arc<[Arc<Slot>]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on there are these.
    pub(super) fn put(&self, slots: Vec<Arc<Slot>>) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = slots.into();
    }

    /// The blocks of a scrape that arrived now. The targets are told, so that they can be just in time for the next.
    pub fn scrape(&self, filter: &Filter, now: Instant) -> Vec<Arc<Block>> {
        let slots = self.slots();
        let mut blocks = Vec::with_capacity(slots.len() * 4);
        for slot in slots.iter() {
            if filter.targets.is_empty() || filter.targets.contains(&slot.name) {
                slot.scraped.send_replace(Some(now));
                slot.blocks(&filter.collectors, now, &mut blocks);
            }
        }
        blocks
    }
}

impl Slot {
    pub fn new(name: &str, label: Option<String>, snapshot: Snapshot) -> Slot {
        let state = State { snapshot: Arc::new(snapshot), ..State::default() };
        let up = [false, true].map(|up| Arc::new(up_block(label.as_deref(), up)));
        Slot {
            name: name.to_owned(),
            label,
            up,
            state: Mutex::new(state),
            scraped: watch::Sender::new(None),
            recoveries: watch::Sender::new(0),
            taken_up: AtomicU64::new(0),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Begins with what is known of the same server from a target that this one takes the place of. What collectors
    /// that are not on any more have copied is left behind.
    pub(super) fn inherit(&self, before: &Slot, is_on: impl Fn(&str) -> bool) {
        let (up_until, mut copied, known) = {
            let before = before.state();
            (before.up_until, before.copied.clone(), before.snapshot.clone())
        };
        copied.retain(|name, copied| !copied.is_collector || is_on(name));
        let mut state = self.state();
        let snapshot = Snapshot {
            address: state.snapshot.address.clone(),
            required: state.snapshot.required,
            every: state.snapshot.every,
            timeout: state.snapshot.timeout,
            user: state.snapshot.user.clone(),
            heartbeat: state.snapshot.heartbeat.clone(),
            is_local: state.snapshot.is_local,
            ..(*known).clone()
        };
        (state.up_until, state.copied, state.snapshot) = (up_until, copied, Arc::new(snapshot));
        self.scraped.send_replace(*before.scraped.borrow());
    }

    /// When scrapes arrive.
    pub fn scrapes(&self) -> watch::Receiver<Option<Instant>> {
        self.scraped.subscribe()
    }

    /// Wants every pooled connection dropped, and connected anew. The target's task does it.
    pub fn recover(&self) {
        self.recoveries.send_modify(|count| *count += 1);
    }

    /// When somebody wants that; at once if nobody has taken it up yet.
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        let mut wanted = self.recoveries.subscribe();
        if *wanted.borrow() != self.taken_up.load(Ordering::Relaxed) {
            wanted.mark_changed();
        }
        wanted
    }

    /// What was wanted until now is being done.
    pub(super) fn recovers(&self) {
        self.taken_up.store(*self.recoveries.borrow(), Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.state().snapshot.clone()
    }

    /// What is wrong with the target, worst first, as it was last judged.
    pub fn findings(&self) -> Arc<[Finding]> {
        self.state().findings.clone()
    }

    pub fn is_judged(&self) -> bool {
        self.state().is_judged
    }

    /// What is wrong with the target, and the families that say so.
    pub fn judged(&self, findings: Vec<Finding>, block: Block) {
        let mut state = self.state();
        state.is_judged = true;
        state.findings = findings.into();
        state.judged = Arc::new(block);
    }

    /// Changes when there is something new to judge: a probe has ended, a collector has brought something.
    pub fn news(&self) -> u64 {
        self.state().news
    }

    /// Everything that a scrape would show of it now.
    pub fn shown(&self, now: Instant) -> Vec<Arc<Block>> {
        let mut blocks = Vec::with_capacity(16);
        self.blocks(&[], now, &mut blocks);
        blocks
    }

    /// `mysql_up`, judged now.
    pub fn is_up(&self, now: Instant) -> bool {
        self.state().is_up(now)
    }

    /// The families of our own, encoded anew.
    pub fn publish(&self, own: Block, snapshot: Snapshot) {
        let mut state = self.state();
        let probed = |snapshot: &Snapshot| snapshot.probe.as_ref().map(|probe| probe.at);
        state.news += u64::from(probed(&snapshot) != probed(&state.snapshot));
        state.own = Arc::new(own);
        state.snapshot = Arc::new(snapshot);
    }

    /// Some authenticated connection answered: `mysql_up` is 1 until then.
    pub fn answered(&self, until: Instant) {
        let mut state = self.state();
        state.up_until = state.up_until.max(Some((until, wall(until))));
    }

    /// What a collector copied; shown until it is too old or the server is down.
    pub fn copied(&self, collector: impl Into<Cow<'static, str>>, block: Block, until: Instant) {
        self.copy(collector.into(), Copied::new(block, until, true));
    }

    /// Families of our own that were made from what the server said, and are as old as that.
    pub fn copied_by_us(&self, name: &'static str, block: Block, until: Instant) {
        self.copy(name.into(), Copied::new(block, until, false));
    }

    fn copy(&self, name: Cow<'static, str>, copied: Copied) {
        let mut state = self.state();
        state.copied.insert(name, copied);
        state.news += 1;
    }

    /// How many series are kept besides what this one copied.
    pub fn series_beside(&self, name: &str) -> usize {
        let state = self.state();
        let copied = state.copied.iter().filter(|(other, _)| *other != name).map(|(_, copied)| copied.series);
        state.own.series() + state.judged.series() + copied.sum::<usize>()
    }

    fn blocks(&self, collectors: &[String], now: Instant, out: &mut Vec<Arc<Block>>) {
        let state = self.state();
        let up = state.is_up(now);
        out.push(self.up[usize::from(up)].clone());
        out.push(state.own.clone());
        out.push(state.judged.clone());
        if !up {
            return;
        }
        for (name, copied) in &state.copied {
            let wanted =
                !copied.is_collector || collectors.is_empty() || collectors.iter().any(|wanted| wanted == name);
            if wanted && copied.is_fresh(now) {
                out.push(copied.block.clone());
            }
        }
    }

    /// A reader that panicked leaves nothing half done: every write is one assignment.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_up(&self, now: Instant) -> bool {
        let is_fresh = |(until, by_wall)| now <= until && SystemTime::now() <= by_wall + WALL_CLOCK_STEP;
        self.up_until.is_some_and(is_fresh)
    }
}

fn up_block(label: Option<&str>, up: bool) -> Block {
    let mut out = BlockBuilder::new(label);
    out.single(UP.name, UP.kind, UP.help(), f64::from(up));
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, Kind, write};

    fn block(label: Option<&str>, name: &str) -> Block {
        let mut out = BlockBuilder::new(label);
        out.single(name, Kind::Gauge, "", 1.0);
        out.finish()
    }

    fn shown(board: &Board, filter: &Filter, now: Instant) -> Vec<String> {
        let text = write(&board.scrape(filter, now), Format::Text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn board() -> (Board, Instant) {
        let now = Instant::now();
        let slots = ["a", "b"].map(|name| Arc::new(Slot::new(name, Some(name.to_owned()), Snapshot::default())));
        for slot in &slots {
            slot.publish(block(slot.label(), "own"), Snapshot::default());
            slot.answered(now + Duration::from_secs(10));
            slot.copied("x", block(slot.label(), "from_x"), now + Duration::from_secs(5));
            slot.copied("y", block(slot.label(), "from_y"), now + Duration::from_secs(20));
        }
        (Board::new(slots.into()), now)
    }

    #[test]
    fn copied_values_vanish_when_they_are_too_old_and_all_of_them_when_the_server_is_down() {
        let (board, now) = board();
        let only_a = Filter { targets: vec!["a".to_owned()], collectors: vec![] };
        let at = |seconds| shown(&board, &only_a, now + Duration::from_secs(seconds));
        let (x, y, own) = ("from_x{target=\"a\"} 1", "from_y{target=\"a\"} 1", "own{target=\"a\"} 1");
        assert_eq!(at(5), [x, y, "mysql_up{target=\"a\"} 1", own]);
        assert_eq!(at(10), [y, "mysql_up{target=\"a\"} 1", own]);
        assert_eq!(at(11), ["mysql_up{target=\"a\"} 0", own]);
    }

    #[test]
    fn a_collector_filter_leaves_our_own_families() {
        let (board, now) = board();
        let only_y = Filter { targets: vec!["b".to_owned()], collectors: vec!["y".to_owned()] };
        assert_eq!(
            shown(&board, &only_y, now),
            ["from_y{target=\"b\"} 1", "mysql_up{target=\"b\"} 1", "own{target=\"b\"} 1"]
        );
    }
}
