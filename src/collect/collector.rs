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
    /// Why a table has nothing to say, if so: the server does not have it, or none of these switches is on.
    pub(super) fn lacks(&self, table: &str, switches: &[&str]) -> Option<Why> {
        if !self.facts.has_table(table) {
            return Some(Why::Version);
        }
        (!switches.iter().any(|switch| self.facts.is_on(switch))).then_some(Why::Off)
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
