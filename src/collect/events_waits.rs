//! `performance_schema.events_waits_summary_global_by_event_name`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{PICOSECONDS, plain, scaled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.eventswaits",
    summary: "Waits by event (events_waits_summary_global_by_event_name)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.events_waits_summary_global_by_event_name"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Waits for this event (COUNT_STAR).
    WAITS: counter "mysql_perf_schema_events_waits_total" { event_name };
    /// Seconds waited for this event (SUM_TIMER_WAIT).
    SECONDS: counter "mysql_perf_schema_events_waits_seconds_total" { event_name };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) =
        known.lacks("performance_schema.events_waits_summary_global_by_event_name", &["performance_schema"])
    {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT EVENT_NAME, COUNT_STAR, SUM_TIMER_WAIT FROM performance_schema.events_waits_summary_global_by_event_name"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [plain("COUNT_STAR", &WAITS), scaled("SUM_TIMER_WAIT", &SECONDS, PICOSECONDS)];
    write(rows, &[("event_name", "EVENT_NAME")], &values, out);
}
