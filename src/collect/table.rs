//! Rows whose columns are labels and values: what most collectors read.

use super::value::number;
use crate::metrics::{BlockBuilder, Family, Kind};
use crate::mysql::rows::Rows;

/// A value of each row: the column that it is in, the family that it belongs to, and what it is divided by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) column: &'static str,
    pub(super) family: &'static Family,
    pub(super) divisor: f64,
    /// A label of its own besides the row's, such as the operation that it counts.
    pub(super) own: Option<(&'static str, &'static str)>,
}

/// Performance schema counts picoseconds.
pub(super) const PICOSECONDS: f64 = 1e12;

/// A column that is shown as it is.
pub(super) const fn plain(column: &'static str, family: &'static Family) -> Value {
    Value { column, family, divisor: 1.0, own: None }
}

pub(super) const fn scaled(column: &'static str, family: &'static Family, divisor: f64) -> Value {
    Value { column, family, divisor, own: None }
}

pub(super) const fn labelled(
    column: &'static str,
    family: &'static Family,
    divisor: f64,
    own: (&'static str, &'static str),
) -> Value {
    Value { column, family, divisor, own: Some(own) }
}

/// Writes every row: `labels` name a label and the column that it comes from. A column that the answer does not have
/// gives no samples; a NULL in a label is empty, in a value none.
pub(super) fn write(rows: &Rows, labels: &[(&'static str, &'static str)], values: &[Value], out: &mut BlockBuilder) {
    let place = |column: &str| rows.columns().iter().position(|known| known.eq_ignore_ascii_case(column));
    let labels: Vec<(&str, Option<usize>)> = labels.iter().map(|(label, column)| (*label, place(column))).collect();
    let values: Vec<(Value, usize)> = values.iter().filter_map(|value| Some((*value, place(value.column)?))).collect();
    out.reserve(rows.len() * values.len());
    for (value, at) in values {
        let family = out.family(value.family.name, value.family.kind, value.family.help());
        for row in rows.iter() {
            let Some(sample) = row[at].and_then(number) else { continue };
            let of_row = labels.iter().map(|(label, at)| (*label, at.and_then(|at| row[at]).unwrap_or_default()));
            let of_row: Vec<(&str, &str)> = of_row.chain(value.own).collect();
            out.sample(family, &of_row, sample / value.divisor);
        }
    }
}

/// Writes the columns that nobody knows as families without a type, named after them.
pub(super) fn write_others(
    rows: &Rows,
    prefix: &str,
    labels: &[(&'static str, &'static str)],
    is_known: impl Fn(&str) -> bool,
    out: &mut BlockBuilder,
) {
    let place = |column: &str| rows.columns().iter().position(|known| known.eq_ignore_ascii_case(column));
    for (at, column) in rows.columns().iter().enumerate().filter(|(_, column)| !is_known(column)) {
        let help = format!("{} as the server has it.", column.to_ascii_uppercase());
        let family = out.family(&format!("{prefix}{}", column.to_ascii_lowercase()), Kind::Untyped, help);
        for row in rows.iter() {
            let Some(value) = row[at].and_then(number) else { continue };
            let of_row =
                labels.iter().map(|(label, column)| (*label, place(column).and_then(|at| row[at]).unwrap_or_default()));
            out.sample(family, &of_row.collect::<Vec<_>>(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, write as shown};

    static READS: Family = Family::new("reads_total", Kind::Counter, &["table", "kind"], &[], "Reads.");

    #[test]
    fn rows_are_labels_and_values() {
        let rows = Rows::of(
            &["T", "READS", "OTHER"],
            [vec![Some("a"), Some("3000"), Some("1")], vec![None, Some("5"), None], vec![Some("b"), None, Some("x")]],
        );
        let mut out = BlockBuilder::new(None);
        let values = [labelled("reads", &READS, 1e3, ("kind", "k")), plain("absent", &READS)];
        write(&rows, &[("table", "t")], &values, &mut out);
        write_others(&rows, "p_", &[("table", "t")], |column| column != "OTHER", &mut out);
        let text = shown(&[std::sync::Arc::new(out.finish())], Format::Text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "p_other{table=\"a\"} 1",
            "reads_total{table=\"a\",kind=\"k\"} 3",
            "reads_total{table=\"\",kind=\"k\"} 0.005",
        ];
        assert_eq!(lines, expected);
    }
}
