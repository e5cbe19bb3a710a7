//! HTML as text: the one place where something that is not ours becomes part of it.

use std::fmt::{self, Display, Write};
use std::time::{Duration, SystemTime};

/// Names, addresses and what a server answers are text, never markup.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(out), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                other => self.0.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The link to a target's own page. Whatever stands in a name is a part of the parameter's value.
pub(super) struct LinkTo<'a>(pub(super) &'a str);

impl Display for LinkTo<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("./?target=")?;
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.write_char(char::from(byte))?,
                other => write!(out, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

/// A time of the day in UTC, and the date too where that is another one.
pub(super) struct Clock {
    pub(super) at: SystemTime,
    pub(super) now: SystemTime,
}

impl Display for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |at| humantime::format_rfc3339_seconds(at).to_string();
        let (at, now) = (text(self.at), text(self.now));
        let (date, time) = at.split_once('T').unwrap_or((&at, ""));
        let time = time.trim_end_matches('Z');
        write!(out, "<time datetime=\"{at}\">")?;
        if !now.starts_with(date) {
            write!(out, "{date} ")?;
        }
        write!(out, "{time}</time>")
    }
}

/// How long something has lasted, to the two largest units.
pub(super) fn since(at: SystemTime, now: SystemTime) -> String {
    let lasted = now.duration_since(at).unwrap_or_default();
    let whole = humantime::format_duration(Duration::from_secs(lasted.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Writes to a page.
macro_rules! html {
    ($out:expr, $($text:tt)*) => {
        std::fmt::Write::write_fmt($out, format_args!($($text)*)).expect("writing to a String cannot fail")
    };
}

pub(super) use html;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_is_text_stays_text() {
        assert_eq!(Text("<a href='x'>\"&\"</a>").to_string(), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;");
        assert_eq!(LinkTo("a b/ü&\"<x>").to_string(), "./?target=a%20b%2F%C3%BC%26%22%3Cx%3E");
    }

    #[test]
    fn times_are_short() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let shown = |now| Clock { at: at(86_399), now: at(now) }.to_string();
        assert_eq!(shown(86_399), "<time datetime=\"1970-01-01T23:59:59Z\">23:59:59</time>");
        assert_eq!(shown(86_400), "<time datetime=\"1970-01-01T23:59:59Z\">1970-01-01 23:59:59</time>");
        assert_eq!(since(at(10), at(10 + 3_725)), "1h 2m");
        assert_eq!((since(at(10), at(11)), since(at(10), at(3))), ("1s".to_owned(), "0s".to_owned()));
    }
}
