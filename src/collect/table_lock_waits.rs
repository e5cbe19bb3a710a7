//! `performance_schema.table_lock_waits_summary_by_table`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, labelled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.tablelocks",
    summary: "Waits for table locks (table_lock_waits_summary_by_table)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.table_lock_waits_summary_by_table"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Waits for a lock of this table inside the server, by kind of lock (COUNT_*).
    SQL: counter "mysql_perf_schema_sql_lock_waits_total" { schema, name, operation };
    /// Seconds waited for a lock of this table inside the server, by kind of lock (SUM_TIMER_*).
    SQL_SECONDS: counter "mysql_perf_schema_sql_lock_waits_seconds_total" { schema, name, operation };
    /// Waits for a lock of this table in its engine (COUNT_READ_EXTERNAL, COUNT_WRITE_EXTERNAL).
    EXTERNAL: counter "mysql_perf_schema_external_lock_waits_total" { schema, name, operation };
    /// Seconds waited for a lock of this table in its engine (SUM_TIMER_READ_EXTERNAL, SUM_TIMER_WRITE_EXTERNAL).
    EXTERNAL_SECONDS: counter "mysql_perf_schema_external_lock_waits_seconds_total" { schema, name, operation };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.table_lock_waits_summary_by_table", &["performance_schema"]) {
        return Ask::skip(why);
    }
    // Which kinds of locks there are differs from server to server.
    Ask::Sql(
        "SELECT * FROM performance_schema.table_lock_waits_summary_by_table WHERE OBJECT_SCHEMA NOT IN ('mysql', \
         'performance_schema', 'information_schema')"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        labelled("COUNT_READ_NORMAL", &SQL, 1.0, ("operation", "read_normal")),
        labelled("SUM_TIMER_READ_NORMAL", &SQL_SECONDS, PICOSECONDS, ("operation", "read_normal")),
        labelled("COUNT_READ_WITH_SHARED_LOCKS", &SQL, 1.0, ("operation", "read_with_shared_locks")),
        labelled(
            "SUM_TIMER_READ_WITH_SHARED_LOCKS",
            &SQL_SECONDS,
            PICOSECONDS,
            ("operation", "read_with_shared_locks"),
        ),
        labelled("COUNT_READ_HIGH_PRIORITY", &SQL, 1.0, ("operation", "read_high_priority")),
        labelled("SUM_TIMER_READ_HIGH_PRIORITY", &SQL_SECONDS, PICOSECONDS, ("operation", "read_high_priority")),
        labelled("COUNT_READ_NO_INSERT", &SQL, 1.0, ("operation", "read_no_insert")),
        labelled("SUM_TIMER_READ_NO_INSERT", &SQL_SECONDS, PICOSECONDS, ("operation", "read_no_insert")),
        labelled("COUNT_WRITE_NORMAL", &SQL, 1.0, ("operation", "write_normal")),
        labelled("SUM_TIMER_WRITE_NORMAL", &SQL_SECONDS, PICOSECONDS, ("operation", "write_normal")),
        labelled("COUNT_WRITE_ALLOW_WRITE", &SQL, 1.0, ("operation", "write_allow_write")),
        labelled("SUM_TIMER_WRITE_ALLOW_WRITE", &SQL_SECONDS, PICOSECONDS, ("operation", "write_allow_write")),
        labelled("COUNT_WRITE_CONCURRENT_INSERT", &SQL, 1.0, ("operation", "write_concurrent_insert")),
        labelled(
            "SUM_TIMER_WRITE_CONCURRENT_INSERT",
            &SQL_SECONDS,
            PICOSECONDS,
            ("operation", "write_concurrent_insert"),
        ),
        labelled("COUNT_WRITE_LOW_PRIORITY", &SQL, 1.0, ("operation", "write_low_priority")),
        labelled("SUM_TIMER_WRITE_LOW_PRIORITY", &SQL_SECONDS, PICOSECONDS, ("operation", "write_low_priority")),
        labelled("COUNT_READ_EXTERNAL", &EXTERNAL, 1.0, ("operation", "read")),
        labelled("SUM_TIMER_READ_EXTERNAL", &EXTERNAL_SECONDS, PICOSECONDS, ("operation", "read")),
        labelled("COUNT_WRITE_EXTERNAL", &EXTERNAL, 1.0, ("operation", "write")),
        labelled("SUM_TIMER_WRITE_EXTERNAL", &EXTERNAL_SECONDS, PICOSECONDS, ("operation", "write")),
    ];
    write(rows, &[("schema", "OBJECT_SCHEMA"), ("name", "OBJECT_NAME")], &values, out);
}
