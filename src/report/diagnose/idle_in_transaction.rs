//! Sessions rest within a transaction.

use super::facts::{Facts, account};
use super::rule::Rule;
use super::words::{count, duration};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "idle_in_transaction",
    summary: "a session rests in a transaction that is at least 30 s old (critical from 10 min)",
    severities: &[Severity::Warning, Severity::Critical],
    judge,
};

const LONG: f64 = 30.0;
const VERY_LONG: f64 = 600.0;

fn judge(facts: &Facts) -> Option<Finding> {
    let oldest = facts.all("mysql_conn_sessions_idle_in_transaction_oldest_seconds");
    let (user, age) = oldest
        .iter()
        .map(|sample| (sample.label("user"), sample.value))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .filter(|(_, age)| *age >= LONG)?;
    let counts = facts.all("mysql_conn_sessions_idle_in_transaction");
    let seen: Vec<String> = counts
        .iter()
        .filter(|sample| sample.value > 0.0)
        .map(|sample| format!("{}: {}", sample.label("user"), count(sample.value, "session", "sessions")))
        .collect();
    let severity = if age >= VERY_LONG { Severity::Critical } else { Severity::Warning };
    // Prints the statements: whose transactions may be ended is for a person to say.
    let find = format!(
        "SELECT CONCAT('KILL ', trx_mysql_thread_id, ';') AS statement FROM information_schema.INNODB_TRX t JOIN \
         information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id WHERE p.COMMAND = 'Sleep' AND t.trx_started <= \
         NOW() - INTERVAL {LONG:.0} SECOND;"
    );
    let end = Change::new("end them: this prints the statements that do; then commit or roll back in the application before it waits for anything else")
        .sql(find);
    let end = match facts.server().is_some_and(|server| server.mariadb_since(10, 3, 0)) {
        true => end.set("idle_transaction_timeout", 60),
        false => end,
    };
    Some(
        Finding::new(RULE.name, severity, format!("a session of {user} rests in a transaction for {}", duration(age)))
            .seen(format!("{}; the oldest is {}, of {}", seen.join(", "), duration(age), account(user, "%")))
            .why(
                "it keeps its locks, and the server keeps every old version of every row since then; when such a session is \
                 ended for resting, its work is lost",
            )
            .change(end)
            .verify("mysql_conn_sessions_idle_in_transaction_oldest_seconds is 0"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{World, mariadb, mysql, sql};
    use super::*;

    fn resting(of: fn(&[&str]) -> World, age: u32) -> Option<Finding> {
        let oldest = format!("mysql_conn_sessions_idle_in_transaction_oldest_seconds{{user=shop}} {age}");
        of(&["mysql_conn_sessions_idle_in_transaction{user=shop} 2", &oldest]).judged(&RULE)
    }

    #[test]
    fn a_transaction_that_rests_is_told() {
        let finding = resting(mysql, 45).expect("45 s");
        assert_eq!((finding.severity, sql(&finding).len()), (Severity::Warning, 1));
        assert_eq!(finding.seen, "shop: 2 sessions; the oldest is 45 s, of 'shop'@'%'");
        let finding = resting(mariadb, 900).expect("15 min");
        assert_eq!(
            (finding.severity, sql(&finding)[1]),
            (Severity::Critical, "SET GLOBAL idle_transaction_timeout = 60;")
        );
    }

    #[test]
    fn a_short_one_is_none() {
        assert_eq!(resting(mysql, 29), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
    }
}
