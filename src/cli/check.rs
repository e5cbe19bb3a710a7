//! `check`: the probe once, told to a person phase by phase; again and again with `--watch`.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::checked::{Checked, Report, probe_all};
use super::exit::{Exit, complain, report, show};
use super::output::Output;
use super::repeat::Ends;
use super::runtime;
use super::targets::chosen;
use crate::config::Loaded;
use crate::watch::target::Target;

/// Clears a terminal, as `watch` does.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Probes the named targets, all at once, and reports in the order of their names.
pub(super) fn check(loaded: Loaded, names: &[String], output: Output, every: Option<Duration>) -> Exit {
    let targets = match chosen(&loaded, names) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let done = match every {
        None => runtime::run(async {
            let checked = probe_all(&targets).await;
            report(&told(&checked, output, true), judged(&checked))
        }),
        Some(every) => runtime::run(go_on(&targets, output, every)),
    };
    done.unwrap_or_else(|exit| exit)
}

/// Until somebody ends it; the last round says how it ends.
async fn go_on(targets: &[Arc<Target>], output: Output, every: Duration) -> Exit {
    let mut ends = match Ends::new() {
        Ok(ends) => ends,
        Err(error) => return complain(&format!("error: cannot listen for signals\n  cause: {error}")),
    };
    let is_seen = std::io::stdout().is_terminal();
    let mut rounds = interval(every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut exit = Exit::Good;
    loop {
        tokio::select! {
            () = ends.come() => return exit,
            _ = rounds.tick() => {}
        }
        let (checked, is_over) = ends.after(probe_all(targets)).await;
        let Some(checked) = checked else { return exit };
        exit = judged(&checked);
        let text = match output {
            Output::Json => told(&checked, output, false),
            Output::Text => {
                let clear = if is_seen { CLEAR } else { "" };
                let now = humantime::format_rfc3339_seconds(SystemTime::now());
                format!("{clear}{now}\n{}", told(&checked, output, false))
            }
        };
        match show(&text) {
            Ok(true) if !is_over => {}
            Ok(_) => return exit,
            Err(exit) => return exit,
        }
    }
}

fn told(checked: &[Checked], output: Output, is_once: bool) -> String {
    if let Output::Json = output {
        let reports: Vec<Report> = checked.iter().map(Checked::to_report).collect();
        // A round a line where there are several, for whoever reads them as they come.
        let text = if is_once { serde_json::to_string_pretty(&reports) } else { serde_json::to_string(&reports) };
        return text.expect("strings and numbers always serialize") + "\n";
    }
    let mut text: String = checked.iter().map(Checked::told).collect();
    if checked.len() > 1 {
        let failed = checked.iter().filter(|checked| checked.outcome.is_err()).count();
        text.push_str(&format!("{} targets: {} good, {failed} failed\n", checked.len(), checked.len() - failed));
    }
    text
}

fn judged(checked: &[Checked]) -> Exit {
    match checked.iter().any(|checked| checked.outcome.is_err()) {
        true => Exit::Critical,
        false => Exit::Good,
    }
}
