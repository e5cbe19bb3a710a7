//! `recover`: every pooled connection dropped and connected anew, and whether that is good now.
//!
//! Through the daemon, whose events tell how it goes; where none runs, by a watch of the command's own, which has no
//! pooled connections to drop, connects anew with the daemon's backoff, and tells the same events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::daemon::{At, Found, find};
use super::exit::{Exit, complain, report};
use super::moment::{Moment, chosen};
use super::output::Output;
use super::runtime;
use crate::config::{Loaded, Mistakes};
use crate::http::{Client, Unanswered, encoded};
use crate::watch::events::Wanted;

/// Between two looks at what happened.
const LOOK: Duration = Duration::from_millis(100);

/// Between two probes of the command's own watch: the backoff's attempts come besides.
const EVERY: Duration = Duration::from_secs(5);

/// What is said on the command line.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Targets by name; none means all
    targets: Vec<String>,
    /// How long to wait for a good connection to each
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    within: Duration,
    #[command(flatten)]
    at: At,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Recovers the named targets, and reports in the order of their names.
pub(super) fn recover(arguments: &Arguments, load: impl FnOnce() -> Result<Loaded, Mistakes>) -> Exit {
    let followed = match find(&arguments.at, load) {
        Ok(Found::Running(client)) => runtime::run(through(&client, arguments)),
        Ok(Found::Nobody(loaded)) => runtime::run(alone(&loaded, arguments)),
        Err(exit) => return exit,
    };
    match followed.and_then(|followed| followed) {
        Ok(followed) => followed.report(arguments.output),
        Err(exit) => exit,
    }
}

/// What the daemon says of a recovery that begins.
#[derive(Deserialize)]
struct Recovering {
    recovering: Vec<String>,
    since: u64,
}

async fn through(client: &Client, arguments: &Arguments) -> Result<Followed, Exit> {
    let unanswered = |error: Unanswered| {
        complain(&error);
        Exit::Critical
    };
    let query: Vec<String> = arguments.targets.iter().map(|name| format!("target={}", encoded(name))).collect();
    let answer = client.post(&format!("/-/recover?{}", query.join("&"))).await.map_err(unanswered)?;
    if (400..500).contains(&answer.status) {
        return Err(complain(&answer.refusal()));
    }
    let begun: Recovering = answer.json().map_err(unanswered)?;
    let by = format!("the daemon at {}", client.place());
    let mut followed = Followed::new(by, begun.recovering, begun.since);
    let end = Instant::now() + arguments.within;
    loop {
        let answer = client.get(&format!("/events?limit=1000&since={}", followed.next)).await.map_err(unanswered)?;
        followed.take_in(answer.json().map_err(unanswered)?);
        if followed.is_good() || Instant::now() >= end {
            return Ok(followed);
        }
        sleep(LOOK).await;
    }
}

async fn alone(loaded: &Loaded, arguments: &Arguments) -> Result<Followed, Exit> {
    let targets = chosen(loaded, &arguments.targets)?;
    let moment = Moment::begin(loaded, &targets, EVERY)?;
    let names = targets.iter().map(|target| target.name.clone()).collect();
    let mut followed = Followed::new("this command itself, as no daemon runs here".to_owned(), names, 0);
    moment.board.slots().iter().for_each(|slot| slot.recover());
    let end = Instant::now() + arguments.within;
    while !followed.is_good() && Instant::now() < end {
        sleep(LOOK).await;
        let wanted = Wanted { after: Some(followed.next), most: 1000, ..Wanted::default() };
        let (events, next) = moment.events.select(&wanted);
        let as_told = serde_json::to_value(events).and_then(serde_json::from_value);
        followed.take_in(Told { events: as_told.expect("what events say is what they are read from"), next });
    }
    moment.end().await?;
    Ok(followed)
}

/// What `/events` answers.
#[derive(Debug, Deserialize)]
struct Told {
    events: Vec<Event>,
    next: u64,
}

#[derive(Debug, Deserialize)]
struct Event {
    target: String,
    last: String,
    count: u64,
    kind: String,
    closed: Option<u64>,
    in_use: Option<u64>,
    good: Option<bool>,
    seconds: Option<f64>,
    phase: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
}

/// What came of it so far.
#[derive(Debug, Serialize)]
struct Followed {
    by: String,
    targets: BTreeMap<String, Story>,
    #[serde(skip)]
    next: u64,
}

/// What came of it for one target.
#[derive(Debug, Default, Serialize)]
struct Story {
    good: bool,
    /// From asking to the first good connection.
    seconds: Option<f64>,
    /// Pooled connections that were closed, and those in use that close when they come back.
    closed: u64,
    in_use: u64,
    failures: Vec<Failed>,
}

/// An attempt that did not get in, or several that say the same.
#[derive(Debug, Serialize)]
struct Failed {
    at: String,
    count: u64,
    phase: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
}

