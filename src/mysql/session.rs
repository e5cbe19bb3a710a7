//! A kept connection: logged in once, asked again and again. The only file that names `mysql_async`.
//!
//! A session copies what the probe negotiated: the address that answered, whether TLS was used, a name that the
//! certificate carries. It has no retry and no pool, but it knows how it stands: after a timeout or a cancelled
//! statement the driver would hand out the previous statement's rows for the next one, so such a session refuses to be
//! asked again. One that ends well says COM_QUIT, since the driver's `Drop` does not.
//!
//! The driver cannot do all that the probe can: it does not know every plugin, and judges certificates by rules of its
//! own. What it cannot do is done on a connection of the handshake, so that whoever can be probed can be asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, Error, IoError, Opts, OptsBuilder, SslOpts, Value};
use tokio::time::{Instant, timeout, timeout_at};

use super::budget::Place;
use super::endpoint::Endpoint;
use super::errno::{self, Circumstances};
use super::failure::{Failure, Phase, Reason};
use super::handshake::{self, Access, Addresses, Connection, Facts, PhaseTimes};
use super::rows::Rows;
use super::server::{Flavor, Server};
use super::signal::{Loss, Signal, Standing};
use super::transport;
use crate::config::{Tls, TlsMode, TlsVersion};

/// How long a polite end may take before the connection is dropped.
const QUIT_WITHIN: Duration = Duration::from_millis(500);

/// Well below the idle limits of balancers and NAT gateways.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The probe speaks them. The driver does not know the first: trying would be a failed login at the server, every time.
/// Of the others it cuts a zero off the end of the challenge, one in 256, and panics or signs the wrong words.
const NOT_FOR_THE_DRIVER: [&str; 3] = ["sha256_password", "parsec", "client_ed25519"];

/// Longer than any result row that a collector reads; asking the server for its own limit would cost a statement.
const MAX_ALLOWED_PACKET: usize = 64 * 1024 * 1024;

/// A kept connection and its place in the budget.
#[derive(Debug)]
pub struct Session {
    /// Taken only when the session ends.
    conn: Option<Kept>,
    id: u32,
    server: Server,
    plain: bool,
    /// No statement is under way: false from the question to the end of its answer, whoever stops waiting in between.
    in_step: bool,
    loss: Option<Loss>,
    answered_at: Instant,
    asked_at: Instant,
    /// The bytes of the statement that was sent last.
    asked: u64,
    _place: Place,
}

/// Who speaks on the wire.
#[derive(Debug)]
enum Kept {
    Driver(Conn),
    Ours(Box<Connection>),
}

impl Session {
    /// Logs in as the probe did and sets the session's limits.
    ///
    /// With an idle limit the session is there to be asked: it shall last. Without one it rests as an application's
    /// does, under the server's own limit and without keepalive, so that what ends those ends it too.
    pub async fn open(
        access: &Access,
        tls: &Tls,
        probed: &Facts,
        idle_limit: impl Into<Option<Duration>>,
        statement_limit: Duration,
        place: Place,
        deadline: Instant,
    ) -> Result<Session, Failure> {
        let idle_limit = idle_limit.into();
        let keepalive = idle_limit.map(|_| KEEPALIVE);
        let plain = probed.tls.is_none() && !access.endpoint.is_socket();
        let mut conn = None;
        if driver_serves(access, tls, probed) {
            match by_driver(access, tls, probed, keepalive, plain, deadline).await {
                Ok(opened) => conn = Some(opened),
                // Tried once: each such attempt is an aborted connection at the server.
                Err(failure) if is_the_drivers_own(&failure) => access.driver_fails.store(true, Ordering::Relaxed),
                Err(failure) => return Err(failure),
            }
        }
        let conn = match conn {
            Some(conn) => conn,
            None => by_hand(access, probed, keepalive.is_some(), deadline).await?,
        };
        let mut session = Session {
            id: match &conn {
                Kept::Driver(conn) => conn.id(),
                Kept::Ours(connection) => connection.facts().connection_id,
            },
            conn: Some(conn),
            server: probed.server.clone(),
            plain,
            in_step: true,
            loss: None,
            answered_at: Instant::now(),
            asked_at: Instant::now(),
            asked: 0,
            _place: place,
        };
        let limits = session_limits(&session.server, idle_limit, statement_limit);
        match session.query(&limits, deadline).await {
            Ok(_) => {}
            // A proxy or a managed server may refuse to have its variables set. The limits are a second net
            // under our own deadlines, so the session serves without them.
            Err(refused) if !ends_session(&refused) => {}
            Err(lost) => return Err(lost),
        }
        Ok(session)
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server's name for this connection: what KILL and the process list call it.
    pub fn connection_id(&self) -> u32 {
        self.id
    }

    /// Whether the session can be asked, and if it is lost, how that showed.
    pub fn standing(&self) -> Standing<'_> {
        match &self.loss {
            Some(loss) => Standing::Lost(loss),
            None if self.in_step => Standing::InStep,
            None => Standing::Unanswered,
        }
    }

