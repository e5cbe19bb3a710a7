//! The loop of one target: it owns the clock, and joins what is learned.
//!
//! Its jobs run side by side inside one task: a probe that waits for a greeting does not delay a collection, a slow
//! collection does not delay a probe. Each job has one deadline; one that is due while the last has not ended is
//! skipped and counted, never queued.
//!
//! ```text
//! probing     a fresh login, by the schedule or to come back      at most one, in the probe's place
//! waiting     one that is not greeted, and is not given up        while it waits nothing else is opened
//! collecting  the collectors' round                               on the first pool
//! exercising  every pool, as an application uses its own
//! asking      about what was lost                                 in the evidence's place
//! ```

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::info;

use super::backoff::Trigger;
use super::board::Slot;
use super::clock::Ticks;
use super::collection::{self, Collection};
use super::desk::{Judged, Scene};
use super::evidence::{self, Answer};
use super::exercise;
use super::families::{Job, Run, TargetInstruments, unix_now};
use super::loss::{self, Fresh, Source};
use super::outage::Outage;
use super::pools::{News, Pools};
use super::probe::{self, Ended, Known, Probed};
use super::recovery::Change;
use super::rounds::{Place, Rounds, SHOWN_FOR_INTERVALS};
use super::shelf::{Shelf, Taken};
use super::snapshot::{ProbeResult, Snapshot};
use super::target::Target;
use crate::mysql::budget::{Budget, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::Facts;
use crate::mysql::path::Path;
use crate::mysql::pool;

/// How long a job that is under way may take to end when the daemon stops.
const GRACE: Duration = Duration::from_secs(4);

/// How long a greeting is awaited while a session of ours gets answers. Each wait that is given up is an aborted
/// connection at the server, so not every interval.
const SILENT_BESIDE_AN_ANSWER: Duration = Duration::from_secs(60);

type InFlight<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What a task is given; it can be given again to a new task when this one died of a defect.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) target: Arc<Target>,
    pub(super) slot: Arc<Slot>,
    pub(super) instruments: TargetInstruments,
    pub(super) budget: Budget,
    pub(super) pools: Pools,
    pub(super) shelf: Shelf,
    pub(super) place: Place,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// Watches one target until shutdown.
pub(super) async fn run(seat: Seat) {
    let mut task = Task::new(seat);
    task.watch().await;
    task.end().await;
}

struct Task {
    seat: Seat,
    snapshot: Snapshot,
    scrapes: watch::Receiver<Option<Instant>>,
    ticks: Ticks,
    seconds: Interval,
    first_probe: bool,
    probing: InFlight<Probed>,
    wanted_by: WantedBy,
    waiting: InFlight<Ended>,
    waiting_since: Instant,
    collecting: InFlight<Collection>,
    rounds: Rounds,
    exercising: InFlight<()>,
    asking: InFlight<Answer>,
    /// Logins that others have given up.
    unfinished: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    books: Taken,
    addresses: Option<BTreeSet<IpAddr>>,
    path: Known,
    outage: Outage,
    /// There is something new to publish.
    news: bool,
}

/// Who wanted the fresh login that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct WantedBy {
    /// The schedule: it counts as a probe.
    schedule: bool,
    /// The way back.
    attempt: Option<Trigger>,
}

impl Task {
    fn new(seat: Seat) -> Task {
        let now = Instant::now();
        // Not all at once, yet soon: the first scrape wants something to read.
        let first_within = Duration::from_millis(50 + 5 * seat.place.of as u64).min(seat.target.every);
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let exercising = exercise::exercise(seat.pools.clone(), seat.shutdown.clone());
        let books = seat.shelf.take();
        Task {
            snapshot: (*seat.slot.snapshot()).clone(),
            scrapes: seat.slot.scrapes(),
            ticks: Ticks::new(now + first_within.mul_f64(fastrand::f64()), seat.target.every),
            seconds,
            first_probe: true,
            probing: None,
            wanted_by: WantedBy::default(),
            waiting: None,
            waiting_since: now,
            collecting: None,
            rounds: Rounds::new(seat.target.every, seat.place),
            exercising: Some(Box::pin(exercising)),
            asking: None,
            unfinished: FuturesUnordered::new(),
            books,
            addresses: None,
            path: Known::NotAsked,
            outage: Outage::default(),
            news: true,
            seat,
        }
    }

