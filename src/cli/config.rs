//! `config check` and `config show`.

use std::io::{self, Write};

use super::exit::{Exit, complain};
use crate::config::{self, Loaded, Mistakes};
use crate::watch::target;

/// Says whether the configuration is good, or everything that is wrong with it: files of certificates are opened too.
pub(super) fn check(loaded: &Result<Loaded, Mistakes>, out: &mut impl Write) -> Exit {
    match loaded.as_ref().map(|loaded| (loaded, target::lower(loaded))) {
        Ok((loaded, Ok(targets))) => written(good(loaded, targets.len(), out)),
        Ok((_, Err(mistakes))) => complain(&mistakes),
        Err(mistakes) => complain(mistakes),
    }
}

/// Prints the configuration in effect, secrets hidden and each value with its origin, or everything that is wrong.
pub(super) fn show(loaded: &Result<Loaded, Mistakes>, out: &mut impl Write) -> Exit {
    match loaded {
        Ok(good) => written(out.write_all(config::show(good).as_bytes())),
        Err(mistakes) => complain(mistakes),
    }
}

fn good(loaded: &Loaded, targets: usize, out: &mut impl Write) -> io::Result<()> {
    let subject = match &loaded.file {
        Some(file) => file.strip_prefix("./").unwrap_or(file).display().to_string(),
        None => "the environment".to_owned(),
    };
    let s = if targets == 1 { "" } else { "s" };
    writeln!(out, "{subject}: good, {targets} target{s}")?;
    loaded.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))
}

/// A reader that went away (`| head`) has seen enough.
fn written(result: io::Result<()>) -> Exit {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("error: cannot write\n  cause: {error}"))
        }
        _ => Exit::Good,
    }
}
