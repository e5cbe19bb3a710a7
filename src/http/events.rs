//! `/events`: what happened lately, as JSON.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use serde::Serialize;

use super::query::{list, pairs, shown, target, unknown};
use super::reply::{Reply, json, text};
use super::state::State;
use crate::watch::board::Slot;
use crate::watch::events::{Event, Wanted, What};
use crate::watch::pools::Occupancy;

/// Events in one answer, unless `limit` says otherwise.
const LIMIT: usize = 1000;
const MOST: usize = 10_000;

#[derive(Serialize)]
struct Document {
    events: Vec<Told>,
    /// For `since` in the next request.
    next: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Vec<Standing>>,
}

/// How a target stands now, for who follows the events.
#[derive(Serialize)]
struct Standing {
    target: String,
    /// None before its first probe.
    state: Option<&'static str>,
    pools: Vec<PoolNow>,
}

#[derive(Serialize)]
struct PoolNow {
    name: Arc<str>,
    size: u32,
    idle: u32,
    used: u32,
    pending: u32,
}

impl Standing {
    fn of(slot: &Slot) -> Standing {
        let snapshot = slot.snapshot();
        let pool = |pool: &Occupancy| PoolNow {
            name: pool.name.clone(),
            size: pool.size,
            idle: pool.counts.idle,
            used: pool.counts.used,
            pending: pool.counts.pending,
        };
        Standing {
            target: slot.name().to_owned(),
            state: snapshot.state.map(|state| state.label()),
            pools: snapshot.pools.iter().map(pool).collect(),
        }
    }
}

#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    event: Event,
    /// The same in a sentence, for a person; not for a program.
    says: String,
}

/// Answers with the events that are wanted.
pub(super) fn events(state: &State, query: Option<&str>) -> Reply {
    let (wanted, with_standing) = match wanted(query, state) {
        Ok(wanted) => wanted,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
    };
    let (events, next) = state.events.select(&wanted);
    let events = events.into_iter().map(|event| Told { says: event.what.says(), event }).collect();
    let is_wanted =
        |slot: &&Arc<Slot>| wanted.targets.is_empty() || wanted.targets.iter().any(|one| one == slot.name());
    let standing = || state.board.slots().iter().filter(is_wanted).map(|slot| Standing::of(slot)).collect();
    let body = serde_json::to_string(&Document { events, next, standing: with_standing.then(standing) });
    json(StatusCode::OK, body.expect("strings and numbers are always JSON") + "\n")
}

/// Which events are wanted, and whether how the targets stand is wanted too.
fn wanted(query: Option<&str>, state: &State) -> Result<(Wanted, bool), String> {
    let (mut wanted, mut standing) = (Wanted { most: LIMIT, ..Wanted::default() }, false);
    for (name, value) in pairs(query.unwrap_or_default()) {
        match name.as_str() {
            "since" => wanted.after = Some(since(&value)?),
            "limit" => wanted.most = limit(&value)?,
            "target" | "target[]" => wanted.targets.push(target(&name, value, state)?),
            "kind" | "kind[]" => wanted.kinds.push(kind(value)?),
            "standing" if value == "now" => standing = true,
            "standing" => {
                let says = "is no time to tell how targets stand (standing)\n  hint: there is `now`";
                return Err(format!("`{}` {says}\n", shown(&value)));
            }
            _ => return Err(unknown(&name, "since, limit, target, kind, standing")),
        }
    }
    Ok((wanted, standing))
}

/// The id of an event, or a time: ids are microseconds since 1970.
fn since(value: &str) -> Result<u64, String> {
    if let Ok(id) = value.parse() {
        return Ok(id);
    }
    let before = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    humantime::parse_rfc3339_weak(value).map(before).map_err(|_| {
        format!(
            "`{}` is not a point to begin at (since)\n  hint: the `next` of the last answer, or a time as \
             2026-01-31T12:00:00Z\n",
            shown(value)
        )
    })
}

fn limit(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
        format!("`{}` is no number of events (limit)\n  hint: a whole number from 1 to {MOST}\n", shown(value))
    })
}

fn kind(value: String) -> Result<String, String> {
    match What::KINDS.contains(&value.as_str()) {
        true => Ok(value),
        false => Err(format!(
            "there is no event of the kind `{}` (kind)\n  kinds: {}\n",
            shown(&value),
            list(What::KINDS.into_iter())
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_an_id_or_a_time() {
        assert_eq!(since("17"), Ok(17));
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1_000_000));
        for wrong in ["", "yesterday", "-1", "1.5", "2026-13-01T00:00:00Z"] {
            assert!(since(wrong).expect_err("no beginning").contains("(since)"), "{wrong}");
        }
        assert_eq!((limit("1"), limit("10000")), (Ok(1), Ok(10_000)));
        for wrong in ["0", "10001", "", "x"] {
            assert!(limit(wrong).expect_err("no limit").contains("from 1 to 10000"), "{wrong}");
        }
    }
}
