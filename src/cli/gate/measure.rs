//! So many probes of each target: how they ended, how long they took, how full the server is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::super::exit::Exit;
use super::super::moment::Moment;
use crate::config::Loaded;
use crate::watch::snapshot::{ProbeResult, Snapshot};
use crate::watch::target::Target;

/// Between two probes of a target.
const EVERY: Duration = Duration::from_millis(500);

/// Between two looks at whether one has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What probes that are slow, or suspended, may take beyond their number.
const PATIENCE: Duration = Duration::from_secs(15);

/// How one target is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) address: String,
    /// Seconds that each good probe took, rising.
    pub(super) took: Vec<f64>,
    /// Of each phase, in the middle.
    pub(super) phases: BTreeMap<String, f64>,
    /// Probes that failed, by `phase reason`.
    pub(super) failed: BTreeMap<String, u64>,
    /// Connections at the server: in use, and the limit.
    pub(super) used: Option<u64>,
    pub(super) limit: Option<u64>,
}

impl Measured {
    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The share of probes that failed; all where none has ended.
    pub(super) fn failing(&self) -> f64 {
        let all = self.took.len() as f64 + self.failures() as f64;
        if all == 0.0 { 1.0 } else { self.failures() as f64 / all }
    }

    /// The time that this share of the probes did not exceed.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.took.len().checked_sub(1)?;
        self.took.get((share * last as f64).round() as usize).copied()
    }

    /// The share of the server's connections that is free.
    pub(super) fn headroom(&self) -> Option<f64> {
        let (used, limit) = (self.used? as f64, self.limit.filter(|limit| *limit > 0)? as f64);
        Some((1.0 - used / limit).max(0.0))
    }

    /// How it is, on one line.
    pub(super) fn told(&self) -> String {
        let latency = match (self.quantile(0.5), self.quantile(0.9)) {
            (Some(median), Some(most)) => {
                format!("median {}, nine of ten within {}", milliseconds(median), milliseconds(most))
            }
            _ => "none got in".to_owned(),
        };
        let headroom = match (self.headroom(), self.used, self.limit) {
            (Some(share), Some(used), Some(limit)) => {
                format!("{used} of {limit} connections in use ({:.1} % free)", share * 100.0)
            }
            _ => "how full it is is not known".to_owned(),
        };
        let (good, all) = (self.took.len(), self.took.len() as u64 + self.failures());
        format!("{good} of {all} probes good, {latency}; {headroom}")
    }
}

pub(super) fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1000.0)
}

/// Makes so many probes of each.
pub(super) async fn measure(
    loaded: &Loaded,
    targets: &[Arc<Target>],
    probes: u32,
) -> Result<BTreeMap<String, Measured>, Exit> {
    let moment = Moment::begin(loaded, targets, EVERY)?;
    let slots = moment.board.slots();
    let mut all: BTreeMap<String, Series> =
        slots.iter().map(|slot| (slot.name().to_owned(), Series::default())).collect();
    let end = Instant::now() + EVERY * probes + PATIENCE;
    loop {
        let mut is_done = true;
        for slot in slots.iter() {
            let Some(series) = all.get_mut(slot.name()) else { continue };
            series.look(&slot.snapshot(), probes);
            is_done &= series.is_done(probes);
        }
        if is_done || Instant::now() >= end {
            break;
        }
        sleep(LOOK).await;
    }
    moment.end().await?;
    Ok(all.into_iter().map(|(name, series)| (name, series.finished())).collect())
}

/// The probes of one target, one after another.
#[derive(Debug, Default)]
pub(super) struct Series {
    latest: Option<SystemTime>,
    measured: Measured,
    phases: BTreeMap<&'static str, Vec<f64>>,
}

impl Series {
    /// Takes in a probe that has ended since the last look, unless there are enough.
    pub(super) fn look(&mut self, snapshot: &Snapshot, most: u32) {
        self.measured.address.clone_from(&snapshot.address);
        if let Some((used, limit)) = snapshot.connections {
            (self.measured.used, self.measured.limit) = (Some(used), Some(limit));
        }
        let Some(probe) = snapshot.probe.as_ref().filter(|probe| self.latest != Some(probe.at)) else { return };
        self.latest = Some(probe.at);
        if self.count() < u64::from(most) {
            self.take(probe);
        }
    }

    fn take(&mut self, probe: &ProbeResult) {
        if let Some(failure) = &probe.failure {
            let how = format!("{} {}", failure.phase.label(), failure.reason.label());
            *self.measured.failed.entry(how).or_default() += 1;
            return;
        }
        self.measured.took.push(probe.phases.iter().map(|(_, took)| took.as_secs_f64()).sum());
        for (phase, took) in &probe.phases {
            self.phases.entry(phase.label()).or_default().push(took.as_secs_f64());
        }
    }

    fn count(&self) -> u64 {
        self.measured.took.len() as u64 + self.measured.failures()
    }

    /// How full the server is comes with the rounds, which need somebody to get in.
    fn is_done(&self, probes: u32) -> bool {
        self.count() >= u64::from(probes) && (self.measured.used.is_some() || self.measured.took.is_empty())
    }

    pub(super) fn finished(mut self) -> Measured {
        self.measured.took.sort_by(f64::total_cmp);
        for (phase, mut took) in self.phases {
            took.sort_by(f64::total_cmp);
            self.measured.phases.insert(phase.to_owned(), took[took.len() / 2]);
        }
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::{Failure, Phase, Reason};

    #[test]
    fn each_probe_is_taken_once_and_no_more_than_wanted() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let probe = |second, failure, took| ProbeResult {
            at: at(second),
            failure,
            phases: vec![(Phase::Tcp, Duration::from_millis(1)), (Phase::Auth, Duration::from_millis(took))],
            tls_version: None,
        };
        let full = Failure::new(Phase::Auth, Reason::TooManyConnections, "full");
        let mut series = Series::default();
        for (second, failure, took) in
            [(1, None, 9), (1, None, 9), (2, None, 4), (3, Some(full), 0), (4, None, 5), (5, None, 1)]
        {
            let snapshot = Snapshot {
                probe: Some(probe(second, failure, took)),
                connections: Some((20, 80)),
                ..Snapshot::default()
            };
            series.look(&snapshot, 4);
        }
        let measured = series.finished();
        assert_eq!(measured.took.len(), 3);
        assert_eq!(measured.failed, BTreeMap::from([("auth too_many_connections".to_owned(), 1)]));
        assert_eq!((measured.quantile(0.5), measured.quantile(0.9)), (Some(0.006), Some(0.01)));
        assert_eq!((measured.phases["auth"], measured.failing(), measured.headroom()), (0.005, 0.25, Some(0.75)));
        assert_eq!(
            measured.told(),
            "3 of 4 probes good, median 6.000 ms, nine of ten within 10.000 ms; 20 of 80 connections in use (75.0 % free)"
        );
        assert_eq!(Measured::default().told(), "0 of 0 probes good, none got in; how full it is is not known");
    }
}
