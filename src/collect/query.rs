//! A query of the operator's own: how its rows become samples.
//!
//! It is asked beside the collectors and is none of them: what is wrong with its answer is its own failure, in words that
//! name the row. All of an answer is good, or none of it is shown.

use std::collections::HashMap;

use crate::config::{self, QueryValueType, Servers};
use crate::metrics::{Block, BlockBuilder, Kind};
use crate::mysql::rows::Rows;
use crate::mysql::server::{Server, Version};

/// One query, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// As in `collect[]`, and after `collect.` in the label `collector`: `query.NAME`.
    pub name: String,
    pub said: config::Query,
}

impl Query {
    pub fn new(name: &str, said: &config::Query) -> Query {
        Query { name: format!("query.{name}"), said: said.clone() }
    }

    /// The label value of its success, duration and age.
    pub fn label(&self) -> String {
        format!("collect.{}", self.name)
    }

    /// Whether the target of that name is asked.
    pub fn is_for_target(&self, target: &str) -> bool {
        self.said.targets.as_ref().is_none_or(|targets| targets.iter().any(|name| name == target))
    }

    /// Whether such a server is asked.
    pub fn is_for_server(&self, server: &Server) -> bool {
        let version = |[major, minor, patch]: [u16; 3]| Version::new(major, minor, patch);
        let is_meant = |meant: &Servers| {
            let Servers { is_mariadb, least, below } = *meant;
            is_mariadb == server.is_mariadb() && version(least) <= server.version && server.version < version(below)
        };
        self.said.servers.as_ref().is_none_or(|servers| servers.iter().any(is_meant))
    }

