//! Sessions of applications are about to be ended for resting.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{count, duration, lifetime, safe_lifetime};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "sessions_near_timeout",
    summary: "sessions of applications have rested for more than 80 % of `wait_timeout`",
    severities: &[Severity::Warning],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    let near: Vec<_> =
        facts.all("mysql_conn_sessions_near_timeout").into_iter().filter(|sample| sample.value > 0.0).collect();
    let sum: f64 = near.iter().map(|sample| sample.value).sum();
    if near.is_empty() {
        return None;
    }
    let limit = facts.variable("wait_timeout")?;
    let seen: Vec<String> = near
        .iter()
        .map(|sample| {
            let user = sample.label("user");
            let oldest = facts.labelled("mysql_conn_sessions_idle_oldest_seconds", "user", user).unwrap_or_default();
            format!("{user}: {:.0}, the oldest for {}", sample.value, duration(oldest))
        })
        .collect();
    let oldest = facts.all("mysql_conn_sessions_idle_oldest_seconds").iter().map(|one| one.value).fold(0.0, f64::max);
    let safe = safe_lifetime(limit);
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("{} will soon be ended for resting", count(sum, "session", "sessions")),
        )
        .seen(format!("{}; wait_timeout is {}", seen.join("; "), duration(limit)))
        .why("whoever uses one of them next, after the limit, finds that the server has gone away (2006)")
        .change(Change::new(format!("pools that replace connections after {safe} s at most")).pool(lifetime(safe)))
        .change(
            Change::new("where the pool cannot: a longer limit; connections that are open keep theirs")
                .set("wait_timeout", (oldest * 2.0).max(limit * 2.0).min(28_800.0).max(limit).ceil()),
        )
        .verify("mysql_conn_sessions_near_timeout is 0 for each account"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    fn near(sessions: u32) -> Option<Finding> {
        let near = format!("mysql_conn_sessions_near_timeout{{user=shop}} {sessions}");
        let oldest = "mysql_conn_sessions_idle_oldest_seconds{user=shop} 590";
        mysql(&["mysql_global_variables_wait_timeout 600", &near, oldest]).judged(&RULE)
    }

    #[test]
    fn sessions_near_their_end_are_told_with_a_lifetime_that_is_safe() {
        let finding = near(3).expect("three");
        assert_eq!(finding.title, "3 sessions will soon be ended for resting");
        assert_eq!(finding.seen, "shop: 3, the oldest for 9 min 50 s; wait_timeout is 10 min");
        assert!(finding.changes[0].pool[2].contains("SetConnMaxLifetime(480 * time.Second)"));
        assert_eq!(finding.changes[1].sql, ["SET GLOBAL wait_timeout = 1200;"]);
    }

    #[test]
    fn sessions_that_are_in_use_are_none() {
        assert_eq!(near(0), None);
    }
}