    async fn watch(&mut self) {
        let mut shutdown = self.seat.shutdown.clone();
        let inbox = self.seat.pools.inbox().clone();
        loop {
            if std::mem::take(&mut self.news) {
                self.publish();
            }
            let probe_due = self.ticks.next();
            let collect_due = if self.collecting.is_some() { None } else { self.rounds.due() };
            let is_trying = self.probing.is_some() || self.waiting.is_some();
            let attempt_due = if is_trying { None } else { self.books.recovery.attempt_due() };
            let ask_due = if self.asking.is_some() { None } else { self.books.desk.due() };
            let change_due = self.books.recovery.next_change();
            tokio::select! {
                // A sender that is gone means the same: nobody is left to watch for.
                _ = shutdown.wait_for(|stop| *stop) => return,
                probed = ended(&mut self.probing) => self.probe_ended(probed),
                waited = ended(&mut self.waiting) => self.wait_ended(waited),
                collection = ended(&mut self.collecting) => self.collection_ended(collection),
                () = ended(&mut self.exercising) => {}
                answer = ended(&mut self.asking) => self.answered(answer),
                Some(()) = self.unfinished.next() => {}
                news = inbox.take() => news.into_iter().for_each(|news| self.heard(news)),
                () = sleep_until(probe_due) => self.probe_due(),
                () = until(attempt_due) => self.attempt_due(),
                () = until(collect_due) => self.collect_due(collect_due),
                () = until(ask_due) => self.ask_due(),
                () = until(change_due) => {
                    let change = self.books.recovery.tick(Instant::now());
                    self.changed(change);
                }
                _ = self.seconds.tick() => self.second(),
                Ok(()) = self.scrapes.changed() => {
                    if let Some(at) = *self.scrapes.borrow_and_update() {
                        self.rounds.scraped(at);
                    }
                }
            }
        }
    }

    // ---- fresh logins ----

    fn probe_due(&mut self) {
        let now = Instant::now();
        let late = self.ticks.take(now);
        self.seat.instruments.lag.observe(late.as_secs_f64());
        if self.first_probe {
            self.first_probe = false;
            self.ticks.scatter(now, fastrand::f64());
        }
        self.news = true;
        if self.waiting.is_some() {
            // Still no greeting: this probe fails as the one that waits did.
            self.seat.instruments.last_attempt.set(unix_now());
            self.outage.tell(&self.seat.target.name);
            self.fails(probe::no_greeting(self.waiting_since.elapsed()), Vec::new(), true);
        } else if self.probing.is_some() && !self.wanted_by.schedule {
            // The attempt that is under way is as good as another.
            self.wanted_by.schedule = true;
            self.seat.instruments.last_attempt.set(unix_now());
        } else if self.probing.is_some() {
            self.seat.instruments.probe_skipped();
        } else if self.books.recovery.let_through(now) {
            self.try_login(WantedBy { schedule: true, attempt: None });
        } else {
            self.seat.instruments.probe_suspended();
        }
        let suspended = self.books.recovery.suspended_until(now);
        let next = suspended.map_or(self.ticks.next(), |until| until.max(self.ticks.next()));
        self.seat.instruments.next_attempt.set(unix_now() + next.duration_since(now).as_secs_f64());
    }

    fn attempt_due(&mut self) {
        let now = Instant::now();
        let Some(trigger) = self.books.recovery.take_attempt() else { return };
        self.news = true;
        if !self.books.recovery.let_through(now) {
            return self.books.recovery.plan(now);
        }
        let change = self.books.recovery.attempt_started(now);
        self.changed(change);
        self.try_login(WantedBy { schedule: false, attempt: Some(trigger) });
    }

    fn try_login(&mut self, wanted_by: WantedBy) {
        let Some(place) = self.seat.budget.take(Purpose::Probe) else {
            // The place is this job's own, and is free unless the last one is just leaving.
            if wanted_by.schedule {
                self.seat.instruments.probe_skipped();
            }
            return;
        };
        if wanted_by.schedule {
            self.seat.instruments.last_attempt.set(unix_now());
        }
        let target = self.seat.target.clone();
        let path = self.path;
        self.wanted_by = wanted_by;
        self.probing = Some(Box::pin(async move { probe::probe(&target, place, path).await }));
    }

