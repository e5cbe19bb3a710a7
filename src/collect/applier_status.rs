//! `performance_schema.replication_applier_status_by_worker`.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_applier_status_by_worker",
    summary: "Replication: transactions of each worker (replication_applier_status_by_worker)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.replication_applier_status_by_worker"],
    },
    ask,
    read,
};

crate::metrics! {
    /// When the last transaction of this worker was committed on its first source, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    LAST_ORIGINAL: gauge "mysql_perf_schema_last_applied_transaction_original_commit_timestamp_seconds" { channel_name, member_id };
    /// When the last transaction of this worker was committed on the immediate source, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    LAST_IMMEDIATE: gauge "mysql_perf_schema_last_applied_transaction_immediate_commit_timestamp_seconds" { channel_name, member_id };
    /// When the last transaction of this worker was begun to be applied, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    LAST_START: gauge "mysql_perf_schema_last_applied_transaction_start_apply_timestamp_seconds" { channel_name, member_id };
    /// When the last transaction of this worker had been applied, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    LAST_END: gauge "mysql_perf_schema_last_applied_transaction_end_apply_timestamp_seconds" { channel_name, member_id };
    /// When the present transaction of this worker was committed on its first source, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    NOW_ORIGINAL: gauge "mysql_perf_schema_applying_transaction_original_commit_timestamp_seconds" { channel_name, member_id };
    /// When the present transaction of this worker was committed on the immediate source, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    NOW_IMMEDIATE: gauge "mysql_perf_schema_applying_transaction_immediate_commit_timestamp_seconds" { channel_name, member_id };
    /// When the present transaction of this worker was begun to be applied, in seconds since 1970 as the server's time zone has it; 0 if there is none.
    NOW_START: gauge "mysql_perf_schema_applying_transaction_start_apply_timestamp_seconds" { channel_name, member_id };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.replication_applier_status_by_worker", &["performance_schema"]) {
        return Ask::skip(why);
    }
    // MySQL 5.7 and MariaDB have a table of that name without these columns.
    let table = "performance_schema.replication_applier_status_by_worker";
    if !known.facts.has_column(table, "applying_transaction_start_apply_timestamp") {
        return Ask::skip(Why::Version);
    }
    // As seconds since 1970, read as UTC; a transaction that there is none of has the time zero. Multiplied, not divided:
    // a quotient has four decimals.
    let seconds = |column: &str| {
        let time = format!("{column}_timestamp");
        format!("IF(YEAR({time}) = 0, 0, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {time}) * 0.000001) AS {column}")
    };
    let columns = COLUMNS.map(seconds).join(", ");
    Ask::Sql(format!("SELECT CHANNEL_NAME, WORKER_ID, {columns} FROM {table}").into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("last_applied_transaction_original_commit", &LAST_ORIGINAL),
        plain("last_applied_transaction_immediate_commit", &LAST_IMMEDIATE),
        plain("last_applied_transaction_start_apply", &LAST_START),
        plain("last_applied_transaction_end_apply", &LAST_END),
        plain("applying_transaction_original_commit", &NOW_ORIGINAL),
        plain("applying_transaction_immediate_commit", &NOW_IMMEDIATE),
        plain("applying_transaction_start_apply", &NOW_START),
    ];
    write(rows, &[("channel_name", "CHANNEL_NAME"), ("member_id", "WORKER_ID")], &values, out);
}

const COLUMNS: [&str; 7] = [
    "last_applied_transaction_original_commit",
    "last_applied_transaction_immediate_commit",
    "last_applied_transaction_start_apply",
    "last_applied_transaction_end_apply",
    "applying_transaction_original_commit",
    "applying_transaction_immediate_commit",
    "applying_transaction_start_apply",
];
