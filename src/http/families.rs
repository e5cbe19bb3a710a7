//! The families of the process: its HTTP side, its build, its configuration, its use of the machine.
//!
//! They carry no `target` and are on `/metrics` alone. The names that start with `process_`, `promhttp_` and
//! `mysqld_exporter_` are those that the dashboards of mysqld_exporter's users know.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;

use super::handler::Handler;
use crate::metrics::{BlockBuilder, Family, Gauge, HistogramVec, Instruments, IntCounterVec};
use crate::watch::visits::Rejected;

/// An answer is made from memory: anything above a few milliseconds is news.
const ANSWER_SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0];

crate::metrics! {
    /// HTTP requests answered since the start, by what answered and with which status.
    HTTP_REQUESTS: counter "mysql_conn_exporter_http_requests_total" { handler, code };

    /// Time in seconds from a request's last header line to its whole answer being ready to be sent, by what answered.
    HTTP_REQUEST_DURATION: histogram(ANSWER_SECONDS) "mysql_conn_exporter_http_request_duration_seconds" { handler };

    /// Requests of `/probe` that were not carried out. target: missing, or no address; auth_module: unknown, or none for this server; not_allowed: the server is not among those that may be asked about; not_bound: the account is for other servers; busy: too many at once.
    PROBE_REJECTED: counter "mysql_conn_exporter_probe_targets_rejected_total" { reason };

    /// Scrapes answered since the start, by HTTP status.
    PROMHTTP_REQUESTS: counter "promhttp_metric_handler_requests_total" { code };

    /// Scrapes being answered now, this one included.
    PROMHTTP_IN_FLIGHT: gauge "promhttp_metric_handler_requests_in_flight" {};

    /// Always 1; the labels say which goneaway this is and which compiler built it.
    BUILD_INFO: gauge "mysql_conn_exporter_build_info" { version, revision, rustc };

    /// Always 1; the build under mysqld_exporter's name and labels. There is no Go in it: goversion names the Rust compiler.
    MYSQLD_EXPORTER_BUILD_INFO: gauge "mysqld_exporter_build_info" { branch, goarch, goos, goversion, revision, tags, version };

    /// Whether the last attempt to load the configuration succeeded (0 or 1).
    CONFIG_SUCCESSFUL: gauge "mysql_conn_exporter_config_last_reload_successful" {};

    /// Unix time in seconds of the last successful load of the configuration, that at the start included.
    CONFIG_SUCCESS_TIMESTAMP: gauge "mysql_conn_exporter_config_last_reload_success_timestamp_seconds" {};

    /// Processor time in seconds that the process has used, in user and in system mode together (/proc/self/stat).
    PROCESS_CPU: counter "process_cpu_seconds_total" {};

    /// File descriptors that the process has open (/proc/self/fd).
    PROCESS_OPEN_FDS: gauge "process_open_fds" {};

    /// File descriptors that the process may have open: its soft limit (/proc/self/limits).
    PROCESS_MAX_FDS: gauge "process_max_fds" {};

    /// Memory of the process that is in RAM, in bytes (/proc/self/stat).
    PROCESS_RESIDENT_MEMORY: gauge "process_resident_memory_bytes" {};

    /// Address space of the process, in bytes (/proc/self/stat).
    PROCESS_VIRTUAL_MEMORY: gauge "process_virtual_memory_bytes" {};

    /// Address space that the process may have, in bytes: its soft limit (/proc/self/limits).
    PROCESS_VIRTUAL_MEMORY_MAX: gauge "process_virtual_memory_max_bytes" {};

    /// Unix time in seconds at which the process was started (/proc/self/stat).
    PROCESS_START_TIME: gauge "process_start_time_seconds" {};

    /// Bytes received by the process's network namespace over IP (/proc/self/net/netstat).
    PROCESS_NETWORK_RECEIVE: counter "process_network_receive_bytes_total" {};

    /// Bytes sent by the process's network namespace over IP (/proc/self/net/netstat).
    PROCESS_NETWORK_TRANSMIT: counter "process_network_transmit_bytes_total" {};
}

/// The instruments of the HTTP side and of the configuration.
#[derive(Debug)]
pub(super) struct Counters {
    instruments: Instruments,
    requests: IntCounterVec,
    durations: HistogramVec,
    rejected: IntCounterVec,
    scrapes: IntCounterVec,
    pub(super) scrapes_in_flight: Gauge,
    config_successful: Gauge,
    config_success_timestamp: Gauge,
}

impl Counters {
    /// Everything closed starts at 0; the configuration has been loaded, else nobody would be here.
    /// A request of `/probe` is not carried out.
    pub(super) fn rejected(&self, why: Rejected) {
        self.rejected.with_label_values(&[why.label()]).inc();
    }

