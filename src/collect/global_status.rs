//! `SHOW GLOBAL STATUS`: what the server counts.
//!
//! Each variable is a family of its own, untyped because the server does not say which ones only grow. Some groups
//! are one family with a label instead; which ones, and under what names, is mysqld_exporter's choice of long ago.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::help;
use super::value::{Name, number};
use crate::metrics::{BlockBuilder, Family, FamilyId, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "global_status",
    summary: "Status variables of SHOW GLOBAL STATUS: connections, threads, errors, traffic",
    default_on: true,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask: |_| Ask::Sql("SHOW GLOBAL STATUS".into()),
    read,
};

crate::metrics! {
    /// Statements executed, by kind, since the server started (Com_*).
    COMMANDS: counter "mysql_global_status_commands_total" { command };
    /// Calls to storage engine handlers, by operation, since the server started (Handler_*).
    HANDLERS: counter "mysql_global_status_handlers_total" { handler };
    /// Clients turned away before they could log in, by reason, since the server started (Connection_errors_*); max_connections means that the server was full.
    CONNECTION_ERRORS: counter "mysql_global_status_connection_errors_total" { error };
    /// Pages of the InnoDB buffer pool, by what they hold (Innodb_buffer_pool_pages_*).
    BUFFER_POOL_PAGES: gauge "mysql_global_status_buffer_pool_pages" { state };
    /// Pages of the InnoDB buffer pool that are changed in memory and not yet written to disk (Innodb_buffer_pool_pages_dirty).
    BUFFER_POOL_DIRTY_PAGES: gauge "mysql_global_status_buffer_pool_dirty_pages" {};
    /// Pages of the InnoDB buffer pool that were flushed, freed or moved in its LRU list, by operation, since the server started.
    BUFFER_POOL_PAGE_CHANGES: counter "mysql_global_status_buffer_pool_page_changes_total" { operation };
    /// Rows read, inserted, updated and deleted in InnoDB since the server started (Innodb_rows_*).
    INNODB_ROW_OPS: counter "mysql_global_status_innodb_row_ops_total" { operation };
    /// What the performance schema could not instrument for lack of memory, by kind, since the server started (Performance_schema_*_lost).
    PERFORMANCE_SCHEMA_LOST: counter "mysql_global_status_performance_schema_lost_total" { instrumentation };
    /// Always 1: which Galera state this node has, which one its cluster has, and the provider's version.
    GALERA_STATUS: gauge "mysql_galera_status_info" { wsrep_local_state_uuid, wsrep_cluster_state_uuid, wsrep_provider_version };
    /// Seconds that group communication takes to replicate in a Galera cluster: the shortest (wsrep_evs_repl_latency).
    GALERA_LATENCY_MIN: gauge "mysql_galera_evs_repl_latency_min_seconds" {};
    /// Seconds that group communication takes to replicate in a Galera cluster: the average (wsrep_evs_repl_latency).
    GALERA_LATENCY_AVG: gauge "mysql_galera_evs_repl_latency_avg_seconds" {};
    /// Seconds that group communication takes to replicate in a Galera cluster: the longest (wsrep_evs_repl_latency).
    GALERA_LATENCY_MAX: gauge "mysql_galera_evs_repl_latency_max_seconds" {};
    /// Seconds that group communication takes to replicate in a Galera cluster: the standard deviation (wsrep_evs_repl_latency).
    GALERA_LATENCY_STDEV: gauge "mysql_galera_evs_repl_latency_stdev" {};
    /// How many messages the Galera latencies were taken from (wsrep_evs_repl_latency).
    GALERA_LATENCY_SAMPLES: gauge "mysql_galera_evs_repl_latency_sample_size" {};
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    out.reserve(rows.len());
    let groups = Groups::new(out);
    let mut galera = Galera::default();
    let mut name = Name::with_prefix("mysql_global_status_");
    for (variable, text) in rows.pairs() {
        name.set(variable);
        match number(text) {
            Some(value) => match groups.place(name.variable()) {
                Place::Own => out.single(name.metric(), Kind::Untyped, help::of_status(name.variable()), value),
                Place::Group(family) => out.sample(family, &[], value),
                Place::Member(family, label, member) => out.sample(family, &[(label, member)], value),
                Place::Nowhere => {}
            },
            None => galera.note(name.variable(), text),
        }
    }
    galera.write(out);
}

/// Where a variable's value goes.
enum Place<'a> {
    Own,
    Group(FamilyId),
    Member(FamilyId, &'static str, &'a str),
    Nowhere,
}

