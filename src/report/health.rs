//! How the targets are: one word, a line each, or everything as JSON.
//!
//! A target passes when a new client got in at the last probe and some connection answered within the last two
//! intervals. Both are asked for: on a full server the kept connections still answer, and a probe that hangs
//! leaves its last good result behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

use crate::mysql::failure::{Failure, Phase};
use crate::watch::board::{Board, Slot};
use crate::watch::finding::{Finding, Severity};
use crate::watch::snapshot::{CollectorResult, Snapshot};

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
    Seen { name: slot.name().to_owned(), up: slot.is_up(now), snapshot: slot.snapshot(), findings: slot.findings() }
}

/// What the whole set of targets comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Whether clients can use it, as far as is known, and that is no older than two intervals.
    pub fn passes(&self) -> bool {
        self.up
            && self.stale_for().is_none()
            && self.snapshot.probe.as_ref().is_some_and(|probe| probe.failure.is_none())
    }

    /// How old the last probe is, where that is more than two intervals and what a probe may take.
    fn stale_for(&self) -> Option<Duration> {
        let probe = self.snapshot.probe.as_ref()?;
        // A clock that was set back makes nothing old.
        let age = SystemTime::now().duration_since(probe.at).unwrap_or_default();
        (age > self.snapshot.every * 2 + self.snapshot.timeout).then_some(age)
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
        let optional = if !self.snapshot.required && !self.passes() { " (not required)" } else { "" };
        format!("{}: {}{optional}", self.name, self.reason())
    }

    /// `ok`, or why it does not pass.
    fn reason(&self) -> String {
        let Some(probe) = &self.snapshot.probe else { return "not probed yet".to_owned() };
        if let Some(failure) = &probe.failure {
            let errno = failure.errno.map(|errno| format!(" errno={errno}")).unwrap_or_default();
            return format!("failed phase={} reason={}{errno}", failure.phase.label(), failure.reason.label());
        }
        if !self.up {
            return "no answer within the last two intervals".to_owned();
        }
        match self.stale_for() {
            Some(age) => format!("not probed for {} s", age.as_secs()),
            None => "ok".to_owned(),
        }
    }
}

/// Everything, in the form of `application/health+json`: a status, and checks by what was observed.
///
/// Neither secrets nor texts of statements are in it, those of a finding's advice included.
#[derive(Debug, Serialize)]
pub struct Detailed {
    status: Verdict,
    /// Of the public interface: it changes when this form does.
    version: &'static str,
    #[serde(rename = "releaseId")]
    release_id: &'static str,
    #[serde(rename = "serviceId")]
    service_id: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    /// By `target:measurement`.
    checks: BTreeMap<String, Vec<Check>>,
}

/// The three words of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl Verdict {
    fn good(good: bool, bad: Verdict) -> Verdict {
        if good { Verdict::Pass } else { bad }
    }
}

/// One thing that was observed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    #[serde(skip_serializing_if = "Option::is_none")]
    component_id: Option<String>,
    component_type: &'static str,
    observed_value: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_unit: Option<&'static str>,
    status: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

impl Check {
    fn new(observed: impl Into<serde_json::Value>, status: Verdict) -> Check {
        Check {
            component_id: None,
            component_type: "datastore",
            observed_value: observed.into(),
            observed_unit: None,
            status,
            time: None,
            output: None,
        }
    }

    fn of(self, component: impl Into<String>) -> Check {
        Check { component_id: Some(component.into()), ..self }
    }

    fn unit(self, unit: &'static str) -> Check {
        Check { observed_unit: Some(unit), ..self }
    }

    fn at(self, at: Option<SystemTime>) -> Check {
        Check { time: at.map(time), ..self }
    }

    fn output(self, output: Option<String>) -> Check {
        Check { output, ..self }
    }
}

/// The whole picture.
pub fn detailed(targets: &[Seen], uptime: Duration) -> Detailed {
    let mut checks = BTreeMap::new();
    let ours = Check { component_type: "system", ..Check::new(uptime.as_secs_f64(), Verdict::Pass).unit("s") };
    checks.insert("uptime".to_owned(), vec![ours]);
    for target in targets {
        for (measurement, of_it) in checks_of(target) {
            checks.insert(format!("{}:{measurement}", target.name), of_it);
        }
    }
    let failing: Vec<String> = targets.iter().filter(|target| !target.passes()).map(Seen::line).collect();
    let findings = targets.iter().flat_map(|target| target.findings.iter());
    let found = findings.map(|finding| verdict(finding).min(Verdict::Warn)).max().unwrap_or(Verdict::Pass);
    let status = match status(targets) {
        Status::Healthy => Verdict::Pass,
        Status::Degraded => Verdict::Warn,
        Status::Unhealthy => Verdict::Fail,
    };
    Detailed {
        status: status.max(found),
        version: "1",
        release_id: env!("CARGO_PKG_VERSION"),
        service_id: "goneaway",
        description: "connections to MySQL and MariaDB servers",
        output: failing.join("; "),
        checks,
    }
}

