//! The connections in use came near the server's limit, some time since it started.

use super::connections::room;
use super::facts::Facts;
use super::rule::Rule;
use super::words::percent;
use crate::watch::finding::{Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "connections_peak",
    summary: "`Max_used_connections` was at least 85 % of `max_connections`",
    severities: &[Severity::Warning],
    judge,
};

const NEAR: f64 = 0.85;

fn judge(facts: &Facts) -> Option<Finding> {
    let peak = facts.status("max_used_connections")?;
    let limit = facts.variable("max_connections").filter(|limit| *limit > 0.0)?;
    if peak / limit < NEAR {
        return None;
    }
    let refused = facts.labelled("mysql_global_status_connection_errors_total", "error", "max_connections");
    let refused = match refused.filter(|refused| *refused > 0.0) {
        Some(refused) => format!("; {refused:.0} clients were refused since the server started"),
        None => String::new(),
    };
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("at the peak {} of the connections were in use", percent((peak / limit).min(1.0))),
        )
        .seen(format!("Max_used_connections = {peak:.0}, max_connections = {limit:.0}{refused}"))
        .why("the same load again, and a little more, ends in error 1040 for whoever comes last")
        .change(room(peak))
        .verify(format!("mysql_conn_peak_ratio is below 0.85; {} begins the peak anew", facts.flush_status())),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mysql, sql};
    use super::*;

    fn peak(peak: u32) -> Option<Finding> {
        let peak = format!("mysql_global_status_max_used_connections {peak}");
        mysql(&["mysql_global_variables_max_connections 200", &peak]).judged(&RULE)
    }

    #[test]
    fn a_peak_near_the_limit_is_told_with_a_limit_that_fits() {
        let finding = peak(201).expect("full, and the administrator's");
        assert_eq!(finding.title, "at the peak 100 % of the connections were in use");
        assert_eq!(sql(&finding), ["SET GLOBAL max_connections = 288;"]);
        assert!(peak(170).is_some());
    }

    #[test]
    fn a_peak_far_below_is_none() {
        assert_eq!(peak(169), None);
    }
}
