//! A target: what the operator asked for, lowered into what the watch needs.
//!
//! Everything that can be wrong is found here or before, so that nothing behind it checks again.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::agenda::{self, Limits};
use super::backoff::Spacing;
use super::door::Setting;
use super::ladder;
use super::pools::{Exercise, Plan};
use super::recovery::Manner;
use super::snapshot::Snapshot;
use crate::collect::query::Query;
use crate::collect::{self, COLLECTORS, Collector, Pace, Tunables, host_groups};
use crate::config::{self, Judges, Loaded, Mistakes};
use crate::mysql::endpoint::Endpoint;
use crate::mysql::handshake::{Access, SystemRoots, TlsPolicy};
use crate::mysql::pattern::Pattern;
use crate::mysql::pool::{ResetOnReturn, Settings};

/// One server to watch.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    /// The label `target` of its series.
    pub label: Option<String>,
    pub access: Access,
    /// Files and mode, for the session, which builds its own.
    pub tls: config::Tls,
    pub every: Duration,
    /// Values are as new as scrapers want them, also where they come more often: what mysqld_exporter's users expect.
    pub follows: bool,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    /// Where collectors get in when all connections are in use.
    pub second_door: Setting,
    pub required: bool,
    pub connections: u32,
    /// The pools; collectors use the first.
    pub pools: Vec<Arc<Plan>>,
    /// How the idle limit is searched; not at all if none.
    pub ladder: Option<ladder::settings::Settings>,
    pub manner: Manner,
    /// How long the server may be away before losses are booked without knowing how it comes back.
    pub give_up: Duration,
    pub collectors: Vec<&'static Collector>,
    pub tunables: Tunables,
    /// Queries of the operator's own.
    pub queries: Vec<Arc<Query>>,
    /// How many series it may have at most, where that was said or is so by default.
    pub max_series: Option<u32>,
    /// What was said of the times of single collectors.
    pub limits: BTreeMap<&'static str, Limits>,
    made_of: MadeOf,
}

/// What a target was made from: of the same comes the same.
#[derive(Clone, Debug, PartialEq)]
struct MadeOf {
    said: config::Target,
    collectors: Arc<BTreeMap<String, config::Collector>>,
    host_groups: Vec<String>,
    /// Those that ask this target.
    queries: BTreeMap<String, config::Query>,
    label: Option<String>,
    /// What is in the files of `tls`.
    files: [Option<u64>; 3],
}

/// How long a collector that asks beside the rounds may take, when nothing is said.
const LONGEST: Duration = Duration::from_secs(60);

impl Target {
    /// Whether this is the other one read anew, with nothing changed.
    pub fn is_as(&self, other: &Target) -> bool {
        self.made_of == other.made_of
    }

    /// What is known of it before anything was tried.
    pub fn unknown(&self) -> Snapshot {
        Snapshot {
            address: self.access.endpoint.to_string(),
            required: self.required,
            every: self.every,
            timeout: self.timeout,
            user: self.access.user.clone(),
            heartbeat: (self.tunables.heartbeat_database.clone(), self.tunables.heartbeat_table.clone()),
            is_local: self.access.endpoint.is_local(),
            ..Snapshot::default()
        }
    }

    /// The same for a command that looks for a moment: probed so often, what is needed to tell how full the server is
    /// collected, by one kept connection, and nothing besides.
    pub fn for_a_moment(&self, every: Duration) -> Target {
        let pool = self.pools.first().map(|plan| {
            let settings = Settings { size: 1, max_overflow: 0, ..plan.settings.clone() };
            Arc::new(Plan { settings, exercise: None, ..(**plan).clone() })
        });
        Target {
            every,
            pools: pool.into_iter().collect(),
            ladder: None,
            manner: Manner { every, ..self.manner },
            collectors: ["global_status", "global_variables"].into_iter().filter_map(collect::named).collect(),
            limits: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// The collectors that ask within the rounds, those last that may wait for others' locks.
    pub fn quick(&self) -> Vec<&'static Collector> {
        let is_quick = |collector: &&'static Collector| collector.pace != Pace::Behind && !self.is_apart(collector);
        let quick = self.collectors.iter().copied().filter(is_quick);
        let (last, first): (Vec<_>, Vec<_>) = quick.partition(|collector| collector.may_wait());
        [first, last].concat()
    }

    /// Those that ask after every round.
    pub fn behind(&self) -> Vec<&'static Collector> {
        let is_behind = |collector: &&'static Collector| collector.pace == Pace::Behind && !self.is_apart(collector);
        self.collectors.iter().copied().filter(is_behind).collect()
    }

