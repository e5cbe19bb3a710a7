//! The reasons why a connection could not be had, each brought about on a real server or by a real lack of one.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use goneaway::config::TlsMode;
use goneaway::mysql::endpoint::Endpoint;
use goneaway::mysql::failure::{Failure, Phase, Reason};
use goneaway::mysql::handshake::{Access, Connection, PhaseTimes, TlsPolicy};
use goneaway::mysql::transport;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, timeout};

use crate::client::{PATIENCE, access, at, attempt, attempt_within, dialed, policy, settings};
use crate::servers::{Kind, Server, tls};

type Told = (Phase, Reason, Option<u16>);

fn told(failure: &Failure) -> Told {
    (failure.phase, failure.reason, failure.errno)
}

async fn fails(access: &Access, expected: Told) -> Failure {
    let (result, what) = (attempt(access).await, format!("{expected:?}"));
    let failure = result.map(|_| ()).expect_err(&what);
    assert_eq!(told(&failure), expected, "{failure:?}");
    assert!(failure.hint.is_some(), "{failure:?}");
    failure
}

fn plain(endpoint: Endpoint) -> Access {
    access(endpoint, "goneaway", "goneaway", TlsPolicy::disabled())
}

fn tcp(address: SocketAddr) -> Access {
    plain(Endpoint::Tcp { host: address.ip().to_string(), port: address.port() })
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    fails(&tcp(address), (Phase::Tcp, Reason::Refused, None)).await;
}

#[tokio::test]
async fn a_socket_refuses_that_is_not_there_or_that_nobody_listens_on() {
    let path = std::env::temp_dir().join(format!("goneaway-reasons-{}", std::process::id()));
    let access = plain(Endpoint::Socket(path.clone()));
    let failure = fails(&access, (Phase::Tcp, Reason::Refused, None)).await;
    assert!(failure.detail.contains(&path.display().to_string()), "{failure:?}");
    drop(UnixListener::bind(&path).expect("the temporary directory is writable"));
    fails(&access, (Phase::Tcp, Reason::Refused, None)).await;
    std::fs::remove_file(&path).expect("just made");
}

/// A listener that takes no more: the kernel drops what knocks, as a firewall does.
pub(crate) fn full() -> (Socket, Vec<Socket>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback");
    listener.listen(0).expect("bound");
    let address = listener.local_addr().expect("bound");
    let waiting = (0..3).map(|_| {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("a socket");
        let _ = client.connect(&address);
        client
    });
    let waiting = waiting.collect();
    (listener, waiting, address.as_socket().expect("an IP address"))
}

#[tokio::test]
async fn dropped_packets_time_out_in_tcp() {
    let (_listener, _waiting, address) = full();
    let failure = attempt_within(&tcp(address), Duration::from_millis(300)).await.expect_err("nobody answers");
    assert_eq!(told(&failure), (Phase::Tcp, Reason::Timeout, None), "{failure:?}");
}

#[tokio::test]
async fn a_full_queue_of_a_unix_socket_times_out_too() {
    let path = std::env::temp_dir().join(format!("goneaway-full-{}", std::process::id()));
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    let name = socket2::SockAddr::unix(&path).expect("a short path");
    listener.bind(&name).expect("the temporary directory is writable");
    listener.listen(0).expect("bound");
    let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    client.connect(&name).expect("the first is taken");
    let access = plain(Endpoint::Socket(path.clone()));
    let failure = attempt_within(&access, Duration::from_millis(300)).await.expect_err("nobody accepts");
    assert_eq!(told(&failure), (Phase::Tcp, Reason::Timeout, None), "{failure:?}");
    std::fs::remove_file(&path).expect("just made");
}

#[tokio::test]
async fn a_listener_that_says_nothing_times_out_in_greeting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let access = tcp(listener.local_addr().expect("bound"));
    let failure = attempt_within(&access, Duration::from_millis(300)).await.expect_err("nobody speaks");
    assert_eq!(failure, transport::timeout(Phase::Greeting));
}

