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
//! querying    a query of the operator's own, two where one is slow, in places of the budget that nobody waits for
//! exercising  every pool, as an application uses its own
//! asking      about what was lost                                 in the evidence's place
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use super::backoff::Trigger;
use super::canaries::Happened;
use super::clock::Ticks;
use super::collection::{self, Collection};
use super::desk::{Judged, Note, Scene};
use super::doorkeeper::{Doorkeeper, MainDoor};
use super::entry::Entry;
use super::errand::{Errand, GRACE, until};
use super::events::What;
use super::evidence::{self, Answer};
use super::exercise;
use super::families::{Job, Run, unix_now};
use super::idle::Idle;
use super::lanes::Lanes;
use super::loss::{self, Booked, Cause, Fresh, Rest, Source};
use super::outage::Outage;
use super::pools::{self, News};
use super::probe::{self, Ended, Probed};
use super::queries::Asked;
use super::recovery::Change;
use super::rounds::{Rounds, SHOWN_FOR_INTERVALS};
use super::seat::Seat;
use super::shelf::Taken;
use super::snapshot::{ProbeResult, Snapshot};
use super::told;
use super::walks::Walks;
use super::way::Way;
use crate::collect::Collector;
use crate::mysql::budget::Purpose;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::Facts;
use crate::mysql::path::Path;
use crate::mysql::pool::{Lost, closed};
use crate::mysql::signal::Signal;

/// How long a greeting is awaited while a session of ours gets answers. Each wait that is given up is an aborted
/// connection at the server, so not every interval.
const SILENT_BESIDE_AN_ANSWER: Duration = Duration::from_secs(60);

/// Timers that are late by less say nothing about the server either way.
const STALLED: Duration = Duration::from_secs(2);

/// Between two times that the families of a target are encoded anew.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Who asks to recover waits at most so long to be told of each attempt.
const FOLLOWED: Duration = Duration::from_secs(120);

