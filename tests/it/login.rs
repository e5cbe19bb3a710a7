//! Every authentication plugin of every server, on every kind of channel, with the right and with a wrong password.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::SystemTime;

use goneaway::config::{TlsMode, TlsVersion};
use goneaway::mysql::endpoint::Endpoint;
use goneaway::mysql::failure::{Phase, Reason};
use goneaway::mysql::handshake::{Access, PhaseTimes, TlsPolicy, dial, resolve};
use tokio::time::Instant;

use crate::client::{PATIENCE, access, ask, at, attempt, policy, settings};
use crate::servers::{Account, Kind, Server, shared, tls};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Plain,
    Unverified,
    Verified,
    Socket,
}

impl Channel {
    const ALL: [Channel; 4] = [Channel::Plain, Channel::Unverified, Channel::Verified, Channel::Socket];

    fn to(self, server: &Server, user: &str, password: &str) -> Access {
        let (endpoint, mode) = match self {
            Channel::Plain => (at("127.0.0.1", server), TlsMode::Disabled),
            Channel::Unverified => (at("127.0.0.1", server), TlsMode::Required),
            Channel::Verified => (at("localhost", server), TlsMode::VerifyIdentity),
            Channel::Socket => (Endpoint::Socket(server.socket.clone()), TlsMode::Preferred),
        };
        access(endpoint, user, password, policy(&settings(mode)))
    }

    fn phases(self) -> Vec<Phase> {
        match self {
            Channel::Plain => vec![Phase::Tcp, Phase::Greeting, Phase::Auth],
            Channel::Unverified => vec![Phase::Tcp, Phase::Greeting, Phase::Tls, Phase::Auth],
            Channel::Verified => vec![Phase::Dns, Phase::Tcp, Phase::Greeting, Phase::Tls, Phase::Auth],
            Channel::Socket => vec![Phase::Tcp, Phase::Greeting, Phase::Auth],
        }
    }
}

#[tokio::test]
async fn every_plugin_logs_in_on_every_channel() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        for account in server.accounts() {
            for channel in Channel::ALL {
                // sha2 in both its ways: the server does not remember the account, and it does.
                server.sql("FLUSH PRIVILEGES").await;
                for _ in 0..2 {
                    logs_in(server, account, channel).await;
                }
                is_denied(server, account, channel).await;
            }
        }
    }
}

async fn logs_in(server: &Server, account: &Account, channel: Channel) {
    let what = format!("{} {account:?} {channel:?}", server.version);
    let access = channel.to(server, &account.user, &account.password);
    let (mut connection, times) = attempt(&access).await.unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    let facts = connection.facts().clone();

    let phases: Vec<Phase> = times.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, channel.phases(), "{what}");
    let plugin = if account.plugin == "ed25519" { "client_ed25519" } else { &account.plugin };
    assert_eq!(facts.auth_plugin, plugin, "{what}");
    assert_eq!(facts.server.is_mariadb(), server.kind.is_mariadb(), "{what}");
    assert!(server.version.starts_with(&facts.server.version.to_string()), "{what}: {facts:?}");
    let user = ask(&mut connection, "SELECT USER()").await;
    assert!(user.starts_with(&format!("{}@", account.user)), "{what}: {user}");
    let id = ask(&mut connection, "SELECT CONNECTION_ID()").await;
    assert_eq!(id, facts.connection_id.to_string(), "{what}");

    let status =
        |name| format!("SELECT VARIABLE_VALUE FROM performance_schema.session_status WHERE VARIABLE_NAME='{name}'");
    let cipher = ask(&mut connection, &status("Ssl_cipher")).await;
    let version = ask(&mut connection, &status("Ssl_version")).await;
    match facts.tls {
        None => assert_eq!((cipher.as_str(), version.as_str()), ("", ""), "{what}"),
        Some(tls) => {
            assert_eq!((tls.cipher, tls.version), (cipher, version), "{what}");
            assert_eq!(tls.names, ["localhost", "127.0.0.1", "::1"], "{what}");
            assert!(tls.not_after.is_some_and(|expiry| expiry > SystemTime::now()), "{what}");
        }
    }
    connection.ping(Instant::now() + PATIENCE).await.unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    connection.quit().await;
}

async fn is_denied(server: &Server, account: &Account, channel: Channel) {
    for password in ["wrong", ""] {
        let what = format!("{} {} {channel:?} `{password}`", server.version, account.user);
        let failure = attempt(&channel.to(server, &account.user, password)).await.expect_err(&what);
        assert_eq!(
            (failure.phase, failure.reason, failure.errno),
            (Phase::Auth, Reason::AccessDenied, Some(1045)),
            "{what}: {failure:?}"
        );
        assert!(failure.hint.is_some_and(|hint| hint.contains("check the account")), "{what}");
        assert!(!failure.detail.contains("wrong"), "{what}");
    }
}

