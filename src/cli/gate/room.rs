//! Waits until the servers are good and have room, and says why it waits.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::super::exit::{Exit, complain, progress, report};
use super::super::moment::Moment;
use super::super::output::Output;
use super::super::targets::chosen;
use crate::config::{Loaded, spelled};
use crate::watch::snapshot::Snapshot;

/// Between two probes of a target.
const EVERY: Duration = Duration::from_secs(1);

/// Between two looks at how it goes.
const LOOK: Duration = Duration::from_millis(50);

/// What is said on the command line.
#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Targets by name; none means all
    targets: Vec<String>,
    /// How long to wait at most
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    within: Duration,
    /// How many probes in a row must be good
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    good: u32,
    /// Connections of the server that must be free: a share as `20%`, or how many the new instances will open, as `60`
    #[arg(long, value_name = "ROOM", value_parser = room)]
    headroom: Option<Room>,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How many of the server's connections must be free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Room {
    Share(f64),
    Count(u64),
}

impl fmt::Display for Room {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Room::Share(share) => write!(out, "{} %", share * 100.0),
            Room::Count(count) => write!(out, "{count}"),
        }
    }
}

impl Room {
    fn is_there(self, used: u64, limit: u64) -> bool {
        let free = limit.saturating_sub(used);
        match self {
            Room::Share(share) => limit > 0 && free as f64 >= share * limit as f64,
            Room::Count(count) => free >= count,
        }
    }
}

/// A share as people write it: `20%`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    number
        .filter(|percent| (0.0..=1000.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is no share; write one such as `20%`"))
}

fn room(text: &str) -> Result<Room, String> {
    if let Ok(count) = text.parse() {
        return Ok(Room::Count(count));
    }
    match share(text) {
        Ok(share) if share <= 1.0 => Ok(Room::Share(share)),
        _ => Err(format!("`{text}` is neither a share up to 100% nor a number of connections; write `20%` or `60`")),
    }
}

/// How one target stands.
#[derive(Debug, Default, Serialize)]
struct Standing {
    ready: bool,
    /// Good probes in a row.
    good: u32,
    used: Option<u64>,
    limit: Option<u64>,
    /// Why it is not ready.
    why: Option<String>,
    #[serde(skip)]
    latest: Option<SystemTime>,
    #[serde(skip)]
    failure: Option<String>,
}

impl Standing {
    fn look(&mut self, snapshot: &Snapshot, wait: &Wait) {
        if let Some(probe) = snapshot.probe.as_ref().filter(|probe| self.latest != Some(probe.at)) {
            self.latest = Some(probe.at);
            self.good = if probe.failure.is_none() { self.good + 1 } else { 0 };
            self.failure = probe.failure.as_ref().map(|failure| {
                let errno = failure.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
                format!(
                    "the probe fails in phase {}: {}{errno}: {}",
                    failure.phase.label(),
                    failure.reason.label(),
                    failure.detail
                )
            });
        }
        if let Some((used, limit)) = snapshot.connections {
            (self.used, self.limit) = (Some(used), Some(limit));
        }
        self.why = self.judge(wait);
        self.ready = self.why.is_none();
    }

    fn judge(&self, wait: &Wait) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.clone());
        }
        if self.latest.is_none() {
            return Some("no probe has ended yet".to_owned());
        }
        let room = match (wait.headroom, self.used, self.limit) {
            (None, ..) => None,
            (Some(_), None, _) | (Some(_), _, None) => {
                Some("how many connections the server has in use is not known yet".to_owned())
            }
            (Some(room), Some(used), Some(limit)) => (!room.is_there(used, limit)).then(|| {
                let free = limit.saturating_sub(used);
                format!("{free} of {limit} connections are free, and {room} are wanted")
            }),
        };
        if room.is_some() {
            return room;
        }
        (self.good < wait.good).then(|| format!("{} of {} good probes in a row", self.good, wait.good))
    }

    fn told(&self, name: &str) -> String {
        let s = if self.good == 1 { "" } else { "s" };
        match (&self.why, self.used, self.limit) {
            (Some(why), ..) => format!("{name}: not ready: {why}\n"),
            (None, Some(used), Some(limit)) => format!(
                "{name}: ready: {} good probe{s} in a row, {} of {limit} connections are free\n",
                self.good,
                limit.saturating_sub(used)
            ),
            (None, ..) => format!("{name}: ready: {} good probe{s} in a row\n", self.good),
        }
    }
}

