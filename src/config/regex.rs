//! Whether a text can be a regular expression of a server.
//!
//! The expression is the server's to read, and MySQL 5.7, MySQL 8 and MariaDB have three different libraries for it.
//! Here is found only what none of them takes, so that a slip of the pen shows at the start and not as a collector that
//! fails.

/// What is wrong with it on every server, if anything.
pub(crate) fn flaw(text: &str) -> Option<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut open = 0;
    let mut at = 0;
    // Whether a quantifier would have nothing before it.
    let mut begins = true;
    while let Some(letter) = letters.get(at).copied() {
        let is_quantifier = matches!(letter, '*' | '+' | '?');
        match letter {
            '\\' if at + 1 == letters.len() => return Some("it ends with `\\`".to_owned()),
            '\\' => at += 1,
            '[' => match class(&letters, at) {
                Some(end) => at = end,
                None => return Some("`[` has no `]`".to_owned()),
            },
            '(' => {
                open += 1;
                // `(?i)` and the like.
                at += usize::from(letters.get(at + 1) == Some(&'?'));
            }
            ')' if open == 0 => return Some("`)` has no `(`".to_owned()),
            ')' => open -= 1,
            _ if is_quantifier && begins => return Some(format!("nothing is before `{letter}`")),
            _ => {}
        }
        begins = matches!(letter, '(' | '|');
        at += 1;
    }
    (open > 0).then(|| "`(` has no `)`".to_owned())
}

/// Where the class of characters that begins at `[` ends. A `]` that comes first is one of its characters.
fn class(letters: &[char], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    at += usize::from(letters.get(at) == Some(&'^'));
    at += usize::from(letters.get(at) == Some(&']'));
    loop {
        match letters.get(at)? {
            ']' => return Some(at),
            '\\' => at += 2,
            '[' if letters.get(at + 1) == Some(&':') => {
                at += 2 + letters[at + 2..].windows(2).position(|pair| pair == [':', ']'])? + 2;
            }
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(flaw(text).as_deref(), expect, "{text}");
    }

    #[test]
    fn what_no_server_takes_is_found() {
        check("(ibd", Some("`(` has no `)`"));
        check("ibd)", Some("`)` has no `(`"));
        check("[a-z", Some("`[` has no `]`"));
        check("*.ibd", Some("nothing is before `*`"));
        check("a|+b", Some("nothing is before `+`"));
        check("ibd\\", Some("it ends with `\\`"));
    }

    #[test]
    fn what_some_server_takes_is_left_to_it() {
        for good in [".*", "\\.ibd$", "^/(data|log)/[^/]+\\.ib[dt]$", "(?i)IBD", "[]a]", "[[:alpha:]]+?", "\\(", "a{2}"]
        {
            check(good, None);
        }
    }
}
