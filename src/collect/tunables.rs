//! What can be set about single collectors, with mysqld_exporter's defaults.

use super::host_groups::HostGroups;

/// The settings of collectors that have some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunables {
    pub heartbeat_database: String,
    pub heartbeat_table: String,
    pub heartbeat_utc: bool,
    /// Threads that are younger are left out, in seconds.
    pub processlist_min_time: u64,
    pub processlist_by_user: bool,
    pub processlist_by_host: bool,
    /// `*` for all but the server's own.
    pub tables_databases: String,
    pub user_privileges: bool,
    pub statements_limit: u64,
    /// How far back, in seconds.
    pub statements_time_limit: u64,
    pub statements_text_limit: u64,
    pub statements_exclude: Vec<String>,
    pub file_filter: String,
    pub file_remove_prefix: String,
    pub memory_remove_prefix: String,
    /// Of those that tell of clients' hosts.
    pub host_groups: HostGroups,
}

impl Default for Tunables {
    fn default() -> Tunables {
        Tunables {
            heartbeat_database: "heartbeat".to_owned(),
            heartbeat_table: "heartbeat".to_owned(),
            heartbeat_utc: false,
            processlist_min_time: 0,
            processlist_by_user: true,
            processlist_by_host: true,
            tables_databases: "*".to_owned(),
            user_privileges: false,
            statements_limit: 250,
            statements_time_limit: 86_400,
            statements_text_limit: 120,
            statements_exclude: Vec::new(),
            file_filter: ".*".to_owned(),
            file_remove_prefix: "/var/lib/mysql/".to_owned(),
            memory_remove_prefix: "memory/".to_owned(),
            host_groups: HostGroups::default(),
        }
    }
}

/// A text as a literal of SQL, whatever the session's `sql_mode` says of backslashes: in hexadecimal, unless it is plain.
pub(super) fn literal(text: &str) -> String {
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.$-/*".contains(letter));
    match is_plain {
        true => format!("'{text}'"),
        false => {
            format!("CONVERT(X'{}' USING utf8mb4)", text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>())
        }
    }
}

/// A name of a database or a table, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_wrote_is_never_sql() {
        assert_eq!(literal("a'b\\"), "CONVERT(X'6127625C' USING utf8mb4)");
        assert_eq!((literal(""), identifier("a`b")), ("''".to_owned(), "`a``b`".to_owned()));
    }
}
