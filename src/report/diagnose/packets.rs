//! Statements or rows may be larger than the server, or its replicas, take.

use super::facts::Facts;
use super::rule::Rule;
use super::words::bytes;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "max_allowed_packet",
    summary: "`max_allowed_packet` is below 4 MiB, or above what replicas take, or connections were lost to packets that were too large",
    severities: &[Severity::Warning],
    judge,
};

const MIB: f64 = 1_048_576.0;

/// What clients send without asking: the least that any current one has by default is 16 MiB.
const LEAST: f64 = 4.0 * MIB;
const WISE: f64 = 64.0 * MIB;

fn judge(facts: &Facts) -> Option<Finding> {
    let limit = facts.variable("max_allowed_packet")?;
    let of_replicas =
        facts.variable("replica_max_allowed_packet").or_else(|| facts.variable("slave_max_allowed_packet"));
    let lost: f64 = facts
        .all("mysql_conn_lost_total")
        .iter()
        .filter(|sample| sample.label("cause") == "packet_too_large")
        .map(|sample| sample.value)
        .sum();
    let too_large: f64 = facts
        .all("mysql_conn_server_errors_total")
        .iter()
        .filter(|sample| sample.label("errno") == "1153")
        .map(|sample| sample.value)
        .sum();
    let replicas = of_replicas.filter(|of_replicas| *of_replicas < limit);
    if limit >= LEAST && lost + too_large == 0.0 && replicas.is_none() {
        return None;
    }
    let mut seen = format!("max_allowed_packet = {}", bytes(limit));
    if let Some(of_replicas) = replicas {
        seen.push_str(&format!(", replicas take {}", bytes(of_replicas)));
    }
    if lost + too_large > 0.0 {
        seen.push_str(&format!("; {:.0} connections or statements ended by it", lost + too_large));
    }
    let wise = match limit < WISE {
        true => WISE,
        false => (limit * 2.0).min(1024.0 * MIB),
    };
    let change = match replicas {
        Some(_) if limit >= LEAST && lost + too_large == 0.0 => {
            let name = match facts.variable("replica_max_allowed_packet") {
                Some(_) => "replica_max_allowed_packet",
                None => "slave_max_allowed_packet",
            };
            Change::new("replicas that take what the server takes").set(name, 1024.0 * MIB)
        }
        _ => Change::new(
            "a packet that is as large as clients send; new sessions have it, so replace those that are open",
        )
        .set("max_allowed_packet", wise),
    };
    Some(
        Finding::new(RULE.name, Severity::Warning, "packets can be larger than what takes them")
            .seen(seen)
            .why(
                "a client that sends more has its connection ended, with 1153 or as `MySQL server has gone away`; a replica \
                 that is sent more stops",
            )
            .change(change)
            .verify("SHOW GLOBAL VARIABLES LIKE '%max_allowed_packet'; and mysql_conn_lost_total{cause=\"packet_too_large\"} rests"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mysql, sql};
    use super::*;

    #[test]
    fn a_small_packet_is_told() {
        let finding = mysql(&["mysql_global_variables_max_allowed_packet 1048576"]).judged(&RULE).expect("1 MiB");
        assert_eq!(finding.seen, "max_allowed_packet = 1 MiB");
        assert_eq!(sql(&finding), ["SET GLOBAL max_allowed_packet = 67108864;"]);
    }

    #[test]
    fn losses_and_replicas_that_take_less_are_told() {
        let large = "mysql_global_variables_max_allowed_packet 67108864";
        let lost = mysql(&[large, "mysql_conn_lost_total{source=pool,cause=packet_too_large} 2"]).judged(&RULE);
        assert_eq!(sql(&lost.expect("two")), ["SET GLOBAL max_allowed_packet = 134217728;"]);
        let replicas = mysql(&[large, "mysql_global_variables_replica_max_allowed_packet 16777216"]).judged(&RULE);
        let replicas = replicas.expect("less");
        assert_eq!(replicas.seen, "max_allowed_packet = 64 MiB, replicas take 16 MiB");
        assert_eq!(sql(&replicas), ["SET GLOBAL replica_max_allowed_packet = 1073741824;"]);
    }

    #[test]
    fn a_usual_packet_is_none() {
        let lines = [
            "mysql_global_variables_max_allowed_packet 16777216",
            "mysql_global_variables_slave_max_allowed_packet 1073741824",
            "mysql_conn_lost_total{source=pool,cause=packet_too_large} 0",
        ];
        assert_eq!(mysql(&lines).judged(&RULE), None);
    }
}