#[tokio::test]
async fn an_unknown_account_is_denied_like_a_wrong_password() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        // The server answers with a plugin that it makes up from the name, so that nobody learns who exists.
        for user in ["nobody", "nemo", "no-one", "x", ""] {
            for channel in Channel::ALL {
                let what = format!("{} {user} {channel:?}", server.version);
                let failure = attempt(&channel.to(server, user, "secret")).await.expect_err(&what);
                assert_eq!(
                    (failure.phase, failure.reason, failure.errno),
                    (Phase::Auth, Reason::AccessDenied, Some(1045)),
                    "{what}: {failure:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn tls_modes_mean_what_the_mysql_client_means() {
    let other_ca = || Some(tls().other_ca.clone());
    let misnamed = || Some("elsewhere.example".to_owned());
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        let log_in = async |host: &str, tls: &goneaway::config::Tls, user: &str| {
            let result = attempt(&access(at(host, server), user, user, policy(tls))).await;
            match result {
                Ok((connection, _)) => {
                    let encrypted = connection.facts().tls.is_some();
                    connection.quit().await;
                    Ok(encrypted)
                }
                Err(failure) => Err((failure.phase, failure.reason)),
            }
        };
        let mut tls = settings(TlsMode::Disabled);
        assert_eq!(log_in("localhost", &tls, "goneaway").await, Ok(false));
        assert_eq!(log_in("localhost", &tls, "encrypted").await, Err((Phase::Auth, Reason::AccessDenied)));

        for mode in [TlsMode::Preferred, TlsMode::Required] {
            tls = settings(mode);
            (tls.ca, tls.server_name) = (other_ca(), misnamed());
            assert_eq!(log_in("127.0.0.1", &tls, "encrypted").await, Ok(true), "{mode:?}");
        }
        tls = settings(TlsMode::VerifyCa);
        tls.server_name = misnamed();
        assert_eq!(log_in("localhost", &tls, "encrypted").await, Ok(true));
        tls.ca = other_ca();
        assert_eq!(log_in("localhost", &tls, "encrypted").await, Err((Phase::Tls, Reason::TlsUnknownCa)));

        tls = settings(TlsMode::VerifyIdentity);
        for host in ["localhost", "127.0.0.1"] {
            assert_eq!(log_in(host, &tls, "encrypted").await, Ok(true), "{host}");
        }
        tls.server_name = misnamed();
        assert_eq!(log_in("localhost", &tls, "encrypted").await, Err((Phase::Tls, Reason::TlsWrongName)));
        tls.server_name = Some("localhost".into());
        assert_eq!(log_in("127.0.0.1", &tls, "encrypted").await, Ok(true));
        tls.ca = other_ca();
        assert_eq!(log_in("localhost", &tls, "encrypted").await, Err((Phase::Tls, Reason::TlsUnknownCa)));
        // The system trusts many, but not the authority of these tests.
        tls.ca = None;
        assert_eq!(log_in("localhost", &tls, "encrypted").await, Err((Phase::Tls, Reason::TlsUnknownCa)));
    }
}

#[tokio::test]
async fn a_client_certificate_and_a_minimum_version_are_used() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        for min_version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let mut settings = settings(TlsMode::VerifyIdentity);
            settings.min_version = min_version;
            let without = access(at("localhost", server), "certified", "certified", policy(&settings));
            let failure = attempt(&without).await.expect_err("a certificate is asked for");
            assert_eq!((failure.phase, failure.reason), (Phase::Auth, Reason::AccessDenied), "{failure:?}");
            settings.cert = Some(tls().client.certificate.clone());
            settings.key = Some(tls().client.key.clone());
            let with = access(at("localhost", server), "certified", "certified", policy(&settings));
            let (connection, _) = attempt(&with).await.expect("a certificate is given");
            connection.quit().await;
        }
    }
}

