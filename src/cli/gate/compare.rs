//! What of a target got worse, and by how much.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::counters::Counted;
use super::measure::{Measured, milliseconds};

/// Differences below this are the machine's.
const NOISE_SECONDS: f64 = 0.002;

/// Losing more than this of the server's connections is worse, as a share of all.
const LESS_ROOM: f64 = 0.10;

/// What is counted more often than this, compared with the pace of before, is worse.
const OFTENER: f64 = 2.0;

/// How a target is, beside how it was.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    worse: bool,
    says: String,
}

impl Verdict {
    pub(super) fn is_worse(&self) -> bool {
        self.findings.iter().any(|finding| finding.worse)
    }

    pub(super) fn told(&self, name: &str) -> String {
        let mut text = format!("{name}: {}\n", if self.is_worse() { "worse" } else { "as good as before" });
        for Finding { what, worse, says } in &self.findings {
            let mark = if *worse { "worse" } else { "ok" };
            let written = writeln!(text, "  {what:<9} {mark:<6} {says}");
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        text
    }
}

/// Compares. `slower` is the share by which logging in may take longer.
pub(super) fn compare(before: &Measured, now: &Measured, counted: &Counted, slower: f64) -> Verdict {
    let mut findings = vec![failures(before, now)];
    findings.extend(latency(before, now, slower));
    findings.push(headroom(before, now));
    findings.extend(of_the_daemon(counted));
    Verdict { findings }
}

fn failures(before: &Measured, now: &Measured) -> Finding {
    let share = |measured: &Measured| {
        let all = measured.took.len() as u64 + measured.failures();
        match measured.failures() {
            0 if all == 0 => "no probe has ended".to_owned(),
            0 => format!("none of {all} probes failed"),
            failed => {
                let how: Vec<String> = measured.failed.iter().map(|(how, count)| format!("{how} {count}")).collect();
                format!("{failed} of {all} probes failed ({})", how.join(", "))
            }
        }
    };
    let says = format!("{}; before, {}", share(now), share(before));
    Finding { what: "probes", worse: now.failing() > before.failing(), says }
}

fn latency(before: &Measured, now: &Measured, slower: f64) -> Option<Finding> {
    let (Some(was), Some(most), Some(is)) = (before.quantile(0.5), before.quantile(0.9), now.quantile(0.5)) else {
        return None;
    };
    // Slower than nearly all of before, too: what varies widely by itself is not held against the deployment.
    let worse = is > was * (1.0 + slower) && is > most && is - was > NOISE_SECONDS;
    let mut says = format!("median {}; before, {}", milliseconds(is), milliseconds(was));
    let more = |phase: &str| {
        let of = |measured: &Measured| measured.phases.get(phase).copied().unwrap_or(0.0);
        (of(before), of(now))
    };
    let phases = now.phases.keys().map(|phase| (phase, more(phase)));
    let worst = phases.max_by(|(_, one), (_, other)| (one.1 - one.0).total_cmp(&(other.1 - other.0)));
    if let (true, Some((phase, (was, is)))) = (worse, worst) {
        says += &format!("; most of it in phase {phase}: {} instead of {}", milliseconds(is), milliseconds(was));
    }
    Some(Finding { what: "latency", worse, says })
}

fn headroom(before: &Measured, now: &Measured) -> Finding {
    let shown = |measured: &Measured| {
        measured.headroom().map_or("not known".to_owned(), |share| format!("{:.1} % free", share * 100.0))
    };
    let worse = match (before.headroom(), now.headroom()) {
        (Some(was), Some(is)) => was - is > LESS_ROOM,
        // Somebody got in before and asked, and nobody does now.
        (Some(_), None) => true,
        (None, _) => false,
    };
    Finding { what: "headroom", worse, says: format!("{}; before, {}", shown(now), shown(before)) }
}

fn of_the_daemon(counted: &Counted) -> Vec<Finding> {
    let (failures, failures_before, lost, lost_before) = match counted {
        Counted::Since { failures, failures_before, lost, lost_before } => {
            (failures, *failures_before, lost, *lost_before)
        }
        Counted::Unknown(why) => {
            return vec![Finding { what: "losses", worse: false, says: format!("not compared: {why}") }];
        }
    };
    let finding = |what, counts: &BTreeMap<String, f64>, before: f64| {
        // The sum of nothing is the negative zero.
        let (sum, before) = (counts.values().sum::<f64>() + 0.0, before + 0.0);
        let by: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
        let says = format!("the daemon counted {sum}{by} since the baseline; at the pace of before, {before:.1}");
        Finding { what, worse: sum >= 1.0 && sum > before * OFTENER, says }
    };
    vec![finding("failures", failures, failures_before), finding("losses", lost, lost_before)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(took: &[u32], failed: u64, used: u64) -> Measured {
        let mut took: Vec<f64> = took.iter().map(|took| f64::from(*took) / 1000.0).collect();
        took.sort_by(f64::total_cmp);
        let auth = took.get(took.len() / 2).map_or(0.0, |took| took - 0.001);
        Measured {
            phases: [("tcp".to_owned(), 0.001), ("auth".to_owned(), auth)].into(),
            took,
            failed: (failed > 0).then(|| ("tcp refused".to_owned(), failed)).into_iter().collect(),
            used: Some(used),
            limit: Some(100),
            address: String::new(),
        }
    }

    fn check(now: &Measured, counted: &Counted, worse: &[&str]) {
        let before = measured(&[3, 3, 4, 3, 5, 3, 4, 3, 3, 4], 0, 20);
        let verdict = compare(&before, now, counted, 0.5);
        let found: Vec<&str> =
            verdict.findings.iter().filter(|finding| finding.worse).map(|finding| finding.what).collect();
        assert_eq!(found, worse, "{}", verdict.told("t"));
        assert_eq!(verdict.is_worse(), !worse.is_empty());
    }

    #[test]
    fn only_what_got_worse_is_held_against_it() {
        let none = || Counted::Since {
            failures: BTreeMap::new(),
            failures_before: 0.0,
            lost: BTreeMap::new(),
            lost_before: 3.0,
        };
        check(&measured(&[3, 4, 3, 4, 3], 0, 25), &none(), &[]);
        check(&measured(&[3, 3, 3, 200], 0, 25), &none(), &[]);
        check(&measured(&[13, 14, 13], 0, 20), &none(), &["latency"]);
        check(&measured(&[4, 5, 5], 0, 20), &none(), &[]);
        check(&measured(&[3, 3], 1, 20), &none(), &["probes"]);
        check(&measured(&[3, 3], 0, 31), &none(), &["headroom"]);
        check(&Measured { used: None, ..measured(&[], 5, 0) }, &none(), &["probes", "headroom"]);
        let killed = |count: f64| Counted::Since {
            failures: BTreeMap::new(),
            failures_before: 0.0,
            lost: [("killed".to_owned(), count)].into(),
            lost_before: 1.0,
        };
        check(&measured(&[3, 3], 0, 20), &killed(2.0), &[]);
        check(&measured(&[3, 3], 0, 20), &killed(3.0), &["losses"]);
        check(&measured(&[3, 3], 0, 20), &Counted::Unknown("no daemon runs"), &[]);
    }

    #[test]
    fn what_got_slower_is_told_by_its_phase() {
        let before = measured(&[3, 3, 3], 0, 20);
        let now = measured(&[53, 53, 53], 0, 20);
        let verdict = compare(&before, &now, &Counted::Unknown("no daemon runs"), 0.5);
        assert_eq!(
            verdict.told("t"),
            "t: worse\n  probes    ok     none of 3 probes failed; before, none of 3 probes failed\n  latency   worse  median \
             53.000 ms; before, 3.000 ms; most of it in phase auth: 52.000 ms instead of 2.000 ms\n  headroom  ok     80.0 % \
             free; before, 80.0 % free\n  losses    ok     not compared: no daemon runs\n"
        );
    }
}
