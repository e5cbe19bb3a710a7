//! Which TLS the sessions of applications have.

use std::collections::BTreeMap;
use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.session_tls",
    summary: "TLS versions of sessions (performance_schema.status_by_thread)",
    default_on: true,
    pace: Pace::Seldom(Duration::from_secs(60)),
    needs: Needs {
        variables: &["performance_schema"],
        tables: &[
            "performance_schema.threads",
            "performance_schema.session_connect_attrs",
            "performance_schema.status_by_thread",
        ],
    },
    ask,
    read,
};

crate::metrics! {
    /// Sessions of applications by the version of TLS that they use, `none` without; ours left out. MySQL only: MariaDB does not tell of other sessions. Source: performance_schema.status_by_thread.
    TLS: gauge "mysql_conn_sessions_tls" { version };
}

const TABLES: [&str; 3] =
    ["performance_schema.status_by_thread", "performance_schema.threads", "performance_schema.session_connect_attrs"];

fn ask(known: &Known) -> Ask {
    // MariaDB has the table, and in it nothing of TLS.
    if known.server.is_mariadb() {
        return Ask::skip(Why::Version);
    }
    if let Some(why) = TABLES.iter().find_map(|table| known.lacks(table, &["performance_schema"])) {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT COALESCE(NULLIF(s.VARIABLE_VALUE, ''), 'none'), COUNT(*) FROM performance_schema.status_by_thread s JOIN \
         performance_schema.threads t ON t.THREAD_ID = s.THREAD_ID LEFT JOIN performance_schema.session_connect_attrs a ON \
         a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = 'program_name' WHERE s.VARIABLE_NAME = 'Ssl_version' AND \
         t.TYPE = 'FOREGROUND' AND t.PROCESSLIST_COMMAND <> 'Daemon' AND COALESCE(a.ATTR_VALUE, \
         IF(CONCAT(t.PROCESSLIST_USER, '@', t.PROCESSLIST_HOST) = USER(), 'goneaway', '')) <> 'goneaway' GROUP BY 1"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    // Those that people look for are there at 0.
    let mut versions = BTreeMap::from([("none", 0.0), ("TLSv1.2", 0.0), ("TLSv1.3", 0.0)]);
    for (version, count) in rows.pairs() {
        *versions.entry(version).or_default() += number(count).unwrap_or_default();
    }
    let id = out.family(TLS.name, TLS.kind, TLS.help());
    versions.iter().for_each(|(version, count)| out.sample(id, &[("version", version)], *count));
}
