//! `performance_schema.table_io_waits_summary_by_index_usage`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, labelled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.indexiowaits",
    summary: "Waits for rows by index (table_io_waits_summary_by_index_usage)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.table_io_waits_summary_by_index_usage"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Waits for rows by this index and operation (COUNT_*); NONE: by no index. Inserts use none.
    WAITS: counter "mysql_perf_schema_index_io_waits_total" { schema, name, index, operation };
    /// Seconds waited for rows by this index and operation (SUM_TIMER_*); NONE: by no index. Inserts use none.
    SECONDS: counter "mysql_perf_schema_index_io_waits_seconds_total" { schema, name, index, operation };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.table_io_waits_summary_by_index_usage", &["performance_schema"])
    {
        return Ask::skip(why);
    }
    // An insert belongs to no index: of those that have a name it is left out.
    Ask::Sql(
        "SELECT OBJECT_SCHEMA, OBJECT_NAME, COALESCE(INDEX_NAME, 'NONE') AS SHOWN_INDEX, COUNT_FETCH, \
         IF(INDEX_NAME IS NULL, COUNT_INSERT, NULL) AS COUNT_INSERT, COUNT_UPDATE, COUNT_DELETE, SUM_TIMER_FETCH, \
         IF(INDEX_NAME IS NULL, SUM_TIMER_INSERT, NULL) AS SUM_TIMER_INSERT, SUM_TIMER_UPDATE, SUM_TIMER_DELETE FROM \
         performance_schema.table_io_waits_summary_by_index_usage WHERE OBJECT_SCHEMA NOT IN ('mysql', \
         'performance_schema')"
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
    let labels = [("schema", "OBJECT_SCHEMA"), ("name", "OBJECT_NAME"), ("index", "SHOWN_INDEX")];
    write(rows, &labels, &values, out);
}
