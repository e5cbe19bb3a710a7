//! The families that a target's task keeps, and the instruments behind them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::door::Door;
use super::ladder::families::IdleInstruments;
use super::loss::families::LossInstruments;
use super::probe::Known;
use super::view::View;
use crate::metrics::{
    Block, BlockBuilder, CONNECT_SECONDS, Dropped, Gauge, GaugeVec, Histogram, HistogramVec, Instruments, IntCounter,
    IntCounterVec,
};
use crate::mysql::budget::{Budget, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{Facts, PhaseTimes};

crate::metrics! {
    /// Whether the last probe, a fresh connection, passed all phases (0 or 1). Source: the exporter's own probe.
    PROBE_SUCCESS: gauge "mysql_conn_probe_success" {};
    /// Probes by result since the exporter started. success and failure: ended so; skipped: the one before had not ended when this was due; suspended: not tried because trying makes it worse. The share of successful logins is success / (success + failure + suspended).
    PROBES: counter "mysql_conn_probes_total" { result };
    /// Failed probes by the first phase that failed and the reason, since the exporter started.
    PROBE_FAILURES: counter "mysql_conn_probe_failures_total" { phase, reason };
    /// Seconds that a probe took from resolving the name to the answer of its statement; failed probes too, but not those that go on waiting for a greeting.
    PROBE_DURATION: histogram(CONNECT_SECONDS) "mysql_conn_probe_duration_seconds" {};
    /// Seconds that each phase of a probe took, when it was passed. dns: resolving; tcp: connecting; greeting: the server's first packet; tls: TLS handshake; auth: login; query: one statement. A phase that a probe does not have adds nothing.
    PROBE_PHASE_DURATION: histogram(CONNECT_SECONDS) "mysql_conn_probe_phase_duration_seconds" { phase };
    /// Seconds that each phase took in the last probe that passed it.
    PROBE_PHASE_LAST: gauge "mysql_conn_probe_phase_last_duration_seconds" { phase };
    /// When the last probe began, in seconds since 1970; 0 before the first.
    PROBE_LAST_ATTEMPT: gauge "mysql_conn_probe_last_attempt_timestamp_seconds" {};
    /// When a probe last succeeded, in seconds since 1970; 0 if none has yet.
    PROBE_LAST_SUCCESS: gauge "mysql_conn_probe_last_success_timestamp_seconds" {};
    /// When the next probe is due, in seconds since 1970.
    PROBE_NEXT_ATTEMPT: gauge "mysql_conn_probe_next_attempt_timestamp_seconds" {};
    /// Seconds between probes, as configured (`every`).
    PROBE_INTERVAL: gauge "mysql_conn_probe_interval_seconds" {};
    /// How many probes have failed since the last one that succeeded.
    PROBE_CONSECUTIVE_FAILURES: gauge "mysql_conn_probe_consecutive_failures" {};
    /// What the last successful probe negotiated (always 1). flavor, version: from the server's greeting; auth_plugin: the plugin that logged in; tls_version, tls_cipher: empty without TLS; door: which port was used; path: direct or proxied, empty while not known.
    PROBE_INFO: gauge "mysql_conn_probe_info" { flavor, version, auth_plugin, tls_version, tls_cipher, door, path };
    /// The earliest expiry in the certificate chain that the server sent to the last successful probe, in seconds since 1970. Absent without TLS.
    PROBE_NOT_AFTER: gauge "mysql_conn_probe_tls_certificate_not_after_timestamp_seconds" {};
    /// Addresses in the last answer for the target's name, by family. Absent for addresses that need no resolving.
    DNS_ADDRESSES: gauge "mysql_conn_dns_addresses" { family };
    /// How often the set of addresses behind the target's name has changed since the exporter started.
    DNS_CHANGES: counter "mysql_conn_dns_changes_total" {};
    /// Whether something can be had from this server (0 or 1), and if not, why: empty: it is there; version: this server does not have it; grant: the account lacks a right; off: it is switched off in the server; auth_plugin: the account's plugin is not known to the driver.
    FEATURE_SUPPORTED: gauge "mysql_conn_feature_supported" { feature, why };
    /// By which port of the server the collectors get in (1 for one of them): main; or, while the server refuses new connections by it since all are in use, admin (MySQL's `admin_port`) or extra (MariaDB's `extra_port`), where there is one (`second_door`).
    DOOR_IN_USE: gauge "mysql_conn_door_in_use" { door };
    /// Whether the collector's last run succeeded (0 or 1). A collector that this server cannot serve succeeds with nothing to say.
    COLLECTOR_SUCCESS: gauge "mysql_exporter_collector_success" { collector };
    /// Seconds that the collector's last run took; `connection` is opening the connection that the collectors use.
    COLLECTOR_DURATION: gauge "mysql_exporter_collector_duration_seconds" { collector };
    /// Connections that the exporter holds to the target now, by purpose.
    CONNECTIONS: gauge "mysql_conn_exporter_connections" { purpose };
    /// How many connections the exporter may hold to the target at once (`connections`).
    CONNECTIONS_LIMIT: gauge "mysql_conn_exporter_connections_limit" {};
    /// Runs of the target's jobs by result. ok, error, timeout: ended so; skipped: the one before had not ended when this was due.
    SCHEDULER_RUNS: counter "mysql_conn_exporter_scheduler_runs_total" { job, result };
    /// Seconds by which the target's jobs started later than they were due.
    SCHEDULER_LAG: histogram(LAG_SECONDS) "mysql_conn_exporter_scheduler_lag_seconds" {};
    /// When the collector last succeeded, in seconds since 1970: its values are as old as that. 0 if it has not yet.
    COLLECTOR_LAST_SUCCESS: gauge "mysql_conn_exporter_collector_last_success_timestamp_seconds" { collector };
    /// Seconds between two runs of the collector, as configured.
    COLLECTOR_INTERVAL: gauge "mysql_conn_exporter_collector_interval_seconds" { collector };
    /// Series that were left out. budget: beyond the target's `max_series`, counted with each run of the collector; duplicate: the same name and labels came twice in one round; invalid: a name that Prometheus refuses.
    SERIES_DROPPED: counter "mysql_conn_exporter_series_dropped_total" { reason };
    /// How often a task of the exporter was started anew because of a defect (a panic was caught).
    TASK_RESTARTS: counter "mysql_conn_exporter_task_restarts_total" { task };
}

const LAG_SECONDS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0];

