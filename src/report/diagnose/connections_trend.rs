//! The connections in use grow in a straight line towards the server's limit.

use super::connections::room;
use super::facts::Facts;
use super::rule::Rule;
use super::words::{count, duration, percent, size};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "connections_trend",
    summary: "by the trend of the last half hour `max_connections` is reached within the next two hours",
    severities: &[Severity::Warning],
    judge,
};

const WITHIN: f64 = 7200.0;

/// What a limit that is far away is no matter of.
const FROM: f64 = 0.4;

fn judge(facts: &Facts) -> Option<Finding> {
    let slope = facts.past?.slope()?;
    let used = facts.status("threads_connected")?;
    let limit = facts.variable("max_connections").filter(|limit| *limit > 0.0)?;
    if slope <= 0.0 || used / limit < FROM {
        return None;
    }
    let left = (limit - used).max(0.0) / slope;
    let hosts = facts.hosts();
    if left > WITHIN {
        return None;
    }
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("the server is full in {} if it goes on so", duration(left)),
        )
        .seen(format!(
            "{used:.0} of {limit:.0} connections ({}), {:+.1} a minute over the last half hour",
            percent(used / limit),
            slope * 60.0
        ))
        .why("a steady growth is a leak, or a pool that is being filled: nothing gives back what was opened")
        .change(room(limit))
        .change(
            Change::new(format!(
                "and who opens them without end, which `goneaway status` tells under Sessions, gets a pool that ends: {} share \
                 what 70 % of the limit leave",
                count(hosts, "host", "hosts")
            ))
            .pool(size((limit * 0.7 / hosts).max(1.0) as u64)),
        )
        .verify("mysql_global_status_threads_connected no longer grows"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{World, mysql};
    use super::*;

    fn world() -> World {
        mysql(&["mysql_global_variables_max_connections 200", "mysql_global_status_threads_connected 100"])
    }

    #[test]
    fn a_steady_growth_is_told_with_the_time_that_is_left() {
        let finding = world().used((0..41).map(|step| 60.0 + f64::from(step))).judged(&RULE).expect("two a minute");
        assert_eq!(finding.title, "the server is full in 50 min if it goes on so");
        assert!(finding.seen.contains("+2.0 a minute"), "{}", finding.seen);
    }

    #[test]
    fn what_goes_up_and_down_is_no_trend() {
        assert_eq!(world().used((0..41).map(|step| 100.0 + f64::from(step % 2))).judged(&RULE), None);
        assert_eq!(world().used((0..10).map(|step| 60.0 + f64::from(step))).judged(&RULE), None);
        assert_eq!(world().judged(&RULE), None);
    }
}
