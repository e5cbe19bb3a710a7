//! What a collector is: a statement for a given server, and how its rows are read.

use std::borrow::Cow;
use std::time::Duration;

use super::facts::{Facts, Needs};
use super::tunables::Tunables;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// One thing that the server can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Collector {
    /// As in the flag `--collect.global_status` and the label value `collect.global_status`.
    pub name: &'static str,
    /// One line for `--help` and the README.
    pub summary: &'static str,
    pub default_on: bool,
    pub pace: Pace,
    pub needs: Needs,
    pub ask: fn(&Known) -> Ask,
    /// Reads the answers to what it asked, in the same order.
    pub read: fn(&[Rows], &Known, &mut BlockBuilder),
}

impl Collector {
    /// Whether it is none of mysqld_exporter's: its families are our own.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("conn.")
    }

    /// Whether any server answers what it asks, to any account.
    pub fn is_plain(&self) -> bool {
        matches!(self.name, "global_status" | "global_variables")
    }

    /// Whether it reads a table that anybody may have locked: it asks last in a round, and waits for a part of the time.
    pub fn may_wait(&self) -> bool {
        matches!(self.name, "heartbeat" | "mysql.user")
    }
}

/// How often a collector asks, where nothing is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// With every round, on the connection that the round has.
    Round,
    /// With a round, on the connection that the round has, but so often at most.
    Seldom(Duration),
    /// After every round, once what it brought is told: answers that may be large, of tables that are in memory.
    Behind,
    /// What may take long on a large server: so often at most, on a connection of its own.
    Slow(Duration),
}

/// What is known of a server before it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub server: &'a Server,
    pub facts: &'a Facts,
    pub tunables: &'a Tunables,
}

impl Known<'_> {
    /// Why a table has nothing to say, if so: the server does not have it, hides it from this account, or none of these
    /// switches is on.
    pub(super) fn lacks(&self, table: &str, switches: &[&str]) -> Option<Why> {
        let is_there = self.facts.has_table(table);
        if !is_there && !is_in_every(table, self.server) {
            return Some(Why::Version);
        }
        if !switches.iter().any(|switch| self.facts.is_on(switch)) {
            return Some(Why::Off);
        }
        (!is_there).then_some(Why::Grant)
    }
}

/// Whether every server like this one has a table of the performance schema. Without the right to read that it looks as if
/// there were none.
fn is_in_every(table: &str, server: &Server) -> bool {
    match table.strip_prefix("performance_schema.") {
        Some(
            "accounts"
            | "events_statements_summary_by_digest"
            | "events_waits_summary_global_by_event_name"
            | "file_summary_by_event_name"
            | "file_summary_by_instance"
            | "session_connect_attrs"
            | "table_io_waits_summary_by_index_usage"
            | "table_io_waits_summary_by_table"
            | "table_lock_waits_summary_by_table"
            | "threads",
        ) => server.mysql_since(5, 7, 0) || server.mariadb_since(10, 0, 0),
        Some("host_cache" | "memory_summary_global_by_event_name" | "status_by_thread") => {
            server.mysql_since(5, 7, 9) || server.mariadb_since(10, 5, 2)
        }
        Some(
            "replication_applier_status_by_worker" | "replication_group_member_stats" | "replication_group_members",
        ) => server.mysql_since(5, 7, 9),
        Some("events_errors_summary_by_user_by_error") => server.mysql_since(8, 0, 0),
        _ => false,
    }
}

/// What to ask, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Sql(Cow<'static, str>),
    /// One after the other.
    All(Vec<Cow<'static, str>>),
    /// This server cannot serve it. That is no failure: `mysql_conn_feature_supported` says why.
    Skip {
        why: Why,
    },
}

impl Ask {
    pub const fn skip(why: Why) -> Ask {
        Ask::Skip { why }
    }
}

/// Why a server cannot serve a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    Version,
    Grant,
    Off,
    AuthPlugin,
}

impl Why {
    /// The label value; a feature that is served has an empty one.
    pub fn label(self) -> &'static str {
        match self {
            Why::Version => "version",
            Why::Grant => "grant",
            Why::Off => "off",
            Why::AuthPlugin => "auth_plugin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_every_such_server_has_is_hidden_and_not_missing() {
        let lacks = |version: &str, table: &str, variables: &[(&str, &str)]| {
            let pairs = |pairs: &[(&str, &str)]| {
                Rows::of(&["name", "value"], pairs.iter().map(|(name, value)| vec![Some(*name), Some(*value)]))
            };
            let facts = Facts::read(&[pairs(&[("right", "PROCESS"), ("role", "")]), pairs(variables), pairs(&[])]);
            let (server, tunables) = (Server::from_version(version), Tunables::default());
            Known { server: &server, facts: &facts, tunables: &tunables }.lacks(table, &["performance_schema"])
        };
        let (on, off) = ([("performance_schema", "ON")], [("performance_schema", "OFF")]);
        let (hosts, errors, other) = (
            "performance_schema.host_cache",
            "performance_schema.events_errors_summary_by_user_by_error",
            "information_schema.client_statistics",
        );
        assert_eq!(lacks("9.7.4", hosts, &on), Some(Why::Grant));
        assert_eq!(lacks("9.7.4", hosts, &off), Some(Why::Off));
        assert_eq!(lacks("9.7.4", errors, &on), Some(Why::Grant));
        assert_eq!(lacks("5.7.44", errors, &on), Some(Why::Version));
        assert_eq!(lacks("10.11.6-MariaDB", errors, &on), Some(Why::Version));
        assert_eq!(lacks("10.11.6-MariaDB", hosts, &on), Some(Why::Grant));
        assert_eq!(lacks("9.7.4", other, &on), Some(Why::Version));
    }
}
