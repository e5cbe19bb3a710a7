//! The file as a list of what it says, each with its place; keys that there are not are told here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Content, Entry, Mistakes, Node, Place, nearest, read_yaml};

/// Whether a key takes one value or a list of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    One,
    Many,
}

/// Every key, in the order in which it is told; `*` is a name of the operator's choice.
const KEYS: [(&str, Form); 22] = [
    ("tls_server_config.cert_file", Form::One),
    ("tls_server_config.key_file", Form::One),
    ("tls_server_config.cert", Form::One),
    ("tls_server_config.key", Form::One),
    ("tls_server_config.client_ca_file", Form::One),
    ("tls_server_config.client_ca", Form::One),
    ("tls_server_config.client_auth_type", Form::One),
    ("tls_server_config.client_allowed_sans", Form::Many),
    ("tls_server_config.min_version", Form::One),
    ("tls_server_config.max_version", Form::One),
    ("tls_server_config.cipher_suites", Form::Many),
    ("tls_server_config.prefer_server_cipher_suites", Form::One),
    ("tls_server_config.curve_preferences", Form::Many),
    ("http_server_config.http2", Form::One),
    ("http_server_config.headers.Content-Security-Policy", Form::One),
    ("http_server_config.headers.X-Frame-Options", Form::One),
    ("http_server_config.headers.X-Content-Type-Options", Form::One),
    ("http_server_config.headers.X-XSS-Protection", Form::One),
    ("http_server_config.headers.Strict-Transport-Security", Form::One),
    ("basic_auth_users.*", Form::One),
    ("rate_limit.interval", Form::One),
    ("rate_limit.burst", Form::One),
];

/// What the file says.
#[derive(Debug)]
pub(crate) struct Document {
    file: Arc<Path>,
    said: Vec<Said>,
}

/// One key: a group has no texts, a value one, a list any number.
#[derive(Debug)]
pub(crate) struct Said {
    path: Vec<String>,
    /// Where the key is.
    pub(crate) key: Place,
    pub(crate) texts: Vec<(Place, String)>,
}

impl Said {
    /// Where its value is and what it is.
    pub(crate) fn one(&self) -> Option<(&Place, &str)> {
        self.texts.first().map(|(place, text)| (place, text.as_str()))
    }

    /// The innermost name.
    pub(crate) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

impl Document {
    pub(crate) fn read(text: &str, file: &Arc<Path>, mistakes: &mut Mistakes) -> Document {
        let (tree, refused) = read_yaml(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut walk = Walk { file, said: Vec::new(), path: Vec::new(), mistakes };
        for refusal in refused {
            // Below a key may be a part of a secret.
            let shown = refusal.path[..refusal.path.len().min(2)].join(".");
            let place = Place::Line { file: file.clone(), line: refusal.spot.line, column: refusal.spot.column };
            walk.mistakes.at(&place, &shown, refusal.text);
        }
        match tree.as_ref().map(|tree| (tree, &tree.content)) {
            None | Some((_, Content::Nothing | Content::Refused)) => {}
            Some((_, Content::Map(entries))) => walk.entries(entries),
            Some((tree, other)) => {
                let says = format!("the file {}; write keys such as `tls_server_config:`", shape(other));
                let place = walk.place(tree);
                walk.mistakes.at(&place, "", says);
            }
        }
        Document { file: file.clone(), said: walk.said }
    }

    /// A key that is there and, when it is a value, not empty.
    pub(crate) fn find(&self, path: &str) -> Option<&Said> {
        let found = self.said.iter().find(|said| said.path.iter().map(String::as_str).eq(path.split('.')))?;
        found.texts.first().is_none_or(|(_, text)| !text.is_empty()).then_some(found)
    }

    /// The value of a key, and where it is.
    pub(crate) fn one(&self, path: &str) -> Option<(&Place, &str)> {
        self.find(path)?.one()
    }

    /// The items of a list.
    pub(crate) fn many(&self, path: &str) -> &[(Place, String)] {
        self.find(path).map_or(&[], |said| &said.texts)
    }

    /// What is said directly below a group.
    pub(crate) fn below<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Said> {
        let depth = group.split('.').count();
        self.said.iter().filter(move |said| {
            said.path.len() == depth + 1 && said.path.iter().map(String::as_str).take(depth).eq(group.split('.'))
        })
    }

    pub(crate) fn switch(&self, path: &str, default: bool, mistakes: &mut Mistakes) -> bool {
        match self.one(path) {
            None => default,
            Some((_, "true")) => true,
            Some((_, "false")) => false,
            Some((place, other)) => {
                mistakes.at(place, path, format!("`{other}` is neither true nor false"));
                default
            }
        }
    }

    /// Paths in the file start from its folder.
    pub(crate) fn path(&self, text: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(text)
    }
}

struct Walk<'a> {
    file: &'a Arc<Path>,
    said: Vec<Said>,
    path: Vec<String>,
    mistakes: &'a mut Mistakes,
}

impl Walk<'_> {
    fn entries(&mut self, entries: &[Entry]) {
        for (at, entry) in entries.iter().enumerate() {
            let key = Place::Line { file: self.file.clone(), line: entry.spot.line, column: entry.spot.column };
            self.path.push(entry.key.clone());
            match entries[..at].iter().find(|other| other.key == entry.key) {
                Some(first) => {
                    let says = format!("set twice; the first is in line {}", first.spot.line);
                    self.mistakes.at(&key, &self.path.join("."), says);
                }
                None => self.entry(entry, key),
            }
            self.path.pop();
        }
    }

