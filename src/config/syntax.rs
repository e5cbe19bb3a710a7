//! What is wrong with a text that is not YAML, or more of it than a configuration needs.

use saphyr_parser::{Marker, ScanError};

/// A place in a text: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub line: usize,
    pub column: usize,
}

impl From<Marker> for Spot {
    fn from(mark: Marker) -> Spot {
        Spot { line: mark.line(), column: mark.col() + 1 }
    }
}

pub(crate) const NO_ANCHOR: &str =
    "`&` begins an anchor; what targets share goes under `defaults:`, and text that begins with `&` wants quotes";
pub(crate) const NO_ALIAS: &str =
    "`*` begins an alias; what targets share goes under `defaults:`, and text that begins with `*` wants quotes";
pub(crate) const NO_TAG: &str =
    "`!` begins a tag, which a configuration does not need; text that begins with `!` wants quotes";
pub(crate) const TOO_DEEP: &str = "this is nested deeper than any setting";

/// What YAML lets a name have, unless a `?` begins it.
const LONGEST_KEY: usize = 1024;

/// The parser's error in the words of someone who edits the file. It never repeats the text, which may be a password.
pub(crate) fn explained(text: &str, error: &ScanError, opened: Option<Spot>) -> (Spot, String) {
    let spot = Spot::from(*error.marker());
    let line = |number: usize| text.lines().nth(number.wrapping_sub(1)).unwrap_or_default();
    // The parser notices a tab at the end of its line or on a later one.
    for number in [spot.line.saturating_sub(1), spot.line, spot.line + 1] {
        let line = line(number);
        let indentation = &line[..line.len() - line.trim_start().len()];
        if let Some(tab) = indentation.find('\t').filter(|_| !line.trim().is_empty()) {
            return (Spot { line: number, column: tab + 1 }, "a tab indents this line; YAML wants spaces".to_owned());
        }
    }
    let info = error.info();
    let begins = |at: Spot| line(at.line).chars().nth(at.column - 1).is_some_and(|first| matches!(first, '[' | '{'));
    let is_another = ["quoted scalar", "escape", TOO_DEEP, "recursion"].iter().any(|says| info.contains(says));
    let unclosed = !is_another && opened.is_some_and(|at| info.contains("flow") || begins(at));
    let spot = match info {
        _ if unclosed => opened.unwrap_or(spot),
        "simple key expect ':'" | "simple key expected" => last_written(text, spot),
        _ => spot,
    };
    let says = match info {
        _ if unclosed => "this `[` or `{` is not closed, or a comma is missing; text that begins with one wants quotes",
        TOO_DEEP | "recursion limit exceeded" => TOO_DEEP,
        "while parsing node, found unknown anchor" => NO_ALIAS,
        "mapping values are not allowed in this context" if line(spot.line).chars().count() > LONGEST_KEY => {
            "a name of more than 1024 characters"
        }
        "mapping values are not allowed in this context" => {
            "a `:` cannot stand here: the indentation is wrong, or text that holds `: ` wants quotes"
        }
        "simple key expect ':'" | "simple key expected" => "a name without its `: ` and value",
        "while parsing a block mapping, did not find expected key"
        | "while parsing a block collection, did not find expected '-' indicator" => {
            "the indentation does not fit the lines above"
        }
        "block sequence entries are not allowed in this context" => {
            "a list cannot begin here; it begins in the next line, and text that begins with `- ` wants quotes"
        }
        "invalid indentation in quoted scalar" => "a quote is opened and not closed",
        _ if info.contains("quoted scalar") && info.contains("end of stream") => "a quote is opened and not closed",
        _ if info.contains("escape") => {
            "an unknown escape in double quotes; write `\\\\` for a backslash, or use single quotes"
        }
        _ if info.contains("trailing content") => {
            "something follows the closing quote; within single quotes, write `''` for one"
        }
        _ if info.contains("block scalar") => {
            "`|` or `>` begins a block of text; text that begins with one wants quotes"
        }
        _ if info.contains("bracket") || info.contains("flow") => {
            "a `]` or `}` closes nothing; text that begins with one wants quotes"
        }
        _ if info.contains("anchor") => NO_ANCHOR,
        _ if info.contains("tag") || info.contains("TAG") => NO_TAG,
        _ if info.contains("unexpected character")
            || info.contains("node content")
            || info.contains("mapping keys are not allowed") =>
        {
            "a value cannot begin with this character; put the text in quotes"
        }
        "invalid indentation" => "the indentation is wrong here, or a `[`, `{` or quote above is not closed",
        _ => "not YAML: look at the indentation, the `:` and the quotes, here and in the line above",
    };
    (spot, says.to_owned())
}

/// The last line with something in it before a spot: where the parser should have complained.
fn last_written(text: &str, spot: Spot) -> Spot {
    let before = text.lines().enumerate().take(spot.line - 1).filter(|(_, line)| !line.trim().is_empty());
    before.last().map_or(spot, |(number, line)| Spot {
        line: number + 1,
        column: line.chars().take_while(|c| c.is_whitespace()).count() + 1,
    })
}
