//! `dashboards` and `alerts`: write out what lies in the program.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::exit::{Exit, complain, report};
use crate::report::assets::{Asset, DASHBOARDS, RULES, RUNBOOKS};

/// Where `alerts` puts the runbooks, below its folder; rules name them so when no other place is given.
const RUNBOOKS_IN: &str = "runbooks";

/// Writes the dashboards.
pub(super) fn dashboards(directory: &Path, runbooks: Option<&str>, force: bool) -> Exit {
    let texts = DASHBOARDS.iter().map(|asset| (asset.name.to_owned(), placed(asset, runbooks, None))).collect();
    write(directory, texts, force)
}

/// Writes the rules and their runbooks.
pub(super) fn alerts(directory: &Path, runbooks: Option<&str>, grafana: Option<&str>, force: bool) -> Exit {
    for (flag, address) in [("--runbook-base", runbooks), ("--grafana-url", grafana)] {
        if let Some(address) = address
            && !(address.starts_with("http://") || address.starts_with("https://") || address.starts_with('/'))
        {
            return complain(&format!(
                "error: {flag}: `{address}` is no address to put before a name\n  hint: write it as \
                 `https://wiki.example/mysql/`"
            ));
        }
    }
    let mut texts: Vec<_> =
        RULES.iter().map(|asset| (asset.name.to_owned(), placed(asset, runbooks, grafana))).collect();
    // As they are: what they say of one another are paths beside them.
    texts.extend(RUNBOOKS.iter().map(|asset| (format!("{RUNBOOKS_IN}/{}", asset.name), asset.text.to_owned())));
    write(directory, texts, force)
}

fn placed(asset: &Asset, runbooks: Option<&str>, grafana: Option<&str>) -> String {
    asset.placed(runbooks.unwrap_or(RUNBOOKS_IN), grafana)
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
    format!("error: cannot write {}\n  cause: {error}", path.display())
}
