//! What is wrong with a target, and what to change: one file a rule.
//!
//! A rule is pure: facts in, a finding out, if there is one. It asks nobody, and knows nothing that a scrape would not
//! show. A new rule is a file, its `mod` line and its row in `RULES`; metric, README and the commands follow.

pub mod words;
mod past;
mod facts;
mod rule;
#[cfg(test)]
mod trial;
mod cannot_connect;
mod hosts;
mod host_blocked;
mod connections;
mod connections_peak;
mod connections_trend;
mod account_limit;
mod pool_size;
mod idle_limit;
mod pool_lifetime;
mod wait_timeout;
mod near_timeout;
mod idle_in_transaction;
mod aborted_clients;
mod aborted_connects;
mod reverse_dns;
mod packets;
mod thread_cache;
mod back_log;
mod tls_absent;
mod tls_old;
mod certificate;
mod auth_plugin;
mod grants;
mod performance_schema;

use crate::metrics::{Block, BlockBuilder};
use crate::watch::finding::Finding;

pub use facts::Facts;
pub use past::Past;
pub use rule::Rule;

crate::metrics! {
    /// What is wrong with the target by the rules of `goneaway diagnose` (1 while it is so): see the README's table of findings. info: worth knowing; warning: clients lose connections, or will; critical: clients cannot connect, or soon cannot. Source: judged from the exporter's own series after each round.
    FINDING: gauge "mysql_conn_finding" { finding, severity };
}

/// Every rule, in the order of the README; of two findings that are equally bad the earlier is told first.
pub static RULES: &[Rule] = &[
    cannot_connect::RULE,
    host_blocked::RULE,
    hosts::RULE,
    connections::RULE,
    connections_peak::RULE,
    connections_trend::RULE,
    account_limit::RULE,
    pool_size::RULE,
    idle_limit::RULE,
    pool_lifetime::RULE,
    wait_timeout::RULE,
    near_timeout::RULE,
    idle_in_transaction::RULE,
    aborted_clients::RULE,
    aborted_connects::RULE,
    reverse_dns::RULE,
    packets::RULE,
    thread_cache::RULE,
    back_log::RULE,
    tls_absent::RULE,
    tls_old::RULE,
    certificate::RULE,
    auth_plugin::RULE,
    grants::RULE,
    performance_schema::RULE,
];

/// Every finding that the facts hold, worst first.
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().filter_map(|rule| (rule.judge)(facts)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The findings as series: one a rule and severity, at 0 where there is none.
pub fn block(label: Option<&str>, findings: &[Finding]) -> Block {
    let mut out = BlockBuilder::new(label);
    out.reserve(RULES.len() * 2);
    let id = out.family(FINDING.name, FINDING.kind, FINDING.help());
    for rule in RULES {
        for severity in rule.severities {
            let is_so = findings.iter().any(|finding| finding.name == rule.name && finding.severity == *severity);
            let labels = [("finding", rule.name), ("severity", severity.label())];
            out.sample(id, &labels, f64::from(u8::from(is_so)));
        }
    }
    out.finish()
}

/// The table of the README.
pub fn markdown() -> String {
    let mut text = String::from("| finding | how bad | when |\n| --- | --- | --- |\n");
    for rule in RULES {
        let severities: Vec<&str> = rule.severities.iter().map(|severity| severity.label()).collect();
        text.push_str(&format!("| `{}` | {} | {} |\n", rule.name, severities.join(", "), rule.summary));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::metrics::samples;
    use crate::watch::finding::Severity;
    use crate::watch::snapshot::Snapshot;

    #[test]
    fn nothing_known_is_nothing_found_and_all_series_stand_at_0() {
        let snapshot = Snapshot::default();
        let findings = diagnose(&Facts::new(&[], &snapshot, Instant::now(), None));
        assert_eq!(findings, []);
        let series = samples(&[block(Some("t"), &findings)], FINDING.name);
        assert_eq!(series.len(), RULES.iter().map(|rule| rule.severities.len()).sum::<usize>());
        assert!(series.iter().all(|sample| sample.value == 0.0));
    }

    #[test]
    fn the_worst_comes_first_and_is_shown() {
        let mut out = BlockBuilder::new(None);
        for (name, value) in [
            ("mysql_global_variables_back_log", 10.0),
            ("mysql_global_variables_max_connections", 100.0),
            ("mysql_global_variables_wait_timeout", 10.0),
            ("mysql_global_status_threads_connected", 99.0),
        ] {
            out.single(name, crate::metrics::Kind::Gauge, "", value);
        }
        let (blocks, snapshot) = ([Arc::new(out.finish())], Snapshot::default());
        let findings = diagnose(&Facts::new(&blocks, &snapshot, Instant::now(), None));
        let told: Vec<(&str, Severity)> = findings.iter().map(|one| (&*one.name, one.severity)).collect();
        assert_eq!(
            told,
            [
                ("connections_near_limit", Severity::Critical),
                ("wait_timeout_extreme", Severity::Warning),
                ("back_log_small", Severity::Info)
            ]
        );
        let series = samples(&[block(None, &findings)], FINDING.name);
        assert_eq!(series.iter().filter(|sample| sample.value == 1.0).count(), 3);
    }

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(RULES.iter().all(|rule| !rule.severities.is_empty() && !rule.summary.contains('|')));
    }
}
