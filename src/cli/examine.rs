//! `status` and `diagnose`: the picture of each target, from a running daemon or by a look of our own.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::checked::AT_ONCE;
use super::daemon::{self, At, Found};
use super::exit::{Exit, complain, report};
use super::output::Output;
use super::runtime;
use super::targets::chosen;
use crate::config::{Loaded, Mistakes};
use crate::http::{Client, Unanswered, encoded};
use crate::report::judge::judge;
use crate::report::picture::{Picture, picture};
use crate::watch::finding::Severity;
use crate::watch::look::look;
use crate::watch::target::Target;

/// Which part of the picture is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Status,
    /// The findings with their advice.
    Diagnosis,
}

/// Tells of the named targets, in the order of their names: what a running daemon knows, else what a look shows. The exit
/// code is that of the worst finding.
pub(super) fn examine(
    at: &At,
    load: impl FnOnce() -> Result<Loaded, Mistakes>,
    names: &[String],
    part: Part,
    output: Output,
) -> Exit {
    let pictures = match daemon::find(at, load) {
        Err(exit) => return exit,
        Ok(Found::Running(client)) => {
            runtime::run(ask(&client, names)).and_then(|asked| asked.map_err(|unanswered| complain(&unanswered)))
        }
        Ok(Found::Nobody(loaded)) => chosen(&loaded, names).and_then(|targets| runtime::run(look_at_all(targets))),
    };
    match pictures {
        Ok(pictures) => tell(&pictures, part, output),
        Err(exit) => exit,
    }
}

/// What the daemon knows.
async fn ask(client: &Client, names: &[String]) -> Result<Vec<Picture>, Unanswered> {
    let query: Vec<String> = names.iter().map(|name| format!("target={}", encoded(name))).collect();
    client.get(&format!("/api/status?{}", query.join("&"))).await?.json()
}

fn tell(pictures: &[Picture], part: Part, output: Output) -> Exit {
    let exit = match pictures.iter().filter_map(Picture::worst).max() {
        None | Some(Severity::Info) => Exit::Good,
        Some(Severity::Warning) => Exit::Warning,
        Some(Severity::Critical) => Exit::Critical,
    };
    let texts: Vec<String> = pictures
        .iter()
        .map(|picture| if part == Part::Status { picture.told() } else { picture.diagnosis() })
        .collect();
    let text = match (output, part) {
        (Output::Text, _) => texts.join("\n"),
        (Output::Json, Part::Status) => json(pictures),
        (Output::Json, Part::Diagnosis) => json(&pictures.iter().map(Diagnosis::new).collect::<Vec<_>>()),
    };
    report(&text, exit)
}

fn json<T: serde::Serialize>(documents: &[T]) -> String {
    serde_json::to_string_pretty(documents).expect("strings and numbers always serialize") + "\n"
}

/// What `diagnose` tells as JSON.
#[derive(serde::Serialize)]
struct Diagnosis<'a> {
    target: &'a str,
    address: &'a str,
    worst: Option<Severity>,
    findings: &'a [crate::watch::finding::Finding],
    sizing: Option<&'a crate::report::sizing::Sizing>,
}

impl Diagnosis<'_> {
    fn new(picture: &Picture) -> Diagnosis<'_> {
        Diagnosis {
            target: &picture.target,
            address: &picture.address,
            worst: picture.worst(),
            findings: &picture.findings,
            sizing: picture.sizing.as_ref(),
        }
    }
}

async fn look_at_all(targets: Vec<Arc<Target>>) -> Vec<Picture> {
    let looks = targets.iter().map(|target| async move {
        let slot = look(target).await;
        let now = Instant::now();
        judge(&slot, None, now);
        picture(&slot, now)
    });
    stream::iter(looks).buffered(AT_ONCE).collect().await
}
