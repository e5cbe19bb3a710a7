//! What happened lately: a bounded list for `/events`, and a line in the log for each.
//!
//! An event that repeats an earlier one of the same target is folded into it: it moves to the end of the list with a
//! count, and the log tells of it only at powers of ten. So a storm fills neither.

mod what;
pub mod says;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

pub use what::{Loss, What};

/// So many of the latest events are looked at for the one that is repeated.
const LOOKED_AT: usize = 64;

/// One event, or several that say the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Grows with each event and each repetition: microseconds since 1970, made unique.
    pub id: u64,
    /// When it happened first, and last.
    #[serde(serialize_with = "as_time")]
    pub first: SystemTime,
    #[serde(serialize_with = "as_time")]
    pub last: SystemTime,
    pub count: u64,
    pub target: Arc<str>,
    /// Of the last one.
    #[serde(flatten)]
    pub what: What,
}

fn as_time<S: Serializer>(at: &SystemTime, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&humantime::format_rfc3339_millis(*at))
}

/// Which events are wanted; empty lists mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those after this one only.
    pub after: Option<u64>,
    pub targets: Vec<String>,
    pub kinds: Vec<String>,
    pub most: usize,
}

/// The latest events of all targets, in the order of their ids. Clones are the same list.
#[derive(Clone, Debug)]
pub struct Events {
    list: Arc<Mutex<VecDeque<Event>>>,
    most: usize,
}

impl Events {
    pub fn keeping(most: usize) -> Events {
        Events { list: Arc::default(), most }
    }

    /// Takes in what happened just now, so many times, and logs it.
    pub(super) fn tell(&self, target: &Arc<str>, what: What, times: u64) {
        let (count, what) = self.take_in(target, what, times, SystemTime::now());
        if is_worth_a_line(count - times, count) {
            what.log(target, count);
        }
    }

    /// The same as of a time, and without a line, for tests of who shows events.
    #[cfg(test)]
    pub(crate) fn tell_at(&self, target: &Arc<str>, what: What, at: SystemTime) {
        self.take_in(target, what, 1, at);
    }

    fn take_in(&self, target: &Arc<str>, what: What, times: u64, now: SystemTime) -> (u64, What) {
        let mut list = self.list();
        let micros = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let id = list.back().map_or(micros, |last| micros.max(last.id + 1));
        let repeated = list.iter().enumerate().rev().take(LOOKED_AT).find(|(_, old)| {
            let age = now.duration_since(old.last).unwrap_or_default();
            old.target == *target && age <= what.folded_within() && old.what.is_like(&what)
        });
        let event = match repeated.map(|(place, _)| place).and_then(|place| list.remove(place)) {
            Some(old) => Event { id, last: now, count: old.count + times, what, ..old },
            None => Event { id, first: now, last: now, count: times, target: target.clone(), what },
        };
        if list.len() >= self.most {
            list.pop_front();
        }
        let told = (event.count, event.what.clone());
        list.push_back(event);
        told
    }

