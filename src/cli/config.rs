//! `goneaway config check` and `goneaway config show`.

use std::io::{self, Write};

use crate::config::{self, Loaded, Mistakes};

/// The exit code for a configuration that cannot be used.
const WRONG: u8 = 3;

/// Says whether the configuration is good, or everything that is wrong with it. Answers the exit code.
pub fn check(loaded: &Result<Loaded, Mistakes>, out: &mut impl Write) -> io::Result<u8> {
    match loaded {
        Ok(loaded) => {
            let subject = match &loaded.file {
                Some(file) => file.strip_prefix("./").unwrap_or(file).display().to_string(),
                None => "the environment".to_owned(),
            };
            let targets = loaded.config.targets.len();
            let s = if targets == 1 { "" } else { "s" };
            writeln!(out, "{subject}: good, {targets} target{s}")?;
            loaded.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
            Ok(0)
        }
        Err(mistakes) => {
            writeln!(out, "{mistakes}")?;
            Ok(WRONG)
        }
    }
}

/// Prints the configuration in effect, secrets hidden and each value with its origin, or everything that is wrong.
/// Answers the exit code.
pub fn show(loaded: &Result<Loaded, Mistakes>, out: &mut impl Write) -> io::Result<u8> {
    match loaded {
        Ok(good) => {
            out.write_all(config::show(good).as_bytes())?;
            Ok(0)
        }
        Err(_) => check(loaded, out),
    }
}