    /// When the server last answered.
    pub fn answered_at(&self) -> Instant {
        self.answered_at
    }

    /// When it was last asked something.
    pub fn asked_at(&self) -> Instant {
        self.asked_at
    }

    /// The bytes of the statement that it was last asked; none for a ping.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Runs one statement. After a failure for which `ends_session` holds, drop the session.
    pub async fn query(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        self.asked = sql.len() as u64;
        match self.step()? {
            Kept::Driver(conn) => {
                let answer = timeout_at(deadline, read(conn, sql)).await;
                self.settle_driver(answer.ok())
            }
            Kept::Ours(connection) => {
                let answer = connection.query(sql, deadline).await;
                self.settle(answer.map_err(|failure| (signal_of(&failure), failure)))
            }
        }
    }

    /// Asks whether the server is there.
    pub async fn ping(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.asked = 0;
        match self.step()? {
            Kept::Driver(conn) => {
                let answer = timeout_at(deadline, conn.ping()).await;
                self.settle_driver(answer.ok())
            }
            Kept::Ours(connection) => {
                let answer = connection.ping(deadline).await;
                self.settle(answer.map_err(|failure| (signal_of(&failure), failure)))
            }
        }
    }

    /// Ends the session in order, so that the server does not count it as aborted.
    pub async fn close(mut self) {
        // A server that does not take the COM_QUIT in time has stopped listening: dropping is all that is left.
        match self.conn.take() {
            Some(Kept::Driver(conn)) => drop(timeout(QUIT_WITHIN, conn.disconnect()).await),
            Some(Kept::Ours(connection)) => drop(timeout(QUIT_WITHIN, connection.quit()).await),
            None => {}
        }
    }

    // From here to `settle` the session is in the middle of an exchange. A caller that stops waiting leaves it there.
    fn step(&mut self) -> Result<&mut Kept, Failure> {
        if let Some(loss) = &self.loss {
            return Err(loss.failure.clone());
        }
        match self.conn.as_mut() {
            Some(conn) if std::mem::take(&mut self.in_step) => {
                self.asked_at = Instant::now();
                Ok(conn)
            }
            _ => {
                let detail = "this session has an answer that nobody waited for";
                Err(Failure::new(Phase::Query, Reason::Protocol, detail))
            }
        }
    }

    fn settle_driver<T>(&mut self, answer: Option<mysql_async::Result<T>>) -> Result<T, Failure> {
        let answer = match answer {
            Some(answer) => {
                answer.map_err(|error| (signal(&error), failure(Phase::Query, &error, &self.server, self.plain)))
            }
            None => Err((Signal::Timeout, timed_out(Phase::Query, "no answer within the deadline"))),
        };
        self.settle(answer)
    }

    fn settle<T>(&mut self, answer: Result<T, (Signal, Failure)>) -> Result<T, Failure> {
        let (signal, failure) = match answer {
            Ok(value) => {
                self.in_step = true;
                self.answered_at = Instant::now();
                return Ok(value);
            }
            Err(seen) => seen,
        };
        if failure.errno.is_some() {
            self.answered_at = Instant::now();
        }
        if !ends_session(&failure) {
            self.in_step = true;
            return Err(failure);
        }
        let loss = Loss::now(signal, failure);
        let failure = loss.failure.clone();
        self.loss = Some(loss);
        Err(failure)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ours closes its socket when it is dropped.
        if let Some(Kept::Driver(conn)) = self.conn.take() {
            drop_at_once(conn);
        }
    }
}

