//! What a running daemon has counted since its start: probes that failed, and connections that were lost.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::http::{Client, Unanswered};

const FAILURES: &str = "mysql_conn_probe_failures_total";
const LOST: &str = "mysql_conn_lost_total";
const STARTED: &str = "process_start_time_seconds";

/// Of a target, by what they tell apart.
type Counts = BTreeMap<String, f64>;

/// What a daemon has counted until then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// When the daemon was started, and when it was asked; seconds since 1970.
    started: f64,
    at: f64,
    failures: BTreeMap<String, Counts>,
    lost: BTreeMap<String, Counts>,
}

/// Asks a daemon. A target without a label has the name of the only one.
pub(super) async fn ask(client: &Client, nameless: Option<&str>) -> Result<Counters, Unanswered> {
    let answer = client.get("/metrics").await?;
    if answer.status != 200 {
        return Err(answer.refusal());
    }
    let mut counters = read(&answer.text(), nameless.unwrap_or_default());
    counters.at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    Ok(counters)
}

fn read(text: &str, nameless: &str) -> Counters {
    let mut counters = Counters::default();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        // Values of these labels have no quotes and no commas in them.
        let label = |wanted: &str| {
            let mut pairs = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let of = label("target").unwrap_or_else(|| nameless.to_owned());
        let (counts, what) = match name {
            STARTED => {
                counters.started = value;
                continue;
            }
            FAILURES => (&mut counters.failures, [label("phase"), label("reason")]),
            LOST => (&mut counters.lost, [label("cause"), None]),
            _ => continue,
        };
        let what = what.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let counts = counts.entry(of).or_default();
        if value > 0.0 {
            *counts.entry(what).or_default() += value;
        }
    }
    counters
}

/// What was counted between two askings.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Counted {
    /// By what it tells apart, and how often that would have been at the pace of before.
    Since { failures: Counts, failures_before: f64, lost: Counts, lost_before: f64 },
    /// It cannot be told, since.
    Unknown(&'static str),
}

/// Compares the counts of one target.
pub(super) fn between(before: Option<&Counters>, after: Option<&Counters>, target: &str) -> Counted {
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (None, _) => return Counted::Unknown("no daemon ran when the baseline was made"),
        (_, None) => return Counted::Unknown("no daemon runs"),
    };
    // Read from /proc each time, to the hundredth of a second.
    if (before.started - after.started).abs() > 1.0 {
        return Counted::Unknown("the daemon was started anew since the baseline");
    }
    let (Some(_), Some(_)) = (before.failures.get(target), after.failures.get(target)) else {
        return Counted::Unknown("the daemon does not watch this target");
    };
    let pace = (after.at - before.at).max(0.0) / (before.at - before.started).max(1.0);
    let of = |all: &BTreeMap<String, Counts>| all.get(target).cloned().unwrap_or_default();
    let (failures, lost) = (of(&before.failures), of(&before.lost));
    Counted::Since {
        failures_before: failures.values().sum::<f64>() * pace,
        lost_before: lost.values().sum::<f64>() * pace,
        failures: grown(&failures, of(&after.failures)),
        lost: grown(&lost, of(&after.lost)),
    }
}

/// One that is less than before began anew: the daemon's configuration was altered.
fn grown(before: &Counts, after: Counts) -> Counts {
    let difference = |(what, now): (String, f64)| {
        let was = before.get(&what).copied().unwrap_or(0.0);
        (what, if now < was { now } else { now - was })
    };
    after.into_iter().map(difference).filter(|(_, count)| *count > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_compared_by_target() {
        let text = "# HELP mysql_conn_lost_total x\nprocess_start_time_seconds 1000\n\
            mysql_conn_probe_failures_total{phase=\"tcp\",reason=\"refused\",target=\"a\"} 4\n\
            mysql_conn_probe_failures_total{phase=\"dns\",reason=\"dns\",target=\"a\"} 0\n\
            mysql_conn_lost_total{cause=\"killed\",source=\"pool\",target=\"a\"} 2\n\
            mysql_conn_lost_total{cause=\"killed\",source=\"canary\",target=\"a\"} 1\n";
        let before = Counters { at: 1100.0, ..read(text, "") };
        assert_eq!(before.lost["a"], Counts::from([("killed".to_owned(), 3.0)]));
        let later = text.replace("\"refused\",target=\"a\"} 4", "\"refused\",target=\"a\"} 9");
        let after = Counters { at: 1150.0, ..read(&later, "") };
        assert_eq!(
            between(Some(&before), Some(&after), "a"),
            Counted::Since {
                failures: Counts::from([("tcp refused".to_owned(), 5.0)]),
                failures_before: 2.0,
                lost: Counts::new(),
                lost_before: 1.5,
            }
        );
        let unknown = |before, after, target| matches!(between(before, after, target), Counted::Unknown(_));
        assert!(unknown(None, Some(&after), "a") && unknown(Some(&before), None, "a"));
        assert!(unknown(Some(&before), Some(&after), "b"));
        let restarted = Counters { started: 1120.0, ..after.clone() };
        assert!(unknown(Some(&before), Some(&restarted), "a"));
    }

    #[test]
    fn a_target_without_a_label_has_the_name_of_the_only_one() {
        let counters = read("mysql_conn_probe_failures_total{phase=\"tcp\",reason=\"refused\"} 4\n", "mysqld");
        assert_eq!(counters.failures["mysqld"], Counts::from([("tcp refused".to_owned(), 4.0)]));
    }
}
