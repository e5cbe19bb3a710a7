//! The connections in use come near the server's limit.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{count, percent, size, with_spare};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "connections_near_limit",
    summary: "at least 80 % of `max_connections` are in use now (critical from 95 %)",
    severities: &[Severity::Warning, Severity::Critical],
    judge,
};

const NEAR: f64 = 0.80;
const VERY_NEAR: f64 = 0.95;

fn judge(facts: &Facts) -> Option<Finding> {
    let used = facts.status("threads_connected")?;
    let limit = facts.variable("max_connections").filter(|limit| *limit > 0.0)?;
    let share = used / limit;
    if share < NEAR {
        return None;
    }
    let severity = if share >= VERY_NEAR { Severity::Critical } else { Severity::Warning };
    let peak = facts.status("max_used_connections").unwrap_or(used).max(used);
    let hosts = facts.hosts();
    Some(
        Finding::new(RULE.name, severity, format!("{} of the server's connections are in use", percent(share)))
            .seen(format!("{used:.0} of max_connections = {limit:.0}, at most {peak:.0} since the server counts"))
            .why("at the limit every new client is refused with error 1040, and health checks and deployments first")
            .change(room(peak))
            .change(
                Change::new(format!(
                    "or smaller pools: {} share what 70 % of the limit leave",
                    count(hosts, "host", "hosts")
                ))
                .pool(size((limit * 0.7 / hosts).max(1.0) as u64)),
            )
            .verify("mysql_conn_headroom_ratio{scope=\"server\"} is above 0.2"),
    )
}

/// A limit at which a peak leaves three tenths free.
pub(super) fn room(peak: f64) -> Change {
    Change::new("more connections than the peak needs, with three tenths to spare; no fewer than the 151 that servers begin with")
        .set("max_connections", with_spare(peak).max(151.0))
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mysql, sql};
    use super::*;

    fn used(used: u32) -> Option<Finding> {
        let connected = format!("mysql_global_status_threads_connected {used}");
        let lines = ["mysql_global_variables_max_connections 200", &connected];
        mysql(&lines).judged(&RULE)
    }

    #[test]
    fn what_is_near_is_told_and_how_near() {
        let finding = used(160).expect("80 %");
        assert_eq!(
            (finding.severity, &*finding.title),
            (Severity::Warning, "80 % of the server's connections are in use")
        );
        assert_eq!(sql(&finding), ["SET GLOBAL max_connections = 229;"]);
        assert_eq!(used(190).map(|finding| finding.severity), Some(Severity::Critical));
    }

    #[test]
    fn room_is_no_finding() {
        assert_eq!(used(159), None);
        assert_eq!(mysql(&["mysql_global_status_threads_connected 5"]).judged(&RULE), None);
    }
}
