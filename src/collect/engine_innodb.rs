//! `SHOW ENGINE INNODB STATUS`: the few lines of it that are told nowhere else.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "engine_innodb_status",
    summary: "Queries inside InnoDB (SHOW ENGINE INNODB STATUS)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask,
    read,
};

crate::metrics! {
    /// Queries that wait for a place inside InnoDB.
    IN_QUEUE: gauge "mysql_engine_innodb_queries_in_queue" {};
    /// Queries that are inside InnoDB now.
    INSIDE: gauge "mysql_engine_innodb_queries_inside_innodb" {};
    /// Read views that are open inside InnoDB.
    VIEWS: gauge "mysql_engine_innodb_read_views_open_inside_innodb" {};
}

fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    Ask::Sql("SHOW ENGINE INNODB STATUS".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let status =
        rows.iter().next().and_then(|row| row.get(2).copied().flatten().map(str::to_owned)).unwrap_or_default();
    for line in status.lines() {
        if let Some((inside, rest)) = line.split_once(" queries inside InnoDB, ")
            && let Some(queue) = rest.split(' ').next()
        {
            for (family, text) in [(&INSIDE, inside), (&IN_QUEUE, queue)] {
                if let Some(value) = number(text) {
                    out.single(family.name, family.kind, family.help(), value);
                }
            }
        }
        if let Some(views) = line.strip_suffix(" read views open inside InnoDB").and_then(number) {
            out.single(VIEWS.name, VIEWS.kind, VIEWS.help(), views);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    #[test]
    fn the_lines_that_count_are_found() {
        let status =
            "---\nROW OPERATIONS\n---\n3 queries inside InnoDB, 7 queries in queue\n2 read views open inside InnoDB\n";
        let rows = Rows::of(&["Type", "Name", "Status"], [vec![Some("InnoDB"), Some(""), Some(status)]]);
        let expected = [
            "mysql_engine_innodb_queries_in_queue 7",
            "mysql_engine_innodb_queries_inside_innodb 3",
            "mysql_engine_innodb_read_views_open_inside_innodb 2",
        ];
        assert_eq!(shown(read, &[rows]), expected);
    }
}
