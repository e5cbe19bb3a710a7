//! Names, types and labels, as mysqld_exporter's users know them.
//!
//! `tests/core` has, for each kind of server, the families that mysqld_exporter 0.19 gives whatever the server's
//! configuration: name, type, labels with a comma between. What a configuration or a newer version adds must follow
//! the rule of its kind.

use std::collections::{BTreeMap, BTreeSet};

use goneaway::collect::FAMILIES;
use goneaway::metrics::{Family, Format, write};

use super::golden;

/// Where an exposition in Prometheus' text format departs from the core of its kind of server.
pub(crate) fn differences(exposition: &str, core: &str) -> Vec<String> {
    let ours = families(exposition);
    let core: BTreeMap<&str, Shape> = core.lines().map(core_line).collect();
    let missing = core.keys().filter(|name| !ours.contains_key(*name)).map(|name| format!("{name} is missing"));
    let different = ours.iter().filter_map(|(name, shape)| {
        let expected = core.get(name).cloned().or_else(|| rule(name))?;
        (*shape != expected).then(|| format!("{name} is {shape:?}, not {expected:?}"))
    });
    missing.chain(different).collect()
}

/// The core of a server of the kinds that are recorded.
pub(crate) fn core(server: &str) -> String {
    golden::read(&golden::file(&format!("core/{server}.tsv")))
}

/// A family's type and its label names besides `target`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    kind: String,
    labels: BTreeSet<String>,
}

/// The shape of a family that the core does not name; none for families that are no business of this comparison.
fn rule(name: &str) -> Option<Shape> {
    if let Some(family) = FAMILIES.iter().copied().flatten().find(|family| family.name == name) {
        return Some(declared(family));
    }
    let kind = match name {
        _ if name.starts_with("mysql_global_status_") => "untyped",
        _ if name.starts_with("mysql_global_variables_") => "gauge",
        _ => return None,
    };
    Some(Shape { kind: kind.to_owned(), labels: BTreeSet::new() })
}

fn declared(family: &Family) -> Shape {
    Shape {
        kind: family.kind.label().to_owned(),
        labels: family.labels.iter().map(|label| (*label).to_owned()).collect(),
    }
}

fn core_line(line: &str) -> (&str, Shape) {
    let cells: Vec<&str> = line.split('\t').collect();
    let [name, kind, labels] = cells[..] else { panic!("not name, type, labels: {line:?}") };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
    (name, Shape { kind: kind.to_owned(), labels })
}

pub(crate) fn families(exposition: &str) -> BTreeMap<&str, Shape> {
    let mut families: BTreeMap<&str, Shape> = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let shape = Shape { kind: kind.to_owned(), ..Shape::default() };
            assert!(families.insert(name, shape).is_none(), "{name} is declared twice");
        } else if !line.starts_with('#') && !line.is_empty() {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            // The series of a histogram have names of their own; they are not compared.
            if let Some(shape) = families.get_mut(name) {
                shape.labels.extend(labels(line).filter(|label| *label != "target").map(str::to_owned));
            }
        }
    }
    families
}

/// The label names of a sample line: what stands before `="` outside of a value.
fn labels(line: &str) -> impl Iterator<Item = &str> {
    let inside = line.split_once('{').map_or("", |(_, rest)| rest);
    let mut rest = inside;
    std::iter::from_fn(move || {
        let (name, value) = rest.split_once("=\"")?;
        let end = end_of_value(value)?;
        rest = value[end..].trim_start_matches(['"', ',']);
        Some(name)
    })
}

fn end_of_value(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

#[test]
fn recorded_servers_have_the_incumbents_families() {
    for server in golden::SERVERS {
        let text = write(&[std::sync::Arc::new(golden::block(server, Some("golden")))], Format::Text);
        let found = differences(&text, &core(server));
        assert!(found.is_empty(), "{server}:\n  {}", found.join("\n  "));
    }
}

#[test]
fn a_difference_is_noticed() {
    let core = "mysql_global_status_uptime\tuntyped\t\nmysql_version_info\tgauge\tinnodb_version,version\n";
    let good = "# TYPE mysql_global_status_uptime untyped\nmysql_global_status_uptime{target=\"a\"} 1\n\
                # TYPE mysql_version_info gauge\n\
                mysql_version_info{target=\"a\",innodb_version=\"\",version=\"x\\\",y=\\\"\"} 1\n\
                # TYPE mysql_conn_state gauge\nmysql_conn_state{state=\"connected\"} 1\n";
    assert_eq!(differences(good, core), [""; 0]);
    for (from, to) in [
        ("# TYPE mysql_global_status_uptime untyped", "# TYPE mysql_global_status_uptime counter"),
        ("innodb_version=", "version_comment="),
        ("mysql_global_status_uptime", "mysql_global_status_uptim"),
        ("mysql_conn_state", "mysql_global_variables_x"),
        ("mysql_conn_state", "mysql_global_status_commands_total"),
    ] {
        let bad = good.replace(from, to);
        assert!(!differences(&bad, core).is_empty(), "{from} as {to}");
    }
}
