//! The names of a query's metrics and labels: the rules of our own, and names that belong to somebody.

/// Beginnings of names that are ours, mysqld_exporter's or its libraries', now or in a later version.
const TAKEN: [&str; 28] = [
    "go_",
    "mysql_binlog_",
    "mysql_conn_",
    "mysql_connection_",
    "mysql_engine_",
    "mysql_exporter_",
    "mysql_galera_",
    "mysql_global_",
    "mysql_group_",
    "mysql_heartbeat_",
    "mysql_info_schema_",
    "mysql_last_scrape_",
    "mysql_mysql_",
    "mysql_perf_schema_",
    "mysql_performance_schema_",
    "mysql_slave_",
    "mysql_sys_",
    "mysql_transaction_",
    "mysql_up",
    "mysql_version_",
    "mysqld_exporter_",
    "net_conntrack_",
    "process_",
    "prometheus_",
    "promhttp_",
    "python_",
    "scrape_",
    "up",
];

/// Endings by which a name is taken for a part of a histogram or of a counter.
const ENDINGS: [&str; 7] = ["_bucket", "_count", "_sum", "_gcount", "_gsum", "_created", "_info"];

/// Labels that are given by us, or have a meaning of their own.
const RESERVED: [&str; 3] = ["target", "le", "quantile"];

/// What is wrong with the name of a metric, if anything.
pub(crate) fn metric_flaw(name: &str) -> Option<String> {
    if !is_plain(name) {
        return Some(format!(
            "`{name}` cannot name a metric; write small letters, digits and `_`, such as `shop_orders_waiting`"
        ));
    }
    let taken = TAKEN.iter().find(|taken| match taken.ends_with('_') {
        true => name.starts_with(**taken),
        false => name == **taken,
    });
    if let Some(taken) = taken {
        return Some(match taken.ends_with('_') {
            true => format!("`{name}` is among the names that begin with `{taken}`, which are taken; begin otherwise"),
            false => format!("`{name}` is taken; choose another name"),
        });
    }
    ENDINGS.iter().find(|ending| name.ends_with(**ending)).map(|ending| {
        format!("`{name}` ends in `{ending}`, by which it would be taken for a part of something else; end otherwise")
    })
}

/// What is wrong with the name of a label, if anything.
pub(crate) fn label_flaw(name: &str) -> Option<String> {
    if RESERVED.contains(&name) || name.starts_with("__") {
        return Some(format!("`{name}` is reserved; call the column otherwise by `AS`"));
    }
    let is_good = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (!is_good)
        .then(|| format!("`{name}` cannot name a label; write letters, digits and `_`, and call the column so by `AS`"))
}

/// What is wrong with the name of a query, if anything.
pub(crate) fn query_flaw(name: &str) -> Option<String> {
    (!is_plain(name) || name.len() > 64)
        .then(|| format!("`{name}` cannot name a query; write small letters, digits and `_`, such as `orders_waiting`"))
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_and_parts_of_histograms_are_refused() {
        for (name, says) in [
            ("Orders", "cannot name a metric"),
            ("orders-waiting", "cannot name a metric"),
            ("1a", "cannot name a metric"),
            ("", "cannot name a metric"),
            ("mysql_conn_sessions_mine", "begin with `mysql_conn_`"),
            ("mysql_global_status_mine", "begin with `mysql_global_`"),
            ("mysql_up", "is taken"),
            ("orders_count", "ends in `_count`"),
        ] {
            let flaw = metric_flaw(name).unwrap_or_default();
            assert!(flaw.contains(says), "{name}: {flaw}");
        }
        for name in ["shop_orders", "mysql_orders_total", "mysql_uptime_of_shop", "upgrades_total"] {
            assert_eq!(metric_flaw(name), None);
        }
        for (name, is_good) in [("shop", true), ("Shop_1", true), ("le", false), ("target", false), ("__a", false)] {
            assert_eq!(label_flaw(name).is_none(), is_good, "{name}");
        }
        assert!(label_flaw("a:b").is_some() && label_flaw("").is_some() && query_flaw("A").is_some());
    }
}
