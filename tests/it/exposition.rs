//! A scrape, read back: strict where Prometheus is strict.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct Exposition {
    /// Value by series, `name{label="value"}` as it stands.
    pub(crate) series: BTreeMap<String, f64>,
    /// Type by family.
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) help: BTreeMap<String, String>,
}

impl Exposition {
    /// Reads text 0.0.4 or OpenMetrics; panics on what a scraper would refuse.
    pub(crate) fn parse(text: &str) -> Exposition {
        let mut seen = Exposition::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type line has a type");
                let twice = seen.types.insert(name.to_owned(), kind.to_owned());
                assert!(twice.is_none(), "the family {name} comes twice");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help line has a text");
                seen.help.insert(name.to_owned(), help.to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
                let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
                let twice = seen.series.insert(series.to_owned(), value);
                assert!(twice.is_none(), "the series {series} comes twice");
            }
        }
        seen
    }

    /// The series of collectors whose last run did not succeed.
    pub(crate) fn failed_collectors(&self) -> Vec<&str> {
        let all = self.starting_with("mysql_exporter_collector_success{");
        all.filter(|(_, success)| *success != 1.0).map(|(series, _)| series).collect()
    }

    /// The value of a series of the target `t`, labels as they stand after it.
    pub(crate) fn of(&self, name: &str, labels: &str) -> Option<f64> {
        let series = match labels {
            "" => format!("{name}{{target=\"t\"}}"),
            labels => format!("{name}{{target=\"t\",{labels}}}"),
        };
        self.series.get(&series).copied()
    }

    /// The value of a series without the label `target`, as it stands.
    pub(crate) fn plain(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    pub(crate) fn up(&self) -> bool {
        self.of("mysql_up", "") == Some(1.0)
    }

    /// Whether values that were copied from the server are shown.
    pub(crate) fn has_copied(&self) -> bool {
        self.series.keys().any(|series| series.starts_with("mysql_global_"))
    }

    /// Series whose names begin so.
    pub(crate) fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let all = self.series.iter().filter(move |(series, _)| series.starts_with(prefix));
        all.map(|(series, value)| (series.as_str(), *value))
    }
}
