//! `information_schema.INNODB_CMPMEM`: compressed pages in the InnoDB buffer pool.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::table::{plain, scaled, write};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_cmpmem",
    summary: "Compressed pages in the InnoDB buffer pool (information_schema.INNODB_CMPMEM)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask,
    read,
};

crate::metrics! {
    /// Blocks of this size that are in use now (PAGES_USED). A counter by its old name only: it falls too.
    USED: counter "mysql_info_schema_innodb_cmpmem_pages_used_total" { page_size, buffer_pool };
    /// Blocks of this size that are free now (PAGES_FREE). A counter by its old name only: it falls too.
    FREE: counter "mysql_info_schema_innodb_cmpmem_pages_free_total" { page_size, buffer_pool };
    /// Times that a block of this size was moved (RELOCATION_OPS).
    OPS: counter "mysql_info_schema_innodb_cmpmem_relocation_ops_total" { page_size, buffer_pool };
    /// Time spent moving blocks of this size (RELOCATION_TIME), in thousands of microseconds in spite of its name, as it always was.
    TIME: counter "mysql_info_schema_innodb_cmpmem_relocation_time_seconds_total" { page_size, buffer_pool };
}

fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    Ask::Sql(
        "SELECT page_size, buffer_pool_instance, pages_used, pages_free, relocation_ops, relocation_time FROM \
         information_schema.INNODB_CMPMEM"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let labels = [("page_size", "page_size"), ("buffer_pool", "buffer_pool_instance")];
    let values = [
        plain("pages_used", &USED),
        plain("pages_free", &FREE),
        plain("relocation_ops", &OPS),
        scaled("relocation_time", &TIME, 1e3),
    ];
    write(rows, &labels, &values, out);
}
