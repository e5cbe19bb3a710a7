//! What is found out about a server before its collectors are asked, so that none of them is asked what it cannot have.
//!
//! Which of some variables are on, which columns some tables have, and which rights the account has: each is asked in
//! a way that no server refuses. So a collector that a server cannot serve is skipped with its reason, and raises no
//! error there.

use std::collections::{BTreeMap, BTreeSet};

use super::tunables::{Tunables, literal};
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// What a collector wants to know before it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Global variables.
    pub variables: &'static [&'static str],
    /// Tables, as `schema.table`.
    pub tables: &'static [&'static str],
}

/// Stands among the tables for the one that is named by the settings.
pub(super) const HEARTBEAT: &str = "heartbeat";

/// Stands among the tables for the limits of accounts: two columns of `mysql.user`.
pub(super) const LIMITS: &str = "limits";

/// Tables that every MySQL 8 has; whether the account may read them follows from its rights. What collectors need that are
/// on by default is here: each look into MySQL's dictionary counts as an error there.
const OF_MYSQL_8: [&str; 7] = [
    "performance_schema.accounts",
    "performance_schema.events_errors_summary_by_user_by_error",
    "performance_schema.host_cache",
    "performance_schema.processlist",
    "performance_schema.session_connect_attrs",
    "performance_schema.status_by_thread",
    "performance_schema.threads",
];

/// Anybody may read it.
const OF_ALL: &str = "performance_schema.processlist";

impl Needs {
    pub const NOTHING: Needs = Needs { variables: &[], tables: &[] };

    pub const fn table(tables: &'static [&'static str]) -> Needs {
        Needs { variables: &[], tables }
    }
}

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    variables: BTreeMap<String, String>,
    columns: BTreeMap<String, BTreeSet<String>>,
    /// None where the account may have rights by a role.
    privileges: Option<BTreeSet<String>>,
    /// What the account may read besides, as `schema` or `schema.table`.
    readable: BTreeSet<String>,
    /// Whether tables are known without having been looked for.
    is_mysql_8: bool,
    account: Option<String>,
}

impl Facts {
    /// The statement that finds out what the account may.
    pub fn rights(server: &Server) -> String {
        privileges(server)
    }

    /// The statements that find out the rest of what these collectors need, once the rights are known.
    pub fn statements(needs: &[Needs], tunables: &Tunables, server: &Server, rights: &Rows) -> Vec<String> {
        let has_role = Facts::default().with_rights(rights).privileges.is_none();
        vec![variables(needs), columns(needs, tunables, server, has_role)]
    }

    /// Takes the answers: the rights, then those of the statements in their order.
    pub fn read(answers: &[Rows]) -> Facts {
        let [privileges, variables, columns] = answers else { return Facts::default() };
        let mut facts = Facts::default().with_rights(privileges);
        for (name, value) in variables.pairs() {
            facts.variables.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        for (table, column) in columns.pairs() {
            let of_table = facts.columns.entry(table.to_ascii_lowercase()).or_default();
            of_table.insert(column.to_ascii_lowercase());
        }
        facts
    }

    fn with_rights(self, rights: &Rows) -> Facts {
        let of = |wanted: &'static str| rights.pairs().filter(move |(kind, _)| *kind == wanted).map(|(_, what)| what);
        let by_role = of("role").any(|role| !matches!(role, "" | "NONE"));
        let own = of("right").map(str::to_ascii_uppercase).collect();
        Facts {
            privileges: (!by_role).then_some(own),
            readable: of("readable").map(str::to_ascii_lowercase).collect(),
            is_mysql_8: of("dictionary").next().is_some() && !by_role,
            account: of("account").next().map(str::to_owned),
            ..self
        }
    }

    /// The account that the server took us for, as `user@host`.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub fn is_on(&self, variable: &str) -> bool {
        self.variable(variable).is_some_and(|value| value.eq_ignore_ascii_case("on") || value == "1")
    }

    pub fn has_table(&self, table: &str) -> bool {
        match self.is_mysql_8 && OF_MYSQL_8.contains(&table) {
            true => table == OF_ALL || self.may_read(table),
            false => self.columns.contains_key(table),
        }
    }

    /// Whether the limits of accounts can be read.
    pub fn has_limits(&self) -> bool {
        match self.is_mysql_8 {
            true => self.may_read("mysql.user") || self.readable.contains("limits"),
            false => self.has_column("mysql.user", "max_user_connections"),
        }
    }

