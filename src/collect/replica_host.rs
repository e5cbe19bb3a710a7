//! `information_schema.REPLICA_HOST_STATUS` of Amazon Aurora.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::table::{plain, scaled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.replica_host",
    summary: "Aurora: lag of each replica (information_schema.REPLICA_HOST_STATUS)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs::table(&["information_schema.replica_host_status"]),
    ask,
    read,
};

crate::metrics! {
    /// Processor use of the instance, in percent (CPU).
    CPU: gauge "mysql_info_schema_replica_host_cpu_percent" { server_id, role };
    /// Seconds between source and replica (MASTER_SLAVE_LATENCY_IN_MICROSECONDS).
    LATENCY: gauge "mysql_info_schema_replica_host_replica_latency_seconds" { server_id, role };
    /// Seconds that the replica lags behind (REPLICA_LAG_IN_MILLISECONDS).
    LAG: gauge "mysql_info_schema_replica_host_lag_seconds" { server_id, role };
    /// KiB of log a second (LOG_STREAM_SPEED_IN_KiB_PER_SECOND).
    SPEED: gauge "mysql_info_schema_replica_host_log_stream_speed" { server_id, role };
    /// Seconds that replaying takes now (CURRENT_REPLAY_LATENCY_IN_MICROSECONDS).
    REPLAY: gauge "mysql_info_schema_replica_host_replay_latency_seconds" { server_id, role };
}

fn ask(known: &Known) -> Ask {
    if !known.facts.has_table("information_schema.replica_host_status") {
        return Ask::skip(Why::Version);
    }
    Ask::Sql(
        "SELECT SERVER_ID, IF(SESSION_ID = 'MASTER_SESSION_ID', 'writer', 'reader') AS ROLE, CPU, \
         MASTER_SLAVE_LATENCY_IN_MICROSECONDS, REPLICA_LAG_IN_MILLISECONDS, LOG_STREAM_SPEED_IN_KiB_PER_SECOND, \
         CURRENT_REPLAY_LATENCY_IN_MICROSECONDS FROM information_schema.REPLICA_HOST_STATUS"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("CPU", &CPU),
        scaled("MASTER_SLAVE_LATENCY_IN_MICROSECONDS", &LATENCY, 1e6),
        scaled("REPLICA_LAG_IN_MILLISECONDS", &LAG, 1e3),
        plain("LOG_STREAM_SPEED_IN_KiB_PER_SECOND", &SPEED),
        scaled("CURRENT_REPLAY_LATENCY_IN_MICROSECONDS", &REPLAY, 1e6),
    ];
    write(rows, &[("server_id", "SERVER_ID"), ("role", "ROLE")], &values, out);
}
