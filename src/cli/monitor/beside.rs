//! What a daemon that runs beside knows more: what happens to its connections, and how its pools stand.

use std::collections::HashMap;

use serde::Deserialize;

use crate::http::{Client, Unanswered};

/// Events in one answer.
const MOST: usize = 1000;

/// A daemon, and how far its events were read.
pub(super) struct Beside {
    client: Client,
    query: String,
    /// None before the first answer.
    next: Option<u64>,
    /// How often an event that may come again was counted, by what it is.
    counted: HashMap<Same, u64>,
    standing: HashMap<String, String>,
    /// It has been told that the daemon does not answer.
    is_told: bool,
}

/// An event that comes again keeps its target, its beginning and what it tells.
type Same = (String, String, String, Option<String>);

#[derive(Deserialize)]
struct Document {
    events: Vec<Event>,
    next: u64,
    #[serde(default)]
    standing: Vec<Standing>,
}

/// An event, as far as it is shown here.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) target: String,
    first: String,
    pub(super) last: String,
    pub(super) count: u64,
    pub(super) kind: String,
    pub(super) says: String,
    pub(super) cause: Option<String>,
}

#[derive(Deserialize)]
struct Standing {
    target: String,
    state: Option<String>,
    pools: Vec<Pool>,
}

#[derive(Deserialize)]
struct Pool {
    size: u32,
    idle: u32,
    used: u32,
    pending: u32,
}

impl Beside {
    pub(super) fn new(client: Client, targets: &[&str]) -> Beside {
        let targets: String = targets.iter().map(|target| format!("&target={}", escaped(target))).collect();
        Beside {
            client,
            query: format!("/events?standing=now&limit={MOST}{targets}"),
            next: None,
            counted: HashMap::new(),
            standing: HashMap::new(),
            is_told: false,
        }
    }

    pub(super) fn place(&self) -> String {
        self.client.place()
    }

    /// What has happened since this was last asked, each with how many times; nothing of before the first time.
    /// That the daemon does not answer is said once.
    pub(super) async fn news(&mut self) -> Result<Vec<(Event, u64)>, Unanswered> {
        let since = self.next.map(|next| format!("&since={next}")).unwrap_or_default();
        let asked = async { self.client.get(&format!("{}{since}", self.query)).await?.json::<Document>() }.await;
        let document = match asked {
            Ok(document) => document,
            Err(error) => {
                self.standing.clear();
                return if std::mem::replace(&mut self.is_told, true) { Ok(Vec::new()) } else { Err(error) };
            }
        };
        self.is_told = false;
        let is_first = self.next.replace(document.next).is_none();
        self.standing = document.standing.into_iter().map(|one| (one.target.clone(), one.told())).collect();
        let mut news = Vec::new();
        for event in document.events {
            let same = (event.target.clone(), event.first.clone(), event.kind.clone(), event.cause.clone());
            let before = self.counted.insert(same, event.count).unwrap_or_default();
            // Of a daemon that was started anew the counts begin anew.
            let times = event.count.checked_sub(before).filter(|times| *times > 0).unwrap_or(event.count);
            if !is_first {
                news.push((event, times));
            }
        }
        // What comes again later than it is folded is another event.
        if self.counted.len() > 8 * MOST {
            self.counted.clear();
        }
        Ok(news)
    }

    /// How a target's pools stand, and its state where that says more than the probe; nothing while not known.
    pub(super) fn standing(&self, target: &str) -> &str {
        self.standing.get(target).map_or("", String::as_str)
    }
}

impl Standing {
    fn told(&self) -> String {
        let sum = |of: fn(&Pool) -> u32| self.pools.iter().map(of).sum::<u32>();
        let state = self.state.as_deref().unwrap_or("pending");
        let waiting = match sum(|pool| pool.pending) {
            0 => String::new(),
            waiting => format!(", {waiting} wait"),
        };
        format!(
            "{state}, pool {} idle {} used of {}{waiting}",
            sum(|pool| pool.idle),
            sum(|pool| pool.used),
            sum(|pool| pool.size)
        )
    }
}

/// A name as a part of a query.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_a_query() {
        let client = Client::at_url("http://localhost:1").expect("a URL");
        let beside = Beside::new(client, &["a b&c", "ü"]);
        assert_eq!(beside.query, "/events?standing=now&limit=1000&target=a%20b%26c&target=%C3%BC");
    }

    #[test]
    fn pools_are_told_together() {
        let pool = |idle, used, pending| Pool { size: 5, idle, used, pending };
        let standing =
            Standing { target: "t".into(), state: Some("degraded".into()), pools: vec![pool(2, 1, 0), pool(0, 5, 3)] };
        assert_eq!(standing.told(), "degraded, pool 2 idle 6 used of 10, 3 wait");
    }
}
