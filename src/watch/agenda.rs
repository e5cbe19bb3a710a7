//! What every server is asked: which collectors are on, with what settings, how often and for how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::collect::query::Query;
use crate::collect::{COLLECTORS, Collector, HostGroups, Pace, Tunables};
use crate::config::{Config, Loaded, Mistakes};

/// What was said of the times of one collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub every: Option<Duration>,
    pub timeout: Option<Duration>,
}

/// What was said of the times of this collector.
pub(super) fn said(collector: &Collector, limits: &BTreeMap<&'static str, Limits>) -> Limits {
    limits.get(collector.name).copied().unwrap_or_default()
}

/// Whether the collector asks beside the rounds of a target, since it may take longer than they, or asks less often.
pub(super) fn is_apart(
    collector: &Collector,
    limits: &BTreeMap<&'static str, Limits>,
    every: Duration,
    timeout: Duration,
) -> bool {
    let is_longer = |said: Option<Duration>, round: Duration| said.is_some_and(|said| said > round);
    let said = said(collector, limits);
    let is_said = is_longer(said.every, every) || is_longer(said.timeout, timeout);
    matches!(collector.pace, Pace::Slow(_)) || is_said && !collector.is_plain()
}

/// The collectors that are on: by default, unless the configuration says otherwise.
pub(super) fn collectors(config: &Config) -> Vec<&'static Collector> {
    let is_on = |collector: &&Collector| {
        config.collectors.get(collector.name).map_or(collector.default_on, |said| said.enabled)
    };
    COLLECTORS.iter().filter(is_on).collect()
}

/// The times that were said.
pub(super) fn limits(loaded: &Loaded, mistakes: &mut Mistakes) -> BTreeMap<&'static str, Limits> {
    let mut limits = BTreeMap::new();
    for collector in COLLECTORS {
        let Some(said) = loaded.config.collectors.get(collector.name) else { continue };
        if said.every.is_some() && collector.is_plain() {
            // What is told of connections and losses comes from its answers.
            let path = format!("collectors.{}.every", collector.name);
            let says = "every round needs what this collector asks; leave it out, or set `every` of the target";
            mistakes.add(loaded.origins.of(&path), &path, says);
        }
        limits.insert(collector.name, Limits { every: said.every, timeout: said.timeout });
    }
    limits
}

/// The queries of the operator's own, in the order of their names.
pub(super) fn queries(config: &Config) -> Vec<Arc<Query>> {
    config.queries.iter().map(|(name, said)| Arc::new(Query::new(name, said))).collect()
}

/// What was said of what single collectors ask; for the rest mysqld_exporter's defaults.
pub(super) fn tunables(config: &Config) -> Tunables {
    // Each was judged when it was read.
    let host_groups = HostGroups::parse(&config.host_groups).unwrap_or_default();
    let mut tunables = Tunables { host_groups, ..Tunables::default() };
    for (name, said) in &config.collectors {
        let said = said.clone();
        match name.as_str() {
            "heartbeat" => {
                set(&mut tunables.heartbeat_database, said.database);
                set(&mut tunables.heartbeat_table, said.table);
                set(&mut tunables.heartbeat_utc, said.utc);
            }
            "info_schema.processlist" => {
                set(&mut tunables.processlist_min_time, said.min_time.map(|least| least.as_secs()));
                set(&mut tunables.processlist_by_user, said.processes_by_user);
                set(&mut tunables.processlist_by_host, said.processes_by_host);
            }
            "info_schema.tables" => set(&mut tunables.tables_databases, said.databases.map(|names| names.join(","))),
            "mysql.user" => set(&mut tunables.user_privileges, said.privileges),
            "perf_schema.eventsstatements" => {
                set(&mut tunables.statements_limit, said.limit);
                set(&mut tunables.statements_time_limit, said.timelimit.map(|age| age.as_secs()));
                set(&mut tunables.statements_text_limit, said.digest_text_limit);
                set(&mut tunables.statements_exclude, said.exclude_schemas);
            }
            "perf_schema.file_instances" => {
                set(&mut tunables.file_filter, said.filter);
                set(&mut tunables.file_remove_prefix, said.remove_prefix);
            }
            "perf_schema.memory_events" => set(&mut tunables.memory_remove_prefix, said.remove_prefix),
            _ => {}
        }
    }
    tunables
}

