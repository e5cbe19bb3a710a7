//! `SHOW REPLICAS`, by its older name SHOW SLAVE HOSTS: the replicas that have registered with this server.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "slave_hosts",
    summary: "Replicas that have registered (SHOW REPLICAS)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask,
    read,
};

crate::metrics! {
    /// Always 1: a replica that has registered with this server.
    INFO: gauge "mysql_heartbeat_mysql_slave_hosts_info" { server_id, slave_host, port, master_id, slave_uuid };
}

fn ask(known: &Known) -> Ask {
    let rights = match known.server.mariadb_since(10, 5, 2) {
        true => ["REPLICATION MASTER ADMIN", "SUPER"],
        false => ["REPLICATION SLAVE", "SUPER"],
    };
    if !known.facts.may(&rights) {
        return Ask::skip(Why::Grant);
    }
    // MariaDB goes on to know the old words.
    Ask::Sql(if known.server.mysql_since(8, 0, 22) { "SHOW REPLICAS" } else { "SHOW SLAVE HOSTS" }.into())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let place = |names: [&str; 2]| {
        rows.columns().iter().position(|column| names.iter().any(|name| column.eq_ignore_ascii_case(name)))
    };
    let labels = [
        ("server_id", place(["Server_id", "Server_Id"])),
        ("slave_host", place(["Host", "Host"])),
        ("port", place(["Port", "Port"])),
        ("master_id", place(["Master_id", "Source_Id"])),
        ("slave_uuid", place(["Slave_UUID", "Replica_UUID"])),
    ];
    let family = out.family(INFO.name, INFO.kind, INFO.help());
    for row in rows.iter() {
        let of_row = labels.map(|(label, at)| (label, at.and_then(|at| row[at]).unwrap_or_default()));
        out.sample(family, &of_row, 1.0);
    }
}
