//! What visits go by: as configured, with the files read that it names.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::agenda;
use crate::collect::{Collector, Tunables};
use crate::config::secret::Secret;
use crate::config::{self, Loaded, Mistakes};
use crate::mysql::handshake::{SystemRoots, TlsPolicy};
use crate::mysql::pattern::Pattern;

/// What visits go by, as configured.
#[derive(Clone, Debug)]
pub struct Rules {
    pub modules: BTreeMap<String, Module>,
    pub allow: Vec<Pattern>,
    /// How many visits at once.
    pub limit: usize,
    /// Where the scraper does not say its own deadline.
    pub timeout: Duration,
    /// How much earlier than that of the scraper.
    pub timeout_offset: Duration,
    /// Of servers that are no target.
    pub collectors: Vec<&'static Collector>,
    pub tunables: Tunables,
}

/// An account that a client of `/probe` may choose.
#[derive(Clone, Debug)]
pub struct Module {
    pub user: String,
    pub password: Secret,
    /// The servers that it may be shown to; those that all may be asked about where none are said.
    pub allow: Option<Vec<Pattern>>,
    pub cleartext: bool,
    pub tls: config::Tls,
    /// The same with its files read.
    pub policy: TlsPolicy,
}

/// What visits go by, or every mistake that shows only when its files are read.
pub fn rules(loaded: &Loaded) -> Result<Rules, Mistakes> {
    let config = &loaded.config;
    let mut mistakes = Mistakes::default();
    let roots = SystemRoots::default();
    let mut modules = BTreeMap::new();
    for (name, module) in &config.auth_modules {
        let policy = TlsPolicy::load(&module.tls, &roots).map_err(|found| {
            for mistake in found {
                let path = format!("auth_modules.{name}.tls.{}", mistake.setting);
                let file = mistake.path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
                mistakes.add(loaded.origins.of(&path), &path, format!("{file}{}", mistake.problem));
            }
        });
        let Ok(policy) = policy else { continue };
        modules.insert(
            name.clone(),
            Module {
                user: module.user.clone(),
                password: module.password.clone(),
                allow: module.allow.as_deref().map(patterns),
                cleartext: module.cleartext,
                tls: module.tls.clone(),
                policy,
            },
        );
    }
    let rules = Rules {
        modules,
        allow: patterns(&config.probe.allow),
        limit: config.probe.limit as usize,
        timeout: config.probe.timeout,
        timeout_offset: config.probe.timeout_offset,
        collectors: agenda::collectors(config),
        tunables: agenda::tunables(config),
    };
    if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
}

/// They were judged with the configuration; a server that my.cnf names in words that are no address is none.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
}