    fn probe_ended(&mut self, probed: Probed) {
        self.news = true;
        match probed {
            Probed::Ended(ended) => {
                if self.wanted_by.schedule {
                    self.seat.instruments.probe_took(ended.took, &ended.times);
                }
                self.take_in(*ended, Fresh::Good);
            }
            Probed::Silent(silent) => {
                self.waiting_since = Instant::now() - silent.waited();
                let target = self.seat.target.clone();
                let failure = probe::no_greeting(silent.waited());
                self.waiting = Some(Box::pin(async move { silent.wait(&target).await }));
                self.outage.not_greeted(&failure);
                self.not_in(&failure);
                self.fails(failure, Vec::new(), self.wanted_by.schedule);
            }
        }
    }

    /// The server woke, or the wait is over. A success counts at once; a failure was counted when its probes were due.
    fn wait_ended(&mut self, ended: Ended) {
        self.news = true;
        match &ended.outcome {
            Ok(_) => {
                self.outage.greeted(&self.seat.target.name, &ended);
                self.wanted_by.schedule = true;
                self.take_in(ended, Fresh::LateGreeting);
            }
            Err(failure) => {
                self.outage.gave_up(&self.seat.target.name, failure);
                self.snapshot.probe = Some(result(Some(failure.clone()), Vec::new(), None));
                let failure = failure.clone();
                self.not_in(&failure);
            }
        }
    }

    /// `fresh` is what a login that got in was.
    fn take_in(&mut self, ended: Ended, fresh: Fresh) {
        let phases: Vec<_> = ended.times.iter().collect();
        for (phase, took) in &phases {
            self.seat.instruments.phase_last.with_label_values(&[phase.label()]).set(took.as_secs_f64());
        }
        if let Some(addresses) = ended.addresses {
            self.addresses_seen(addresses);
        }
        if let Some(path) = ended.path {
            self.path = path;
        }
        match ended.outcome {
            Ok(facts) => self.succeeds(facts, phases, fresh),
            Err(failure) => {
                self.not_in(&failure);
                self.fails(failure, phases, self.wanted_by.schedule);
            }
        }
    }

    fn succeeds(&mut self, facts: Facts, phases: Vec<(Phase, Duration)>, fresh: Fresh) {
        let now = Instant::now();
        let WantedBy { schedule, attempt } = self.wanted_by;
        let instruments = &self.seat.instruments;
        if schedule {
            instruments.probe_succeeded();
        } else {
            instruments.got_in();
        }
        instruments.negotiated(&facts, self.path);
        self.answers(now);
        if self.outage.ended(&self.seat.target.name, self.snapshot.consecutive_failures) {
            // What lies between may have changed meanwhile; asked again at the next probe.
            self.path = Known::NotAsked;
        }
        let tls = facts.tls.as_ref();
        if self.snapshot.last_success.is_none() {
            info!(target = %self.seat.target.name, server = %facts.server, plugin = facts.auth_plugin,
                tls = tls.map_or("none", |tls| &tls.version), "connected");
        }
        self.snapshot.probe = Some(result(None, phases, tls.map(|tls| tls.version.clone())));
        self.snapshot.last_success = Some(SystemTime::now());
        self.snapshot.consecutive_failures = 0;
        self.snapshot.server = Some(facts.server.clone());
        self.books.desk.history().attempted(now, fresh);
        self.books.desk.can_be_asked(now);
        self.seat.pools.gate().open(facts);
        self.rounds.can_be_had();
        let change = self.books.recovery.good(attempt, now);
        self.changed(change);
    }

    /// A fresh login has failed: nothing is opened until one gets in, and the next is planned.
    fn not_in(&mut self, failure: &Failure) {
        let now = Instant::now();
        let attempt = self.wanted_by.attempt;
        self.seat.pools.gate().close();
        self.books.desk.history().attempted(now, Fresh::from(failure));
        let change = self.books.recovery.bad(failure, attempt, now);
        self.changed(change);
        self.books.recovery.plan(now);
    }

    /// A probe has failed, for whoever counts them.
    fn fails(&mut self, failure: Failure, phases: Vec<(Phase, Duration)>, schedule: bool) {
        if schedule {
            self.seat.instruments.probe_failed(&failure);
            self.snapshot.consecutive_failures += 1;
        }
        if self.waiting.is_none() {
            self.outage.failed(&self.seat.target.name, &failure);
        }
        self.snapshot.probe = Some(result(Some(failure), phases, None));
        if self.rounds.take_owed() {
            self.nobody_to_ask();
        }
    }

