//! A new client does not get in.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{percent, size};
use crate::mysql::failure::Reason;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "cannot_connect",
    summary: "the last probe, a fresh login, failed in some phase",
    severities: &[Severity::Critical],
    judge,
};

/// Who is blocked has a finding of its own, which says how to be let in again.
fn judge(facts: &Facts) -> Option<Finding> {
    let failure = facts.failure().filter(|failure| failure.reason != Reason::HostBlocked)?;
    let (phase, reason) = (failure.phase.label(), failure.reason.label());
    let errno = failure.errno.map(|errno| format!(" (error {errno})")).unwrap_or_default();
    let title = format!("no new client gets in: {reason} in phase {phase}");
    let hint = failure.hint.clone().unwrap_or_else(|| "see what the server's log says of this moment".to_owned());
    Some(
        Finding::new(RULE.name, Severity::Critical, title)
            .seen(format!("{}{errno}", failure.detail))
            .why(why(failure.reason))
            .change(change(facts, failure.reason, hint))
            .verify("`goneaway check` is good for this target"),
    )
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::TooManyConnections | Reason::UserLimit => {
            "who has no connection yet gets none: applications that start, scale out or reconnect fail now"
        }
        Reason::AccessDenied | Reason::AccountLocked | Reason::PasswordExpired | Reason::HostNotAllowed => {
            "the server answers and refuses this account: an application with the same credentials fails alike, and \
             each attempt may count towards a block"
        }
        Reason::TlsExpired | Reason::TlsUnknownCa | Reason::TlsWrongName | Reason::TlsOther => {
            "clients that verify the server's certificate are refused by their own side"
        }
        Reason::Timeout => "clients wait until their own timeout, and hold threads and requests meanwhile",
        _ => "applications that connect now fail; those that hold connections fail when they lose them",
    }
}

fn change(facts: &Facts, reason: Reason, hint: String) -> Change {
    let account = facts.account();
    match reason {
        Reason::TooManyConnections => match facts.variable("max_connections") {
            Some(limit) => Change::new(format!("{hint}; more room until those who hold connections are known"))
                .set("max_connections", (limit * 1.5).ceil())
                .pool(size((limit * 0.8 / 4.0).max(1.0) as u64)),
            None => Change::new(hint).sql("SHOW GLOBAL VARIABLES LIKE 'max_connections';").sql(
                "SELECT USER, COUNT(*) AS connections, SUM(COMMAND = 'Sleep') AS sleeping FROM \
                 information_schema.PROCESSLIST GROUP BY USER ORDER BY 2 DESC;",
            ),
        },
        Reason::UserLimit => Change::new(format!("{hint}; {} of its limit are used", percent(1.0)))
            .sql(format!("ALTER USER {account} WITH MAX_USER_CONNECTIONS 0;")),
        Reason::AccountLocked => Change::new(hint).sql(format!("ALTER USER {account} ACCOUNT UNLOCK;")),
        Reason::PasswordExpired => Change::new(hint)
            .sql(format!("ALTER USER {account} IDENTIFIED BY 'a password of your choice' PASSWORD EXPIRE NEVER;")),
        Reason::AccessDenied => Change::new(format!("{hint}; or set the account's password anew"))
            .sql(format!("ALTER USER {account} IDENTIFIED BY 'a password of your choice';")),
        Reason::Offline => Change::new(hint).sql("SET GLOBAL offline_mode = OFF;"),
        _ => Change::new(hint),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::trial::{World, mysql, sql};
    use super::*;
    use crate::mysql::failure::{Failure, Phase};
    use crate::watch::snapshot::ProbeResult;

    fn probed(failure: Option<Failure>) -> World {
        let probe = ProbeResult { at: SystemTime::UNIX_EPOCH, failure, phases: vec![], tls_version: None };
        mysql(&["mysql_global_variables_max_connections 100"]).with(|snapshot| snapshot.probe = Some(probe))
    }

    #[test]
    fn a_failed_probe_is_told_with_what_helps() {
        let locked = Failure::new(Phase::Auth, Reason::AccountLocked, "Account is locked").with_hint("unlock it");
        let finding = probed(Some(locked)).judged(&RULE).expect("it failed");
        assert_eq!(finding.title, "no new client gets in: account_locked in phase auth");
        assert_eq!(sql(&finding), ["ALTER USER 'goneaway'@'%' ACCOUNT UNLOCK;"]);
        let full = Failure::new(Phase::Greeting, Reason::TooManyConnections, "Too many connections");
        let finding = probed(Some(full)).judged(&RULE).expect("it failed");
        assert_eq!(sql(&finding), ["SET GLOBAL max_connections = 150;"]);
    }

    #[test]
    fn a_good_probe_is_none_and_a_block_is_told_elsewhere() {
        assert_eq!(probed(None).judged(&RULE), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
        let blocked = Failure::new(Phase::Greeting, Reason::HostBlocked, "Host is blocked");
        assert_eq!(probed(Some(blocked)).judged(&RULE), None);
    }
}
