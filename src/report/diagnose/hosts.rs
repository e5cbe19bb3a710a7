//! Hosts whose connections fail come near a block.

use super::facts::Facts;
use super::rule::Rule;
use super::words::percent;
use crate::mysql::failure::Reason;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "host_near_block",
    summary: "a host has at least half of the errors that block it (`max_connect_errors`)",
    severities: &[Severity::Warning],
    judge,
};

const NEAR: f64 = 0.5;

fn judge(facts: &Facts) -> Option<Finding> {
    let share = facts.value("mysql_conn_host_cache_nearest_block_ratio")?;
    if share < NEAR || blocked(facts) > 0.0 || is_blocked(facts) {
        return None;
    }
    let limit = facts.variable("max_connect_errors").unwrap_or_default();
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("a host is at {} of the errors that block it", percent(share)),
        )
        .seen(format!("about {:.0} errors in a row from one host, max_connect_errors = {limit:.0}", share * limit))
        .why("at the limit the server refuses every client from that host with error 1129, until somebody unblocks it")
        .change(unblock(facts, limit))
        .verify("mysql_conn_host_cache_nearest_block_ratio is below 0.5"),
    )
}

/// Hosts that are blocked, as the host cache has them.
pub(super) fn blocked(facts: &Facts) -> f64 {
    facts.labelled("mysql_conn_host_cache_hosts", "state", "blocked").unwrap_or_default()
}

/// Whether this host is.
pub(super) fn is_blocked(facts: &Facts) -> bool {
    facts.failure().is_some_and(|failure| failure.reason == Reason::HostBlocked)
}

/// Forgets the errors, and allows more of them.
pub(super) fn unblock(facts: &Facts, limit: f64) -> Change {
    let change =
        Change::new("find out what fails there (aborted_connects says of which kind), forget the errors, allow more");
    let change = match facts.server().is_some_and(|server| server.mysql_since(8, 0, 0)) {
        true => change.sql("TRUNCATE TABLE performance_schema.host_cache;"),
        false => change.sql("FLUSH HOSTS;"),
    };
    change.set("max_connect_errors", (limit * 10.0).max(10_000.0))
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mariadb, mysql, sql};
    use super::*;

    #[test]
    fn a_host_near_a_block_is_told() {
        let lines = ["mysql_conn_host_cache_nearest_block_ratio 0.9", "mysql_global_variables_max_connect_errors 10"];
        let finding = mysql(&lines).judged(&RULE).expect("nine of ten");
        assert!(finding.seen.starts_with("about 9 errors"), "{}", finding.seen);
        assert_eq!(
            sql(&finding),
            ["TRUNCATE TABLE performance_schema.host_cache;", "SET GLOBAL max_connect_errors = 10000;"]
        );
        assert_eq!(sql(&mariadb(&lines).judged(&RULE).expect("the same"))[0], "FLUSH HOSTS;");
    }

    #[test]
    fn a_host_that_is_far_from_it_is_none() {
        assert_eq!(mysql(&["mysql_conn_host_cache_nearest_block_ratio 0.4"]).judged(&RULE), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
    }
}
