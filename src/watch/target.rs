//! A target: what the operator asked for, lowered into what the watch needs.
//!
//! Everything that can be wrong is found here or before, so that nothing behind it checks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::Spacing;
use super::ladder;
use super::pools::{Exercise, Plan};
use super::recovery::Manner;
use crate::collect::{self, COLLECTORS, Collector, Pace, Tunables};
use crate::config::secret::Secret;
use crate::config::{self, Config, Judges, Loaded, Mistakes};
use crate::mysql::endpoint::Endpoint;
use crate::mysql::handshake::{Access, SystemRoots, TlsPolicy};
use crate::mysql::pattern::Pattern;
use crate::mysql::pool::{ResetOnReturn, Settings};

/// One server to watch.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    /// The label `target` of its series.
    pub label: Option<String>,
    pub access: Access,
    /// Files and mode, for the session, which builds its own.
    pub tls: config::Tls,
    pub every: Duration,
    pub timeout: Duration,
    pub connect_timeout: Duration,
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
}

impl Target {
    /// The collectors of every round.
    pub fn quick(&self) -> Vec<&'static Collector> {
        self.collectors.iter().copied().filter(|collector| collector.pace == Pace::Round).collect()
    }

    /// Those that may take long, with how often they ask at most.
    pub fn slow(&self) -> Vec<(&'static Collector, Duration)> {
        let slow = |collector: &&'static Collector| match collector.pace {
            Pace::Round => None,
            Pace::Slow(every) => Some((*collector, every.max(self.every))),
        };
        self.collectors.iter().filter_map(slow).collect()
    }

    /// How often this collector asks.
    pub fn pace(&self, collector: &Collector) -> Duration {
        match collector.pace {
            Pace::Round => self.every,
            Pace::Slow(every) => every.max(self.every),
        }
    }
}

/// What visits go by, as configured.
#[derive(Clone, Debug)]
pub struct Rules {
    pub modules: BTreeMap<String, Module>,
    pub allow: Vec<Pattern>,
    /// How many visits at once.
    pub limit: usize,
    /// Where the scraper does not say its own deadline.
    pub timeout: Duration,
    /// How much earlier than that of the scraper.
    pub timeout_offset: Duration,
    /// Of servers that are no target.
    pub collectors: Vec<&'static Collector>,
    pub tunables: Tunables,
}

/// An account that a client of `/probe` may choose.
#[derive(Clone, Debug)]
pub struct Module {
    pub user: String,
    pub password: Secret,
    /// The servers that it may be shown to; those that all may be asked about where none are said.
    pub allow: Option<Vec<Pattern>>,
    pub cleartext: bool,
    pub tls: config::Tls,
    /// The same with its files read.
    pub policy: TlsPolicy,
}

/// What only this side of the house can judge, for the loader's list of mistakes.
pub fn judges() -> Judges {
    Judges {
        address: |address| Endpoint::parse(address).map(drop),
        pattern: |pattern| Pattern::parse(pattern).map(drop),
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
    let collectors = collectors(config);
    let roots = SystemRoots::default();
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
        let (Ok(endpoint), Ok(tls)) = (endpoint, tls) else { continue };
        let is_counted = !endpoint.is_local();
        // What mysqld_exporter's flags leave is one connection: collectors that take long must not hold it up.
        let has_overflow = target.pools.values().any(|pool| pool.max_overflow > 0);
        let needs_one_more = config.drop_in.is_some()
            && !has_overflow
            && collectors.iter().any(|collector| collector.pace != Pace::Round);
        targets.push(Arc::new(Target {
            name: name.clone(),
            // The one target of mysqld_exporter's flags has no label there either.
            label: config.drop_in.is_none().then(|| name.clone()),
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
            timeout: target.timeout,
            connect_timeout: target.connect_timeout,
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
            tunables: tunables(config),
        }));
    }
    if mistakes.is_empty() { Ok(targets) } else { Err(mistakes) }
}

/// What visits go by, or every mistake that shows only when its files are read.
pub fn rules(loaded: &Loaded) -> Result<Rules, Mistakes> {
    let config = &loaded.config;
    let mut mistakes = Mistakes::default();
    let roots = SystemRoots::default();
    let mut modules = BTreeMap::new();
    for (name, module) in &config.auth_modules {
        let policy = TlsPolicy::load(&module.tls, &roots).map_err(|found| {
            for mistake in found {
                let path = format!("auth_modules.{name}.tls.{}", mistake.setting);
                let file = mistake.path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
                mistakes.add(loaded.origins.of(&path), &path, format!("{file}{}", mistake.problem));
            }
        });
        let Ok(policy) = policy else { continue };
        modules.insert(
            name.clone(),
            Module {
                user: module.user.clone(),
                password: module.password.clone(),
                allow: module.allow.as_deref().map(patterns),
                cleartext: module.cleartext,
                tls: module.tls.clone(),
                policy,
            },
        );
    }
    let rules = Rules {
        modules,
        allow: patterns(&config.probe.allow),
        limit: config.probe.limit as usize,
        timeout: config.probe.timeout,
        timeout_offset: config.probe.timeout_offset,
        collectors: collectors(config),
        tunables: tunables(config),
    };
    if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
}

/// They were judged with the configuration; a server that my.cnf names in words that are no address is none.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
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

/// What mysqld_exporter's flags say of single collectors; the values were judged with the flags.
fn tunables(config: &Config) -> Tunables {
    let mut tunables = Tunables::default();
    let said = config.drop_in.iter().flat_map(|drop_in| &drop_in.tunables);
    for (flag, values) in said {
        let Some(text) = values.last() else { continue };
        let is_on = text == "true";
        match flag.trim_start_matches("collect.") {
            "heartbeat.database" => tunables.heartbeat_database.clone_from(text),
            "heartbeat.table" => tunables.heartbeat_table.clone_from(text),
            "heartbeat.utc" => tunables.heartbeat_utc = is_on,
            "info_schema.processlist.min_time" => set(&mut tunables.processlist_min_time, text),
            "info_schema.processlist.processes_by_user" => tunables.processlist_by_user = is_on,
            "info_schema.processlist.processes_by_host" => tunables.processlist_by_host = is_on,
            "info_schema.tables.databases" => tunables.tables_databases.clone_from(text),
            "mysql.user.privileges" => tunables.user_privileges = is_on,
            "perf_schema.eventsstatements.limit" => set(&mut tunables.statements_limit, text),
            "perf_schema.eventsstatements.timelimit" => set(&mut tunables.statements_time_limit, text),
            "perf_schema.eventsstatements.digest_text_limit" => set(&mut tunables.statements_text_limit, text),
            "perf_schema.eventsstatements.exclude_schemas" => tunables.statements_exclude.clone_from(values),
            "perf_schema.file_instances.filter" => tunables.file_filter.clone_from(text),
            "perf_schema.file_instances.remove_prefix" => tunables.file_remove_prefix.clone_from(text),
            "perf_schema.memory_events.remove_prefix" => tunables.memory_remove_prefix.clone_from(text),
            _ => {}
        }
    }
    tunables
}

fn set(number: &mut u64, text: &str) {
    if let Ok(value) = text.parse() {
        *number = value;
    }
}

/// The collectors that are on: by default, unless the configuration says otherwise.
fn collectors(config: &Config) -> Vec<&'static Collector> {
    let is_on = |collector: &&Collector| *config.collectors.get(collector.name).unwrap_or(&collector.default_on);
    COLLECTORS.iter().filter(is_on).collect()
}