#[tokio::test]
async fn an_unknown_name_fails_in_dns() {
    // RFC 6761 keeps this name from ever existing. Where no resolver answers that is as good a reason.
    let endpoint = Endpoint::Tcp { host: "no-such-host.invalid".into(), port: 3306 };
    let failure = attempt_within(&plain(endpoint), Duration::from_secs(30)).await.expect_err("no such name");
    assert_eq!(told(&failure), (Phase::Dns, Reason::Dns, None), "{failure:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_told_from_the_other_bad_ones() {
    for kind in Kind::ALL {
        let cases = [
            (&tls().expired, Reason::TlsExpired),
            (&tls().misnamed, Reason::TlsWrongName),
            (&tls().stranger, Reason::TlsUnknownCa),
        ];
        for (identity, reason) in cases {
            let options = identity.options();
            let Some(server) = Server::private(kind, &options.each_ref().map(String::as_str)).await else { continue };
            let verified = policy(&settings(TlsMode::VerifyIdentity));
            fails(&access(at("localhost", &server), "goneaway", "goneaway", verified), (Phase::Tls, reason, None))
                .await;
            // Who does not verify does not mind.
            let required = policy(&settings(TlsMode::Required));
            let access = access(at("localhost", &server), "goneaway", "goneaway", required);
            attempt(&access).await.expect("any certificate").0.quit().await;
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_fails_before_the_tls_handshake() {
    for kind in Kind::ALL {
        let without = if kind.is_mariadb() { "skip-ssl" } else { "tls-version=" };
        let Some(server) = Server::private(kind, &[without]).await else { continue };
        for mode in [TlsMode::Required, TlsMode::VerifyCa, TlsMode::VerifyIdentity] {
            let access = access(at("localhost", &server), "goneaway", "goneaway", policy(&settings(mode)));
            fails(&access, (Phase::Tls, Reason::TlsUnsupported, None)).await;
        }
    }
}

#[tokio::test]
async fn the_servers_refusals_have_their_numbers() {
    for kind in Kind::ALL {
        // MariaDB lets a limit be changed only where there was one from the start.
        let Some(server) = Server::private(kind, &["max_user_connections=100"]).await else { continue };
        let user = |user: &str| access(at("127.0.0.1", &server), user, "secret", TlsPolicy::disabled());
        let refused = |reason, errno| (Phase::Auth, reason, Some(errno));
        let mariadb = kind.is_mariadb();

        server.sql("CREATE USER known@'%' IDENTIFIED BY 'secret'").await;
        server.sql("GRANT ALL ON `open`.* TO known@'%'").await;
        let database = |database: &str| Access { database: Some(database.into()), ..user("known") };
        fails(&database("open"), refused(Reason::UnknownDatabase, 1049)).await;
        fails(&database("mysql"), refused(Reason::AccessDenied, 1044)).await;
        server.sql("CREATE DATABASE `open`").await;
        attempt(&database("open")).await.expect("it is there now").0.quit().await;

        server.sql("CREATE USER locked@'%' IDENTIFIED BY 'secret' ACCOUNT LOCK").await;
        fails(&user("locked"), refused(Reason::AccountLocked, if mariadb { 4151 } else { 3118 })).await;

        let blocked_after_one = match mariadb {
            true => "CREATE USER failing@'%' IDENTIFIED BY 'right'",
            false => "CREATE USER failing@'%' IDENTIFIED BY 'right' FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 1",
        };
        server.sql(blocked_after_one).await;
        if mariadb {
            server.sql("SET GLOBAL max_password_errors = 1").await;
            fails(&user("failing"), refused(Reason::AccessDenied, 1045)).await;
        }
        fails(&user("failing"), refused(Reason::AccountLocked, if mariadb { 4150 } else { 3955 })).await;

        server.sql("CREATE USER expired@'%' IDENTIFIED BY 'secret' PASSWORD EXPIRE").await;
        if mariadb {
            // MySQL's default, and there it cannot be changed while it runs.
            server.sql("SET GLOBAL disconnect_on_expired_password = ON").await;
        }
        fails(&user("expired"), refused(Reason::PasswordExpired, 1862)).await;

        server.sql("CREATE USER one@'%' IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 1").await;
        let (held, _) = attempt(&user("one")).await.expect("the first");
        fails(&user("one"), refused(Reason::UserLimit, 1226)).await;
        held.quit().await;

        server.sql("SET GLOBAL max_user_connections = 1").await;
        let (held, _) = attempt(&user("known")).await.expect("the first");
        fails(&user("known"), refused(Reason::UserLimit, 1203)).await;
        held.quit().await;
        server.sql("SET GLOBAL max_user_connections = 100").await;

        server.sql("SET GLOBAL require_secure_transport = ON").await;
        let failure = attempt(&user("known")).await.expect_err("no TLS");
        match kind {
            Kind::MariadbStable => {
                assert_eq!(told(&failure), refused(Reason::AccessDenied, 1045));
                assert!(failure.hint.is_some_and(|hint| hint.contains("TLS")));
            }
            _ => assert_eq!(told(&failure), refused(Reason::TlsRequired, 3159)),
        }
        server.sql("SET GLOBAL require_secure_transport = OFF").await;

        if !mariadb {
            server.sql("SET GLOBAL offline_mode = ON").await;
            fails(&user("known"), refused(Reason::Offline, 3032)).await;
            server.sql("SET GLOBAL offline_mode = OFF").await;
        }

        server.sql("SET GLOBAL init_connect = 'no such statement'").await;
        let (mut connection, _) = attempt(&user("known")).await.expect("the login itself works");
        let failure = connection.query("SELECT 1", Instant::now() + PATIENCE).await.expect_err("init_connect failed");
        assert_eq!(told(&failure), (Phase::Query, Reason::Other, Some(1184)));
        server.sql("SET GLOBAL init_connect = ''").await;

        for account in ["goneaway", "known"] {
            server.sql(&format!("RENAME USER {account}@'%' TO {account}@'192.0.2.1'")).await;
        }
        let others =
            server.query_one("SELECT GROUP_CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE Host = '%'");
        server.sql(&format!("DROP USER {}", others.await)).await;
        server.sql("FLUSH PRIVILEGES").await;
        let failure = fails(&user("known"), (Phase::Greeting, Reason::HostNotAllowed, Some(1130))).await;
        assert!(failure.hint.is_some_and(|hint| hint.contains("127.0.0.1")));
    }
}

#[tokio::test]
async fn a_full_server_refuses_in_two_places() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=10"]).await else { continue };
        let ordinary = plain(at("127.0.0.1", &server));
        let mut held: Vec<Connection> = Vec::new();
        // Connections that have just ended hold their places for a moment.
        crate::client::settled(async || {
            held.extend(attempt(&ordinary).await.ok().map(|(connection, _)| connection));
            held.len() == 10
        })
        .await;
        fails(&ordinary, (Phase::Auth, Reason::TooManyConnections, Some(1040))).await;
        let administrator = access(Endpoint::Socket(server.socket.clone()), "root", "", TlsPolicy::disabled());
        // The refused attempt may hold that place for a moment.
        let mut root = None;
        crate::client::settled(async || {
            root = attempt(&administrator).await.ok();
            root.is_some()
        })
        .await;
        fails(&ordinary, (Phase::Greeting, Reason::TooManyConnections, Some(1040))).await;
        root.expect("one place is kept").0.quit().await;
        for connection in held {
            connection.quit().await;
        }
    }
}

/// The address that the server sees behind the relay. host_cache does not count 127.0.0.1, but the rest of loopback.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Passes connections on to a server as if they came from `CLIENT`.
pub(crate) async fn relay(to: u16) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from((CLIENT, 0))).expect("all of 127.0.0.0/8 is ours");
            let Ok(mut server) = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, to))).await else { return };
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    address
}

