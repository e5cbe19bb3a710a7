//! Whole expositions from recorded rows.
//!
//! Live servers move; the rows in `tests/rows` do not. They are what a server of each kind answered, a row a line,
//! name and value with a tab between, written as the mysql client writes them (`\n`, `\t`); paths, names and
//! keys of the machine were replaced. `UPDATE=1` rewrites the goldens; read the difference before you commit it.

use std::fs;
use std::path::{Path, PathBuf};

use goneaway::collect::{COLLECTORS, Facts, Known, Tunables};
use goneaway::metrics::{Block, BlockBuilder, Format, write};
use goneaway::mysql::rows::Rows;
use goneaway::mysql::server::Server;

/// The recorded servers.
pub(crate) const SERVERS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

/// What the collectors make of a recorded server's rows.
pub(crate) fn block(server: &str, target: Option<&str>) -> Block {
    let variables = rows(server, "variables");
    let version = variables.pairs().find(|(name, _)| *name == "version").expect("a version among the variables").1;
    let version = Server::from_version(version);
    let mut out = BlockBuilder::new(target);
    let known = Known { server: &version, facts: &Facts::default(), tunables: &Tunables::default() };
    for collector in COLLECTORS.iter().filter(|collector| collector.is_plain()) {
        let rows = rows(server, collector.name.trim_start_matches("global_"));
        (collector.read)(&[rows], &known, &mut out);
    }
    out.finish()
}

/// What a recorded server answered.
pub(crate) fn rows(server: &str, statement: &str) -> Rows {
    let text = read(&file(&format!("rows/{server}.{statement}.tsv")));
    // None of the recorded values has a backslash of its own.
    let unescape = |text: &str| text.replace("\\n", "\n").replace("\\t", "\t");
    let rows: Vec<Vec<String>> = text.lines().map(|line| line.splitn(2, '\t').map(unescape).collect()).collect();
    let rows = rows.iter().map(|row| row.iter().map(|cell| Some(cell.as_str())).collect());
    Rows::of(&["Variable_name", "Value"], rows)
}

pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn recorded_servers_are_exposed_as_their_goldens_say() {
    for server in SERVERS {
        let block = [std::sync::Arc::new(block(server, Some("golden")))];
        assert_eq!(block[0].dropped, Default::default(), "{server}");
        check(&write(&block, Format::Text), &format!("golden/{server}.prom"));
        check(&write(&block, Format::OpenMetrics), &format!("golden/{server}.openmetrics"));
    }
}

#[test]
fn both_formats_hold_the_same_series() {
    for server in SERVERS {
        let block = [std::sync::Arc::new(block(server, Some("golden")))];
        let [text, open_metrics] = [Format::Text, Format::OpenMetrics].map(|format| write(&block, format));
        let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        let [text, open_metrics]: [Vec<String>; 2] = [series(&text), series(&open_metrics)];
        assert!(text.len() > 800, "{server} has only {} series", text.len());
        assert_eq!(text, open_metrics, "{server}");
    }
}

fn check(exposition: &str, golden: &str) {
    let path = file(golden);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, exposition).expect("goldens can be written");
        return;
    }
    let expected = read(&path);
    let mut lines = exposition.lines().zip(expected.lines()).enumerate();
    if let Some((at, (now, then))) = lines.find(|(_, (now, then))| now != then) {
        panic!("{golden}, line {}, differs; UPDATE=1 rewrites it\n  now: {now}\n was: {then}", at + 1);
    }
    assert_eq!(exposition.len(), expected.len(), "{golden} has another length; UPDATE=1 rewrites it");
}
