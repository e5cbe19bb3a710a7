//! The loop of one target: it owns the clock, the session and everything that is learned.
//!
//! Its jobs run side by side inside one task: a probe that waits for a greeting does not delay a collection, a slow
//! collection does not delay a probe. Each job has one deadline; one that is due while the last has not ended is
//! skipped and counted, never queued.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::board::Slot;
use super::circuit;
use super::clock::{Pace, Rhythm, Ticks, lead};
use super::collection::{self, Collected, Collection};
use super::families::{Job, Run, TargetInstruments, unix, unix_now};
use super::probe::{self, Ended, Known, Probed};
use super::snapshot::{CollectorResult, ProbeResult, Snapshot};
use super::target::Target;
use crate::mysql::budget::{Budget, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::Facts;
use crate::mysql::session::Session;

/// How long a job that is under way may take to end when the daemon stops.
const GRACE: Duration = Duration::from_secs(4);

/// Copied values that are older than this many of their intervals are not shown.
const SHOWN_FOR_INTERVALS: u32 = 2;

/// How long a greeting is awaited while a session of ours gets answers. Each wait that is given up is an aborted
/// connection at the server, so not every interval.
const SILENT_BESIDE_AN_ANSWER: Duration = Duration::from_secs(60);

/// How long no session is opened after the driver could not do what the probe had just done.
const UNFIT_FOR: Duration = Duration::from_secs(300);

type InFlight<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What a task is given; it can be given again to a new task when this one died of a defect.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) target: Arc<Target>,
    pub(super) slot: Arc<Slot>,
    pub(super) instruments: TargetInstruments,
    pub(super) budget: Budget,
    /// This target's place among all, for spreading them over time.
    pub(super) place: usize,
    pub(super) of: usize,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// Watches one target until shutdown.
pub(super) async fn run(seat: Seat) {
    let mut task = Task::new(seat);
    task.publish();
    task.watch().await;
    task.end().await;
}

struct Task {
    seat: Seat,
    snapshot: Snapshot,
    scrapes: watch::Receiver<Option<Instant>>,
    ticks: Ticks,
    first_probe: bool,
    probing: InFlight<Probed>,
    waiting: InFlight<Ended>,
    waiting_since: Instant,
    collecting: InFlight<Collection>,
    /// When the last collection began; none before the first.
    collected: Option<Instant>,
    collect_now: bool,
    took: Duration,
    rhythm: Rhythm,
    session: Option<Session>,
    /// What the last probe negotiated, as long as probes succeed: a session may be opened.
    probed: Option<Facts>,
    addresses: Option<BTreeSet<IpAddr>>,
    path: Known,
    outage: Option<Instant>,
    /// The outage has not been told in the log yet: it may be a greeting that is only late.
    untold: Option<Failure>,
    /// Reasons that this outage had and that the log has told.
    told: Vec<Reason>,
    greets_late: bool,
    /// Attempts in a row that the server counts against this host.
    uncompleted: u32,
    suspended_until: Option<Instant>,
    /// A collection was due while a probe was finding out whether anybody gets in.
    collection_owed: bool,
    limit: Option<(f64, Instant)>,
    /// Collectors whose failure the log has told.
    told_collectors: Vec<&'static str>,
    /// Until when no session is opened: the driver cannot do what the probe did, and would fail at the server again.
    unfit_until: Option<Instant>,
}

impl Task {
    fn new(seat: Seat) -> Task {
        let now = Instant::now();
        // Not all at once, yet soon: the first scrape wants something to read.
        let first_within = Duration::from_millis(50 + 5 * seat.of as u64).min(seat.target.every);
        Task {
            snapshot: (*seat.slot.snapshot()).clone(),
            scrapes: seat.slot.scrapes(),
            ticks: Ticks::new(now + first_within.mul_f64(fastrand::f64()), seat.target.every),
            first_probe: true,
            probing: None,
            waiting: None,
            waiting_since: now,
            collecting: None,
            collected: None,
            collect_now: false,
            took: Duration::ZERO,
            rhythm: Rhythm::default(),
            session: None,
            probed: None,
            addresses: None,
            path: Known::NotAsked,
            outage: None,
            untold: None,
            told: Vec::new(),
            greets_late: false,
            uncompleted: 0,
            suspended_until: None,
            collection_owed: false,
            limit: None,
            told_collectors: Vec::new(),
            unfit_until: None,
            seat,
        }
    }

