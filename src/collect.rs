//! What the server can be asked: one file a collector.
//!
//! A collector says a statement for a given server and turns its rows into samples. It does no I/O and keeps no
//! state: `watch` decides when to ask, on which session and for how long. A new collector is a file, its `mod` line
//! and its row in `COLLECTORS`; flag, configuration key, README row and the success and duration series follow.
//!
//! What mysqld_exporter collects keeps its names, types, labels and values here. `value` has the rules by which text
//! becomes a number, `help` the words for the variables that people look at when connections fail.

mod collector;
mod value;
mod help;
pub mod global_status;
pub mod global_variables;

use crate::metrics::Family;

pub use collector::{Ask, Collector, Known, Why};
pub use value::value;

/// Every collector, in the order of the README.
pub static COLLECTORS: &[Collector] = &[global_status::COLLECTOR, global_variables::COLLECTOR];

/// Families whose names are known before a server has answered.
pub static FAMILIES: &[&[&Family]] = &[global_status::FAMILIES, global_variables::FAMILIES];

/// The collector of that name, as typed in `collect[]`, a flag or the configuration.
pub fn named(name: &str) -> Option<&'static Collector> {
    COLLECTORS.iter().find(|collector| collector.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::mysql::server::Server;

    #[test]
    fn every_collector_is_found_by_its_name_and_has_a_line_of_help() {
        let mut names = HashSet::new();
        for collector in COLLECTORS {
            assert!(names.insert(collector.name), "{} comes twice", collector.name);
            assert_eq!(named(collector.name).map(|found| found.name), Some(collector.name));
            assert!(!collector.summary.is_empty() && !collector.summary.contains('\n'));
        }
        assert!(named("global").is_none());
    }

    #[test]
    fn every_server_is_asked_for_its_status_and_its_variables() {
        for version in ["5.5.62", "5.5.5-10.1.48-MariaDB", "11.8.9-MariaDB", "9.7.4"] {
            let server = Server::from_version(version);
            for name in ["global_status", "global_variables"] {
                let collector = named(name).unwrap();
                assert!(collector.default_on);
                assert!(matches!((collector.ask)(&Known { server: &server }), Ask::Sql(_)));
            }
        }
    }
}
