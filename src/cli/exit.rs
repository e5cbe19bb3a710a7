//! How a one-shot command ends.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// The exit codes of the one-shot commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Good,
    Warning,
    Critical,
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Says what is wrong with what was asked for, on stderr.
pub(super) fn complain(mistakes: &dyn Display) -> Exit {
    // When even stderr is closed, the exit code is all that can be said.
    let _ = writeln!(std::io::stderr(), "{mistakes}");
    Exit::Usage
}