    /// The events that are wanted, oldest first: the earliest after the given one, or else the latest; and the id to
    /// ask with next.
    pub fn select(&self, wanted: &Wanted) -> (Vec<Event>, u64) {
        let list = self.list();
        let is_wanted = |event: &&Event| {
            wanted.after.is_none_or(|after| event.id > after)
                && (wanted.targets.is_empty() || wanted.targets.iter().any(|target| **target == *event.target))
                && (wanted.kinds.is_empty() || wanted.kinds.iter().any(|kind| kind == event.what.kind()))
        };
        let newest = list.back().map_or(0, |event| event.id).max(wanted.after.unwrap_or(0));
        let mut found: Vec<&Event> = list.iter().filter(is_wanted).collect();
        let is_cut = found.len() > wanted.most;
        if wanted.after.is_some() {
            found.truncate(wanted.most);
        } else {
            found.drain(..found.len().saturating_sub(wanted.most));
        }
        let next = match found.last() {
            Some(last) if is_cut && wanted.after.is_some() => last.id,
            _ => newest,
        };
        (found.into_iter().cloned().collect(), next)
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first of a kind, and whenever the count has one more digit.
fn is_worth_a_line(before: u64, count: u64) -> bool {
    before.checked_ilog10() < count.checked_ilog10()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn state(from: &'static str, to: &'static str) -> What {
        What::State { from, to, phase: None, reason: None }
    }

    fn all() -> Wanted {
        Wanted { most: 1000, ..Wanted::default() }
    }

    #[test]
    fn a_repetition_moves_to_the_end_with_a_count() {
        let events = Events::keeping(10);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        events.take_in(&one, What::Recovered { after_seconds: 1.0 }, 1, at(1));
        events.take_in(&other, What::Recovered { after_seconds: 2.0 }, 1, at(2));
        events.take_in(&one, What::Recovered { after_seconds: 3.0 }, 1, at(11));
        let (found, next) = events.select(&all());
        let shown: Vec<(&str, u64, SystemTime)> =
            found.iter().map(|event| (&*event.target, event.count, event.first)).collect();
        assert_eq!(shown, [("other", 1, at(2)), ("one", 2, at(1))]);
        assert_eq!((found[1].last, &found[1].what), (at(11), &What::Recovered { after_seconds: 3.0 }));
        // Later after the last it is another event.
        events.take_in(&one, What::Recovered { after_seconds: 4.0 }, 1, at(22));
        let since = Wanted { after: Some(next), ..all() };
        assert_eq!(events.select(&since).0.iter().map(|event| event.count).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_server_that_flaps_fills_no_list() {
        let events = Events::keeping(100);
        let target: Arc<str> = "t".into();
        for second in 0..600 {
            events.take_in(&target, state("connected", "down"), 1, at(second));
            events.take_in(&target, state("down", "connected"), 1, at(second));
        }
        let counts: Vec<u64> = events.select(&all()).0.iter().map(|event| event.count).collect();
        assert_eq!(counts, [600, 600]);
    }

    #[test]
    fn the_list_is_bounded_and_read_in_pages() {
        let events = Events::keeping(50);
        for number in 0..80 {
            let target: Arc<str> = format!("t{number}").into();
            events.take_in(&target, What::CircuitClosed, 1, at(5));
        }
        let names = |found: &[Event]| found.iter().map(|event| event.target.to_string()).collect::<Vec<_>>();
        let (latest, _) = events.select(&Wanted { most: 2, ..Wanted::default() });
        assert_eq!(names(&latest), ["t78", "t79"]);
        let mut seen = Vec::new();
        let mut after = 0;
        loop {
            let (page, next) = events.select(&Wanted { after: Some(after), most: 20, ..Wanted::default() });
            if page.is_empty() {
                assert_eq!(next, after);
                break;
            }
            seen.extend(names(&page));
            after = next;
        }
        assert_eq!((seen.len(), seen.first().map(String::as_str)), (50, Some("t30")));
        let only = Wanted { targets: vec!["t40".to_owned()], ..all() };
        assert_eq!(names(&events.select(&only).0), ["t40"]);
        let other = Wanted { kinds: vec!["lost".to_owned()], ..all() };
        assert_eq!(events.select(&other).0, []);
    }

    #[test]
    fn an_event_is_flat_json() {
        let events = Events::keeping(10);
        events.take_in(&"t".into(), state("connected", "degraded"), 1, at(1));
        let (found, _) = events.select(&all());
        let text = serde_json::to_string(&found[0]).expect("strings and numbers");
        assert_eq!(
            text,
            "{\"id\":1000000,\"first\":\"1970-01-01T00:00:01.000Z\",\"last\":\"1970-01-01T00:00:01.000Z\",\"count\":1,\
             \"target\":\"t\",\"kind\":\"state\",\"from\":\"connected\",\"to\":\"degraded\",\"phase\":null,\"reason\":null}"
        );
        assert_eq!(What::KINDS[1], found[0].what.kind());
    }

    #[test]
    fn the_log_tells_at_powers_of_ten() {
        let told: Vec<u64> = (1..=2000).filter(|count| is_worth_a_line(count - 1, *count)).collect();
        assert_eq!(told, [1, 10, 100, 1000]);
        assert!(is_worth_a_line(0, 7) && is_worth_a_line(7, 20) && !is_worth_a_line(20, 99));
    }
}
