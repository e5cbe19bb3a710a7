//! Many attempts to connect fail at the server.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{duration, percent};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "aborted_connects",
    summary: "more than 5 % of the attempts to connect, and at least ten, failed at the server",
    severities: &[Severity::Warning],
    judge,
};

const SHARE: f64 = 0.05;
const FROM: f64 = 10.0;

/// What an attempt can fail of, as far as the server tells them apart.
enum Class {
    Denied,
    Unspoken,
    Full,
    Unknown,
}

fn judge(facts: &Facts) -> Option<Finding> {
    let aborted = facts.growth("aborted_connects")?;
    let connections = facts.growth("connections")?.by.max(aborted.by);
    if aborted.by < FROM || aborted.by / connections <= SHARE {
        return None;
    }
    let growth = |counter| facts.growth(counter).map_or(0.0, |growth| growth.by);
    let of_hosts = |kind| facts.labelled("mysql_conn_host_cache_errors_total", "kind", kind).unwrap_or_default();
    let refused = facts.labelled("mysql_global_status_connection_errors_total", "error", "max_connections");
    let denied = growth("access_denied_errors").max(of_hosts("authentication"));
    let unspoken = growth("aborted_connects_preauth").max(of_hosts("handshake"));
    let full = refused.unwrap_or_default();
    let half = aborted.by / 2.0;
    let class = match () {
        () if unspoken >= half => Class::Unspoken,
        () if denied >= half => Class::Denied,
        () if full >= half => Class::Full,
        () => Class::Unknown,
    };
    let (words, change) = match class {
        Class::Denied => (
            "mostly wrong passwords or accounts that do not exist",
            Change::new("find the account and the host in the server's log, and correct the password there")
                .set("log_error_verbosity", 3),
        ),
        Class::Unspoken => (
            "mostly connections on which nobody logs in: health checks of load balancers that only open a port, scanners",
            Change::new(
                "let the load balancer log in (HAProxy: `option mysql-check user`), or ask goneaway's /health/db",
            ),
        ),
        Class::Full => (
            "mostly clients that were refused because the server was full",
            Change::new("more room: see connections_peak"),
        ),
        Class::Unknown => (
            "wrong passwords, or connections on which nobody logs in; this server does not tell them apart",
            Change::new("the server's log names the accounts and hosts").set("log_error_verbosity", 3),
        ),
    };
    let change = match facts.is_mariadb() {
        // It has a variable of its own for that.
        true if !change.sql.is_empty() => Change::new(change.what).set("log_warnings", 2),
        _ => change,
    };
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("{} of the attempts to connect fail", percent(aborted.by / connections)),
        )
        .seen(format!(
            "Aborted_connects rose by {:.0} of {connections:.0} connections within {}; {words}",
            aborted.by,
            duration(aborted.over.as_secs_f64())
        ))
        .why("enough of them from one host block that host (1129), and each costs the server a thread's start")
        .change(if facts.is_mariadb() { change.sql(facts.flush_status()) } else { change })
        .verify(
            "Aborted_connects no longer rises: rate(mysql_global_status_aborted_connects[5m]); a daemon judges the last half \
             hour, a single look since the server started",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mariadb, mysql, sql};
    use super::*;

    const COUNTED: [&str; 2] = ["mysql_global_status_connections 100", "mysql_global_status_uptime 3600"];

    #[test]
    fn many_are_told_with_their_class() {
        let lines = [&COUNTED[..], &["mysql_global_status_aborted_connects 40"]].concat();
        let finding = mysql(&lines).judged(&RULE).expect("40 %");
        assert_eq!(finding.title, "40 % of the attempts to connect fail");
        assert_eq!(sql(&finding), ["SET GLOBAL log_error_verbosity = 3;"]);
        let finding = mariadb(&lines).judged(&RULE).expect("40 %");
        assert_eq!(sql(&finding), ["SET GLOBAL log_warnings = 2;", "FLUSH GLOBAL STATUS;"]);
        let of = |class| {
            let lines = [&lines[..], &[class]].concat();
            mariadb(&lines).judged(&RULE).expect("40 %").seen
        };
        assert!(of("mysql_global_status_access_denied_errors 30").contains("wrong passwords or"));
        assert!(of("mysql_global_status_aborted_connects_preauth 30").contains("nobody logs in: health checks"));
        assert!(of("mysql_global_status_connection_errors_total{error=max_connections} 30").contains("was full"));
    }

    #[test]
    fn few_are_none() {
        let lines = [&COUNTED[..], &["mysql_global_status_aborted_connects 5"]].concat();
        assert_eq!(mysql(&lines).judged(&RULE), None);
    }
}
