//! `mysql.user`: the limits of each account, and its global rights where those are asked for.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::table::{plain, write};
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "mysql.user",
    summary: "Limits of each account (mysql.user)",
    default_on: false,
    pace: Pace::Behind,
    needs: Needs::table(&["mysql.user"]),
    ask,
    read,
};

crate::metrics! {
    /// Statements that the account may send an hour; 0 for no limit of its own (max_questions of mysql.user).
    QUESTIONS: gauge "mysql_mysql_max_questions" { mysql_user, hostmask };
    /// Changes that the account may make an hour; 0 for no limit of its own (max_updates of mysql.user).
    UPDATES: gauge "mysql_mysql_max_updates" { mysql_user, hostmask };
    /// Connections that the account may make an hour; 0 for no limit of its own (max_connections of mysql.user).
    CONNECTIONS: gauge "mysql_mysql_max_connections" { mysql_user, hostmask };
    /// Connections that the account may have at once; 0 for no limit of its own (max_user_connections of mysql.user).
    USER_CONNECTIONS: gauge "mysql_mysql_max_user_connections" { mysql_user, hostmask };
}

fn ask(known: &Known) -> Ask {
    if !known.facts.has_column("mysql.user", "max_user_connections") {
        // A column that is not shown is one that the account may not read.
        return Ask::skip(Why::Grant);
    }
    let columns = match known.tunables.user_privileges {
        true => "*",
        false => "User, Host, max_questions, max_updates, max_connections, max_user_connections",
    };
    Ask::Sql(format!("SELECT {columns} FROM mysql.user").into())
}

fn read(answers: &[Rows], known: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let labels = [("mysql_user", "User"), ("hostmask", "Host")];
    let values = [
        plain("max_questions", &QUESTIONS),
        plain("max_updates", &UPDATES),
        plain("max_connections", &CONNECTIONS),
        plain("max_user_connections", &USER_CONNECTIONS),
    ];
    write(rows, &labels, &values, out);
    if known.tunables.user_privileges {
        privileges(rows, out);
    }
}

/// The rights that are told, by the names of their columns.
const RIGHTS: [&str; 29] = [
    "select",
    "insert",
    "update",
    "delete",
    "create",
    "drop",
    "reload",
    "shutdown",
    "process",
    "file",
    "grant",
    "references",
    "index",
    "alter",
    "show_db",
    "super",
    "create_tmp_table",
    "lock_tables",
    "execute",
    "repl_slave",
    "repl_client",
    "create_view",
    "show_view",
    "create_routine",
    "alter_routine",
    "create_user",
    "event",
    "trigger",
    "create_tablespace",
];

fn privileges(rows: &Rows, out: &mut BlockBuilder) {
    let place = |name: &str| rows.columns().iter().position(|column| column.eq_ignore_ascii_case(name));
    let (Some(user), Some(host)) = (place("User"), place("Host")) else { return };
    for right in RIGHTS {
        let Some(at) = place(&format!("{right}_priv")) else { continue };
        let help = format!("Whether the account has the global right {right} (0 or 1).");
        let family = out.family(&format!("mysql_mysql_{right}_priv"), Kind::Gauge, help);
        for row in rows.iter() {
            let labels = [("mysql_user", row[user].unwrap_or_default()), ("hostmask", row[host].unwrap_or_default())];
            out.sample(family, &labels, f64::from(row[at] == Some("Y")));
        }
    }
}
