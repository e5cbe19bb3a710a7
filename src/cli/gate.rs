//! `gate`: holds up a deployment until the servers are good, and compares them before and after.
//!
//! ```text
//! gate                 N good probes in a row, and room for the new instances; or in time it is not ready
//! gate baseline FILE   so many probes, and what a running daemon has counted, into a file
//! gate verify FILE     the same again, beside what the file says
//! ```
//!
//! The probes are always the command's own: it runs where the application is to run, and a daemon's may be half a minute
//! apart. Lost connections only a daemon knows, since it keeps some: without one they are not compared, and that is said.

mod measure;
mod counters;
mod compare;
mod room;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use self::compare::{Verdict, compare};
use self::counters::Counters;
use self::measure::{Measured, measure};
use self::room::{Wait, wait};
use super::daemon::{At, Found, find};
use super::exit::{Exit, complain, report};
use super::moment::chosen;
use super::output::Output;
use super::runtime;
use crate::config::{Loaded, Mistakes};

/// What is said on the command line.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<GateCommand>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Subcommand)]
enum GateCommand {
    /// Write down how the servers are before a deployment
    ///
    /// Makes probes of its own, and asks the daemon that runs (see --url) what it has counted: failed probes and lost
    /// connections. Without one, losses are not compared.
    Baseline(Compared),
    /// Compare how the servers are after a deployment with what `baseline` wrote down
    ///
    /// Exits 0 when they are as good as before, 2 when one is worse: probes fail that did not, connections were lost more
    /// often than before, logging in takes longer, or less room is left.
    Verify {
        #[command(flatten)]
        compared: Compared,
        /// By how much longer logging in may take, as a share of the time before
        #[arg(long, value_name = "SHARE", default_value = "50%", value_parser = room::share)]
        slower: f64,
    },
}

#[derive(Debug, Args)]
struct Compared {
    /// The file of the baseline
    file: PathBuf,
    /// Targets by name; none means all, and for `verify` those of the file
    targets: Vec<String>,
    /// How many probes are made of each target, two a second
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    probes: u32,
    #[command(flatten)]
    at: At,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Carries out what was asked for.
pub(super) fn gate(arguments: &Arguments, load: impl FnOnce() -> Result<Loaded, Mistakes>) -> Exit {
    let loaded = match load() {
        Ok(loaded) => loaded,
        Err(mistakes) => return complain(&mistakes),
    };
    let done = match &arguments.command {
        None => runtime::run(wait(&loaded, &arguments.wait)),
        Some(GateCommand::Baseline(compared)) => runtime::run(baseline(&loaded, compared)),
        Some(GateCommand::Verify { compared, slower }) => runtime::run(verify(&loaded, compared, *slower)),
    };
    match done {
        Ok(Ok(exit)) | Ok(Err(exit)) | Err(exit) => exit,
    }
}

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    version: u32,
    /// RFC 3339.
    made: String,
    targets: std::collections::BTreeMap<String, Measured>,
    /// None when no daemon ran.
    daemon: Option<Counters>,
}

const VERSION: u32 = 1;

async fn look(loaded: &Loaded, compared: &Compared, names: &[String]) -> Result<Baseline, Exit> {
    let targets = chosen(loaded, names)?;
    let daemon = match find(&compared.at, || Ok(loaded.clone()))? {
        Found::Running(client) => {
            // The one target of mysqld_exporter's flags carries no label.
            let nameless = targets.first().filter(|target| target.label.is_none()).map(|target| target.name.clone());
            let asked = counters::ask(&client, nameless.as_deref()).await;
            Some(asked.map_err(|error| complain(&error))?)
        }
        Found::Nobody(_) => None,
    };
    let targets = measure(loaded, &targets, compared.probes).await?;
    let made = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    Ok(Baseline { version: VERSION, made, targets, daemon })
}

async fn baseline(loaded: &Loaded, compared: &Compared) -> Result<Exit, Exit> {
    // Where it cannot be written is better known before the probes than after them.
    let file = &compared.file;
    let wrong = |error: std::io::Error| {
        complain(&format!("error: cannot write the baseline {}\n  cause: {error}", file.display()))
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(folder).map_err(wrong)?;
    let baseline = look(loaded, compared, &compared.targets).await?;
    let json = serde_json::to_string_pretty(&baseline).expect("strings and numbers always serialize") + "\n";
    std::fs::write(file, &json).map_err(wrong)?;
    let text = match compared.output {
        Output::Json => json,
        Output::Text => {
            let lines = baseline.targets.iter().map(|(name, measured)| format!("{name}: {}\n", measured.told()));
            let without = match baseline.daemon {
                Some(_) => "",
                None => "no daemon runs: lost connections will not be compared\n",
            };
            format!("{}{without}written to {}\n", lines.collect::<String>(), file.display())
        }
    };
    Ok(report(&text, Exit::Good))
}

async fn verify(loaded: &Loaded, compared: &Compared, slower: f64) -> Result<Exit, Exit> {
    let before = read(&compared.file).map_err(|says| complain(&says))?;
    let names: Vec<String> = match compared.targets.is_empty() {
        true => before.targets.keys().cloned().collect(),
        false => compared.targets.clone(),
    };
    if let Some(name) = names.iter().find(|name| !before.targets.contains_key(*name)) {
        return Err(complain(&format!(
            "error: the baseline {} has no target `{name}`\n  hint: make it with `gate baseline`",
            compared.file.display()
        )));
    }
    let after = look(loaded, compared, &names).await?;
    let mut verdicts = std::collections::BTreeMap::new();
    for (name, now) in &after.targets {
        let counted = counters::between(before.daemon.as_ref(), after.daemon.as_ref(), name);
        verdicts.insert(name.clone(), compare(&before.targets[name], now, &counted, slower));
    }
    let is_worse = verdicts.values().any(Verdict::is_worse);
    let text = match compared.output {
        Output::Text => {
            let told = verdicts.iter().map(|(name, verdict)| verdict.told(name)).collect::<String>();
            format!("compared with {}\n{told}", before.made)
        }
        Output::Json => {
            let document = serde_json::json!({ "worse": is_worse, "baseline": before.made, "targets": verdicts });
            serde_json::to_string_pretty(&document).expect("strings and numbers always serialize") + "\n"
        }
    };
    Ok(report(&text, if is_worse { Exit::Critical } else { Exit::Good }))
}

fn read(file: &Path) -> Result<Baseline, String> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|error| {
        format!(
            "error: cannot read the baseline {shown}\n  cause: {error}\n  hint: make it with `gate baseline {shown}`"
        )
    })?;
    let baseline: Baseline =
        serde_json::from_slice(&text).map_err(|error| format!("error: {shown} is no baseline\n  cause: {error}"))?;
    match baseline.version {
        VERSION => Ok(baseline),
        other => Err(format!(
            "error: the baseline {shown} is of version {other}, and this program knows version {VERSION}\n  hint: make it \
             anew with `gate baseline {shown}`"
        )),
    }
}
