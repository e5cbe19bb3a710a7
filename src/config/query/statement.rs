//! Whether a statement only reads, as far as its text tells: the rest is for the server to refuse.
//!
//! A statement runs in a read-only transaction, where a server refuses what writes. What would end that transaction first
//! (DDL commits), write outside of it (`INTO OUTFILE`), hold locks or hide what it does is refused here.

/// What a statement may begin with.
const READING: [&str; 5] = ["SELECT", "WITH", "SHOW", "TABLE", "VALUES"];

/// The longest statement: far above what is typed, far below what a server takes.
const LONGEST: usize = 64 << 10;

/// What is wrong with a statement, if anything.
pub(crate) fn flaw(sql: &str) -> Option<String> {
    if sql.len() > LONGEST {
        return Some(format!("is {} KiB long; a statement has at most {} KiB", sql.len() >> 10, LONGEST >> 10));
    }
    let words = match words(sql) {
        Ok(words) => words,
        Err(says) => return Some(says),
    };
    let all = || READING.join(", ");
    let Some(first) = words.iter().find(|word| **word != "(") else {
        return Some(format!("holds no statement; write one that begins with {}", all()));
    };
    if !READING.iter().any(|reading| first.eq_ignore_ascii_case(reading)) {
        return Some(format!("begins with `{}`; a query only reads: begin it with {}", shown(first), all()));
    }
    if let Some(at) = words.iter().position(|word| *word == ";")
        && at + 1 < words.len()
    {
        return Some(format!("is followed by another one (`{}`); write one statement a query", shown(words[at + 1])));
    }
    let is = |at: usize, wanted: &str| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(wanted));
    for at in 0..words.len() {
        if is(at, "INTO") {
            return Some("has `INTO`, which writes to a file or a variable; a query only reads".to_owned());
        }
        if is(at, "FOR") && (is(at + 1, "UPDATE") || is(at + 1, "SHARE")) {
            return Some(format!("locks what it reads (`FOR {}`); leave that out", words[at + 1].to_ascii_uppercase()));
        }
        if is(at, "LOCK") && is(at + 1, "IN") {
            return Some("locks what it reads (`LOCK IN SHARE MODE`); leave that out".to_owned());
        }
    }
    None
}

/// A word of the operator's, fit for a message.
fn shown(word: &str) -> String {
    word.chars().take(40).collect()
}

/// Words and signs, without comments and without what is quoted.
fn words(sql: &str) -> Result<Vec<&str>, String> {
    let mut words = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => quoted(rest, first)?,
            '#' => line(rest),
            '-' if rest.starts_with("--") && rest[2..].chars().next().is_none_or(char::is_whitespace) => line(rest),
            '/' if rest.starts_with("/*") => comment(rest)?,
            _ if is_of_word(first) => rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        let is_comment = word.starts_with('#') || word.starts_with("--") || word.starts_with("/*");
        if !is_comment {
            words.push(word);
        }
        rest = after.trim_start();
    }
    Ok(words)
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$' | '@')
}

fn line(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

fn comment(rest: &str) -> Result<usize, String> {
    if rest.starts_with("/*!") || rest.starts_with("/*M!") {
        return Err("has a comment that the server runs (`/*!`); write what it is to do".to_owned());
    }
    match rest.find("*/") {
        Some(end) => Ok(end + 2),
        None => Err("has a comment without an end (`*/`)".to_owned()),
    }
}

/// Up to the closing quote, which is doubled within.
fn quoted(rest: &str, quote: char) -> Result<usize, String> {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote != '`' => drop(letters.next()),
            _ if letter != quote => {}
            _ if letters.peek().is_some_and(|(_, next)| *next == quote) => drop(letters.next()),
            _ => return Ok(at + letter.len_utf8()),
        }
    }
    Err(format!("has a text or name without its closing {quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_good() {
        for sql in [
            "SELECT 1",
            "select COUNT(*) AS n from t;",
            "  -- rows\n # more\n /* and */ (SELECT 1) UNION (SELECT 2) ; -- end",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "SHOW GLOBAL STATUS LIKE 'Threads%'",
            "TABLE t LIMIT 3",
            "VALUES ROW(1, 2)",
            "SELECT /*+ MAX_EXECUTION_TIME(10) */ 'a;b', \"INTO\", `for``update`, 'it''s \\' INTO' FROM t",
            "SELECT 1--1",
        ] {
            assert_eq!(flaw(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_does_more_is_named() {
        for (sql, says) in [
            ("", "holds no statement"),
            ("-- SELECT 1", "holds no statement"),
            ("DROP TABLE t", "begins with `DROP`"),
            ("/* SELECT */ delete from t", "begins with `delete`"),
            ("SELECT 1; DROP TABLE t", "followed by another one (`DROP`)"),
            ("SELECT ';'; SELECT 2", "followed by another one (`SELECT`)"),
            ("SELECT 1 INTO OUTFILE '/tmp/x'", "has `INTO`"),
            ("SELECT 1 FROM t FOR\n UPDATE", "locks what it reads (`FOR UPDATE`)"),
            ("SELECT 1 FROM t LOCK IN SHARE MODE", "LOCK IN SHARE MODE"),
            ("SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */", "a comment that the server runs"),
            ("SELECT 1 /*M!100100 , SLEEP(1) */", "a comment that the server runs"),
            ("SELECT 'a", "without its closing '"),
            ("SELECT 1 /* a", "without an end"),
        ] {
            let flaw = flaw(sql).unwrap_or_default();
            assert!(flaw.contains(says), "{sql}: {flaw}");
        }
    }
}
