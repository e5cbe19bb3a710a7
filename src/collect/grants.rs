//! Which rights an account needs for its collectors, and what each of them is for.

use super::collector::Collector;
use crate::mysql::server::Server;

/// One right, as it stands between `GRANT` and `TO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    pub sql: String,
    /// The collectors that need it, in the order of the README.
    pub collectors: Vec<&'static str>,
    /// What is missing without it.
    pub without: Vec<&'static str>,
}

/// Kinds of rights; what each is called depends on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Process,
    ReplicationState,
    BinaryLogs,
    Replicas,
    PerformanceSchema,
    Limits,
    Accounts,
    Summaries,
    Heartbeat,
    Tables,
}

const KINDS: [Kind; 10] = [
    Kind::Process,
    Kind::ReplicationState,
    Kind::BinaryLogs,
    Kind::Replicas,
    Kind::PerformanceSchema,
    Kind::Limits,
    Kind::Accounts,
    Kind::Summaries,
    Kind::Heartbeat,
    Kind::Tables,
];

impl Kind {
    /// Whether who has this right has the other too.
    fn holds(self, other: Kind) -> bool {
        match self {
            Kind::Tables => {
                matches!(
                    other,
                    Kind::PerformanceSchema | Kind::Limits | Kind::Accounts | Kind::Summaries | Kind::Heartbeat
                )
            }
            Kind::Accounts => other == Kind::Limits,
            _ => false,
        }
    }
}

/// The rights that these collectors need on this server, each once, and none that another one holds already: so each of
/// them is missed. `heartbeat` is pt-heartbeat's table.
pub fn rights(collectors: &[&'static Collector], server: &Server, heartbeat: (&str, &str)) -> Vec<Right> {
    let needing = |kind: Kind| collectors.iter().filter(move |one| needs(one.name, server).contains(&kind));
    let needed: Vec<Kind> = KINDS.into_iter().filter(|kind| needing(*kind).next().is_some()).collect();
    let mut rights: Vec<(String, Vec<Kind>)> = Vec::new();
    for kind in &needed {
        let widest = needed.iter().copied().rfind(|other| other.holds(*kind)).unwrap_or(*kind);
        let sql = sql(widest, server, heartbeat);
        // Older servers have one right for several things.
        match rights.iter_mut().find(|(known, _)| *known == sql) {
            Some((_, kinds)) => kinds.push(*kind),
            None => rights.push((sql, vec![*kind])),
        }
    }
    let right = |(sql, kinds): (String, Vec<Kind>)| {
        let is_needing = |one: &&&'static Collector| needs(one.name, server).iter().any(|kind| kinds.contains(kind));
        Right {
            collectors: collectors.iter().filter(is_needing).map(|one| one.name).collect(),
            without: kinds.iter().map(|kind| without(*kind)).collect(),
            sql,
        }
    };
    rights.into_iter().map(right).collect()
}

fn needs(collector: &str, server: &Server) -> &'static [Kind] {
    match collector {
        "slave_status" => &[Kind::ReplicationState],
        "binlog_size" => &[Kind::BinaryLogs],
        "slave_hosts" => &[Kind::Replicas],
        "conn.sessions" => &[Kind::Process, Kind::PerformanceSchema],
        "conn.account_limits" => &[Kind::Process, Kind::Limits],
        "conn.extra_port" if server.is_mariadb() => &[Kind::Process],
        "conn.session_tls" | "conn.server_errors" if server.is_mariadb() => &[],
        "conn.accounts" | "conn.host_cache" | "conn.session_tls" | "conn.server_errors" => &[Kind::PerformanceSchema],
        "engine_innodb_status"
        | "info_schema.innodb_cmp"
        | "info_schema.innodb_cmpmem"
        | "info_schema.innodb_metrics"
        | "info_schema.innodb_tablespaces"
        | "info_schema.processlist"
        | "info_schema.clientstats"
        | "info_schema.userstats" => &[Kind::Process],
        "info_schema.tables" | "info_schema.tablestats" | "info_schema.schemastats" | "auto_increment.columns" => {
            &[Kind::Tables]
        }
        "mysql.user" => &[Kind::Accounts],
        "sys.user_summary" => &[Kind::PerformanceSchema, Kind::Summaries],
        "heartbeat" => &[Kind::Heartbeat],
        other if other.starts_with("perf_schema.") => &[Kind::PerformanceSchema],
        _ => &[],
    }
}

