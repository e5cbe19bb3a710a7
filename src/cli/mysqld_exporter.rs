//! The flags of mysqld_exporter, made from the table of the configuration.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::{EXPORTER_FLAGS, ExporterFlag, GivenFlag, Takes};

const HEADING: &str =
    "Flags of mysqld_exporter (they take the place of a configuration file; a switch `--NAME` has `--no-NAME`)";

/// Those that were given.
#[derive(Debug, Default)]
pub(super) struct MysqldExporterFlags(pub(super) Vec<GivenFlag>);

impl Args for MysqldExporterFlags {
    fn augment_args(command: Command) -> Command {
        EXPORTER_FLAGS.iter().fold(command, |command, flag| match flag.takes {
            Takes::Switch => command.arg(switch(flag)).arg(negative(flag)),
            _ => command.arg(valued(flag)),
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        MysqldExporterFlags::augment_args(command)
    }
}

impl FromArgMatches for MysqldExporterFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<MysqldExporterFlags, Error> {
        Ok(MysqldExporterFlags(EXPORTER_FLAGS.iter().filter_map(|flag| given(flag, matches)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = MysqldExporterFlags::from_arg_matches(matches)?;
        Ok(())
    }
}

fn common(name: &'static str) -> Arg {
    // The short help is for our own.
    Arg::new(name).long(name).global(true).help_heading(HEADING).hide_short_help(true)
}

fn switch(flag: &ExporterFlag) -> Arg {
    let help = match flag.default {
        "true" => format!("{} [default: on]", flag.help),
        _ => flag.help.to_owned(),
    };
    common(flag.name)
        .help(help)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("true|false")
        .action(ArgAction::Set)
        .overrides_with(flag.negative)
}

fn negative(flag: &ExporterFlag) -> Arg {
    common(flag.negative)
        .hide(true)
        .num_args(0)
        .default_missing_value("true")
        .action(ArgAction::Set)
        .overrides_with(flag.name)
}

fn valued(flag: &ExporterFlag) -> Arg {
    let help = match flag.default {
        "" => flag.help.to_owned(),
        default => format!("{} [default: {default}]", flag.help),
    };
    let value = match flag.takes {
        Takes::Count { .. } => "NUMBER",
        Takes::Seconds => "SECONDS",
        Takes::Span => "DURATION",
        Takes::Switch | Takes::Text | Takes::Word | Takes::Texts | Takes::Pattern => "TEXT",
    };
    common(flag.name).help(help).value_name(value).action(ArgAction::Append)
}

fn given(flag: &'static ExporterFlag, matches: &ArgMatches) -> Option<GivenFlag> {
    let of = |name: &str| -> Option<Vec<String>> {
        let is_said = matches.value_source(name) == Some(ValueSource::CommandLine);
        is_said.then(|| matches.get_many::<String>(name).into_iter().flatten().cloned().collect())
    };
    let said = |name: &str, values| GivenFlag { name: flag.name, typed: format!("--{name}"), values };
    if flag.takes != Takes::Switch {
        return Some(said(flag.name, of(flag.name)?));
    }
    match (of(flag.name), of(flag.negative)) {
        (Some(values), _) => Some(said(flag.name, values)),
        (None, Some(_)) => Some(said(flag.negative, vec!["false".to_owned()])),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::collect::COLLECTORS;
    use crate::config::exporter_collectors;

    #[derive(Debug, Parser)]
    #[command(args_override_self = true)]
    struct Only {
        #[command(flatten)]
        flags: MysqldExporterFlags,
    }

    fn parsed(typed: &str) -> Result<Vec<(String, Vec<String>)>, String> {
        let words = std::iter::once("x").chain(typed.split(' ').filter(|word| !word.is_empty()));
        let only = Only::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(only.flags.0.into_iter().map(|given| (given.typed, given.values)).collect())
    }

    fn check(typed: &str, flag: &str, values: &[&str]) {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(parsed(typed), Ok(vec![(flag.to_owned(), values)]), "{typed}");
    }

    #[test]
    fn every_flag_of_the_table_is_taken_in_all_its_forms() {
        for flag in EXPORTER_FLAGS {
            let (plus, minus) = (format!("--{}", flag.name), format!("--{}", flag.negative));
            if flag.takes == Takes::Switch {
                check(&plus, &plus, &["true"]);
                check(&format!("{plus}=true"), &plus, &["true"]);
                check(&format!("{plus}=false"), &plus, &["false"]);
                check(&minus, &minus, &["false"]);
            } else {
                check(&format!("{plus}=1"), &plus, &["1"]);
                check(&format!("{plus} 1"), &plus, &["1"]);
                check(&format!("{plus}="), &plus, &[""]);
                assert!(parsed(&minus).is_err(), "{minus}");
            }
        }
        assert_eq!(parsed(""), Ok(Vec::new()));
    }

    #[test]
    fn the_last_of_a_switch_counts_and_all_of_a_list() {
        check("--collect.heartbeat --no-collect.heartbeat", "--no-collect.heartbeat", &["false"]);
        check("--no-collect.heartbeat --collect.heartbeat", "--collect.heartbeat", &["true"]);
        let excluded = "--collect.perf_schema.eventsstatements.exclude_schemas";
        check(&format!("{excluded}=a {excluded} b"), excluded, &["a", "b"]);
    }

    #[test]
    fn each_collector_has_its_flag() {
        for built in COLLECTORS.iter().filter(|built| !built.is_ours()) {
            let (flag, _) = exporter_collectors()
                .find(|(_, name)| *name == built.name)
                .unwrap_or_else(|| panic!("{} has no row in the table of flags", built.name));
            assert_eq!(flag.default == "true", built.default_on, "{}", built.name);
        }
    }
}
