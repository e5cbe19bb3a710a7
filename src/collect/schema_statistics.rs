//! `information_schema.TABLE_STATISTICS`: rows read and changed of each schema, where `userstat` is on.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.schemastats",
    summary: "Rows read and changed of each schema (information_schema.TABLE_STATISTICS; needs userstat)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs { variables: &["userstat", "userstat_running"], tables: &["information_schema.table_statistics"] },
    ask,
    read,
};

crate::metrics! {
    /// Rows read of each schema; needs userstat.
    READ: counter "mysql_info_schema_schema_statistics_rows_read_total" { schema };
    /// Rows changed of each schema; needs userstat.
    CHANGED: counter "mysql_info_schema_schema_statistics_rows_changed_total" { schema };
    /// Rows changed of each schema, times the indexes that had to be changed too; needs userstat.
    CHANGED_X: counter "mysql_info_schema_schema_statistics_rows_changed_x_indexes_total" { schema };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("information_schema.table_statistics", &["userstat", "userstat_running"]) {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT TABLE_SCHEMA, SUM(ROWS_READ) AS ROWS_READ, SUM(ROWS_CHANGED) AS ROWS_CHANGED, SUM(ROWS_CHANGED_X_INDEXES) AS ROWS_CHANGED_X_INDEXES FROM \
         information_schema.TABLE_STATISTICS GROUP BY TABLE_SCHEMA"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values =
        [plain("ROWS_READ", &READ), plain("ROWS_CHANGED", &CHANGED), plain("ROWS_CHANGED_X_INDEXES", &CHANGED_X)];
    write(rows, &[("schema", "TABLE_SCHEMA")], &values, out);
}
