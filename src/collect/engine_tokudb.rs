//! `SHOW ENGINE TOKUDB STATUS`: one family for each of its lines that is a number.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "engine_tokudb_status",
    summary: "Counters of the TokuDB engine (SHOW ENGINE TOKUDB STATUS)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs::table(&["information_schema.tokudb_trx"]),
    ask,
    read,
};

fn ask(known: &Known) -> Ask {
    if !known.facts.has_table("information_schema.tokudb_trx") {
        return Ask::skip(Why::Version);
    }
    Ask::Sql("SHOW ENGINE TOKUDB STATUS".into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    for row in rows.iter() {
        let [_, Some(name), Some(text)] = row[..] else { continue };
        let Some(value) = number(text) else { continue };
        let name = format!("mysql_engine_tokudb_{}", safe(name));
        out.single(&name, Kind::Untyped, "A line of SHOW ENGINE TOKUDB STATUS.", value);
    }
}

/// A line's title as a name: words joined by underscores, without the signs between them.
fn safe(title: &str) -> String {
    let mut name = String::new();
    for letter in title.to_lowercase().chars() {
        match letter {
            '>' | ',' | ':' | '(' | ')' => {}
            ' ' | '-' => name.push('_'),
            '+' | '/' => name.push_str("and"),
            other => name.push(other),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    #[test]
    fn a_title_becomes_a_name() {
        let row = vec![Some("TokuDB"), Some("indexer: number of indexers (max)"), Some("3")];
        let rows = Rows::of(&["Type", "Name", "Status"], [row]);
        assert_eq!(shown(read, &[rows]), ["mysql_engine_tokudb_indexer_number_of_indexers_max 3"]);
    }
}
