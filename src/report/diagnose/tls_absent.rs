//! Connections cross a network in the clear.

use super::facts::Facts;
use super::rule::Rule;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "tls_absent",
    summary: "the probe, or at least one session, has no TLS, and the server is on another machine",
    severities: &[Severity::Warning],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    if facts.snapshot.is_local {
        return None;
    }
    let info = facts.all("mysql_conn_probe_info");
    let ours = info.first().is_some_and(|info| info.label("tls_version").is_empty());
    let others = facts.labelled("mysql_conn_sessions_tls", "version", "none").unwrap_or_default();
    if !ours && others == 0.0 {
        return None;
    }
    let seen = match (ours, others > 0.0) {
        (true, true) => format!("the probe and {others:.0} sessions have no TLS"),
        (true, false) => "the probe has no TLS".to_owned(),
        (false, _) => format!("{others:.0} sessions have no TLS"),
    };
    let change = match ours {
        true => Change::new("a certificate for the server; `tls.mode: verify_ca` here then checks it")
            .line("ssl_ca = /etc/mysql/ca.pem")
            .line("ssl_cert = /etc/mysql/server-cert.pem")
            .restart("ssl_key", "/etc/mysql/server-key.pem"),
        false => {
            Change::new("clients that ask for TLS, and a server that insists").set("require_secure_transport", "ON")
        }
    };
    Some(
        Finding::new(RULE.name, Severity::Warning, "connections cross the network without TLS")
            .seen(seen)
            .why("queries and their answers can be read and altered on the way; with some plugins the password too")
            .change(change)
            .verify("mysql_conn_probe_info has a tls_version, and mysql_conn_sessions_tls{version=\"none\"} is 0"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    #[test]
    fn the_clear_is_told_of_us_and_of_others() {
        let finding = mysql(&["mysql_conn_probe_info{flavor=mysql,tls_version=} 1"]).judged(&RULE).expect("none");
        assert_eq!(finding.seen, "the probe has no TLS");
        let lines = ["mysql_conn_probe_info{tls_version=TLSv1.3} 1", "mysql_conn_sessions_tls{version=none} 4"];
        assert_eq!(mysql(&lines).judged(&RULE).expect("others").seen, "4 sessions have no TLS");
    }

    #[test]
    fn within_a_machine_nobody_listens() {
        let world = mysql(&["mysql_conn_probe_info{tls_version=} 1"]).with(|snapshot| snapshot.is_local = true);
        assert_eq!(world.judged(&RULE), None);
        assert_eq!(mysql(&["mysql_conn_probe_info{tls_version=TLSv1.3} 1"]).judged(&RULE), None);
    }
}