/// The jobs of a target's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Probe,
    Collect,
    Ladder,
    Exercise,
}

impl Job {
    const ALL: [Job; 4] = [Job::Probe, Job::Collect, Job::Ladder, Job::Exercise];

    fn label(self) -> &'static str {
        match self {
            Job::Probe => "probe",
            Job::Collect => "collect",
            Job::Ladder => "ladder",
            Job::Exercise => "exercise",
        }
    }
}

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Ok,
    Error,
    Timeout,
    Skipped,
}

impl Run {
    const ALL: [Run; 4] = [Run::Ok, Run::Error, Run::Timeout, Run::Skipped];

    fn label(self) -> &'static str {
        match self {
            Run::Ok => "ok",
            Run::Error => "error",
            Run::Timeout => "timeout",
            Run::Skipped => "skipped",
        }
    }

    pub(super) fn of(failure: &Failure) -> Run {
        if failure.reason == Reason::Timeout { Run::Timeout } else { Run::Error }
    }
}

/// The live instruments of one target. They outlive its task, so that nothing falls when a task is started anew.
#[derive(Clone, Debug)]
pub(super) struct TargetInstruments {
    all: Instruments,
    budget: Budget,
    success: Gauge,
    probes: IntCounterVec,
    failures: IntCounterVec,
    duration: Histogram,
    phase_duration: HistogramVec,
    pub(super) phase_last: GaugeVec,
    pub(super) last_attempt: Gauge,
    last_success: Gauge,
    pub(super) next_attempt: Gauge,
    consecutive_failures: Gauge,
    info: GaugeVec,
    not_after: GaugeVec,
    pub(super) dns_addresses: GaugeVec,
    pub(super) dns_changes: IntCounter,
    features: GaugeVec,
    doors: GaugeVec,
    collector_success: GaugeVec,
    pub(super) collector_duration: GaugeVec,
    collector_last_success: GaugeVec,
    collector_interval: GaugeVec,
    connections: GaugeVec,
    runs: IntCounterVec,
    pub(super) lag: Histogram,
    dropped: IntCounterVec,
    restarts: IntCounterVec,
    pub(super) losses: LossInstruments,
    pub(super) idle: IdleInstruments,
    pub(super) view: View,
}

