//! `performance_schema.events_statements_summary_by_digest`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, plain, scaled, write};
use super::tunables::{Tunables, literal};
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.eventsstatements",
    summary: "Statements by digest (events_statements_summary_by_digest)",
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
    /// Statements of this digest (COUNT_STAR).
    STATEMENTS: counter "mysql_perf_schema_events_statements_total" { schema, digest, digest_text };
    /// Seconds of statements of this digest (SUM_TIMER_WAIT).
    SECONDS: counter "mysql_perf_schema_events_statements_seconds_total" { schema, digest, digest_text };
    /// Seconds that statements waited for table locks of this digest (SUM_LOCK_TIME).
    LOCK: counter "mysql_perf_schema_events_statements_lock_time_seconds_total" { schema, digest, digest_text };
    /// Seconds of processor time of statements of this digest (SUM_CPU_TIME).
    CPU: counter "mysql_perf_schema_events_statements_cpu_time_seconds_total" { schema, digest, digest_text };
    /// Errors of this digest (SUM_ERRORS).
    ERRORS: counter "mysql_perf_schema_events_statements_errors_total" { schema, digest, digest_text };
    /// Warnings of this digest (SUM_WARNINGS).
    WARNINGS: counter "mysql_perf_schema_events_statements_warnings_total" { schema, digest, digest_text };
    /// Rows changed of this digest (SUM_ROWS_AFFECTED).
    AFFECTED: counter "mysql_perf_schema_events_statements_rows_affected_total" { schema, digest, digest_text };
    /// Rows sent of this digest (SUM_ROWS_SENT).
    SENT: counter "mysql_perf_schema_events_statements_rows_sent_total" { schema, digest, digest_text };
    /// Rows examined of this digest (SUM_ROWS_EXAMINED).
    EXAMINED: counter "mysql_perf_schema_events_statements_rows_examined_total" { schema, digest, digest_text };
    /// Temporary tables of this digest (SUM_CREATED_TMP_TABLES).
    TMP: counter "mysql_perf_schema_events_statements_tmp_tables_total" { schema, digest, digest_text };
    /// Temporary tables on disk of this digest (SUM_CREATED_TMP_DISK_TABLES).
    TMP_DISK: counter "mysql_perf_schema_events_statements_tmp_disk_tables_total" { schema, digest, digest_text };
    /// Merge passes of sorting of this digest (SUM_SORT_MERGE_PASSES).
    MERGES: counter "mysql_perf_schema_events_statements_sort_merge_passes_total" { schema, digest, digest_text };
    /// Rows sorted of this digest (SUM_SORT_ROWS).
    SORTED: counter "mysql_perf_schema_events_statements_sort_rows_total" { schema, digest, digest_text };
    /// Statements without an index of this digest (SUM_NO_INDEX_USED).
    NO_INDEX: counter "mysql_perf_schema_events_statements_no_index_used_total" { schema, digest, digest_text };
    /// Seconds that a statement of this digest took (QUANTILE_95, QUANTILE_99, QUANTILE_999, SUM_TIMER_WAIT, COUNT_STAR).
    LATENCY: summary "mysql_perf_schema_events_statements_latency" { schema, digest, digest_text };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.events_statements_summary_by_digest", &["performance_schema"]) {
        return Ask::skip(why);
    }
    let table = "performance_schema.events_statements_summary_by_digest";
    let has = |column: &str| known.facts.has_column(table, &column.to_ascii_lowercase());
    // What older servers and MariaDB do not have is 0, as it always was.
    let column = |column: &str| if has(column) { column.to_owned() } else { format!("0 AS {column}") };
    let columns: Vec<String> = COLUMNS.into_iter().map(column).collect();
    let Tunables { statements_limit, statements_time_limit, statements_text_limit, .. } = known.tunables;
    let own = ["mysql", "performance_schema", "information_schema"].map(str::to_owned);
    let excluded = own.iter().chain(&known.tunables.statements_exclude).map(|schema| literal(schema));
    let excluded = excluded.collect::<Vec<_>>().join(", ");
    Ask::Sql(
        format!(
            "SELECT SCHEMA_NAME, DIGEST, LEFT(DIGEST_TEXT, {statements_text_limit}) AS SHOWN_TEXT, {} FROM {table} WHERE \
             SCHEMA_NAME NOT IN ({excluded}) AND LAST_SEEN > DATE_SUB(NOW(), INTERVAL {statements_time_limit} SECOND) \
             ORDER BY SUM_TIMER_WAIT DESC LIMIT {statements_limit}",
            columns.join(", ")
        )
        .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let labels = [("schema", "SCHEMA_NAME"), ("digest", "DIGEST"), ("digest_text", "SHOWN_TEXT")];
    let values = [
        plain("COUNT_STAR", &STATEMENTS),
        scaled("SUM_TIMER_WAIT", &SECONDS, PICOSECONDS),
        scaled("SUM_LOCK_TIME", &LOCK, PICOSECONDS),
        scaled("SUM_CPU_TIME", &CPU, PICOSECONDS),
        plain("SUM_ERRORS", &ERRORS),
        plain("SUM_WARNINGS", &WARNINGS),
        plain("SUM_ROWS_AFFECTED", &AFFECTED),
        plain("SUM_ROWS_SENT", &SENT),
        plain("SUM_ROWS_EXAMINED", &EXAMINED),
        plain("SUM_CREATED_TMP_TABLES", &TMP),
        plain("SUM_CREATED_TMP_DISK_TABLES", &TMP_DISK),
        plain("SUM_SORT_MERGE_PASSES", &MERGES),
        plain("SUM_SORT_ROWS", &SORTED),
        plain("SUM_NO_INDEX_USED", &NO_INDEX),
    ];
    write(rows, &labels, &values, out);
    latency(rows, out);
}

