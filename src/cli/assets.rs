//! `dashboards` and `alerts`: write out what lies in the program.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::exit::{Exit, complain, report};
use crate::report::assets::{Asset, DASHBOARDS, RULES, RUNBOOKS};

/// Where `alerts` puts the runbooks, below its folder; rules name them so when no other place is given.
const RUNBOOKS_IN: &str = "runbooks";

/// Writes the dashboards. Without a place of the operator's own they name the runbooks as this project's pages do.
pub(super) fn dashboards(directory: &Path, runbooks: Option<&str>, force: bool) -> Exit {
    if let Some(mistake) = flaw("--runbook-base", runbooks) {
        return complain(&mistake);
    }
    let text = |asset: &Asset| runbooks.map_or(asset.text.to_owned(), |runbooks| asset.placed(runbooks, None));
    let texts = DASHBOARDS.iter().map(|asset| (asset.name.to_owned(), text(asset))).collect();
    write(directory, texts, force)
}

/// Writes the rules and their runbooks.
pub(super) fn alerts(directory: &Path, runbooks: Option<&str>, grafana: Option<&str>, force: bool) -> Exit {
    if let Some(mistake) = flaw("--runbook-base", runbooks).or_else(|| flaw("--grafana-url", grafana)) {
        return complain(&mistake);
    }
    let runbooks = runbooks.unwrap_or(RUNBOOKS_IN);
    let mut texts: Vec<_> =
        RULES.iter().map(|asset| (asset.name.to_owned(), asset.placed(runbooks, grafana))).collect();
    // As they are: what they say of one another are paths beside them.
    texts.extend(RUNBOOKS.iter().map(|asset| (format!("{RUNBOOKS_IN}/{}", asset.name), asset.text.to_owned())));
    write(directory, texts, force)
}

/// What is wrong with an address that is to stand before names.
fn flaw(flag: &str, address: Option<&str>) -> Option<String> {
    let address = address?;
    let is_good = ["http://", "https://", "/"].iter().any(|start| address.starts_with(start));
    (!is_good).then(|| {
        format!(
            "error: {flag}: `{address}` is no address to put before a name\n  hint: write it as \
             `https://wiki.example/mysql/`"
        )
    })
}

/// All of them or, where one would be lost by it, none.
fn write(directory: &Path, texts: Vec<(String, String)>, force: bool) -> Exit {
    let mut wanted = Vec::new();
    for (name, text) in &texts {
        let path = directory.join(name);
        match fs::read(&path) {
            Ok(there) if there == text.as_bytes() => {}
            Ok(_) if !force => {
                return complain(&format!(
                    "error: {} is there already, and is another; nothing was written\n  hint: choose another folder, or \
                     `--force` to write over it",
                    path.display()
                ));
            }
            Ok(_) => wanted.push((path, text)),
            Err(error) if error.kind() == ErrorKind::NotFound => wanted.push((path, text)),
            Err(error) => return complain(&failed(&path, &error)),
        }
    }
    for (path, text) in &wanted {
        let folder = path.parent().unwrap_or(directory);
        if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(path, text)) {
            return complain(&failed(path, &error));
        }
    }
    let said: String = texts.iter().map(|(name, _)| format!("{}\n", directory.join(name).display())).collect();
    report(&said, Exit::Good)
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("error: cannot write {}\n  cause: {error}\n  hint: name a folder that may be written", path.display())
}
