//! A new connection, phase by phase.
//!
//! ```text
//! resolve   the host's name                       phase  dns
//! dial      an address, a stream                  phase  tcp
//! greeting  the server's first packet             phase  greeting
//! login     TLS, the account, the database        phases tls, auth
//! query     a statement, then quit                phase  query
//! ```
//!
//! Nothing is tried twice and nothing is pooled: a second try would hide what is measured here. What is asked of
//! the connection afterwards, and what is made of a failure, is the caller's business. A connection that is not ended
//! by `quit` counts as aborted in the server.

mod stream;
mod packets;
mod connect;
mod greeting;
mod certificate;
mod verifier;
mod tls;
mod rsa;
mod plugin;
mod login;
mod text;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use mysql_common::constants::CapabilityFlags;
use tokio::time::{Instant, timeout, timeout_at};

use super::endpoint::Endpoint;
use super::errno::{self, Circumstances};
use super::failure::{Failure, Phase};
use super::rows::Rows;
use super::server::Server;
use super::signal::Signal;
use super::transport;
use crate::config::secret::Secret;
use greeting::Greeting;
use login::{Client, Denied};
use packets::{ErrPacket, Trouble, Wire};
use plugin::Means;
use stream::{Channel, Stream};
use text::Bounded;

pub use connect::Lookup;
pub use text::{Beyond, Most};
pub use tls::{SystemRoots, TlsMistake, TlsPolicy};

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Access {
    pub endpoint: Endpoint,
    pub user: String,
    pub password: Secret,
    pub database: Option<String>,
    pub tls: TlsPolicy,
    /// `mysql_clear_password` is allowed on a private channel.
    pub cleartext: bool,
    /// Of the endpoint's name.
    pub lookup: Arc<Lookup>,
    /// The driver of kept sessions could not do what a probe had done: it is not tried again.
    pub driver_fails: Arc<AtomicBool>,
}

/// How long the phases took that were passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseTimes {
    times: [Option<Duration>; Phase::ALL.len()],
}

impl PhaseTimes {
    pub fn record(&mut self, phase: Phase, took: Duration) {
        self.times[phase as usize] = Some(took);
    }

    pub fn of(&self, phase: Phase) -> Option<Duration> {
        self.times[phase as usize]
    }

    /// The phases that were passed, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> {
        Phase::ALL.into_iter().filter_map(|phase| Some((phase, self.of(phase)?)))
    }
}

/// Where a stream can be connected to.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// In the order in which they are to be tried; none for a unix socket.
    sockets: Vec<SocketAddr>,
    resolved: bool,
}

impl Addresses {
    /// The address that an earlier connection reached; none for a unix socket.
    pub fn of_peer(peer: Option<SocketAddr>) -> Addresses {
        Addresses { sockets: peer.into_iter().collect(), resolved: false }
    }

    /// The addresses that the host's name has; none where no name was resolved (an IP address, a unix socket).
    pub fn of_name(&self) -> Option<BTreeSet<IpAddr>> {
        self.resolved.then(|| self.sockets.iter().map(SocketAddr::ip).collect())
    }
}

/// Resolves the host's name, if it has one.
pub async fn resolve(access: &Access, deadline: Instant, times: &mut PhaseTimes) -> Result<Addresses, Failure> {
    let Endpoint::Tcp { host, port } = &access.endpoint else {
        return Ok(Addresses { sockets: Vec::new(), resolved: false });
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Addresses { sockets: vec![SocketAddr::new(address, *port)], resolved: false });
    }
    let started = Instant::now();
    let sockets = connect::resolve(&access.lookup, host, *port, deadline).await?;
    times.record(Phase::Dns, started.elapsed());
    Ok(Addresses { sockets, resolved: true })
}

/// Connects a stream. It has at most `connect_timeout`, for all addresses together.
pub async fn dial(
    access: &Access,
    addresses: &Addresses,
    connect_timeout: Duration,
    deadline: Instant,
    times: &mut PhaseTimes,
) -> Result<Dialed, Failure> {
    let started = Instant::now();
    let deadline = deadline.min(started + connect_timeout);
    let stream = match &access.endpoint {
        Endpoint::Socket(path) => connect::unix(path, deadline).await?,
        Endpoint::Tcp { .. } => connect::tcp(&addresses.sockets, deadline).await?,
    };
    times.record(Phase::Tcp, started.elapsed());
    Ok(Dialed {
        local_addr: stream.local_addr(),
        peer_addr: stream.peer_addr(),
        wire: Wire::new(stream),
        greeting: None,
    })
}

