//! What the operator asked for.
//!
//! Four layers, each over the one before: the defaults of the table in `settings`, the file `exporter.yaml`, the
//! environment `GONEAWAY_…`, flags. `load` reads them all and answers with a `Config` whose every value was checked, and
//! with where each came from, or with every mistake at once. This room judges what can be judged from the
//! configuration alone; what it cannot know (`Judges`) it is told.
//!
//! Where mysqld_exporter's flags are given (`drop_in`), they and its my.cnf take the place of the file.

pub mod secret;
mod query;

mod shape;

mod origin;
mod mistakes;

mod settings;
mod regex;
mod value;

mod syntax;
mod located;

mod layer;
mod environment;
mod document;
mod flags;

mod merge;
mod queries;
mod rules;

mod my_cnf;
mod data_source_name;
mod exporter_flags;
mod section;
mod exporter_account;
mod drop_in;

mod load;

mod show;
mod annotated;
mod from_mysqld_exporter;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod collector_tests;
#[cfg(test)]
mod drop_in_tests;

pub use annotated::{exporter_yaml, settings_markdown};
pub use drop_in::MysqldExporter;
pub use exporter_flags::{EXPORTER_FLAGS, ExporterFlag, GivenFlag, Takes, exporter_collectors};
pub use flags::Flag;
pub use from_mysqld_exporter::from_mysqld_exporter;
pub use layer::Judges;
pub use load::{Loaded, SEARCHED, Sources, load};
pub use mistakes::{Mistake, Mistakes};
pub use origin::{Origin, Origins, Place};
pub use query::servers::Servers;
pub use shape::{
    AuthModule, Backoff, Collector, Config, DropIn, Events, Exercise, Ladder, Log, LogFormat, LogLevel, Pool, Probe,
    Query, QueryValue, QueryValueType, ResetOnReturn, Target, Tls, TlsMode, TlsVersion, Web,
};
pub use show::show;

// For other files that operators write in the same manner.
pub(crate) use located::{Content, Entry, Node, read as read_yaml};
pub(crate) use origin::shown;
#[cfg(test)]
pub(crate) use query::names::metric_flaw;
pub(crate) use rules::{cannot_read, read_at_most};
pub(crate) use settings::nearest;
pub(crate) use value::spelled;
