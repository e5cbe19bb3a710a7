//! `performance_schema.replication_group_member_stats`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_group_member_stats",
    summary: "Group replication: transactions of each member (replication_group_member_stats)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.replication_group_member_stats"] },
    ask,
    read,
};

crate::metrics! {
    /// Transactions that wait to be checked for conflicts (COUNT_TRANSACTIONS_IN_QUEUE). A counter by its old type only: it falls too.
    QUEUE: counter "mysql_perf_schema_transaction_in_queue" { member_id };
    /// Transactions checked for conflicts (COUNT_TRANSACTIONS_CHECKED).
    CHECKED: counter "mysql_perf_schema_transaction_checked" { member_id };
    /// Transactions that did not pass the check (COUNT_CONFLICTS_DETECTED).
    CONFLICTS: counter "mysql_perf_schema_conflicts_detected" { member_id };
    /// Rows in the database of conflicts (COUNT_TRANSACTIONS_ROWS_VALIDATING). A counter by its old type only: it falls too.
    VALIDATING: counter "mysql_perf_schema_transaction_rows_validating" { member_id };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.replication_group_member_stats", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::Sql("SELECT * FROM performance_schema.replication_group_member_stats".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("COUNT_TRANSACTIONS_IN_QUEUE", &QUEUE),
        plain("COUNT_TRANSACTIONS_CHECKED", &CHECKED),
        plain("COUNT_CONFLICTS_DETECTED", &CONFLICTS),
        plain("COUNT_TRANSACTIONS_ROWS_VALIDATING", &VALIDATING),
    ];
    write(rows, &[("member_id", "MEMBER_ID")], &values, out);
}
