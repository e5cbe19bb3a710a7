//! Log lines as logfmt: `ts=… level=info message=started targets=2`.
//!
//! Our own, since the crate that is to be had writes Rust's escapes (`\\'`, `\\u{1b}`), which readers of logfmt refuse.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The format.
#[derive(Debug)]
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        write!(out, "ts={} level={level}", humantime::format_rfc3339_millis(UNIX_EPOCH + since))?;
        let mut line = Line::default();
        event.record(&mut line);
        writeln!(out, "{}{}", line.message, line.fields)
    }
}

/// The message stands before the other fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let line = if field.name() == "message" { &mut self.message } else { &mut self.fields };
        line.push(' ');
        line.push_str(field.name());
        line.push('=');
        push_value(line, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Quoted where a reader would stop too early, with the escapes of JSON.
fn push_value(line: &mut String, value: &str) {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        return line.push_str(value);
    }
    line.push('"');
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_control() => drop(write!(line, "\\u{:04x}", c as u32)),
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_a_reader_would_stop_too_early() {
        for (value, shown) in [
            ("plain-1.5s", "plain-1.5s"),
            ("user 'a'@'b'", "\"user 'a'@'b'\""),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
            ("say \"x\"\\", "\"say \\\"x\\\"\\\\\""),
            ("\u{1b}[31m\nü", "\"\\u001b[31m\\nü\""),
        ] {
            let mut line = String::new();
            push_value(&mut line, value);
            assert_eq!(line, shown);
        }
    }
}
