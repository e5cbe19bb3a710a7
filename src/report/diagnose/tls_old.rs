//! Sessions use a version of TLS that is no longer held for safe.

use super::facts::Facts;
use super::rule::Rule;
use super::words::count;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule =
    Rule { name: "tls_old", summary: "sessions use TLS 1.0 or 1.1", severities: &[Severity::Warning], judge };

const OLD: [&str; 4] = ["SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"];

fn judge(facts: &Facts) -> Option<Finding> {
    let sessions = facts.all("mysql_conn_sessions_tls");
    let ours = facts.all("mysql_conn_probe_info");
    let ours = ours.iter().map(|info| info.label("tls_version")).find(|version| OLD.contains(version));
    let old: Vec<String> = sessions
        .iter()
        .filter(|sample| sample.value > 0.0 && OLD.contains(&sample.label("version")))
        .map(|sample| format!("{} with {}", count(sample.value, "session", "sessions"), sample.label("version")))
        .chain(ours.map(|version| format!("the probe with {version}")))
        .collect();
    if old.is_empty() {
        return None;
    }
    Some(
        Finding::new(RULE.name, Severity::Warning, "connections use an old version of TLS")
            .seen(old.join(", "))
            .why("both versions are broken, and current clients and libraries refuse them: an update of one ends in tls_other")
            .change(
                Change::new("newer client libraries; then a server that offers no less")
                    .restart("tls_version", "TLSv1.2,TLSv1.3"),
            )
            .verify("mysql_conn_sessions_tls has only TLSv1.2 and TLSv1.3"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    #[test]
    fn old_versions_are_told() {
        let lines = ["mysql_conn_sessions_tls{version=TLSv1.1} 3", "mysql_conn_sessions_tls{version=TLSv1.3} 1"];
        assert_eq!(mysql(&lines).judged(&RULE).expect("three").seen, "3 sessions with TLSv1.1");
        let ours = mysql(&["mysql_conn_probe_info{tls_version=TLSv1} 1"]).judged(&RULE).expect("ours");
        assert_eq!(ours.seen, "the probe with TLSv1");
    }

    #[test]
    fn new_versions_are_none() {
        let lines = ["mysql_conn_sessions_tls{version=TLSv1.1} 0", "mysql_conn_sessions_tls{version=TLSv1.2} 1"];
        assert_eq!(mysql(&lines).judged(&RULE), None);
    }
}
