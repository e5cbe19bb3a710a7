//! The mysql client's option file, as mysqld_exporter's users have it: sections of `key=value`.
//!
//! A value is what the line says: nothing in it is expanded, and a `#` in it is part of it, as mysqld_exporter has it.
//! Quotes are those of the mysql client: a pair around the whole value is taken away, and between them its escapes
//! count. `!include` is not followed. What a key means is not known here; those that nobody asks for are ignored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::mistakes::Mistakes;
use super::origin::Place;

/// What one option file says.
#[derive(Debug, Default)]
pub(crate) struct MyCnf {
    /// In the order of the file; two of one name are one.
    pub sections: Vec<Section>,
    /// What was left out.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Section {
    pub name: String,
    pub place: Place,
    /// By the name of the key with `-` for `_`; said twice, the last counts.
    keys: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// None for a key that stands alone.
    pub value: Option<String>,
    pub place: Place,
}

impl Section {
    /// What it says itself of a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key)?.value.as_deref().filter(|text| !text.is_empty())
    }
}

impl MyCnf {
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// What a section says of a key. `[client.orders]` has from `[client]` what it does not say itself.
    pub(crate) fn of(&self, section: &str, key: &str) -> Option<&Entry> {
        let mut name = section;
        loop {
            if let Some(entry) = self.section(name).and_then(|section| section.keys.get(key)) {
                return Some(entry);
            }
            name = name.rsplit_once('.')?.0;
        }
    }
}

/// Reads a file.
pub(crate) fn read(bytes: &[u8], file: &Arc<Path>, mistakes: &mut Mistakes) -> MyCnf {
    let mut read = MyCnf::default();
    let mut current: Option<usize> = None;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            let place = Place::Line { file: file.clone(), line: number + 1, column: 1 };
            mistakes.at(&place, "", "the line is not UTF-8; save the file as UTF-8");
            continue;
        };
        let text = line.trim();
        let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let place = Place::Line { file: file.clone(), line: number + 1, column };
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if text.starts_with('!') {
            let directive = text.split_whitespace().next().unwrap_or_default();
            read.warnings.push(format!(
                "{}: `{directive}` is not followed; write what is needed from there into this file, or name that file \
                 by `--config.my-cnf`",
                place.brief()
            ));
        } else if let Some(rest) = text.strip_prefix('[') {
            current = match rest.split_once(']') {
                Some((name, _)) => Some(read.open(name.trim(), &place)),
                None => {
                    mistakes.at(&place, "", "the section has no closing `]`; write it as `[client]`");
                    None
                }
            };
        } else if let Some(section) = current {
            let (key, value) = entry(text);
            read.sections[section].keys.insert(key, Entry { value, place });
        } else {
            read.warnings.push(format!("{}: ignored, as it stands below no section such as `[client]`", place.brief()));
        }
    }
    read
}

impl MyCnf {
    fn open(&mut self, name: &str, place: &Place) -> usize {
        if let Some(known) = self.sections.iter().position(|section| section.name == name) {
            return known;
        }
        self.sections.push(Section { name: name.to_owned(), place: place.clone(), keys: BTreeMap::new() });
        self.sections.len() - 1
    }
}

/// A key, and its value if it has one. mysqld_exporter takes `:` too.
fn entry(text: &str) -> (String, Option<String>) {
    let (key, value) = match text.split_once(['=', ':']) {
        Some((key, value)) => (key, Some(unquoted(value.trim()))),
        None => (text, None),
    };
    (key.trim().replace('_', "-"), value)
}

