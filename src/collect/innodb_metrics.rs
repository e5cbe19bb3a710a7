//! `information_schema.INNODB_METRICS`: a family for each counter that is enabled.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_metrics",
    summary: "Counters of InnoDB (information_schema.INNODB_METRICS)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs::table(&["information_schema.innodb_metrics"]),
    ask,
    read,
};

crate::metrics! {
    /// Pages read, by type (subsystem buffer_page_io).
    READ: counter "mysql_info_schema_innodb_metrics_buffer_page_read_total" { type };
    /// Pages written, by type (subsystem buffer_page_io).
    WRITTEN: counter "mysql_info_schema_innodb_metrics_buffer_page_written_total" { type };
    /// Pages of the buffer pool, by what they hold (subsystem buffer).
    PAGES: gauge "mysql_info_schema_innodb_metrics_buffer_pool_pages" { state };
    /// Pages of the buffer pool that are not yet written (subsystem buffer).
    DIRTY: gauge "mysql_info_schema_innodb_metrics_buffer_pool_dirty_pages" {};
}

fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    if !known.facts.has_table("information_schema.innodb_metrics") {
        return Ask::skip(Why::Version);
    }
    // MariaDB counts enabled ones with ENABLED, MySQL and older ones say STATUS.
    let is_on = match known.facts.has_column("information_schema.innodb_metrics", "enabled") {
        true => "ENABLED = 1",
        false => "STATUS = 'enabled'",
    };
    Ask::Sql(
        format!("SELECT NAME, SUBSYSTEM, TYPE, COMMENT, COUNT FROM information_schema.INNODB_METRICS WHERE {is_on}")
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let [read, written, pages, dirty] =
        [&READ, &WRITTEN, &PAGES, &DIRTY].map(|family| out.family(family.name, family.kind, family.help()));
    for row in rows.iter() {
        let [Some(name), Some(subsystem), Some(kind), comment, Some(text)] = row[..] else { continue };
        let Some(value) = number(text) else { continue };
        if subsystem == "buffer_page_io" {
            match (name.strip_prefix("buffer_page_read_"), name.strip_prefix("buffer_page_written_")) {
                (Some(of_type), _) => out.sample(read, &[("type", of_type)], value),
                (_, Some(of_type)) => out.sample(written, &[("type", of_type)], value),
                _ => {}
            }
            continue;
        }
        match name.strip_prefix("buffer_pool_pages_").filter(|_| subsystem == "buffer") {
            // The sum of the states.
            Some("total") => continue,
            Some("dirty") => {
                out.sample(dirty, &[], value);
                continue;
            }
            Some(state) => {
                out.sample(pages, &[("state", state)], value);
                continue;
            }
            None => {}
        }
        let name = format!("mysql_info_schema_innodb_metrics_{subsystem}_{name}");
        // A counter that is below zero has overflown in the server.
        let counts = matches!(kind, "counter" | "status_counter") && value >= 0.0;
        let (name, kind) = if counts { (name + "_total", Kind::Counter) } else { (name, Kind::Gauge) };
        out.single(&name, kind, comment.unwrap_or_default().to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    #[test]
    fn counters_gauges_and_groups_are_told_apart() {
        let row =
            |name, subsystem, kind, count| vec![Some(name), Some(subsystem), Some(kind), Some("words"), Some(count)];
        let rows = Rows::of(
            &["NAME", "SUBSYSTEM", "TYPE", "COMMENT", "COUNT"],
            [
                row("lock_deadlocks", "lock", "counter", "3"),
                row("buffer_flush_adaptive", "buffer", "value", "4"),
                row("lock_rec_locks", "lock", "counter", "-1"),
                row("buffer_page_read_index_leaf", "buffer_page_io", "counter", "5"),
                row("buffer_pool_pages_total", "buffer", "value", "6"),
                row("buffer_pool_pages_dirty", "buffer", "value", "7"),
                row("buffer_pool_pages_free", "buffer", "value", "8"),
            ],
        );
        let expected = [
            "mysql_info_schema_innodb_metrics_buffer_buffer_flush_adaptive 4",
            "mysql_info_schema_innodb_metrics_buffer_page_read_total{type=\"index_leaf\"} 5",
            "mysql_info_schema_innodb_metrics_buffer_pool_dirty_pages 7",
            "mysql_info_schema_innodb_metrics_buffer_pool_pages{state=\"free\"} 8",
            "mysql_info_schema_innodb_metrics_lock_lock_deadlocks_total 3",
            "mysql_info_schema_innodb_metrics_lock_lock_rec_locks -1",
        ];
        assert_eq!(shown(read, &[rows]), expected);
    }
}
