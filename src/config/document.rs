//! The file's layer: the located tree walked against the table of settings.

use std::collections::HashMap;

use super::environment::said;
use super::layer::{Filling, collector, folded, is_column, is_pool, is_query};
use super::located::{self, Content, Entry, Node};
use super::origin::{File, Place};
use super::settings::{Kind, Setting, below, find, meant};
use super::syntax::Spot;

/// Reads the text of a file into a layer.
pub(crate) fn read(text: &str, file: &File, filling: &mut Filling<'_>) {
    let (tree, refused) = located::read(text.strip_prefix('\u{feff}').unwrap_or(text));
    for refusal in refused {
        // What is below a setting may be a part of a password.
        let shown = (1..refusal.path.len()).find(|length| find(&refusal.path[..*length]).is_some());
        let path = refusal.path[..shown.unwrap_or(refusal.path.len())].join(".");
        filling.mistakes.at(&place(file, refusal.spot), &path, refusal.text);
    }
    if let Some(tree) = tree {
        let mut walk = Walk { file, filling, path: Vec::new() };
        let top = place(file, tree.spot);
        walk.node(&tree, &top);
    }
}

fn place(file: &File, spot: Spot) -> Place {
    Place::Line { file: file.clone(), line: spot.line, column: spot.column }
}

struct Walk<'a, 'b> {
    file: &'a File,
    filling: &'a mut Filling<'b>,
    path: Vec<String>,
}

