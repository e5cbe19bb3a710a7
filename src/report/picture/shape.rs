//! What a picture holds.

use serde::{Deserialize, Serialize};

use super::super::sizing::Sizing;
use crate::watch::finding::Finding;

/// One target, as it is known now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    pub target: String,
    pub address: String,
    pub required: bool,
    /// Whether some connection answers.
    pub up: bool,
    pub state: String,
    pub probe: Option<Probe>,
    pub server: Option<Server>,
    pub pools: Vec<Pool>,
    pub limits: Vec<Limit>,
    pub settings: Vec<Setting>,
    pub sessions: Vec<Session>,
    pub rests: Vec<Rest>,
    /// Collectors and queries of which the last run failed.
    #[serde(default)]
    pub failing: Vec<Failing>,
    pub findings: Vec<Finding>,
    pub sizing: Option<Sizing>,
}

/// How the last fresh login went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub at: String,
    pub success: bool,
    /// Seconds by phase, in their order.
    pub phases: Vec<(String, f64)>,
    pub phase: Option<String>,
    pub reason: Option<String>,
    pub errno: Option<u16>,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// Who answers, and how it is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    pub flavor: String,
    pub version: String,
    pub uptime_seconds: Option<f64>,
    /// The account as the server knows it.
    pub account: Option<String>,
    pub auth_plugin: String,
    /// Empty without TLS.
    pub tls_version: String,
    pub tls_cipher: String,
    pub certificate_not_after: Option<String>,
    /// direct or proxied; empty while not known.
    pub path: String,
    pub door: String,
    /// Who ends idle connections first, as far as was tried: server, middlebox, none_seen.
    pub idle_limit_owner: Option<String>,
    pub idle_safe_lifetime_seconds: Option<f64>,
}

/// A pool of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    pub name: String,
    pub idle: f64,
    pub used: f64,
    pub size: f64,
    pub max_overflow: f64,
    pub recycle_seconds: Option<f64>,
    pub lost: f64,
}

/// Connections against a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    pub scope: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    pub used: Option<f64>,
    pub limit: f64,
    /// The most that were in use, where the server remembers it.
    pub peak: Option<f64>,
}

/// A setting of the server beside what is wise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub name: String,
    pub value: f64,
    pub shown: String,
    pub wise: String,
    pub is_wise: bool,
}

/// A collector, or a query of the operator's own (`query.NAME`), that has nothing new to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failing {
    pub name: String,
    pub error: String,
    pub last_success: Option<String>,
}

/// Sessions that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub user: String,
    pub host: String,
    pub program: String,
    pub connections: f64,
    pub sleeping: f64,
}

/// How an account's sessions rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    pub user: String,
    pub oldest_seconds: f64,
    pub near_timeout: f64,
    pub in_transaction: f64,
    pub in_transaction_oldest_seconds: f64,
}
