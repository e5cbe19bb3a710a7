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
}

impl Facts {
    /// The statements that find out what these collectors need; `read` takes their answers in this order.
    pub fn statements(needs: &[Needs], tunables: &Tunables, server: &Server) -> Vec<String> {
        vec![variables(needs), columns(needs, tunables, server), privileges(server)]
    }

    pub fn read(answers: &[Rows]) -> Facts {
        let mut facts = Facts::default();
        let [variables, columns, privileges] = answers else { return facts };
        for (name, value) in variables.pairs() {
            facts.variables.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        for (table, column) in columns.pairs() {
            let of_table = facts.columns.entry(table.to_ascii_lowercase()).or_default();
            of_table.insert(column.to_ascii_lowercase());
        }
        let by_role = privileges.pairs().any(|(kind, role)| kind == "role" && !matches!(role, "" | "NONE"));
        let own = privileges.pairs().filter(|(kind, _)| *kind == "right").map(|(_, right)| right.to_ascii_uppercase());
        facts.privileges = (!by_role).then(|| own.collect());
        facts
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub fn is_on(&self, variable: &str) -> bool {
        self.variable(variable).is_some_and(|value| value.eq_ignore_ascii_case("on") || value == "1")
    }

    pub fn has_table(&self, table: &str) -> bool {
        self.columns.contains_key(table)
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
fn columns(needs: &[Needs], tunables: &Tunables, server: &Server) -> String {
    let heartbeat = format!("{}.{}", tunables.heartbeat_database, tunables.heartbeat_table);
    let tables = needs.iter().flat_map(|needs| needs.tables);
    let tables: BTreeSet<&str> = tables.map(|table| if *table == HEARTBEAT { &*heartbeat } else { table }).collect();
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
    let has_roles = server.mysql_since(8, 0, 0) || server.mariadb_since(10, 0, 5);
    match has_roles {
        true => format!("{own} UNION ALL SELECT 'role', COALESCE(CURRENT_ROLE(), '')"),
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
            pairs(&[("log_bin", "ON"), ("userstat", "OFF"), ("performance_schema", "1")]),
            pairs(&[("mysql.user", "Host"), ("mysql.user", "User")]),
            pairs(&[("right", "PROCESS"), ("role", "")]),
        ]);
        assert!(facts.is_on("log_bin") && facts.is_on("performance_schema") && !facts.is_on("userstat"));
        assert!(facts.has_table("mysql.user") && facts.has_column("mysql.user", "host"));
        assert!(!facts.has_column("mysql.user", "max_user_connections") && !facts.has_table("sys.x$user_summary"));
        assert!(facts.may(&["SUPER", "PROCESS"]) && !facts.may(&["SUPER"]));
    }

    #[test]
    fn with_a_role_nothing_is_known_to_be_missing() {
        let facts = Facts::read(&[pairs(&[]), pairs(&[]), pairs(&[("right", "USAGE"), ("role", "`monitor`@`%`")])]);
        assert!(facts.may(&["SUPER"]));
        let none = Facts::read(&[pairs(&[]), pairs(&[]), pairs(&[("right", "USAGE"), ("role", "NONE")])]);
        assert!(!none.may(&["SUPER"]));
    }

    #[test]
    fn what_is_needed_by_several_is_asked_once() {
        let needs =
            [Needs { variables: &["log_bin", "userstat"], tables: &["mysql.user"] }, Needs::table(&["mysql.user"])];
        let none = Tunables::default();
        let statements = Facts::statements(&needs, &none, &Server::from_version("9.7.4"));
        assert_eq!(statements[0], "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('', 'log_bin', 'userstat')");
        assert_eq!(statements[1].matches("TABLE_NAME =").count(), 1);
        assert!(statements[2].contains("CURRENT_ROLE()"));
        assert!(!Facts::statements(&[], &none, &Server::from_version("5.7.44"))[2].contains("CURRENT_ROLE()"));
        assert!(Facts::statements(&[], &none, &Server::from_version("5.7.44"))[1].ends_with("WHERE 1 = 0"));
    }
}
