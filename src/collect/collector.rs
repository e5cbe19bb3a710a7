//! What a collector is: a statement for a given server, and how its rows are read.

use std::borrow::Cow;

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
    pub ask: fn(&Known) -> Ask,
    pub read: fn(&Rows, &Known, &mut BlockBuilder),
}

/// What is known of a server before it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub server: &'a Server,
}

/// What to ask, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Sql(Cow<'static, str>),
    /// This server cannot serve it. That is no failure: `mysql_conn_feature_supported` says why.
    Skip {
        feature: &'static str,
        why: Why,
    },
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
