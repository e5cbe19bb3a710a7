//! The bounds in a file, so that a restart of the daemon does not begin from nothing.
//!
//! One file for all targets, as JSON. It is a convenience: whatever is wrong with it, the limits are learned anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;

/// What a ladder begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    pub bounds: Bounds,
    /// Since when the bounds are as near to each other as they are to come; none if the search has not ended.
    pub settled_ago: Option<Duration>,
}

/// What was learned about every target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    targets: BTreeMap<String, Kept>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    targets: BTreeMap<String, Kept>,
}

const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Another address is another path.
    address: String,
    survived_ms: u64,
    lost_ms: Option<u64>,
    /// In seconds since 1970.
    settled_at: Option<u64>,
}

impl Memory {
    /// What a file says. One that is damaged, or of another version, says nothing.
    pub fn parse(text: &[u8]) -> io::Result<Memory> {
        let document: Document = serde_json::from_slice(text)?;
        if document.version != VERSION {
            let says = format!("it is of version {}, and this program knows version {VERSION}", document.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, says));
        }
        Ok(Memory { targets: document.targets })
    }

    /// What is in the file; nothing where there is none yet.
    pub fn load(path: &Path) -> io::Result<Memory> {
        match fs::read(path) {
            Ok(text) => Memory::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Memory::default()),
            Err(error) => Err(error),
        }
    }

    pub fn to_json(&self) -> String {
        let document = Document { version: VERSION, targets: self.targets.clone() };
        serde_json::to_string_pretty(&document).expect("strings and numbers always serialize") + "\n"
    }

    /// What was learned about a target at this address, if it makes sense.
    pub fn recall(&self, target: &str, address: &str, now: SystemTime) -> Option<Learned> {
        let kept = self.targets.get(target).filter(|kept| kept.address == address)?;
        let (survived, lost) = (kept.survived_ms, kept.lost_ms);
        if survived > LONGEST_MS || lost.is_some_and(|lost| lost <= survived || lost > LONGEST_MS) {
            return None;
        }
        let bounds = Bounds { survived: Duration::from_millis(survived), lost: lost.map(Duration::from_millis) };
        let now = seconds(now);
        // A time that is still to come is a clock that was wrong: old, to be looked at soon.
        let settled_ago = kept.settled_at.map(|at| now.checked_sub(at).map_or(Duration::MAX, Duration::from_secs));
        Some(Learned { bounds, settled_ago })
    }

    /// Keeps what was learned about a target; says whether that is anything new.
    pub fn keep(&mut self, target: &str, address: &str, learned: Learned, now: SystemTime) -> bool {
        let settled_at = learned.settled_ago.map(|ago| seconds(now).saturating_sub(ago.as_secs()));
        let milliseconds = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(LONGEST_MS);
        let kept = Kept {
            address: address.to_owned(),
            survived_ms: milliseconds(learned.bounds.survived),
            lost_ms: learned.bounds.lost.map(milliseconds),
            settled_at,
        };
        let before = self.targets.insert(target.to_owned(), kept.clone());
        // The time is rounded twice, and may jump by a second.
        before.is_none_or(|before| {
            let moved = before.settled_at.unwrap_or(0).abs_diff(kept.settled_at.unwrap_or(0)) > 2;
            moved || Kept { settled_at: None, ..before } != Kept { settled_at: None, ..kept }
        })
    }

    /// Forgets targets that are not configured any more.
    pub fn retain(&mut self, is_configured: impl Fn(&str) -> bool) {
        self.targets.retain(|target, _| is_configured(target));
    }

    /// Writes the file anew, so that a reader finds the old one or the new one whole, even after a power failure.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        let written = file.write_all(self.to_json().as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = fs::remove_file(&beside);
        })?;
        // The new name is in the directory, which is written for itself.
        File::open(directory)?.sync_all()
    }
}

/// What no `wait_timeout` exceeds: a year.
const LONGEST_MS: u64 = 365 * 24 * 3600 * 1000;

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    fn learned() -> Learned {
        Learned {
            bounds: Bounds { survived: Duration::from_millis(6650), lost: Some(Duration::from_secs(7)) },
            settled_ago: Some(Duration::from_secs(60)),
        }
    }

    #[test]
    fn what_was_learned_comes_back_for_the_same_target_at_the_same_address() {
        let mut memory = Memory::default();
        assert!(memory.keep("orders", "db:3306", learned(), at(1000)));
        assert!(!memory.keep("orders", "db:3306", learned(), at(1000)));
        let memory = Memory::parse(memory.to_json().as_bytes()).expect("just written");
        let later = Learned { settled_ago: Some(Duration::from_secs(90)), ..learned() };
        assert_eq!(memory.recall("orders", "db:3306", at(1030)), Some(later));
        assert_eq!(memory.recall("orders", "proxy:3306", at(1030)), None);
        assert_eq!(memory.recall("others", "db:3306", at(1030)), None);
    }

    #[test]
    fn a_damaged_file_says_nothing() {
        let good = r#"{"version":1,"targets":{"a":{"address":"db","survived_ms":1,"lost_ms":null,"settled_at":null}}}"#;
        let recall = |text: &[u8]| Memory::parse(text).ok().and_then(|memory| memory.recall("a", "db", NOW));
        assert!(recall(good.as_bytes()).is_some());
        for end in 0..good.len() {
            Memory::parse(&good.as_bytes()[..end]).expect_err("cut off");
        }
        for (right, wrong) in [
            ("\"version\":1", "\"version\":2"),
            ("survived_ms\":1", "survived_ms\":-1"),
            ("survived_ms\":1", "survived_ms\":99999999999999"),
            ("survived_ms\":1", "survived_ms\":\"1\""),
            ("lost_ms\":null", "lost_ms\":1"),
            ("lost_ms\":null", "lost_ms\":99999999999999"),
        ] {
            let text = good.replace(right, wrong);
            assert_eq!(recall(text.as_bytes()), None, "{wrong}");
        }
        Memory::parse(&[0xff; 100]).expect_err("no text at all");
    }

    #[test]
    fn a_time_to_come_is_a_long_time_ago() {
        let mut memory = Memory::default();
        memory.keep("a", "db", learned(), at(1000));
        let ago = memory.recall("a", "db", at(100)).and_then(|learned| learned.settled_ago);
        assert_eq!(ago, Some(Duration::MAX));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = std::env::temp_dir().join(format!("goneaway-memory-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a temporary directory");
        let path = directory.join("idle.json");
        assert_eq!(Memory::load(&path).expect("none yet"), Memory::default());
        let mut memory = Memory::default();
        for target in ["a", "b"] {
            memory.keep(target, "db", learned(), at(1000));
            memory.store(&path).expect("the directory is writable");
            assert_eq!(Memory::load(&path).expect("just written"), memory);
        }
        let names = fs::read_dir(&directory).expect("just made").count();
        assert_eq!(names, 1, "nothing is left beside it");
        memory.store(&directory.join("absent").join("idle.json")).expect_err("no such directory");
        fs::remove_dir_all(&directory).expect("ours");
    }
}
