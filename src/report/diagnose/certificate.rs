//! The server's certificate runs out.

use super::facts::Facts;
use super::rule::Rule;
use super::words::duration;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "certificate_expiry",
    summary: "the server's certificate is good for less than 30 days (critical below 7)",
    severities: &[Severity::Warning, Severity::Critical],
    judge,
};

const DAY: f64 = 86_400.0;

fn judge(facts: &Facts) -> Option<Finding> {
    let not_after = facts.value("mysql_conn_probe_tls_certificate_not_after_timestamp_seconds")?;
    let left = not_after - facts.unix_now();
    if left >= 30.0 * DAY {
        return None;
    }
    let severity = if left < 7.0 * DAY { Severity::Critical } else { Severity::Warning };
    let title = match left > 0.0 {
        true => format!("the server's certificate is good for {} more", duration(left)),
        false => "the server's certificate has expired".to_owned(),
    };
    let until = std::time::UNIX_EPOCH + std::time::Duration::from_secs_f64(not_after.max(0.0));
    let load = match facts.server().is_some_and(|server| server.mysql_since(8, 0, 16)) {
        true => "ALTER INSTANCE RELOAD TLS;",
        false => "FLUSH SSL;",
    };
    Some(
        Finding::new(RULE.name, severity, title)
            .seen(format!("not after {}, the earliest of its chain", humantime::format_rfc3339_seconds(until)))
            .why("from then on every client that verifies certificates is refused by its own side, all at once")
            .change(
                Change::new("a new certificate in the place of the old one; the server takes it without a restart")
                    .sql(load),
            )
            .verify("mysql_conn_probe_tls_certificate_not_after_timestamp_seconds is later"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{NOW, mariadb, mysql, sql};
    use super::*;

    fn line(days: f64) -> String {
        format!("mysql_conn_probe_tls_certificate_not_after_timestamp_seconds {}", NOW + days * DAY)
    }

    #[test]
    fn a_certificate_near_its_end_is_told() {
        let finding = mysql(&[&line(20.5)]).judged(&RULE).expect("20 days");
        assert_eq!(finding.title, "the server's certificate is good for 20 days 12 h more");
        assert_eq!((finding.severity, sql(&finding)), (Severity::Warning, vec!["ALTER INSTANCE RELOAD TLS;"]));
        let finding = mariadb(&[&line(-1.0)]).judged(&RULE).expect("over");
        assert_eq!(finding.title, "the server's certificate has expired");
        assert_eq!((finding.severity, sql(&finding)), (Severity::Critical, vec!["FLUSH SSL;"]));
    }

    #[test]
    fn a_good_one_is_none() {
        assert_eq!(mysql(&[&line(30.0)]).judged(&RULE), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
    }
}
