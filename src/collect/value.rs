//! How what the server writes becomes a number and a name: mysqld_exporter's rules.
//!
//! Dashboards were made with these values, the odd ones too. What is no number by these rules has no sample.
//! Two spellings that its number parser accepts are left out on purpose, `0x1p4` and `1_000`: no server writes a
//! number that way, but a person may well name a host so. One thing is added: the number of a binary log file, which
//! the same rules were meant to give.

use crate::mysql::rows::Rows;

/// The number in the row that has this variable's name, whatever the case.
pub fn value(rows: &Rows, variable: &str) -> Option<f64> {
    let (_, text) = rows.pairs().find(|(name, _)| name.eq_ignore_ascii_case(variable))?;
    number(text)
}

/// The number that a value stands for, if it does.
pub(super) fn number(text: &str) -> Option<f64> {
    match text.as_bytes() {
        [] => None,
        // Most values are counters, most counters are short.
        digits if digits.len() < 16 && digits.iter().all(u8::is_ascii_digit) => {
            Some(digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')) as f64)
        }
        [b'0'..=b'9', ..] => float(text).or_else(|| moment(text)).or_else(|| log_file(text)),
        _ => word(text).or_else(|| float(text)).or_else(|| certificate_date(text)).or_else(|| log_file(text)),
    }
}

/// Switches, and the states of replication threads and of Galera's cluster status.
fn word(text: &str) -> Option<f64> {
    let any_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if any_of(&["on", "yes", "primary"]) {
        Some(1.0)
    } else if any_of(&["off", "no", "disabled", "connecting", "non-primary", "disconnected"]) {
        Some(0.0)
    } else {
        None
    }
}

/// A number as Go reads it: an overflow is none, and `nan` has no sign.
fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let spelt_out = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
    (value.is_finite() || (spelt_out && !(value.is_nan() && text.len() != 3))).then_some(value)
}

/// `2024-02-29 12:34:56`, the time of a maximum. The server writes it in its own time zone and does not say which, so
/// it is read as UTC, as it always was.
fn moment(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(' ')?;
    let mut date = date.split('-');
    let year = digits(date.next()?, 4..=4)?;
    let month = digits(date.next()?, 2..=2)?;
    let day = digits(date.next()?, 2..=2)?;
    match date.next() {
        Some(_) => None,
        None => unix_time(year, month, day, time.trim_start_matches(' ')),
    }
}

/// `Apr  9 17:31:45 2036 GMT`, as OpenSSL prints the dates of a certificate.
fn certificate_date(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let name = words.next()?;
    let month = 1 + MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month))? as u64;
    let day = digits(words.next()?, 1..=2)?;
    let time = words.next()?;
    let year = digits(words.next()?, 4..=4)?;
    let zone = words.next()?;
    let zone_is_named = matches!(zone.len(), 3 | 4) && zone.bytes().all(|byte| byte.is_ascii_uppercase());
    match words.next() {
        None if zone_is_named => unix_time(year, month, day, time),
        _ => None,
    }
}

fn unix_time(year: u64, month: u64, day: u64, time: &str) -> Option<f64> {
    // Fractions of a second are cut off.
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    digits(fraction, 1..=9)?;
    let mut time = time.split(':');
    let hour = digits(time.next()?, 1..=2).filter(|hour| *hour < 24)?;
    let minute = digits(time.next()?, 2..=2).filter(|minute| *minute < 60)?;
    let second = digits(time.next()?, 2..=2).filter(|second| *second < 60)?;
    if time.next().is_some() || day == 0 || day > days_in(year, month)? {
        return None;
    }
    let days = days_since_epoch(year as i64, month as i64, day as i64);
    Some((days * 86_400) as f64 + (hour * 3600 + minute * 60 + second) as f64)
}