impl Walk<'_, '_> {
    fn node(&mut self, node: &Node, key: &Place) {
        let at = place(self.file, node.spot);
        let setting = find(&self.path);
        match (&node.content, setting) {
            (Content::Nothing, _) => {}
            (Content::Refused, _) => self.filling.unusable(&self.path, &at, key),
            (Content::Map(entries), _) if !below(&self.path).is_empty() => self.entries(entries),
            (Content::List(items), Some(setting)) if setting.kind.is_list() => {
                self.items(setting, items, &at, key);
            }
            (Content::Text { text, .. }, Some(setting)) if setting.kind.is_list() => {
                said(self.filling, &self.path, &at, text);
            }
            (Content::Text { text, plain }, Some(setting)) => match *plain && is_ambiguous(setting.kind, text) {
                true => {
                    self.wrong(&at, key, "`null` may be the word or mean nothing; quote it, or leave the value empty")
                }
                false => self.filling.scalar(&self.path, &at, key, text),
            },
            (other, Some(setting)) => self.wrong(&at, key, &misshapen(other, setting)),
            (other, None) => {
                self.filling.mistakes.at(&at, &self.path.join("."), not_a_group(other, &self.path));
                self.filling.unusable(&self.path, &at, key);
            }
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        let mut first: HashMap<&str, Spot> = HashMap::new();
        let mut spelled: HashMap<String, &str> = HashMap::new();
        for entry in entries {
            let at = place(self.file, entry.spot);
            self.path.push(entry.key.clone());
            let dotted = self.path.join(".");
            let twice = first.get(entry.key.as_str()).copied();
            first.entry(&entry.key).or_insert(entry.spot);
            if let Some(spot) = twice {
                let says = format!("set twice; the first is in line {}", spot.line);
                self.filling.mistakes.at(&at, &dotted, says);
            } else if is_known(&self.path) {
                if self.path.len() == 2 && self.path[0] == "targets" {
                    self.filling.target(&entry.key, &at);
                    if let Some(other) = spelled.insert(folded(&entry.key), &entry.key) {
                        let says = format!("the environment cannot tell it from `{other}`; rename one of them");
                        self.filling.mistakes.at(&at, &dotted, says);
                    }
                }
                if is_pool(&self.path) {
                    self.filling.pool(&self.path, &at);
                }
                if is_query(&self.path) {
                    self.filling.query(&entry.key, &at);
                }
                if is_column(&self.path) {
                    self.filling.column(&self.path, &at);
                }
                if self.is_asked(entry, &at) {
                    self.node(&entry.value, &at);
                }
            } else {
                self.unknown(&entry.key, &at);
            }
            self.path.pop();
        }
    }

    /// Takes the name of a collector, where it is one; what is below an unknown one is not looked at.
    fn is_asked(&mut self, entry: &Entry, at: &Place) -> bool {
        let Some(name) = collector(&self.path) else { return true };
        let is_known = self.filling.collector(name, at);
        if is_known && matches!(entry.value.content, Content::Map(_)) {
            self.filling.tuned(name, at, true);
        }
        is_known
    }

    /// A key that means nothing stands for the one that was meant, so that nobody misses that one too.
    fn unknown(&mut self, key: &str, at: &Place) {
        let group = &self.path[..self.path.len() - 1];
        let ours = meant(group, key);
        let says = match &ours {
            Some(ours) => format!("unknown setting; did you mean `{ours}`?"),
            None if group == ["defaults"] && key == "address" => "each target has an address of its own".to_owned(),
            None => {
                let known: Vec<String> = below(group).iter().map(|name| format!("`{name}`")).collect();
                format!("unknown setting; known here: {}", known.join(", "))
            }
        };
        self.filling.mistakes.at(at, &self.path.join("."), says);
        if let Some(ours) = ours {
            let path: Vec<String> = group.iter().cloned().chain(ours.split('.').map(str::to_owned)).collect();
            self.filling.unusable(&path, at, at);
        }
    }

    fn items(&mut self, setting: &Setting, items: &[Node], at: &Place, key: &Place) {
        let mut texts = Vec::new();
        for item in items {
            let spot = place(self.file, item.spot);
            match &item.content {
                Content::Text { text, .. } => texts.push((spot, text.clone())),
                Content::Nothing => return self.wrong(&spot, key, "an item is empty"),
                _ => {
                    let says = format!("an item is a list or a map; write one value, such as `{}`", setting.sample());
                    return self.wrong(&spot, key, &says);
                }
            }
        }
        self.filling.list(&self.path, at, key, &texts);
    }

    fn wrong(&mut self, at: &Place, key: &Place, says: &str) {
        self.filling.wrong(&self.path, at, key, says.to_owned());
    }
}

fn is_known(path: &[String]) -> bool {
    find(path).is_some() || !below(path).is_empty()
}

/// A plain `null` is taken as a word in a password only, where every text is meant.
fn is_ambiguous(kind: Kind, text: &str) -> bool {
    matches!(
        kind,
        Kind::Text
            | Kind::Address
            | Kind::File
            | Kind::Variable
            | Kind::Prefix
            | Kind::Regex
            | Kind::Statement
            | Kind::Metric
    ) && text.eq_ignore_ascii_case("null")
}

/// A list or a map where one value belongs, or a map where a list does.
fn misshapen(content: &Content, setting: &Setting) -> String {
    let sample = setting.sample();
    match content {
        Content::List(_) if setting.kind == Kind::Secret => {
            "is a list; text that begins with `[` or `-` wants quotes".to_owned()
        }
        Content::Map(_) if setting.kind == Kind::Secret => {
            "is a map; text that begins with `{` or holds `: ` wants quotes".to_owned()
        }
        Content::List(_) => format!("is a list; write one value, such as `{sample}`"),
        Content::Map(_) if setting.kind.is_list() => format!("is a map; write a list, such as `[\"{sample}\"]`"),
        _ => format!("is a map; write one value, such as `{sample}`"),
    }
}

/// Something else where a group of settings belongs. The value is not repeated: it may be a password.
fn not_a_group(content: &Content, path: &[String]) -> String {
    let is = match content {
        Content::List(_) => "is a list",
        _ => "is a single value",
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => format!("the file {is}; write a map of settings, such as `targets:`"),
        ["targets"] => format!("{is}; write each target's name, `orders:`, and its settings below it"),
        ["targets", _] => format!("{is}; write the target's settings below its name, such as `address: db:3306`"),
        ["targets", _, "pools"] | ["defaults", "pools"] => {
            format!("{is}; write each pool's name, `default:`, and its settings below it")
        }
        ["auth_modules"] => format!("{is}; write each module's name, `client:`, and its settings below it"),
        ["queries"] => format!("{is}; write each query's name, `orders_waiting:`, and its settings below it"),
        ["queries", _, "values"] => {
            format!("{is}; write the name of each column, `waiting:`, and its metric's `name` and `help` below it")
        }
        ["queries", _, "values", _] => format!("{is}; write the metric's `name` and `help` below it"),
        ["collectors"] => {
            format!("{is}; write each collector's name with `true` or `false`, or with its settings below it")
        }
        group => {
            let first = below(group).first().copied().unwrap_or_default();
            format!("{is}; write its settings below it, such as `{first}:`")
        }
    }
}
