//! The table of pt-heartbeat: when the source last wrote, as the replica has it.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::{HEARTBEAT, Needs};
use super::table::{plain, write};
use super::tunables::{Tunables, identifier};
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "heartbeat",
    summary: "Delay of replication by pt-heartbeat's table",
    default_on: false,
    pace: Pace::Round,
    needs: Needs::table(&[HEARTBEAT]),
    ask,
    read,
};

crate::metrics! {
    /// The time of the server that is asked, in seconds since 1970.
    NOW: gauge "mysql_heartbeat_now_timestamp_seconds" { server_id };
    /// The time that the heartbeat of this server was written with, in seconds since 1970.
    STORED: gauge "mysql_heartbeat_stored_timestamp_seconds" { server_id };
}

fn ask(known: &Known) -> Ask {
    let Tunables { heartbeat_database: database, heartbeat_table: table, heartbeat_utc: utc, .. } = known.tunables;
    if !known.facts.has_table(&format!("{database}.{table}").to_ascii_lowercase()) {
        return Ask::skip(Why::Version);
    }
    let now = if *utc { "UTC_TIMESTAMP(6)" } else { "NOW(6)" };
    let (database, table) = (identifier(database), identifier(table));
    Ask::Sql(
        format!("SELECT UNIX_TIMESTAMP(ts) AS SHOWN_STORED, UNIX_TIMESTAMP({now}) AS SHOWN_NOW, server_id FROM {database}.{table}")
            .into(),
    )
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    write(rows, &[("server_id", "server_id")], &[plain("SHOWN_NOW", &NOW), plain("SHOWN_STORED", &STORED)], out);
}