fn unquoted(value: &str) -> String {
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let Some(inner) = quoted else { return value.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next().filter(|_| c == '\\')) {
            (_, Some(escaped)) => {
                rest.next();
                match escaped {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    'b' => out.push('\u{8}'),
                    's' => out.push(' '),
                    '"' | '\'' | '\\' => out.push(escaped),
                    other => out.extend(['\\', other]),
                }
            }
            (plain, None) => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (MyCnf, String) {
        let mut mistakes = Mistakes::default();
        let read = read(text.as_bytes(), &Arc::from(Path::new("my.cnf")), &mut mistakes);
        (read, if mistakes.is_empty() { String::new() } else { mistakes.to_string() })
    }

    fn check(line: &str, key: &str, value: Option<&str>) {
        let (read, mistakes) = parsed(&format!("[client]\n{line}\n"));
        assert_eq!((mistakes.as_str(), read.warnings.len()), ("", 0), "{line}");
        let entry = read.of("client", key).unwrap_or_else(|| panic!("{line} says {key}"));
        assert_eq!(entry.value.as_deref(), value, "{line}");
    }

    #[test]
    fn a_value_is_what_the_line_says() {
        for (line, value) in [
            ("password=secret", "secret"),
            ("password = secret  ", "secret"),
            ("  password\t=\tsecret\r", "secret"),
            ("password: secret", "secret"),
            ("password=", ""),
            ("password=a#b", "a#b"),
            ("password=a # b", "a # b"),
            ("password=#a;b", "#a;b"),
            ("password=$HOME${HOME}%d", "$HOME${HOME}%d"),
            ("password=a=b:c", "a=b:c"),
            ("password=a\\nb", "a\\nb"),
            ("password=[x]!y", "[x]!y"),
        ] {
            check(line, "password", Some(value));
        }
    }

    #[test]
    fn quotes_are_those_of_the_mysql_client() {
        for (line, value) in [
            ("password=\"a b \"", "a b "),
            ("password=' a # b'", " a # b"),
            ("password=\"it's\"", "it's"),
            ("password='say \"x\"'", "say \"x\""),
            ("password=\"a\\\"b\\\\c\\td\\se\\x\"", "a\"b\\c\td e\\x"),
            ("password='a\\'", "a\\"),
            ("password=\"", "\""),
            ("password=\"\"", ""),
            ("password=\"a'", "\"a'"),
            ("password=a\"b\"", "a\"b\""),
        ] {
            check(line, "password", Some(value));
        }
    }

    #[test]
    fn keys_may_stand_alone_and_be_spelled_with_underscores() {
        check("ssl-skip-verfication", "ssl-skip-verfication", None);
        check("ssl_ca = /ca.pem", "ssl-ca", Some("/ca.pem"));
        check("user=a\nuser=b", "user", Some("b"));
        check("# x\n;y\n\nuser=c", "user", Some("c"));
    }

    #[test]
    fn a_child_has_what_its_parent_says() {
        let (read, _) = parsed("\u{feff}[client]\nuser=a\nport=1\n[client.b]\nuser=b\n[other]\n[client]\nhost=h\n");
        let said = |section, key| read.of(section, key).and_then(|entry| entry.value.clone());
        assert_eq!(said("client.b", "user").as_deref(), Some("b"));
        assert_eq!(said("client.b", "port").as_deref(), Some("1"));
        assert_eq!(said("client.b", "host").as_deref(), Some("h"));
        assert_eq!(said("other", "user"), None);
        assert_eq!(said("client.b.c", "user").as_deref(), Some("b"));
        let names: Vec<&str> = read.sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["client", "client.b", "other"]);
    }

    #[test]
    fn what_is_left_out_and_what_is_wrong_has_its_line() {
        let (read, mistakes) = parsed("user=lost\n!includedir /etc/mysql/conf.d/\n[client\nuser=lost\n");
        assert_eq!(
            read.warnings,
            [
                "my.cnf:1: ignored, as it stands below no section such as `[client]`",
                "my.cnf:2: `!includedir` is not followed; write what is needed from there into this file, or name that \
                 file by `--config.my-cnf`",
                "my.cnf:4: ignored, as it stands below no section such as `[client]`",
            ]
        );
        assert_eq!(
            mistakes,
            "error: my.cnf has 1 mistake\n  my.cnf:3:1: the section has no closing `]`; write it as `[client]`"
        );
        let mut mistakes = Mistakes::default();
        super::read(b"[client]\nuser=\xff\n", &Arc::from(Path::new("my.cnf")), &mut mistakes);
        assert!(mistakes.to_string().contains("my.cnf:2:1: the line is not UTF-8"), "{mistakes}");
    }
}
