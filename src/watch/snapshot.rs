//! What is known of one target, for health, the status page and the command line.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::hour::Hour;
use super::ladder::bounds::Owner;
use super::loss::families::Counted;
use super::pools::Occupancy;
use super::state::State;
use crate::mysql::failure::{Failure, Phase};
use crate::mysql::path::Path;
use crate::mysql::server::Server;

/// What is known of one target now.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The address as configured.
    pub address: String,
    /// Whether `/health/db` depends on it.
    pub required: bool,
    pub every: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// The account's name as configured.
    pub user: String,
    /// The account as the server knows it, `user@host`.
    pub account: Option<String>,
    /// The schema and the table of pt-heartbeat, as configured.
    pub heartbeat: (String, String),
    /// Whether it is reached within this machine.
    pub is_local: bool,
    /// `None` until the first probe has ended.
    pub probe: Option<ProbeResult>,
    pub last_success: Option<SystemTime>,
    pub consecutive_failures: u64,
    pub server: Option<Server>,
    /// Connections at the server: in use, and the limit.
    pub connections: Option<(u64, u64)>,
    pub collectors: Vec<CollectorResult>,
    /// Losses that are not counted yet, since it is not known what became of the server: of pools, and of canaries.
    pub undecided: (u64, u64),
    /// How it stands; none before its task has begun.
    pub state: Option<State>,
    /// When the present outage began.
    pub out_since: Option<SystemTime>,
    pub path: Option<Path>,
    /// By which port the collectors get in: main; or, while that is full, admin or extra.
    pub door: Option<&'static str>,
    pub hour: Arc<Hour>,
    pub pools: Vec<Occupancy>,
    /// What was lost since the exporter started, by cause.
    pub lost: Arc<[Counted]>,
    pub idle: IdleLimit,
}

impl Snapshot {
    /// Takes in how a collector's last run ended.
    pub(super) fn ran(&mut self, result: CollectorResult) {
        match self.collectors.iter_mut().find(|known| known.name == result.name) {
            Some(known) => *known = result,
            None => self.collectors.push(result),
        }
    }

    /// When a collector was last good.
    pub(super) fn last_success(&self, collector: &str) -> Option<SystemTime> {
        self.collectors.iter().find(|known| known.name == collector)?.last_success
    }
}

/// What is known of the time that an idle connection lives on the path from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleLimit {
    /// None before the server has told its own limit.
    pub owner: Option<Owner>,
    pub survived: Duration,
    pub lost: Option<Duration>,
    pub wait_timeout: Option<Duration>,
    pub safe_lifetime: Option<Duration>,
}

/// How the last probe ended.
#[derive(Clone, Debug)]
pub struct ProbeResult {
    pub at: SystemTime,
    pub failure: Option<Failure>,
    /// Phases that were passed, with their times.
    pub phases: Vec<(Phase, Duration)>,
    pub tls_version: Option<String>,
}

/// How the last run of a collector, or of a query of the operator's own, ended.
#[derive(Clone, Debug)]
pub struct CollectorResult {
    /// A query's begins with `query.`.
    pub name: Cow<'static, str>,
    pub last_success: Option<SystemTime>,
    pub error: Option<String>,
}