    /// Those that ask beside the rounds, with how often they do.
    pub fn slow(&self) -> Vec<(&'static Collector, Duration)> {
        let apart = self.collectors.iter().copied().filter(|collector| self.is_apart(collector));
        apart.map(|collector| (collector, self.pace(collector))).collect()
    }

    /// How often this collector asks.
    pub fn pace(&self, collector: &Collector) -> Duration {
        let by_default = match collector.pace {
            Pace::Round | Pace::Behind => self.every,
            Pace::Seldom(every) | Pace::Slow(every) => every,
        };
        agenda::said(collector, &self.limits).every.unwrap_or(by_default).max(self.every)
    }

    /// How often this query asks.
    pub fn pace_of(&self, query: &Query) -> Duration {
        query.said.every.max(self.every)
    }

    /// How long this collector may take.
    pub fn deadline(&self, collector: &Collector) -> Duration {
        let by_default = if self.is_apart(collector) { LONGEST } else { self.timeout };
        agenda::said(collector, &self.limits).timeout.unwrap_or(by_default)
    }

    fn is_apart(&self, collector: &Collector) -> bool {
        agenda::is_apart(collector, &self.limits, self.every, self.timeout)
    }
}

/// What only this side of the house can judge, for the loader's list of mistakes.
pub fn judges() -> Judges {
    Judges {
        address: |address| Endpoint::parse(address).map(drop),
        pattern: |pattern| Pattern::parse(pattern).map(drop),
        host_group: |text| host_groups::group(text).map(drop),
        door: Setting::judge,
        collectors: || COLLECTORS.iter().map(|collector| collector.name).collect(),
        collector: |name| match collect::named(name) {
            Some(_) => Ok(()),
            None => {
                let known: Vec<&str> = COLLECTORS.iter().map(|collector| collector.name).collect();
                Err(format!("`{name}` is not a collector; there are {}", known.join(", ")))
            }
        },
    }
}

/// Lowers a configuration, or says every mistake that shows only when its files are read.
pub fn lower(loaded: &Loaded) -> Result<Vec<Arc<Target>>, Mistakes> {
    let config = &loaded.config;
    let mut mistakes = Mistakes::default();
    let collectors = agenda::collectors(config);
    let limits = agenda::limits(loaded, &mut mistakes);
    let queries = agenda::queries(config);
    let roots = SystemRoots::default();
    let said_of_collectors = Arc::new(config.collectors.clone());
    let mut digests = BTreeMap::new();
    let mut targets = Vec::with_capacity(config.targets.len());
    for (name, target) in &config.targets {
        let mut wrong = |key: &str, says: String| {
            let path = format!("targets.{name}.{key}");
            mistakes.add(loaded.origins.of(&path), &path, says);
        };
        let endpoint = Endpoint::parse(&target.address).map_err(|says| wrong("address", says));
        let tls = TlsPolicy::load(&target.tls, &roots).map_err(|found| {
            for mistake in found {
                let file = mistake.path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
                wrong(&format!("tls.{}", mistake.setting), format!("{file}{}", mistake.problem));
            }
        });
        let second_door = match &endpoint {
            Ok(endpoint) => Setting::of(&target.second_door, endpoint).map_err(|says| wrong("second_door", says)),
            Err(()) => Err(()),
        };
        let (Ok(endpoint), Ok(tls), Ok(second_door)) = (endpoint, tls, second_door) else { continue };
        let is_counted = !endpoint.is_local();
        // What mysqld_exporter's flags leave is one connection: collectors that take long must not hold it up.
        let has_overflow = target.pools.values().any(|pool| pool.max_overflow > 0);
        let needs_one_more = config.drop_in.is_some()
            && !has_overflow
            && collectors.iter().any(|one| agenda::is_apart(one, &limits, target.every, target.timeout));
        // The one target of mysqld_exporter's flags has no label there either.
        let label = config.drop_in.is_none().then(|| name.clone());
        let files = [&target.tls.ca, &target.tls.cert, &target.tls.key];
        let files = files.map(|file| *digests.entry(file.as_ref()?).or_insert_with_key(|file| digest(file)));
        let is_asked = |query: &String| queries.iter().any(|known| known.name == *query && known.is_for_target(name));
        let owned = |(name, query): (&String, &config::Query)| (name.clone(), query.clone());
        targets.push(Arc::new(Target {
            made_of: MadeOf {
                said: target.clone(),
                collectors: said_of_collectors.clone(),
                host_groups: config.host_groups.clone(),
                queries: config.queries.iter().filter(|(asked, _)| is_asked(asked)).map(owned).collect(),
                label: label.clone(),
                files,
            },
            name: name.clone(),
            label,
            access: Access {
                endpoint,
                user: target.user.clone(),
                password: target.password.clone(),
                database: target.database.clone(),
                tls,
                cleartext: target.cleartext,
                lookup: Arc::default(),
                driver_fails: Arc::default(),
            },
            tls: target.tls.clone(),
            every: target.every,
            follows: config.drop_in.is_some(),
            timeout: target.timeout,
            connect_timeout: target.connect_timeout,
            second_door,
            required: target.required,
            connections: target.connections + u32::from(needs_one_more),
            pools: pools(&target.pools, needs_one_more),
            ladder: target.ladder.enabled.then(|| ladder_settings(&target.ladder)),
            manner: Manner {
                spacing: Spacing { floor: target.backoff.floor, first: target.backoff.first, cap: target.backoff.cap },
                circuit_interval: target.circuit_interval,
                down_after: target.down_after,
                every: target.every,
                is_counted,
            },
            give_up: target.give_up_after,
            collectors: collectors.clone(),
            tunables: agenda::tunables(config),
            queries: queries.iter().filter(|query| query.is_for_target(name)).cloned().collect(),
            // mysqld_exporter's users get all that it would tell.
            max_series: config.drop_in.is_none().then_some(target.max_series),
            limits: limits.clone(),
        }));
    }
    if mistakes.is_empty() { Ok(targets) } else { Err(mistakes) }
}

