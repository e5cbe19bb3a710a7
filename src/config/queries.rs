//! What the settings of queries must be beside each other, within a query and among all.

use std::collections::BTreeMap;
use std::time::Duration;

use super::layer::Leaf;
use super::merge::Merged;
use super::mistakes::Mistakes;
use super::origin::{Origin, Place};
use super::query::servers::Servers;
use super::settings::nearest;
use super::value::{Value, spelled};

/// Judges each query, and no two may give the same family otherwise, or to the same server.
pub(crate) fn judge(merged: &mut Merged, mistakes: &mut Mistakes) {
    let queries: Vec<(String, Place)> = merged.queries.iter().map(|(name, at)| (name.clone(), at.clone())).collect();
    for (query, place) in &queries {
        deadline(merged, query, mistakes);
        let missing = |key: &str, example: &str, mistakes: &mut Mistakes| {
            mistakes.at(place, &format!("queries.{query}"), format!("set without `{key}`; {example}"));
        };
        if merged.of_query(query, "sql").is_none() {
            missing(
                "sql",
                "write the statement, such as `sql: SELECT COUNT(*) AS waiting FROM sales.orders`",
                mistakes,
            );
        }
        if merged.columns[query].is_empty() {
            missing(
                "values",
                "write below it which columns are values, each with its metric's `name` and `help`",
                mistakes,
            );
        }
        columns(merged, query, mistakes);
        targets(merged, query, mistakes);
    }
    families(merged, mistakes);
}

fn span(merged: &Merged, query: &str, key: &str) -> Option<(Duration, Origin)> {
    match merged.of_query(query, key) {
        Some(Leaf { value: Some(Value::Span(duration)), origin }) => Some((*duration, origin.clone())),
        _ => None,
    }
}

/// A deadline is within the interval. One that nobody said gives way.
fn deadline(merged: &mut Merged, query: &str, mistakes: &mut Mistakes) {
    let (Some((timeout, of_timeout)), Some((every, _))) =
        (span(merged, query, "timeout"), span(merged, query, "every"))
    else {
        return;
    };
    if timeout <= every {
        return;
    }
    if of_timeout.place == Place::Default {
        let path = ["queries", query, "timeout"].map(str::to_owned).to_vec();
        return merged.conclude(path, Leaf { value: Some(Value::Span(every)), origin: of_timeout });
    }
    let says = format!("`{}` is longer than `every`, which is {}", spelled(timeout), spelled(every));
    mistakes.add(Some(&of_timeout), "", says);
}

fn columns(merged: &Merged, query: &str, mistakes: &mut Mistakes) {
    let mut spelled: BTreeMap<String, &str> = BTreeMap::new();
    if let Some(Leaf { value: Some(Value::List(labels)), origin }) = merged.of_query(query, "labels") {
        for label in labels {
            if let Some(other) = spelled.insert(label.to_ascii_lowercase(), label) {
                mistakes.add(Some(origin), "", format!("`{label}` and `{other}` are one column; name it once"));
            }
        }
    }
    for (column, place) in &merged.columns[query] {
        let path = format!("queries.{query}.values.{column}");
        if column.is_empty() {
            mistakes.at(place, &path, "a column has a name; call it by `AS`");
        } else if let Some(other) = spelled.insert(column.to_ascii_lowercase(), column) {
            let says = format!("this column is `{other}` already, as servers do not tell the cases of letters apart");
            mistakes.at(place, &path, says);
        }
        for (key, example) in
            [("name", "name the metric that it becomes"), ("help", "say what the metric means, in a sentence")]
        {
            if merged.of_column(query, column, key).is_none() {
                mistakes.at(place, &path, format!("set without `{key}`; {example}"));
            }
        }
        let (Some((name, origin)), Some((kind, _))) =
            (text(merged, query, column, "name"), text(merged, query, column, "type"))
        else {
            continue;
        };
        match (name.ends_with("_total"), kind) {
            (true, "gauge" | "untyped") => {
                let says = format!("`{name}` ends in `_total`, which says that it is a counter; it is {kind}");
                mistakes.add(Some(origin), "", says);
            }
            (false, "counter") => {
                mistakes.add(Some(origin), "", format!("`{name}` is a counter; let it end in `_total`"));
            }
            _ => {}
        }
    }
}