/// The address that the relay comes from.
pub(crate) fn blocked_source() -> Ipv4Addr {
    CLIENT
}

#[tokio::test]
async fn a_blocked_host_is_told_in_the_greeting() {
    let hosts = format!("127.0.0.1 localhost\n{CLIENT} client.test\n");
    for kind in Kind::ALL {
        let options = ["skip-name-resolve=OFF", "max_connect_errors=2"];
        let Some(server) = Server::private_with_hosts(kind, &options, &hosts).await else { continue };
        let access = tcp(relay(server.port).await);
        // Whoever connects and leaves before the login is an error of its host.
        let mut blocked = None;
        crate::client::settled(async || {
            let mut times = PhaseTimes::default();
            let mut dialed = dialed(&access, &mut times).await;
            blocked = timeout(PATIENCE, dialed.greeting()).await.expect("in time").err();
            blocked.is_some()
        })
        .await;
        let failure = blocked.expect("just so");
        assert_eq!(told(&failure), (Phase::Greeting, Reason::HostBlocked, Some(1129)));
        assert!(failure.hint.is_some_and(|hint| hint.contains("FLUSH HOSTS")));
    }
}

#[tokio::test]
async fn a_frozen_server_greets_late_on_the_same_connection() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        server.freeze().await;
        let access = plain(at("127.0.0.1", &server));
        let mut times = PhaseTimes::default();
        let mut dialed = dialed(&access, &mut times).await;
        dialed.keep_alive().expect("a TCP socket");
        for _ in 0..5 {
            timeout(Duration::from_millis(50), dialed.greeting()).await.expect_err("it is frozen");
        }
        server.thaw();
        timeout(PATIENCE, dialed.greeting()).await.expect("in time").expect("a greeting");
        let connection = dialed.login(&access, Instant::now() + PATIENCE, &mut times).await.expect("a login");
        connection.quit().await;
        let aborted = (server.status("Aborted_clients").await, server.status("Aborted_connects").await);
        assert_eq!(aborted, (0, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_shuts_down_refuses_newcomers_and_tells_or_cuts_the_others() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let access = plain(at("127.0.0.1", &server));
        // Something slow holds the shutdown up, so that there is a while to look at.
        let mut slow = attempt(&access).await.expect("it is up").0;
        let slow = tokio::spawn(async move { slow.query("SELECT SLEEP(2)", Instant::now() + PATIENCE).await });
        let mut other = attempt(&access).await.expect("it is up").0;
        server.begin_shutdown();
        crate::client::settled(async || {
            let failure = attempt_within(&access, Duration::from_millis(500)).await.err();
            failure.is_some_and(|failure| told(&failure) == (Phase::Tcp, Reason::Refused, None))
        })
        .await;
        let mut failure = None;
        crate::client::settled(async || {
            failure = other.query("SELECT 1", Instant::now() + PATIENCE).await.err();
            failure.is_some()
        })
        .await;
        let failure = failure.expect("just so");
        if kind.is_mariadb() {
            assert_eq!(told(&failure), (Phase::Query, Reason::Closed, None), "{kind:?}");
        } else {
            assert_eq!(told(&failure), (Phase::Query, Reason::ServerShutdown, Some(1053)), "{kind:?}");
        }
        // How the slow one ends is the server's choice; that it ends is all that matters here.
        let _ = slow.await;
    }
}
