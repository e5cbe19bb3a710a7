//! The server refuses a host after too many interrupted connections.

use super::facts::Facts;
use super::hosts::{blocked, is_blocked, unblock};
use super::rule::Rule;
use super::words::count;
use crate::watch::finding::{Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "host_blocked",
    summary: "the server refuses a host, ours or another, with error 1129",
    severities: &[Severity::Critical],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    let (hosts, ours) = (blocked(facts), is_blocked(facts));
    if hosts == 0.0 && !ours {
        return None;
    }
    let limit = facts.variable("max_connect_errors").unwrap_or_default();
    let title = match ours {
        true => "the server blocks this host".to_owned(),
        false => format!("the server blocks {}", count(hosts, "host", "hosts")),
    };
    let said = facts.failure().filter(|_| ours).map(|failure| failure.detail.clone());
    let seen = said.unwrap_or_else(|| {
        format!("{} at max_connect_errors = {limit:.0} errors in a row", count(hosts, "host is", "hosts are"))
    });
    Some(
        Finding::new(RULE.name, Severity::Critical, title)
            .seen(seen)
            .why("no client from there gets in, whatever its credentials, until an administrator unblocks it")
            .change(unblock(facts, limit))
            .verify("mysql_conn_host_cache_hosts{state=\"blocked\"} is 0, and `goneaway check` from there is good"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::trial::{mariadb, mysql, sql};
    use super::*;
    use crate::mysql::failure::{Failure, Phase, Reason};
    use crate::watch::snapshot::ProbeResult;

    #[test]
    fn a_block_is_told_of_ours_and_of_others() {
        let lines = ["mysql_conn_host_cache_hosts{state=blocked} 2", "mysql_global_variables_max_connect_errors 100"];
        let finding = mysql(&lines).judged(&RULE).expect("two");
        assert_eq!(finding.title, "the server blocks 2 hosts");
        let failure = Failure::new(Phase::Greeting, Reason::HostBlocked, "Host '10.0.0.7' is blocked");
        let probe =
            ProbeResult { at: SystemTime::UNIX_EPOCH, failure: Some(failure), phases: vec![], tls_version: None };
        let finding = mariadb(&[]).with(|snapshot| snapshot.probe = Some(probe)).judged(&RULE).expect("ours");
        assert_eq!((&*finding.title, &*finding.seen), ("the server blocks this host", "Host '10.0.0.7' is blocked"));
        assert_eq!(sql(&finding)[0], "FLUSH HOSTS;");
    }

    #[test]
    fn nobody_blocked_is_none() {
        assert_eq!(mysql(&["mysql_conn_host_cache_hosts{state=blocked} 0"]).judged(&RULE), None);
    }
}