    fn may_read(&self, table: &str) -> bool {
        let schema = table.split('.').next().unwrap_or_default();
        self.may(&["SELECT"]) || self.readable.contains(schema) || self.readable.contains(table)
    }

    pub fn has_column(&self, table: &str, column: &str) -> bool {
        self.columns.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Whether the account has one of these global rights, as far as is known.
    pub fn may(&self, rights: &[&str]) -> bool {
        self.privileges
            .as_ref()
            .is_none_or(|own| own.contains("ALL PRIVILEGES") || rights.iter().any(|right| own.contains(*right)))
    }
}

fn variables(needs: &[Needs]) -> String {
    let names: BTreeSet<&str> = needs.iter().flat_map(|needs| needs.variables).copied().collect();
    // A list must not be empty, and no variable has an empty name.
    let names: Vec<String> = std::iter::once("").chain(names).map(|name| format!("'{name}'")).collect();
    format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(", "))
}

/// MariaDB is asked for each table by its own name: it opens all tables of a schema that it has to look through. MySQL
/// has them in one dictionary, and counts six errors of its own at each look into it: it is asked once for all.
fn columns(needs: &[Needs], tunables: &Tunables, server: &Server, has_role: bool) -> String {
    let heartbeat = format!("{}.{}", tunables.heartbeat_database, tunables.heartbeat_table);
    let is_mysql_8 = server.mysql_since(8, 0, 0);
    let is_known = |table: &str| {
        // A plugin of Percona's that ended with 5.7.
        let is_gone = table.starts_with("information_schema.query_response_time");
        is_mysql_8 && (is_gone || !has_role && (table == LIMITS || OF_MYSQL_8.contains(&table)))
    };
    let named = |table: &'static str| match table {
        HEARTBEAT => heartbeat.as_str(),
        LIMITS => "mysql.user",
        table => table,
    };
    let tables = needs.iter().flat_map(|needs| needs.tables).copied().filter(|table| !is_known(table));
    let tables: BTreeSet<&str> = tables.map(named).collect();
    let is_it = |table: &&str| {
        let (schema, name) = table.split_once('.').unwrap_or(("", table));
        // MySQL tells the two cases apart, and has its own tables in capitals.
        let name = match schema {
            "information_schema" => name.to_ascii_uppercase(),
            _ => name.to_owned(),
        };
        format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(schema), literal(&name))
    };
    let select =
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS tab, COLUMN_NAME AS col FROM information_schema.COLUMNS WHERE";
    let each: Vec<String> = tables.iter().map(is_it).collect();
    match server.is_mariadb() {
        _ if each.is_empty() => "SELECT '' AS tab, '' AS col FROM DUAL WHERE 1 = 0".to_owned(),
        true => each.iter().map(|is_it| format!("{select} {is_it}")).collect::<Vec<_>>().join(" UNION ALL "),
        false => format!("{select} ({})", each.join(") OR (")),
    }
}