    pub(super) fn new() -> Counters {
        let instruments = Instruments::default();
        let counters = Counters {
            requests: instruments.counters(&HTTP_REQUESTS),
            durations: instruments.histograms(&HTTP_REQUEST_DURATION),
            rejected: instruments.counters(&PROBE_REJECTED),
            scrapes: instruments.counters(&PROMHTTP_REQUESTS),
            scrapes_in_flight: instruments.gauge(&PROMHTTP_IN_FLIGHT),
            config_successful: instruments.gauge(&CONFIG_SUCCESSFUL),
            config_success_timestamp: instruments.gauge(&CONFIG_SUCCESS_TIMESTAMP),
            instruments,
        };
        for handler in Handler::ALL {
            for status in handler.statuses() {
                counters.requests.with_label_values(&[handler.label(), status.as_str()]);
            }
        }
        for reason in Rejected::ALL {
            counters.rejected.with_label_values(&[reason.label()]);
        }
        // The incumbent shows these three from the start.
        for status in ["200", "500", "503"] {
            counters.scrapes.with_label_values(&[status]);
        }
        counters.config_loaded(true);
        counters
    }

    /// One request was answered.
    pub(super) fn answered(&self, handler: Handler, status: StatusCode, took: Duration) {
        self.requests.with_label_values(&[handler.label(), status.as_str()]).inc();
        self.durations.with_label_values(&[handler.label()]).observe(took.as_secs_f64());
        if handler == Handler::Metrics {
            self.scrapes.with_label_values(&[status.as_str()]).inc();
        }
    }

    /// The configuration was loaded, or could not be.
    pub(super) fn config_loaded(&self, success: bool) {
        self.config_successful.set(f64::from(success));
        if success {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.config_success_timestamp.set(now.as_secs_f64());
        }
    }

    pub(super) fn write(&self, out: &mut BlockBuilder) {
        self.instruments.write(out);
        write_build(out);
    }
}

fn write_build(out: &mut BlockBuilder) {
    let version = env!("CARGO_PKG_VERSION");
    let revision = option_env!("GONEAWAY_REVISION").unwrap_or("unknown");
    let rustc = env!("GONEAWAY_RUSTC");
    let own = family(out, &BUILD_INFO);
    out.sample(own, &[("version", version), ("revision", revision), ("rustc", rustc)], 1.0);
    let theirs = family(out, &MYSQLD_EXPORTER_BUILD_INFO);
    let labels = [
        ("branch", "unknown"),
        ("goarch", go_architecture()),
        ("goos", std::env::consts::OS),
        ("goversion", concat!("rust", env!("GONEAWAY_RUSTC"))),
        ("revision", revision),
        ("tags", "unknown"),
        ("version", version),
    ];
    out.sample(theirs, &labels, 1.0);
}

/// Go's word for the processor, since the label is Go's.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Names a declared family to a builder.
pub(super) fn family(out: &mut BlockBuilder, family: &'static Family) -> crate::metrics::FamilyId {
    out.family(family.name, family.kind, family.help())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Block, Format, write};

    fn text(counters: &Counters) -> String {
        let mut out = BlockBuilder::new(None);
        counters.write(&mut out);
        let block: Block = out.finish();
        write(&[std::sync::Arc::new(block)], Format::Text)
    }

    #[test]
    fn every_status_of_every_handler_is_counted_from_zero_and_no_other_appears() {
        let counters = Counters::new();
        let before = text(&counters);
        assert!(before.contains("mysql_conn_exporter_http_requests_total{code=\"503\",handler=\"ready\"} 0\n"));
        for status in ["200", "500", "503"] {
            let line = format!("promhttp_metric_handler_requests_total{{code=\"{status}\"}} 0\n");
            assert!(before.contains(&line), "{line}");
        }
        for handler in Handler::ALL {
            for status in handler.statuses() {
                counters.answered(handler, *status, Duration::from_micros(300));
            }
        }
        let requests = |text: &str| text.matches("mysql_conn_exporter_http_requests_total{").count();
        assert_eq!(requests(&text(&counters)), requests(&before));
    }

    #[test]
    fn a_failed_load_keeps_the_time_of_the_last_good_one() {
        let counters = Counters::new();
        let good = counters.config_success_timestamp.get();
        assert!(good > 1.7e9);
        counters.config_loaded(false);
        assert_eq!((counters.config_successful.get(), counters.config_success_timestamp.get()), (0.0, good));
    }

    #[test]
    fn histograms_stay_small() {
        for family in FAMILIES {
            assert!(family.buckets.len() <= 12, "{}", family.name);
            assert!(!family.help().is_empty(), "{}", family.name);
        }
    }
}
