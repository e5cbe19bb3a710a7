//! `information_schema.INNODB_CMP`: how often pages of compressed InnoDB tables were compressed, and how long that took.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_cmp",
    summary: "Compression of InnoDB pages (information_schema.INNODB_CMP)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask,
    read,
};

crate::metrics! {
    /// Times that a page of this size was compressed (COMPRESS_OPS), since the server started or the table was reset.
    OPS: counter "mysql_info_schema_innodb_cmp_compress_ops_total" { page_size };
    /// Times that a page of this size was compressed well enough to fit (COMPRESS_OPS_OK); the rest was split.
    OPS_OK: counter "mysql_info_schema_innodb_cmp_compress_ops_ok_total" { page_size };
    /// Seconds spent trying to compress pages of this size (COMPRESS_TIME).
    TIME: counter "mysql_info_schema_innodb_cmp_compress_time_seconds_total" { page_size };
    /// Times that a page of this size was uncompressed (UNCOMPRESS_OPS).
    UNOPS: counter "mysql_info_schema_innodb_cmp_uncompress_ops_total" { page_size };
    /// Seconds spent uncompressing pages of this size (UNCOMPRESS_TIME).
    UNTIME: counter "mysql_info_schema_innodb_cmp_uncompress_time_seconds_total" { page_size };
}

fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    Ask::Sql(
        "SELECT page_size, compress_ops, compress_ops_ok, compress_time, uncompress_ops, uncompress_time FROM \
         information_schema.INNODB_CMP"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let values = [
        plain("compress_ops", &OPS),
        plain("compress_ops_ok", &OPS_OK),
        plain("compress_time", &TIME),
        plain("uncompress_ops", &UNOPS),
        plain("uncompress_time", &UNTIME),
    ];
    write(rows, &[("page_size", "page_size")], &values, out);
}
