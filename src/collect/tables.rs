//! `information_schema.TABLES`: what each table is and how large.

use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{labelled, plain, write};
use super::tunables::literal;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.tables",
    summary: "Size and rows of each table (information_schema.TABLES)",
    default_on: false,
    pace: Pace::Slow(Duration::from_secs(300)),
    needs: Needs::NOTHING,
    ask,
    read,
};

crate::metrics! {
    /// The version of the table's .frm file (VERSION), and what the table is.
    VERSION: gauge "mysql_info_schema_table_version" { schema, table, type, engine, row_format, create_options };
    /// Rows of the table, as the engine guesses (TABLE_ROWS).
    ROWS: gauge "mysql_info_schema_table_rows" { schema, table };
    /// Bytes of the table by component: data_length, index_length, data_free.
    SIZE: gauge "mysql_info_schema_table_size" { schema, table, component };
}

fn ask(known: &Known) -> Ask {
    let wanted: Vec<String> = known.tunables.tables_databases.split(',').map(|name| literal(name.trim())).collect();
    let schemas = match known.tunables.tables_databases.trim() {
        "*" => "NOT IN ('mysql', 'performance_schema', 'information_schema', 'sys')".to_owned(),
        _ => format!("IN ({})", wanted.join(", ")),
    };
    Ask::Sql(
        format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, 'NONE') AS SHOWN_ENGINE, COALESCE(VERSION, 0) \
             AS SHOWN_VERSION, COALESCE(ROW_FORMAT, 'NONE') AS SHOWN_FORMAT, COALESCE(TABLE_ROWS, 0) AS SHOWN_ROWS, \
             COALESCE(DATA_LENGTH, 0) AS DATA_BYTES, COALESCE(INDEX_LENGTH, 0) AS INDEX_BYTES, COALESCE(DATA_FREE, 0) AS \
             FREE_BYTES, COALESCE(CREATE_OPTIONS, 'NONE') AS SHOWN_OPTIONS FROM information_schema.TABLES WHERE \
             TABLE_SCHEMA {schemas}"
        )
        .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let table = [("schema", "TABLE_SCHEMA"), ("table", "TABLE_NAME")];
    let whole = [
        table[0],
        table[1],
        ("type", "TABLE_TYPE"),
        ("engine", "SHOWN_ENGINE"),
        ("row_format", "SHOWN_FORMAT"),
        ("create_options", "SHOWN_OPTIONS"),
    ];
    write(rows, &whole, &[plain("SHOWN_VERSION", &VERSION)], out);
    let values = [
        plain("SHOWN_ROWS", &ROWS),
        labelled("DATA_BYTES", &SIZE, 1.0, ("component", "data_length")),
        labelled("INDEX_BYTES", &SIZE, 1.0, ("component", "index_length")),
        labelled("FREE_BYTES", &SIZE, 1.0, ("component", "data_free")),
    ];
    write(rows, &table, &values, out);
}
