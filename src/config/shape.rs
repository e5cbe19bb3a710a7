//! The shape of a finished configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::query::servers::Servers;
use super::secret::Secret;

/// What switches the control socket off.
pub(crate) const OFF: &str = "off";

/// The whole configuration, all layers merged and every value checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub web: Web,
    pub log: Log,
    /// Where learned idle limits are kept.
    pub state_directory: Option<PathBuf>,
    /// Where commands find the daemon; nowhere if none.
    #[serde(default, deserialize_with = "path_or_off")]
    pub control: Option<PathBuf>,
    /// Hosts of clients that are told as one: `pattern=name`.
    #[serde(default)]
    pub host_groups: Vec<String>,
    pub events: Events,
    pub probe: Probe,
    /// Accounts that a client of `/probe` may choose; my.cnf's sections where mysqld_exporter's flags are given.
    #[serde(default)]
    pub auth_modules: BTreeMap<String, AuthModule>,
    /// What is said of single collectors, by name. Those of which nothing is said are not here.
    #[serde(default)]
    pub collectors: BTreeMap<String, Collector>,
    /// Queries of the operator's own, by name.
    #[serde(default)]
    pub queries: BTreeMap<String, Query>,
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    /// Only where mysqld_exporter's flags take the place of a file.
    #[serde(skip)]
    pub drop_in: Option<DropIn>,
}

/// What mysqld_exporter's flags and my.cnf say beyond the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct DropIn {
    /// The one target; its series carry no label `target`.
    pub target: String,
}

/// An account, without a server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthModule {
    pub user: String,
    #[serde(default)]
    pub password: Secret,
    /// The servers that it may be shown to; those of `probe.allow` where none are said.
    pub allow: Option<Vec<String>>,
    pub cleartext: bool,
    pub tls: Tls,
}

/// Collections at scrape time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Which servers may be asked about besides the targets.
    #[serde(default)]
    pub allow: Vec<String>,
    /// How many at once.
    pub limit: u32,
    /// Where the scraper does not say its own deadline.
    #[serde(deserialize_with = "with_unit")]
    pub timeout: Duration,
    /// How much earlier than that of the scraper.
    #[serde(deserialize_with = "with_unit")]
    pub timeout_offset: Duration,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    pub listen_addresses: Vec<String>,
    /// Sockets that systemd opened, in the place of those addresses.
    pub systemd_socket: bool,
    pub telemetry_path: String,
    /// Whether POST requests that change something are taken at these addresses.
    pub lifecycle: bool,
    /// TLS, authentication and limits of the HTTP side; read by whoever serves.
    pub config_file: Option<PathBuf>,
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
    /// Where collectors get in when all connections are in use: `auto`, `off`, `host:port` or `:port`.
    pub second_door: String,
    /// Whether `/health/db` fails when this target does.
    pub required: bool,
    /// How many connections may be held to it at once.
    pub connections: u32,
    /// How many series it may have.
    pub max_series: u32,
    /// Allow `mysql_clear_password` on a secure channel.
    pub cleartext: bool,
    pub tls: Tls,
    pub backoff: Backoff,
    /// Between two attempts where trying makes it worse.
    #[serde(deserialize_with = "with_unit")]
    pub circuit_interval: Duration,
    /// After so long without a usable connection it is down.
    #[serde(deserialize_with = "with_unit")]
    pub down_after: Duration,
    /// How long it may be away before losses are booked without knowing how it comes back.
    #[serde(deserialize_with = "with_unit")]
    pub give_up_after: Duration,
    pub ladder: Ladder,
    /// By their names; never empty.
    pub pools: BTreeMap<String, Pool>,
}