    async fn watch(&mut self) {
        let mut shutdown = self.seat.shutdown.clone();
        loop {
            let probe_due = self.ticks.next();
            let collect_due = self.collection_due();
            tokio::select! {
                // A sender that is gone means the same: nobody is left to watch for.
                _ = shutdown.wait_for(|stop| *stop) => return,
                probed = ended(&mut self.probing) => self.probe_ended(probed),
                waited = ended(&mut self.waiting) => self.wait_ended(waited),
                collection = ended(&mut self.collecting) => self.collection_ended(collection),
                () = sleep_until(probe_due) => self.probe_due(),
                () = until(collect_due) => self.collect_due(collect_due),
                Ok(()) = self.scrapes.changed() => {
                    if let Some(at) = *self.scrapes.borrow_and_update() {
                        self.rhythm.arrived(at);
                    }
                }
            }
        }
    }

    fn probe_due(&mut self) {
        let now = Instant::now();
        let late = self.ticks.take(now);
        self.seat.instruments.lag.observe(late.as_secs_f64());
        if self.first_probe {
            self.first_probe = false;
            self.ticks.scatter(now, fastrand::f64());
        }
        let next = self.suspended_until.map_or(self.ticks.next(), |until| until.max(self.ticks.next()));
        self.seat.instruments.next_attempt.set(unix_now() + next.duration_since(now).as_secs_f64());
        if self.suspended_until.is_some_and(|until| now < until) {
            self.seat.instruments.probe_suspended();
            self.publish();
            return;
        }
        if self.waiting.is_some() {
            // Still no greeting: this probe fails as the one that waits did.
            self.seat.instruments.last_attempt.set(unix_now());
            self.tell_outage();
            self.failed(probe::no_greeting(self.waiting_since.elapsed()), Vec::new());
            return;
        }
        let place = if self.probing.is_none() { self.seat.budget.take(Purpose::Probe) } else { None };
        let Some(place) = place else {
            self.seat.instruments.probe_skipped();
            self.publish();
            return;
        };
        self.seat.instruments.last_attempt.set(unix_now());
        let target = self.seat.target.clone();
        let path = self.path;
        self.probing = Some(Box::pin(async move { probe::probe(&target, place, path).await }));
        self.publish();
    }

    fn probe_ended(&mut self, probed: Probed) {
        match probed {
            Probed::Ended(ended) => {
                self.seat.instruments.duration.observe(ended.took.as_secs_f64());
                for (phase, took) in ended.times.iter() {
                    self.seat
                        .instruments
                        .phase_duration
                        .with_label_values(&[phase.label()])
                        .observe(took.as_secs_f64());
                }
                self.take_in(*ended);
            }
            Probed::Silent(silent) => {
                self.waiting_since = Instant::now() - silent.waited();
                let target = self.seat.target.clone();
                let failure = probe::no_greeting(silent.waited());
                self.waiting = Some(Box::pin(async move { silent.wait(&target).await }));
                // It may only be late, at every probe: a line in the log waits until that is known.
                self.outage.get_or_insert_with(|| {
                    self.untold = Some(failure.clone());
                    Instant::now()
                });
                self.failed(failure, Vec::new());
            }
        }
    }

    /// The server woke, or the wait is over. A success counts at once; a failure was counted when its probes were due.
    fn wait_ended(&mut self, ended: Ended) {
        match &ended.outcome {
            Ok(_) => {
                if self.untold.take().is_some() {
                    self.outage = None;
                    if !std::mem::replace(&mut self.greets_late, true) {
                        warn!(target = %self.seat.target.name, seconds = format_args!("{:.1}", ended.took.as_secs_f64()),
                            "the server greets after the deadline; often it is slow to resolve the name of this host \
                             (`skip_name_resolve`)");
                    }
                }
                self.take_in(ended);
            }
            Err(failure) => {
                self.tell_outage();
                debug!(target = %self.seat.target.name, reason = failure.reason.label(), "gave up waiting for a greeting");
                self.snapshot.probe = Some(result(Some(failure.clone()), Vec::new(), None));
                self.publish();
            }
        }
    }

