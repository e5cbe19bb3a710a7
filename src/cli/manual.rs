//! `completions` and `man`: made from the declaration of the commands, for packagers.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::{Exit, complain, report};

/// The name of the program, as it is installed.
const NAME: &str = "goneaway";

/// Prints what a shell needs in order to complete our commands.
pub(super) fn completions(mut command: Command, shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    written(script)
}

/// Prints the page of the program; or writes it and one for each command into a directory.
pub(super) fn man(command: Command, directory: Option<&Path>) -> Exit {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        return match Man::new(command).render(&mut page) {
            Ok(()) => written(page),
            Err(error) => cannot("make the page", &error),
        };
    };
    let made = std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    match made {
        Ok(()) => Exit::Good,
        Err(error) => cannot(&format!("write the pages into {}", directory.display()), &error),
    }
}

fn written(text: Vec<u8>) -> Exit {
    match String::from_utf8(text) {
        Ok(text) => report(&text, Exit::Good),
        Err(error) => cannot("print it", &io::Error::other(error)),
    }
}

fn cannot(what: &str, error: &io::Error) -> Exit {
    complain(&format!("error: cannot {what}\n  cause: {error}"))
}
