//! Where a value was said.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place that a person can go to and change something. Places sort as they are read: file, environment, flags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nobody said it: the program's own default.
    Default,
    /// The configuration as a whole.
    Everywhere,
    /// The file as a whole.
    File(Arc<Path>),
    Line {
        file: Arc<Path>,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// The name of a variable.
    Environment(String),
    /// A flag as it is typed, `--log.level`.
    Flag(String),
}

impl Place {
    /// The file of this place, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Place::File(file) | Place::Line { file, .. } => Some(file),
            _ => None,
        }
    }

    /// Without the column: for a note beside the value.
    pub fn brief(&self) -> String {
        match self {
            Place::Line { file, line, .. } => format!("{}:{line}", shown(file)),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => out.write_str("default"),
            Place::Everywhere => out.write_str("the configuration"),
            Place::File(file) => write!(out, "{}", shown(file)),
            Place::Line { file, line, column } => write!(out, "{}:{line}:{column}", shown(file)),
            Place::Environment(name) | Place::Flag(name) => out.write_str(name),
        }
    }
}

/// A path as a person would type it: `exporter.yaml`, not `./exporter.yaml`.
pub(crate) fn shown(path: &Path) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.display().to_string()
}

/// Where the value of one setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The setting under which it was said: `defaults.every` for the `every` of a target that inherits it.
    pub setting: String,
    /// Where the value is.
    pub place: Place,
    /// Where the name is. The same as `place` outside of files.
    pub key: Place,
}

impl Origin {
    /// Whether a target has this from the `defaults` of the configuration.
    pub(crate) fn is_inherited(&self) -> bool {
        self.setting.starts_with("defaults.")
    }

    /// Points at the name instead of the value: for a mistake in the name.
    pub fn at_key(&self) -> Origin {
        Origin { place: self.key.clone(), ..self.clone() }
    }
}

/// Where each setting of the loaded configuration came from, by its dotted path (`targets.orders.address`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub(crate) fn insert(&mut self, path: String, origin: Origin) {
        self.0.insert(path, origin);
    }

    /// `None` for what was neither said nor has a default. `targets.orders` is the place of the target's name.
    pub fn of(&self, path: &str) -> Option<&Origin> {
        self.0.get(path)
    }
}

/// The configuration file that was read, for those who remember it.
pub(crate) type File = Arc<Path>;

pub(crate) fn file(path: PathBuf) -> File {
    Arc::from(path)
}