#[tokio::test]
async fn certificates_that_servers_make_for_themselves_will_do() {
    for kind in Kind::ALL {
        // MariaDB before 11.4 makes no certificate.
        let options = match kind {
            Kind::MariadbStable => &["skip-ssl"][..],
            _ => &["ssl-ca=", "ssl-cert=", "ssl-key="],
        };
        let Some(server) = Server::private(kind, options).await else { continue };
        let required = policy(&goneaway::config::Tls { ca: None, ..settings(TlsMode::Required) });
        let result = attempt(&access(at("127.0.0.1", &server), "goneaway", "goneaway", required)).await;
        match result {
            Ok((connection, _)) => {
                let tls = connection.facts().tls.clone().expect("TLS is required");
                assert!(tls.not_after.is_some(), "{tls:?}");
                connection.quit().await;
            }
            Err(failure) => {
                assert_eq!(kind, Kind::MariadbStable, "{failure:?}");
                assert_eq!((failure.phase, failure.reason), (Phase::Tls, Reason::TlsUnsupported));
            }
        }
        let preferred = policy(&settings(TlsMode::Preferred));
        let result = attempt(&access(at("127.0.0.1", &server), "goneaway", "goneaway", preferred)).await;
        result.expect("TLS or not").0.quit().await;
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_its_addresses_are_tried_in_turn() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        for (host, named) in [("localhost", true), ("127.0.0.1", false)] {
            let access = access(at(host, server), "goneaway", "goneaway", TlsPolicy::disabled());
            let mut times = PhaseTimes::default();
            let deadline = Instant::now() + PATIENCE;
            let addresses = resolve(&access, deadline, &mut times).await.expect("a name or an address");
            let dialed = dial(&access, &addresses, PATIENCE, deadline, &mut times).await.expect("the server is up");
            let loopback: BTreeSet<IpAddr> = ["127.0.0.1", "::1"].map(|it| it.parse().expect("an address")).into();
            match addresses.of_name() {
                Some(addresses) => assert!(named && addresses.is_subset(&loopback), "{addresses:?}"),
                None => assert!(!named),
            }
            assert!(dialed.peer_addr.is_some_and(|peer| peer.port() == server.port));
            let connection = dialed.login(&access, deadline, &mut times).await.expect("the account exists");
            assert_eq!(times.of(Phase::Dns).is_some(), named);
            connection.quit().await;
        }
    }
}

#[tokio::test]
async fn answers_of_every_shape_are_read() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        let access = Channel::Plain.to(server, "goneaway", "goneaway");
        let (mut connection, _) = attempt(&access).await.expect("the account exists");
        let deadline = Instant::now() + PATIENCE;
        let rows = connection.query("SELECT 1 AS one, NULL AS none, '' AS nothing, 'ä🐬' AS text", deadline).await;
        let rows = rows.expect("an answer");
        assert_eq!(rows.columns(), ["one", "none", "nothing", "text"]);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [[Some("1"), None, Some(""), Some("ä🐬")]]);
        let rows = connection.query("SELECT 1 FROM DUAL WHERE FALSE", deadline).await.expect("an answer");
        assert_eq!((rows.columns().len(), rows.len()), (1, 0));
        assert_eq!(connection.query("DO 1", deadline).await.expect("no rows").columns().len(), 0);
        assert!(ask(&mut connection, "SELECT REPEAT('x', 1000000)").await.len() == 1_000_000);
        assert!(connection.query("SHOW GLOBAL VARIABLES", deadline).await.expect("rows").pairs().count() > 300);
        // An error is the answer to one question and leaves the connection as it was.
        let failure = connection.query("SELECT no_such_column", deadline).await.expect_err("a mistake");
        assert_eq!((failure.phase, failure.reason, failure.errno), (Phase::Query, Reason::Other, Some(1054)));
        assert_eq!(ask(&mut connection, "SELECT 2").await, "2");
        connection.quit().await;
    }
}

#[tokio::test]
async fn we_are_seen_and_leave_no_aborted_connection() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let aborted = async || (server.status("Aborted_clients").await, server.status("Aborted_connects").await);
        let before = aborted().await;
        for channel in Channel::ALL {
            for round in 0..25 {
                let (mut connection, _) =
                    attempt(&channel.to(&server, "goneaway", "goneaway")).await.expect("the account exists");
                if round == 0 {
                    let name = "SELECT ATTR_VALUE FROM performance_schema.session_connect_attrs
                        WHERE PROCESSLIST_ID = CONNECTION_ID() AND ATTR_NAME = 'program_name'";
                    assert_eq!(ask(&mut connection, name).await, "goneaway", "{kind:?}");
                }
                connection.quit().await;
            }
        }
        assert_eq!(aborted().await, before, "{kind:?}");
    }
}

#[tokio::test]
async fn a_question_that_nobody_waited_for_spoils_the_connection() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        let access = Channel::Plain.to(server, "goneaway", "goneaway");
        let (mut connection, _) = attempt(&access).await.expect("the account exists");
        let soon = Instant::now() + std::time::Duration::from_millis(50);
        let failure = connection.query("SELECT SLEEP(0.5), 'first'", soon).await.expect_err("too slow");
        assert_eq!((failure.phase, failure.reason), (Phase::Query, Reason::Timeout));
        let failure = connection.query("SELECT 'second'", Instant::now() + PATIENCE).await.expect_err("spoilt");
        assert_eq!(failure.reason, Reason::Protocol);
        connection.quit().await;
    }
}