/// What is said of one collector. What only some have is none for the others, and where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collector {
    pub enabled: bool,
    /// How often it asks.
    #[serde(deserialize_with = "some_unit")]
    pub every: Option<Duration>,
    /// Its deadline.
    #[serde(deserialize_with = "some_unit")]
    pub timeout: Option<Duration>,
    pub database: Option<String>,
    pub table: Option<String>,
    pub utc: Option<bool>,
    #[serde(deserialize_with = "some_unit")]
    pub min_time: Option<Duration>,
    pub processes_by_user: Option<bool>,
    pub processes_by_host: Option<bool>,
    pub databases: Option<Vec<String>>,
    pub privileges: Option<bool>,
    pub limit: Option<u64>,
    #[serde(deserialize_with = "some_unit")]
    pub timelimit: Option<Duration>,
    pub digest_text_limit: Option<u64>,
    pub exclude_schemas: Option<Vec<String>>,
    pub filter: Option<String>,
    pub remove_prefix: Option<String>,
}

/// A query of the operator's own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub sql: String,
    /// How often it asks.
    #[serde(deserialize_with = "with_unit")]
    pub every: Duration,
    /// Its deadline.
    #[serde(deserialize_with = "with_unit")]
    pub timeout: Duration,
    /// Columns that are labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Columns that are values, by the names of the columns.
    pub values: BTreeMap<String, QueryValue>,
    /// All where none.
    pub targets: Option<Vec<String>>,
    /// All where none.
    #[serde(default, deserialize_with = "servers")]
    pub servers: Option<Vec<Servers>>,
    pub max_rows: u32,
    pub max_series: u32,
}

/// A column that becomes a metric.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryValue {
    pub name: String,
    pub r#type: QueryValueType,
    pub help: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryValueType {
    Gauge,
    Counter,
    Untyped,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// How many are kept.
    pub keep: u32,
}

/// How attempts to connect anew are spaced.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    #[serde(deserialize_with = "with_unit")]
    pub floor: Duration,
    #[serde(deserialize_with = "with_unit")]
    pub first: Duration,
    #[serde(deserialize_with = "with_unit")]
    pub cap: Duration,
}

/// How the idle limit of the path is searched.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    pub enabled: bool,
    #[serde(deserialize_with = "with_unit")]
    pub cap: Duration,
    /// Rising.
    #[serde(deserialize_with = "with_units")]
    pub ages: Vec<Duration>,
    #[serde(deserialize_with = "with_unit")]
    pub precision: Duration,
    #[serde(deserialize_with = "with_unit")]
    pub stagger: Duration,
    #[serde(deserialize_with = "with_unit")]
    pub recheck_every: Duration,
}

/// A pool of kept connections, in the words of SQLAlchemy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub size: u32,
    pub max_overflow: u32,
    #[serde(deserialize_with = "with_unit")]
    pub timeout: Duration,
    #[serde(deserialize_with = "unit_or_never")]
    pub recycle: Option<Duration>,
    pub pre_ping: bool,
    pub reset_on_return: ResetOnReturn,
    #[serde(deserialize_with = "with_unit")]
    pub connect_timeout: Duration,
    #[serde(deserialize_with = "with_unit")]
    pub read_timeout: Duration,
    #[serde(deserialize_with = "with_unit")]
    pub write_timeout: Duration,
    pub charset: Option<String>,
    pub exercise: Exercise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetOnReturn {
    Rollback,
    None,
}

/// How a pool is used when nothing else uses it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    pub enabled: bool,
    pub statement: String,
    #[serde(deserialize_with = "with_unit")]
    pub busy: Duration,
    #[serde(deserialize_with = "with_units")]
    pub rests: Vec<Duration>,
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

fn servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Servers>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let servers: Result<Vec<Servers>, String> = texts.iter().map(|text| Servers::parse(text)).collect();
    servers.map(Some).map_err(serde::de::Error::custom)
}

fn with_units<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| humantime::parse_duration(text).map_err(serde::de::Error::custom)).collect()
}

fn unit_or_never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "never" => Ok(None),
        text => humantime::parse_duration(text).map(Some).map_err(serde::de::Error::custom),
    }
}

fn path_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((text != OFF).then(|| PathBuf::from(text)))
}

fn some_unit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    with_unit(deserializer).map(Some)
}

fn with_unit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}
