//! `performance_schema.memory_summary_global_by_event_name`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{plain, write};
use super::tunables::literal;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.memory_events",
    summary: "Memory by event (memory_summary_global_by_event_name)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.memory_summary_global_by_event_name"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Bytes allocated for this event (SUM_NUMBER_OF_BYTES_ALLOC).
    ALLOC: counter "mysql_perf_schema_memory_events_alloc_bytes_total" { event_name };
    /// Bytes freed for this event (SUM_NUMBER_OF_BYTES_FREE).
    FREE: counter "mysql_perf_schema_memory_events_free_bytes_total" { event_name };
    /// Bytes in use for this event now (CURRENT_NUMBER_OF_BYTES_USED).
    USED: gauge "mysql_perf_schema_memory_events_used_bytes" { event_name };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.memory_summary_global_by_event_name", &["performance_schema"]) {
        return Ask::skip(why);
    }
    let prefix = literal(&known.tunables.memory_remove_prefix);
    Ask::Sql(
        format!(
            "SELECT IF(LEFT(EVENT_NAME, CHAR_LENGTH({prefix})) = {prefix}, SUBSTRING(EVENT_NAME, CHAR_LENGTH({prefix}) + \
             1), EVENT_NAME) AS SHOWN_NAME, SUM_NUMBER_OF_BYTES_ALLOC, SUM_NUMBER_OF_BYTES_FREE, \
             CURRENT_NUMBER_OF_BYTES_USED FROM performance_schema.memory_summary_global_by_event_name WHERE \
             COUNT_ALLOC > 0"
        )
        .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("SUM_NUMBER_OF_BYTES_ALLOC", &ALLOC),
        plain("SUM_NUMBER_OF_BYTES_FREE", &FREE),
        plain("CURRENT_NUMBER_OF_BYTES_USED", &USED),
    ];
    write(rows, &[("event_name", "SHOWN_NAME")], &values, out);
}
