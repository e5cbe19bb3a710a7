//! What the variables mean that people look at when connections fail or a server is busy.
//!
//! Each text begins with the variable as the server spells it, so that it is found in the manual. Whoever misses one
//! adds a line, in its place by name. The rest share a general text: it is borrowed, not made for each of a thousand
//! families of each target.

/// The help of a status variable, its name in lower case.
pub(super) fn of_status(variable: &str) -> &'static str {
    find(STATUS, variable).unwrap_or("A status variable of SHOW GLOBAL STATUS.")
}

/// The help of a system variable, its name in lower case.
pub(super) fn of_variable(variable: &str) -> &'static str {
    find(VARIABLES, variable).unwrap_or("A system variable of SHOW GLOBAL VARIABLES; switches are 1 (on) or 0 (off).")
}

fn find(table: &'static [(&str, &str)], variable: &str) -> Option<&'static str> {
    let at = table.binary_search_by(|(name, _)| (*name).cmp(variable)).ok()?;
    Some(table[at].1)
}

/// Sorted by name, a line each.
#[rustfmt::skip]
const STATUS: &[(&str, &str)] = &[
    ("aborted_clients", "Aborted_clients: sessions that ended without a goodbye since the server started: the client died, was killed, rested longer than wait_timeout, or the network cut it off."),
    ("aborted_connects", "Aborted_connects: attempts to connect that failed since the server started: wrong password, no right to the database, a broken or late handshake, a port scan."),
    ("aborted_connects_preauth", "Aborted_connects_preauth: attempts to connect that ended before the client had said who it is, since the server started (MariaDB)."),
    ("access_denied_errors", "Access_denied_errors: refusals of a login or of a privilege since the server started (MariaDB)."),
    ("acl_cache_items_count", "Acl_cache_items_count: sets of privileges that the server keeps in its cache (MySQL)."),
    ("binlog_cache_disk_use", "Binlog_cache_disk_use: transactions since the server started whose binary log cache did not fit into binlog_cache_size and went through a temporary file."),
    ("binlog_cache_use", "Binlog_cache_use: transactions that used the binary log cache since the server started."),
    ("busy_time", "Busy_time: seconds that all sessions together have spent executing; only counted with userstat on (MariaDB)."),
    ("bytes_received", "Bytes_received: bytes that clients have sent to the server since it started."),
    ("bytes_sent", "Bytes_sent: bytes that the server has sent to clients since it started."),
    ("connections", "Connections: attempts to connect since the server started, successful or not."),
    ("cpu_time", "Cpu_time: seconds of CPU that all sessions together have used; only counted with userstat on (MariaDB)."),
    ("created_tmp_disk_tables", "Created_tmp_disk_tables: internal temporary tables that statements have put on disk since the server started."),
    ("created_tmp_files", "Created_tmp_files: temporary files that the server has made since it started."),
    ("created_tmp_tables", "Created_tmp_tables: internal temporary tables that statements have needed since the server started, in memory or on disk."),
    ("empty_queries", "Empty_queries: statements whose result was empty, since the server started (MariaDB)."),
    ("innodb_buffer_pool_bytes_data", "Innodb_buffer_pool_bytes_data: bytes of the InnoDB buffer pool that hold data, changed or not."),
    ("innodb_buffer_pool_bytes_dirty", "Innodb_buffer_pool_bytes_dirty: bytes of the InnoDB buffer pool that are changed and not yet written to disk."),
    ("innodb_buffer_pool_read_requests", "Innodb_buffer_pool_read_requests: pages asked of the InnoDB buffer pool since the server started."),
    ("innodb_buffer_pool_reads", "Innodb_buffer_pool_reads: pages that were not in the InnoDB buffer pool and had to be read from disk, since the server started."),
    ("innodb_buffer_pool_wait_free", "Innodb_buffer_pool_wait_free: times since the server started that a page had to wait until the InnoDB buffer pool had room for it."),
    ("innodb_data_pending_fsyncs", "Innodb_data_pending_fsyncs: fsync calls of InnoDB that have not returned yet."),
    ("innodb_data_pending_reads", "Innodb_data_pending_reads: reads of InnoDB that have not returned yet."),
    ("innodb_data_pending_writes", "Innodb_data_pending_writes: writes of InnoDB that have not returned yet."),
    ("innodb_deadlocks", "Innodb_deadlocks: deadlocks in InnoDB since the server started (MariaDB and Percona Server)."),
    ("innodb_history_list_length", "Innodb_history_list_length: undo log units not yet purged; it grows while an old transaction stays open (MariaDB and Percona Server)."),
    ("innodb_log_waits", "Innodb_log_waits: times since the server started that a write waited because the InnoDB log buffer was full."),
    ("innodb_row_lock_current_waits", "Innodb_row_lock_current_waits: row locks that sessions are waiting for now."),
    ("innodb_row_lock_time", "Innodb_row_lock_time: milliseconds that sessions have waited for row locks since the server started."),
    ("innodb_row_lock_time_avg", "Innodb_row_lock_time_avg: average wait for a row lock in milliseconds since the server started."),
    ("innodb_row_lock_time_max", "Innodb_row_lock_time_max: longest wait for a row lock in milliseconds since the server started."),
    ("innodb_row_lock_waits", "Innodb_row_lock_waits: times since the server started that a session had to wait for a row lock."),
    ("max_statement_time_exceeded", "Max_statement_time_exceeded: statements stopped because they ran longer than max_statement_time, since the server started (MariaDB)."),
    ("max_used_connections", "Max_used_connections: the most client connections open at once since the server started or its status was flushed."),
    ("max_used_connections_time", "Max_used_connections_time: when Max_used_connections was reached, as Unix time if the server's time zone is UTC."),
    ("memory_used", "Memory_used: bytes of memory that the server has allocated for itself and its sessions (MariaDB)."),
    ("open_files", "Open_files: files that the server has open, without those of storage engines that keep count themselves."),
    ("open_tables", "Open_tables: tables in the table cache."),
    ("opened_tables", "Opened_tables: tables opened since the server started; growing quickly means that table_open_cache is too small."),
    ("prepared_stmt_count", "Prepared_stmt_count: prepared statements that sessions hold now; limited by max_prepared_stmt_count."),
    ("queries", "Queries: statements executed since the server started, those inside stored programs included."),
    ("questions", "Questions: statements that clients have sent since the server started."),
    ("rows_read", "Rows_read: rows that statements have read from tables since the server started (MariaDB)."),
    ("rows_sent", "Rows_sent: rows sent to clients since the server started (MariaDB)."),
    ("select_full_join", "Select_full_join: joins since the server started that scanned a table because no index served."),
    ("select_scan", "Select_scan: joins since the server started whose first table was scanned in full."),
    ("slave_open_temp_tables", "Slave_open_temp_tables: temporary tables that the replication thread has open; wait for 0 before it is stopped."),
    ("slow_launch_threads", "Slow_launch_threads: connections whose thread took longer than slow_launch_time to begin, since the server started."),
    ("slow_queries", "Slow_queries: statements that took longer than long_query_time, since the server started."),
    ("sort_merge_passes", "Sort_merge_passes: merge passes of sorts that did not fit into sort_buffer_size, since the server started."),
    ("ssl_accepts", "Ssl_accepts: attempts to connect with TLS since the server started."),
    ("ssl_finished_accepts", "Ssl_finished_accepts: connections with TLS that came about since the server started."),
    ("ssl_server_not_after", "Ssl_server_not_after: Unix time at which the server's certificate expires."),
    ("ssl_server_not_before", "Ssl_server_not_before: Unix time from which the server's certificate is valid."),
    ("table_locks_immediate", "Table_locks_immediate: table locks that were granted at once, since the server started."),
    ("table_locks_waited", "Table_locks_waited: table locks that had to be waited for, since the server started."),
    ("table_open_cache_hits", "Table_open_cache_hits: lookups that found their table in the table cache, since the server started."),
    ("table_open_cache_misses", "Table_open_cache_misses: lookups that had to open their table, since the server started."),
    ("table_open_cache_overflows", "Table_open_cache_overflows: tables closed because the table cache was full, since the server started."),
    ("threadpool_idle_threads", "Threadpool_idle_threads: threads of the thread pool that have nothing to do now."),
    ("threadpool_threads", "Threadpool_threads: threads of the thread pool now."),
    ("threads_cached", "Threads_cached: threads that wait in the thread cache for the next connection."),
    ("threads_connected", "Threads_connected: client connections open now; max_connections is their limit."),
    ("threads_created", "Threads_created: threads made for connections since the server started; growing quickly means that thread_cache_size is too small."),
    ("threads_running", "Threads_running: sessions that are executing something now, not resting."),
    ("uptime", "Uptime: seconds since the server started."),
    ("uptime_since_flush_status", "Uptime_since_flush_status: seconds since the status variables were last reset by FLUSH STATUS, or since the server started."),
    ("wsrep_cluster_conf_id", "wsrep_cluster_conf_id: how often the membership of the Galera cluster has changed; the same on all nodes."),
    ("wsrep_cluster_size", "wsrep_cluster_size: nodes in the Galera cluster as this node sees it."),
    ("wsrep_cluster_status", "wsrep_cluster_status: 1 when this node is in the Galera cluster's primary component, 0 when it is cut off and refuses queries."),
    ("wsrep_connected", "wsrep_connected: 1 when this node is connected to its Galera cluster."),
    ("wsrep_flow_control_paused", "wsrep_flow_control_paused: ratio of the time since the status was flushed in which flow control held back replication."),
    ("wsrep_local_recv_queue", "wsrep_local_recv_queue: write sets that wait to be applied on this Galera node."),
    ("wsrep_local_state", "wsrep_local_state: the state of this Galera node: 1 joining, 2 donor, 3 joined, 4 synced."),
    ("wsrep_ready", "wsrep_ready: 1 when this Galera node accepts queries, 0 when it answers most of them with an error."),
];

/// Sorted by name, a line each.
#[rustfmt::skip]
const VARIABLES: &[(&str, &str)] = &[
    ("admin_port", "admin_port: TCP port of the administrative interface, which has connections of its own when max_connections is reached (MySQL)."),
    ("autocommit", "autocommit: 1 when each statement of a new session commits by itself."),
    ("back_log", "back_log: connections that the operating system may hold for the server until it accepts them; beyond that, clients wait or are refused."),
    ("connect_timeout", "connect_timeout: seconds that a client has for its part of the handshake before the server gives up on it."),
    ("default_password_lifetime", "default_password_lifetime: days until the password of an account without a rule of its own expires, 0 for never."),
    ("disconnect_on_expired_password", "disconnect_on_expired_password: 1 when clients with an expired password are cut off instead of let in to change it."),
    ("event_scheduler", "event_scheduler: 1 when scheduled events run."),
    ("extra_max_connections", "extra_max_connections: connections that extra_port grants beside max_connections (MariaDB and Percona Server)."),
    ("extra_port", "extra_port: TCP port for the administrator when max_connections is reached, 0 for none (MariaDB and Percona Server)."),
    ("gtid_strict_mode", "gtid_strict_mode: 1 when a replica stops instead of accepting transactions out of order (MariaDB)."),
    ("host_cache_size", "host_cache_size: hosts whose names and connection errors the server remembers; at 0 it never blocks a host."),
    ("idle_readonly_transaction_timeout", "idle_readonly_transaction_timeout: seconds after which a session that rests in a read-only transaction is cut off, 0 for never (MariaDB)."),
    ("idle_transaction_timeout", "idle_transaction_timeout: seconds after which a session that rests in a transaction is cut off, 0 for never (MariaDB)."),
    ("idle_write_transaction_timeout", "idle_write_transaction_timeout: seconds after which a session that rests in a transaction with changes is cut off, 0 for never (MariaDB)."),
    ("innodb_buffer_pool_size", "innodb_buffer_pool_size: bytes of the InnoDB buffer pool."),
    ("innodb_flush_log_at_trx_commit", "innodb_flush_log_at_trx_commit: 1 when each commit reaches the disk before it is confirmed; 0 and 2 may lose the last second."),
    ("innodb_lock_wait_timeout", "innodb_lock_wait_timeout: seconds that a statement waits for a row lock before it fails with error 1205."),
    ("innodb_read_only", "innodb_read_only: 1 when InnoDB takes no changes."),
    ("innodb_thread_concurrency", "innodb_thread_concurrency: threads that may be inside InnoDB at once, 0 for no limit."),
    ("interactive_timeout", "interactive_timeout: seconds after which a resting session of an interactive client is cut off; other clients have wait_timeout."),
    ("local_infile", "local_infile: 1 when clients may load files from their side (LOAD DATA LOCAL)."),
    ("lock_wait_timeout", "lock_wait_timeout: seconds that a statement waits for a metadata lock before it fails."),
    ("log_bin", "log_bin: 1 when the server writes a binary log."),
    ("log_warnings", "log_warnings: how much the error log tells; above 1 MariaDB logs each aborted connection."),
    ("long_query_time", "long_query_time: seconds after which a statement counts as slow."),
    ("max_allowed_packet", "max_allowed_packet: bytes of the largest packet that the server takes; a larger one ends the connection."),
    ("max_connect_errors", "max_connect_errors: interrupted connection attempts in a row after which a host is blocked (error 1129)."),
    ("max_connections", "max_connections: client connections allowed at once; beyond that, clients get error 1040."),
    ("max_execution_time", "max_execution_time: milliseconds after which a SELECT is stopped, 0 for never (MySQL)."),
    ("max_password_errors", "max_password_errors: wrong passwords in a row after which an account is refused (MariaDB)."),
    ("max_prepared_stmt_count", "max_prepared_stmt_count: prepared statements that all sessions together may hold; beyond that, clients get error 1461."),
    ("max_session_mem_used", "max_session_mem_used: bytes of memory that one session may use before its statement fails (MariaDB)."),
    ("max_statement_time", "max_statement_time: seconds after which a statement is stopped, 0 for never (MariaDB)."),
    ("max_user_connections", "max_user_connections: connections that one account may have at once, 0 for no limit but max_connections."),
    ("mysqlx_connect_timeout", "mysqlx_connect_timeout: seconds that a client of the X protocol has to log in (MySQL)."),
    ("mysqlx_max_connections", "mysqlx_max_connections: client connections of the X protocol allowed at once (MySQL)."),
    ("mysqlx_wait_timeout", "mysqlx_wait_timeout: seconds after which a resting session of the X protocol is cut off (MySQL)."),
    ("net_buffer_length", "net_buffer_length: bytes of a session's buffers at the start; they grow up to max_allowed_packet."),
    ("net_read_timeout", "net_read_timeout: seconds that the server waits for the rest of what a client has begun to send before it ends the connection."),
    ("net_retry_count", "net_retry_count: how often an interrupted read or write on a connection is tried again."),
    ("net_write_timeout", "net_write_timeout: seconds that the server waits for a client that does not take its result before it ends the connection."),
    ("offline_mode", "offline_mode: 1 when only administrators may be connected (MySQL)."),
    ("old_passwords", "old_passwords: which way passwords are hashed when they are set."),
    ("open_files_limit", "open_files_limit: file descriptors that the server may use; connections and tables share them."),
    ("performance_schema", "performance_schema: 1 when the performance schema is on."),
    ("port", "port: TCP port that the server listens on."),
    ("read_only", "read_only: 1 when ordinary accounts may not change data, as on a replica."),
    ("require_secure_transport", "require_secure_transport: 1 when connections without TLS (or a unix socket) are refused."),
    ("secure_auth", "secure_auth: 1 when clients with passwords hashed as before MySQL 4.1 are refused."),
    ("server_id", "server_id: the server's number among those that replicate with each other."),
    ("skip_name_resolve", "skip_name_resolve: 1 when the server does not look up the names of connecting hosts; accounts then match by address only."),
    ("skip_networking", "skip_networking: 1 when the server takes no TCP connections."),
    ("slow_launch_time", "slow_launch_time: seconds after which a connection's thread counts as slow to begin (Slow_launch_threads)."),
    ("super_read_only", "super_read_only: 1 when not even administrators may change data (MySQL)."),
    ("sync_binlog", "sync_binlog: commits after which the binary log is flushed to disk, 0 for when the operating system likes."),
    ("table_open_cache", "table_open_cache: open tables that the server keeps for all sessions."),
    ("thread_cache_size", "thread_cache_size: threads kept for the next connections after theirs have ended."),
    ("thread_pool_idle_timeout", "thread_pool_idle_timeout: seconds after which a thread of the pool that has nothing to do ends."),
    ("thread_pool_max_threads", "thread_pool_max_threads: threads that the thread pool may have."),
    ("thread_pool_size", "thread_pool_size: groups of the thread pool, which is about how many statements run at once."),
    ("thread_pool_stall_limit", "thread_pool_stall_limit: milliseconds (MariaDB, Percona Server; tens of them in MySQL Enterprise) after which a statement counts as stalled and another thread may run."),
    ("thread_stack", "thread_stack: bytes of each thread's stack."),
    ("userstat", "userstat: 1 when statistics by user, client, table and index are gathered (MariaDB and Percona Server)."),
    ("wait_timeout", "wait_timeout: seconds after which the server cuts off a resting session; the client then finds that the server has gone away."),
    ("wsrep_on", "wsrep_on: 1 when sessions replicate through Galera."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_name_and_begin_with_it() {
        for table in [STATUS, VARIABLES] {
            assert!(table.is_sorted_by(|(before, _), (after, _)| before < after), "not in order, or one comes twice");
            for (name, help) in table {
                let spelt = help.split(':').next().unwrap_or_default();
                assert_eq!(spelt.to_ascii_lowercase(), *name);
                assert!(help.ends_with('.') && !help.contains('\n'), "{name}");
            }
        }
        assert!(of_status("threads_connected").starts_with("Threads_connected: "));
        assert!(of_variable("wait_timeout").starts_with("wait_timeout: "));
        assert_eq!(of_status("no_such_variable"), "A status variable of SHOW GLOBAL STATUS.");
    }
}
