//! The shape of a finished configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::secret::Secret;

/// The whole configuration, all layers merged and every value checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub web: Web,
    pub log: Log,
    /// Collectors switched on or off, by name (`global_status: false`).
    #[serde(default)]
    pub collectors: BTreeMap<String, bool>,
    pub targets: BTreeMap<String, Target>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    pub listen_addresses: Vec<String>,
    pub telemetry_path: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Logfmt,
    Json,
}

/// One server to watch; what `defaults` said is already in it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `host:port` or the path of a unix socket.
    pub address: String,
    pub user: String,
    #[serde(default)]
    pub password: Secret,
    pub database: Option<String>,
    /// How often it is probed and collected.
    #[serde(deserialize_with = "with_unit")]
    pub every: Duration,
    /// Deadline of one round.
    #[serde(deserialize_with = "with_unit")]
    pub timeout: Duration,
    /// Deadline of the phase `tcp`, all addresses together.
    #[serde(deserialize_with = "with_unit")]
    pub connect_timeout: Duration,
    /// Whether `/health/db` fails when this target does.
    pub required: bool,
    /// How many connections may be held to it at once.
    pub connections: u32,
    /// Allow `mysql_clear_password` on a secure channel.
    pub cleartext: bool,
    pub tls: Tls,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub mode: TlsMode,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub server_name: Option<String>,
    pub min_version: TlsVersion,
}

/// TLS modes as the mysql client spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TlsMode {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

fn with_unit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}
