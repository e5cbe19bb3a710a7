//! What the server can be asked: one file a collector.
//!
//! A collector says a statement for a given server and turns its rows into samples. It does no I/O and keeps no
//! state: `watch` decides when to ask, on which session and for how long. A new collector is a file, its `mod` line
//! and its row in `COLLECTORS`; flag, configuration key, README row and the success and duration series follow.
//!
//! What mysqld_exporter collects keeps its names, types, labels and values here. `value` has the rules by which text
//! becomes a number, `help` the words for the variables that people look at when connections fail.

pub mod tally;
pub mod host_groups;
mod tunables;
mod facts;
mod collector;
mod value;
mod table;
#[cfg(test)]
mod trial;
mod help;
pub mod global_status;
pub mod global_variables;
pub mod slave_status;
pub mod innodb_cmp;
pub mod innodb_cmpmem;
pub mod query_response_time;
pub mod auto_increment;
pub mod binlog_size;
pub mod engine_innodb;
pub mod engine_tokudb;
pub mod heartbeat;
pub mod client_statistics;
pub mod innodb_metrics;
pub mod innodb_tablespaces;
pub mod processlist;
pub mod replica_host;
pub mod rocksdb_perf_context;
pub mod schema_statistics;
pub mod tables;
pub mod table_statistics;
pub mod user_statistics;
pub mod user;
pub mod events_statements;
pub mod events_statements_sum;
pub mod events_waits;
pub mod file_events;
pub mod file_instances;
pub mod index_io_waits;
pub mod memory_events;
pub mod applier_status;
pub mod group_member_stats;
pub mod group_members;
pub mod table_io_waits;
pub mod table_lock_waits;
pub mod slave_hosts;
pub mod user_summary;
pub mod sessions;
pub mod accounts;
pub mod account_limits;
pub mod extra_port;
pub mod host_cache;
pub mod server_errors;
pub mod session_tls;

pub mod query;
pub mod grants;

use crate::metrics::Family;

pub use collector::{Ask, Collector, Known, Pace, Why};
pub use facts::{Facts, Needs};
pub use host_groups::HostGroups;
pub use tunables::Tunables;
pub use value::value;

/// Every collector, in the order of the README: mysqld_exporter's, then those of our own, which begin with `conn.`.
pub static COLLECTORS: &[Collector] = &[
    global_status::COLLECTOR,
    global_variables::COLLECTOR,
    slave_status::COLLECTOR,
    innodb_cmp::COLLECTOR,
    innodb_cmpmem::COLLECTOR,
    query_response_time::COLLECTOR,
    auto_increment::COLLECTOR,
    binlog_size::COLLECTOR,
    engine_innodb::COLLECTOR,
    engine_tokudb::COLLECTOR,
    heartbeat::COLLECTOR,
    client_statistics::COLLECTOR,
    innodb_metrics::COLLECTOR,
    innodb_tablespaces::COLLECTOR,
    processlist::COLLECTOR,
    replica_host::COLLECTOR,
    rocksdb_perf_context::COLLECTOR,
    schema_statistics::COLLECTOR,
    tables::COLLECTOR,
    table_statistics::COLLECTOR,
    user_statistics::COLLECTOR,
    user::COLLECTOR,
    events_statements::COLLECTOR,
    events_statements_sum::COLLECTOR,
    events_waits::COLLECTOR,
    file_events::COLLECTOR,
    file_instances::COLLECTOR,
    index_io_waits::COLLECTOR,
    memory_events::COLLECTOR,
    applier_status::COLLECTOR,
    group_member_stats::COLLECTOR,
    group_members::COLLECTOR,
    table_io_waits::COLLECTOR,
    table_lock_waits::COLLECTOR,
    slave_hosts::COLLECTOR,
    user_summary::COLLECTOR,
    sessions::COLLECTOR,
    accounts::COLLECTOR,
    account_limits::COLLECTOR,
    extra_port::COLLECTOR,
    host_cache::COLLECTOR,
    server_errors::COLLECTOR,
    session_tls::COLLECTOR,
];

/// Families whose names are known before a server has answered.
pub static FAMILIES: &[&[&Family]] = &[
    global_status::FAMILIES,
    global_variables::FAMILIES,
    innodb_cmp::FAMILIES,
    innodb_cmpmem::FAMILIES,
    query_response_time::FAMILIES,
    auto_increment::FAMILIES,
    binlog_size::FAMILIES,
    engine_innodb::FAMILIES,
    heartbeat::FAMILIES,
    client_statistics::FAMILIES,
    innodb_metrics::FAMILIES,
    innodb_tablespaces::FAMILIES,
    processlist::FAMILIES,
    replica_host::FAMILIES,
    schema_statistics::FAMILIES,
    tables::FAMILIES,
    table_statistics::FAMILIES,
    user_statistics::FAMILIES,
    user::FAMILIES,
    events_statements::FAMILIES,
    events_statements_sum::FAMILIES,
    events_waits::FAMILIES,
    file_events::FAMILIES,
    file_instances::FAMILIES,
    index_io_waits::FAMILIES,
    memory_events::FAMILIES,
    applier_status::FAMILIES,
    group_member_stats::FAMILIES,
    table_io_waits::FAMILIES,
    table_lock_waits::FAMILIES,
    slave_hosts::FAMILIES,
    user_summary::FAMILIES,
    sessions::FAMILIES,
    accounts::FAMILIES,
    account_limits::FAMILIES,
    host_cache::FAMILIES,
    server_errors::FAMILIES,
    session_tls::FAMILIES,
];

/// The collector of that name, as typed in `collect[]`, a flag or the configuration.
pub fn named(name: &str) -> Option<&'static Collector> {
    COLLECTORS.iter().find(|collector| collector.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::mysql::server::Server;

    #[test]
    fn every_collector_is_found_by_its_name_and_has_a_line_of_help() {
        let mut names = HashSet::new();
        for collector in COLLECTORS {
            assert!(names.insert(collector.name), "{} comes twice", collector.name);
            assert_eq!(named(collector.name).map(|found| found.name), Some(collector.name));
            assert!(!collector.summary.is_empty() && !collector.summary.contains('\n'));
        }
        assert!(named("global").is_none());
    }

    #[test]
    fn every_server_is_asked_for_its_status_and_its_variables() {
        for version in ["5.5.62", "5.5.5-10.1.48-MariaDB", "11.8.9-MariaDB", "9.7.4"] {
            let server = Server::from_version(version);
            for name in ["global_status", "global_variables"] {
                let collector = named(name).unwrap();
                assert!(collector.default_on);
                let known = Known { server: &server, facts: &Facts::default(), tunables: &Tunables::default() };
                assert!(matches!((collector.ask)(&known), Ask::Sql(_)));
            }
        }
    }
}
