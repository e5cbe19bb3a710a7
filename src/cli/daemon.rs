//! The daemon that runs, for the commands that ask it: at `--url`, or else at the control socket of the configuration.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use clap::Args;

use super::exit::{Exit, complain};
use crate::config::{Loaded, Mistakes};
use crate::http::Client;

/// Where the daemon is.
#[derive(Debug, Args)]
pub(super) struct At {
    /// Daemon to ask, as `http://host:10306` [default: the one at the control socket of the configuration]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
}

/// Who answers for the targets.
pub(super) enum Found {
    /// A daemon. Whether it answers is not known yet.
    Running(Client),
    /// No daemon runs here; the command goes by the configuration itself.
    Nobody(Box<Loaded>),
}

/// Finds it. With `--url` no configuration is read: it may be on another machine.
pub(super) fn find(at: &At, load: impl FnOnce() -> Result<Loaded, Mistakes>) -> Result<Found, Exit> {
    if let Some(url) = &at.url {
        let client = Client::at_url(url).map_err(|says| complain(&format!("error: `--url` {says}")))?;
        return Ok(Found::Running(client));
    }
    let loaded = load().map_err(|mistakes| complain(&mistakes))?;
    match loaded.config.control.as_deref().map(listens) {
        Some(Ok(Some(client))) => Ok(Found::Running(client)),
        Some(Err(says)) => Err(complain(&says)),
        Some(Ok(None)) | None => Ok(Found::Nobody(Box::new(loaded))),
    }
}

/// The daemon that may run beside a command that goes by the configuration itself.
pub(super) fn beside(at: &At, loaded: &Loaded) -> Result<Option<Client>, Exit> {
    if let Some(url) = &at.url {
        return Client::at_url(url).map(Some).map_err(|says| complain(&format!("error: `--url` {says}")));
    }
    let found = loaded.config.control.as_deref().map(listens).transpose();
    found.map(Option::flatten).map_err(|says| complain(&says))
}

/// Whether a daemon has this control socket. One that may not be asked is an error: it does run.
fn listens(path: &Path) -> Result<Option<Client>, String> {
    match UnixStream::connect(path) {
        Ok(_) => Ok(Some(Client::at_socket(path))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(format!(
            "error: cannot use the control socket {}\n  cause: {error}\n  hint: it is for the user that the daemon runs \
             as, and root; or ask by `--url`, or say `control: off`",
            path.display()
        )),
    }
}
