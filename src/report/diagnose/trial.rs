//! What the tests of the rules share: facts from a few lines of an exposition.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use super::facts::Facts;
use super::past::Past;
use super::rule::Rule;
use crate::metrics::{BlockBuilder, Kind};
use crate::mysql::server::Server;
use crate::watch::finding::Finding;
use crate::watch::snapshot::Snapshot;

/// The moment of all trials, in seconds since 1970.
pub(super) const NOW: f64 = 1_700_000_000.0;

/// Facts of one target.
pub(super) struct World {
    out: BlockBuilder,
    pub(super) snapshot: Snapshot,
    pub(super) past: Option<Past>,
    at: Instant,
}

/// A MySQL server of which these lines are known: `name 5` or `name{label=value,…} 5`.
pub(super) fn mysql(lines: &[&str]) -> World {
    World::of("9.7.4", lines)
}

pub(super) fn mariadb(lines: &[&str]) -> World {
    World::of("11.8.9-MariaDB", lines)
}

impl World {
    fn of(version: &str, lines: &[&str]) -> World {
        let mut out = BlockBuilder::new(Some("t"));
        for line in lines {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
            let labels: Vec<(&str, &str)> = labels.split(',').filter_map(|label| label.split_once('=')).collect();
            let id = out.family(name, Kind::Gauge, "");
            out.sample(id, &labels, value.parse().expect("a number"));
        }
        let snapshot = Snapshot {
            address: "db:3306".to_owned(),
            user: "goneaway".to_owned(),
            server: Some(Server::from_version(version)),
            ..Snapshot::default()
        };
        World { out, snapshot, past: None, at: Instant::now() }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Snapshot)) -> World {
        change(&mut self.snapshot);
        self
    }

    /// Connections in use, one reading every 30 s, up to now.
    pub(super) fn used(mut self, used: impl Iterator<Item = f64>) -> World {
        let mut past = Past::default();
        let zero = self.at;
        for (step, used) in used.enumerate() {
            self.at = zero + Duration::from_secs(30) * step as u32;
            past.read(self.at, |name| Some(if name.ends_with("threads_connected") { used } else { step as f64 }));
        }
        self.past = Some(past);
        self
    }

    pub(super) fn judged(self, rule: &Rule) -> Option<Finding> {
        let blocks = [Arc::new(self.out.finish())];
        let mut facts = Facts::new(&blocks, &self.snapshot, self.at, self.past.as_ref());
        facts.now = UNIX_EPOCH + Duration::from_secs_f64(NOW);
        let finding = (rule.judge)(&facts)?;
        assert_eq!(finding.name, rule.name);
        assert!(rule.severities.contains(&finding.severity), "{finding:?}");
        assert!(!finding.seen.is_empty() && !finding.why.is_empty() && !finding.verify.is_empty(), "{finding:?}");
        assert!(!finding.changes.is_empty(), "{finding:?}");
        Some(finding)
    }
}

/// The statements of a finding's first way out.
pub(super) fn sql(finding: &Finding) -> Vec<&str> {
    finding.changes[0].sql.iter().map(String::as_str).collect()
}
