//! A configuration made ready to be served: the files that it names are read, and all that is wrong with them is told at once.

use std::sync::Arc;

use crate::collect::COLLECTORS;
use crate::config::{Config, Loaded, Mistakes};
use crate::http::Guard;
use crate::watch::target::{self, Target};
use crate::watch::visits::{self, Rules};

/// What is watched, and who may ask about it.
pub(super) fn ready(loaded: &Loaded) -> Result<Ready, Mistakes> {
    let mut all = Mistakes::default();
    let targets = target::lower(loaded).map_err(|mistakes| all.append(mistakes));
    let rules = visits::rules(loaded).map_err(|mistakes| all.append(mistakes));
    let guard = Guard::load(loaded.config.web.config_file.as_deref()).map_err(|mistakes| all.append(mistakes));
    match (targets, rules, guard) {
        (Ok(targets), Ok(rules), Ok(guard)) => Ok(Ready { targets, rules, guard }),
        _ => Err(all),
    }
}

/// What is watched, who may ask about what, and who may ask at all.
pub(super) struct Ready {
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) rules: Rules,
    pub(super) guard: Guard,
}

/// The operator's queries, as they are named in `collect[]`.
pub(super) fn queries(config: &Config) -> Vec<String> {
    config.queries.keys().map(|name| format!("query.{name}")).collect()
}

/// Every collector that there is, and whether it is on.
pub(super) fn switched(targets: &[Arc<Target>]) -> Vec<(&'static str, bool)> {
    let on = |name: &str| targets.iter().any(|target| target.collectors.iter().any(|collector| collector.name == name));
    COLLECTORS.iter().map(|collector| (collector.name, on(collector.name))).collect()
}