/// A connected stream on which the server has not greeted yet, or has.
#[derive(Debug)]
pub struct Dialed {
    /// None on a unix socket, like `peer_addr`.
    pub local_addr: Option<SocketAddr>,
    pub peer_addr: Option<SocketAddr>,
    wire: Wire,
    greeting: Option<Greeting>,
}

impl Dialed {
    /// Waits until the server has greeted, however long that takes.
    ///
    /// There is no deadline, and to stop waiting loses nothing: a caller may let its own deadline pass and later go on
    /// waiting on the same connection.
    pub async fn greeting(&mut self) -> Result<(), Failure> {
        if self.greeting.is_some() {
            return Ok(());
        }
        let packet = match self.wire.read(greeting::LIMIT).await {
            Ok(packet) => packet,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(greeting::not_a_server(self.wire.unread(), &error));
            }
            Err(error) => return Err(transport::failure(Phase::Greeting, &error)),
        };
        if packet.first() == Some(&ErrPacket::HEADER) {
            let trouble = ErrPacket::parse(&packet).map_or_else(Trouble::Wire, Trouble::Server);
            let when = Circumstances { phase: Phase::Greeting, flavor: None, plain: false };
            return Err(failed(trouble, when));
        }
        match Greeting::parse(&packet) {
            Ok(greeting) => {
                self.greeting = Some(greeting);
                Ok(())
            }
            Err(error) => {
                // With its header, by which some other protocols are known.
                let header = [&(packet.len() as u32).to_le_bytes()[..3], &[0]].concat();
                Err(greeting::not_a_server(&[&header, &packet[..]].concat(), &error))
            }
        }
    }

    /// Who has greeted; none before that.
    pub fn server(&self) -> Option<&Server> {
        self.greeting.as_ref().map(|greeting| &greeting.server)
    }

    /// Has the kernel ask the other side, after 10 s of silence and every 5 s, whether it is there: a frozen server's
    /// kernel answers, a dead path does not, and after three questions the wait for the greeting ends.
    pub fn keep_alive(&self) -> io::Result<()> {
        self.wire.stream().keep_alive()
    }

    /// Answers the greeting: TLS as the policy wants it, then the login. Waits for the greeting, and records that
    /// phase, if the caller has not.
    pub async fn login(
        mut self,
        access: &Access,
        deadline: Instant,
        times: &mut PhaseTimes,
    ) -> Result<Connection, Failure> {
        if self.greeting.is_none() {
            let started = Instant::now();
            let greeted = timeout_at(deadline, self.greeting()).await;
            greeted.unwrap_or_else(|_| Err(transport::timeout(Phase::Greeting)))?;
            times.record(Phase::Greeting, started.elapsed());
        }
        let Dialed { local_addr, peer_addr, wire, greeting: Some(greeting), .. } = self else {
            return Err(transport::timeout(Phase::Greeting));
        };
        let offered = greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL);
        let use_tls = access.tls.applies(offered, wire.stream().channel() == Channel::Socket)?;
        let (mut wire, tls) = match use_tls {
            false => (wire, None),
            true => {
                let started = Instant::now();
                let wire = within(deadline, Phase::Tls, encrypt(wire, &greeting, access)).await?;
                times.record(Phase::Tls, started.elapsed());
                let facts = TlsFacts::of(wire.stream());
                (wire, facts)
            }
        };
        let started = Instant::now();
        let channel = wire.stream().channel();
        let client = Client {
            user: &access.user,
            database: access.database.as_deref(),
            means: Means { password: access.password.expose(), channel, cleartext: access.cleartext },
        };
        let when =
            Circumstances { phase: Phase::Auth, flavor: Some(greeting.server.flavor), plain: !channel.is_private() };
        let plugin = match timeout_at(deadline, login::log_in(&mut wire, &greeting, use_tls, client)).await {
            Ok(Ok(plugin)) => plugin,
            Ok(Err(Denied::Failure(failure))) => return Err(failure),
            Ok(Err(Denied::Trouble(trouble))) => return Err(failed(trouble, when)),
            Err(_) => return Err(transport::timeout(Phase::Auth)),
        };
        times.record(Phase::Auth, started.elapsed());
        let deprecate_eof = login::capabilities(&greeting, false).contains(CapabilityFlags::CLIENT_DEPRECATE_EOF);
        let facts = Facts {
            server: greeting.server,
            connection_id: greeting.connection_id,
            auth_plugin: plugin.name().to_owned(),
            tls,
            local_addr,
            peer_addr,
        };
        Ok(Connection { wire, deprecate_eof, in_step: true, facts })
    }
}

