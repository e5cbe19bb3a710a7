//! The targets that a command is about.

use std::sync::Arc;

use super::exit::{Exit, complain};
use crate::config::Loaded;
use crate::watch::target::{self, Target};

/// The named targets, or all of them if none is named. What is wrong is told.
pub(super) fn chosen(loaded: &Loaded, names: &[String]) -> Result<Vec<Arc<Target>>, Exit> {
    let targets = target::lower(loaded).map_err(|mistakes| complain(&mistakes))?;
    let unknown: Vec<&str> =
        names.iter().filter(|name| targets.iter().all(|target| target.name != **name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let (unknown, known) = (unknown.join("`, `"), known.join(", "));
        return Err(complain(&format!("error: there is no target `{unknown}`\n  hint: configured are {known}")));
    }
    Ok(targets.into_iter().filter(|target| names.is_empty() || names.contains(&target.name)).collect())
}
