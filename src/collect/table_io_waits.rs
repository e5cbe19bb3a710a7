//! `performance_schema.table_io_waits_summary_by_table`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, labelled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.tableiowaits",
    summary: "Waits for rows by table (table_io_waits_summary_by_table)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.table_io_waits_summary_by_table"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Waits for rows of this table by operation (COUNT_*).
    WAITS: counter "mysql_perf_schema_table_io_waits_total" { schema, name, operation };
    /// Seconds waited for rows of this table by operation (SUM_TIMER_*).
    SECONDS: counter "mysql_perf_schema_table_io_waits_seconds_total" { schema, name, operation };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.table_io_waits_summary_by_table", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT OBJECT_SCHEMA, OBJECT_NAME, COUNT_FETCH, COUNT_INSERT, COUNT_UPDATE, COUNT_DELETE, SUM_TIMER_FETCH, \
         SUM_TIMER_INSERT, SUM_TIMER_UPDATE, SUM_TIMER_DELETE FROM performance_schema.table_io_waits_summary_by_table \
         WHERE OBJECT_SCHEMA NOT IN ('mysql', 'performance_schema')"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        labelled("COUNT_FETCH", &WAITS, 1.0, ("operation", "fetch")),
        labelled("COUNT_INSERT", &WAITS, 1.0, ("operation", "insert")),
        labelled("COUNT_UPDATE", &WAITS, 1.0, ("operation", "update")),
        labelled("COUNT_DELETE", &WAITS, 1.0, ("operation", "delete")),
        labelled("SUM_TIMER_FETCH", &SECONDS, PICOSECONDS, ("operation", "fetch")),
        labelled("SUM_TIMER_INSERT", &SECONDS, PICOSECONDS, ("operation", "insert")),
        labelled("SUM_TIMER_UPDATE", &SECONDS, PICOSECONDS, ("operation", "update")),
        labelled("SUM_TIMER_DELETE", &SECONDS, PICOSECONDS, ("operation", "delete")),
    ];
    write(rows, &[("schema", "OBJECT_SCHEMA"), ("name", "OBJECT_NAME")], &values, out);
}
