//! `information_schema.INNODB_TABLESPACES`, or `INNODB_SYS_TABLESPACES` by its older name.

use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_tablespaces",
    summary: "Size of InnoDB tablespaces (information_schema.INNODB_TABLESPACES)",
    default_on: false,
    pace: Pace::Slow(Duration::from_secs(300)),
    needs: Needs::table(&["information_schema.innodb_tablespaces", "information_schema.innodb_sys_tablespaces"]),
    ask,
    read,
};

crate::metrics! {
    /// The number of the tablespace, and what it is.
    INFO: gauge "mysql_info_schema_innodb_tablespace_space_info" { tablespace_name, file_format, row_format, space_type };
    /// Bytes that the file of the tablespace seems to have (FILE_SIZE).
    FILE: gauge "mysql_info_schema_innodb_tablespace_file_size_bytes" { tablespace_name };
    /// Bytes that the file of the tablespace takes on disk (ALLOCATED_SIZE).
    ALLOCATED: gauge "mysql_info_schema_innodb_tablespace_allocated_size_bytes" { tablespace_name };
}

fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    let mut tables = ["information_schema.innodb_tablespaces", "information_schema.innodb_sys_tablespaces"].into_iter();
    let Some(table) = tables.find(|table| known.facts.has_table(table)) else { return Ask::skip(Why::Version) };
    // MariaDB's have no type, and no format any more.
    let or = |(column, absent): (&str, &str)| match known.facts.has_column(table, &column.to_ascii_lowercase()) {
        true => format!("COALESCE({column}, 'NONE') AS {column}"),
        false => format!("'{absent}' AS {column}"),
    };
    let [format, row_format, space_type] =
        [("FILE_FORMAT", "NONE"), ("ROW_FORMAT", "NONE"), ("SPACE_TYPE", "")].map(or);
    let name = table.to_ascii_uppercase().replace("INFORMATION_SCHEMA", "information_schema");
    Ask::Sql(
        format!("SELECT SPACE, NAME, {format}, {row_format}, {space_type}, FILE_SIZE, ALLOCATED_SIZE FROM {name}")
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let name = ("tablespace_name", "NAME");
    let whole = [name, ("file_format", "FILE_FORMAT"), ("row_format", "ROW_FORMAT"), ("space_type", "SPACE_TYPE")];
    write(rows, &whole, &[plain("SPACE", &INFO)], out);
    write(rows, &[name], &[plain("FILE_SIZE", &FILE), plain("ALLOCATED_SIZE", &ALLOCATED)], out);
}
