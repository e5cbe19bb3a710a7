//! How the targets are: one word, a line each, or everything as JSON.
//!
//! A target passes when a new client got in at the last probe and some connection answered within the last two
//! intervals. Both are asked for: on a full server the kept connections still answer, and a probe that hangs
//! leaves its last good result behind.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

use crate::mysql::failure::Failure;
use crate::watch::board::{Board, Slot};
use crate::watch::finding::Finding;
use crate::watch::snapshot::{ProbeResult, Snapshot};

/// One target as it is seen now.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    /// `mysql_up`, judged at the same moment for all targets.
    pub up: bool,
    pub snapshot: Arc<Snapshot>,
    /// What is wrong with it, worst first.
    pub findings: Arc<[Finding]>,
}

/// All targets of the board, now.
pub fn look(board: &Board, now: Instant) -> Vec<Seen> {
    board.slots().iter().map(|slot| see(slot, now)).collect()
}

/// One target, now.
pub fn see(slot: &Slot, now: Instant) -> Seen {
    Seen {
        name: slot.name().to_owned(),
        up: slot.is_up(now),
        snapshot: slot.snapshot(),
        findings: slot.findings(),
    }
}

/// What the whole set of targets comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Healthy,
    /// Something is wrong with a target that is not required, or with a collector.
    Degraded,
    /// A required target does not pass.
    Unhealthy,
}

impl Status {
    pub fn label(self) -> &'static str {
        match self {
            Status::Healthy => "healthy",
            Status::Degraded => "degraded",
            Status::Unhealthy => "unhealthy",
        }
    }
}

/// Judges all targets together.
pub fn status(targets: &[Seen]) -> Status {
    if targets.iter().any(|target| target.snapshot.required && !target.passes()) {
        return Status::Unhealthy;
    }
    let flawed = |target: &Seen| !target.passes() || target.snapshot.collectors.iter().any(|one| one.error.is_some());
    if targets.iter().any(flawed) { Status::Degraded } else { Status::Healthy }
}

impl Seen {
    /// Whether clients can use it, as far as is known.
    pub fn passes(&self) -> bool {
        self.up && self.snapshot.probe.as_ref().is_some_and(|probe| probe.failure.is_none())
    }

    /// Why the last probe failed.
    pub fn failure(&self) -> Option<&Failure> {
        self.snapshot.probe.as_ref()?.failure.as_ref()
    }

    /// The target's state in a word.
    pub fn state(&self) -> &'static str {
        match &self.snapshot.probe {
            None => "pending",
            Some(probe) if self.up && probe.failure.is_none() => "connected",
            Some(_) if self.up => "degraded",
            Some(_) => "down",
        }
    }

    /// The target's name and how it is, for a log, a terminal or a load balancer's history.
    pub fn line(&self) -> String {
        let mut line = format!("{}: ", self.name);
        match (&self.snapshot.probe, self.failure()) {
            (None, _) => line.push_str("not probed yet"),
            (Some(_), None) if self.up => line.push_str("ok"),
            (Some(_), None) => line.push_str("no answer within the last two intervals"),
            (Some(_), Some(failure)) => {
                let (phase, reason) = (failure.phase.label(), failure.reason.label());
                line.push_str(&format!("failed phase={phase} reason={reason}"));
                if let Some(errno) = failure.errno {
                    line.push_str(&format!(" errno={errno}"));
                }
            }
        }
        if !self.snapshot.required && !self.passes() {
            line.push_str(" (not required)");
        }
        line
    }
}

/// Everything, as `/health/detailed` and `--output json` give it.
#[derive(Debug, Serialize)]
pub struct Detailed {
    pub status: Status,
    pub version: &'static str,
    pub uptime_seconds: f64,
    pub targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
pub struct Target {
    name: String,
    address: String,
    required: bool,
    up: bool,
    state: &'static str,
    every_seconds: f64,
    consecutive_failures: u64,
    undecided_losses: Undecided,
    last_success: Option<String>,
    probe: Option<Probe>,
    server: Option<Server>,
    connections: Option<Connections>,
    collectors: Vec<Collector>,
}

/// Lost connections that are not counted yet: the server is away, and may come back as what tells why.
#[derive(Debug, Serialize)]
struct Undecided {
    pool: u64,
    canary: u64,
}

#[derive(Debug, Serialize)]
struct Probe {
    at: String,
    success: bool,
    /// Seconds of the phases that were passed.
    phases: serde_json::Map<String, serde_json::Value>,
    tls_version: Option<String>,
    failure: Option<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    phase: &'static str,
    reason: &'static str,
    errno: Option<u16>,
    detail: String,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Server {
    flavor: &'static str,
    version: String,
}

#[derive(Debug, Serialize)]
struct Connections {
    used: u64,
    limit: u64,
}

#[derive(Debug, Serialize)]
struct Collector {
    name: &'static str,
    last_success: Option<String>,
    error: Option<String>,
}

/// The whole picture.
pub fn detailed(targets: &[Seen], uptime: Duration) -> Detailed {
    Detailed {
        status: status(targets),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: uptime.as_secs_f64(),
        targets: targets.iter().map(target).collect(),
    }
}

fn target(seen: &Seen) -> Target {
    let snapshot = &seen.snapshot;
    Target {
        name: seen.name.clone(),
        address: snapshot.address.clone(),
        required: snapshot.required,
        up: seen.up,
        state: seen.state(),
        every_seconds: snapshot.every.as_secs_f64(),
        consecutive_failures: snapshot.consecutive_failures,
        undecided_losses: Undecided { pool: snapshot.undecided.0, canary: snapshot.undecided.1 },
        last_success: snapshot.last_success.map(time),
        probe: snapshot.probe.as_ref().map(probe),
        server: snapshot
            .server
            .as_ref()
            .map(|server| Server { flavor: server.flavor.label(), version: server.version_text.clone() }),
        connections: snapshot.connections.map(|(used, limit)| Connections { used, limit }),
        collectors: snapshot
            .collectors
            .iter()
            .map(|one| Collector { name: one.name, last_success: one.last_success.map(time), error: one.error.clone() })
            .collect(),
    }
}

fn probe(result: &ProbeResult) -> Probe {
    Probe {
        at: time(result.at),
        success: result.failure.is_none(),
        phases: result
            .phases
            .iter()
            .map(|(phase, took)| (phase.label().to_owned(), serde_json::Value::from(took.as_secs_f64())))
            .collect(),
        tls_version: result.tls_version.clone(),
        failure: result.failure.as_ref().map(|failure| Failed {
            phase: failure.phase.label(),
            reason: failure.reason.label(),
            errno: failure.errno,
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
        }),
    }
}

/// RFC 3339 in UTC.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::{Phase, Reason};
    use crate::mysql::server;
    use crate::watch::snapshot::CollectorResult;

