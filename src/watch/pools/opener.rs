//! Opening the connections of a pool.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::patience;
use super::super::standing::Standing;
use super::inbox::{Inbox, News};
use super::known::Watched;
use crate::mysql::budget::Place;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::pool::{Connector, Gate, Sessions};
use crate::mysql::session::Session;
use crate::mysql::signal;

/// Opens sessions that know where they stand.
#[derive(Debug)]
pub struct Opener {
    sessions: Arc<Sessions>,
    charset: Option<String>,
    gate: Arc<Gate>,
    /// Takes what new connections say, and logins that are not finished in time.
    news: Arc<Inbox>,
}

impl Opener {
    pub(super) fn new(sessions: Sessions, charset: Option<String>, gate: Arc<Gate>, news: Arc<Inbox>) -> Opener {
        Opener { sessions: Arc::new(sessions), charset, gate, news }
    }
}

impl Connector for Opener {
    type Connection = Watched;

    fn can_open(&self) -> bool {
        self.gate.is_open()
    }

    async fn open(&self, place: Place, deadline: Instant) -> Result<Watched, Failure> {
        let sessions = self.sessions.clone();
        let login = async move { sessions.open(place, patience::longest()).await };
        let mut session = match patience::within(login, deadline, &self.gate, Session::close).await {
            Ok(ended) => ended?,
            Err(unfinished) => {
                self.news.tell(News::Unfinished(unfinished));
                return Err(Failure::new(Phase::Auth, Reason::Timeout, "logging in took longer than the deadline"));
            }
        };
        match prepare(&mut session, self.charset.as_deref(), deadline).await {
            Ok(standing) => {
                let standing = Arc::new(standing);
                self.news.tell(News::Opened(standing.clone()));
                Ok(Watched::new(session, standing))
            }
            Err(failure) => {
                session.close().await;
                Err(failure)
            }
        }
    }
}

async fn prepare(session: &mut Session, charset: Option<&str>, deadline: Instant) -> Result<Standing, Failure> {
    if let Some(charset) = charset {
        // A name that the configuration has checked: letters, digits and `_`.
        session.query(&format!("SET NAMES {charset}"), deadline).await.map_err(|failure| match failure.errno {
            Some(_) => failure.with_hint("the server does not know this `charset` of the pool"),
            None => failure,
        })?;
    }
    match Standing::ask(session, deadline).await {
        // Something between that knows only some statements: the session serves, and says less when it is lost.
        Err(refused) if refused.errno.is_some() && session.standing() == signal::Standing::InStep => {
            Ok(Standing::silent())
        }
        answer => answer,
    }
}
