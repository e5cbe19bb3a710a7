//! `sys.x$user_summary`: what each account did, as the sys schema sums it up.

use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, plain, scaled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "sys.user_summary",
    summary: "Use of the server by account (sys.x$user_summary)",
    default_on: false,
    pace: Pace::Slow(Duration::from_secs(60)),
    needs: Needs { variables: &["performance_schema"], tables: &["sys.x$user_summary"] },
    ask,
    read,
};

crate::metrics! {
    /// Statements of the account (statements).
    STATEMENTS: counter "mysql_sys_statements_total" { user };
    /// Seconds that statements of the account took (statement_latency).
    LATENCY: counter "mysql_sys_statement_latency" { user };
    /// Full table scans of the account (table_scans).
    SCANS: counter "mysql_sys_table_scans_total" { user };
    /// File operations for the account (file_ios).
    IOS: counter "mysql_sys_file_ios_total" { user };
    /// Seconds that file operations for the account took (file_io_latency).
    IO_LATENCY: counter "mysql_sys_file_io_seconds_total" { user };
    /// Connections of the account that are open now (current_connections).
    CURRENT: gauge "mysql_sys_current_connections" { user };
    /// Connections that the account has made (total_connections).
    TOTAL: counter "mysql_sys_connections_total" { user };
    /// Hosts that the account has come from (unique_hosts).
    HOSTS: counter "mysql_sys_unique_hosts_total" { user };
    /// Bytes that are allocated for the account now (current_memory).
    MEMORY: gauge "mysql_sys_current_memory_bytes" { user };
    /// Bytes that were allocated for the account (total_memory_allocated).
    ALLOCATED: counter "mysql_sys_memory_allocated_bytes_total" { user };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("sys.x$user_summary", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT user, statements, statement_latency, table_scans, file_ios, file_io_latency, current_connections, \
         total_connections, unique_hosts, current_memory, total_memory_allocated FROM sys.`x$user_summary`"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("statements", &STATEMENTS),
        scaled("statement_latency", &LATENCY, PICOSECONDS),
        plain("table_scans", &SCANS),
        plain("file_ios", &IOS),
        scaled("file_io_latency", &IO_LATENCY, PICOSECONDS),
        plain("current_connections", &CURRENT),
        plain("total_connections", &TOTAL),
        plain("unique_hosts", &HOSTS),
        plain("current_memory", &MEMORY),
        plain("total_memory_allocated", &ALLOCATED),
    ];
    write(rows, &[("user", "user")], &values, out);
}
