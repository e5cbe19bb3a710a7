//! A configuration made ready to be served: the files that it names are read, and all that is wrong with them is told at once.

use std::sync::Arc;

use crate::config::{Loaded, Mistakes};
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