impl TargetInstruments {
    /// All instruments, closed label sets at 0.
    pub(super) fn new(every: Duration, budget: Budget) -> TargetInstruments {
        let all = Instruments::default();
        let instruments = TargetInstruments {
            budget,
            success: all.gauge(&PROBE_SUCCESS),
            probes: all.counters(&PROBES),
            failures: all.counters(&PROBE_FAILURES),
            duration: all.histogram(&PROBE_DURATION),
            phase_duration: all.histograms(&PROBE_PHASE_DURATION),
            phase_last: all.gauges(&PROBE_PHASE_LAST),
            last_attempt: all.gauge(&PROBE_LAST_ATTEMPT),
            last_success: all.gauge(&PROBE_LAST_SUCCESS),
            next_attempt: all.gauge(&PROBE_NEXT_ATTEMPT),
            consecutive_failures: all.gauge(&PROBE_CONSECUTIVE_FAILURES),
            info: all.gauges(&PROBE_INFO),
            not_after: all.gauges(&PROBE_NOT_AFTER),
            dns_addresses: all.gauges(&DNS_ADDRESSES),
            dns_changes: all.counter(&DNS_CHANGES),
            features: all.gauges(&FEATURE_SUPPORTED),
            doors: all.gauges(&DOOR_IN_USE),
            collector_success: all.gauges(&COLLECTOR_SUCCESS),
            collector_duration: all.gauges(&COLLECTOR_DURATION),
            collector_last_success: all.gauges(&COLLECTOR_LAST_SUCCESS),
            collector_interval: all.gauges(&COLLECTOR_INTERVAL),
            connections: all.gauges(&CONNECTIONS),
            runs: all.counters(&SCHEDULER_RUNS),
            lag: all.histogram(&SCHEDULER_LAG),
            dropped: all.counters(&SERIES_DROPPED),
            restarts: all.counters(&TASK_RESTARTS),
            losses: LossInstruments::new(&all),
            idle: IdleInstruments::new(&all),
            view: View::new(&all),
            all,
        };
        instruments.all.gauge(&PROBE_INTERVAL).set(every.as_secs_f64());
        instruments.all.gauge(&CONNECTIONS_LIMIT).set(f64::from(instruments.budget.limit()));
        instruments.door(Door::Main);
        instruments.start_closed_sets_at_zero();
        instruments
    }

    fn start_closed_sets_at_zero(&self) {
        for result in ["success", "failure", "skipped", "suspended"] {
            self.probes.with_label_values(&[result]);
        }
        for phase in Phase::ALL {
            self.phase_duration.with_label_values(&[phase.label()]);
            for reason in possible(phase) {
                self.failures.with_label_values(&[phase.label(), reason.label()]);
            }
        }
        for job in Job::ALL {
            for run in Run::ALL {
                self.runs.with_label_values(&[job.label(), run.label()]);
            }
        }
        for reason in ["budget", "duplicate", "invalid"] {
            self.dropped.with_label_values(&[reason]);
        }
        self.restarts.with_label_values(&["target"]);
    }

