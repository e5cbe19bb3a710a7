//! The table of settings as documents: the shipped `exporter.yaml` and the README's table.

use super::settings::{Kind, PASSWORDS, SETTINGS, Setting};
use super::show::{scalar, words};

const HEAD: &str = "\
# goneaway's configuration. It runs as it is.
#
# A line that begins with `#` and no space is a setting with its default, or with an example where it has none: remove
# the `#` to use it. `goneaway config check` names every mistake, `goneaway config show` what is in effect and why.
#
# A setting can also be said by an environment variable: `GONEAWAY_`, then its path joined by `__`, such as
# GONEAWAY_TARGETS__LOCAL__PASSWORD. It counts more than this file, and a flag of the command line more than both.
# Durations carry units: 500ms, 15s, 1m30s. A relative path starts from the folder of this file.
";

/// What the shipped file says itself; the rest it only shows.
const SAID: [(&str, &str); 3] =
    [("web.listen_addresses", ":10306"), ("targets.*.address", "127.0.0.1:3306"), ("targets.*.user", "goneaway")];

/// What a group is for. `*` is written as the name beside it.
const GROUPS: [(&str, &str, &str); 20] = [
    ("web", "web", "The HTTP side."),
    ("log", "log", "Messages, on standard error."),
    ("events", "events", "What happened lately, for `/events`."),
    ("probe", "probe", "Collections at scrape time, by `/probe?target=`, of more servers than the targets below."),
    (
        "auth_modules",
        "auth_modules",
        "Accounts for `/probe`, by name. An account is shown only to the servers that it or `probe.allow` allows.",
    ),
    ("auth_modules.*", "client", ""),
    ("auth_modules.*.tls", "tls", ""),
    ("collectors", "collectors", "What is asked of each server."),
    (
        "queries",
        "queries",
        "Queries of your own, by name: their series are `mysql_exporter_collector_…{collector=\"collect.query.NAME\"}`. One \
         that fails fails alone.",
    ),
    ("queries.*", "orders_waiting", ""),
    ("queries.*.values", "values", "Columns that are values, each by its name in the answer. A NULL gives no sample."),
    ("queries.*.values.*", "waiting", ""),
    ("targets", "targets", "The servers to watch, each below a name of your choice, which becomes the label `target`."),
    ("targets.*", "local", ""),
    ("targets.*.tls", "tls", "How the connection is protected."),
    ("targets.*.backoff", "backoff", "How attempts to connect anew are spaced while nobody gets in."),
    (
        "targets.*.ladder",
        "ladder",
        "The search for the longest rest that a connection survives on the path from here to the server.",
    ),
    (
        "targets.*.pools",
        "pools",
        "Pools of kept connections, used as an application uses its own. Several show today's settings beside others; \
         the collectors use the one that is called `default`, or else the first by name.",
    ),
    ("targets.*.pools.*", "default", ""),
    ("targets.*.pools.*.exercise", "exercise", "How the pool is used when nothing else uses it."),
];

/// The collector that shows what may be said of each.
const EXAMPLE: &str = "binlog_size";

const DEFAULTS: &str = "\
# What all targets share: the same keys as a target has, but for `address`. A target's own count more.
defaults:
  #user: goneaway
  #every: 15s
";

/// The text of the shipped configuration.
pub fn exporter_yaml() -> String {
    let mut out = HEAD.to_owned();
    let mut open: Vec<&str> = Vec::new();
    for setting in SETTINGS {
        let mut segments = setting.segments();
        let key = segments.pop().unwrap_or_default();
        let shared = open.iter().zip(&segments).take_while(|(one, other)| one == other).count();
        for depth in shared..segments.len() {
            group(&segments[..=depth], &mut out);
        }
        open = segments;
        line(setting, if key == "*" { "global_status" } else { key }, 2 * open.len(), &mut out);
    }
    out
}

fn group(path: &[&str], out: &mut String) {
    if let ["collectors", name] = path {
        // An empty group says nothing: the collector stays as it is.
        let (name, says) = if *name == "*" { (EXAMPLE, "What may be said of each.") } else { (*name, "") };
        comment(says, 2, out);
        return out.push_str(&format!("  {name}:\n"));
    }
    let path_text = path.join(".");
    let Some((_, name, says)) = GROUPS.iter().find(|(path, ..)| *path == path_text) else { return };
    if path_text == "targets" {
        out.push('\n');
        out.push_str(DEFAULTS);
    }
    if path.len() == 1 {
        out.push('\n');
    }
    let indent = 2 * (path.len() - 1);
    comment(says, indent, out);
    out.push_str(&format!("{:indent$}{name}:\n", ""));
}

fn line(setting: &Setting, key: &str, indent: usize, out: &mut String) {
    if setting.path == key {
        out.push('\n');
    }
    comment(&setting.doc(), indent, out);
    let said = SAID.iter().find(|(path, _)| *path == setting.path);
    let value = said.map_or(setting.sample(), |(_, value)| value);
    let value = match setting.kind {
        Kind::Listen | Kind::Patterns | Kind::Servers | Kind::HostGroups => format!("[\"{value}\"]"),
        Kind::Labels => format!("[{value}]"),
        Kind::Spans { .. } => format!("[{value}]"),
        Kind::Names => words(&[value.to_owned()]),
        Kind::Prefix | Kind::Regex | Kind::Statement => scalar(value),
        Kind::Text if setting.path.ends_with(".help") => scalar(value),
        Kind::Choice(_) if value.starts_with(|c: char| c.is_ascii_digit()) => format!("\"{value}\""),
        _ => value.to_owned(),
    };
    let mark = if said.is_some() { "" } else { "#" };
    out.push_str(&format!("{:indent$}{mark}{key}: {value}\n", ""));
}

const WIDTH: usize = 120;

/// Words as a comment, folded at the width.
fn comment(says: &str, indent: usize, out: &mut String) {
    let mut line = String::new();
    for word in says.split_whitespace() {
        if !line.is_empty() && indent + 2 + line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&format!("{:indent$}# {line}\n", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push_str(&format!("{:indent$}# {line}\n", ""));
    }
}

/// The settings as a Markdown table.
pub fn settings_markdown() -> String {
    let mut out = String::from("| setting | default | what it says |\n| --- | --- | --- |\n");
    for setting in SETTINGS {
        let path = match setting.path {
            "collectors.*" => "collectors.NAME".to_owned(),
            path if path.starts_with("queries.") => path.replacen('*', "NAME", 1).replace('*', "COLUMN"),
            path => path.replacen('*', "NAME", 1).replace('*', "POOL"),
        };
        let default = setting.default().map_or("".to_owned(), |text| format!("`{text}`"));
        let mut doc = setting.doc().replace('|', "\\|");
        if PASSWORDS[1..].iter().any(|other| setting.path.ends_with(other)) {
            doc.push_str(" Instead of `password`.");
        }
        out.push_str(&format!("| `{path}` | {default} | {doc} |\n"));
    }
    out
}
