//! What the operator asked for.
//!
//! Four layers, each over the one before: the defaults of the table in `settings`, the file `exporter.yaml`, the
//! environment `GONEAWAY_…`, flags. `load` reads them all and answers with a `Config` whose every value was checked, and
//! with where each came from, or with every mistake at once. This room judges what can be judged from the
//! configuration alone; what it cannot know (`Judges`) it is told.

pub mod secret;

mod shape;

mod origin;
mod mistakes;

mod settings;
mod value;

mod syntax;
mod located;

mod layer;
mod environment;
mod document;
mod flags;

mod merge;
mod rules;
mod load;

mod show;
mod annotated;

#[cfg(test)]
mod tests;

pub use annotated::{exporter_yaml, settings_markdown};
pub use flags::Flag;
pub use layer::Judges;
pub use load::{Loaded, SEARCHED, Sources, load};
pub use mistakes::{Mistake, Mistakes};
pub use origin::{Origin, Origins, Place};
pub use shape::{
    Backoff, Config, Events, Exercise, Ladder, Log, LogFormat, LogLevel, Pool, ResetOnReturn, Target, Tls, TlsMode,
    TlsVersion, Web,
};
pub use show::show;

// For other files that operators write in the same manner.
pub(crate) use located::{Content, Entry, Node, read as read_yaml};
pub(crate) use origin::shown;
pub(crate) use rules::{cannot_read, read_at_most};
pub(crate) use settings::nearest;
