//! `SHOW REPLICA STATUS`, by its older name SHOW SLAVE STATUS: how replication stands.
//!
//! MySQL has renamed the columns. Both spellings are told, whatever the server calls them, so that rules written for
//! either go on.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "slave_status",
    summary: "State of replication (SHOW REPLICA STATUS)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask,
    read,
};

fn ask(known: &Known) -> Ask {
    let rights = [
        "REPLICATION CLIENT",
        "SLAVE MONITOR",
        "REPLICA MONITOR",
        "REPLICATION SLAVE ADMIN",
        "REPLICATION REPLICA ADMIN",
        "SUPER",
    ];
    if !known.facts.may(&rights) {
        return Ask::skip(Why::Grant);
    }
    let sql = match known.server.is_mariadb() {
        true => "SHOW ALL SLAVES STATUS",
        false if known.server.mysql_since(8, 0, 22) => "SHOW REPLICA STATUS",
        false => "SHOW SLAVE STATUS",
    };
    Ask::Sql(sql.into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let columns: Vec<(String, String)> = rows.columns().iter().map(|column| spellings(column)).collect();
    let place = |name: &str| columns.iter().position(|(old, _)| old == name);
    let labels = [
        ("master_host", place("master_host")),
        ("master_uuid", place("master_uuid")),
        ("channel_name", place("channel_name")),
        ("connection_name", place("connection_name")),
    ];
    for row in rows.iter() {
        let labels = labels.map(|(label, at)| (label, at.and_then(|at| row[at]).unwrap_or_default()));
        for ((old, new), text) in columns.iter().zip(&row) {
            if ["gtid_io_pos", "gtid_slave_pos"].contains(&old.as_str()) {
                positions(old, text.unwrap_or_default(), &labels, out);
            }
            let Some(value) = text.and_then(number) else { continue };
            for name in [Some(old), Some(new).filter(|new| *new != old)].into_iter().flatten() {
                let help = format!("{name} of SHOW REPLICA STATUS.");
                let family = out.family(&format!("mysql_slave_status_{name}"), Kind::Untyped, help);
                out.sample(family, &labels, value);
            }
        }
    }
}

/// MariaDB's position: for each domain the server that began the last transaction, and its number.
fn positions(column: &str, text: &str, labels: &[(&str, &str)], out: &mut BlockBuilder) {
    for position in text.split(',') {
        let mut parts = position.trim().split('-');
        let (Some(domain), Some(server), Some(number)) = (parts.next(), parts.next(), parts.next().and_then(number))
        else {
            continue;
        };
        let help = match column {
            "gtid_io_pos" => {
                "The number of the last transaction received, by domain (Gtid_IO_Pos of SHOW ALL SLAVES STATUS)."
            }
            _ => "The number of the last transaction applied, by domain (Gtid_Slave_Pos of SHOW ALL SLAVES STATUS).",
        };
        let family = out.family(&format!("mysql_slave_status_{column}"), Kind::Gauge, help);
        out.sample(family, &[labels, &[("domain_id", domain), ("server_id", server)]].concat(), number);
    }
}

/// A column's name in the older and in the newer words.
fn spellings(column: &str) -> (String, String) {
    let column = column.to_ascii_lowercase();
    let reworded = |pairs: [(&str, &str); 2]| {
        let word = |word: &str| pairs.iter().find(|(from, _)| *from == word).map_or(word, |(_, to)| to).to_owned();
        column.split('_').map(word).collect::<Vec<_>>().join("_")
    };
    (reworded([("replica", "slave"), ("source", "master")]), reworded([("slave", "replica"), ("master", "source")]))
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    #[test]
    fn both_spellings_are_told_whatever_the_server_calls_them() {
        for (io, host) in [("Slave_IO_Running", "Master_Host"), ("Replica_IO_Running", "Source_Host")] {
            let columns = [io, host, "Channel_Name", "Relay_Log_Space"];
            let rows = Rows::of(&columns, [vec![Some("Yes"), Some("db1"), Some("c"), Some("7")]]);
            let labels = "{master_host=\"db1\",master_uuid=\"\",channel_name=\"c\",connection_name=\"\"}";
            let expected = [
                format!("mysql_slave_status_relay_log_space{labels} 7"),
                format!("mysql_slave_status_replica_io_running{labels} 1"),
                format!("mysql_slave_status_slave_io_running{labels} 1"),
            ];
            assert_eq!(shown(read, &[rows]), expected);
        }
    }

    #[test]
    fn every_domain_of_mariadbs_position_is_told() {
        let rows = Rows::of(&["Connection_name", "Gtid_Slave_Pos"], [vec![Some("c"), Some("0-1-10,7-2-5")]]);
        let of = |domain, server, number| {
            format!(
                "mysql_slave_status_gtid_slave_pos{{master_host=\"\",master_uuid=\"\",channel_name=\"\",\
                 connection_name=\"c\",domain_id=\"{domain}\",server_id=\"{server}\"}} {number}"
            )
        };
        assert_eq!(shown(read, &[rows]), [of(0, 1, 10), of(7, 2, 5)]);
    }
}