    fn seen(name: &str, up: bool, required: bool, failure: Option<Option<Failure>>) -> Seen {
        let probe = failure.map(|failure| ProbeResult {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500),
            failure,
            phases: vec![(Phase::Tcp, Duration::from_micros(1500)), (Phase::Dns, Duration::from_millis(1))],
            tls_version: Some("TLSv1.3".to_owned()),
        });
        let snapshot = Snapshot { required, probe, address: "db:3306".to_owned(), ..Snapshot::default() };
        Seen { name: name.to_owned(), up, snapshot: Arc::new(snapshot), findings: Arc::default() }
    }

    fn full() -> Failure {
        let mut failure = Failure::new(Phase::Auth, Reason::TooManyConnections, "Too many connections");
        failure.errno = Some(1040);
        failure.with_hint("raise max_connections")
    }

    #[test]
    fn the_overall_status_is_the_worst_that_matters() {
        let good = || seen("a", true, true, Some(None));
        for (others, expect) in [
            (vec![], Status::Healthy),
            (vec![good()], Status::Healthy),
            (vec![seen("b", true, true, Some(Some(full())))], Status::Unhealthy),
            (vec![seen("b", false, true, Some(None))], Status::Unhealthy),
            (vec![seen("b", false, true, None)], Status::Unhealthy),
            (vec![seen("b", false, false, Some(Some(full())))], Status::Degraded),
            (vec![seen("b", false, false, None), seen("c", false, true, None)], Status::Unhealthy),
        ] {
            let targets: Vec<Seen> = std::iter::once(good()).chain(others).collect();
            assert_eq!(status(&targets), expect, "{targets:?}");
        }
    }

    #[test]
    fn a_failing_collector_degrades() {
        let mut target = seen("a", true, true, Some(None));
        let failing = CollectorResult { name: "x", last_success: None, error: Some("no grant".to_owned()) };
        Arc::make_mut(&mut target.snapshot).collectors.push(failing);
        assert_eq!(status(&[target]), Status::Degraded);
    }

    #[test]
    fn a_line_says_how_the_target_is() {
        for (target, line, state) in [
            (seen("a", true, true, Some(None)), "a: ok", "connected"),
            (seen("a", false, true, None), "a: not probed yet", "pending"),
            (
                seen("a", true, true, Some(Some(full()))),
                "a: failed phase=auth reason=too_many_connections errno=1040",
                "degraded",
            ),
            (
                seen("a", false, false, Some(Some(Failure::new(Phase::Tcp, Reason::Refused, "")))),
                "a: failed phase=tcp reason=refused (not required)",
                "down",
            ),
            (seen("a", false, true, Some(None)), "a: no answer within the last two intervals", "down"),
        ] {
            assert_eq!((target.line().as_str(), target.state()), (line, state));
        }
    }

    #[test]
    fn the_details_are_all_there() {
        let mut target = seen("a", true, true, Some(Some(full())));
        let snapshot = Arc::make_mut(&mut target.snapshot);
        snapshot.every = Duration::from_secs(15);
        snapshot.consecutive_failures = 2;
        snapshot.connections = Some((151, 151));
        snapshot.server = Some(server::Server::from_version("8.0.36"));
        snapshot.last_success = Some(SystemTime::UNIX_EPOCH);
        snapshot.collectors.push(CollectorResult { name: "global_status", last_success: None, error: None });
        let mut json = serde_json::to_value(detailed(&[target], Duration::from_millis(1500))).unwrap();
        json["version"].take();
        let expect = serde_json::json!({
            "status": "unhealthy",
            "version": null,
            "uptime_seconds": 1.5,
            "targets": [{
                "name": "a",
                "address": "db:3306",
                "required": true,
                "up": true,
                "state": "degraded",
                "every_seconds": 15.0,
                "consecutive_failures": 2,
                    "undecided_losses": {"pool": 0, "canary": 0},
                "last_success": "1970-01-01T00:00:00.000Z",
                "probe": {
                    "at": "2023-11-14T22:13:20.500Z",
                    "success": false,
                    "phases": {"tcp": 0.0015, "dns": 0.001},
                    "tls_version": "TLSv1.3",
                    "failure": {
                        "phase": "auth",
                        "reason": "too_many_connections",
                        "errno": 1040,
                        "detail": "Too many connections",
                        "hint": "raise max_connections"
                    }
                },
                "server": {"flavor": "mysql", "version": "8.0.36"},
                "connections": {"used": 151, "limit": 151},
                "collectors": [{"name": "global_status", "last_success": null, "error": null}]
            }]
        });
        assert_eq!(json, expect);
    }
}
