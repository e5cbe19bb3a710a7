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

/// Writes a report to stdout. A reader that went away (`| head`) has seen enough; a disk that is full has not.
pub(super) fn report(text: &str, then: Exit) -> Exit {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("error: cannot write the report\n  cause: {error}"))
        }
        _ => then,
    }
}

/// Says how it goes, on stderr: it is no part of the report.
pub(super) fn progress(line: &str) {
    // Who cannot read it goes without.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says what is wrong with what was asked for, on stderr.
pub(super) fn complain(mistakes: &dyn Display) -> Exit {
    // When even stderr is closed, the exit code is all that can be said.
    let _ = writeln!(std::io::stderr(), "{mistakes}");
    Exit::Usage
}