async fn encrypt(mut wire: Wire, greeting: &Greeting, access: &Access) -> io::Result<Wire> {
    login::request_tls(&mut wire, greeting, access.database.is_some()).await?;
    let host = match &access.endpoint {
        Endpoint::Tcp { host, .. } => host.as_str(),
        Endpoint::Socket(_) => "",
    };
    wire.upgrade(|tcp| access.tls.handshake(host, tcp)).await
}

/// A connection that has logged in.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    deprecate_eof: bool,
    /// The last answer was read to its end, so the next one will be the next question's.
    in_step: bool,
    facts: Facts,
}

/// What a login taught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub server: Server,
    pub connection_id: u32,
    /// The plugin by which the login went through.
    pub auth_plugin: String,
    pub tls: Option<TlsFacts>,
    /// None on a unix socket, like `peer_addr`.
    pub local_addr: Option<SocketAddr>,
    pub peer_addr: Option<SocketAddr>,
}

/// What was negotiated, and what the server's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// As the server writes it: `TLSv1.3`.
    pub version: String,
    /// As the server writes it: `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// When the first certificate of the chain expires; None if it cannot be read.
    pub not_after: Option<SystemTime>,
    /// The subject alternative names of the server's certificate, wildcards included.
    pub names: Vec<String>,
}

impl TlsFacts {
    fn of(stream: &Stream) -> Option<TlsFacts> {
        let Stream::Tls(tls) = stream else { return None };
        let (_, session) = tls.get_ref();
        let chain = session.peer_certificates().unwrap_or_default();
        Some(TlsFacts {
            version: session.protocol_version().map_or("", tls::version_name).to_owned(),
            cipher: session.negotiated_cipher_suite().map_or_else(String::new, |suite| tls::cipher_name(suite.suite())),
            not_after: certificate::first_expiry(chain),
            names: chain.first().map(certificate::names).unwrap_or_default(),
        })
    }
}

impl Connection {
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Runs a statement and reads its whole answer.
    pub async fn query(&mut self, sql: &str, deadline: Instant) -> Result<Rows, Failure> {
        self.step()?;
        let deprecate_eof = self.deprecate_eof;
        let answer = timeout_at(deadline, text::query(&mut self.wire, sql, deprecate_eof)).await;
        self.settle(answer.ok())
    }

    /// Runs a statement whose answer may be of any size, and keeps it where it is not too large.
    pub async fn query_bounded(
        &mut self,
        sql: &str,
        most: Most,
        deadline: Instant,
    ) -> Result<Result<Rows, Beyond>, Failure> {
        self.step()?;
        let deprecate_eof = self.deprecate_eof;
        let answer = timeout_at(deadline, text::bounded(&mut self.wire, sql, deprecate_eof, most)).await;
        match self.settle(answer.ok())? {
            Bounded::Whole(rows) => Ok(Ok(rows)),
            Bounded::Beyond { what, is_read_out } => {
                self.in_step = is_read_out;
                Ok(Err(what))
            }
        }
    }

    /// Whether it can be asked again, and left in order.
    pub fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Asks whether the server is there.
    pub async fn ping(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.step()?;
        let answer = timeout_at(deadline, text::ping(&mut self.wire)).await;
        self.settle(answer.ok())
    }

