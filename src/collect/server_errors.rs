//! Errors that accounts have met, of those that are about connections.

use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.server_errors",
    summary: "Errors that accounts have met (performance_schema.events_errors_summary_by_user_by_error)",
    default_on: true,
    pace: Pace::Seldom(Duration::from_secs(60)),
    needs: Needs {
        variables: &["performance_schema"],
        tables: &["performance_schema.events_errors_summary_by_user_by_error"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Errors that the server has raised, by account (the 10 with most when they were first seen, the rest as `other`) and error number (those about connections, the rest as `other`). MySQL 8.0 and later. Source: performance_schema.events_errors_summary_by_user_by_error.
    ERRORS: counter "mysql_conn_server_errors_total" { user, errno };
}

/// Errors about connecting, being connected and being cut off; what deadlocks and lock waits cost stands beside them.
pub const ABOUT_CONNECTIONS: [&str; 34] = [
    "1040", "1042", "1043", "1044", "1045", "1047", "1049", "1053", "1080", "1129", "1130", "1152", "1153", "1156",
    "1158", "1159", "1160", "1161", "1184", "1203", "1205", "1213", "1226", "1227", "1251", "1290", "1317", "1862",
    "3024", "3118", "3159", "3169", "4031", "4062",
];

fn ask(known: &Known) -> Ask {
    if let Some(why) = known.lacks("performance_schema.events_errors_summary_by_user_by_error", &["performance_schema"])
    {
        return Ask::skip(why);
    }
    Ask::Sql(
        "SELECT USER, ERROR_NUMBER, SUM_ERROR_RAISED FROM performance_schema.events_errors_summary_by_user_by_error WHERE \
         SUM_ERROR_RAISED > 0 AND USER IS NOT NULL AND ERROR_NUMBER IS NOT NULL ORDER BY SUM_ERROR_RAISED DESC LIMIT 2000"
            .into(),
    )
}

fn read(_: &[Rows], _: &Known, _: &mut BlockBuilder) {}
