//! What the collectors' tests have in common.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::collector::Known;
use super::facts::Facts;
use super::tunables::Tunables;
use crate::metrics::{BlockBuilder, Format, write};
use crate::mysql::rows::Rows;
use crate::mysql::server::Server;

/// The samples that these answers become.
pub(super) fn shown(read: fn(&[Rows], &Known, &mut BlockBuilder), answers: &[Rows]) -> Vec<String> {
    let server = Server::from_version("9.7.4");
    let mut out = BlockBuilder::new(None);
    read(answers, &known(&server), &mut out);
    let text = write(&[Arc::new(out.finish())], Format::Text);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// What this thread has had of a processor since it began: others may have it too, and that costs them, not us.
pub(super) fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells every thread");
    let nanoseconds = told.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    Duration::from_nanos(nanoseconds)
}

/// A server of which nothing else is known, set up as it comes.
pub(super) fn known(server: &Server) -> Known<'_> {
    static NOTHING: LazyLock<(Facts, Tunables)> = LazyLock::new(Default::default);
    Known { server, facts: &NOTHING.0, tunables: &NOTHING.1 }
}
