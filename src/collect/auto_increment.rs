//! AUTO_INCREMENT columns: the next value, and the last one that the column's type has.

use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "auto_increment.columns",
    summary: "How far AUTO_INCREMENT columns are filled (information_schema)",
    default_on: false,
    pace: Pace::Slow(Duration::from_secs(300)),
    needs: Needs::NOTHING,
    ask,
    read,
};

crate::metrics! {
    /// The next value of the AUTO_INCREMENT column (AUTO_INCREMENT of information_schema.TABLES).
    NEXT: gauge "mysql_info_schema_auto_increment_column" { schema, table, column };
    /// The greatest value that the type of the AUTO_INCREMENT column can hold.
    MOST: gauge "mysql_info_schema_auto_increment_column_max" { schema, table, column };
}

fn ask(_: &Known) -> Ask {
    Ask::Sql(
        "SELECT t.TABLE_SCHEMA AS SHOWN_SCHEMA, t.TABLE_NAME AS SHOWN_TABLE, c.COLUMN_NAME AS SHOWN_COLUMN, \
         t.AUTO_INCREMENT AS NEXT_VALUE, c.COLUMN_TYPE AS SHOWN_TYPE FROM information_schema.COLUMNS c JOIN \
         information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME WHERE c.EXTRA \
         LIKE '%auto_increment%' AND t.AUTO_INCREMENT IS NOT NULL"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let [next, most] = [&NEXT, &MOST].map(|family| out.family(family.name, family.kind, family.help()));
    for row in rows.iter() {
        let [Some(schema), Some(table), Some(column), Some(value), Some(of_type)] = row[..] else { continue };
        let labels = [("schema", schema), ("table", table), ("column", column)];
        if let (Some(value), Some(greatest)) = (number(value), greatest(of_type)) {
            out.sample(next, &labels, value);
            out.sample(most, &labels, greatest);
        }
    }
}

/// Of a type as the server writes it, `int(10) unsigned`.
fn greatest(of_type: &str) -> Option<f64> {
    let of_type = of_type.to_ascii_lowercase();
    let word = of_type.split(['(', ' ']).next()?;
    let bits = match word {
        "tinyint" => 7,
        "smallint" => 15,
        "mediumint" => 23,
        "int" => 31,
        "bigint" => 63,
        _ => return None,
    };
    Some(f64::from(2).powi(bits + i32::from(of_type.contains("unsigned"))) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_greatest_values() {
        for (of_type, value) in [
            ("tinyint(4)", Some(127.0)),
            ("smallint unsigned", Some(65535.0)),
            ("MEDIUMINT(9)", Some(8388607.0)),
            ("int(10) unsigned zerofill", Some(4294967295.0)),
            ("bigint", Some(9223372036854775807.0)),
            ("double", None),
        ] {
            assert_eq!(greatest(of_type), value, "{of_type}");
        }
    }
}
