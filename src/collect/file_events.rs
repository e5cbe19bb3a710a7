//! `performance_schema.file_summary_by_event_name`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, labelled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.file_events",
    summary: "File operations by event (file_summary_by_event_name)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.file_summary_by_event_name"] },
    ask,
    read,
};

crate::metrics! {
    /// File operations of this event (COUNT_READ, COUNT_WRITE, COUNT_MISC).
    EVENTS: counter "mysql_perf_schema_file_events_total" { event_name, mode };
    /// Seconds that file operations of this event took (SUM_TIMER_*).
    SECONDS: counter "mysql_perf_schema_file_events_seconds_total" { event_name, mode };
    /// Bytes read and written by file operations of this event (SUM_NUMBER_OF_BYTES_*).
    BYTES: counter "mysql_perf_schema_file_events_bytes_total" { event_name, mode };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.file_summary_by_event_name", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT EVENT_NAME, COUNT_READ, SUM_TIMER_READ, SUM_NUMBER_OF_BYTES_READ, COUNT_WRITE, SUM_TIMER_WRITE, \
         SUM_NUMBER_OF_BYTES_WRITE, COUNT_MISC, SUM_TIMER_MISC FROM performance_schema.file_summary_by_event_name"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        labelled("COUNT_READ", &EVENTS, 1.0, ("mode", "read")),
        labelled("COUNT_WRITE", &EVENTS, 1.0, ("mode", "write")),
        labelled("COUNT_MISC", &EVENTS, 1.0, ("mode", "misc")),
        labelled("SUM_TIMER_READ", &SECONDS, PICOSECONDS, ("mode", "read")),
        labelled("SUM_TIMER_WRITE", &SECONDS, PICOSECONDS, ("mode", "write")),
        labelled("SUM_TIMER_MISC", &SECONDS, PICOSECONDS, ("mode", "misc")),
        labelled("SUM_NUMBER_OF_BYTES_READ", &BYTES, 1.0, ("mode", "read")),
        labelled("SUM_NUMBER_OF_BYTES_WRITE", &BYTES, 1.0, ("mode", "write")),
    ];
    write(rows, &[("event_name", "EVENT_NAME")], &values, out);
}
