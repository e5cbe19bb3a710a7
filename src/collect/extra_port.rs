//! How many connections there are by MariaDB's extra port, of how many there may be.
//!
//! The server does not count them. But its count of connections leaves them out, and its process list has them.

use super::account_limits::{HEADROOM_RATIO, LIMIT_CONNECTIONS, USED_CONNECTIONS};
use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.extra_port",
    summary: "Connections by MariaDB's extra port against their limit (extra_max_connections)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs { variables: &["extra_port"], tables: &[] },
    ask,
    read,
};

fn ask(known: &Known) -> Ask {
    if !known.server.is_mariadb() {
        return Ask::skip(Why::Version);
    }
    if known.facts.variable("extra_port").is_none_or(|port| port == "0") {
        return Ask::skip(Why::Off);
    }
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    Ask::Sql(
        "SELECT COUNT(*) AS listed, (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = \
         'THREADS_CONNECTED') AS counted, @@GLOBAL.extra_max_connections AS most FROM information_schema.PROCESSLIST WHERE \
         COMMAND <> 'Daemon' AND USER NOT IN ('system user', 'event_scheduler')"
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let row = answers.first().and_then(|rows| rows.iter().next());
    let Some([Some(listed), Some(counted), Some(most)]) = row.as_deref() else { return };
    let [Some(listed), Some(counted), Some(most)] = [listed, counted, most].map(|text| number(text)) else { return };
    let families = [&LIMIT_CONNECTIONS, &USED_CONNECTIONS, &HEADROOM_RATIO];
    let [limit, used, headroom] = families.map(|family| out.family(family.name, family.kind, family.help()));
    let labels = [("scope", "extra"), ("user", "")];
    let by_it = (listed - counted).max(0.0);
    out.sample(limit, &labels, most);
    out.sample(used, &labels, by_it);
    if most > 0.0 {
        out.sample(headroom, &labels, (1.0 - by_it / most).clamp(0.0, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    fn told(listed: &str, counted: &str) -> Vec<String> {
        shown(read, &[Rows::of(&["listed", "counted", "most"], [vec![Some(listed), Some(counted), Some("2")]])])
    }

    #[test]
    fn what_is_listed_and_not_counted_came_by_the_extra_port() {
        assert_eq!(
            told("8", "7"),
            [
                "mysql_conn_headroom_ratio{scope=\"extra\",user=\"\"} 0.5",
                "mysql_conn_limit_connections{scope=\"extra\",user=\"\"} 2",
                "mysql_conn_used_connections{scope=\"extra\",user=\"\"} 1",
            ]
        );
        // One has just left the list.
        assert!(told("6", "7").contains(&"mysql_conn_used_connections{scope=\"extra\",user=\"\"} 0".to_owned()));
    }
}