    fn take_in(&mut self, ended: Ended) {
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
            Ok(facts) => self.succeeded(facts, phases),
            Err(failure) => self.failed(failure, phases),
        }
    }

    fn succeeded(&mut self, facts: Facts, phases: Vec<(Phase, Duration)>) {
        let instruments = &self.seat.instruments;
        instruments.probe_succeeded();
        self.uncompleted = 0;
        self.suspended_until = None;
        instruments.info.reset();
        let tls = facts.tls.as_ref();
        let info = [
            facts.server.flavor.label(),
            &facts.server.version_text,
            &facts.auth_plugin,
            tls.map_or("", |tls| &tls.version),
            tls.map_or("", |tls| &tls.cipher),
            "main",
            match self.path {
                Known::Is(path) => path.label(),
                Known::NotAsked | Known::NotTold => "",
            },
        ];
        instruments.info.with_label_values(&info).set(1.0);
        instruments.not_after.reset();
        if let Some(not_after) = tls.and_then(|tls| tls.not_after) {
            instruments.not_after.with_label_values::<&str>(&[]).set(unix(not_after));
        }
        self.answered(Instant::now());
        if let Some(since) = self.outage.take() {
            self.untold = None;
            self.told.clear();
            // What lies between may have changed meanwhile; asked again at the next probe.
            self.path = Known::NotAsked;
            let down = since.elapsed().as_secs_f64();
            let failures = self.snapshot.consecutive_failures;
            let last = self.snapshot.probe.as_ref().and_then(|probe| probe.failure.as_ref());
            let (phase, reason) = (last.map(|last| last.phase.label()), last.map(|last| last.reason.label()));
            info!(target = %self.seat.target.name, down_seconds = format_args!("{down:.1}"), failures, phase, reason,
                errno = last.and_then(|last| last.errno), "probe succeeds again");
        }
        if self.snapshot.last_success.is_none() {
            info!(target = %self.seat.target.name, server = %facts.server, plugin = facts.auth_plugin,
                tls = tls.map_or("none", |tls| &tls.version), "connected");
        }
        self.snapshot.probe = Some(result(None, phases, tls.map(|tls| tls.version.clone())));
        self.snapshot.last_success = Some(SystemTime::now());
        self.snapshot.consecutive_failures = 0;
        self.snapshot.server = Some(facts.server.clone());
        // Without values there is nothing to show: as soon as somebody gets in, they are fetched.
        if self.probed.as_ref().is_some_and(|before| before.auth_plugin != facts.auth_plugin) {
            self.unfit_until = None;
        }
        let is_fit = self.unfit_until.is_none_or(|until| Instant::now() >= until);
        self.collect_now |= self.session.is_none() && self.collecting.is_none() && is_fit;
        self.probed = Some(facts);
        self.publish();
    }

    fn failed(&mut self, failure: Failure, phases: Vec<(Phase, Duration)>) {
        self.seat.instruments.probe_failed(&failure);
        self.probed = None;
        self.hold_off(&failure);
        if self.outage.is_none() {
            self.outage = Some(Instant::now());
            self.untold = Some(failure.clone());
            self.tell_outage();
        } else if self.untold.is_none() && !self.told.contains(&failure.reason) {
            // The cause has changed. Once a reason and outage: a server that flaps between two fills no log.
            self.untold = Some(failure.clone());
            self.tell_outage();
        }
        self.snapshot.probe = Some(result(Some(failure), phases, None));
        self.snapshot.consecutive_failures += 1;
        if std::mem::take(&mut self.collection_owed) {
            self.not_collected();
        }
        self.publish();
    }

    /// The server counts every handshake that is not completed, and blocks this host for everyone at
    /// `max_connect_errors` (100 by default) in a row. What cannot be completed is tried ever more rarely.
    fn hold_off(&mut self, failure: &Failure) {
        self.uncompleted = if circuit::is_held_against_us(failure) { self.uncompleted + 1 } else { 0 };
        let every = self.seat.target.every;
        let is_counted = !self.seat.target.access.endpoint.is_local();
        let hold_off = circuit::hold_off(every, self.uncompleted).filter(|_| is_counted);
        self.suspended_until = hold_off.map(|pause| Instant::now() + pause);
    }

    /// One line when a target goes down.
    fn tell_outage(&mut self) {
        if let Some(failure) = self.untold.take() {
            self.told.push(failure.reason);
            let (phase, reason) = (failure.phase.label(), failure.reason.label());
            let name = &self.seat.target.name;
            warn!(target = %name, phase, reason, errno = failure.errno, detail = failure.detail,
                hint = failure.hint.as_deref(), "probe failed");
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

    fn pace(&self) -> Pace {
        let every = self.seat.target.every;
        Pace { every, lead: lead(self.took, every, self.seat.place, self.seat.of) }
    }

    /// When to collect next; never while a collection is under way or nobody ever got in.
    fn collection_due(&self) -> Option<Instant> {
        if self.collecting.is_some() {
            return None;
        }
        match self.collected {
            _ if self.collect_now => Some(Instant::now()),
            None => None,
            Some(last) => Some(self.pace().next_collection(&self.rhythm, last)),
        }
    }

    fn collect_due(&mut self, due: Option<Instant>) {
        let now = Instant::now();
        if let Some(due) = due {
            let lag = now.saturating_duration_since(due);
            self.seat.instruments.lag.observe(lag.as_secs_f64());
        }
        self.collect_now = false;
        let pace = self.pace();
        pace.started(&mut self.rhythm, now);
        self.collected = Some(now);
        let session = self.session.take();
        if session.is_none() && self.probing.is_some() {
            // A session is opened only where a probe has just got in, and one is finding out: its success collects.
            self.collection_owed = true;
            return;
        }
        if session.is_none() && (self.probed.is_none() || self.unfit_until.is_some_and(|until| now < until)) {
            self.not_collected();
            return;
        }
        self.collection_owed = false;
        let target = self.seat.target.clone();
        let (probed, budget) = (self.probed.clone(), self.seat.budget.clone());
        self.collecting = Some(Box::pin(collection::collect(target, session, probed, budget)));
    }

    /// A round in which there was nobody to ask.
    fn not_collected(&mut self) {
        let failure = Failure::new(Phase::Auth, Reason::Other, "the last probe did not get in");
        let failed =
            |collector: &&'static _| (*collector, Collected::Failed { failure: failure.clone(), took: Duration::ZERO });
        let results = self.seat.target.collectors.iter().map(failed).collect();
        self.collection_ended(Collection::without_session(results));
    }

    fn collection_ended(&mut self, collection: Collection) {
        let every = self.seat.target.every;
        let instruments = &self.seat.instruments;
        self.session = collection.session;
        if let Some(opened_in) = collection.opened_in {
            instruments.collector_duration.with_label_values(&["connection"]).set(opened_in.as_secs_f64());
            instruments.feature("session", None);
        }
        if let Some(failure) = &collection.unopened {
            if failure.reason == Reason::AuthPlugin {
                instruments.feature("session", Some("auth_plugin"));
            }
            let driver_cannot = matches!(
                failure.reason,
                Reason::AuthPlugin
                    | Reason::TlsExpired
                    | Reason::TlsUnknownCa
                    | Reason::TlsWrongName
                    | Reason::TlsOther
            );
            if driver_cannot {
                self.unfit_until = Some(Instant::now() + UNFIT_FOR);
            }
        }
        if let Some(began) = self.collected {
            let took = began.elapsed();
            let is_usual = collection.opened_in.is_none()
                && !collection.results.iter().any(|(_, collected)| matches!(collected, Collected::Failed { .. }));
            if is_usual {
                // Rises at once, falls slowly: being late for a scrape costs more than being early.
                self.took = took.max(self.took * 7 / 8);
            }
            for _ in 0..(took.as_nanos() / every.as_nanos()) {
                instruments.run(Job::Collect, Run::Skipped);
            }
        }
        let silent = |(_, collected): &(_, Collected)| match collected {
            Collected::Failed { failure, .. } => failure.reason == Reason::Timeout,
            _ => false,
        };
        if self.session.is_none() && collection.results.iter().any(silent) {
            // The server may be frozen: a connection that it does not greet would be an aborted one. First a probe
            // must get in again.
            self.probed = None;
        }
        let mut run = Run::Ok;
        let mut answered = None;
        let mut results = Vec::with_capacity(collection.results.len());
        for (collector, collected) in collection.results {
            let label = format!("collect.{}", collector.name);
            let before = self.snapshot.collectors.iter().find(|known| known.name == collector.name);
            let mut seen = CollectorResult {
                name: collector.name,
                last_success: before.and_then(|before| before.last_success),
                error: None,
            };
            match collected {
                Collected::Values { block, asked_at, asked, took } => {
                    instruments.dropped(block.dropped);
                    instruments.collected(&label, took, asked_at);
                    instruments.feature(&label, None);
                    self.seat.slot.copied(collector.name, block, asked + every * SHOWN_FOR_INTERVALS);
                    seen.last_success = Some(asked_at);
                    answered = answered.max(Some(asked + took));
                }
                Collected::Skipped { why } => {
                    instruments.collected(&label, Duration::ZERO, SystemTime::now());
                    instruments.feature(&label, Some(why.label()));
                }
                Collected::Failed { failure, took } => {
                    run = Run::of(&failure);
                    instruments.not_collected(&label, took);
                    if matches!(failure.errno, Some(1044 | 1045 | 1142 | 1143 | 1227)) && failure.phase == Phase::Query
                    {
                        instruments.feature(&label, Some("grant"));
                    }
                    // While nobody gets in, the probe's line in the log says why.
                    if self.outage.is_none() && !self.told_collectors.contains(&collector.name) {
                        self.told_collectors.push(collector.name);
                        warn!(target = %self.seat.target.name, collector = collector.name,
                            reason = failure.reason.label(), detail = failure.detail, "collector failed");
                    }
                    seen.error = Some(failure.to_string());
                }
            }
            if seen.error.is_none() && self.told_collectors.contains(&collector.name) {
                self.told_collectors.retain(|told| *told != collector.name);
                info!(target = %self.seat.target.name, collector = collector.name, "collector succeeds again");
            }
            results.push(seen);
        }
        instruments.run(Job::Collect, run);
        self.snapshot.connections = None;
        if let Some(at) = answered {
            let mut headroom = collection.headroom;
            // The limit hardly ever changes: one round without it does not take the ratio away.
            match headroom.limit {
                Some(limit) => self.limit = Some((limit, at + every * SHOWN_FOR_INTERVALS)),
                None => headroom.limit = self.limit.filter(|(_, until)| at < *until).map(|(limit, _)| limit),
            }
            self.snapshot.connections = headroom.connections();
            let block = headroom.block(self.seat.target.label.as_deref());
            self.seat.slot.copied_by_us("headroom", block, at + every * SHOWN_FOR_INTERVALS);
            self.answered(at);
            if at > self.waiting_since + SILENT_BESIDE_AN_ANSWER {
                // The server is awake, so this one connection is what is stuck: what lies between lost it, or it waits
                // for nothing. The next probe tries anew.
                self.waiting = None;
            }
        }
        self.snapshot.collectors = results;
        self.publish();
    }

    fn answered(&self, at: Instant) {
        self.seat.slot.answered(at + self.seat.target.every * SHOWN_FOR_INTERVALS);
    }

    fn publish(&self) {
        let block = self.seat.instruments.block(self.seat.target.label.as_deref());
        self.seat.slot.publish(block, self.snapshot.clone());
    }

    /// Leaves every connection with COM_QUIT, as far as the server still listens.
    async fn end(&mut self) {
        let probing = self.probing.take();
        let collecting = self.collecting.take();
        // A greeting that did not come until now is given up: the wait has no end that could be awaited.
        self.waiting = None;
        let kept = self.session.take();
        let probe_ends = async {
            if let Some(probing) = probing {
                // What has not ended by then is cut off; the server is not answering.
                let _ = timeout(GRACE, probing).await;
            }
        };
        let session_ends = async {
            let session = match (kept, collecting) {
                (None, Some(collecting)) => timeout(GRACE, collecting).await.ok().and_then(|round| round.session),
                (kept, _) => kept,
            };
            if let Some(session) = session {
                session.close().await;
            }
        };
        tokio::join!(probe_ends, session_ends);
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
