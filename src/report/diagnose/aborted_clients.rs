//! Many connections end without a goodbye.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{duration, lifetime, percent, safe_lifetime};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "aborted_clients",
    summary: "more than 5 % of the connections, and at least ten, were ended without COM_QUIT",
    severities: &[Severity::Warning],
    judge,
};

const SHARE: f64 = 0.05;
const FROM: f64 = 10.0;

fn judge(facts: &Facts) -> Option<Finding> {
    let aborted = facts.growth("aborted_clients")?;
    let connections = facts.growth("connections")?.by.max(aborted.by);
    if aborted.by < FROM || aborted.by / connections <= SHARE {
        return None;
    }
    let wait_timeout = facts.variable("wait_timeout").unwrap_or(28_800.0);
    let near: f64 = facts.all("mysql_conn_sessions_near_timeout").iter().map(|one| one.value).sum();
    // The server counts those that it ends for resting among them.
    let (class, change) = match near > 0.0 || wait_timeout < 600.0 {
        true => (
            "most likely sessions that rest until wait_timeout: pools keep them for longer",
            Change::new("pools that replace connections before the server ends them")
                .pool(lifetime(safe_lifetime(wait_timeout))),
        ),
        false => (
            "most likely programs that end, or are killed, without closing their connections, or a path that cuts them",
            Change::new("close connections at the end of a program, and give containers the time to stop")
                .pool(lifetime(safe_lifetime(wait_timeout.min(3600.0)))),
        ),
    };
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("{} of the connections end without a goodbye", percent(aborted.by / connections)),
        )
        .seen(format!(
            "Aborted_clients rose by {:.0} of {connections:.0} connections within {}; {class}",
            aborted.by,
            duration(aborted.over.as_secs_f64())
        ))
        .why("each is an error in some client's log, a rollback, or a place that was held for nobody")
        .change(change.sql(facts.flush_status()))
        .verify("Aborted_clients no longer rises: rate(mysql_global_status_aborted_clients[5m])"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    fn aborted(aborted: u32, wait_timeout: u32) -> Option<Finding> {
        let aborted = format!("mysql_global_status_aborted_clients {aborted}");
        let limit = format!("mysql_global_variables_wait_timeout {wait_timeout}");
        mysql(&["mysql_global_status_connections 200", "mysql_global_status_uptime 3600", &aborted, &limit])
            .judged(&RULE)
    }

    #[test]
    fn many_are_told_with_their_likely_class() {
        let finding = aborted(20, 28_800).expect("10 %");
        assert_eq!(finding.title, "10 % of the connections end without a goodbye");
        assert!(
            finding.seen.contains("rose by 20 of 200 connections within 60 min; most likely programs"),
            "{}",
            finding.seen
        );
        assert!(aborted(20, 120).expect("10 %").seen.contains("wait_timeout"));
    }

    #[test]
    fn few_are_none() {
        assert_eq!(aborted(10, 28_800), None);
        assert_eq!(aborted(0, 28_800), None);
    }
}