impl Followed {
    fn new(by: String, names: Vec<String>, since: u64) -> Followed {
        let targets = names.into_iter().map(|name| (name, Story::default())).collect();
        Followed { by, targets, next: since }
    }

    fn is_good(&self) -> bool {
        self.targets.values().all(|story| story.good)
    }

    fn take_in(&mut self, told: Told) {
        self.next = told.next.max(self.next);
        for event in told.events {
            let Some(story) = self.targets.get_mut(&event.target) else { continue };
            match (event.kind.as_str(), event.good) {
                ("recover_asked", _) => {
                    story.closed += event.closed.unwrap_or(0);
                    story.in_use += event.in_use.unwrap_or(0);
                }
                ("recover_tried", Some(true)) => {
                    story.good = true;
                    story.seconds = event.seconds;
                }
                ("recover_tried", _) => {
                    let Event { last: at, count, phase, reason, detail, hint, .. } = event;
                    // Several that say the same are one event, told again with each.
                    story.failures.retain(|one| (&one.phase, &one.reason) != (&phase, &reason));
                    story.failures.push(Failed { at, count, phase, reason, detail, hint });
                }
                _ => {}
            }
        }
    }

    fn report(&self, output: Output) -> Exit {
        let text = match output {
            Output::Text => self.targets.iter().map(|(name, story)| story.told(name)).collect::<String>(),
            Output::Json => serde_json::to_string_pretty(self).expect("strings and numbers always serialize") + "\n",
        };
        let text = match output {
            Output::Text => format!("by {}\n{text}", self.by),
            Output::Json => text,
        };
        report(&text, if self.is_good() { Exit::Good } else { Exit::Critical })
    }
}

impl Story {
    fn told(&self, name: &str) -> String {
        let mut text = format!("{name}: ");
        let mut line = |line: String| {
            let written = writeln!(text, "{line}");
            debug_assert!(written.is_ok(), "a string takes everything");
        };
        match (self.good, self.seconds) {
            (true, Some(seconds)) => line(format!("good, {:.1} ms after asking", seconds * 1000.0)),
            (true, None) => line("good".to_owned()),
            (false, _) => line("not good".to_owned()),
        }
        if self.closed > 0 || self.in_use > 0 {
            line(format!(
                "  pooled connections: {} closed, {} in use that close when they come back",
                self.closed, self.in_use
            ));
        }
        for failed in &self.failures {
            let (phase, reason) = (failed.phase.as_deref().unwrap_or(""), failed.reason.as_deref().unwrap_or(""));
            let times = if failed.count > 1 { format!(", {} times", failed.count) } else { String::new() };
            line(format!("  {} failed in phase {phase}: {reason}{times}", failed.at));
            if let Some(detail) = &failed.detail {
                line(format!("    cause: {detail}"));
            }
            if let Some(hint) = failed.hint.as_ref().filter(|_| !self.good) {
                line(format!("    hint: {hint}"));
            }
        }
        if !self.good && self.failures.is_empty() {
            line("  no attempt has ended in that time; `--for` gives it more".to_owned());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: serde_json::Value) -> Told {
        serde_json::from_value(json).expect("as the daemon answers")
    }

    #[test]
    fn what_events_tell_becomes_a_story_for_each_target() {
        let names = ["orders", "billing"].map(str::to_owned).to_vec();
        let mut followed = Followed::new("x".to_owned(), names, 5);
        let event = |target: &str, kind: &str, more: serde_json::Value| {
            let mut event =
                serde_json::json!({"id": 6, "first": "f", "last": "l", "count": 1, "target": target, "kind": kind});
            event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            event
        };
        let refused = serde_json::json!({"good": false, "seconds": 0.1, "phase": "tcp", "reason": "refused",
            "detail": "Connection refused", "hint": "is it running?"});
        followed.take_in(told(serde_json::json!({"next": 9, "events": [
            event("orders", "recover_asked", serde_json::json!({"closed": 2, "in_use": 1})),
            event("orders", "recover_tried", serde_json::json!({"good": true, "seconds": 0.0125, "phase": null})),
            event("billing", "recover_tried", refused.clone()),
            event("other", "recover_tried", refused.clone()),
        ]})));
        let mut again = event("billing", "recover_tried", refused);
        again["count"] = 4.into();
        followed.take_in(told(serde_json::json!({"next": 12, "events": [again]})));
        assert_eq!((followed.next, followed.is_good()), (12, false));
        let text: String = followed.targets.iter().map(|(name, story)| story.told(name)).collect();
        assert_eq!(
            text,
            "billing: not good\n  l failed in phase tcp: refused, 4 times\n    cause: Connection refused\n    hint: is it \
             running?\norders: good, 12.5 ms after asking\n  pooled connections: 2 closed, 1 in use that close when they \
             come back\n"
        );
    }
}