/// Whether the driver can log in as the probe did, as far as can be said before it tries.
fn driver_serves(access: &Access, tls: &Tls, probed: &Facts) -> bool {
    let verified = matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
    let judges_alike = match &probed.tls {
        None => true,
        // It brings authorities of its own instead of the system's, and insists on a name in the certificate.
        Some(seen) if verified => tls.ca.is_some() && !(tls.mode == TlsMode::VerifyCa && seen.names.is_empty()),
        Some(_) => true,
    };
    let oldest = probed.tls.is_none() || tls.min_version == TlsVersion::Tls12;
    let plugin = !NOT_FOR_THE_DRIVER.contains(&&*probed.auth_plugin);
    plugin && judges_alike && oldest && !access.driver_fails.load(Ordering::Relaxed)
}

/// A failure that is about what the driver can do, where the probe has just logged in.
fn is_the_drivers_own(failure: &Failure) -> bool {
    failure.errno.is_none()
        && matches!(failure.reason, Reason::AuthPlugin | Reason::TlsUnknownCa | Reason::TlsWrongName | Reason::TlsOther)
}

async fn by_driver(
    access: &Access,
    tls: &Tls,
    probed: &Facts,
    keepalive: Option<Duration>,
    plain: bool,
    deadline: Instant,
) -> Result<Kept, Failure> {
    match timeout_at(deadline, Conn::new(opts(access, tls, probed, keepalive))).await {
        Err(_) => Err(timed_out(Phase::Auth, "logging in took longer than the deadline")),
        Ok(Err(error)) => Err(in_its_phase(failure(Phase::Auth, &error, &probed.server, plain))),
        Ok(Ok(conn)) => Ok(Kept::Driver(conn)),
    }
}

/// The driver does not say how far it came; of some reasons it is plain.
fn in_its_phase(mut failure: Failure) -> Failure {
    match failure.reason {
        Reason::Refused | Reason::Unreachable => failure.phase = Phase::Tcp,
        Reason::Dns => failure.phase = Phase::Dns,
        _ => {}
    }
    failure
}

/// The same by our own handshake, at the address that the probe reached.
async fn by_hand(access: &Access, probed: &Facts, keepalive: bool, deadline: Instant) -> Result<Kept, Failure> {
    let mut times = PhaseTimes::default();
    let addresses = Addresses::of_peer(probed.peer_addr);
    let left = deadline.saturating_duration_since(Instant::now());
    let dialed = handshake::dial(access, &addresses, left, deadline, &mut times).await?;
    if keepalive {
        // Without it a dead path is noticed by the deadline of a statement, which is still noticed.
        let _ = dialed.keep_alive();
    }
    Ok(Kept::Ours(Box::new(dialed.login(access, deadline, &mut times).await?)))
}

/// How a failure of our own connection shows that it is over.
fn signal_of(failure: &Failure) -> Signal {
    match failure.reason {
        _ if failure.errno.is_some() => Signal::ErrPacket,
        Reason::Timeout | Reason::Unreachable => Signal::Timeout,
        Reason::Closed => Signal::Fin,
        Reason::Reset => Signal::Rst,
        Reason::TlsExpired | Reason::TlsUnknownCa | Reason::TlsWrongName | Reason::TlsOther => Signal::TlsAlert,
        _ => Signal::OutOfSync,
    }
}

/// Closes a connection's socket now.
///
/// The driver's own `Drop` says no COM_QUIT either, but first reads to their end the rows that nobody waited for, in a
/// task that nobody owns: on a server that hangs, for ever, on a place of the budget that is given back. It starts that
/// task on the runtime of the moment, so it gets one that ends here.
fn drop_at_once(conn: Conn) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    {
        let _entered = runtime.enter();
        drop(conn);
    }
    runtime.shutdown_background();
}

/// Whether the session is of no use after this failure: all but an error that the server gave as an answer.
pub fn ends_session(failure: &Failure) -> bool {
    match failure.errno {
        None => true,
        // These errors are the server's last words on a connection.
        Some(errno) => matches!(errno, 1053 | 1153 | 1158..=1161 | 1184 | 1927 | 3032 | 3169 | 4031),
    }
}

async fn read(conn: &mut Conn, sql: &str) -> mysql_async::Result<Rows> {
    let mut result = conn.query_iter(sql).await?;
    let mut rows = Rows::new(result.columns_ref().iter().map(|column| column.name_str().into_owned()).collect());
    while let Some(row) = result.next().await? {
        for column in 0..row.len() {
            match row.as_ref(column) {
                None | Some(Value::NULL) => rows.push(None),
                Some(Value::Bytes(bytes)) => rows.push(Some(bytes)),
                // The text protocol sends bytes only; the driver's type has more.
                Some(other) => rows.push(Some(other.as_sql(true).trim_matches('\'').as_bytes())),
            }
        }
    }
    result.drop_result().await?;
    Ok(rows)
}