    /// For what a target has besides.
    pub(super) fn all(&self) -> &Instruments {
        &self.all
    }

    /// A collector that is switched on: its state gauges are there from the first scrape.
    pub(super) fn declare_collector(&self, label: &str, every: Duration) {
        self.collector_success.with_label_values(&[label]);
        self.collector_last_success.with_label_values(&[label]);
        self.collector_interval.with_label_values(&[label]).set(every.as_secs_f64());
    }

    pub(super) fn probe_succeeded(&self) {
        self.probes.with_label_values(&["success"]).inc();
        self.run(Job::Probe, Run::Ok);
        self.got_in();
    }

    /// A fresh connection passed all phases, on schedule or not.
    pub(super) fn got_in(&self) {
        self.success.set(1.0);
        self.consecutive_failures.set(0.0);
        self.last_success.set(unix_now());
    }

    /// How long a probe took, and the phases that it passed.
    pub(super) fn probe_took(&self, took: Duration, times: &PhaseTimes) {
        self.duration.observe(took.as_secs_f64());
        for (phase, took) in times.iter() {
            self.phase_duration.with_label_values(&[phase.label()]).observe(took.as_secs_f64());
        }
    }

    /// What a fresh connection that got in has negotiated, and what lies between.
    pub(super) fn negotiated(&self, facts: &Facts, path: Known) {
        let tls = facts.tls.as_ref();
        let info = [
            facts.server.flavor.label(),
            &facts.server.version_text,
            &facts.auth_plugin,
            tls.map_or("", |tls| &tls.version),
            tls.map_or("", |tls| &tls.cipher),
            Door::Main.label(),
            match path {
                Known::Is(path) => path.label(),
                Known::NotAsked | Known::NotTold => "",
            },
        ];
        self.info.reset();
        self.info.with_label_values(&info).set(1.0);
        self.not_after.reset();
        if let Some(not_after) = tls.and_then(|tls| tls.not_after) {
            self.not_after.with_label_values::<&str>(&[]).set(unix(not_after));
        }
    }

    pub(super) fn probe_failed(&self, failure: &Failure) {
        self.probes.with_label_values(&["failure"]).inc();
        self.failures.with_label_values(&[failure.phase.label(), failure.reason.label()]).inc();
        self.success.set(0.0);
        self.consecutive_failures.inc();
        self.run(Job::Probe, Run::of(failure));
    }

    pub(super) fn probe_skipped(&self) {
        self.probes.with_label_values(&["skipped"]).inc();
        self.run(Job::Probe, Run::Skipped);
    }

    pub(super) fn probe_suspended(&self) {
        self.probes.with_label_values(&["suspended"]).inc();
    }

    pub(super) fn run(&self, job: Job, run: Run) {
        self.runs.with_label_values(&[job.label(), run.label()]).inc();
    }

    pub(super) fn collected(&self, label: &str, took: Duration, asked_at: SystemTime) {
        self.collector_success.with_label_values(&[label]).set(1.0);
        self.collector_duration.with_label_values(&[label]).set(took.as_secs_f64());
        self.collector_last_success.with_label_values(&[label]).set(unix(asked_at));
    }

    pub(super) fn not_collected(&self, label: &str, took: Duration) {
        self.collector_success.with_label_values(&[label]).set(0.0);
        self.collector_duration.with_label_values(&[label]).set(took.as_secs_f64());
    }

    /// Exactly one series a feature: it is there, or it is not and says why.
    pub(super) fn feature(&self, feature: &str, missing: Option<&str>) {
        for why in ["", "version", "grant", "off", "auth_plugin"] {
            if why != missing.unwrap_or_default() {
                // Not there yet is as good as removed.
                let _ = self.features.remove_label_values(&[feature, why]);
            }
        }
        self.features.with_label_values(&[feature, missing.unwrap_or_default()]).set(f64::from(missing.is_none()));
    }

