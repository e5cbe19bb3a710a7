//! `metrics`: the catalogue of every family of our own, joined from the rooms that declare them, and those of the
//! operator's queries.

use serde::Serialize;

use super::exit::{Exit, report as print_report};
use super::output::CatalogueOutput;
use crate::collect::query::Query;
use crate::config::Loaded;
use crate::metrics::{Family, Kind};
use crate::{collect, http, report, watch};

/// Every declared family, sorted by name.
pub(super) fn families() -> Vec<&'static Family> {
    let mut all: Vec<&'static Family> = [watch::FAMILIES.concat().as_slice(), http::FAMILIES].concat();
    all.extend(report::FAMILIES.iter().copied().flatten());
    all.extend(collect::FAMILIES.iter().copied().flatten());
    all.sort_by_key(|family| family.name);
    all
}

/// Prints the catalogue; with a configuration the families of its queries too.
pub(super) fn print(output: CatalogueOutput, loaded: Option<&Loaded>) -> Exit {
    let queries = loaded.iter().flat_map(|loaded| &loaded.config.queries);
    let queries: Vec<Query> = queries.map(|(name, said)| Query::new(name, said)).collect();
    let own = families().into_iter().map(|family| Row::new(family.name, family.kind, family.labels, family.help()));
    let of_queries = queries.iter().flat_map(Query::families);
    let rows = own.chain(of_queries.map(|(name, kind, labels, help)| Row::new(name, kind, labels, help)));
    let text: String = match output {
        CatalogueOutput::Text => rows.map(|row| row.told()).collect(),
        CatalogueOutput::Markdown => {
            let head = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
            rows.fold(head, |text, row| text + &row.markdown())
        }
        CatalogueOutput::Json => {
            let rows: Vec<Row<'_>> = rows.collect();
            serde_json::to_string_pretty(&rows).expect("strings always serialize") + "\n"
        }
    };
    print_report(&text, Exit::Good)
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    r#type: &'static str,
    labels: Vec<&'a str>,
    help: &'a str,
}

impl<'a> Row<'a> {
    fn new(name: &'a str, kind: Kind, labels: &'a [impl AsRef<str>], help: &'a str) -> Row<'a> {
        Row { name, r#type: kind.label(), labels: labels.iter().map(AsRef::as_ref).collect(), help }
    }

    fn told(&self) -> String {
        let labels = match self.labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        format!("{}{labels} ({})\n  {}\n", self.name, self.r#type, self.help)
    }

    fn markdown(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let help = self.help.replace('|', "\\|");
        format!("| `{}` | {} | {} | {help} |\n", self.name, self.r#type, labels.join(", "))
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

    /// A query of the operator's own that was called so would break the whole scrape.
    #[test]
    fn no_query_can_take_the_name_of_a_family() {
        for family in families() {
            assert!(crate::config::metric_flaw(family.name).is_some(), "{} can be taken", family.name);
        }
    }

    #[test]
    fn no_family_is_declared_twice() {
        let all = families();
        assert!(all.windows(2).all(|pair| pair[0].name != pair[1].name));
    }
}
