//! What a statement gave back, as text.

/// A result set of the text protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// The first column of the first row.
    pub fn scalar(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }

    /// Rows as pairs of their first two columns; a NULL reads as empty.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows.iter().filter_map(|row| {
            let name = row.first()?.as_deref()?;
            Some((name, row.get(1).and_then(|value| value.as_deref()).unwrap_or_default()))
        })
    }
}
