//! `performance_schema.replication_group_member_stats`: what this member says of itself, as in mysqld_exporter 0.19.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_group_member_stats",
    summary: "Group replication: transactions of this member (replication_group_member_stats)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.replication_group_member_stats"] },
    ask,
    read,
};

crate::metrics! {
    /// Transactions that wait to be checked for conflicts (COUNT_TRANSACTIONS_IN_QUEUE).
    QUEUE: gauge "mysql_perf_schema_transactions_in_queue" {};
    /// Transactions checked for conflicts (COUNT_TRANSACTIONS_CHECKED).
    CHECKED: counter "mysql_perf_schema_transactions_checked_total" {};
    /// Transactions that did not pass the check (COUNT_CONFLICTS_DETECTED).
    CONFLICTS: counter "mysql_perf_schema_conflicts_detected_total" {};
    /// Rows in the database of conflicts (COUNT_TRANSACTIONS_ROWS_VALIDATING). A counter by its old type only: it falls too.
    VALIDATING: counter "mysql_perf_schema_transactions_rows_validating_total" {};
    /// Transactions of the group that wait to be applied (COUNT_TRANSACTIONS_REMOTE_IN_APPLIER_QUEUE).
    APPLIER_QUEUE: gauge "mysql_perf_schema_transactions_remote_in_applier_queue" {};
    /// Transactions of the group that were applied (COUNT_TRANSACTIONS_REMOTE_APPLIED).
    APPLIED: counter "mysql_perf_schema_transactions_remote_applied_total" {};
    /// Transactions that began at this member and were sent to the group (COUNT_TRANSACTIONS_LOCAL_PROPOSED).
    PROPOSED: counter "mysql_perf_schema_transactions_local_proposed_total" {};
    /// Transactions that began at this member and were rolled back by the group (COUNT_TRANSACTIONS_LOCAL_ROLLBACK).
    ROLLBACK: counter "mysql_perf_schema_transactions_local_rollback_total" {};
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.replication_group_member_stats", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::Sql("SELECT * FROM performance_schema.replication_group_member_stats WHERE MEMBER_ID = @@server_uuid".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("COUNT_TRANSACTIONS_IN_QUEUE", &QUEUE),
        plain("COUNT_TRANSACTIONS_CHECKED", &CHECKED),
        plain("COUNT_CONFLICTS_DETECTED", &CONFLICTS),
        plain("COUNT_TRANSACTIONS_ROWS_VALIDATING", &VALIDATING),
        plain("COUNT_TRANSACTIONS_REMOTE_IN_APPLIER_QUEUE", &APPLIER_QUEUE),
        plain("COUNT_TRANSACTIONS_REMOTE_APPLIED", &APPLIED),
        plain("COUNT_TRANSACTIONS_LOCAL_PROPOSED", &PROPOSED),
        plain("COUNT_TRANSACTIONS_LOCAL_ROLLBACK", &ROLLBACK),
    ];
    write(rows, &[], &values, out);
}
