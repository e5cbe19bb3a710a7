//! Hosts whose connections failed, and how near each is to being blocked.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.host_cache",
    summary: "Hosts whose connections fail, and how near they are to being blocked (performance_schema.host_cache)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.host_cache"] },
    ask,
    read,
};

crate::metrics! {
    /// Hosts that the server remembers, by what their connections did. ok: no error lately; erring: errors that count towards a block; blocked: at `max_connect_errors`, whoever comes from there is refused (1129). None with `skip_name_resolve`. Source: performance_schema.host_cache.
    HOSTS: gauge "mysql_conn_host_cache_hosts" { state };
    /// Errors of connecting by kind, summed over hosts; they go on when the cache is emptied. Source: performance_schema.host_cache.
    ERRORS: counter "mysql_conn_host_cache_errors_total" { kind };
    /// The errors of the worst host as a share of `max_connect_errors`: 1 is blocked.
    NEAREST_BLOCK: gauge "mysql_conn_host_cache_nearest_block_ratio" {};
}

/// The kinds of errors, each the column `COUNT_…_ERRORS` in lower case.
pub const KINDS: [&str; 21] = [
    "host_blocked",
    "nameinfo_transient",
    "nameinfo_permanent",
    "format",
    "addrinfo_transient",
    "addrinfo_permanent",
    "fcrdns",
    "host_acl",
    "no_auth_plugin",
    "auth_plugin",
    "handshake",
    "proxy_user",
    "proxy_user_acl",
    "authentication",
    "ssl",
    "max_user_connections",
    "max_user_connections_per_hour",
    "default_database",
    "init_connect",
    "local",
    "unknown",
];

/// Columns before those of the kinds.
pub const BEFORE_KINDS: usize = 4;

fn ask(known: &Known) -> Ask {
    const TABLE: &str = "performance_schema.host_cache";
    if let Some(why) = known.lacks(TABLE, &["performance_schema"]) {
        return Ask::skip(why);
    }
    let sums: String = KINDS
        .iter()
        .map(|kind| {
            match known.server.mysql_since(8, 0, 0) || known.facts.has_column(TABLE, &format!("count_{kind}_errors")) {
                true => format!(", SUM(COUNT_{}_ERRORS)", kind.to_ascii_uppercase()),
                false => ", 0".to_owned(),
            }
        })
        .collect();
    Ask::Sql(
        format!(
            "SELECT COUNT(*), SUM(SUM_CONNECT_ERRORS > 0), SUM(SUM_CONNECT_ERRORS >= @@GLOBAL.max_connect_errors), \
             MAX(SUM_CONNECT_ERRORS) / @@GLOBAL.max_connect_errors{sums} FROM performance_schema.host_cache"
        )
        .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let Some(row) = rows.iter().next().filter(|row| row.len() == BEFORE_KINDS + KINDS.len()) else { return };
    // Sums over no rows are NULL.
    let value = |at: usize| row[at].and_then(number).unwrap_or_default();
    let (all, with_errors, blocked) = (value(0), value(1), value(2));
    let id = out.family(HOSTS.name, HOSTS.kind, HOSTS.help());
    for (state, count) in [("ok", all - with_errors), ("erring", with_errors - blocked), ("blocked", blocked)] {
        out.sample(id, &[("state", state)], count);
    }
    out.single(NEAREST_BLOCK.name, NEAREST_BLOCK.kind, NEAREST_BLOCK.help(), value(3).min(1.0));
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    fn told(first: [Option<&str>; BEFORE_KINDS]) -> Vec<String> {
        let columns = vec!["c"; BEFORE_KINDS + KINDS.len()];
        let row = first.into_iter().chain([None; KINDS.len()]).collect();
        shown(read, &[Rows::of(&columns, [row])])
    }

    #[test]
    fn hosts_are_counted_by_how_near_they_are_to_the_block() {
        assert_eq!(
            told([Some("7"), Some("3"), Some("1"), Some("1.2")]),
            [
                "mysql_conn_host_cache_hosts{state=\"ok\"} 4",
                "mysql_conn_host_cache_hosts{state=\"erring\"} 2",
                "mysql_conn_host_cache_hosts{state=\"blocked\"} 1",
                "mysql_conn_host_cache_nearest_block_ratio 1",
            ]
        );
        assert!(
            told([Some("0"), None, None, None]).contains(&"mysql_conn_host_cache_nearest_block_ratio 0".to_owned())
        );
    }
}