/// Between two times that pooled connections are dropped because somebody asks.
const AGAIN: Duration = Duration::from_secs(1);

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
    recoveries: watch::Receiver<u64>,
    ticks: Ticks,
    seconds: Interval,
    first_probe: bool,
    probing: Errand<Probed>,
    wanted_by: WantedBy,
    waiting: Errand<Ended>,
    waiting_since: Instant,
    collecting: Errand<Collection>,
    rounds: Rounds,
    /// What is asked after a round.
    behind: Errand<Collection>,
    /// A collector that may take long.
    walking: Errand<Collection>,
    walks: Walks,
    querying: Lanes,
    exercising: Errand<()>,
    asking: Errand<Answer>,
    /// Logins that others have given up.
    unfinished: FuturesUnordered<BoxFuture<'static, ()>>,
    books: Taken,
    idle: Idle,
    /// Stalls up to here have been taken in.
    stalls_to: Instant,
    recovered_at: Option<Instant>,
    /// Somebody who asked for it then waits to be told how it goes.
    followed: Option<Instant>,
    /// Pools whose statement the server refuses, as the log has told.
    refused: BTreeSet<Arc<str>>,
    /// How the latest fresh login failed, while none got in since.
    failure: Option<Failure>,
    way: Way,
    outage: Outage,
    doors: Doorkeeper,
    /// There is something new to publish.
    news: bool,
    published_at: Option<Instant>,
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
        let mut exercising = Errand::default();
        exercising.begin(exercise::exercise(seat.pools.clone(), seat.shutdown.clone()));
        let books = seat.shelf.take();
        Task {
            snapshot: (*seat.slot.snapshot()).clone(),
            scrapes: seat.slot.scrapes(),
            recoveries: seat.slot.recoveries(),
            ticks: Ticks::new(now + first_within.mul_f64(fastrand::f64()), seat.target.every),
            seconds,
            first_probe: true,
            probing: Errand::default(),
            wanted_by: WantedBy::default(),
            waiting: Errand::default(),
            waiting_since: now,
            collecting: Errand::default(),
            rounds: Rounds::new(seat.target.every, seat.target.follows, seat.place),
            behind: Errand::default(),
            walking: Errand::default(),
            walks: Walks::new(seat.target.slow(), now),
            querying: Lanes::new(&seat.target, now),
            exercising,
            asking: Errand::default(),
            unfinished: FuturesUnordered::new(),
            books,
            idle: seat.idle(),
            stalls_to: now,
            recovered_at: None,
            followed: None,
            refused: BTreeSet::new(),
            failure: None,
            way: Way::default(),
            outage: Outage::default(),
            doors: Doorkeeper::new(&seat),
            news: true,
            published_at: None,
            seat,
        }
    }

    async fn watch(&mut self) {
        let mut shutdown = self.seat.shutdown.clone();
        let inbox = self.seat.pools.inbox().clone();
        loop {
            let publish_due = self.publish_due();
            if publish_due.is_some_and(|due| due <= Instant::now()) {
                self.publish();
            }
            let publish_due = publish_due.filter(|_| self.news);
            let probe_due = self.ticks.next();
            let collect_due = if self.collecting.is_under_way() { None } else { self.rounds.due() };
            let walk_due = if self.walking.is_under_way() { None } else { self.walks.due() };
            let query_due = self.querying.due();
            let is_trying = self.probing.is_under_way() || self.waiting.is_under_way();
            let attempt_due = if is_trying { None } else { self.books.recovery.attempt_due() };
            let ask_due = if self.asking.is_under_way() { None } else { self.books.desk.due() };
            let change_due = self.books.recovery.next_change();
            tokio::select! {
                // A sender that is gone means the same: nobody is left to watch for.
                _ = shutdown.wait_for(|stop| *stop) => return,
                probed = self.probing.ended() => self.probe_ended(probed),
                waited = self.waiting.ended() => self.wait_ended(waited),
                collection = self.collecting.ended() => self.collection_ended(collection),
                behind = self.behind.ended() => self.brought(behind),
                walked = self.walking.ended() => self.brought(walked),
                asked = self.querying.ended() => self.queried(asked),
                () = self.exercising.ended() => {}
                answer = self.asking.ended() => self.answered(answer),
                Some(()) = self.unfinished.next() => {}
                happened = self.idle.next() => self.happened(happened),
                news = inbox.take() => news.into_iter().for_each(|news| self.heard(news)),
                () = sleep_until(probe_due) => self.probe_due(),
                () = until(attempt_due) => self.attempt_due(),
                () = until(collect_due) => self.collect_due(collect_due),
                () = until(walk_due) => self.walk_due(),
                () = until(query_due) => {
                    self.news = true;
                    self.querying.go_on(Instant::now(), &self.seat, &mut self.snapshot);
                }
                () = until(ask_due) => self.ask_due(),
                // The next turn of the loop does it.
                () = until(publish_due) => {}
                () = until(change_due) => {
                    self.take_in_stalls();
                    let change = self.books.recovery.tick(Instant::now());
                    self.changed(change);
                }
                _ = self.seconds.tick() => self.second(),
                Ok(()) = self.recoveries.changed() => self.recover(),
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
        if self.waiting.is_under_way() {
            // Still no greeting: this probe fails as the one that waits did.
            self.seat.instruments.last_attempt.set(unix_now());
            self.outage.tell(&self.seat.target.name);
            self.fails(probe::no_greeting(self.waiting_since.elapsed()), Vec::new(), true);
        } else if self.probing.is_under_way() && !self.wanted_by.schedule {
            // The attempt that is under way is as good as another.
            self.wanted_by.schedule = true;
            self.seat.instruments.last_attempt.set(unix_now());
        } else if self.probing.is_under_way() {
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
        let path = self.way.known();
        self.wanted_by = wanted_by;
        self.probing.begin(async move { probe::probe(&target, place, path).await });
    }

    fn probe_ended(&mut self, probed: Probed) {
        self.shows_at_once();
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
                self.waiting.begin(async move { silent.wait(&target).await });
                self.outage.not_greeted(&failure);
                self.not_in(&failure, self.waiting_since);
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
                self.not_in(&failure, self.waiting_since);
            }
        }
    }

    /// `fresh` is what a login that got in was.
    fn take_in(&mut self, ended: Ended, fresh: Fresh) {
        if ended.outcome.is_ok() {
            let took = (fresh == Fresh::Good).then_some(ended.took);
            Arc::make_mut(&mut self.snapshot.hour).good(SystemTime::now(), took);
        }
        let began = Instant::now() - ended.took;
        let phases: Vec<_> = ended.times.iter().collect();
        for (phase, took) in &phases {
            self.seat.instruments.phase_last.with_label_values(&[phase.label()]).set(took.as_secs_f64());
        }
        if let Some(addresses) = ended.addresses {
            self.way.resolved(addresses, &self.seat);
        }
        if let Some(found) = ended.path {
            self.way.found(found, &self.seat);
        }
        match ended.outcome {
            Ok(facts) => self.succeeds(facts, phases, fresh),
            Err(failure) => {
                self.not_in(&failure, began);
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
        instruments.negotiated(&facts, self.way.known());
        self.answers(now);
        if self.outage.ended(&self.seat.target.name, self.snapshot.consecutive_failures) {
            // What lies between may have changed meanwhile. So may the server.
            self.way.forget();
            self.seat.found.forget();
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
        self.failure = None;
        self.doors.main_opened(&facts);
        self.seat.pools.gate().open(facts);
        self.rounds.can_be_had();
        let change = self.books.recovery.good(attempt, now);
        self.changed(change);
        if let Some(asked) = self.followed.take() {
            self.seat.tell(told::tried(asked, None));
        }
    }

    /// A fresh login that began then has failed: nothing is opened until one gets in, and the next is planned.
    fn not_in(&mut self, failure: &Failure, began: Instant) {
        let now = Instant::now();
        let attempt = self.wanted_by.attempt;
        self.seat.pools.gate().turn_away(failure);
        self.turned_away(failure, attempt, began);
        self.followed = self.followed.filter(|asked| now < *asked + FOLLOWED);
        if let Some(asked) = self.followed {
            self.seat.tell(told::tried(asked, Some(failure)));
        }
    }

    /// A fresh login of whatever kind that began then has failed.
    fn turned_away(&mut self, failure: &Failure, attempt: Option<Trigger>, began: Instant) {
        let now = Instant::now();
        self.failure = Some(failure.clone());
        self.books.desk.history().attempted(now, Fresh::from(failure));
        let change = self.books.recovery.bad(failure, attempt, began, now);
        self.changed(change);
        self.books.recovery.plan(now);
        if matches!(failure.reason, Reason::UserLimit | Reason::TooManyConnections) && self.idle.is_parked() {
            self.idle.make_room();
            self.books.recovery.left(now);
        }
        if self.entry().is_some() {
            self.rounds.can_be_had();
        }
    }

    /// A probe has failed, for whoever counts them.
    fn fails(&mut self, failure: Failure, phases: Vec<(Phase, Duration)>, schedule: bool) {
        if schedule {
            self.seat.instruments.probe_failed(&failure);
            self.snapshot.consecutive_failures += 1;
        }
        if !self.waiting.is_under_way() {
            self.outage.failed(&self.seat.target.name, &failure);
        }
        Arc::make_mut(&mut self.snapshot.hour).failed(SystemTime::now());
        self.snapshot.probe = Some(result(Some(failure), phases, None));
        if self.rounds.take_owed() {
            match self.entry() {
                Some(_) => self.rounds.make_up(),
                None => self.nobody_to_ask(),
            }
        }
    }

    // ---- rounds ----

    fn collect_due(&mut self, due: Option<Instant>) {
        let now = Instant::now();
        if let Some(due) = due {
            let lag = now.saturating_duration_since(due);
            self.seat.instruments.lag.observe(lag.as_secs_f64());
        }
        self.rounds.begin(now);
        let pool = self.seat.pools.first().clone();
        let can_be_had = self.seat.pools.gate().is_open() || pool.holds(0);
        if self.seat.pools.gate().is_silent() {
            // Each further connection that is asked and given up is one more that the server counts as aborted.
            return self.rounds.owe();
        }
        if let Some(entry) = self.entry() {
            return self.collect_by(entry);
        }
        if !can_be_had && self.probing.is_under_way() {
            // A connection is opened only where a probe has just got in, and one is finding out: its success collects.
            return self.rounds.owe();
        }
        if !can_be_had {
            return self.nobody_to_ask();
        }
        let quick = self.quick(now);
        let Seat { target, found, .. } = &self.seat;
        let collecting = collection::collect(target.clone(), quick, false, pool, found.clone());
        self.collecting.begin(collecting);
    }

    /// The collectors of a round that begins now.
    fn quick(&mut self, now: Instant) -> Vec<&'static Collector> {
        let quick = self.rounds.wanted(&self.seat.target, now);
        self.rounds.order(quick)
    }

    /// The second door, while nobody gets in by the main one since all connections are in use.
    fn entry(&mut self) -> Option<Entry> {
        let failure = self.failure.as_ref();
        let main = MainDoor { failure, path: self.way.told(), identity: self.books.desk.history().identity() };
        self.doors.entry(main, Instant::now())
    }

    fn collect_by(&mut self, entry: Entry) {
        let quick = self.quick(Instant::now());
        self.collecting.begin(entry.collect(quick));
    }

    fn walk_due(&mut self) {
        let now = Instant::now();
        let Some(collector) = self.walks.take(now) else { return };
        if !self.seat.pools.gate().is_open() {
            return self.walks.put_off(collector, now);
        }
        let Seat { target, found, pools, .. } = &self.seat;
        let walking = collection::collect(target.clone(), vec![collector], true, pools.first().clone(), found.clone());
        self.walking.begin(walking);
    }

    fn queried(&mut self, mut asked: Asked) {
        self.shows_at_once();
        if let Some(login) = asked.unfinished.take() {
            self.unfinished.push(Box::pin(login.finish()));
        }
        if let Some(at) = self.querying.take_in(asked, &self.seat, &mut self.snapshot) {
            self.answers(at);
        }
    }

    /// What was not asked within a round.
    fn brought(&mut self, mut collection: Collection) {
        self.shows_at_once();
        let Seat { target, slot, instruments, .. } = &self.seat;
        let is_away = self.outage.is_on();
        let answered = self.rounds.take_in(&mut collection, target, slot, instruments, &mut self.snapshot, is_away);
        if let Some(at) = answered {
            self.answers(at);
        }
    }

    fn nobody_to_ask(&mut self) {
        self.collection_ended(Rounds::nobody(&self.seat.target));
    }

    fn collection_ended(&mut self, mut collection: Collection) {
        self.shows_at_once();
        let main = MainDoor { failure: self.failure.as_ref(), path: self.way.told(), identity: None };
        self.doors.collected(&mut collection, main, Instant::now());
        let Seat { target, slot, instruments, pools, .. } = &self.seat;
        let (seen, used) = (collection.seen, collection.headroom.connections());
        if collection.is_silent() {
            pools.gate().fall_silent();
        }
        let is_away = self.outage.is_on();
        let answered = self.rounds.ended(collection, target, slot, instruments, &mut self.snapshot, is_away);
        let Some(at) = answered else { return };
        if let Some(com_kill) = seen.com_kill {
            self.books.desk.history().kills_collected(at, com_kill);
        }
        if let (Some(wait), Some(interactive)) = (seen.wait_timeout, seen.interactive_timeout) {
            self.idle.configured(wait, interactive);
        }
        if let Some(used) = used {
            self.idle.used(used);
        }
        if !self.seat.pools.first_is_exercised()
            && let Some(began) = self.rounds.began()
        {
            self.idle.control_answered(began);
        }
        self.answers(at);
        self.awake(at);
        self.go_on_behind();
    }

    /// A round that has told what it brought is followed by those whose answers may be large. Where those of the round
    /// before are still at it, they are left alone.
    fn go_on_behind(&mut self) {
        let behind = self.seat.target.behind();
        if self.behind.is_under_way() || behind.is_empty() {
            return;
        }
        if let Some(entry) = self.entry() {
            return self.behind.begin(entry.collect(behind));
        }
        let Seat { target, found, pools, .. } = &self.seat;
        let collecting = collection::collect(target.clone(), behind, false, pools.first().clone(), found.clone());
        self.behind.begin(collecting);
    }

    /// Some connection has answered at that time.
    fn answers(&self, at: Instant) {
        self.seat.slot.answered(at + self.seat.target.every * SHOWN_FOR_INTERVALS);
    }

    fn awake(&mut self, at: Instant) {
        if self.waiting.is_under_way() && at > self.waiting_since + SILENT_BESIDE_AN_ANSWER {
            // The server is awake, so this one connection is what is stuck: what lies between lost it, or it waits
            // for nothing. The next probe tries anew.
            self.waiting.give_up();
            self.books.recovery.plan(Instant::now());
        }
    }

    // ---- kept connections ----

    fn heard(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Answered { pool, slot, asked } => {
                self.seat.instruments.run(Job::Exercise, Run::Ok);
                self.refused.remove(&pool);
                if self.is_control(&pool, slot) {
                    self.idle.control_answered(asked);
                }
                self.answers(now);
                self.awake(asked);
                let change = self.books.recovery.kept(now);
                self.changed(change);
            }
            News::Unanswered { failure, .. } if failure == closed() => {
                self.seat.instruments.run(Job::Exercise, Run::Skipped);
            }
            News::Unanswered { pool, failure } => {
                self.seat.instruments.run(Job::Exercise, Run::of(&failure));
                if failure.phase == Phase::Query && failure.errno.is_some() && self.refused.insert(pool.clone()) {
                    warn!(target = %self.seat.name, pool = &*pool, errno = failure.errno, detail = failure.detail,
                        "the server refuses what a pool asks; see its `exercise.statement` and `charset`");
                }
            }
            News::Unfinished(login) => self.unfinished.push(Box::pin(login.finish())),
            News::Skipped => self.seat.instruments.run(Job::Exercise, Run::Skipped),
            News::Opened(standing) => {
                self.news = true;
                self.seat.instruments.feature("session", None);
                self.answers(now);
                self.books.desk.history().attempted(now, Fresh::Good);
                let scene = self.scene();
                let judged = self.books.desk.stood(&standing, &scene, now);
                self.judged(judged);
                let several = self.books.desk.history().several_identities();
                self.idle.met(&standing, several);
                if let Some(most) = standing.max_connect_errors {
                    self.books.recovery.limit_told(most);
                }
                let change = self.books.recovery.opened(now);
                self.changed(change);
            }
            // The server is well, and knows us: it refuses what the pool wants of a connection.
            News::Unopened(failure) if failure.phase == Phase::Query && failure.errno.is_some() => {}
            News::Unopened(failure) => {
                self.news = true;
                if failure.reason == Reason::AuthPlugin {
                    self.seat.instruments.feature("session", Some("auth_plugin"));
                }
                self.failure = Some(failure.clone());
                self.books.desk.history().attempted(now, Fresh::from(&failure));
                let change = self.books.recovery.unopened(&failure, now);
                self.changed(change);
                self.books.recovery.plan(now);
            }
            News::Lost(lost) => {
                self.news = true;
                self.seat.instruments.losses.seen(Source::Pool, lost.signal, lost.rested());
                // One that ends while it is asked ends now; one that says nothing has said nothing since.
                let since = if lost.signal == Signal::Timeout { lost.known.asked_at } else { lost.noticed_at };
                let change = self.books.recovery.lost(since, now);
                self.changed(change);
                if !self.seat.pools.gate().is_open() {
                    self.books.recovery.plan(now);
                    self.books.recovery.left(now);
                }
                if self.is_control(&lost.pool, lost.slot) {
                    self.idle.control_lost();
                }
                let lateness = self.lateness(&lost);
                let scene = Scene { lateness, ..self.scene() };
                let judged = self.books.desk.lost(*lost, &scene, now);
                self.judged(judged);
            }
        }
    }

    // ---- losses ----

    fn ask_due(&mut self) {
        let now = Instant::now();
        let facts = self.seat.pools.gate().facts().filter(|_| !self.waiting.is_under_way());
        let place = facts.as_ref().and_then(|_| self.seat.budget.take(Purpose::Evidence));
        let (Some(facts), Some(place)) = (facts, place) else {
            let scene = self.scene();
            let judged = self.books.desk.unanswered(&scene, now);
            return self.judged(judged);
        };
        let question = self.books.desk.question();
        let target = self.seat.target.clone();
        self.asking.begin(async move { evidence::ask(&target, &facts, question, place).await });
    }

    fn answered(&mut self, answer: Answer) {
        let now = Instant::now();
        if let Some(failure) = &answer.failure {
            self.seat.pools.gate().turn_away(failure);
            self.turned_away(failure, None, now);
        }
        let scene = self.scene();
        let judged = self.books.desk.answered(&answer, &scene, now);
        self.judged(judged);
    }

    fn judged(&mut self, judged: Judged) {
        for booked in judged.booked {
            self.news = true;
            self.booked(&booked);
        }
        self.idle.explained(judged.explained);
    }

    fn booked(&mut self, booked: &Booked<Note>) {
        if matches!(booked.cause, Cause::ServerRestart | Cause::Failover) {
            self.seat.found.forget();
        }
        let held = &booked.held;
        let losses = &self.seat.instruments.losses;
        let (Rest::Watched(rest) | Rest::UpTo(rest) | Rest::Busy(rest)) = held.evidence.rest;
        match held.source {
            // Seen when it was lost.
            Source::Pool => self.idle.lost(booked.cause, held.evidence.rest),
            // Only now it is known to be a loss.
            Source::Canary => losses.seen(Source::Canary, held.evidence.signal, rest),
        }
        let noticed = unix_now() - held.note.noticed_at.elapsed().as_secs_f64();
        losses.booked(held.source, booked.cause, held.count, noticed);
        self.snapshot.lost = losses.counted().into();
        self.seat.tell_times(told::lost(booked), held.count);
    }

    /// What is known of the target when a loss is judged.
    fn scene(&self) -> Scene {
        Scene {
            path: match self.way.told() {
                Some(Path::Direct) => loss::Path::Direct,
                Some(Path::Proxied) => loss::Path::Proxied,
                None => loss::Path::Unknown,
            },
            ladder: self.idle.ladder(),
            give_up: self.seat.target.give_up,
            deadline: self.seat.target.pools.first().map_or(self.seat.target.timeout, |plan| plan.read_timeout),
            lateness: Duration::ZERO,
        }
    }

    /// By how much we were late ourselves: while an answer was awaited, or asleep with the machine during the rest.
    fn lateness(&self, lost: &Lost<pools::Known>) -> Duration {
        let stalls = &self.seat.stalls;
        let asked_at = lost.known.asked_at.min(lost.noticed_at);
        let late = stalls.worst_between(asked_at, lost.noticed_at);
        late.max(stalls.suspended_between(lost.last_answer_at, lost.noticed_at))
    }

    // ---- canaries ----

    /// Whether this is the busy connection by which is known that the server is well.
    fn is_control(&self, pool: &str, slot: u32) -> bool {
        slot == 0 && pool == self.seat.pools.first_name()
    }

    fn happened(&mut self, happened: Happened) {
        let now = Instant::now();
        self.news = true;
        match happened {
            Happened::Died(ended) => {
                let from = ended.at.checked_sub(ended.rested).unwrap_or(ended.at);
                let lateness = self.seat.stalls.suspended_between(from, ended.at);
                let scene = Scene { lateness, ..self.scene() };
                self.books.desk.died(ended, &scene, now);
            }
            Happened::Tested(tested) => {
                self.seat.instruments.idle.tested(tested.result);
                self.seat.instruments.run(Job::Ladder, Run::Ok);
                let judged = self.books.desk.tested(&tested);
                self.judged(judged);
            }
            Happened::LeftBehind(orphan) => self.books.desk.left_behind(orphan, now),
            Happened::Unopened(failure) => {
                self.seat.instruments.run(Job::Ladder, Run::of(&failure));
                // A server that refuses one more, or does not know what a canary asks, is well.
                let is_well = failure.phase == Phase::Query && failure.errno.is_some()
                    || matches!(failure.reason, Reason::TooManyConnections | Reason::UserLimit);
                if !is_well {
                    self.seat.pools.gate().turn_away(&failure);
                    self.turned_away(&failure, None, now);
                }
            }
            Happened::Changed => {}
        }
    }

    fn second(&mut self) {
        self.take_in_stalls();
        let now = Instant::now();
        if !self.books.desk.is_empty() {
            let scene = self.scene();
            let judged = self.books.desk.tick(&scene, now);
            self.judged(judged);
        }
    }

    fn take_in_stalls(&mut self) {
        for stall in self.seat.stalls.since(self.stalls_to) {
            self.stalls_to = self.stalls_to.max(stall.to);
            if stall.late < STALLED {
                continue;
            }
            self.news = true;
            let change = self.books.recovery.stalled(stall.late, stall.to);
            self.changed(change);
            self.idle.stalled();
            let (seconds, suspended_seconds) = (stall.late.as_secs_f64(), stall.suspended.as_secs_f64());
            self.seat.tell(What::Stalled { seconds, suspended_seconds });
        }
    }

    fn changed(&mut self, change: Change) {
        if change != Change::default() {
            self.shows_at_once();
            for what in told::changed(&change, self.failure.as_ref()) {
                self.seat.tell(what);
            }
        }
    }

    /// Somebody wants every pooled connection dropped, and connected anew.
    fn recover(&mut self) {
        let now = Instant::now();
        self.seat.slot.recovers();
        // Who asks again within the second means the same.
        if self.recovered_at.is_some_and(|at| now < at + AGAIN) {
            if self.followed.is_none() {
                // It was just told; whoever asks now has not heard it.
                self.seat.tell(told::tried(now, self.failure.as_ref()));
            }
            return;
        }
        (self.recovered_at, self.followed) = (Some(now), Some(now));
        self.news = true;
        let dropped = self.seat.pools.recover();
        self.seat.found.forget();
        self.doors.try_again();
        self.seat.tell(What::RecoverAsked { closed: dropped.closed as u64, in_use: dropped.marked as u64 });
        self.books.recovery.wanted(now);
    }

    /// What a round or a probe brought: its values and what is told of them are seen together.
    fn shows_at_once(&mut self) {
        (self.news, self.published_at) = (true, None);
    }

    /// When what is new is to be shown: at once, unless something was shown a moment ago. A round is a dozen news within
    /// some milliseconds, and each time all families are encoded.
    fn publish_due(&self) -> Option<Instant> {
        let at = self.published_at.map_or_else(Instant::now, |at| at + SHOWN_EVERY);
        self.news.then_some(at)
    }

    fn publish(&mut self) {
        (self.news, self.published_at) = (false, Some(Instant::now()));
        if let Some(what) = self.idle.show() {
            self.seat.tell(what);
        }
        self.snapshot.pools = self.seat.pools.show();
        self.snapshot.idle = self.idle.limit();
        let of = |source| self.books.desk.provisional(source);
        self.snapshot.undecided = (of(Source::Pool), of(Source::Canary));
        let now = Instant::now();
        self.books.recovery.show(now);
        self.snapshot.state = Some(self.books.recovery.state());
        let began = self.books.recovery.outage_start();
        self.snapshot.out_since = began.map(|began| SystemTime::now() - now.saturating_duration_since(began));
        self.snapshot.path = self.way.told();
        self.snapshot.door = Some(self.doors.in_use());
        let block = self.seat.instruments.block(self.seat.target.label.as_deref());
        self.seat.slot.publish(block, self.snapshot.clone());
    }

    /// Leaves every connection with COM_QUIT, as far as the server still listens.
    async fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        // A greeting that did not come until now is given up: the wait has no end that could be awaited.
        self.waiting.give_up();
        tokio::join!(
            self.probing.finish(),
            self.collecting.finish(),
            self.exercising.finish(),
            self.asking.finish(),
            self.walking.finish(),
            self.behind.finish(),
            self.querying.finish()
        );
        tokio::join!(self.idle.end(deadline), self.seat.pools.shutdown(deadline));
    }
}

fn result(failure: Option<Failure>, phases: Vec<(Phase, Duration)>, tls_version: Option<String>) -> ProbeResult {
    ProbeResult { at: SystemTime::now(), failure, phases, tls_version }
}