fn set<T>(setting: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *setting = said;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collect::named;
    use crate::config::{Sources, load};
    use crate::watch::target::{judges, lower};

    const EVERY: Duration = Duration::from_secs(15);

    fn loaded(collectors: &[(&str, &str)]) -> Loaded {
        let target = ("GONEAWAY_TARGETS__A__ADDRESS".into(), "db:3306".into());
        let said = collectors.iter().map(|(key, text)| (format!("GONEAWAY_COLLECTORS__{key}").into(), text.into()));
        let env = std::iter::once(target).chain(said).collect();
        load(&Sources { env, judges: judges(), ..Sources::default() }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    #[test]
    fn every_setting_of_a_collector_reaches_it() {
        let tunables = |said: &[(&str, &str)]| tunables(&loaded(said).config);
        // The defaults that the documents show are those of the collectors.
        let shown = [
            ("HEARTBEAT__DATABASE", "heartbeat"),
            ("HEARTBEAT__TABLE", "heartbeat"),
            ("HEARTBEAT__UTC", "false"),
            ("INFO_SCHEMA_PROCESSLIST__MIN_TIME", "0s"),
            ("INFO_SCHEMA_PROCESSLIST__PROCESSES_BY_USER", "true"),
            ("INFO_SCHEMA_PROCESSLIST__PROCESSES_BY_HOST", "true"),
            ("INFO_SCHEMA_TABLES__DATABASES", "*"),
            ("MYSQL_USER__PRIVILEGES", "false"),
            ("PERF_SCHEMA_EVENTSSTATEMENTS__LIMIT", "250"),
            ("PERF_SCHEMA_EVENTSSTATEMENTS__TIMELIMIT", "1day"),
            ("PERF_SCHEMA_EVENTSSTATEMENTS__DIGEST_TEXT_LIMIT", "120"),
            ("PERF_SCHEMA_FILE_INSTANCES__FILTER", ".*"),
            ("PERF_SCHEMA_FILE_INSTANCES__REMOVE_PREFIX", "/var/lib/mysql/"),
            ("PERF_SCHEMA_MEMORY_EVENTS__REMOVE_PREFIX", "memory/"),
        ];
        assert_eq!(tunables(&shown), Tunables::default());
        let markdown = crate::config::settings_markdown();
        for (variable, text) in shown {
            let (name, key) = variable.split_once("__").unwrap();
            let name =
                COLLECTORS.iter().map(|one| one.name).find(|one| one.replace('.', "_").eq_ignore_ascii_case(name));
            let row = format!("| `collectors.{}.{}` | `{text}` |", name.unwrap(), key.to_lowercase());
            assert!(markdown.contains(&row), "{row}");
        }
        let mut changed = Vec::new();
        for (variable, text) in shown.into_iter().chain([("PERF_SCHEMA_EVENTSSTATEMENTS__EXCLUDE_SCHEMAS", "")]) {
            let other = match text {
                "true" => "false",
                "false" => "true",
                "0s" | "1day" => "7s",
                "250" | "120" => "7",
                _ => "other",
            };
            let tuned = tunables(&[(variable, other)]);
            assert!(tuned != Tunables::default() && !changed.contains(&tuned), "{variable}");
            changed.push(tuned);
        }
    }

    #[test]
    fn what_has_times_of_its_own_asks_beside_the_rounds() {
        let check = |key: &str, text: &str, is_apart: bool, pace: u64, deadline: u64| {
            let name = key.split("__").next().unwrap().to_lowercase();
            let collector = named(&name).unwrap();
            let targets = lower(&loaded(&[(key, text)])).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            let target = &targets[0];
            assert_eq!(target.slow().iter().any(|(one, _)| one.name == name), is_apart, "{key}={text}");
            assert_eq!(target.quick().iter().any(|one| one.name == name), !is_apart, "{key}={text}");
            let seconds = [target.pace(collector), target.deadline(collector)].map(|span| span.as_secs());
            assert_eq!((target.every, seconds), (EVERY, [pace, deadline]), "{key}={text}");
        };
        check("SLAVE_STATUS", "true", false, 15, 5);
        check("SLAVE_STATUS__EVERY", "15s", false, 15, 5);
        check("SLAVE_STATUS__EVERY", "5s", false, 15, 5);
        check("SLAVE_STATUS__EVERY", "1m", true, 60, 60);
        check("SLAVE_STATUS__TIMEOUT", "2s", false, 15, 2);
        check("SLAVE_STATUS__TIMEOUT", "10s", true, 15, 10);
        check("GLOBAL_STATUS__TIMEOUT", "10s", false, 15, 10);
        check("BINLOG_SIZE__EVERY", "20s", true, 20, 60);
    }

    /// Or one of them could not be set by a variable.
    #[test]
    fn the_environment_tells_all_collectors_apart() {
        for collector in COLLECTORS {
            let variable = collector.name.replace('.', "_").to_uppercase();
            assert!(loaded(&[(&variable, "true")]).config.collectors[collector.name].enabled);
        }
    }
}
