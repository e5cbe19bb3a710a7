//! `check`: the probe once, told to a person phase by phase.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::exit::{Exit, report};
use super::moment::chosen;
use super::output::Output;
use super::runtime;
use crate::config::Loaded;
use crate::mysql::budget::{Budget, Purpose};
use crate::mysql::failure::{Failure, Phase};
use crate::mysql::handshake::Facts;
use crate::watch::probe::{self, Known, Probed};
use crate::watch::target::Target;

/// Probes the named targets, all at once, and reports in the order of their names.
pub(super) fn check(loaded: Loaded, names: &[String], output: Output) -> Exit {
    let targets = match chosen(&loaded, names) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let checked = match runtime::run(probe_all(targets)) {
        Ok(checked) => checked,
        Err(exit) => return exit,
    };

    let text = match output {
        Output::Text => checked.iter().map(Checked::told).collect(),
        Output::Json => {
            let reports: Vec<Report> = checked.iter().map(Checked::to_report).collect();
            serde_json::to_string_pretty(&reports).expect("strings and numbers always serialize") + "\n"
        }
    };
    let failed = checked.iter().any(|checked| checked.outcome.is_err());
    report(&text, if failed { Exit::Critical } else { Exit::Good })
}

struct Checked {
    target: Arc<Target>,
    took: Duration,
    phases: Vec<(Phase, Duration)>,
    outcome: Result<Facts, Failure>,
}

/// How many targets are probed at once: more of them would measure each other.
const AT_ONCE: usize = 8;

async fn probe_all(targets: Vec<Arc<Target>>) -> Vec<Checked> {
    let mut probes = JoinSet::new();
    let mut checked = Vec::with_capacity(targets.len());
    for target in targets {
        if probes.len() >= AT_ONCE {
            checked.extend(probes.join_next().await.and_then(Result::ok));
        }
        probes.spawn(probe_one(target));
    }
    checked.extend(probes.join_all().await);
    checked.sort_by(|a, b| a.target.name.cmp(&b.target.name));
    checked
}

async fn probe_one(target: Arc<Target>) -> Checked {
    let budget = Budget::new(1);
    let place = budget.take(Purpose::Probe).expect("a budget of one has one place");
    match probe::probe(&target, place, Known::NotTold).await {
        Probed::Ended(ended) => {
            Checked { took: ended.took, phases: ended.times.iter().collect(), outcome: ended.outcome, target }
        }
        // A person does not want to wait for a frozen server; the one connection is given up.
        Probed::Silent(silent) => Checked {
            took: silent.waited(),
            phases: silent.times().iter().collect(),
            outcome: Err(probe::no_greeting(silent.waited())),
            target,
        },
    }
}

impl Checked {
    fn told(&self) -> String {
        let mut text = String::new();
        let head = match &self.outcome {
            Ok(facts) => format!("good: {} in {}", facts.server, milliseconds(self.took)),
            Err(failure) => format!("failed in phase {}: {}", failure.phase.label(), failure.reason.label()),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} ({}) {head}", self.target.name, self.target.access.endpoint);
        for (phase, took) in &self.phases {
            let _ = writeln!(text, "  {:<9}{:>12}", phase.label(), milliseconds(*took));
        }
        match &self.outcome {
            Ok(facts) => {
                let _ = writeln!(text, "  logged in as {} with {}", self.target.access.user, facts.auth_plugin);
                let _ = match &facts.tls {
                    Some(tls) => writeln!(
                        text,
                        "  {} with {}, certificate {}",
                        tls.version,
                        tls.cipher,
                        tls.not_after.map_or_else(|| "unreadable".to_owned(), expiry)
                    ),
                    None => writeln!(text, "  without TLS"),
                };
            }
            Err(failure) => {
                let errno = failure.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
                let _ = writeln!(text, "  {:<9}{:>12}", failure.phase.label(), "failed");
                let _ = writeln!(text, "  cause: {}{errno}", failure.detail);
                if let Some(hint) = &failure.hint {
                    let _ = writeln!(text, "  hint: {hint}");
                }
            }
        }
        text
    }

    fn to_report(&self) -> Report<'_> {
        let facts = self.outcome.as_ref().ok();
        let failure = self.outcome.as_ref().err();
        Report {
            target: &self.target.name,
            address: self.target.access.endpoint.to_string(),
            success: facts.is_some(),
            duration_seconds: self.took.as_secs_f64(),
            phases: self.phases.iter().map(|(phase, took)| (phase.label(), took.as_secs_f64())).collect(),
            server: facts.map(|facts| facts.server.to_string()),
            auth_plugin: facts.map(|facts| facts.auth_plugin.as_str()),
            tls_version: facts.and_then(|facts| Some(facts.tls.as_ref()?.version.as_str())),
            tls_cipher: facts.and_then(|facts| Some(facts.tls.as_ref()?.cipher.as_str())),
            phase: failure.map(|failure| failure.phase.label()),
            reason: failure.map(|failure| failure.reason.label()),
            errno: failure.and_then(|failure| failure.errno),
            detail: failure.map(|failure| failure.detail.as_str()),
            hint: failure.and_then(|failure| failure.hint.as_deref()),
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    target: &'a str,
    address: String,
    success: bool,
    duration_seconds: f64,
    phases: std::collections::BTreeMap<&'static str, f64>,
    server: Option<String>,
    auth_plugin: Option<&'a str>,
    tls_version: Option<&'a str>,
    tls_cipher: Option<&'a str>,
    phase: Option<&'static str>,
    reason: Option<&'static str>,
    errno: Option<u16>,
    detail: Option<&'a str>,
    hint: Option<&'a str>,
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

fn expiry(not_after: std::time::SystemTime) -> String {
    match not_after.duration_since(std::time::SystemTime::now()) {
        Ok(left) => format!("good for {} days", left.as_secs() / 86400),
        Err(_) => "expired".to_owned(),
    }
}
