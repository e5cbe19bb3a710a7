//! The flags of mysqld_exporter, and those of Percona's fork: one table, from which come parser, help and checks.
//!
//! What a flag does is said in `drop_in`. Those that begin as ours do (`--web.listen-address`, `--log.level`) are ours.

use std::path::Path;
use std::time::Duration;

use super::settings::{Kind, Setting, find};
use super::value::convert;

/// One flag.
#[derive(Debug)]
pub struct ExporterFlag {
    /// Without the dashes: `collect.heartbeat.utc`.
    pub name: &'static str,
    /// What switches it off again, for a switch: `no-collect.heartbeat.utc`.
    pub negative: &'static str,
    pub takes: Takes,
    /// As mysqld_exporter has it.
    pub default: &'static str,
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `true` or `false` after a `=`. Without it: `default`.
    Switch,
    /// Any text, also none.
    Text,
    /// Text that must not be empty.
    Word,
    /// A whole number from this one on.
    Count { least: u64 },
    /// Seconds, with a fraction.
    Seconds,
    /// A duration as Go writes it: `1m30s`.
    Span,
    /// Text, once for each time it is given.
    Texts,
    /// A regular expression of the server.
    Pattern,
}

/// A flag as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFlag {
    /// As in the table.
    pub name: &'static str,
    /// As it was typed, `--no-collect.heartbeat`.
    pub typed: String,
    /// Each value; `true` or `false` for a switch.
    pub values: Vec<String>,
}

impl GivenFlag {
    /// The value that counts.
    pub(crate) fn last(&self) -> &str {
        self.values.last().map_or("", String::as_str)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.last() == "true"
    }

    /// What is wrong with it.
    pub(crate) fn mistake(&self) -> Option<String> {
        let flag = flag(self.name)?;
        let text = self.last();
        let judged = match flag.takes {
            Takes::Text | Takes::Texts => return None,
            Takes::Switch => kind(Kind::Switch, text),
            Takes::Word => kind(Kind::Text, text),
            Takes::Pattern => kind(Kind::Regex, text),
            // Go takes this one number without a unit.
            Takes::Span if text == "0" => return None,
            Takes::Count { least } => kind(Kind::Count { least, most: u64::from(u32::MAX) }, text),
            Takes::Span => kind(Kind::Span { least: Duration::ZERO, most: Duration::MAX }, text),
            Takes::Seconds => match text.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(()),
                _ => Err(format!("`{text}` is not a number of seconds; write one such as `{}`", flag.default)),
            },
        };
        judged.err()
    }
}

fn kind(kind: Kind, text: &str) -> Result<(), String> {
    convert(kind, text, Path::new("")).map(drop)
}

/// A flag, if it was given.
pub(crate) fn given<'a>(flags: &'a [GivenFlag], name: &str) -> Option<&'a GivenFlag> {
    flags.iter().find(|given| given.name == name)
}

/// The flag of that name.
pub(crate) fn flag(name: &str) -> Option<&'static ExporterFlag> {
    EXPORTER_FLAGS.iter().find(|flag| flag.name == name)
}

/// The collectors that a flag switches, by their names.
pub fn exporter_collectors() -> impl Iterator<Item = (&'static ExporterFlag, &'static str)> {
    EXPORTER_FLAGS.iter().filter_map(|flag| Some((flag, collector(flag)?)))
}

/// The collector that a flag switches.
pub(crate) fn collector(flag: &ExporterFlag) -> Option<&'static str> {
    let name = flag.name.strip_prefix("collect.").filter(|_| flag.takes == Takes::Switch)?;
    let is_other = TUNABLE_SWITCHES.contains(&name) || OF_PERCONA.contains(&name);
    (!is_other).then_some(name)
}

/// The setting of a collector that a flag says: the collector, its key, and the row of the table.
pub(crate) fn tunable(flag: &ExporterFlag) -> Option<(&'static str, &'static str, &'static Setting)> {
    let (name, key) = flag.name.strip_prefix("collect.")?.rsplit_once('.')?;
    let setting = find(&["collectors", name, key])?;
    Some((name, key, setting))
}