fn text<'m>(merged: &'m Merged, query: &str, column: &str, key: &str) -> Option<(&'m str, &'m Origin)> {
    match merged.of_column(query, column, key) {
        Some(Leaf { value: Some(Value::Text(text)), origin }) => Some((text, origin)),
        _ => None,
    }
}

fn list<'m>(merged: &'m Merged, query: &str, key: &str) -> Option<(&'m [String], &'m Origin)> {
    match merged.of_query(query, key) {
        Some(Leaf { value: Some(Value::List(items)), origin }) => Some((items, origin)),
        _ => None,
    }
}

fn targets(merged: &Merged, query: &str, mistakes: &mut Mistakes) {
    let Some((targets, origin)) = list(merged, query, "targets") else { return };
    for target in targets.iter().filter(|target| !merged.targets.contains_key(*target)) {
        let known = merged.targets.keys().map(String::as_str);
        let hint = match nearest(target, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.take(20).collect::<Vec<_>>().join(", ")),
        };
        mistakes.add(Some(origin), "", format!("`{target}` is not a target; {hint}"));
    }
}

/// What one query says of a family.
struct Said<'m> {
    query: &'m str,
    column: &'m str,
    kind: &'m str,
    help: &'m str,
    labels: &'m [String],
}

/// A family has one type, one help and one set of labels; and a server is asked for it by one query.
fn families(merged: &Merged, mistakes: &mut Mistakes) {
    let mut first: BTreeMap<&str, Vec<Said<'_>>> = BTreeMap::new();
    for (query, columns) in &merged.columns {
        for column in columns.keys() {
            let (Some((name, origin)), Some((kind, _))) =
                (text(merged, query, column, "name"), text(merged, query, column, "type"))
            else {
                continue;
            };
            let help = text(merged, query, column, "help").map_or("", |(help, _)| help);
            let labels = list(merged, query, "labels").map_or(&[][..], |(labels, _)| labels);
            let said = Said { query, column, kind, help, labels };
            let others = first.entry(name).or_default();
            if let Some(says) = others.iter().find_map(|other| clash(merged, name, other, &said)) {
                mistakes.add(Some(origin), "", says);
            }
            others.push(said);
        }
    }
}

fn clash(merged: &Merged, name: &str, one: &Said<'_>, other: &Said<'_>) -> Option<String> {
    let at = format!("`queries.{}.values.{}`", one.query, one.column);
    if one.query == other.query || !are_apart(merged, one.query, other.query) {
        let way = match one.query == other.query {
            true => "choose another name",
            false => "choose another name, or keep their `servers` or `targets` apart",
        };
        return Some(format!("{at} is called `{name}` too; {way}"));
    }
    let differs = match () {
        () if one.kind != other.kind => "type",
        () if one.help != other.help => "help",
        () if one.labels != other.labels => "labels",
        () => return None,
    };
    Some(format!("{at} is called `{name}` too and has another `{differs}`; a family has one"))
}

/// Whether no server is asked both.
fn are_apart(merged: &Merged, one: &str, other: &str) -> bool {
    let targets = [one, other].map(|query| list(merged, query, "targets").map(|(targets, _)| targets));
    if let [Some(one), Some(other)] = targets
        && !one.iter().any(|target| other.contains(target))
    {
        return true;
    }
    let servers = [one, other].map(|query| {
        let (texts, _) = list(merged, query, "servers")?;
        texts.iter().map(|text| Servers::parse(text).ok()).collect::<Option<Vec<Servers>>>()
    });
    match servers {
        [Some(one), Some(other)] => !one.iter().any(|servers| other.iter().any(|more| servers.meets(more))),
        _ => false,
    }
}
