//! `information_schema.QUERY_RESPONSE_TIME`: statements by how long they took, where the plugin is there and on.

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::value::number;
use crate::metrics::{BlockBuilder, Family};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.query_response_time",
    summary: "How long statements took (information_schema.QUERY_RESPONSE_TIME, a plugin)",
    default_on: true,
    pace: Pace::Round,
    needs: Needs {
        variables: &["query_response_time_stats"],
        tables: &["information_schema.query_response_time_read", "information_schema.query_response_time_write"],
    },
    ask,
    read,
};

crate::metrics! {
    /// Seconds that statements took, as the server counts them (plugin query_response_time).
    ALL: histogram "mysql_info_schema_query_response_time_seconds" {};
    /// Seconds that reading statements took, as the server counts them (QUERY_RESPONSE_TIME_READ of Percona and newer MariaDB).
    READ: histogram "mysql_info_schema_read_query_response_time_seconds" {};
    /// Seconds that writing statements took, as the server counts them (QUERY_RESPONSE_TIME_WRITE of Percona and newer MariaDB).
    WRITE: histogram "mysql_info_schema_write_query_response_time_seconds" {};
}

fn ask(known: &Known) -> Ask {
    // The variable comes with the plugin.
    if known.facts.variable("query_response_time_stats").is_none() {
        return Ask::skip(Why::Version);
    }
    if !known.facts.is_on("query_response_time_stats") {
        return Ask::skip(Why::Off);
    }
    let of = |table: &str| format!("SELECT TIME, COUNT, TOTAL FROM information_schema.{table}").into();
    Ask::All(tables(known).iter().map(|table| of(table)).collect())
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    for (rows, family) in answers.iter().zip([&ALL, &READ, &WRITE]) {
        histogram(rows, family, out);
    }
}

const TABLES: [&str; 3] = ["QUERY_RESPONSE_TIME", "QUERY_RESPONSE_TIME_READ", "QUERY_RESPONSE_TIME_WRITE"];

/// Percona tells reads and writes apart besides, and so does newer MariaDB.
fn tables(known: &Known) -> &'static [&'static str] {
    let has = |table: &str| known.facts.has_table(&format!("information_schema.{}", table.to_ascii_lowercase()));
    if TABLES[1..].iter().all(|table| has(table)) { &TABLES } else { &TABLES[..1] }
}

fn histogram(rows: &Rows, family: &'static Family, out: &mut BlockBuilder) {
    let (mut buckets, mut count, mut sum) = (Vec::new(), 0, 0.0);
    for row in rows.iter() {
        let [Some(bound), Some(of_bound), total] = row[..] else { continue };
        count += number(of_bound.trim()).unwrap_or_default() as u64;
        // The last row, TOO LONG, has no bound and no sum.
        if let Some(bound) = number(bound.trim()) {
            sum += total.and_then(|total| number(total.trim())).unwrap_or_default();
            buckets.push((bound_text(bound), count));
        }
    }
    let family = out.family(family.name, family.kind, family.help());
    out.histogram(family, &[], buckets.iter().map(|(bound, count)| (bound.as_str(), *count)), count, sum);
}

/// As Go writes it: `1e-06`, `0.0001`, `10`, `1e+06`.
fn bound_text(bound: f64) -> String {
    let scientific = format!("{bound:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => bound.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_they_always_were() {
        for (bound, text) in [(0.000001, "1e-06"), (0.00001, "1e-05"), (0.0001, "0.0001"), (10.0, "10"), (1e6, "1e+06")]
        {
            assert_eq!(bound_text(bound), text);
        }
    }
}
