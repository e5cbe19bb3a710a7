//! An account comes near its own limit of connections.

use super::facts::{Facts, account};
use super::rule::Rule;
use super::words::percent;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "account_limit",
    summary: "an account uses at least 80 % of its `max_user_connections` (critical from 100 %), or ours is below what `connections` allows us",
    severities: &[Severity::Warning, Severity::Critical],
    judge,
};

const NEAR: f64 = 0.80;

/// An account that is near its limit.
struct Near {
    user: String,
    used: f64,
    limit: f64,
    need: f64,
}

impl Near {
    /// A limit that leaves two fifths free.
    fn enough(&self) -> f64 {
        (self.need / 0.6).ceil()
    }
}

fn judge(facts: &Facts) -> Option<Finding> {
    let limits = facts.all("mysql_conn_limit_connections");
    let used = facts.all("mysql_conn_used_connections");
    let mut near: Vec<Near> = limits
        .iter()
        .filter(|limit| limit.label("scope") == "account" && limit.value > 0.0)
        .filter_map(|limit| {
            let is_of_it = |used: &&crate::metrics::Sample| {
                used.label("scope") == "account" && used.label("user") == limit.label("user")
            };
            let used = used.iter().find(is_of_it)?.value;
            // Our own account has a limit that is made for what we are allowed to hold: that is need enough.
            let ours = facts.value("mysql_conn_exporter_connections_limit").unwrap_or_default();
            let (need, is_near) = match limit.label("user") == facts.snapshot.user {
                true => (ours.max(used) * 0.6, limit.value < ours),
                false => (used, used / limit.value >= NEAR),
            };
            is_near.then(|| Near { user: limit.label("user").to_owned(), used, limit: limit.value, need })
        })
        .collect();
    near.sort_by(|one, other| (other.used / other.limit).total_cmp(&(one.used / one.limit)));
    let Near { user, used: most, limit, .. } = near.first()?;
    let severity = if most >= limit { Severity::Critical } else { Severity::Warning };
    let seen: Vec<String> =
        near.iter().map(|near| format!("{}: {:.0} of {:.0}", near.user, near.used, near.limit)).collect();
    let for_all = facts.variable("max_user_connections").unwrap_or_default();
    // The limit of an account, or the one for all that have none of their own.
    let change = match near.iter().any(|near| near.limit == for_all) {
        true => Change::new("a limit for all accounts that their peak leaves free")
            .set("max_user_connections", near.iter().map(Near::enough).fold(for_all, f64::max)),
        false => near.iter().fold(
            Change::new("limits that the accounts' peaks leave free, where they come from any host"),
            |change, near| {
                let (account, enough) = (account(&near.user, "%"), near.enough());
                change.sql(format!("ALTER USER {account} WITH MAX_USER_CONNECTIONS {enough};"))
            },
        ),
    };
    Some(
        Finding::new(RULE.name, severity, format!("the account {user} uses {} of its limit", percent(most / limit)))
            .seen(seen.join(", "))
            .why("at its limit the account's next connection is refused with error 1226, while the server has room")
            .change(change)
            .verify("mysql_conn_headroom_ratio{scope=\"account\"} is above 0.2 for each account"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mysql, sql};
    use super::*;

    fn shop(used: u32, more: &str) -> Option<Finding> {
        let used = format!("mysql_conn_used_connections{{scope=account,user=shop}} {used}");
        let lines = ["mysql_conn_limit_connections{scope=account,user=shop} 10", &used, more];
        mysql(&lines).judged(&RULE)
    }

    #[test]
    fn an_account_near_its_limit_is_told_with_the_limit_that_would_do() {
        let finding = shop(9, "x 1").expect("90 %");
        assert_eq!((finding.severity, &*finding.seen), (Severity::Warning, "shop: 9 of 10"));
        assert_eq!(sql(&finding), ["ALTER USER 'shop'@'%' WITH MAX_USER_CONNECTIONS 15;"]);
        assert_eq!(shop(10, "x 1").map(|finding| finding.severity), Some(Severity::Critical));
        let ours = [
            "mysql_conn_limit_connections{scope=account,user=goneaway} 3",
            "mysql_conn_used_connections{scope=account,user=goneaway} 2",
            "mysql_conn_exporter_connections_limit 8",
        ];
        let finding = mysql(&ours).judged(&RULE).expect("it cannot have what it may");
        assert_eq!(sql(&finding), ["ALTER USER 'goneaway'@'%' WITH MAX_USER_CONNECTIONS 8;"]);
        let finding = shop(10, "mysql_global_variables_max_user_connections 10").expect("the one for all");
        assert_eq!(sql(&finding), ["SET GLOBAL max_user_connections = 17;"]);
    }

    #[test]
    fn an_account_with_room_is_none() {
        assert_eq!(shop(7, "x 1"), None);
        let ours = [
            "mysql_conn_limit_connections{scope=account,user=goneaway} 8",
            "mysql_conn_used_connections{scope=account,user=goneaway} 7",
            "mysql_conn_exporter_connections_limit 8",
        ];
        assert_eq!(mysql(&ours).judged(&RULE), None, "our own account's limit is what we may hold");
        let server = ["mysql_conn_limit_connections{scope=server} 5", "mysql_conn_used_connections{scope=server} 5"];
        assert_eq!(mysql(&server).judged(&RULE), None);
    }
}