/// Waits for all at once, and reports.
pub(super) async fn wait(loaded: &Loaded, wait: &Wait) -> Result<Exit, Exit> {
    let targets = chosen(loaded, &wait.targets)?;
    let least = EVERY * wait.good;
    if wait.within < least {
        let s = if wait.good == 1 { "" } else { "s" };
        return Err(complain(&format!(
            "error: `--for {}` is too short for {} good probe{s}, one a second\n  hint: write `--for {}` or more, or a \
             smaller `--good`; `goneaway check` looks once",
            spelled(wait.within),
            wait.good,
            spelled(least)
        )));
    }
    let began = Instant::now();
    let moment = Moment::begin(loaded, &targets, EVERY)?;
    let slots = moment.board.slots();
    let mut all: BTreeMap<&str, Standing> = slots.iter().map(|slot| (slot.name(), Standing::default())).collect();
    let is_ready = |all: &BTreeMap<&str, Standing>| all.values().all(|standing| standing.ready);
    loop {
        for slot in slots.iter() {
            let Some(standing) = all.get_mut(slot.name()) else { continue };
            let before = standing.why.take();
            standing.look(&slot.snapshot(), wait);
            if let Some(why) = standing.why.as_ref().filter(|why| before.as_ref() != Some(why)) {
                progress(&format!("{:>6.1}s {}: waiting: {why}", began.elapsed().as_secs_f64(), slot.name()));
            }
        }
        if is_ready(&all) || began.elapsed() >= wait.within {
            break;
        }
        sleep(LOOK).await;
    }
    let ready = is_ready(&all);
    let text = match wait.output {
        Output::Text => all.iter().map(|(name, standing)| standing.told(name)).collect::<String>(),
        Output::Json => {
            let waited = began.elapsed().as_secs_f64();
            let document = serde_json::json!({ "ready": ready, "waited_seconds": waited, "targets": all });
            serde_json::to_string_pretty(&document).expect("strings and numbers always serialize") + "\n"
        }
    };
    let exit = report(&text, if ready { Exit::Good } else { Exit::Critical });
    moment.end().await?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::{Failure, Phase, Reason};
    use crate::watch::snapshot::ProbeResult;

    fn wanted(headroom: Option<Room>) -> Wait {
        Wait { targets: Vec::new(), within: EVERY, good: 2, headroom, output: Output::Text }
    }

    #[test]
    fn room_is_a_share_or_a_number() {
        assert_eq!((room("20%"), room("60")), (Ok(Room::Share(0.2)), Ok(Room::Count(60))));
        for wrong in ["101%", "-1", "x", "20 percent", ""] {
            assert!(room(wrong).is_err(), "{wrong}");
        }
        assert!(Room::Share(0.2).is_there(80, 100) && !Room::Share(0.2).is_there(81, 100));
        assert!(Room::Count(20).is_there(80, 100) && !Room::Count(20).is_there(81, 100));
    }

    #[test]
    fn a_failure_begins_the_row_anew_and_room_is_asked_for_besides() {
        let wait = wanted(Some(Room::Count(10)));
        let mut standing = Standing::default();
        let mut second = 0;
        let mut see = |failure: Option<Failure>, used| {
            second += 1;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            let probe = Some(ProbeResult { at, failure, phases: Vec::new(), tls_version: None });
            let snapshot = Snapshot { probe, connections: used, ..Snapshot::default() };
            standing.look(&snapshot, &wait);
            standing.look(&snapshot, &wait);
            standing.told("t")
        };
        let mut full = Failure::new(Phase::Auth, Reason::TooManyConnections, "Too many connections");
        full.errno = Some(1040);
        assert_eq!(see(None, None), "t: not ready: how many connections the server has in use is not known yet\n");
        let says = "t: not ready: the probe fails in phase auth: too_many_connections (1040): Too many connections\n";
        assert_eq!(see(Some(full), Some((100, 100))), says);
        assert_eq!(see(None, Some((95, 100))), "t: not ready: 5 of 100 connections are free, and 10 are wanted\n");
        assert_eq!(see(None, Some((50, 100))), "t: ready: 2 good probes in a row, 50 of 100 connections are free\n");
        assert_eq!(wanted(None).good, 2);
    }
}
