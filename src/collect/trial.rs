//! What the collectors' tests have in common.

use std::sync::{Arc, LazyLock};

use super::collector::Known;
use super::facts::Facts;
use super::tunables::Tunables;
use crate::metrics::{BlockBuilder, Format, write};
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// The samples that these answers become.
pub(super) fn shown(read: fn(&[Rows], &Known, &mut BlockBuilder), answers: &[Rows]) -> Vec<String> {
    shown_by(read, answers, &Tunables::default())
}

/// The same with these settings.
pub(super) fn shown_by(
    read: fn(&[Rows], &Known, &mut BlockBuilder),
    answers: &[Rows],
    tunables: &Tunables,
) -> Vec<String> {
    let server = Server::from_version("9.7.4");
    let mut out = BlockBuilder::new(None);
    read(answers, &Known { tunables, ..known(&server) }, &mut out);
    let text = write(&[Arc::new(out.finish())], Format::Text);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// A server of which nothing else is known, set up as it comes.
pub(super) fn known(server: &Server) -> Known<'_> {
    static NOTHING: LazyLock<(Facts, Tunables)> = LazyLock::new(Default::default);
    Known { server, facts: &NOTHING.0, tunables: &NOTHING.1 }
}