/// A finding does not fail a target that passes: what `/health/db` says, this says too.
fn verdict(finding: &Finding) -> Verdict {
    match finding.severity {
        Severity::Info => Verdict::Pass,
        Severity::Warning => Verdict::Warn,
        Severity::Critical => Verdict::Fail,
    }
}

fn checks_of(seen: &Seen) -> Vec<(&'static str, Vec<Check>)> {
    let snapshot = &seen.snapshot;
    let bad = if snapshot.required { Verdict::Fail } else { Verdict::Warn };
    let probed = snapshot.probe.as_ref().map(|probe| probe.at);
    let reason = (!seen.passes()).then(|| seen.reason());
    let mut checks = vec![
        (
            "state",
            vec![
                Check::new(seen.state(), Verdict::good(seen.passes(), bad))
                    .of(&snapshot.address)
                    .at(probed)
                    .output(reason),
            ],
        ),
        ("login", login(seen, bad)),
        (
            "consecutiveFailures",
            vec![
                Check::new(snapshot.consecutive_failures, Verdict::good(snapshot.consecutive_failures == 0, bad))
                    .at(snapshot.last_success),
            ],
        ),
        (
            "undecidedLosses",
            [("pool", snapshot.undecided.0), ("canary", snapshot.undecided.1)]
                .map(|(source, count)| {
                    Check::new(count, Verdict::good(count == 0, Verdict::Warn)).of(source).at(probed)
                })
                .to_vec(),
        ),
    ];
    if let Some(server) = &snapshot.server {
        let flavor = server.flavor.label();
        checks.push(("version", vec![Check::new(server.version_text.clone(), Verdict::Pass).of(flavor).at(probed)]));
    }
    if let Some((used, limit)) = snapshot.connections {
        let share = used as f64 / (limit.max(1)) as f64;
        let status = match share {
            full if full >= 0.95 => Verdict::Fail,
            near if near >= 0.8 => Verdict::Warn,
            _ => Verdict::Pass,
        };
        let status = if seen.snapshot.required { status } else { status.min(Verdict::Warn) };
        checks.push((
            "connections",
            vec![
                Check::new(used, status).of("used").unit("connections").at(probed),
                Check::new(limit, Verdict::Pass).of("limit").unit("connections").at(probed),
            ],
        ));
    }
    if let Some(door) = snapshot.door {
        // By another than the main door: that one is full.
        let status = Verdict::good(door == "main", Verdict::Warn);
        checks.push(("door", vec![Check::new(door, status).at(probed)]));
    }
    if !snapshot.collectors.is_empty() {
        let collector = |one: &CollectorResult| {
            Check::new(one.error.is_none(), Verdict::good(one.error.is_none(), Verdict::Warn))
                .of(one.name.clone())
                .at(one.last_success)
                .output(one.error.clone())
        };
        checks.push(("collectors", snapshot.collectors.iter().map(collector).collect()));
    }
    if !seen.findings.is_empty() {
        let finding = |finding: &Finding| {
            Check::new(finding.severity.label(), verdict(finding))
                .of(&*finding.name)
                .at(probed)
                .output(Some(format!("{} ({})", finding.title, finding.seen)))
        };
        checks.push(("findings", seen.findings.iter().map(finding).collect()));
    }
    checks
}

/// The phases of the last login: those that were passed with their times, then the one that failed.
fn login(seen: &Seen, bad: Verdict) -> Vec<Check> {
    let Some(probe) = &seen.snapshot.probe else { return vec![Check::new("not probed yet", bad)] };
    let passed = |(phase, took): &(Phase, Duration)| {
        Check::new(took.as_secs_f64(), Verdict::Pass).of(phase.label()).unit("s").at(Some(probe.at))
    };
    let mut checks: Vec<Check> = probe.phases.iter().map(passed).collect();
    if let Some(failure) = &probe.failure {
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let output = format!("{}{hint}", failure.detail);
        let check = Check::new(failure.reason.label(), bad).of(failure.phase.label()).at(Some(probe.at));
        checks.push(check.output(Some(output)));
    }
    checks
}

