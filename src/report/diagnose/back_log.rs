//! Fewer connections may wait to be accepted than come at once when all clients start.

use super::facts::Facts;
use super::rule::Rule;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "back_log_small",
    summary: "`back_log` is below a fifth of `max_connections` and 50, at most 900: what the servers compute themselves",
    severities: &[Severity::Info],
    judge,
};

/// What both flavors computed for as long as they have it.
fn usual(limit: f64) -> f64 {
    (50.0 + (limit / 5.0).floor()).min(900.0)
}

fn judge(facts: &Facts) -> Option<Finding> {
    let (back_log, limit) = (facts.variable("back_log")?, facts.variable("max_connections")?);
    if back_log >= usual(limit) {
        return None;
    }
    // With a half more the next change of the limit does not undo it.
    let wise = usual(limit * 1.5);
    Some(
        Finding::new(RULE.name, Severity::Info, format!("only {back_log:.0} connections may wait to be accepted"))
            .seen(format!("back_log = {back_log:.0}, max_connections = {limit:.0}"))
            .why("when all clients connect at once, as after a restart, those beyond are dropped and retry after a second or more")
            .change(
                Change::new("a longer queue; Linux cuts it at net.core.somaxconn (sysctl)").restart("back_log", wise),
            )
            .verify("mysql_global_variables_back_log, and `ss -ltn` on the server's port (Send-Q)"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    fn queue(back_log: u32, limit: u32) -> Option<Finding> {
        let lines = [
            format!("mysql_global_variables_back_log {back_log}"),
            format!("mysql_global_variables_max_connections {limit}"),
        ];
        mysql(&lines.each_ref().map(String::as_str)).judged(&RULE)
    }

    #[test]
    fn a_short_queue_is_told() {
        let finding = queue(10, 151).expect("short");
        assert_eq!(
            (finding.changes[0].restart, &finding.changes[0].my_cnf[..]),
            (true, &["back_log = 95".to_owned()][..])
        );
        assert!(queue(80, 2000).is_some());
    }

    #[test]
    fn what_the_servers_compute_is_none() {
        for (back_log, limit) in [(80, 151), (151, 151), (900, 100_000), (450, 2000)] {
            assert_eq!(queue(back_log, limit), None);
        }
    }
}
