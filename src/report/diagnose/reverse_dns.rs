//! The server asks for the name of each client before it greets, and waits for the answer.

use super::facts::Facts;
use super::rule::Rule;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "reverse_dns_slow",
    summary: "the greeting takes at least half a second, other phases do not, and `skip_name_resolve` is off",
    severities: &[Severity::Warning],
    judge,
};

const SLOW: f64 = 0.5;

fn judge(facts: &Facts) -> Option<Finding> {
    let phase = |name| facts.labelled("mysql_conn_probe_phase_last_duration_seconds", "phase", name);
    let (greeting, tcp, query) = (phase("greeting")?, phase("tcp")?, phase("query")?);
    let resolves = facts.variable("skip_name_resolve") == Some(0.0);
    if !resolves || greeting < SLOW || greeting < 10.0 * (tcp + query) {
        return None;
    }
    Some(
        Finding::new(RULE.name, Severity::Warning, format!("the server took {greeting:.1} s to greet"))
            .seen(format!(
                "greeting {greeting:.3} s, tcp {tcp:.3} s, query {query:.3} s, skip_name_resolve = OFF"
            ))
            .why(
                "it resolves the name of each new client's address first; while the resolver is slow or away every login \
                 waits, pools run empty and connect timeouts end them",
            )
            .change(
                Change::new("no names in accounts, only addresses: accounts of a host name no longer match then")
                    .restart("skip_name_resolve", "ON"),
            )
            .change(Change::new("or a resolver that answers for the clients' addresses, and entries in the server's /etc/hosts"))
            .verify("mysql_conn_probe_phase_last_duration_seconds{phase=\"greeting\"} is as short as the others"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    fn greeting(seconds: &str, skip: &str) -> Option<Finding> {
        let of = |phase, took| format!("mysql_conn_probe_phase_last_duration_seconds{{phase={phase}}} {took}");
        let skip = format!("mysql_global_variables_skip_name_resolve {skip}");
        mysql(&[&of("greeting", seconds), &of("tcp", "0.001"), &of("query", "0.001"), &skip]).judged(&RULE)
    }

    #[test]
    fn a_slow_greeting_alone_is_told() {
        let finding = greeting("5.003", "0").expect("5 s");
        assert_eq!(finding.title, "the server took 5.0 s to greet");
        assert_eq!(finding.changes[0].my_cnf, ["skip_name_resolve = ON"]);
    }

    #[test]
    fn a_quick_one_is_none_and_so_is_one_that_resolves_nothing() {
        assert_eq!(greeting("0.002", "0"), None);
        assert_eq!(greeting("5.003", "1"), None);
    }
}
