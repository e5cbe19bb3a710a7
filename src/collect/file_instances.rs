//! `performance_schema.file_summary_by_instance`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{labelled, write};
use super::tunables::literal;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.file_instances",
    summary: "File operations by file (file_summary_by_instance)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.file_summary_by_instance"] },
    ask,
    read,
};

crate::metrics! {
    /// Bytes read and written of this file (SUM_NUMBER_OF_BYTES_*).
    BYTES: counter "mysql_perf_schema_file_instances_bytes" { file_name, event_name, mode };
    /// Reads and writes of this file (COUNT_READ, COUNT_WRITE).
    TOTAL: counter "mysql_perf_schema_file_instances_total" { file_name, event_name, mode };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.file_summary_by_instance", &["performance_schema"]) {
        return Ask::skip(why);
    }
    let filter = literal(&known.tunables.file_filter);
    let prefix = literal(&known.tunables.file_remove_prefix);
    Ask::Sql(
        format!(
            "SELECT IF(LEFT(FILE_NAME, CHAR_LENGTH({prefix})) = {prefix}, SUBSTRING(FILE_NAME, CHAR_LENGTH({prefix}) + \
             1), FILE_NAME) AS SHOWN_NAME, EVENT_NAME, COUNT_READ, COUNT_WRITE, SUM_NUMBER_OF_BYTES_READ, \
             SUM_NUMBER_OF_BYTES_WRITE FROM performance_schema.file_summary_by_instance WHERE FILE_NAME REGEXP {filter}"
        )
        .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        labelled("SUM_NUMBER_OF_BYTES_READ", &BYTES, 1.0, ("mode", "read")),
        labelled("SUM_NUMBER_OF_BYTES_WRITE", &BYTES, 1.0, ("mode", "write")),
        labelled("COUNT_READ", &TOTAL, 1.0, ("mode", "read")),
        labelled("COUNT_WRITE", &TOTAL, 1.0, ("mode", "write")),
    ];
    write(rows, &[("file_name", "SHOWN_NAME"), ("event_name", "EVENT_NAME")], &values, out);
}