/// RFC 3339 in UTC.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::Reason;
    use crate::mysql::server;
    use crate::watch::finding::Change;
    use crate::watch::snapshot::ProbeResult;

    fn seen(name: &str, up: bool, required: bool, failure: Option<Option<Failure>>) -> Seen {
        let probe = failure.map(|failure| ProbeResult {
            at: SystemTime::now(),
            failure,
            phases: vec![(Phase::Tcp, Duration::from_micros(1500)), (Phase::Dns, Duration::from_millis(1))],
            tls_version: Some("TLSv1.3".to_owned()),
        });
        let every = Duration::from_secs(15);
        let snapshot = Snapshot { required, probe, every, address: "db:3306".to_owned(), ..Snapshot::default() };
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
        let failing = CollectorResult { name: "x".into(), last_success: None, error: Some("no grant".to_owned()) };
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
    fn what_was_not_probed_for_two_intervals_does_not_pass() {
        let mut target = seen("a", true, true, Some(None));
        let snapshot = Arc::make_mut(&mut target.snapshot);
        snapshot.timeout = Duration::from_secs(5);
        snapshot.probe.as_mut().expect("it has one").at = SystemTime::now() - Duration::from_secs(34);
        assert!(target.passes());
        let snapshot = Arc::make_mut(&mut target.snapshot);
        snapshot.probe.as_mut().expect("it has one").at = SystemTime::now() - Duration::from_secs(36);
        assert_eq!((target.passes(), &*target.line()), (false, "a: not probed for 36 s"));
        assert_eq!(status(&[target]), Status::Unhealthy);
    }

    #[test]
    fn the_details_are_all_there() {
        let mut target = seen("a", true, true, Some(Some(full())));
        let snapshot = Arc::make_mut(&mut target.snapshot);
        snapshot.probe.as_mut().expect("it has one").at =
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        snapshot.consecutive_failures = 2;
        snapshot.connections = Some((151, 151));
        snapshot.server = Some(server::Server::from_version("8.0.36"));
        snapshot.last_success = Some(SystemTime::UNIX_EPOCH);
        snapshot.collectors.push(CollectorResult { name: "global_status".into(), last_success: None, error: None });
        let change = Change::new("more").sql("SET GLOBAL max_connections = 300;");
        let finding =
            Finding::new("cannot_connect", Severity::Critical, "no new client gets in").seen("1040").change(change);
        target.findings = [finding].into();
        let mut json = serde_json::to_value(detailed(&[target], Duration::from_millis(1500))).unwrap();
        json["releaseId"].take();
        let at = "2023-11-14T22:13:20.500Z";
        let of = |value: serde_json::Value, status: &str, more: serde_json::Value| {
            let mut check =
                serde_json::json!({"componentType": "datastore", "observedValue": value, "status": status, "time": at});
            check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            check
        };
        let unit = |id: &str, unit: &str| serde_json::json!({"componentId": id, "observedUnit": unit});
        let id = |id: &str| serde_json::json!({"componentId": id});
        let expect = serde_json::json!({
            "status": "fail",
            "version": "1",
            "releaseId": null,
            "serviceId": "goneaway",
            "description": "connections to MySQL and MariaDB servers",
            "output": "a: failed phase=auth reason=too_many_connections errno=1040",
            "checks": {
                "uptime": [{"componentType": "system", "observedValue": 1.5, "observedUnit": "s", "status": "pass"}],
                "a:state": [of("degraded".into(), "fail", serde_json::json!({
                    "componentId": "db:3306",
                    "output": "failed phase=auth reason=too_many_connections errno=1040"
                }))],
                "a:login": [
                    of(0.0015.into(), "pass", unit("tcp", "s")),
                    of(0.001.into(), "pass", unit("dns", "s")),
                    of("too_many_connections".into(), "fail", serde_json::json!({
                        "componentId": "auth",
                        "output": "Too many connections; raise max_connections"
                    })),
                ],
                "a:consecutiveFailures": [of(2.into(), "fail", serde_json::json!({"time": "1970-01-01T00:00:00.000Z"}))],
                "a:undecidedLosses": [of(0.into(), "pass", id("pool")), of(0.into(), "pass", id("canary"))],
                "a:version": [of("8.0.36".into(), "pass", id("mysql"))],
                "a:connections": [
                    of(151.into(), "fail", unit("used", "connections")),
                    of(151.into(), "pass", unit("limit", "connections")),
                ],
                "a:collectors": [{
                    "componentId": "global_status",
                    "componentType": "datastore",
                    "observedValue": true,
                    "status": "pass"
                }],
                "a:findings": [of("critical".into(), "fail", serde_json::json!({
                    "componentId": "cannot_connect",
                    "output": "no new client gets in (1040)"
                }))],
            }
        });
        assert_eq!(json, expect);
    }

    #[test]
    fn what_is_not_required_warns_and_so_does_a_finding() {
        let verdict = |target: Seen| detailed(&[target], Duration::ZERO).status;
        assert_eq!(verdict(seen("a", true, true, Some(None))), Verdict::Pass);
        assert_eq!(verdict(seen("a", false, false, Some(Some(full())))), Verdict::Warn);
        assert_eq!(verdict(seen("a", false, true, Some(Some(full())))), Verdict::Fail);
        for (severity, expect) in
            [(Severity::Info, Verdict::Pass), (Severity::Warning, Verdict::Warn), (Severity::Critical, Verdict::Warn)]
        {
            let mut target = seen("a", true, true, Some(None));
            target.findings = [Finding::new("x", severity, "x")].into();
            assert_eq!(verdict(target), expect);
        }
    }
}
