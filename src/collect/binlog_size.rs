//! `SHOW BINARY LOGS`: how much room the binary logs take.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "binlog_size",
    summary: "Size and number of the binary logs (SHOW BINARY LOGS)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs { variables: &["log_bin"], tables: &[] },
    ask,
    read,
};

crate::metrics! {
    /// Bytes of all binary log files together.
    SIZE: gauge "mysql_binlog_size_bytes" {};
    /// How many binary log files there are.
    FILES: gauge "mysql_binlog_files" {};
    /// The number in the name of the latest binary log file.
    NUMBER: gauge "mysql_binlog_file_number" {};
}

fn ask(known: &Known) -> Ask {
    if !known.facts.is_on("log_bin") {
        return Ask::skip(Why::Off);
    }
    if !known.facts.may(&["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"]) {
        return Ask::skip(Why::Grant);
    }
    Ask::Sql("SHOW BINARY LOGS".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let (mut size, mut latest) = (0.0, None);
    for (name, bytes) in rows.pairs() {
        size += number(bytes).unwrap_or_default();
        latest = name.rsplit_once('.').and_then(|(_, digits)| number(digits)).or(latest);
    }
    out.single(SIZE.name, SIZE.kind, SIZE.help(), size);
    out.single(FILES.name, FILES.kind, FILES.help(), rows.len() as f64);
    if let Some(latest) = latest {
        out.single(NUMBER.name, NUMBER.kind, NUMBER.help(), latest);
    }
}
