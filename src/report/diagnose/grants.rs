//! Our account lacks rights that its collectors need.

use super::facts::Facts;
use super::rule::Rule;
use crate::collect::{self, Collector, grants};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "missing_grants",
    summary: "a collector lacks a right; the exact GRANT is told",
    severities: &[Severity::Warning],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    let server = facts.server()?;
    let features = facts.all("mysql_conn_feature_supported");
    let named = |feature: &str| collect::named(feature.strip_prefix("collect.")?);
    let lacking: Vec<&'static Collector> = features
        .iter()
        .filter(|feature| feature.label("why") == "grant")
        .filter_map(|feature| named(feature.label("feature")))
        .collect();
    if lacking.is_empty() {
        return None;
    }
    let (database, table) = &facts.snapshot.heartbeat;
    let rights = grants::rights(&lacking, server, (database, table));
    if rights.is_empty() {
        return None;
    }
    let names: Vec<&str> = lacking.iter().map(|collector| collector.name).collect();
    let without: Vec<&str> = rights.iter().flat_map(|right| right.without.clone()).collect();
    let account = facts.account();
    let change = rights.iter().fold(Change::new("exactly these rights"), |change, right| {
        change.sql(format!("GRANT {} TO {account};", right.sql))
    });
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            match names.len() {
                1 => "a collector has not the rights that it needs".to_owned(),
                many => format!("{many} collectors have not the rights that they need"),
            },
        )
        .seen(format!("{account} lacks rights for {}", names.join(", ")))
        .why(format!("without them {}", without.join("; ")))
        .change(change)
        .verify("mysql_conn_feature_supported has no series with why=\"grant\", within five minutes"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mariadb, mysql, sql};
    use super::*;

    #[test]
    fn the_exact_rights_are_told() {
        let lines = [
            "mysql_conn_feature_supported{feature=collect.conn.sessions,why=grant} 0",
            "mysql_conn_feature_supported{feature=collect.slave_status,why=grant} 0",
            "mysql_conn_feature_supported{feature=session,why=} 1",
        ];
        let finding =
            mariadb(&lines).with(|snapshot| snapshot.account = Some("goneaway@10.%".to_owned())).judged(&RULE);
        let finding = finding.expect("two");
        assert_eq!(
            sql(&finding),
            [
                "GRANT PROCESS ON *.* TO 'goneaway'@'10.%';",
                "GRANT SLAVE MONITOR ON *.* TO 'goneaway'@'10.%';",
                "GRANT SELECT ON `performance_schema`.* TO 'goneaway'@'10.%';",
            ]
        );
        assert_eq!(finding.title, "2 collectors have not the rights that they need");
    }

    #[test]
    fn what_a_server_does_not_have_is_none() {
        let lines = [
            "mysql_conn_feature_supported{feature=collect.conn.session_tls,why=version} 0",
            "mysql_conn_feature_supported{feature=collect.conn.sessions,why=} 1",
            "mysql_global_variables_performance_schema 1",
        ];
        assert_eq!(mariadb(&lines).judged(&RULE), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
    }
}