    fn entry(&mut self, entry: &Entry, key: Place) {
        let place = self.place(&entry.value);
        let form = KEYS.iter().find(|(known, _)| matches(known, &self.path)).map(|(_, form)| *form);
        let is_group = !below(&self.path).is_empty();
        let wrong = |walk: &mut Self, says: String| walk.mistakes.at(&place, &walk.path.join("."), says);
        match (&entry.value.content, form) {
            (_, None) if !is_group => self.unknown(&key),
            // Nothing is less than no key: a user without a hash must not be overlooked.
            (Content::Nothing, Some(Form::One)) => {
                self.said.push(Said { path: self.path.clone(), key, texts: vec![(place, String::new())] });
            }
            (Content::Nothing | Content::Refused, _) => {}
            (Content::Map(entries), None) => {
                self.said.push(Said { path: self.path.clone(), key, texts: Vec::new() });
                self.entries(entries);
            }
            (other, None) => wrong(self, format!("{}; write its keys below it", shape(other))),
            (Content::Text { text, .. }, Some(Form::One)) => {
                self.said.push(Said { path: self.path.clone(), key, texts: vec![(place, text.clone())] });
            }
            (Content::List(items), Some(Form::Many)) => {
                let texts = items.iter().filter_map(|item| self.item(item)).collect();
                self.said.push(Said { path: self.path.clone(), key, texts });
            }
            (Content::Text { text, .. }, Some(Form::Many)) => {
                wrong(self, format!("is a single value; write a list, such as `[{text}]`"));
            }
            (other, Some(Form::One)) => wrong(self, format!("{}; write one value", shape(other))),
            (other, Some(Form::Many)) => wrong(self, format!("{}; write a list", shape(other))),
        }
    }

    fn item(&mut self, item: &Node) -> Option<(Place, String)> {
        let place = self.place(item);
        match &item.content {
            Content::Text { text, .. } if !text.is_empty() => Some((place, text.clone())),
            Content::Refused => None,
            Content::Nothing | Content::Text { .. } => {
                self.mistakes.at(&place, &self.path.join("."), "an item is empty; remove it");
                None
            }
            other => {
                let says = format!("an item {}; write one value", shape(other));
                self.mistakes.at(&place, &self.path.join("."), says);
                None
            }
        }
    }

    fn unknown(&mut self, key: &Place) {
        let (group, name) = self.path.split_at(self.path.len() - 1);
        let known = below(group);
        let says = match nearest(&name[0], known.iter().copied()) {
            Some(near) => format!("unknown key; did you mean `{near}`?"),
            None => format!("unknown key; known here: `{}`", known.join("`, `")),
        };
        self.mistakes.at(key, &self.path.join("."), says);
    }

    fn place(&self, node: &Node) -> Place {
        Place::Line { file: self.file.clone(), line: node.spot.line, column: node.spot.column }
    }
}

fn matches(known: &str, path: &[String]) -> bool {
    let known: Vec<&str> = known.split('.').collect();
    known.len() == path.len() && known.iter().zip(path).all(|(known, name)| *known == "*" || known == name)
}

/// The names that may follow a path.
fn below(path: &[String]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (key, _) in KEYS {
        let mut segments = key.split('.');
        let under = path.iter().all(|name| segments.next() == Some(name));
        if let Some(next) = segments.next().filter(|next| under && !names.contains(next)) {
            names.push(next);
        }
    }
    names
}

fn shape(content: &Content) -> &'static str {
    match content {
        Content::List(_) => "is a list",
        Content::Map(_) => "is a map",
        _ => "is a single value",
    }
}
