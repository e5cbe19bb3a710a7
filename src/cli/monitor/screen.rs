//! Where the monitor writes: a line after the other, or a table that stays at the foot of a terminal while what happens
//! scrolls by above it.

use std::io::IsTerminal;

use super::super::exit::{Exit, show};

/// So many rows of a table fit any terminal.
pub(super) const MOST_ROWS: usize = 16;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// Lines are cut at the terminal's edge, so that a table has as many rows as it has lines.
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

pub(super) struct Screen {
    is_terminal: bool,
    has_colours: bool,
    /// Rows of the table that stands there now.
    rows: usize,
    /// Nobody reads any more.
    is_closed: bool,
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Warning,
    Bad,
}

impl Screen {
    pub(super) fn new() -> Screen {
        let is_terminal = std::io::stdout().is_terminal();
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_colours = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Screen {
            is_terminal: is_terminal && !is_dumb,
            has_colours: is_terminal && !is_dumb && !no_colours,
            rows: 0,
            is_closed: false,
        }
    }

    /// Whether a table can be drawn again and again.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A line in its tone.
    pub(super) fn toned(&self, tone: Tone, line: &str) -> String {
        match tone {
            Tone::Warning if self.has_colours => format!("{YELLOW}{line}{PLAIN}"),
            Tone::Bad if self.has_colours => format!("{RED}{line}{PLAIN}"),
            _ => line.to_owned(),
        }
    }

    /// The table stays as it is; what comes is written below it.
    pub(super) fn forget(&mut self) {
        self.rows = 0;
    }

    /// Writes lines that stay, above the table if there is one.
    pub(super) fn write(&mut self, lines: &str) -> Result<(), Exit> {
        self.put(lines, &[])
    }

    /// Writes lines that stay, and the table anew below them.
    pub(super) fn put(&mut self, lines: &str, table: &[String]) -> Result<(), Exit> {
        let mut text = String::new();
        if self.rows > 0 {
            // Up to the table's first row, and away with it.
            text.push_str(&format!("\x1b[{}F\x1b[J", self.rows));
        }
        text.push_str(lines);
        if !table.is_empty() {
            text.push_str(CUT);
            table.iter().for_each(|row| text.push_str(&format!("{row}\n")));
            text.push_str(WRAP);
        }
        self.rows = table.len();
        if !self.is_closed && !text.is_empty() {
            self.is_closed = !show(&text)?;
        }
        Ok(())
    }
}