const COLUMNS: [&str; 17] = [
    "COUNT_STAR",
    "SUM_TIMER_WAIT",
    "SUM_LOCK_TIME",
    "SUM_CPU_TIME",
    "SUM_ERRORS",
    "SUM_WARNINGS",
    "SUM_ROWS_AFFECTED",
    "SUM_ROWS_SENT",
    "SUM_ROWS_EXAMINED",
    "SUM_CREATED_TMP_TABLES",
    "SUM_CREATED_TMP_DISK_TABLES",
    "SUM_SORT_MERGE_PASSES",
    "SUM_SORT_ROWS",
    "SUM_NO_INDEX_USED",
    "QUANTILE_95",
    "QUANTILE_99",
    "QUANTILE_999",
];

/// Quantiles, and the sum and count that belong to them.
fn latency(rows: &Rows, out: &mut BlockBuilder) {
    let place = |column: &str| rows.columns().iter().position(|known| known == column);
    let wanted = [
        "SCHEMA_NAME",
        "DIGEST",
        "SHOWN_TEXT",
        "QUANTILE_95",
        "QUANTILE_99",
        "QUANTILE_999",
        "COUNT_STAR",
        "SUM_TIMER_WAIT",
    ];
    let [Some(schema), Some(digest), Some(text), Some(q95), Some(q99), Some(q999), Some(count), Some(sum)] =
        wanted.map(place)
    else {
        return;
    };
    let family = out.family(LATENCY.name, LATENCY.kind, LATENCY.help());
    for row in rows.iter() {
        let label = |at: usize| row[at].unwrap_or_default();
        let value = |at: usize| row[at].and_then(number).unwrap_or_default();
        let labels = [("schema", label(schema)), ("digest", label(digest)), ("digest_text", label(text))];
        // In the words of mysqld_exporter, whose users ask for them.
        let quantiles = [("95", q95), ("99", q99), ("999", q999)];
        let quantiles = quantiles.map(|(quantile, at)| (quantile, value(at) / PICOSECONDS));
        out.summary(family, &labels, quantiles, value(count), value(sum) / PICOSECONDS);
    }
}
