//! `performance_schema.replication_group_members`.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_group_members",
    summary: "Group replication: the members (replication_group_members)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.replication_group_members"] },
    ask,
    read,
};

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.replication_group_members", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::Sql("SELECT * FROM performance_schema.replication_group_members".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let help = "Always 1: a member of the replication group, with what replication_group_members says of it.";
    let family = out.family("mysql_perf_schema_replication_group_member_info", Kind::Gauge, help);
    let names: Vec<String> = rows.columns().iter().map(|column| column.to_ascii_lowercase()).collect();
    for row in rows.iter() {
        let labels: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(row.into_iter().map(Option::unwrap_or_default)).collect();
        out.sample(family, &labels, 1.0);
    }
}