fn privileges(server: &Server) -> String {
    let host = "SUBSTRING_INDEX(CURRENT_USER(), '@', -1)";
    let user = format!("LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH({host}) - 1)");
    let own = format!(
        "SELECT 'right' AS kind, PRIVILEGE_TYPE AS name FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = \
         CONCAT('''', {user}, '''@''', {host}, '''')"
    );
    let own = format!("{own} UNION ALL SELECT 'account', CURRENT_USER()");
    let role = "SELECT 'role', COALESCE(CURRENT_ROLE(), '')";
    if server.mysql_since(8, 0, 0) {
        let grantee = format!("GRANTEE = CONCAT('''', {user}, '''@''', {host}, '''') AND PRIVILEGE_TYPE = 'SELECT'");
        return format!(
            "{own} UNION ALL {role} UNION ALL SELECT 'dictionary', '' UNION ALL SELECT 'readable', TABLE_SCHEMA FROM \
             information_schema.SCHEMA_PRIVILEGES WHERE {grantee} UNION ALL SELECT 'readable', CONCAT(TABLE_SCHEMA, '.', \
             TABLE_NAME) FROM information_schema.TABLE_PRIVILEGES WHERE {grantee} UNION ALL SELECT 'readable', 'limits' FROM \
             information_schema.COLUMN_PRIVILEGES WHERE {grantee} AND TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'user' AND \
             COLUMN_NAME IN ('User', 'max_user_connections') HAVING COUNT(*) = 2"
        );
    }
    match server.mariadb_since(10, 0, 5) {
        true => format!("{own} UNION ALL {role}"),
        false => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Rows {
        Rows::of(&["a", "b"], pairs.iter().map(|(one, other)| vec![Some(*one), Some(*other)]))
    }

    #[test]
    fn facts_are_what_the_server_said() {
        let facts = Facts::read(&[
            pairs(&[("right", "PROCESS"), ("role", ""), ("account", "a@%")]),
            pairs(&[("log_bin", "ON"), ("userstat", "OFF"), ("performance_schema", "1")]),
            pairs(&[("mysql.user", "Host"), ("mysql.user", "User")]),
        ]);
        assert!(facts.is_on("log_bin") && facts.is_on("performance_schema") && !facts.is_on("userstat"));
        assert!(facts.has_table("mysql.user") && facts.has_column("mysql.user", "host"));
        assert!(!facts.has_column("mysql.user", "max_user_connections") && !facts.has_table("sys.x$user_summary"));
        assert!(facts.may(&["SUPER", "PROCESS"]) && !facts.may(&["SUPER"]));
        assert_eq!(facts.account(), Some("a@%"));
    }

    #[test]
    fn with_a_role_nothing_is_known_to_be_missing() {
        let facts = Facts::read(&[pairs(&[("right", "USAGE"), ("role", "`monitor`@`%`")]), pairs(&[]), pairs(&[])]);
        assert!(facts.may(&["SUPER"]));
        let none = Facts::read(&[pairs(&[("right", "USAGE"), ("role", "NONE")]), pairs(&[]), pairs(&[])]);
        assert!(!none.may(&["SUPER"]));
    }

    #[test]
    fn what_every_mysql_8_has_is_not_looked_for() {
        let needs =
            [Needs::table(&["performance_schema.threads", LIMITS]), Needs::table(&["performance_schema.processlist"])];
        let (tunables, server) = (Tunables::default(), Server::from_version("9.7.4"));
        let rights = |more: &[(&str, &str)]| {
            pairs(&[&[("right", "PROCESS"), ("role", "NONE"), ("dictionary", "")], more].concat())
        };
        let may = rights(&[("readable", "performance_schema"), ("readable", "limits")]);
        let columns = &Facts::statements(&needs, &tunables, &server, &may)[1];
        assert!(columns.ends_with("WHERE 1 = 0"), "{columns}");
        let facts = Facts::read(&[may, pairs(&[]), pairs(&[])]);
        assert!(facts.has_table("performance_schema.threads") && facts.has_limits());
        let facts = Facts::read(&[rights(&[]), pairs(&[]), pairs(&[])]);
        assert!(!facts.has_table("performance_schema.threads") && !facts.has_limits());
        assert!(facts.has_table("performance_schema.processlist"));
        // By a role anything may be granted: it is looked for.
        let by_role = pairs(&[("role", "`monitor`@`%`"), ("dictionary", "")]);
        assert!(Facts::statements(&needs, &tunables, &server, &by_role)[1].contains("TABLE_NAME = 'threads'"));
        let old = Server::from_version("5.7.44");
        assert!(Facts::statements(&needs, &tunables, &old, &rights(&[]))[1].contains("TABLE_NAME = 'user'"));
    }

    #[test]
    fn what_is_needed_by_several_is_asked_once() {
        let needs =
            [Needs { variables: &["log_bin", "userstat"], tables: &["mysql.user"] }, Needs::table(&["mysql.user"])];
        let none = Tunables::default();
        let nothing = pairs(&[]);
        let statements = Facts::statements(&needs, &none, &Server::from_version("9.7.4"), &nothing);
        assert_eq!(statements[0], "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('', 'log_bin', 'userstat')");
        assert_eq!(statements[1].matches("TABLE_NAME =").count(), 1);
        assert!(Facts::rights(&Server::from_version("9.7.4")).contains("CURRENT_ROLE()"));
        let old = Server::from_version("5.7.44");
        assert!(!Facts::rights(&old).contains("CURRENT_ROLE()"));
        assert!(Facts::statements(&[], &none, &old, &nothing)[1].ends_with("WHERE 1 = 0"));
    }
}
