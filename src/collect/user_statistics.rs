//! `information_schema.USER_STATISTICS`: what each account did, where `userstat` is on.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{plain, write, write_others};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.userstats",
    summary: "Use of the server by account (information_schema.USER_STATISTICS; needs userstat)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs { variables: &["userstat", "userstat_running"], tables: &["information_schema.user_statistics"] },
    ask,
    read,
};

crate::metrics! {
    /// Connections made, by account; needs userstat (TOTAL_CONNECTIONS of USER_STATISTICS).
    TOTAL_CONNECTIONS: counter "mysql_info_schema_user_statistics_total_connections" { user };
    /// Connections open now, by account; needs userstat (CONCURRENT_CONNECTIONS of USER_STATISTICS).
    CONCURRENT_CONNECTIONS: gauge "mysql_info_schema_user_statistics_concurrent_connections" { user };
    /// Seconds of connections, together, by account; needs userstat (CONNECTED_TIME of USER_STATISTICS).
    CONNECTED_TIME: counter "mysql_info_schema_user_statistics_connected_time_seconds_total" { user };
    /// Seconds in which connections did something, by account; needs userstat (BUSY_TIME of USER_STATISTICS).
    BUSY_TIME: counter "mysql_info_schema_user_statistics_busy_seconds_total" { user };
    /// Seconds of processor time, by account; needs userstat (CPU_TIME of USER_STATISTICS).
    CPU_TIME: counter "mysql_info_schema_user_statistics_cpu_time_seconds_total" { user };
    /// Bytes received, by account; needs userstat (BYTES_RECEIVED of USER_STATISTICS).
    BYTES_RECEIVED: counter "mysql_info_schema_user_statistics_bytes_received_total" { user };
    /// Bytes sent, by account; needs userstat (BYTES_SENT of USER_STATISTICS).
    BYTES_SENT: counter "mysql_info_schema_user_statistics_bytes_sent_total" { user };
    /// Bytes written to the binary log, by account; needs userstat (BINLOG_BYTES_WRITTEN of USER_STATISTICS).
    BINLOG_BYTES_WRITTEN: counter "mysql_info_schema_user_statistics_binlog_bytes_written_total" { user };
    /// Rows read, by account; needs userstat (ROWS_READ of USER_STATISTICS).
    ROWS_READ: counter "mysql_info_schema_user_statistics_rows_read_total" { user };
    /// Rows sent, by account; needs userstat (ROWS_SENT of USER_STATISTICS).
    ROWS_SENT: counter "mysql_info_schema_user_statistics_rows_sent_total" { user };
    /// Rows deleted, by account; needs userstat (ROWS_DELETED of USER_STATISTICS).
    ROWS_DELETED: counter "mysql_info_schema_user_statistics_rows_deleted_total" { user };
    /// Rows inserted, by account; needs userstat (ROWS_INSERTED of USER_STATISTICS).
    ROWS_INSERTED: counter "mysql_info_schema_user_statistics_rows_inserted_total" { user };
    /// Rows fetched, by account; needs userstat (ROWS_FETCHED of USER_STATISTICS).
    ROWS_FETCHED: counter "mysql_info_schema_user_statistics_rows_fetched_total" { user };
    /// Rows updated, by account; needs userstat (ROWS_UPDATED of USER_STATISTICS).
    ROWS_UPDATED: counter "mysql_info_schema_user_statistics_rows_updated_total" { user };
    /// Rows read from tables, by account; needs userstat (TABLE_ROWS_READ of USER_STATISTICS).
    TABLE_ROWS_READ: counter "mysql_info_schema_user_statistics_table_rows_read_total" { user };
    /// SELECT statements, by account; needs userstat (SELECT_COMMANDS of USER_STATISTICS).
    SELECT_COMMANDS: counter "mysql_info_schema_user_statistics_select_commands_total" { user };
    /// Statements that change rows, by account; needs userstat (UPDATE_COMMANDS of USER_STATISTICS).
    UPDATE_COMMANDS: counter "mysql_info_schema_user_statistics_update_commands_total" { user };
    /// Other statements, by account; needs userstat (OTHER_COMMANDS of USER_STATISTICS).
    OTHER_COMMANDS: counter "mysql_info_schema_user_statistics_other_commands_total" { user };
    /// Transactions committed, by account; needs userstat (COMMIT_TRANSACTIONS of USER_STATISTICS).
    COMMIT_TRANSACTIONS: counter "mysql_info_schema_user_statistics_commit_transactions_total" { user };
    /// Transactions rolled back, by account; needs userstat (ROLLBACK_TRANSACTIONS of USER_STATISTICS).
    ROLLBACK_TRANSACTIONS: counter "mysql_info_schema_user_statistics_rollback_transactions_total" { user };
    /// Connections denied, by account; needs userstat (DENIED_CONNECTIONS of USER_STATISTICS).
    DENIED_CONNECTIONS: counter "mysql_info_schema_user_statistics_denied_connections_total" { user };
    /// Connections that ended without leave, by account; needs userstat (LOST_CONNECTIONS of USER_STATISTICS).
    LOST_CONNECTIONS: counter "mysql_info_schema_user_statistics_lost_connections_total" { user };
    /// Statements refused for lack of a right, by account; needs userstat (ACCESS_DENIED of USER_STATISTICS).
    ACCESS_DENIED: counter "mysql_info_schema_user_statistics_access_denied_total" { user };
    /// Empty statements, by account; needs userstat (EMPTY_QUERIES of USER_STATISTICS).
    EMPTY_QUERIES: counter "mysql_info_schema_user_statistics_empty_queries_total" { user };
    /// Connections made with TLS, by account; needs userstat (TOTAL_SSL_CONNECTIONS of USER_STATISTICS).
    TOTAL_SSL_CONNECTIONS: counter "mysql_info_schema_user_statistics_total_ssl_connections_total" { user };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("information_schema.user_statistics", &["userstat", "userstat_running"]) {
        return Ask::skip(why);
    }
    Ask::Sql("SELECT * FROM information_schema.USER_STATISTICS".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("total_connections", &TOTAL_CONNECTIONS),
        plain("concurrent_connections", &CONCURRENT_CONNECTIONS),
        plain("connected_time", &CONNECTED_TIME),
        plain("busy_time", &BUSY_TIME),
        plain("cpu_time", &CPU_TIME),
        plain("bytes_received", &BYTES_RECEIVED),
        plain("bytes_sent", &BYTES_SENT),
        plain("binlog_bytes_written", &BINLOG_BYTES_WRITTEN),
        plain("rows_read", &ROWS_READ),
        plain("rows_sent", &ROWS_SENT),
        plain("rows_deleted", &ROWS_DELETED),
        plain("rows_inserted", &ROWS_INSERTED),
        plain("rows_fetched", &ROWS_FETCHED),
        plain("rows_updated", &ROWS_UPDATED),
        plain("table_rows_read", &TABLE_ROWS_READ),
        plain("select_commands", &SELECT_COMMANDS),
        plain("update_commands", &UPDATE_COMMANDS),
        plain("other_commands", &OTHER_COMMANDS),
        plain("commit_transactions", &COMMIT_TRANSACTIONS),
        plain("rollback_transactions", &ROLLBACK_TRANSACTIONS),
        plain("denied_connections", &DENIED_CONNECTIONS),
        plain("lost_connections", &LOST_CONNECTIONS),
        plain("access_denied", &ACCESS_DENIED),
        plain("empty_queries", &EMPTY_QUERIES),
        plain("total_ssl_connections", &TOTAL_SSL_CONNECTIONS),
    ];
    let labels = [("user", "user")];
    write(rows, &labels, &values, out);
    // What the server has besides is told too, without a type.
    let is_known = |column: &str| {
        column.eq_ignore_ascii_case("user") || values.iter().any(|value| value.column.eq_ignore_ascii_case(column))
    };
    write_others(rows, "mysql_info_schema_user_statistics_", &labels, is_known, out);
}