    /// The families that it gives: name, kind, labels, help.
    pub fn families(&self) -> impl Iterator<Item = (&str, Kind, &[String], &str)> {
        let labels = self.said.labels.as_slice();
        self.said
            .values
            .values()
            .map(move |value| (value.name.as_str(), kind(value.r#type), labels, value.help.as_str()))
    }

    /// The samples of an answer, or what is wrong with it. `target` is the label of that name.
    pub fn read(&self, rows: &Rows, target: Option<&str>) -> Result<Block, String> {
        let place = |column: &str| {
            let mut places = (0..rows.columns().len()).filter(|at| rows.columns()[*at].eq_ignore_ascii_case(column));
            match (places.next(), places.next()) {
                (Some(at), None) => Ok(at),
                (Some(_), Some(_)) => {
                    Err(format!("the answer has the column `{column}` twice; name one otherwise by AS"))
                }
                (None, _) => Err(format!("the answer has no column `{column}`; it has {}", listed(rows.columns()))),
            }
        };
        let labels = self.said.labels.iter().map(|label| Ok((label.as_str(), place(label)?)));
        let labels: Vec<(&str, usize)> = labels.collect::<Result<_, String>>()?;
        let values = self.said.values.iter().map(|(column, value)| Ok((column.as_str(), value, place(column)?)));
        let values: Vec<(&str, &config::QueryValue, usize)> = values.collect::<Result<_, String>>()?;

        let mut first: HashMap<Vec<&str>, usize> = HashMap::new();
        let mut samples: Vec<Vec<f64>> = vec![Vec::new(); values.len()];
        let mut of_rows: Vec<Vec<(&str, &str)>> = Vec::with_capacity(rows.len());
        let mut present: Vec<Vec<usize>> = vec![Vec::new(); values.len()];
        for (number, row) in rows.iter().enumerate() {
            let of_row: Vec<(&str, &str)> =
                labels.iter().map(|(label, at)| (*label, row[*at].unwrap_or_default())).collect();
            let key = of_row.iter().map(|(_, text)| *text).collect();
            if let Some(before) = first.insert(key, number) {
                return Err(format!(
                    "row {} has the labels of row {}: {}; add a label column, or GROUP BY",
                    number + 1,
                    before + 1,
                    braced(&of_row)
                ));
            }
            for (at, (column, value, place)) in values.iter().enumerate() {
                let Some(text) = row[*place] else { continue };
                let wrong =
                    |says: &str| Err(format!("row {}: the column `{column}` {says}: {}", number + 1, shown(text)));
                match number_in(text) {
                    None => return wrong("is not a number"),
                    Some(number) if number < 0.0 && value.r#type == QueryValueType::Counter => {
                        return wrong("is negative, and a counter is not");
                    }
                    Some(number) => {
                        samples[at].push(number);
                        present[at].push(of_rows.len());
                    }
                }
            }
            of_rows.push(of_row);
        }
        let series: usize = samples.iter().map(Vec::len).sum();
        if series > self.said.max_series as usize {
            return Err(format!(
                "the answer makes {series} series, and `max_series` is {}; ask for less, or raise it",
                self.said.max_series
            ));
        }

        let mut out = BlockBuilder::new(target);
        out.reserve(series);
        for (at, (_, value, _)) in values.iter().enumerate() {
            let family = out.family(&value.name, kind(value.r#type), value.help.clone());
            for (row, sample) in present[at].iter().zip(&samples[at]) {
                out.sample(family, &of_rows[*row], *sample);
            }
        }
        Ok(out.finish())
    }
}

fn kind(said: QueryValueType) -> Kind {
    match said {
        QueryValueType::Gauge => Kind::Gauge,
        QueryValueType::Counter => Kind::Counter,
        QueryValueType::Untyped => Kind::Untyped,
    }
}

/// A number as servers write them. Words that a parser takes for numbers are a person's words here.
fn number_in(text: &str) -> Option<f64> {
    let is_of_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let number: f64 = text.bytes().all(is_of_number).then(|| text.parse().ok())??;
    number.is_finite().then_some(number)
}

/// What a server said, fit for one line of a log.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(MOST).is_some() { "…" } else { "" };
    format!("`{short}{more}`")
}

fn braced(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels.iter().map(|(label, text)| format!("{label}={}", shown(text))).collect();
    if pairs.is_empty() { "none".to_owned() } else { pairs.join(", ") }
}

fn listed(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().take(20).map(|column| shown(column)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::QueryValue;
    use crate::metrics::{Format, write};

    fn query(labels: &[&str], values: &[(&str, &str, QueryValueType)]) -> Query {
        let value = |name: &str, kind| QueryValue { name: name.to_owned(), r#type: kind, help: "Help.".to_owned() };
        let said = config::Query {
            sql: "SELECT 1".to_owned(),
            every: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            values: values.iter().map(|(column, name, kind)| ((*column).to_owned(), value(name, *kind))).collect(),
            targets: None,
            servers: None,
            max_rows: 1000,
            max_series: 4,
        };
        Query::new("q", &said)
    }

    fn usual() -> Query {
        query(&["shop"], &[("n", "orders", QueryValueType::Gauge), ("all", "orders_total", QueryValueType::Counter)])
    }

    fn told(query: &Query, columns: &[&str], rows: &[&[Option<&str>]]) -> Result<Vec<String>, String> {
        let block = query.read(&Rows::of(columns, rows.iter().map(|row| row.to_vec())), Some("t"))?;
        assert_eq!(block.dropped, Default::default());
        let text = write(&[Arc::new(block)], Format::Text);
        Ok(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
    }

    #[test]
    fn rows_become_samples_and_a_null_none() {
        let rows: &[&[Option<&str>]] = &[
            &[Some("3"), Some("a\"\\\n🦀"), Some("1e3")],
            &[None, None, Some("7.5")],
            &[Some("-0.25"), Some("b"), None],
        ];
        assert_eq!(
            told(&usual(), &["N", "shop", "ALL"], rows),
            Ok(vec![
                "orders{target=\"t\",shop=\"a\\\"\\\\\\n🦀\"} 3".to_owned(),
                "orders{target=\"t\",shop=\"b\"} -0.25".to_owned(),
                "orders_total{target=\"t\",shop=\"a\\\"\\\\\\n🦀\"} 1000".to_owned(),
                "orders_total{target=\"t\",shop=\"\"} 7.5".to_owned(),
            ])
        );
        assert_eq!(told(&usual(), &["n", "shop", "all"], &[]), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_named_with_its_row() {
        let check = |columns: &[&str], rows: &[&[Option<&str>]], expect: &str| {
            assert_eq!(told(&usual(), columns, rows), Err(expect.to_owned()));
        };
        let columns = ["n", "shop", "all"];
        check(&["n", "shop"], &[], "the answer has no column `all`; it has `n`, `shop`");
        check(&["n", "shop", "all", "SHOP"], &[], "the answer has the column `shop` twice; name one otherwise by AS");
        check(
            &columns,
            &[&[Some("1"), Some("a"), None], &[Some("many\n"), Some("b"), None]],
            "row 2: the column `n` is not a number: `many\\n`",
        );
        check(&columns, &[&[Some("NaN"), None, None]], "row 1: the column `n` is not a number: `NaN`");
        check(&columns, &[&[Some(""), None, None]], "row 1: the column `n` is not a number: ``");
        check(
            &columns,
            &[&[None, None, Some("-1")]],
            "row 1: the column `all` is negative, and a counter is not: `-1`",
        );
        check(
            &columns,
            &[&[Some("1"), Some("a"), None], &[Some("1"), Some("b"), None], &[None, Some("a"), None]],
            "row 3 has the labels of row 1: shop=`a`; add a label column, or GROUP BY",
        );
        let names = ["a", "b", "c"].map(|name| [Some("1"), Some(name), Some("2")]);
        let rows: Vec<&[Option<&str>]> = names.iter().map(|row| row.as_slice()).collect();
        check(&columns, &rows, "the answer makes 6 series, and `max_series` is 4; ask for less, or raise it");
        let without = query(&[], &[("n", "orders", QueryValueType::Gauge)]);
        assert_eq!(
            told(&without, &["n"], &[&[Some("1")], &[Some("2")]]),
            Err("row 2 has the labels of row 1: none; add a label column, or GROUP BY".to_owned())
        );
    }

    #[test]
    fn a_query_is_for_the_servers_and_targets_that_are_said() {
        let mut query = usual();
        let server = Server::from_version("11.8.9-MariaDB");
        assert!(query.is_for_server(&server) && query.is_for_target("any"));
        query.said.servers = Some(vec![Servers { is_mariadb: true, least: [10, 6, 0], below: [11, 8, 9] }]);
        query.said.targets = Some(vec!["a".to_owned()]);
        assert!(!query.is_for_server(&server) && query.is_for_target("a") && !query.is_for_target("b"));
        assert!(query.is_for_server(&Server::from_version("11.8.8-MariaDB")));
        assert!(!query.is_for_server(&Server::from_version("10.7.1")));
    }
}