    fn addresses_seen(&mut self, addresses: BTreeSet<IpAddr>) {
        let v4 = addresses.iter().filter(|address| address.is_ipv4()).count();
        for (family, count) in [("ipv4", v4), ("ipv6", addresses.len() - v4)] {
            self.seat.instruments.dns_addresses.with_label_values(&[family]).set(count as f64);
        }
        if self.addresses.as_ref().is_some_and(|before| *before != addresses) {
            self.seat.instruments.dns_changes.inc();
        }
        self.addresses = Some(addresses);
    }

    // ---- rounds ----

    fn collect_due(&mut self, due: Option<Instant>) {
        let now = Instant::now();
        if let Some(due) = due {
            let lag = now.saturating_duration_since(due);
            self.seat.instruments.lag.observe(lag.as_secs_f64());
        }
        self.rounds.begin(now);
        let pool = self.seat.pools.first();
        let can_be_had = self.seat.pools.gate().is_open() || pool.holds(0);
        if !can_be_had && self.probing.is_some() {
            // A connection is opened only where a probe has just got in, and one is finding out: its success collects.
            return self.rounds.owe();
        }
        if !can_be_had {
            return self.nobody_to_ask();
        }
        let collecting = collection::collect(self.seat.target.clone(), pool.clone());
        self.collecting = Some(Box::pin(collecting));
    }

    fn nobody_to_ask(&mut self) {
        self.collection_ended(Rounds::nobody(&self.seat.target));
    }

    fn collection_ended(&mut self, collection: Collection) {
        self.news = true;
        let Seat { target, slot, instruments, .. } = &self.seat;
        let seen = collection.seen;
        let is_away = self.outage.is_on();
        let answered = self.rounds.ended(collection, target, slot, instruments, &mut self.snapshot, is_away);
        let Some(at) = answered else { return };
        if let Some(com_kill) = seen.com_kill {
            self.books.desk.history().kills_collected(at, com_kill);
        }
        if let (Some(wait), Some(interactive)) = (seen.wait_timeout, seen.interactive_timeout) {
            self.seat.instruments.idle.configured(wait, interactive);
        }
        self.answers(at);
        self.awake(at);
    }

    /// Some connection has answered at that time.
    fn answers(&self, at: Instant) {
        self.seat.slot.answered(at + self.seat.target.every * SHOWN_FOR_INTERVALS);
    }

    fn awake(&mut self, at: Instant) {
        if self.waiting.is_some() && at > self.waiting_since + SILENT_BESIDE_AN_ANSWER {
            // The server is awake, so this one connection is what is stuck: what lies between lost it, or it waits
            // for nothing. The next probe tries anew.
            self.waiting = None;
            self.books.recovery.plan(Instant::now());
        }
    }

    // ---- kept connections ----

