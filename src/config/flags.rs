//! The flags' layer.

use super::environment::said;
use super::layer::{Filling, keys};
use super::origin::Place;
use super::settings::find;

/// A flag of the command line that says a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it is typed: `--web.listen-address`.
    pub name: String,
    /// The setting: `web.listen_addresses`.
    pub path: String,
    /// What was given, once for each time the flag was. A list takes all of them, other settings the last.
    pub values: Vec<String>,
}

impl Flag {
    pub fn new(name: &str, path: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Flag {
        Flag { name: name.to_owned(), path: path.to_owned(), values: values.into_iter().map(Into::into).collect() }
    }
}

/// Reads the flags into a layer.
pub(crate) fn read(flags: &[Flag], filling: &mut Filling<'_>) {
    for flag in flags.iter().filter(|flag| !flag.values.is_empty()) {
        let place = Place::Flag(flag.name.clone());
        let path = keys(&flag.path);
        match find(&path) {
            Some(setting) if setting.kind.is_list() => {
                said(filling, &path, &place, &flag.values.join(","));
            }
            Some(_) => said(filling, &path, &place, &flag.values[flag.values.len() - 1]),
            None => filling.mistakes.at(&place, &flag.path, "unknown setting"),
        }
    }
}
