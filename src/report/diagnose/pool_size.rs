//! The pools of all instances together can want more connections than the server has.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::rule::Rule;
use super::words::{count, size};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "pool_size",
    summary: "size × instances is more than `max_connections`: the largest pool of an account on each of its hosts, or a configured pool on each host",
    severities: &[Severity::Warning],
    judge,
};

/// A pool, and on how many hosts it may be.
struct Demand {
    who: String,
    each: f64,
    hosts: f64,
}

impl Demand {
    fn sum(&self) -> f64 {
        self.each * self.hosts
    }
}

fn judge(facts: &Facts) -> Option<Finding> {
    let limit = facts.variable("max_connections").filter(|limit| *limit > 0.0)?;
    let worst =
        of_accounts(facts).into_iter().chain(of_plans(facts)).max_by(|one, other| one.sum().total_cmp(&other.sum()))?;
    if worst.sum() <= limit {
        return None;
    }
    let fits = (limit * 0.8 / worst.hosts).floor().max(1.0);
    Some(
        Finding::new(RULE.name, Severity::Warning, "the pools can want more connections than the server has")
            .seen(format!(
                "{}: up to {:.0} connections on each of {} are {:.0}, max_connections = {limit:.0}",
                worst.who,
                worst.each,
                count(worst.hosts, "host", "hosts"),
                worst.sum()
            ))
            .why("all is well until all instances are busy at once, or a deployment starts new ones beside the old: then 1040")
            .change(
                Change::new(format!("pools of {fits:.0} at most: together they leave a fifth of the connections free"))
                    .pool(size(fits as u64)),
            )
            .change(Change::new("or room for all of them").set("max_connections", (worst.sum() / 0.8).ceil()))
            .verify("size × instances is below max_connections; mysql_conn_headroom_ratio stays above 0 at the peak"),
    )
}

/// The hosts of an account are taken to be alike: each may come to hold what one of them holds.
fn of_accounts(facts: &Facts) -> Vec<Demand> {
    let mut accounts: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for sample in facts.all("mysql_conn_sessions") {
        let (user, host) = (sample.label("user"), sample.label("host_group"));
        let is_pool = !matches!(sample.label("state"), "replication") && user != "other" && host != "other";
        if is_pool {
            *accounts.entry(user.to_owned()).or_default().entry(host.to_owned()).or_default() += sample.value;
        }
    }
    let demand = |(user, hosts): (String, BTreeMap<String, f64>)| Demand {
        who: format!("account {user}"),
        each: hosts.values().copied().fold(0.0, f64::max),
        hosts: hosts.len() as f64,
    };
    accounts.into_iter().map(demand).collect()
}

/// The pools that are configured here stand for those of the applications.
fn of_plans(facts: &Facts) -> Vec<Demand> {
    let overflow = facts.all("mysql_conn_pool_max_overflow");
    let hosts = facts.hosts();
    let demand = |pool: crate::metrics::Sample| {
        let name = pool.label("pool").to_owned();
        let more = overflow.iter().find(|more| more.label("pool") == name).map_or(0.0, |more| more.value);
        Demand { who: format!("pool {name}"), each: pool.value + more, hosts }
    };
    facts.all("mysql_conn_pool_size").into_iter().map(demand).collect()
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    const LIMIT: &str = "mysql_global_variables_max_connections 151";

    #[test]
    fn pools_that_do_not_fit_together_are_told() {
        let finding = mysql(&[
            LIMIT,
            "mysql_conn_sessions{user=shop,host_group=a,program=web,state=sleep} 50",
            "mysql_conn_sessions{user=shop,host_group=a,program=web,state=active} 10",
            "mysql_conn_sessions{user=shop,host_group=b,program=web,state=sleep} 20",
            "mysql_conn_sessions{user=shop,host_group=c,program=web,state=sleep} 20",
        ]);
        let finding = finding.judged(&RULE).expect("180");
        assert_eq!(
            finding.seen,
            "account shop: up to 60 connections on each of 3 hosts are 180, max_connections = 151"
        );
        assert!(finding.changes[0].pool[1].ends_with("maximumPoolSize=40"), "{:?}", finding.changes[0].pool);
    }

    #[test]
    fn a_configured_pool_counts_for_each_host() {
        let lines = |size| {
            [
                LIMIT.to_owned(),
                "mysql_conn_sessions{user=a,host_group=a,state=sleep} 1".to_owned(),
                "mysql_conn_sessions{user=a,host_group=b,state=sleep} 1".to_owned(),
                format!("mysql_conn_pool_size{{pool=orders}} {size}"),
                "mysql_conn_pool_max_overflow{pool=orders} 10".to_owned(),
            ]
        };
        let judged = |size| mysql(&lines(size).each_ref().map(String::as_str)).judged(&RULE);
        assert!(judged(70).expect("160").seen.starts_with("pool orders: up to 80"));
        assert_eq!(judged(60), None);
    }

    #[test]
    fn pools_that_fit_are_none() {
        assert_eq!(mysql(&[LIMIT, "mysql_conn_sessions{user=shop,host_group=a,state=sleep} 100"]).judged(&RULE), None);
        assert_eq!(mysql(&[]).judged(&RULE), None);
    }
}