    fn heard(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Answered { asked, .. } => {
                self.seat.instruments.run(Job::Exercise, Run::Ok);
                self.answers(now);
                self.awake(asked);
                let change = self.books.recovery.kept(now);
                self.changed(change);
            }
            News::Unanswered { failure, .. } if failure == pool::closed() => {
                self.seat.instruments.run(Job::Exercise, Run::Skipped);
            }
            News::Unanswered { failure, .. } => self.seat.instruments.run(Job::Exercise, Run::of(&failure)),
            News::Unfinished(login) => self.unfinished.push(Box::pin(login.finish())),
            News::Skipped => self.seat.instruments.run(Job::Exercise, Run::Skipped),
            News::Opened(standing) => {
                self.news = true;
                self.seat.instruments.feature("session", None);
                self.answers(now);
                self.books.desk.history().attempted(now, Fresh::Good);
                self.books.desk.history().stood(&standing);
                if let Some(most) = standing.max_connect_errors {
                    self.books.recovery.limit_told(most);
                }
                let change = self.books.recovery.opened(now);
                self.changed(change);
            }
            News::Unopened(failure) => {
                self.news = true;
                if failure.reason == Reason::AuthPlugin {
                    self.seat.instruments.feature("session", Some("auth_plugin"));
                }
                self.books.desk.history().attempted(now, Fresh::from(&failure));
                let change = self.books.recovery.unopened(&failure, now);
                self.changed(change);
                self.books.recovery.plan(now);
            }
            News::Lost(lost) => {
                self.news = true;
                self.seat.instruments.losses.seen(Source::Pool, lost.signal, lost.rested());
                let change = self.books.recovery.lost(now);
                self.changed(change);
                if !self.seat.pools.gate().is_open() {
                    self.books.recovery.plan(now);
                }
                let scene = self.scene(lost.last_answer_at, lost.noticed_at);
                let judged = self.books.desk.lost(*lost, &scene, now);
                self.judged(judged);
            }
        }
    }

    // ---- losses ----

    fn ask_due(&mut self) {
        let now = Instant::now();
        let facts = self.seat.pools.gate().facts().filter(|_| self.waiting.is_none());
        let place = facts.as_ref().and_then(|_| self.seat.budget.take(Purpose::Evidence));
        let (Some(facts), Some(place)) = (facts, place) else {
            let scene = self.scene(now, now);
            let judged = self.books.desk.unanswered(&scene, now);
            return self.judged(judged);
        };
        let question = self.books.desk.question();
        let target = self.seat.target.clone();
        self.asking = Some(Box::pin(async move { evidence::ask(&target, &facts, question, place).await }));
    }

    fn answered(&mut self, answer: Answer) {
        let now = Instant::now();
        if let Some(failure) = &answer.failure {
            self.seat.pools.gate().close();
            let change = self.books.recovery.bad(failure, None, now);
            self.changed(change);
            self.books.recovery.plan(now);
        }
        let scene = self.scene(now, now);
        let judged = self.books.desk.answered(&answer, &scene, now);
        self.judged(judged);
    }

    fn judged(&mut self, judged: Judged) {
        for booked in judged.booked {
            self.news = true;
            let ago = booked.held.note.noticed_at.elapsed().as_secs_f64();
            let instruments = &self.seat.instruments;
            instruments.losses.booked(booked.held.source, booked.cause, booked.held.count, unix_now() - ago);
            super::told::lost(&self.seat.target.name, &booked);
        }
    }

    /// What is known of the target when a loss is judged that came about in this time.
    fn scene(&self, _from: Instant, _to: Instant) -> Scene {
        Scene {
            path: match self.path {
                Known::Is(Path::Direct) => loss::Path::Direct,
                Known::Is(Path::Proxied) => loss::Path::Proxied,
                Known::NotAsked | Known::NotTold => loss::Path::Unknown,
            },
            ladder: loss::Ladder::default(),
            give_up: self.seat.target.give_up,
            deadline: self.seat.target.pools.first().map_or(self.seat.target.timeout, |plan| plan.read_timeout),
            lateness: Duration::ZERO,
        }
    }

    fn second(&mut self) {
        let now = Instant::now();
        if !self.books.desk.is_empty() {
            let scene = self.scene(now, now);
            let judged = self.books.desk.tick(&scene, now);
            self.judged(judged);
        }
    }

    fn changed(&mut self, change: Change) {
        if change != Change::default() {
            self.news = true;
            super::told::changed(&self.seat.target.name, &change);
        }
    }

    fn publish(&mut self) {
        self.seat.pools.show();
        self.books.recovery.show(Instant::now());
        let block = self.seat.instruments.block(self.seat.target.label.as_deref());
        self.seat.slot.publish(block, self.snapshot.clone());
    }

    /// Leaves every connection with COM_QUIT, as far as the server still listens.
    async fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        // A greeting that did not come until now is given up: the wait has no end that could be awaited.
        self.waiting = None;
        // What has not ended by then is cut off; the server is not answering.
        let (probing, collecting) = (self.probing.take(), self.collecting.take());
        let (exercising, asking) = (self.exercising.take(), self.asking.take());
        tokio::join!(finish(probing), finish(collecting), finish(exercising), finish(asking));
        self.seat.pools.shutdown(deadline).await;
    }
}

async fn finish<T>(job: InFlight<T>) {
    if let Some(under_way) = job {
        let _ = timeout(GRACE, under_way).await;
    }
}

fn result(failure: Option<Failure>, phases: Vec<(Phase, Duration)>, tls_version: Option<String>) -> ProbeResult {
    ProbeResult { at: SystemTime::now(), failure, phases, tls_version }
}

/// The end of a job that may not be under way.
async fn ended<T>(job: &mut InFlight<T>) -> T {
    match job {
        Some(under_way) => {
            let value = under_way.await;
            *job = None;
            value
        }
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