/// Whether only Percona's fork has it.
pub(crate) fn is_percona(name: &str) -> bool {
    let of_collectors =
        || OF_PERCONA.iter().any(|theirs| name.strip_prefix("collect.").is_some_and(|name| name.starts_with(theirs)));
    name.starts_with("exporter.") && name.contains('-') || of_collectors()
}

/// Switches below `collect.` that belong to a collector.
const TUNABLE_SWITCHES: [&str; 4] = [
    "heartbeat.utc",
    "info_schema.processlist.processes_by_user",
    "info_schema.processlist.processes_by_host",
    "mysql.user.privileges",
];

/// Switches below `collect.` of Percona's fork that are no collector of mysqld_exporter.
const OF_PERCONA: [&str; 7] =
    ["all", "plugins", "custom_query.hr", "custom_query.mr", "custom_query.lr", "standard.go", "standard.process"];

macro_rules! flags {
    ($($name:literal $takes:ident $({ $($field:ident: $value:literal),* })? = $default:literal, $help:literal;)+) => {
        /// Every flag, in the order of the help text.
        pub static EXPORTER_FLAGS: &[ExporterFlag] = &[$(ExporterFlag {
            name: $name,
            negative: concat!("no-", $name),
            takes: Takes::$takes $({ $($field: $value),* })?,
            default: $default,
            help: $help,
        },)+];
    };
}

