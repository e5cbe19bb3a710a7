//! `information_schema.ROCKSDB_PERF_CONTEXT`: counters of the MyRocks engine, by table and partition.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.rocksdb_perf_context",
    summary: "RocksDB counters by table (information_schema.ROCKSDB_PERF_CONTEXT)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs::table(&["information_schema.rocksdb_perf_context"]),
    ask,
    read,
};

fn ask(known: &Known) -> Ask {
    if !known.facts.has_table("information_schema.rocksdb_perf_context") {
        return Ask::skip(Why::Version);
    }
    Ask::Sql(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COALESCE(PARTITION_NAME, ''), STAT_TYPE, VALUE FROM \
         information_schema.ROCKSDB_PERF_CONTEXT"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    for row in rows.iter() {
        let [schema, table, part, Some(counter), Some(text)] = row[..] else { continue };
        let counter = counter.to_ascii_lowercase();
        if !COUNTERS.contains(&&*counter) {
            continue;
        }
        let Some(value) = number(text) else { continue };
        let name = format!("mysql_info_schema_rocksdb_perf_context_{counter}");
        let help = format!("{} of ROCKSDB_PERF_CONTEXT.", counter.to_ascii_uppercase());
        let family = out.family(&name, Kind::Counter, help);
        let label = Option::unwrap_or_default;
        out.sample(family, &[("schema", label(schema)), ("table", label(table)), ("part", label(part))], value);
    }
}

/// Those that are told: the others are times that the server measures only on request.
const COUNTERS: [&str; 23] = [
    "user_key_comparison_count",
    "block_cache_hit_count",
    "block_read_count",
    "block_read_byte",
    "get_read_bytes",
    "multiget_read_bytes",
    "iter_read_bytes",
    "internal_key_skipped_count",
    "internal_delete_skipped_count",
    "internal_recent_skipped_count",
    "internal_merge_count",
    "get_from_memtable_count",
    "seek_on_memtable_count",
    "next_on_memtable_count",
    "prev_on_memtable_count",
    "seek_child_seek_count",
    "bloom_memtable_hit_count",
    "bloom_memtable_miss_count",
    "bloom_sst_hit_count",
    "bloom_sst_miss_count",
    "key_lock_wait_count",
    "io_bytes_written",
    "io_bytes_read",
];
