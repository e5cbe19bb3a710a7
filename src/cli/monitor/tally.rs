//! What was seen of a target while it was monitored, for the summary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::super::checked::{Checked, milliseconds};
use super::super::exit::Exit;

/// So many times are kept; of more than that every other one goes, again and again.
const KEPT: usize = 4096;

/// Counts of one target.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) probes: u64,
    pub(super) failed: u64,
    /// By phase and reason.
    failures: BTreeMap<(&'static str, &'static str), u64>,
    times: Vec<Duration>,
    /// One of so many probes is kept.
    every: u64,
    /// By cause, as a daemon counted them meanwhile.
    lost: BTreeMap<String, u64>,
    /// How the last probe ended.
    is_failing: bool,
}

impl Tally {
    pub(super) fn probed(&mut self, checked: &Checked) {
        self.probes += 1;
        self.is_failing = checked.outcome.is_err();
        match &checked.outcome {
            Ok(_) => self.keep(checked.took),
            Err(failure) => {
                self.failed += 1;
                *self.failures.entry((failure.phase.label(), failure.reason.label())).or_default() += 1;
            }
        }
    }

    fn keep(&mut self, took: Duration) {
        let every = self.every.max(1);
        if (self.probes - self.failed).is_multiple_of(every) {
            self.times.push(took);
        }
        if self.times.len() >= KEPT {
            let mut at = 0;
            self.times.retain(|_| {
                at += 1;
                at % 2 == 0
            });
            self.every = every * 2;
        }
    }

    pub(super) fn lost(&mut self, cause: &str, count: u64) {
        *self.lost.entry(cause.to_owned()).or_default() += count;
    }

    fn quantile(&self, share: f64) -> Option<Duration> {
        let mut times = self.times.clone();
        times.sort_unstable();
        let last = times.len().checked_sub(1)?;
        // The nearest rank.
        let rank = (share * times.len() as f64).ceil() as usize;
        times.get(rank.saturating_sub(1).min(last)).copied()
    }

    pub(super) fn judged(&self) -> Exit {
        match (self.is_failing, self.failed > 0 || !self.lost.is_empty()) {
            (true, _) => Exit::Critical,
            (false, true) => Exit::Warning,
            (false, false) => Exit::Good,
        }
    }

    pub(super) fn told(&self, name: &str, width: usize) -> String {
        let mut text = format!("{name:<width$}  {} probes, {} failed", self.probes, self.failed);
        // Writing to a String cannot fail.
        for ((phase, reason), count) in &self.failures {
            let _ = write!(text, "; {phase} {reason} {count}");
        }
        if let (Some(half), Some(most)) = (self.quantile(0.5), self.quantile(0.99)) {
            let _ = write!(text, "; p50 {}, p99 {}", milliseconds(half), milliseconds(most));
        }
        if !self.lost.is_empty() {
            let lost: Vec<String> = self.lost.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
            let _ = write!(text, "\n{:width$}  lost: {}", "", lost.join(", "));
        }
        text.push('\n');
        text
    }

    pub(super) fn to_summary<'a>(&'a self, target: &'a str) -> Summary<'a> {
        let failures = self.failures.iter().map(|((phase, reason), count)| Failures { phase, reason, count: *count });
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Summary {
            target,
            probes: self.probes,
            failed: self.failed,
            failures: failures.collect(),
            p50_seconds: seconds(self.quantile(0.5)),
            p99_seconds: seconds(self.quantile(0.99)),
            lost: &self.lost,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Summary<'a> {
    target: &'a str,
    probes: u64,
    failed: u64,
    failures: Vec<Failures<'a>>,
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    lost: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Failures<'a> {
    phase: &'a str,
    reason: &'a str,
    count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(good: u64) -> Tally {
        let mut tally = Tally::default();
        for n in 1..=good {
            tally.probes += 1;
            tally.keep(Duration::from_millis(n));
        }
        tally
    }

    #[test]
    fn quantiles_are_those_of_the_nearest_rank_also_of_very_many() {
        let ms = |tally: &Tally, share| tally.quantile(share).map(|time| time.as_millis());
        assert_eq!((ms(&of(0), 0.5), ms(&of(1), 0.99)), (None, Some(1)));
        assert_eq!((ms(&of(100), 0.5), ms(&of(100), 0.99)), (Some(50), Some(99)));
        let many = of(100_000);
        assert!(many.times.len() < KEPT);
        assert!((49_000..=51_000).contains(&ms(&many, 0.5).expect("some")), "{:?}", ms(&many, 0.5));
        assert!((98_000..=99_500).contains(&ms(&many, 0.99).expect("some")), "{:?}", ms(&many, 0.99));
    }

    #[test]
    fn the_last_probe_decides_and_what_was_before_is_a_warning() {
        let mut tally = of(3);
        assert_eq!(tally.judged(), Exit::Good);
        tally.lost("killed", 2);
        assert_eq!(tally.judged(), Exit::Warning);
        assert_eq!(
            tally.told("t", 5),
            "t      3 probes, 0 failed; p50 2.000 ms, p99 3.000 ms\n       lost: killed 2\n"
        );
        (tally.failed, tally.is_failing) = (1, true);
        assert_eq!(tally.judged(), Exit::Critical);
    }
}