/// By which a file is known to be the same as before; none where it cannot be read.
fn digest(file: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    std::fs::read(file).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

/// The pool of the collectors comes first: the one called `default`, or else the first by name.
fn pools(configured: &BTreeMap<String, config::Pool>, one_more: bool) -> Vec<Arc<Plan>> {
    let mut names: Vec<&String> = configured.keys().collect();
    names.sort_by_key(|name| (*name != "default", *name));
    let plan = |name: &String| {
        let mut plan = plan(name, &configured[name]);
        plan.settings.max_overflow += u32::from(one_more);
        Arc::new(plan)
    };
    names.into_iter().map(plan).collect()
}

/// A connection that was used a moment ago is not asked for a sign of life, as HikariCP has it too.
const PRE_PING_AFTER: Duration = Duration::from_millis(500);

fn plan(name: &str, pool: &config::Pool) -> Plan {
    let exercise = &pool.exercise;
    Plan {
        settings: Settings {
            name: name.into(),
            size: pool.size,
            max_overflow: pool.max_overflow,
            timeout: pool.timeout,
            recycle: pool.recycle,
            pre_ping: pool.pre_ping.then_some(PRE_PING_AFTER),
            reset_on_return: match pool.reset_on_return {
                config::ResetOnReturn::Rollback => ResetOnReturn::Rollback,
                config::ResetOnReturn::None => ResetOnReturn::None,
            },
            open_within: pool.connect_timeout,
            answer_within: pool.read_timeout,
        },
        charset: pool.charset.clone(),
        read_timeout: pool.read_timeout,
        write_timeout: pool.write_timeout,
        exercise: exercise.enabled.then(|| Exercise {
            statement: exercise.statement.clone(),
            busy: exercise.busy,
            rests: exercise.rests.clone(),
        }),
    }
}

fn ladder_settings(ladder: &config::Ladder) -> ladder::settings::Settings {
    ladder::settings::Settings {
        ages: ladder.ages.clone(),
        cap: ladder.cap,
        precision: ladder.precision,
        stagger: ladder.stagger,
        // What an opening that was refused waits follows the pace of the openings.
        retry: (ladder.stagger * 5).min(Duration::from_secs(60)),
        recheck_every: ladder.recheck_every,
        ..ladder::settings::Settings::default()
    }
}
