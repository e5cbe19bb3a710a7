//! `config check`, `config show` and `config from-mysqld-exporter`.

use super::exit::{Exit, complain, report};
use super::ready::ready;
use crate::config::{self, Loaded, Mistakes, Sources};

/// Says whether the configuration is good, or everything that is wrong with it: files of certificates and of the web are read too.
pub(super) fn check(loaded: &Result<Loaded, Mistakes>) -> Exit {
    match loaded.as_ref().map(|loaded| (loaded, ready(loaded))) {
        Ok((loaded, Ok(ready))) => report(&good(loaded, ready.targets.len()), Exit::Good),
        Ok((_, Err(mistakes))) => complain(&mistakes),
        Err(mistakes) => complain(mistakes),
    }
}

/// Prints the configuration in effect, secrets hidden and each value with its origin, or everything that is wrong.
pub(super) fn show(loaded: &Result<Loaded, Mistakes>) -> Exit {
    match loaded {
        Ok(good) => report(&config::show(good), Exit::Good),
        Err(mistakes) => complain(mistakes),
    }
}

/// Prints the configuration that does what mysqld_exporter's flags do.
pub(super) fn from_mysqld_exporter(sources: &Sources) -> Exit {
    match config::from_mysqld_exporter(sources) {
        Ok(text) => report(&text, Exit::Good),
        Err(mistakes) => complain(&mistakes),
    }
}

fn good(loaded: &Loaded, targets: usize) -> String {
    let subject = match &loaded.file {
        Some(file) => file.strip_prefix("./").unwrap_or(file).display().to_string(),
        None if loaded.config.drop_in.is_some() => "mysqld_exporter's flags".to_owned(),
        None => "the environment".to_owned(),
    };
    let s = if targets == 1 { "" } else { "s" };
    let warnings = loaded.warnings.iter().cloned().chain(without_folder(loaded));
    let warnings: String = warnings.map(|warning| format!("warning: {warning}\n")).collect();
    format!("{subject}: good, {targets} target{s}\n{warnings}")
}

/// A control socket that could not be had if the daemon started now. No mistake: what starts it may make the folder.
fn without_folder(loaded: &Loaded) -> Option<String> {
    let folder = loaded.config.control.as_deref()?.parent()?;
    let origin = loaded.origins.of("control").map(|origin| format!("{}: ", origin.place)).unwrap_or_default();
    (!folder.is_dir()).then(|| {
        format!(
            "{origin}control: there is no folder {}; make it before the daemon starts, as `RuntimeDirectory=` in a systemd \
             unit does, or say another path",
            folder.display()
        )
    })
}
