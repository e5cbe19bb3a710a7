//! Collections at scrape time, for `/probe`: of a configured target over its own pool, of another server over
//! connections that are opened for it and closed after it.
//!
//! Who may be asked about is judged first (`admission`). What simultaneous scrapers ask alike is asked once. The quick
//! collectors and those that may take long go side by side, so that a slow one never takes the others' values along.

mod rules;
mod fresh;
mod admission;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use self::admission::{Admission, Visited};
use self::fresh::{Fresh, Met, Tasks};
use super::board::UP;
use super::collection::{Collected, Collection, Errand, Found, Pooled, Source, run};
use super::families::{COLLECTOR_DURATION, COLLECTOR_SUCCESS};
use super::seat::Seat;
use crate::collect::{Collector, Pace, Tunables, Why};
use crate::metrics::{Block, BlockBuilder};
use crate::mysql::failure::{Failure, Phase};
use crate::mysql::handshake::Access;
use crate::mysql::session::ends_session;

pub use admission::{Refusal, Rejected};
pub use rules::{Module, Rules, rules};

/// How many servers are remembered between visits.
const REMEMBERED: usize = 1024;

/// What a server ends a statement before.
const SERVER_IS_EARLIER: Duration = Duration::from_millis(100);

/// All visits. Clones are the same.
#[derive(Clone, Debug)]
pub struct Visits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    now: Mutex<Arc<InForce>>,
    under_way: Mutex<HashMap<Key, Outcome>>,
    met: Mutex<HashMap<(String, String), Arc<Met>>>,
    tasks: Tasks,
    shutdown: watch::Receiver<bool>,
}

/// What visits go by, until a reload says otherwise.
#[derive(Debug)]
struct InForce {
    rules: Rules,
    admission: Admission,
    room: Arc<Semaphore>,
}

impl InForce {
    fn new<'a>(rules: Rules, seats: impl Iterator<Item = &'a Seat>) -> InForce {
        let known = |seat: &Seat| admission::Known {
            target: seat.target.clone(),
            pool: seat.pools.first().clone(),
            found: seat.found.clone(),
        };
        let admission =
            Admission { known: seats.map(known).collect(), modules: rules.modules.clone(), allow: rules.allow.clone() };
        InForce { admission, room: Arc::new(Semaphore::new(rules.limit)), rules }
    }
}

/// What makes two visits alike: server, account, collectors.
type Key = (String, String, Vec<&'static str>);

type Outcome = watch::Receiver<Option<Result<Vec<Arc<Block>>, Refusal>>>;

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub target: Option<String>,
    pub auth_module: Option<String>,
    /// Empty for all.
    pub collectors: Vec<String>,
    /// The scraper's own deadline.
    pub within: Option<Duration>,
}

