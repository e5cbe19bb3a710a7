//! A target: what the operator asked for, lowered into what the watch needs.
//!
//! Everything that can be wrong is found here or before, so that nothing behind it checks again.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::Spacing;
use super::ladder;
use super::pools::{Exercise, Plan};
use super::recovery::Manner;
use crate::collect::{self, COLLECTORS, Collector};
use crate::config::{self, Config, Judges, Loaded, Mistakes};
use crate::mysql::endpoint::Endpoint;
use crate::mysql::handshake::{Access, SystemRoots, TlsPolicy};
use crate::mysql::pool::Settings;

/// One server to watch.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    /// The label `target` of its series.
    pub label: Option<String>,
    pub access: Access,
    /// Files and mode, for the session, which builds its own.
    pub tls: config::Tls,
    pub every: Duration,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub required: bool,
    pub connections: u32,
    /// The pools; collectors use the first.
    pub pools: Vec<Arc<Plan>>,
    /// How the idle limit is searched; not at all if none.
    pub ladder: Option<ladder::settings::Settings>,
    pub manner: Manner,
    /// How long the server may be away before losses are booked without knowing how it comes back.
    pub give_up: Duration,
    pub collectors: Vec<&'static Collector>,
}

/// What only this side of the house can judge, for the loader's list of mistakes.
pub fn judges() -> Judges {
    Judges {
        address: |address| Endpoint::parse(address).map(drop),
        collector: |name| match collect::named(name) {
            Some(_) => Ok(()),
            None => {
                let known: Vec<&str> = COLLECTORS.iter().map(|collector| collector.name).collect();
                Err(format!("`{name}` is not a collector; there are {}", known.join(", ")))
            }
        },
    }
}

/// Lowers a configuration, or says every mistake that shows only when its files are read.
pub fn lower(loaded: &Loaded) -> Result<Vec<Arc<Target>>, Mistakes> {
    let config = &loaded.config;
    let mut mistakes = Mistakes::default();
    let collectors = collectors(config);
    let roots = SystemRoots::default();
    let mut targets = Vec::with_capacity(config.targets.len());
    for (name, target) in &config.targets {
        let mut wrong = |key: &str, says: String| {
            let path = format!("targets.{name}.{key}");
            mistakes.add(loaded.origins.of(&path), &path, says);
        };
        let endpoint = Endpoint::parse(&target.address).map_err(|says| wrong("address", says));
        let tls = TlsPolicy::load(&target.tls, &roots).map_err(|found| {
            for mistake in found {
                let file = mistake.path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
                wrong(&format!("tls.{}", mistake.setting), format!("{file}{}", mistake.problem));
            }
        });
        let (Ok(endpoint), Ok(tls)) = (endpoint, tls) else { continue };
        let is_counted = !endpoint.is_local();
        targets.push(Arc::new(Target {
            name: name.clone(),
            label: Some(name.clone()),
            access: Access {
                endpoint,
                user: target.user.clone(),
                password: target.password.clone(),
                database: target.database.clone(),
                tls,
                cleartext: target.cleartext,
                lookup: Arc::default(),
                driver_fails: Arc::default(),
            },
            tls: target.tls.clone(),
            every: target.every,
            timeout: target.timeout,
            connect_timeout: target.connect_timeout,
            required: target.required,
            connections: target.connections,
            pools: vec![Arc::new(Plan {
                settings: Settings::default(),
                charset: None,
                read_timeout: target.timeout,
                write_timeout: target.timeout,
                exercise: Some(Exercise {
                    statement: "SELECT 1".to_owned(),
                    busy: Duration::from_secs(1),
                    rests: vec![Duration::from_secs(30), Duration::from_secs(240)],
                }),
            })],
            ladder: Some(ladder::settings::Settings::default()),
            manner: Manner {
                spacing: Spacing::default(),
                circuit_interval: Duration::from_secs(300),
                down_after: Duration::from_secs(60),
                every: target.every,
                is_counted,
            },
            give_up: Duration::from_secs(300),
            collectors: collectors.clone(),
        }));
    }
    if mistakes.is_empty() { Ok(targets) } else { Err(mistakes) }
}

/// The collectors that are on: by default, unless the configuration says otherwise.
fn collectors(config: &Config) -> Vec<&'static Collector> {
    let is_on = |collector: &&Collector| *config.collectors.get(collector.name).unwrap_or(&collector.default_on);
    COLLECTORS.iter().filter(is_on).collect()
}