flags! {
    "mysqld.address" Text = "localhost:3306", "Server to watch, `host:port` or `unix:///path`";
    "mysqld.username" Text = "", "Account to log in as";
    "config.my-cnf" Text = ".my.cnf", "File whose section [client] has account and server; it counts more than flags";
    "tls.insecure-skip-verify" Switch = "false", "Use TLS without verifying the server's certificate";
    "exporter.lock_wait_timeout" Count { least: 0 } = "2", "Seconds that a statement waits for metadata locks; always 2";
    "exporter.enable_lock_wait_timeout" Switch = "true", "Limit the wait for metadata locks; always on";
    "exporter.log_slow_filter" Switch = "false", "Keep our statements out of the slow query log; has no effect";
    "exporter.query_timeout" Count { least: 0 } = "0", "Seconds that an answer may take; 0 for our own default";
    "exporter.max_open_connections" Count { least: 1 } = "2", "Most connections to the server; fewer than 3 are 3";
    "timeout-offset" Seconds = "0.25", "Seconds by which /probe answers earlier than the scraper's own timeout";
    "web.systemd-socket" Switch = "false", "Take the sockets that systemd opened, and listen on no address";

    "collect.global_status" Switch = "true", "SHOW GLOBAL STATUS";
    "collect.global_variables" Switch = "true", "SHOW GLOBAL VARIABLES";
    "collect.slave_status" Switch = "true", "SHOW REPLICA STATUS";
    "collect.info_schema.innodb_cmp" Switch = "true", "information_schema.innodb_cmp";
    "collect.info_schema.innodb_cmpmem" Switch = "true", "information_schema.innodb_cmpmem";
    "collect.info_schema.query_response_time" Switch = "true", "information_schema.query_response_time";
    "collect.auto_increment.columns" Switch = "false", "auto_increment columns and their largest values";
    "collect.binlog_size" Switch = "false", "Size of the binary logs";
    "collect.engine_innodb_status" Switch = "false", "SHOW ENGINE INNODB STATUS";
    "collect.engine_tokudb_status" Switch = "false", "SHOW ENGINE TOKUDB STATUS";
    "collect.heartbeat" Switch = "false", "Replication delay by pt-heartbeat";
    "collect.heartbeat.database" Word = "heartbeat", "Database of the heartbeat table";
    "collect.heartbeat.table" Word = "heartbeat", "The heartbeat table";
    "collect.heartbeat.utc" Switch = "false", "The heartbeat was written with --utc";
    "collect.info_schema.clientstats" Switch = "false", "Statistics by client (userstat)";
    "collect.info_schema.innodb_metrics" Switch = "false", "information_schema.innodb_metrics";
    "collect.info_schema.innodb_tablespaces" Switch = "false", "information_schema.innodb_sys_tablespaces";
    "collect.info_schema.processlist" Switch = "false", "Threads by state";
    "collect.info_schema.processlist.min_time" Count { least: 0 } = "0", "Seconds in its state before a thread counts";
    "collect.info_schema.processlist.processes_by_user" Switch = "true", "Threads by user";
    "collect.info_schema.processlist.processes_by_host" Switch = "true", "Threads by host";
    "collect.info_schema.replica_host" Switch = "false", "information_schema.replica_host_status";
    "collect.info_schema.rocksdb_perf_context" Switch = "false", "information_schema.rocksdb_perf_context";
    "collect.info_schema.schemastats" Switch = "false", "Statistics by schema (userstat)";
    "collect.info_schema.tables" Switch = "false", "Size of tables";
    "collect.info_schema.tables.databases" Word = "*", "Databases to look at, separated by commas; `*` for all";
    "collect.info_schema.tablestats" Switch = "false", "Statistics by table (userstat)";
    "collect.info_schema.userstats" Switch = "false", "Statistics by user (userstat)";
    "collect.mysql.user" Switch = "false", "Limits of accounts in mysql.user";
    "collect.mysql.user.privileges" Switch = "false", "Privileges of accounts too";
    "collect.perf_schema.eventsstatements" Switch = "false", "Statements by digest";
    "collect.perf_schema.eventsstatements.limit" Count { least: 0 } = "250", "Most digests";
    "collect.perf_schema.eventsstatements.timelimit" Count { least: 0 } = "86400", "Seconds since a digest was last seen";
    "collect.perf_schema.eventsstatements.digest_text_limit" Count { least: 0 } = "120", "Longest text of a digest";
    "collect.perf_schema.eventsstatements.exclude_schemas" Texts = "", "Schema to leave out; may be repeated";
    "collect.perf_schema.eventsstatementssum" Switch = "false", "Statements, summed up";
    "collect.perf_schema.eventswaits" Switch = "false", "Waits by event";
    "collect.perf_schema.file_events" Switch = "false", "Files by event";
    "collect.perf_schema.file_instances" Switch = "false", "Files one by one";
    "collect.perf_schema.file_instances.filter" Pattern = ".*", "Regular expression that a file's name must match";
    "collect.perf_schema.file_instances.remove_prefix" Text = "/var/lib/mysql/", "Prefix to take off a file's name";
    "collect.perf_schema.indexiowaits" Switch = "false", "I/O waits by index";
    "collect.perf_schema.memory_events" Switch = "false", "Memory by event";
    "collect.perf_schema.memory_events.remove_prefix" Text = "memory/", "Prefix to take off an event's name";
    "collect.perf_schema.replication_applier_status_by_worker" Switch = "false", "Appliers of a replica by worker";
    "collect.perf_schema.replication_group_member_stats" Switch = "false", "Statistics of the replication group's members";
    "collect.perf_schema.replication_group_members" Switch = "false", "Members of the replication group";
    "collect.perf_schema.tableiowaits" Switch = "false", "I/O waits by table";
    "collect.perf_schema.tablelocks" Switch = "false", "Lock waits by table";
    "collect.slave_hosts" Switch = "false", "SHOW REPLICAS";
    "collect.sys.user_summary" Switch = "false", "sys.x$user_summary";

    "exporter.max-open-conns" Count { least: 1 } = "3", "Percona: the same as --exporter.max_open_connections";
    "exporter.max-idle-conns" Count { least: 0 } = "3", "Percona: accepted; the pool keeps one connection";
    "exporter.conn-max-lifetime" Span = "1m", "Percona: age at which a connection is replaced";
    "collect.all" Switch = "false", "Percona: every collector that no flag switches off";
    "collect.plugins" Switch = "false", "Percona: SHOW PLUGINS; not supported";
    "collect.custom_query.hr" Switch = "false", "Percona: queries of one's own; not supported";
    "collect.custom_query.hr.directory" Text = "", "Percona: accepted";
    "collect.custom_query.mr" Switch = "false", "Percona: queries of one's own; not supported";
    "collect.custom_query.mr.directory" Text = "", "Percona: accepted";
    "collect.custom_query.lr" Switch = "false", "Percona: queries of one's own; not supported";
    "collect.custom_query.lr.directory" Text = "", "Percona: accepted";
    "collect.standard.go" Switch = "false", "Percona: accepted; there is no Go in it";
    "collect.standard.process" Switch = "false", "Percona: accepted; process_* is always there";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check(name: &'static str, value: &str, says: Option<&str>) {
        let given = GivenFlag { name, typed: format!("--{name}"), values: vec![value.to_owned()] };
        assert_eq!(given.mistake().as_deref(), says, "--{name}={value}");
    }

    #[test]
    fn there_are_36_collectors_and_6_of_them_are_on() {
        let all: BTreeSet<&str> = exporter_collectors().map(|(_, name)| name).collect();
        assert_eq!(all.len(), 36);
        let on: Vec<&str> =
            exporter_collectors().filter(|(flag, _)| flag.default == "true").map(|(_, name)| name).collect();
        assert_eq!(
            on,
            [
                "global_status",
                "global_variables",
                "slave_status",
                "info_schema.innodb_cmp",
                "info_schema.innodb_cmpmem",
                "info_schema.query_response_time"
            ]
        );
        let tuned: BTreeSet<&str> = EXPORTER_FLAGS.iter().filter_map(tunable).map(|(name, ..)| name).collect();
        assert!(tuned.iter().all(|name| all.contains(name)), "{tuned:?}");
        assert_eq!(EXPORTER_FLAGS.iter().filter_map(tunable).count(), 15);
        for flag in EXPORTER_FLAGS {
            assert_eq!(is_percona(flag.name), flag.help.starts_with("Percona:"), "{}", flag.name);
        }
        for part in TUNABLE_SWITCHES.iter().chain(&OF_PERCONA) {
            assert!(flag(&format!("collect.{part}")).is_some_and(|flag| flag.takes == Takes::Switch), "{part}");
        }
    }

    #[test]
    fn every_flag_has_one_row_a_good_default_and_a_line_of_help() {
        let mut names = BTreeSet::new();
        for row in EXPORTER_FLAGS {
            assert!(names.insert(row.name), "{} comes twice", row.name);
            assert!(!row.help.is_empty() && !row.help.ends_with('.'), "{}", row.name);
            check(row.name, row.default, None);
        }
    }

    #[test]
    fn a_value_is_judged_by_what_its_flag_takes() {
        check("exporter.max_open_connections", "0", Some("`0` is out of range; write a number from 1 to 4294967295"));
        check("exporter.query_timeout", "5s", Some("`5s` is not a whole number; write one from 0 to 4294967295"));
        check("timeout-offset", "1", None);
        check("timeout-offset", "-1", Some("`-1` is not a number of seconds; write one such as `0.25`"));
        check("exporter.conn-max-lifetime", "1m30s", None);
        check("exporter.conn-max-lifetime", "0", None);
        check(
            "collect.perf_schema.file_instances.filter",
            "(",
            Some("`(` is not a regular expression: `(` has no `)`"),
        );
        check("exporter.conn-max-lifetime", "90", Some("`90` has no unit; write `90s`"));
        check("collect.heartbeat", "yes", Some("`yes` is neither true nor false; write `true`"));
        check("collect.heartbeat.table", "", Some("is empty"));
        check("collect.perf_schema.file_instances.remove_prefix", "", None);
    }
}
