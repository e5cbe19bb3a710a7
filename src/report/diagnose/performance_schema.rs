//! The server keeps no account of its sessions.

use super::facts::Facts;
use super::rule::Rule;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "performance_schema_off",
    summary: "`performance_schema` is off, so that part of this cannot be seen (info)",
    severities: &[Severity::Info],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    if facts.variable("performance_schema")? != 0.0 {
        return None;
    }
    let mut unseen = vec!["programs of sessions", "connections that accounts open", "hosts near a block"];
    if !facts.is_mariadb() {
        unseen.extend(["TLS of sessions", "errors by account"]);
    }
    Some(
        Finding::new(RULE.name, Severity::Info, "performance_schema is off")
            .seen(format!("performance_schema = OFF; not seen: {}", unseen.join(", ")))
            .why("who opens the connections, from which program, and which host is about to be blocked stays in the dark")
            .change(Change::new("some memory for an account of all sessions").restart("performance_schema", "ON"))
            .verify("mysql_conn_feature_supported has no series with why=\"off\""),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mariadb, mysql};
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_told() {
        let off = ["mysql_global_variables_performance_schema 0"];
        assert!(mysql(&off).judged(&RULE).expect("off").seen.contains("TLS of sessions"));
        let finding = mariadb(&off).judged(&RULE).expect("off");
        assert!(!finding.seen.contains("TLS of sessions"));
        assert_eq!(finding.changes[0].my_cnf, ["performance_schema = ON"]);
    }

    #[test]
    fn on_is_none() {
        assert_eq!(mysql(&["mysql_global_variables_performance_schema 1"]).judged(&RULE), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
    }
}
