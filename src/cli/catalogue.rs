//! `metrics`: the catalogue of every family of our own, joined from the rooms that declare them.

use serde::Serialize;

use super::exit::{Exit, report as print_report};
use super::output::CatalogueOutput;
use crate::metrics::Family;
use crate::{collect, http, report, watch};

/// Every declared family, sorted by name.
pub(super) fn families() -> Vec<&'static Family> {
    let mut all: Vec<&'static Family> = [watch::FAMILIES.concat().as_slice(), http::FAMILIES].concat();
    all.extend(report::FAMILIES.iter().copied().flatten());
    all.extend(collect::FAMILIES.iter().copied().flatten());
    all.sort_by_key(|family| family.name);
    all
}

/// The table of the README.
pub(super) fn markdown() -> String {
    let mut text = String::from("| name | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for family in families() {
        let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let help = family.help().replace('|', "\\|");
        text.push_str(&format!("| `{}` | {} | {labels} | {help} |\n", family.name, family.kind.label()));
    }
    text
}

pub(super) fn print(output: CatalogueOutput) -> Exit {
    let text: String = match output {
        CatalogueOutput::Text => families().into_iter().map(told).collect(),
        CatalogueOutput::Markdown => markdown(),
        CatalogueOutput::Json => {
            let rows: Vec<Row> = families().into_iter().map(Row::new).collect();
            serde_json::to_string_pretty(&rows).expect("strings always serialize") + "\n"
        }
    };
    print_report(&text, Exit::Good)
}

fn told(family: &Family) -> String {
    let labels = match family.labels {
        [] => String::new(),
        labels => format!("{{{}}}", labels.join(",")),
    };
    format!("{}{labels} ({})\n  {}\n", family.name, family.kind.label(), family.help())
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    r#type: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Row {
    fn new(family: &'static Family) -> Row {
        Row { name: family.name, r#type: family.kind.label(), labels: family.labels, help: family.help() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_good_name_a_unit_and_a_help_text() {
        let units = ["_total", "_seconds", "_ratio", "_bytes", "_info"];
        for family in families() {
            let name = family.name;
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{name}"
            );
            assert!(family.help().len() > 20 && family.help().ends_with('.'), "{name}: {}", family.help());
            assert!(family.buckets.len() <= 12, "{name} has more than 12 buckets");
            // The incumbent's names are what they are.
            let is_ours = name.starts_with("mysql_conn_");
            let is_counter = family.kind == crate::metrics::Kind::Counter;
            assert!(!is_ours || name.ends_with("_total") == is_counter, "{name}: `_total` is for counters");
            if is_ours && (family.help().starts_with("Seconds") || family.help().starts_with("When ")) {
                assert!(units.iter().any(|unit| name.ends_with(unit)), "{name} does not name its unit");
            }
        }
    }

    #[test]
    fn no_family_is_declared_twice() {
        let all = families();
        assert!(all.windows(2).all(|pair| pair[0].name != pair[1].name));
    }
}