impl Visits {
    pub(super) fn new<'a>(
        rules: Rules,
        seats: impl Iterator<Item = &'a Seat>,
        shutdown: watch::Receiver<bool>,
    ) -> Visits {
        Visits(Arc::new(Inner {
            now: Mutex::new(Arc::new(InForce::new(rules, seats))),
            under_way: Mutex::default(),
            met: Mutex::default(),
            tasks: Arc::new(Mutex::new(JoinSet::new())),
            shutdown,
        }))
    }

    /// Visits that begin from now on go by these; other rules where they have changed, and other targets.
    pub(super) fn change<'a>(&self, rules: Option<Rules>, seats: impl Iterator<Item = &'a Seat>) {
        let before = self.now();
        let limit = before.rules.limit;
        let rules = rules.unwrap_or_else(|| before.rules.clone());
        let mut now = InForce::new(rules, seats);
        if now.rules.limit == limit {
            // Those that are under way count.
            now.room = before.room.clone();
        }
        *self.0.now.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
    }

    fn now(&self) -> Arc<InForce> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When a visit that begins now has to end.
    pub fn deadline(&self, within: Option<Duration>) -> Instant {
        let now = self.now();
        let Rules { timeout, timeout_offset, .. } = &now.rules;
        // An offset that leaves nothing is none, as mysqld_exporter has it.
        let within = within.map_or(*timeout, |within| match within.saturating_sub(*timeout_offset) {
            Duration::ZERO => within,
            less => less,
        });
        Instant::now() + within
    }

    /// Visits a server, or takes part in a visit of another that asks the same. Answered by the deadline.
    pub async fn visit(&self, request: &Request, deadline: Instant) -> Result<Vec<Arc<Block>>, Refusal> {
        let now = self.now();
        let visited = now.admission.admit(request.target.as_deref(), request.auth_module.as_deref())?;
        let (server, account) = match &visited {
            Visited::Known(known) => (known.target.name.clone(), String::new()),
            Visited::Other { endpoint, module } => (endpoint.to_string(), module.clone()),
        };
        let all = match &visited {
            Visited::Known(known) => &known.target.collectors,
            Visited::Other { .. } => &now.rules.collectors,
        };
        let is_wanted = |collector: &&&'static Collector| {
            // Families of our own are of targets only.
            !collector.is_ours()
                && (request.collectors.is_empty() || request.collectors.iter().any(|name| name == collector.name))
        };
        let collectors: Vec<&'static Collector> = all.iter().filter(is_wanted).copied().collect();
        let key = (server, account, collectors.iter().map(|collector| collector.name).collect());
        let mut outcome = {
            let mut under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.get(&key) {
                Some(outcome) => outcome.clone(),
                None => {
                    let (tell, outcome) = watch::channel(None);
                    under_way.insert(key.clone(), outcome.clone());
                    let inner = self.0.clone();
                    let now = now.clone();
                    let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                    while tasks.try_join_next().is_some() {}
                    tasks.spawn(async move {
                        let ended = Ended { inner: inner.clone(), key };
                        let result = inner.go(&now, visited, collectors, deadline).await;
                        drop(ended);
                        tell.send_replace(Some(result));
                    });
                    outcome
                }
            }
        };
        match timeout_at(deadline + GRACE, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(told)) => told.clone().unwrap_or(Err(Refusal::Busy)),
            Err(_) => Err(Refusal::Busy),
            // Its task is gone, with the program.
            Ok(Err(_)) => Err(Refusal::Stopping),
        }
    }

    /// Ends all visits; waits a moment for those that can end in order.
    pub async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout_at(Instant::now() + Duration::from_millis(500), all).await;
        tasks.shutdown().await;
    }
}

/// With less time left nobody is connected to.
const LEAST: Duration = Duration::from_millis(20);

/// Between a visit's deadline and its answer.
const GRACE: Duration = Duration::from_millis(200);

/// A visit that is not under way any more, however it ended.
struct Ended {
    inner: Arc<Inner>,
    key: Key,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Inner {
    async fn go(
        &self,
        now: &InForce,
        visited: Visited,
        collectors: Vec<&'static Collector>,
        deadline: Instant,
    ) -> Result<Vec<Arc<Block>>, Refusal> {
        let Ok(Ok(_turn)) = timeout_at(deadline, now.room.clone().acquire_owned()).await else {
            return Err(Refusal::Busy);
        };
        // Its turn came too late to ask anybody.
        if deadline.saturating_duration_since(Instant::now()) < LEAST {
            return Err(Refusal::Busy);
        }
        let mut stop = self.shutdown.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => Err(Refusal::Stopping),
            blocks = self.ask(&now.rules, visited, collectors, deadline) => Ok(blocks),
        }
    }

    async fn ask(
        &self,
        rules: &Rules,
        visited: Visited,
        collectors: Vec<&'static Collector>,
        deadline: Instant,
    ) -> Vec<Arc<Block>> {
        match visited {
            Visited::Known(known) => {
                let target = &known.target;
                let said = |one: &&'static Collector| Some((one.name, target.limits.get(one.name)?.timeout?));
                let each = target.collectors.iter().filter_map(said).collect();
                let errand = Errand { each, ..errand(&target.collectors, &target.tunables, deadline) };
                let [quick, slow] = [false, true].map(|is_long| Pooled { pool: known.pool.clone(), is_long });
                both(&errand, collectors, &quick, &slow, &known.found).await.0
            }
            Visited::Other { endpoint, module: name } => {
                // Admitted by this name.
                let Some(module) = rules.modules.get(&name) else { return Vec::new() };
                let met = self.met(endpoint.to_string(), name.clone());
                let access = Access {
                    endpoint: endpoint.clone(),
                    user: module.user.clone(),
                    password: module.password.clone(),
                    database: None,
                    tls: module.policy.clone(),
                    cleartext: module.cleartext,
                    lookup: met.lookup.clone(),
                    driver_fails: Arc::default(),
                };
                let source = Fresh { access, met: met.clone(), tasks: self.tasks.clone() };
                let errand = errand(&rules.collectors, &rules.tunables, deadline);
                let (blocks, failure) = both(&errand, collectors, &source, &source, &met.found).await;
                if met.is_news(failure.as_ref()) {
                    match failure {
                        Some(failure) => warn!(server = %endpoint, auth_module = name,
                            reason = failure.reason.label(), detail = failure.detail, "a visit by /probe failed"),
                        None => info!(server = %endpoint, auth_module = name, "visits by /probe succeed"),
                    }
                }
                blocks
            }
        }
    }

