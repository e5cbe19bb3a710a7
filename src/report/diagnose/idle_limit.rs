//! Something between here and the server ends idle connections before the server would.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{duration, found_safe, lifetime};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "idle_limit_of_path",
    summary: "the path from this exporter ends idle connections earlier than `wait_timeout`",
    severities: &[Severity::Warning],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    facts.labelled("mysql_conn_idle_limit_owner", "owner", "middlebox").filter(|is_it| *is_it == 1.0)?;
    let limit = facts.value("mysql_conn_idle_lost_min_seconds")?;
    let survived = facts.value("mysql_conn_idle_survived_max_seconds").unwrap_or_default();
    let configured = facts.labelled("mysql_conn_idle_timeout_configured_seconds", "setting", "wait_timeout");
    if configured.is_some_and(|configured| limit >= configured) {
        return None;
    }
    let safe = found_safe(limit, facts.value("mysql_conn_idle_safe_lifetime_seconds"));
    let promised = configured.map(|configured| format!("; the server's wait_timeout is {}", duration(configured)));
    let above = configured.map_or(limit * 2.0, |configured| configured + 60.0);
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("something on the way ends connections that rest for {}", duration(limit)),
        )
        .seen(format!(
            "a rest of {} was survived, one of {} was not{}",
            duration(survived),
            duration(limit),
            promised.unwrap_or_default()
        ))
        .why(
            "a proxy, firewall or NAT ends the connection while the pool still takes it for good: the next query fails with \
             2006 or 2013, or, where neither side is told, hangs until its timeout",
        )
        .change(
            Change::new(format!("pools that replace connections after {} at most", duration(safe as f64)))
                .pool(lifetime(safe)),
        )
        .change(Change::new(format!(
            "or raise the idle timeout of what lies between above {} (HAProxy: `timeout client` and `timeout server`; \
             keepalives every {} serve where it only counts packets)",
            duration(above),
            duration((limit / 3.0).max(1.0))
        )))
        .verify("mysql_conn_idle_limit_owner{owner=\"middlebox\"} is 0 after the next test of the ladder"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    #[test]
    fn a_path_that_is_quicker_than_the_server_is_told() {
        let finding = mysql(&[
            "mysql_conn_idle_limit_owner{owner=middlebox} 1",
            "mysql_conn_idle_lost_min_seconds 350",
            "mysql_conn_idle_survived_max_seconds 340",
            "mysql_conn_idle_safe_lifetime_seconds 272",
            "mysql_conn_idle_timeout_configured_seconds{setting=wait_timeout} 28800",
        ]);
        let finding = finding.judged(&RULE).expect("a middlebox");
        assert_eq!(
            finding.seen,
            "a rest of 5 min 40 s was survived, one of 5 min 50 s was not; the server's wait_timeout is 8 h"
        );
        assert!(finding.changes[0].pool[0].contains("pool_recycle=272"), "{:?}", finding.changes);
    }

    #[test]
    fn a_path_that_keeps_what_the_server_keeps_is_none() {
        assert_eq!(
            mysql(&["mysql_conn_idle_limit_owner{owner=middlebox} 0", "mysql_conn_idle_lost_min_seconds 300"])
                .judged(&RULE),
            None
        );
        assert_eq!(mysql(&["mysql_conn_idle_limit_owner{owner=middlebox} 1"]).judged(&RULE), None);
    }
}