/// The variables that are told apart by a label.
struct Groups {
    commands: FamilyId,
    handlers: FamilyId,
    connection_errors: FamilyId,
    pages: FamilyId,
    dirty_pages: FamilyId,
    page_changes: FamilyId,
    row_ops: FamilyId,
    lost: FamilyId,
}

impl Groups {
    fn new(out: &mut BlockBuilder) -> Groups {
        let mut named = |family: &Family| out.family(family.name, family.kind, family.help());
        Groups {
            commands: named(&COMMANDS),
            handlers: named(&HANDLERS),
            connection_errors: named(&CONNECTION_ERRORS),
            pages: named(&BUFFER_POOL_PAGES),
            dirty_pages: named(&BUFFER_POOL_DIRTY_PAGES),
            page_changes: named(&BUFFER_POOL_PAGE_CHANGES),
            row_ops: named(&INNODB_ROW_OPS),
            lost: named(&PERFORMANCE_SCHEMA_LOST),
        }
    }

    fn place<'a>(&self, variable: &'a str) -> Place<'a> {
        if let Some(command) = variable.strip_prefix("com_") {
            Place::Member(self.commands, "command", command)
        } else if let Some(handler) = variable.strip_prefix("handler_") {
            Place::Member(self.handlers, "handler", handler)
        } else if let Some(error) = variable.strip_prefix("connection_errors_") {
            Place::Member(self.connection_errors, "error", error)
        } else if let Some(pages) = variable.strip_prefix("innodb_buffer_pool_pages_") {
            match pages {
                "data" | "free" | "misc" | "old" => Place::Member(self.pages, "state", pages),
                "dirty" => Place::Group(self.dirty_pages),
                // The sum of the states.
                "total" => Place::Nowhere,
                _ => Place::Member(self.page_changes, "operation", pages),
            }
        } else if let Some(operation) = variable.strip_prefix("innodb_rows_") {
            Place::Member(self.row_ops, "operation", operation)
        } else if let Some(instrumentation) = variable.strip_prefix("performance_schema_") {
            Place::Member(self.lost, "instrumentation", instrumentation)
        } else {
            Place::Own
        }
    }
}

/// What a node of a Galera cluster says in words.
#[derive(Default)]
struct Galera<'a> {
    local_state_uuid: &'a str,
    cluster_state_uuid: &'a str,
    provider_version: &'a str,
    latency: &'a str,
}

impl<'a> Galera<'a> {
    fn note(&mut self, variable: &str, text: &'a str) {
        match variable {
            "wsrep_local_state_uuid" => self.local_state_uuid = text,
            "wsrep_cluster_state_uuid" => self.cluster_state_uuid = text,
            "wsrep_provider_version" => self.provider_version = text,
            "wsrep_evs_repl_latency" => self.latency = text,
            _ => {}
        }
    }

