//! `performance_schema.events_statements_summary_by_digest`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, plain, scaled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.eventsstatementssum",
    summary: "Statements together (events_statements_summary_by_digest)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.events_statements_summary_by_digest"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Statements of all digests together (COUNT_STAR).
    TOTAL: counter "mysql_perf_schema_events_statements_sum_total" {};
    /// Temporary tables on disk of all digests together (SUM_CREATED_TMP_DISK_TABLES).
    CREATED_TMP_DISK_TABLES: counter "mysql_perf_schema_events_statements_sum_created_tmp_disk_tables" {};
    /// Temporary tables of all digests together (SUM_CREATED_TMP_TABLES).
    CREATED_TMP_TABLES: counter "mysql_perf_schema_events_statements_sum_created_tmp_tables" {};
    /// Errors of all digests together (SUM_ERRORS).
    ERRORS: counter "mysql_perf_schema_events_statements_sum_errors" {};
    /// Picoseconds waited for table locks of all digests together (SUM_LOCK_TIME), in spite of its neighbours, as it always was.
    LOCK_TIME: counter "mysql_perf_schema_events_statements_sum_lock_time" {};
    /// Statements without a good index of all digests together (SUM_NO_GOOD_INDEX_USED).
    NO_GOOD_INDEX_USED: counter "mysql_perf_schema_events_statements_sum_no_good_index_used" {};
    /// Statements without an index of all digests together (SUM_NO_INDEX_USED).
    NO_INDEX_USED: counter "mysql_perf_schema_events_statements_sum_no_index_used" {};
    /// Rows changed of all digests together (SUM_ROWS_AFFECTED).
    ROWS_AFFECTED: counter "mysql_perf_schema_events_statements_sum_rows_affected" {};
    /// Rows examined of all digests together (SUM_ROWS_EXAMINED).
    ROWS_EXAMINED: counter "mysql_perf_schema_events_statements_sum_rows_examined" {};
    /// Rows sent of all digests together (SUM_ROWS_SENT).
    ROWS_SENT: counter "mysql_perf_schema_events_statements_sum_rows_sent" {};
    /// Joins without an index of all digests together (SUM_SELECT_FULL_JOIN).
    SELECT_FULL_JOIN: counter "mysql_perf_schema_events_statements_sum_select_full_join" {};
    /// Joins by a range of another table of all digests together (SUM_SELECT_FULL_RANGE_JOIN).
    SELECT_FULL_RANGE_JOIN: counter "mysql_perf_schema_events_statements_sum_select_full_range_join" {};
    /// Joins by a range of all digests together (SUM_SELECT_RANGE).
    SELECT_RANGE: counter "mysql_perf_schema_events_statements_sum_select_range" {};
    /// Joins that look for an index at each row of all digests together (SUM_SELECT_RANGE_CHECK).
    SELECT_RANGE_CHECK: counter "mysql_perf_schema_events_statements_sum_select_range_check" {};
    /// Joins with a full scan of all digests together (SUM_SELECT_SCAN).
    SELECT_SCAN: counter "mysql_perf_schema_events_statements_sum_select_scan" {};
    /// Merge passes of sorting of all digests together (SUM_SORT_MERGE_PASSES).
    SORT_MERGE_PASSES: counter "mysql_perf_schema_events_statements_sum_sort_merge_passes" {};
    /// Sorts of ranges of all digests together (SUM_SORT_RANGE).
    SORT_RANGE: counter "mysql_perf_schema_events_statements_sum_sort_range" {};
    /// Rows sorted of all digests together (SUM_SORT_ROWS).
    SORT_ROWS: counter "mysql_perf_schema_events_statements_sum_sort_rows" {};
    /// Sorts of scans of all digests together (SUM_SORT_SCAN).
    SORT_SCAN: counter "mysql_perf_schema_events_statements_sum_sort_scan" {};
    /// Seconds of statements of all digests together (SUM_TIMER_WAIT).
    TIMER_WAIT: counter "mysql_perf_schema_events_statements_sum_timer_wait" {};
    /// Warnings of all digests together (SUM_WARNINGS).
    WARNINGS: counter "mysql_perf_schema_events_statements_sum_warnings" {};
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.events_statements_summary_by_digest", &["performance_schema"]) {
        return Ask::skip(why);
    }
    let columns = COLUMNS.map(|column| format!("SUM({column}) AS S_{column}")).join(", ");
    Ask::Sql(format!("SELECT {columns} FROM performance_schema.events_statements_summary_by_digest").into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("S_COUNT_STAR", &TOTAL),
        plain("S_SUM_CREATED_TMP_DISK_TABLES", &CREATED_TMP_DISK_TABLES),
        plain("S_SUM_CREATED_TMP_TABLES", &CREATED_TMP_TABLES),
        plain("S_SUM_ERRORS", &ERRORS),
        plain("S_SUM_LOCK_TIME", &LOCK_TIME),
        plain("S_SUM_NO_GOOD_INDEX_USED", &NO_GOOD_INDEX_USED),
        plain("S_SUM_NO_INDEX_USED", &NO_INDEX_USED),
        plain("S_SUM_ROWS_AFFECTED", &ROWS_AFFECTED),
        plain("S_SUM_ROWS_EXAMINED", &ROWS_EXAMINED),
        plain("S_SUM_ROWS_SENT", &ROWS_SENT),
        plain("S_SUM_SELECT_FULL_JOIN", &SELECT_FULL_JOIN),
        plain("S_SUM_SELECT_FULL_RANGE_JOIN", &SELECT_FULL_RANGE_JOIN),
        plain("S_SUM_SELECT_RANGE", &SELECT_RANGE),
        plain("S_SUM_SELECT_RANGE_CHECK", &SELECT_RANGE_CHECK),
        plain("S_SUM_SELECT_SCAN", &SELECT_SCAN),
        plain("S_SUM_SORT_MERGE_PASSES", &SORT_MERGE_PASSES),
        plain("S_SUM_SORT_RANGE", &SORT_RANGE),
        plain("S_SUM_SORT_ROWS", &SORT_ROWS),
        plain("S_SUM_SORT_SCAN", &SORT_SCAN),
        scaled("S_SUM_TIMER_WAIT", &TIMER_WAIT, PICOSECONDS),
        plain("S_SUM_WARNINGS", &WARNINGS),
    ];
    write(rows, &[], &values, out);
}

const COLUMNS: [&str; 21] = [
    "COUNT_STAR",
    "SUM_CREATED_TMP_DISK_TABLES",
    "SUM_CREATED_TMP_TABLES",
    "SUM_ERRORS",
    "SUM_LOCK_TIME",
    "SUM_NO_GOOD_INDEX_USED",
    "SUM_NO_INDEX_USED",
    "SUM_ROWS_AFFECTED",
    "SUM_ROWS_EXAMINED",
    "SUM_ROWS_SENT",
    "SUM_SELECT_FULL_JOIN",
    "SUM_SELECT_FULL_RANGE_JOIN",
    "SUM_SELECT_RANGE",
    "SUM_SELECT_RANGE_CHECK",
    "SUM_SELECT_SCAN",
    "SUM_SORT_MERGE_PASSES",
    "SUM_SORT_RANGE",
    "SUM_SORT_ROWS",
    "SUM_SORT_SCAN",
    "SUM_TIMER_WAIT",
    "SUM_WARNINGS",
];