fn days_in(year: u64, month: u64) -> Option<u64> {
    match month {
        4 | 6 | 9 | 11 => Some(30),
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => Some(29),
        2 => Some(28),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Days between 1970-01-01 and a date of the Gregorian calendar. Counting years from March puts the odd day last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Day 719 468 of this count, which begins at 0000-03-01, is 1970-01-01.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `binlog.000123` is 123. mysqld_exporter has this rule in its source, but there it never matches: it then reads the
/// whole name as the number. Six digits and a name that is no number keep versions and addresses out.
fn log_file(text: &str) -> Option<f64> {
    let (name, suffix) = text.rsplit_once('.')?;
    let named = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    digits(suffix, 6..=10).filter(|_| named).map(|number| number as f64)
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if length.contains(&text.len()) && all_digits { text.parse().ok() } else { None }
}

/// A metric's name made of a fixed prefix and a variable's name, in one buffer for all rows.
#[derive(Debug)]
pub(super) struct Name {
    text: String,
    prefix: usize,
}

impl Name {
    pub(super) fn with_prefix(prefix: &'static str) -> Name {
        let mut text = String::with_capacity(prefix.len() + 64);
        text.push_str(prefix);
        Name { text, prefix: prefix.len() }
    }

    /// Lower case, with `_` for every character that a metric's name cannot have.
    pub(super) fn set(&mut self, variable: &str) {
        self.text.truncate(self.prefix);
        let unsafe_byte = |byte: u8| !(byte.is_ascii_alphanumeric() | (byte == b'_'));
        // To the end in any case, so that the compiler takes sixteen bytes at once.
        if variable.bytes().fold(0, |found, byte| found | u8::from(unsafe_byte(byte))) == 0 {
            self.text.push_str(variable);
        } else {
            self.text.extend(variable.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }));
        }
        self.text[self.prefix..].make_ascii_lowercase();
    }

    pub(super) fn metric(&self) -> &str {
        &self.text
    }

    pub(super) fn variable(&self) -> &str {
        &self.text[self.prefix..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<f64>) {
        let found = number(text);
        let same = match (found, expect) {
            (Some(found), Some(expect)) => found == expect || (found.is_nan() && expect.is_nan()),
            (found, expect) => found == expect,
        };
        assert!(same, "{text:?} is {found:?}, not {expect:?}");
    }

    // Each value was given to a real server's `init_connect` and read back from mysqld_exporter 0.19.
    #[test]
    fn numbers_are_read_as_the_incumbent_reads_them() {
        for (text, expect) in [
            ("0", 0.0),
            ("00012", 12.0),
            ("-5", -5.0),
            ("+5", 5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1.5", 1.5),
            ("10.11", 10.11),
            ("0.000000", 0.0),
            ("1e3", 1000.0),
            ("1e-3", 0.001),
            ("9007199254740993", 9007199254740992.0),
            ("18446744073709551615", 18446744073709551615.0),
            ("inf", f64::INFINITY),
            ("INFINITY", f64::INFINITY),
            ("+infinity", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("NaN", f64::NAN),
        ] {
            check(text, Some(expect));
        }
    }

    #[test]
    fn what_is_no_number_has_no_sample() {
        for text in [
            "",
            "-",
            ".",
            " 5",
            "5 ",
            "0x10",
            "0b1",
            "0o7",
            "1e",
            "e1",
            "1e400",
            "-nan",
            "1,000",
            "127.0.0.1",
            "9.7.4",
            "10.11.19-MariaDB",
            "true",
            "TRUE",
            "enabled",
            "TLSv1.2,TLSv1.3",
            "utf8mb4",
            "é",
            "0x1p4",
            "1_000",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn switches_and_states_are_one_or_zero() {
        for text in ["ON", "YES", "Yes", "Primary"] {
            check(text, Some(1.0));
        }
        for text in ["OFF", "No", "DISABLED", "Connecting", "non-Primary", "Disconnected"] {
            check(text, Some(0.0));
        }
    }

    #[test]
    fn both_kinds_of_dates_are_unix_time() {
        for (text, expect) in [
            ("1970-01-01 00:00:00", 0.0),
            ("1969-12-31 23:59:59", -1.0),
            ("2000-03-01 00:00:00", 951868800.0),
            ("2024-02-29 12:34:56", 1709210096.0),
            ("2024-02-29  12:34:56", 1709210096.0),
            ("2024-02-29 12:34:56.789", 1709210096.0),
            ("2024-02-29 2:34:56", 1709174096.0),
            ("Apr 29 17:31:45 2036 GMT", 2093103105.0),
            ("apr 29 7:31:45 2036 UTC", 2093067105.0),
            ("Apr  9 17:31:45 2036 GMT", 2091375105.0),
            ("Apr 9 17:31:45 2036 CET", 2091375105.0),
        ] {
            check(text, Some(expect));
        }
        for text in [
            "0000-00-00 00:00:00",
            "2023-02-29 12:34:56",
            "2100-02-29 12:34:56",
            "2024-2-29 12:34:56",
            "2024-02-29 23:59:60",
            "2024-02-29 24:00:00",
            "2024-02-29T12:34:56",
            "2024-02-29",
            "Apr 29 17:31:45 2036",
            "Apr 29 17:31:45 2036 gmt",
            "April 29 17:31:45 2036 GMT",
            "Feb 30 17:31:45 2036 GMT",
            "Apr 29 17:31:45 2036 GMT x",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_log_file_is_its_number() {
        check("mysql-bin.000123", Some(123.0));
        check("db1-bin.1000000", Some(1000000.0));
        check("mysql-bin.index", None);
        check("mysql-bin.12", None);
    }

    #[test]
    fn names_are_lower_case_and_safe() {
        let mut name = Name::with_prefix("mysql_global_status_");
        name.set("Threads_connected");
        assert_eq!(name.metric(), "mysql_global_status_threads_connected");
        name.set("Ünsafe.Na-me:x");
        assert_eq!(name.variable(), "_nsafe_na_me_x");
    }

    #[test]
    fn one_value_is_found_by_its_name() {
        let rows = [vec![None, None], vec![Some("Uptime"), None], vec![Some("Threads_connected"), Some("7")]];
        let rows = Rows::of(&["Variable_name", "Value"], rows);
        assert_eq!(value(&rows, "threads_connected"), Some(7.0));
        assert_eq!(value(&rows, "Uptime"), None);
        assert_eq!(value(&rows, "Connections"), None);
    }
}