    fn met(&self, endpoint: String, module: String) -> Arc<Met> {
        let mut all = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, met| Arc::strong_count(met) > 1);
        }
        all.entry((endpoint, module)).or_default().clone()
    }
}

fn errand(all: &[&'static Collector], tunables: &Tunables, deadline: Instant) -> Errand {
    Errand {
        label: None,
        tunables: tunables.clone(),
        needs: all.iter().map(|collector| collector.needs).collect(),
        server_limit: None,
        deadline,
        each: BTreeMap::new(),
    }
}

/// Sends the quick collectors and the others side by side. Answers what they brought, and why nobody was reached, if so.
async fn both(
    errand: &Errand,
    collectors: Vec<&'static Collector>,
    quick: &impl Source,
    slow: &impl Source,
    found: &Found,
) -> (Vec<Arc<Block>>, Option<Failure>) {
    let (of_round, long): (Vec<_>, Vec<_>) =
        collectors.into_iter().partition(|collector| !matches!(collector.pace, Pace::Slow(_)));
    let left = errand.deadline.saturating_duration_since(Instant::now());
    let server_limit = left.checked_sub(SERVER_IS_EARLIER).filter(|left| !left.is_zero());
    let of_long = Errand { server_limit, ..errand.clone() };
    let walk = async {
        match long.is_empty() {
            true => Collection::of(Vec::new()),
            false => run(&of_long, long, slow, found.clone()).await,
        }
    };
    let round = run_or_knock(errand, of_round, quick, found);
    let (round, walk) = tokio::join!(round, walk);
    told(round, walk)
}

/// Where there is nothing to ask, whether anybody answers is still said.
async fn run_or_knock(
    errand: &Errand,
    collectors: Vec<&'static Collector>,
    source: &impl Source,
    found: &Found,
) -> Result<Collection, Failure> {
    if !collectors.is_empty() {
        return Ok(run(errand, collectors, source, found.clone()).await);
    }
    let began = Instant::now();
    let line = source.open(errand.deadline).await?;
    let mut collection = Collection::of(Vec::new());
    collection.connected_in = Some(began.elapsed());
    super::collection::Line::done(line).await;
    Ok(collection)
}

fn told(round: Result<Collection, Failure>, walk: Collection) -> (Vec<Arc<Block>>, Option<Failure>) {
    let (mut connected_in, mut results, mut failure) = (None, Vec::new(), None);
    match round {
        Ok(round) => {
            connected_in = round.connected_in;
            results.extend(round.results);
        }
        Err(refused) => failure = Some(refused),
    }
    let is_up_by_itself = connected_in.is_some() && results.is_empty();
    connected_in = connected_in.or(walk.connected_in);
    results.extend(walk.results);

    let mut out = BlockBuilder::new(None);
    let success = out.family(COLLECTOR_SUCCESS.name, COLLECTOR_SUCCESS.kind, COLLECTOR_SUCCESS.help());
    let duration = out.family(COLLECTOR_DURATION.name, COLLECTOR_DURATION.kind, COLLECTOR_DURATION.help());
    if let Some(took) = connected_in {
        out.sample(duration, &[("collector", "connection")], took.as_secs_f64());
    }
    let (mut blocks, mut answered) = (Vec::new(), is_up_by_itself);
    for (collector, collected) in results {
        let (took, succeeded) = match collected {
            Collected::Values { block, took, .. } => {
                blocks.push(Arc::new(block));
                answered = true;
                (took, true)
            }
            Collected::Skipped { why } => {
                answered = true;
                (Duration::ZERO, why != Why::Grant)
            }
            Collected::Failed { failure: refused, took } => {
                answered |= refused.phase == Phase::Query && !ends_session(&refused);
                failure = failure.or(Some(refused));
                (took, false)
            }
        };
        let label = format!("collect.{}", collector.name);
        out.sample(success, &[("collector", &label)], f64::from(succeeded));
        out.sample(duration, &[("collector", &label)], took.as_secs_f64());
    }
    out.single(UP.name, UP.kind, UP.help(), f64::from(answered));
    blocks.push(Arc::new(out.finish()));
    (blocks, failure)
}