fn opts(access: &Access, tls: &Tls, probed: &Facts, keepalive: Option<Duration>) -> Opts {
    let mut builder = OptsBuilder::default()
        .user(Some(access.user.as_str()))
        .pass(Some(access.password.expose()))
        .db_name(access.database.as_deref())
        // True by default, and then the driver may move to a local socket behind our back.
        .prefer_socket(false)
        // Both set, or the driver asks the server for them at every login.
        .max_allowed_packet(Some(MAX_ALLOWED_PACKET))
        .wait_timeout(Some(28800))
        .stmt_cache_size(0)
        .tcp_nodelay(true)
        .tcp_keepalive(keepalive)
        .enable_cleartext_plugin(access.cleartext)
        .connect_attributes(HashMap::from([("program_name".to_owned(), "goneaway".to_owned())]));
    builder = match (&access.endpoint, probed.peer_addr) {
        (Endpoint::Socket(path), _) => builder.socket(Some(path.to_string_lossy())),
        (Endpoint::Tcp { host, port }, peer) => builder
            .ip_or_hostname(host.as_str())
            .tcp_port(*port)
            .resolved_ips(peer.map(|peer: SocketAddr| vec![peer.ip()])),
    };
    let used_tls = probed.tls.as_ref();
    builder.ssl_opts(used_tls.map(|used| ssl_opts(tls, &used.names))).into()
}

/// The driver's spelling of the TLS modes. It cannot skip only the name check, so `VERIFY_CA` asks for a name that
/// the probe saw in the certificate.
fn ssl_opts(tls: &Tls, seen_names: &[String]) -> SslOpts {
    let verified = matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
    let mut opts = SslOpts::default().with_danger_accept_invalid_certs(!verified);
    if let Some(ca) = &tls.ca {
        opts = opts.with_root_certs(vec![ca.clone().into()]).with_disable_built_in_roots(true);
    }
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        opts = opts.with_client_identity(Some(ClientIdentity::new(cert.clone().into(), key.clone().into())));
    }
    let name = match tls.mode {
        // A wildcard stands for any name.
        TlsMode::VerifyCa => seen_names.first().map(|name| name.replacen('*', "any", 1)),
        _ => tls.server_name.clone(),
    };
    opts.with_danger_tls_hostname_override(name)
}

/// A statement that we gave up goes on in the server unless it is bounded there too. MySQL bounds only SELECT.
fn session_limits(server: &Server, idle_limit: Option<Duration>, statement_limit: Duration) -> String {
    let mut sql = "SET SESSION lock_wait_timeout=2".to_owned();
    if let Some(limit) = idle_limit {
        sql.push_str(&format!(", wait_timeout={}", limit.as_secs().clamp(60, 31_536_000)));
    }
    match server.flavor {
        Flavor::MariaDb if server.mariadb_since(10, 1, 1) => {
            sql.push_str(&format!(", max_statement_time={}", statement_limit.as_secs_f64()));
        }
        Flavor::MySql if server.mysql_since(5, 7, 8) => {
            sql.push_str(&format!(", max_execution_time={}", statement_limit.as_millis()));
        }
        _ => {}
    }
    sql
}

fn timed_out(phase: Phase, detail: &str) -> Failure {
    Failure::new(phase, Reason::Timeout, detail)
}

fn failure(phase: Phase, error: &Error, server: &Server, plain: bool) -> Failure {
    match error {
        Error::Server(answer) => {
            errno::failure(answer.code, &answer.message, Circumstances { phase, flavor: Some(server.flavor), plain })
        }
        Error::Io(IoError::Io(error)) => transport::failure(phase, error),
        Error::Driver(mysql_async::DriverError::UnknownAuthPlugin { name }) => {
            Failure::new(phase, Reason::AuthPlugin, format!("the session cannot log in with the plugin {name}"))
        }
        other => Failure::new(phase, Reason::Protocol, other.to_string()),
    }
}

/// How an error shows that the connection is over, if it is.
fn signal(error: &Error) -> Signal {
    match error {
        Error::Server(_) => Signal::ErrPacket,
        Error::Io(IoError::Io(error)) => Signal::of(error),
        Error::Io(IoError::Tls(_)) => Signal::TlsAlert,
        Error::Driver(mysql_async::DriverError::ConnectionClosed) => Signal::Fin,
        _ => Signal::OutOfSync,
    }
}
