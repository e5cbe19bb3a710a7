//! Our account logs in by a plugin that has no future.

use super::facts::Facts;
use super::rule::Rule;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "auth_plugin_deprecated",
    summary: "the account logs in by a deprecated plugin, or by one that drivers cannot serve",
    severities: &[Severity::Warning],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    let info = facts.all("mysql_conn_probe_info");
    let plugin = info.first()?.label("auth_plugin");
    let why = match plugin {
        "mysql_old_password" => "its hashes are broken in seconds, and no current server or client has it",
        "sha256_password" => {
            "MySQL deprecates it, and several drivers cannot serve it: with the one in here no session can be kept, so \
             pools and collectors rest"
        }
        // MariaDB keeps it, and it is what its accounts have by default.
        "mysql_native_password" if !facts.is_mariadb() => {
            "MySQL 8.4 switches it off and 9.0 has it no more: after an update the account cannot log in"
        }
        _ => return None,
    };
    let better = if facts.is_mariadb() { "ed25519" } else { "caching_sha2_password" };
    let sql = match facts.is_mariadb() {
        true => format!(
            "ALTER USER {} IDENTIFIED VIA ed25519 USING PASSWORD('a password of your choice');",
            facts.account()
        ),
        false => {
            format!(
                "ALTER USER {} IDENTIFIED WITH caching_sha2_password BY 'a password of your choice';",
                facts.account()
            )
        }
    };
    Some(
        Finding::new(RULE.name, Severity::Warning, format!("the account logs in by {plugin}"))
            .seen(format!(
                "auth_plugin = {plugin} for {}; applications' accounts are likely to have the same",
                facts.account()
            ))
            .why(why)
            .change(Change::new(format!("{better}, with the password that is in use or a new one")).sql(sql))
            .verify("mysql_conn_probe_info has another auth_plugin"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mariadb, mysql, sql};
    use super::*;

    #[test]
    fn a_plugin_without_a_future_is_told() {
        let native = "mysql_conn_probe_info{auth_plugin=mysql_native_password} 1";
        let finding =
            mysql(&[native]).with(|snapshot| snapshot.account = Some("a@b@10.0.0.%".to_owned())).judged(&RULE);
        assert_eq!(
            sql(&finding.expect("native")),
            ["ALTER USER 'a@b'@'10.0.0.%' IDENTIFIED WITH caching_sha2_password BY 'a password of your choice';"]
        );
        assert!(mysql(&["mysql_conn_probe_info{auth_plugin=sha256_password} 1"]).judged(&RULE).is_some());
        assert_eq!(mariadb(&[native]).judged(&RULE), None);
    }

    #[test]
    fn others_are_none() {
        assert_eq!(mysql(&["mysql_conn_probe_info{auth_plugin=caching_sha2_password} 1"]).judged(&RULE), None);
        assert_eq!(mariadb(&["mysql_conn_probe_info{auth_plugin=ed25519} 1"]).judged(&RULE), None);
    }
}