    fn write(&self, out: &mut BlockBuilder) {
        if !self.local_state_uuid.is_empty() {
            let family = out.family(GALERA_STATUS.name, GALERA_STATUS.kind, GALERA_STATUS.help());
            let values = [self.local_state_uuid, self.cluster_state_uuid, self.provider_version];
            let labels = [0, 1, 2].map(|at| (GALERA_STATUS.labels[at], values[at]));
            out.sample(family, &labels, 1.0);
        }
        // Minimum, average, maximum, deviation and sample size: all five or none.
        let parts: Option<Vec<f64>> = self.latency.split('/').map(number).collect();
        if let Some([min, avg, max, stdev, samples]) = parts.as_deref() {
            for (family, value) in [
                (&GALERA_LATENCY_MIN, min),
                (&GALERA_LATENCY_AVG, avg),
                (&GALERA_LATENCY_MAX, max),
                (&GALERA_LATENCY_STDEV, stdev),
                (&GALERA_LATENCY_SAMPLES, samples),
            ] {
                out.single(family.name, family.kind, family.help(), *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::known;
    use super::*;
    use crate::metrics::{Format, write};
    use crate::mysql::server::Server;

    /// The sample lines that these rows become.
    fn lines(rows: &[(&str, Option<&str>)]) -> Vec<String> {
        let rows = Rows::of(&["Variable_name", "Value"], rows.iter().map(|(name, value)| vec![Some(*name), *value]));
        let server = Server::from_version("10.11.6-MariaDB");
        let mut out = BlockBuilder::new(None);
        read(&[rows], &known(&server), &mut out);
        let text = write(&[std::sync::Arc::new(out.finish())], Format::Text);
        text.lines().filter(|line| !line.starts_with("# HELP")).map(str::to_owned).collect()
    }

    #[test]
    fn a_variable_is_an_untyped_family_of_its_own() {
        assert_eq!(
            lines(&[("Threads_connected", Some("7")), ("Rpl_status", Some("AUTH_MASTER")), ("Slave_running", None)]),
            ["# TYPE mysql_global_status_threads_connected untyped", "mysql_global_status_threads_connected 7"]
        );
        // A prefix without its underscore is no group.
        assert_eq!(lines(&[("Compression", Some("OFF"))])[1], "mysql_global_status_compression 0");
    }

    #[test]
    fn groups_are_told_apart_by_a_label() {
        for (variable, line) in [
            ("Com_select", "commands_total{command=\"select\"} 5"),
            ("Com_stmt_close", "commands_total{command=\"stmt_close\"} 5"),
            ("Handler_read_rnd_next", "handlers_total{handler=\"read_rnd_next\"} 5"),
            ("Connection_errors_max_connections", "connection_errors_total{error=\"max_connections\"} 5"),
            ("Innodb_rows_read", "innodb_row_ops_total{operation=\"read\"} 5"),
            ("Performance_schema_accounts_lost", "performance_schema_lost_total{instrumentation=\"accounts_lost\"} 5"),
        ] {
            assert_eq!(lines(&[(variable, Some("5"))])[1], format!("mysql_global_status_{line}"));
        }
    }

    #[test]
    fn buffer_pool_pages_are_states_or_changes_and_never_their_sum() {
        let pages = |variable: &str| lines(&[(variable, Some("3"))]);
        for state in ["data", "free", "misc", "old"] {
            assert_eq!(
                pages(&format!("Innodb_buffer_pool_pages_{state}")),
                [
                    "# TYPE mysql_global_status_buffer_pool_pages gauge".to_owned(),
                    format!("mysql_global_status_buffer_pool_pages{{state=\"{state}\"}} 3")
                ]
            );
        }
        for operation in ["flushed", "made_young", "LRU_flushed"] {
            assert_eq!(
                pages(&format!("Innodb_buffer_pool_pages_{operation}")),
                [
                    "# TYPE mysql_global_status_buffer_pool_page_changes_total counter".to_owned(),
                    format!(
                        "mysql_global_status_buffer_pool_page_changes_total{{operation=\"{}\"}} 3",
                        operation.to_ascii_lowercase()
                    )
                ]
            );
        }
        assert_eq!(
            pages("Innodb_buffer_pool_pages_dirty"),
            [
                "# TYPE mysql_global_status_buffer_pool_dirty_pages gauge",
                "mysql_global_status_buffer_pool_dirty_pages 3"
            ]
        );
        assert_eq!(pages("Innodb_buffer_pool_pages_total"), [""; 0]);
    }

    #[test]
    fn a_galera_node_tells_its_state_and_the_clusters_latency() {
        let lines = lines(&[
            ("wsrep_local_state_uuid", Some("a-b")),
            ("wsrep_cluster_state_uuid", Some("a-c")),
            ("wsrep_provider_version", Some("26.4.16(r)")),
            ("wsrep_cluster_status", Some("Primary")),
            ("wsrep_evs_repl_latency", Some("0.000258/0.000565/0.0016854/0.00016/139")),
        ]);
        let samples: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "mysql_galera_evs_repl_latency_avg_seconds 0.000565",
                "mysql_galera_evs_repl_latency_max_seconds 0.0016854",
                "mysql_galera_evs_repl_latency_min_seconds 0.000258",
                "mysql_galera_evs_repl_latency_sample_size 139",
                "mysql_galera_evs_repl_latency_stdev 0.00016",
                "mysql_galera_status_info{wsrep_local_state_uuid=\"a-b\",wsrep_cluster_state_uuid=\"a-c\",wsrep_provider_version=\"26.4.16(r)\"} 1",
                "mysql_global_status_wsrep_cluster_status 1",
            ]
        );
    }

    #[test]
    fn without_galera_there_are_no_galera_families() {
        for latency in ["", "0/0/0", "a/b/c/d/e", "0/0/0/0/0/0"] {
            let rows = [
                ("wsrep_local_state_uuid", Some("")),
                ("wsrep_cluster_state_uuid", Some("x")),
                ("wsrep_evs_repl_latency", Some(latency)),
            ];
            assert_eq!(lines(&rows), [""; 0]);
        }
    }

    #[test]
    fn a_variable_that_comes_twice_is_told_once() {
        assert_eq!(lines(&[("Com_x", Some("1")), ("Com_X", Some("2"))]).len(), 2);
    }
}
