//! `SHOW GLOBAL STATUS`: what the server counts.
//!
//! Each variable is a family of its own, untyped because the server does not say which ones only grow. Some groups
//! are one family with a label instead; which ones, and under what names, is mysqld_exporter's choice of long ago.

use super::collector::{Ask, Collector, Known};
use super::help;
use super::value::{Name, number};
use crate::metrics::{BlockBuilder, Family, FamilyId, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "global_status",
    summary: "Status variables of SHOW GLOBAL STATUS: connections, threads, errors, traffic",
    default_on: true,
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

fn read(rows: &Rows, _: &Known, out: &mut BlockBuilder) {
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