    /// Takes leave, so that the server does not count the connection as aborted. Takes a second at most.
    pub async fn quit(self) {
        // Whatever comes of it, the connection is over.
        self.leave().await;
    }

    /// Takes leave, and says whether the server has closed the connection then, within a second.
    pub async fn leave(mut self) -> bool {
        let Ok(left) = timeout(LEAVE, text::quit(&mut self.wire)).await else { return false };
        match left.map_err(|error| error.kind()) {
            // Without TLS's farewell is no less closed.
            Ok(()) | Err(io::ErrorKind::UnexpectedEof) => true,
            // The server that closes at once answers our own farewell so; without TLS it would be a firewall.
            Err(io::ErrorKind::ConnectionReset) => self.wire.stream().channel() == Channel::Tls,
            Err(_) => false,
        }
    }

    /// Waits for what comes without a question, which is the end: of all that a server sends, only an error comes
    /// unasked. There is no deadline, and to stop waiting loses nothing.
    pub async fn unasked(&mut self) -> Unasked {
        let came = self.wire.read(packets::CONTINUED).await;
        self.in_step = false;
        came.and_then(|packet| Unasked::packet(&packet)).unwrap_or_else(|error| Unasked::error(&error))
    }

    /// Asks whether the server is there, as often as it is called, with a single question: a caller that stopped
    /// waiting goes on waiting for the same answer. What ends it is told as the signal that it is.
    pub async fn ping_again(&mut self) -> Result<(), Unasked> {
        // Nothing is in flight, so a few bytes go out at once: there is no half of a question to be cancelled.
        if std::mem::take(&mut self.in_step) {
            text::send_ping(&mut self.wire).await.map_err(|error| Unasked::error(&error))?;
        }
        match text::pong(&mut self.wire).await {
            Ok(()) => {
                self.in_step = true;
                Ok(())
            }
            Err(Trouble::Server(error)) => Err(Unasked::server(error)),
            Err(Trouble::Wire(error)) => Err(Unasked::error(&error)),
        }
    }

    // From here to `settle` the connection is in the middle of an exchange. A caller that stops waiting leaves it there.
    fn step(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.in_step) {
            true => Ok(()),
            false => {
                let error = packets::malformed("this connection has an answer that nobody waited for");
                Err(transport::failure(Phase::Query, &error))
            }
        }
    }

    fn settle<T>(&mut self, answer: Option<Result<T, Trouble>>) -> Result<T, Failure> {
        let answer = answer.ok_or_else(|| transport::timeout(Phase::Query))?;
        self.in_step = !matches!(answer, Err(Trouble::Wire(_)));
        let when = Circumstances {
            phase: Phase::Query,
            flavor: Some(self.facts.server.flavor),
            plain: !self.wire.stream().channel().is_private(),
        };
        answer.map_err(|trouble| failed(trouble, when))
    }
}

const LEAVE: Duration = Duration::from_secs(1);

/// How a connection ended that had not ended it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unasked {
    pub signal: Signal,
    /// The server's error number, where it sent one.
    pub errno: Option<u16>,
    pub detail: String,
}

impl Unasked {
    fn packet(packet: &[u8]) -> io::Result<Unasked> {
        match packet.first() {
            Some(&ErrPacket::HEADER) => Ok(Unasked::server(ErrPacket::parse(packet)?)),
            _ => Err(packets::malformed("a packet that nobody asked for")),
        }
    }

    fn server(error: ErrPacket) -> Unasked {
        Unasked { signal: Signal::ErrPacket, errno: Some(error.errno), detail: error.message }
    }

    fn error(error: &io::Error) -> Unasked {
        Unasked { signal: transport::signal(error), errno: None, detail: error.to_string() }
    }
}

fn failed(trouble: Trouble, when: Circumstances) -> Failure {
    match trouble {
        Trouble::Wire(error) => transport::failure(when.phase, &error),
        Trouble::Server(error) => errno::failure(error.errno, &error.message, when),
    }
}

async fn within<T>(deadline: Instant, phase: Phase, work: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    match timeout_at(deadline, work).await {
        Ok(result) => result.map_err(|error| transport::failure(phase, &error)),
        Err(_) => Err(transport::timeout(phase)),
    }
}
