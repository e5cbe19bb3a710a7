//! `information_schema.CLIENT_STATISTICS`: what each client did, where `userstat` is on.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{plain, write, write_others};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.clientstats",
    summary: "Use of the server by client (information_schema.CLIENT_STATISTICS; needs userstat)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs { variables: &["userstat", "userstat_running"], tables: &["information_schema.client_statistics"] },
    ask,
    read,
};

crate::metrics! {
    /// Connections made, by client; needs userstat (TOTAL_CONNECTIONS of CLIENT_STATISTICS).
    TOTAL_CONNECTIONS: counter "mysql_info_schema_client_statistics_total_connections" { client };
    /// Connections open now, by client; needs userstat (CONCURRENT_CONNECTIONS of CLIENT_STATISTICS).
    CONCURRENT_CONNECTIONS: gauge "mysql_info_schema_client_statistics_concurrent_connections" { client };
    /// Seconds of connections, together, by client; needs userstat (CONNECTED_TIME of CLIENT_STATISTICS).
    CONNECTED_TIME: counter "mysql_info_schema_client_statistics_connected_time_seconds_total" { client };
    /// Seconds in which connections did something, by client; needs userstat (BUSY_TIME of CLIENT_STATISTICS).
    BUSY_TIME: counter "mysql_info_schema_client_statistics_busy_seconds_total" { client };
    /// Seconds of processor time, by client; needs userstat (CPU_TIME of CLIENT_STATISTICS).
    CPU_TIME: counter "mysql_info_schema_client_statistics_cpu_time_seconds_total" { client };
    /// Bytes received, by client; needs userstat (BYTES_RECEIVED of CLIENT_STATISTICS).
    BYTES_RECEIVED: counter "mysql_info_schema_client_statistics_bytes_received_total" { client };
    /// Bytes sent, by client; needs userstat (BYTES_SENT of CLIENT_STATISTICS).
    BYTES_SENT: counter "mysql_info_schema_client_statistics_bytes_sent_total" { client };
    /// Bytes written to the binary log, by client; needs userstat (BINLOG_BYTES_WRITTEN of CLIENT_STATISTICS).
    BINLOG_BYTES_WRITTEN: counter "mysql_info_schema_client_statistics_binlog_bytes_written_total" { client };
    /// Rows read, by client; needs userstat (ROWS_READ of CLIENT_STATISTICS).
    ROWS_READ: counter "mysql_info_schema_client_statistics_rows_read_total" { client };
    /// Rows sent, by client; needs userstat (ROWS_SENT of CLIENT_STATISTICS).
    ROWS_SENT: counter "mysql_info_schema_client_statistics_rows_sent_total" { client };
    /// Rows deleted, by client; needs userstat (ROWS_DELETED of CLIENT_STATISTICS).
    ROWS_DELETED: counter "mysql_info_schema_client_statistics_rows_deleted_total" { client };
    /// Rows inserted, by client; needs userstat (ROWS_INSERTED of CLIENT_STATISTICS).
    ROWS_INSERTED: counter "mysql_info_schema_client_statistics_rows_inserted_total" { client };
    /// Rows fetched, by client; needs userstat (ROWS_FETCHED of CLIENT_STATISTICS).
    ROWS_FETCHED: counter "mysql_info_schema_client_statistics_rows_fetched_total" { client };
    /// Rows updated, by client; needs userstat (ROWS_UPDATED of CLIENT_STATISTICS).
    ROWS_UPDATED: counter "mysql_info_schema_client_statistics_rows_updated_total" { client };
    /// Rows read from tables, by client; needs userstat (TABLE_ROWS_READ of CLIENT_STATISTICS).
    TABLE_ROWS_READ: counter "mysql_info_schema_client_statistics_table_rows_read_total" { client };
    /// SELECT statements, by client; needs userstat (SELECT_COMMANDS of CLIENT_STATISTICS).
    SELECT_COMMANDS: counter "mysql_info_schema_client_statistics_select_commands_total" { client };
    /// Statements that change rows, by client; needs userstat (UPDATE_COMMANDS of CLIENT_STATISTICS).
    UPDATE_COMMANDS: counter "mysql_info_schema_client_statistics_update_commands_total" { client };
    /// Other statements, by client; needs userstat (OTHER_COMMANDS of CLIENT_STATISTICS).
    OTHER_COMMANDS: counter "mysql_info_schema_client_statistics_other_commands_total" { client };
    /// Transactions committed, by client; needs userstat (COMMIT_TRANSACTIONS of CLIENT_STATISTICS).
    COMMIT_TRANSACTIONS: counter "mysql_info_schema_client_statistics_commit_transactions_total" { client };
    /// Transactions rolled back, by client; needs userstat (ROLLBACK_TRANSACTIONS of CLIENT_STATISTICS).
    ROLLBACK_TRANSACTIONS: counter "mysql_info_schema_client_statistics_rollback_transactions_total" { client };
    /// Connections denied, by client; needs userstat (DENIED_CONNECTIONS of CLIENT_STATISTICS).
    DENIED_CONNECTIONS: counter "mysql_info_schema_client_statistics_denied_connections_total" { client };
    /// Connections that ended without leave, by client; needs userstat (LOST_CONNECTIONS of CLIENT_STATISTICS).
    LOST_CONNECTIONS: counter "mysql_info_schema_client_statistics_lost_connections_total" { client };
    /// Statements refused for lack of a right, by client; needs userstat (ACCESS_DENIED of CLIENT_STATISTICS).
    ACCESS_DENIED: counter "mysql_info_schema_client_statistics_access_denied_total" { client };
    /// Empty statements, by client; needs userstat (EMPTY_QUERIES of CLIENT_STATISTICS).
    EMPTY_QUERIES: counter "mysql_info_schema_client_statistics_empty_queries_total" { client };
    /// Connections made with TLS, by client; needs userstat (TOTAL_SSL_CONNECTIONS of CLIENT_STATISTICS).
    TOTAL_SSL_CONNECTIONS: counter "mysql_info_schema_client_statistics_total_ssl_connections_total" { client };
    /// Statements that took longer than max_statement_time, by client; needs userstat (MAX_STATEMENT_TIME_EXCEEDED of CLIENT_STATISTICS).
    MAX_STATEMENT_TIME_EXCEEDED: counter "mysql_info_schema_client_statistics_max_statement_time_exceeded_total" { client };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("information_schema.client_statistics", &["userstat", "userstat_running"]) {
        return Ask::skip(why);
    }
    Ask::Sql("SELECT * FROM information_schema.CLIENT_STATISTICS".into())
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
        plain("max_statement_time_exceeded", &MAX_STATEMENT_TIME_EXCEEDED),
    ];
    let labels = [("client", "client")];
    write(rows, &labels, &values, out);
    // What the server has besides is told too, without a type.
    let is_known = |column: &str| {
        column.eq_ignore_ascii_case("client") || values.iter().any(|value| value.column.eq_ignore_ascii_case(column))
    };
    write_others(rows, "mysql_info_schema_client_statistics_", &labels, is_known, out);
}
