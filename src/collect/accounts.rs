//! How many connections each account has opened since the server started: churn, a pool that is missing.
//!
//! The server's own sums fall when it restarts or its tables are emptied, and its accounts may be thousands. So the counters
//! are kept by `watch`; here is what the server is asked.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.accounts",
    summary: "Connections that accounts have opened (performance_schema.accounts)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.accounts"] },
    ask,
    read,
};

crate::metrics! {
    /// Connections that sessions have opened, by account and host (or the group of `host_groups` that it is in): the 20 pairs that opened most when they were first seen, the rest as `other`. Source: performance_schema.accounts.
    OPENED: counter "mysql_conn_sessions_opened_total" { user, host_group };
}

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.accounts", &["performance_schema"]) {
        return Ask::skip(why);
    }
    Ask::All(vec![
        "SELECT SUM(TOTAL_CONNECTIONS) FROM performance_schema.accounts WHERE USER IS NOT NULL".into(),
        "SELECT USER, HOST, TOTAL_CONNECTIONS FROM performance_schema.accounts WHERE USER IS NOT NULL ORDER BY \
         TOTAL_CONNECTIONS DESC LIMIT 200"
            .into(),
    ])
}

fn read(_: &[Rows], _: &Known, _: &mut BlockBuilder) {}
