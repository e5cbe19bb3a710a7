//! How many connections accounts have, of how many they may have.

use std::time::Duration;

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::{LIMITS, Needs};
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.account_limits",
    summary: "Connections of accounts against their limits (max_user_connections, of all and of each account)",
    default_on: true,
    pace: Pace::Seldom(Duration::from_secs(60)),
    needs: Needs { variables: &["performance_schema"], tables: &[LIMITS, "performance_schema.processlist"] },
    ask,
    read,
};

crate::metrics! {
    /// Connection limit. scope server: `max_connections` of SHOW GLOBAL VARIABLES; open_files: what `open_files_limit` is enough for, less what the server keeps for itself and its smallest table cache, where that is below `max_connections`; account: `max_user_connections` of the account (mysql.user), else the global one, for the 20 accounts that are nearest to it; accounts of one name are taken together, and left out where their limits differ; admin: +Inf where MySQL has an admin port; extra: `extra_max_connections` where MariaDB has an extra port. user: empty but for scope account.
    LIMIT_CONNECTIONS: gauge "mysql_conn_limit_connections" { scope, user };
    /// Connections in use against that limit. scope server and open_files: `Threads_connected` of SHOW GLOBAL STATUS; account: of the process list; extra: what the process list has beyond `Threads_connected`, give or take those that just come or go; admin: absent, as the server counts them among all.
    USED_CONNECTIONS: gauge "mysql_conn_used_connections" { scope, user };
    /// The free share of the limit: 1 is empty, 0 is full.
    HEADROOM_RATIO: gauge "mysql_conn_headroom_ratio" { scope, user };
}

/// Accounts of one name from several hosts have a limit each, and the process list does not say which one a session is
/// of. Where they agree, all sessions of the name are held against it; where not, nothing true can be told of them.
fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    let own = match known.facts.has_limits() {
        true => {
            "LEFT JOIN (SELECT User AS account, MAX(max_user_connections) AS most, MIN(max_user_connections) AS least FROM \
             mysql.user GROUP BY User) u ON u.account = p.account"
        }
        false => "LEFT JOIN (SELECT NULL AS account, 0 AS most, 0 AS least FROM DUAL) u ON u.account = p.account",
    };
    // As in `processlist`.
    let listed = "performance_schema.processlist";
    let list = match known.facts.has_table(listed) && known.facts.is_on("performance_schema") {
        true => listed,
        false => "information_schema.PROCESSLIST",
    };
    Ask::Sql(
        format!(
            "SELECT p.account, p.used, IF(u.most <> u.least, 0, COALESCE(NULLIF(u.most, 0), \
             @@GLOBAL.max_user_connections)) AS most FROM (SELECT \
             USER AS account, COUNT(*) AS used FROM {list} WHERE COMMAND <> 'Daemon' AND USER NOT \
             IN ('system user', 'event_scheduler', 'unauthenticated user') GROUP BY USER) p {own} HAVING most > 0 ORDER BY \
             p.used / NULLIF(most, 0) DESC LIMIT 20"
        )
        .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let families = [&LIMIT_CONNECTIONS, &USED_CONNECTIONS, &HEADROOM_RATIO];
    let [limit, used, headroom] = families.map(|family| out.family(family.name, family.kind, family.help()));
    for row in rows.iter() {
        let [Some(user), Some(count), Some(most)] = row[..] else { continue };
        let (Some(count), Some(most)) = (number(count), number(most).filter(|most| *most > 0.0)) else { continue };
        let labels = [("scope", "account"), ("user", user)];
        out.sample(limit, &labels, most);
        out.sample(used, &labels, count);
        out.sample(headroom, &labels, (1.0 - count / most).clamp(0.0, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    #[test]
    fn an_account_at_its_limit_has_no_headroom() {
        let rows = Rows::of(&["account", "used", "most"], [vec![Some("shop"), Some("10"), Some("10")]]);
        assert_eq!(
            shown(read, &[rows]),
            [
                "mysql_conn_headroom_ratio{scope=\"account\",user=\"shop\"} 0",
                "mysql_conn_limit_connections{scope=\"account\",user=\"shop\"} 10",
                "mysql_conn_used_connections{scope=\"account\",user=\"shop\"} 10",
            ]
        );
    }
}
