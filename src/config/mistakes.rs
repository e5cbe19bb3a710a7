//! What is wrong with a configuration: everything at once.

use std::fmt;

use super::origin::{Origin, Place};

/// One thing that is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub place: Place,
    /// The setting, dotted; empty when none is meant.
    pub path: String,
    /// Never holds a secret.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self.place, Place::Everywhere | Place::Default) {
            write!(out, "{}: ", self.place)?;
        }
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        out.write_str(&self.text)
    }
}

/// Everything that is wrong. Whoever judges a part of the configuration later adds to the same list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// A mistake of a setting whose origin is known (`Origins::of`); without one the setting is only named.
    pub fn add(&mut self, origin: Option<&Origin>, path: &str, text: impl Into<String>) {
        match origin {
            Some(origin) if origin.place != Place::Default => self.at(&origin.place, &origin.setting, text),
            _ => self.at(&Place::Everywhere, path, text),
        }
    }

    /// The same mistake of one place counts once: what `defaults` says wrong is wrong in each target.
    pub fn at(&mut self, place: &Place, path: &str, text: impl Into<String>) {
        let mistake = Mistake { place: place.clone(), path: path.to_owned(), text: text.into() };
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    pub fn append(&mut self, more: Mistakes) {
        self.0.extend(more.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of the file, then of the environment, then of the flags.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        let mut sorted: Vec<&Mistake> = self.0.iter().collect();
        sorted.sort_by(|one, other| one.place.cmp(&other.place));
        sorted.into_iter()
    }

    fn subject(&self) -> String {
        let first = self.0.first().and_then(|mistake| mistake.place.file());
        match first {
            Some(file) if self.0.iter().all(|mistake| mistake.place.file() == Some(file)) => {
                Place::File(file.into()).to_string()
            }
            _ => Place::Everywhere.to_string(),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Mistake { place: Place::Everywhere, .. }] = self.0.as_slice() {
            return write!(out, "error: {}", self.0[0]);
        }
        let s = if self.len() == 1 { "" } else { "s" };
        write!(out, "error: {} has {} mistake{s}", self.subject(), self.len())?;
        self.iter().try_for_each(|mistake| write!(out, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}