    /// By which port the collectors get in.
    pub(super) fn door(&self, in_use: Door) {
        for door in Door::ALL {
            self.doors.with_label_values(&[door.label()]).set(f64::from(door == in_use));
        }
    }

    pub(super) fn dropped(&self, dropped: Dropped) {
        self.dropped.with_label_values(&["duplicate"]).inc_by(dropped.duplicate);
        self.dropped.with_label_values(&["invalid"]).inc_by(dropped.invalid);
    }

    /// Series that were left out since a target has only so many.
    pub(super) fn over_budget(&self, left_out: u64) {
        self.dropped.with_label_values(&["budget"]).inc_by(left_out);
    }

    pub(super) fn restarted(&self) {
        self.restarts.with_label_values(&["target"]).inc();
    }

    /// Everything, encoded.
    pub(super) fn block(&self, label: Option<&str>) -> Block {
        for purpose in Purpose::ALL {
            let held = self.budget.held(purpose);
            self.connections.with_label_values(&[purpose.label()]).set(f64::from(held));
        }
        let mut out = BlockBuilder::new(label);
        self.all.write(&mut out);
        out.finish()
    }
}

/// The reasons with which each phase can fail: they stand at 0 from the first scrape.
fn possible(phase: Phase) -> &'static [Reason] {
    use Reason::*;
    match phase {
        Phase::Dns => &[Dns, Timeout],
        Phase::Tcp => &[Refused, Unreachable, Timeout, Reset, Other],
        Phase::Greeting => &[
            Timeout,
            Reset,
            Closed,
            Protocol,
            HostBlocked,
            HostNotAllowed,
            TooManyConnections,
            ServerShutdown,
            Offline,
            Other,
        ],
        Phase::Tls => {
            &[Timeout, Reset, Closed, TlsUnsupported, TlsExpired, TlsUnknownCa, TlsWrongName, TlsOther, Protocol, Other]
        }
        Phase::Auth => &[
            Timeout,
            Reset,
            Closed,
            Protocol,
            AccessDenied,
            AccountLocked,
            PasswordExpired,
            UnknownDatabase,
            TooManyConnections,
            UserLimit,
            AuthPlugin,
            TlsRequired,
            HostNotAllowed,
            Offline,
            ServerShutdown,
            Other,
        ],
        // A proxy may log in at its server only now, and pass on what that says.
        Phase::Query => &[
            Timeout,
            Reset,
            Closed,
            Protocol,
            AccessDenied,
            PasswordExpired,
            UnknownDatabase,
            TooManyConnections,
            UserLimit,
            Offline,
            ServerShutdown,
            TlsOther,
            Other,
        ],
    }
}

pub(super) fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

pub(super) fn unix_now() -> f64 {
    unix(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, write};

    #[test]
    fn a_target_at_rest_stays_within_its_series() {
        let instruments = TargetInstruments::new(Duration::from_secs(15), Budget::new(8));
        instruments.declare_collector("collect.global_status", Duration::from_secs(15));
        let block = instruments.block(Some("t"));
        assert!(block.series() < 330, "{} series", block.series());
    }

    #[test]
    fn a_feature_has_one_series_that_says_whether_and_why() {
        let instruments = TargetInstruments::new(Duration::from_secs(15), Budget::new(8));
        let shown = || {
            let text = write(&[std::sync::Arc::new(instruments.block(None))], Format::Text);
            let lines = text.lines().filter(|line| line.starts_with("mysql_conn_feature_supported"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        instruments.feature("session", None);
        assert_eq!(shown(), ["mysql_conn_feature_supported{feature=\"session\",why=\"\"} 1"]);
        instruments.feature("session", Some("auth_plugin"));
        assert_eq!(shown(), ["mysql_conn_feature_supported{feature=\"session\",why=\"auth_plugin\"} 0"]);
    }
}