fn sql(kind: Kind, server: &Server, (database, table): (&str, &str)) -> String {
    let since_10_5 = server.mariadb_since(10, 5, 2);
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    match kind {
        Kind::Process => "PROCESS ON *.*".to_owned(),
        Kind::ReplicationState if server.mariadb_since(10, 5, 9) => "SLAVE MONITOR ON *.*".to_owned(),
        Kind::ReplicationState if since_10_5 => "REPLICATION SLAVE ADMIN ON *.*".to_owned(),
        Kind::BinaryLogs if since_10_5 => "BINLOG MONITOR ON *.*".to_owned(),
        Kind::ReplicationState | Kind::BinaryLogs => "REPLICATION CLIENT ON *.*".to_owned(),
        Kind::Replicas if since_10_5 => "REPLICATION MASTER ADMIN ON *.*".to_owned(),
        Kind::Replicas => "REPLICATION SLAVE ON *.*".to_owned(),
        Kind::PerformanceSchema => "SELECT ON `performance_schema`.*".to_owned(),
        Kind::Limits => "SELECT (`User`, `max_user_connections`) ON `mysql`.`user`".to_owned(),
        Kind::Accounts => "SELECT ON `mysql`.`user`".to_owned(),
        Kind::Summaries => "SELECT ON `sys`.*".to_owned(),
        Kind::Heartbeat => format!("SELECT ON {}.{}", quoted(database), quoted(table)),
        Kind::Tables => "SELECT ON *.*".to_owned(),
    }
}

fn without(kind: Kind) -> &'static str {
    match kind {
        Kind::Process => "sessions of others are not seen, and InnoDB's own tables are refused",
        Kind::ReplicationState => "nothing is told of replication",
        Kind::BinaryLogs => "the size of the binary logs is not told",
        Kind::Replicas => "replicas that have registered are not told",
        Kind::PerformanceSchema => "programs of sessions, connections of accounts, hosts near a block are not told",
        Kind::Limits => "limits of single accounts are not told, only the one for all",
        Kind::Accounts => "limits and privileges of accounts are not told",
        Kind::Summaries => "the summary of users is not told",
        Kind::Heartbeat => "the delay by pt-heartbeat is not told",
        Kind::Tables => "tables that the account has no right to are not told",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::COLLECTORS;

    fn told(version: &str, names: &[&str]) -> Vec<String> {
        let collectors: Vec<&'static Collector> = COLLECTORS.iter().filter(|one| names.contains(&one.name)).collect();
        let server = Server::from_version(version);
        rights(&collectors, &server, ("h`b", "beat")).into_iter().map(|right| right.sql).collect()
    }

    #[test]
    fn rights_have_the_names_of_the_server() {
        let names = ["slave_status", "binlog_size", "slave_hosts", "heartbeat"];
        let heartbeat = "SELECT ON `h``b`.`beat`";
        let old = ["REPLICATION CLIENT ON *.*", "REPLICATION SLAVE ON *.*", heartbeat];
        assert_eq!(told("8.4.3", &names), old);
        assert_eq!(told("10.4.12-MariaDB", &names), old);
        assert_eq!(
            told("10.11.19-MariaDB", &names),
            ["SLAVE MONITOR ON *.*", "BINLOG MONITOR ON *.*", "REPLICATION MASTER ADMIN ON *.*", heartbeat]
        );
        assert_eq!(told("9.7.4", &["global_status", "global_variables"]), [""; 0]);
    }

    #[test]
    fn no_right_is_asked_for_that_another_one_holds() {
        let schema = "SELECT ON `performance_schema`.*";
        assert_eq!(told("9.7.4", &["conn.accounts", "info_schema.tables", "heartbeat"]), ["SELECT ON *.*"]);
        assert_eq!(
            told("9.7.4", &["conn.account_limits", "mysql.user", "conn.accounts"]),
            ["PROCESS ON *.*", schema, "SELECT ON `mysql`.`user`"]
        );
        let names = ["slave_status", "binlog_size", "sys.user_summary", "info_schema.tables"];
        let collectors: Vec<&'static Collector> = COLLECTORS.iter().filter(|one| names.contains(&one.name)).collect();
        let rights = rights(&collectors, &Server::from_version("9.7.4"), ("h", "h"));
        assert_eq!(rights[0].collectors, ["slave_status", "binlog_size"]);
        assert_eq!(rights[0].without.len(), 2, "{:?}", rights[0]);
        assert_eq!(rights[1].collectors, ["info_schema.tables", "sys.user_summary"]);
    }
}
