//! What a connection says of the server behind it, and of its own session.
//!
//! Asked when a connection is opened and when one was lost: whether it is the same server, in the same life; how long
//! the session may rest; how many KILLs there were. Two statements that every account may send and no server refuses.

use std::time::Duration;

use tokio::time::Instant;

use super::loss::{Identity, IdleTransactionTimeouts, Incarnation};
use crate::mysql::failure::Failure;
use crate::mysql::handshake::Connection;
use crate::mysql::rows::Rows;
use crate::mysql::session::Session;

const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Uptime', 'Com_kill')";

/// Of the session, where a variable has both. What a server does not have is not in its answer.
const VARIABLES: &str = "SHOW VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id', 'hostname', \
     'port', 'wait_timeout', 'interactive_timeout', 'idle_transaction_timeout', 'idle_readonly_transaction_timeout', \
     'idle_write_transaction_timeout', 'max_allowed_packet', 'max_connect_errors')";

/// `Uptime` counts the beginnings of seconds, so two readings of one life differ by less than one, and an answer takes
/// its time.
const UPTIME_SPREAD: Duration = Duration::from_millis(1300);

/// Whoever can be asked a statement.
pub trait Askable: Send {
    fn ask(&mut self, sql: &str, deadline: Instant) -> impl Future<Output = Result<Rows, Failure>> + Send;
}

impl Askable for Connection {
    async fn ask(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        self.query(sql, deadline).await
    }
}

impl Askable for Session {
    async fn ask(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        self.query(sql, deadline).await
    }
}

/// What was said. What was not is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub identity: Option<Identity>,
    uptime: Option<Duration>,
    pub read_at: Instant,
    pub com_kill: Option<u64>,
    /// The session's own, like those below.
    pub wait_timeout: Option<Duration>,
    pub interactive_timeout: Option<Duration>,
    pub idle_transaction: IdleTransactionTimeouts,
    pub max_allowed_packet: Option<u64>,
    pub max_connect_errors: Option<u64>,
}

impl Standing {
    /// Of a connection that does not answer such questions.
    pub fn silent() -> Standing {
        let none = Rows::default();
        Standing::read(&none, &none, Instant::now())
    }

    /// Asks a connection.
    pub async fn ask(connection: &mut impl Askable, deadline: Instant) -> Result<Standing, Failure> {
        let status = connection.ask(STATUS, deadline).await?;
        let read_at = Instant::now();
        let variables = connection.ask(VARIABLES, deadline).await?;
        Ok(Standing::read(&status, &variables, read_at))
    }

    fn read(status: &Rows, variables: &Rows, read_at: Instant) -> Standing {
        let seconds = |name| number(variables, name).map(Duration::from_secs);
        Standing {
            identity: identity(variables),
            uptime: number(status, "Uptime").map(Duration::from_secs),
            read_at,
            com_kill: number(status, "Com_kill"),
            wait_timeout: seconds("wait_timeout"),
            interactive_timeout: seconds("interactive_timeout"),
            idle_transaction: IdleTransactionTimeouts {
                any: seconds("idle_transaction_timeout").unwrap_or_default(),
                read_only: seconds("idle_readonly_transaction_timeout").unwrap_or_default(),
                write: seconds("idle_write_transaction_timeout").unwrap_or_default(),
            },
            max_allowed_packet: number(variables, "max_allowed_packet"),
            max_connect_errors: number(variables, "max_connect_errors"),
        }
    }

    /// Whether it says since when the server runs.
    pub fn tells_its_life(&self) -> bool {
        self.uptime.is_some()
    }

    /// Whether the same server said both, in the same life: a number still means the same thread then.
    pub fn is_same_life(&self, other: &Standing) -> bool {
        let at = self.read_at.max(other.read_at);
        let (one, two) = (self.incarnation(at), other.incarnation(at));
        let (Some(began), Some(begins)) = (one.began_ago, two.began_ago) else { return false };
        one.identity == two.identity && began.abs_diff(begins) <= UPTIME_SPREAD
    }

    /// The server's life, as it looks at that time.
    pub fn incarnation(&self, now: Instant) -> Incarnation {
        let began_ago = self.uptime.map(|uptime| uptime + now.saturating_duration_since(self.read_at));
        Incarnation { identity: self.identity.clone(), began_ago }
    }
}

fn value<'a>(rows: &'a Rows, name: &str) -> Option<&'a str> {
    rows.pairs().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn number(rows: &Rows, name: &str) -> Option<u64> {
    value(rows, name)?.parse().ok()
}

/// `server_uuid`; else what tells servers of one host apart, with MariaDB's `server_uid` where it has one. That is
/// made of the host's network card and the port, so containers and namespaces can share it.
fn identity(variables: &Rows) -> Option<Identity> {
    let own = |name| value(variables, name).filter(|text| !text.is_empty());
    if let Some(uuid) = own("server_uuid") {
        return Some(Identity::new(uuid));
    }
    let parts = [own("server_uid"), own("server_id"), own("hostname"), own("port")];
    if parts[0].is_none() && parts[1..].iter().any(Option::is_none) {
        return None;
    }
    Some(Identity::new(&parts.map(Option::unwrap_or_default).join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, &str)]) -> Rows {
        Rows::of(&["Variable_name", "Value"], pairs.iter().map(|(name, value)| vec![Some(*name), Some(*value)]))
    }

    fn identity_of(pairs: &[(&str, &str)]) -> Option<String> {
        identity(&rows(pairs)).map(|identity| identity.as_str().to_owned())
    }

    #[test]
    fn a_server_is_known_by_the_best_name_that_it_has() {
        let fallback = [("server_id", "1"), ("hostname", "db"), ("port", "3306")];
        assert_eq!(identity_of(&fallback).as_deref(), Some("/1/db/3306"));
        assert_eq!(identity_of(&[&fallback[..], &[("server_uid", "u")]].concat()).as_deref(), Some("u/1/db/3306"));
        assert_eq!(identity_of(&[&fallback[..], &[("server_uid", "")]].concat()).as_deref(), Some("/1/db/3306"));
        assert_eq!(identity_of(&[("server_uid", "u")]).as_deref(), Some("u///"));
        assert_eq!(identity_of(&[&fallback[..], &[("server_uuid", "x")]].concat()).as_deref(), Some("x"));
        assert_eq!(identity_of(&[("server_id", "1")]), None);
    }

    #[test]
    fn an_answer_grows_older_and_the_server_with_it() {
        let read_at = Instant::now();
        let status = rows(&[("Com_kill", "3"), ("Uptime", "100")]);
        let variables = rows(&[("wait_timeout", "28800"), ("idle_transaction_timeout", "9"), ("server_uuid", "x")]);
        let standing = Standing::read(&status, &variables, read_at);
        assert_eq!((standing.com_kill, standing.wait_timeout), (Some(3), Some(Duration::from_secs(28800))));
        assert_eq!(standing.idle_transaction.any, Duration::from_secs(9));
        let later = standing.incarnation(read_at + Duration::from_secs(7));
        assert_eq!(later.began_ago, Some(Duration::from_secs(107)));
        let nothing = Standing::read(&rows(&[]), &rows(&[]), read_at);
        assert_eq!(nothing.incarnation(read_at), Incarnation::default());
    }
}
