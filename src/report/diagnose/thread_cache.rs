//! The server starts a thread for many of its connections.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{duration, percent};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "thread_cache_small",
    summary: "more than 10 % of the connections, and at least 50, needed a new thread, and `thread_cache_size` is below the peak",
    severities: &[Severity::Warning],
    judge,
};

const SHARE: f64 = 0.10;
const FROM: f64 = 50.0;

/// Threads beyond that are hardly ever needed at once.
const MOST: f64 = 100.0;

fn judge(facts: &Facts) -> Option<Finding> {
    let cached = facts.variable("thread_cache_size")?;
    // With a pool of threads the cache is not used.
    let has_pool =
        facts.variable("thread_pool_size").is_some() && facts.status("threadpool_threads").unwrap_or_default() > 0.0;
    let peak = facts.status("max_used_connections")?;
    let enough = peak.clamp(8.0, MOST);
    let created = facts.growth("threads_created")?;
    let connections = facts.growth("connections")?.by;
    if has_pool || cached >= enough || created.by < FROM || created.by / connections <= SHARE {
        return None;
    }
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("{} of the connections wait for a new thread", percent((created.by / connections).min(1.0))),
        )
        .seen(format!(
            "{:.0} threads created for {connections:.0} connections within {}, thread_cache_size = {cached:.0}, \
                 Max_used_connections = {peak:.0}",
            created.by,
            duration(created.over.as_secs_f64())
        ))
        .why("creating a thread takes longer than the rest of a login, most of all when many connect at once")
        .change(Change::new("as many threads as the peak has, up to a hundred").set("thread_cache_size", enough))
        .verify("rate(mysql_global_status_threads_created[5m]) is near 0"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mysql, sql};
    use super::*;

    fn created(created: u32, cached: u32) -> Option<Finding> {
        mysql(&[
            "mysql_global_status_connections 1000",
            "mysql_global_status_uptime 3600",
            "mysql_global_status_max_used_connections 40",
            &format!("mysql_global_status_threads_created {created}"),
            &format!("mysql_global_variables_thread_cache_size {cached}"),
        ])
        .judged(&RULE)
    }

    #[test]
    fn a_cache_below_the_peak_that_misses_is_told() {
        let finding = created(500, 0).expect("half");
        assert_eq!(finding.title, "50 % of the connections wait for a new thread");
        assert_eq!(sql(&finding), ["SET GLOBAL thread_cache_size = 40;"]);
    }

    #[test]
    fn a_cache_that_serves_is_none() {
        assert_eq!(created(500, 40), None);
        assert_eq!(created(90, 0), None);
    }
}
