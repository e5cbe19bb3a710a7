//! What a statement gave back, as text.

use std::ops::Range;

/// A result set of the text protocol.
///
/// A status round has more than a thousand rows of two short values: they lie in one text, not in a text each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    columns: Vec<String>,
    text: String,
    /// Where each value lies in the text, row after row; none for NULL.
    cells: Vec<Option<Range<u32>>>,
}

impl Rows {
    pub fn new(columns: Vec<String>) -> Rows {
        Rows { columns, ..Rows::default() }
    }

    /// Rows of texts, each as long as there are columns.
    pub fn of<'a>(columns: &[&str], rows: impl IntoIterator<Item = Vec<Option<&'a str>>>) -> Rows {
        let mut made = Rows::new(columns.iter().map(|name| name.to_string()).collect());
        for row in rows {
            assert_eq!(row.len(), columns.len(), "a row has a value for each column");
            row.into_iter().for_each(|value| made.push(value.map(str::as_bytes)));
        }
        made
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Adds the next value, of the row that has not all its values yet. What is not UTF-8 is replaced.
    pub(super) fn push(&mut self, value: Option<&[u8]>) {
        let cell = value.map(|bytes| {
            let start = self.text.len() as u32;
            self.text.push_str(&String::from_utf8_lossy(bytes));
            start..self.text.len() as u32
        });
        self.cells.push(cell);
    }

    pub(super) fn push_column(&mut self, name: String) {
        self.columns.push(name);
    }

    pub fn len(&self) -> usize {
        self.cells.len() / self.columns.len().max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each row with its values, in the order of the columns.
    pub fn iter(&self) -> impl Iterator<Item = Vec<Option<&str>>> {
        self.cells.chunks(self.columns.len().max(1)).map(|row| row.iter().map(|cell| self.shown(cell)).collect())
    }

    /// The first column of the first row.
    pub fn scalar(&self) -> Option<&str> {
        self.shown(self.cells.first()?)
    }

    /// Rows as pairs of their first two columns; a NULL reads as empty, and a row without a name is none.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells.chunks(self.columns.len().max(1)).filter_map(|row| {
            let name = self.shown(row.first()?)?;
            Some((name, row.get(1).and_then(|value| self.shown(value)).unwrap_or_default()))
        })
    }

    fn shown(&self, cell: &Option<Range<u32>>) -> Option<&str> {
        cell.as_ref().map(|range| &self.text[range.start as usize..range.end as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were_pushed() {
        let mut rows = Rows::new(vec!["a".to_owned(), "b".to_owned()]);
        for value in [Some(&b"x"[..]), None, Some(b""), Some(b"\xff!")] {
            rows.push(value);
        }
        assert_eq!(rows.iter().collect::<Vec<_>>(), [[Some("x"), None], [Some(""), Some("\u{fffd}!")]]);
        assert_eq!((rows.len(), rows.scalar()), (2, Some("x")));
        assert_eq!(rows.pairs().collect::<Vec<_>>(), [("x", ""), ("", "\u{fffd}!")]);
        let nothing = Rows::default();
        assert_eq!((nothing.len(), nothing.scalar(), nothing.pairs().count()), (0, None, 0));
    }
}
