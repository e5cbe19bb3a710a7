//! Servers that break the protocol, fall silent or go away: each ends in a failure with its phase, never in a hang, a
//! panic or a heap full of nothing.

use std::time::Duration;

use goneaway::config::TlsMode;
use goneaway::mysql::failure::{Failure, Phase, Reason};
use goneaway::mysql::handshake::{Access, Connection, PhaseTimes, TlsPolicy};
use goneaway::mysql::transport;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use crate::client::{PATIENCE, access, attempt, attempt_within, dialed, policy, settings};
use crate::scripted::{DEPRECATE_EOF, OK, PLAIN, SSL, Talk, column, greeting, server, switch};

fn told(failure: &Failure) -> (Phase, Reason) {
    (failure.phase, failure.reason)
}

async fn fails<F>(script: impl FnOnce(Talk) -> F + Send + 'static) -> Failure
where
    F: Future<Output = ()> + Send,
{
    fails_as("secret", script).await
}

async fn fails_as<F>(password: &str, script: impl FnOnce(Talk) -> F + Send + 'static) -> Failure
where
    F: Future<Output = ()> + Send,
{
    let (endpoint, task) = server(script).await;
    let access = access(endpoint, "user", password, TlsPolicy::disabled());
    let failure = attempt(&access).await.map(|_| ()).expect_err("a failure");
    timeout(PATIENCE, task).await.expect("in time").expect("the script went well");
    failure
}

#[tokio::test]
async fn what_is_not_mysql_is_told_at_once() {
    for (bytes, says) in [
        (&b"HTTP/1.1 408 Request Timeout\r\n\r\n"[..], "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "SSH"),
        (b"220 mail.example ESMTP\r\n", "SMTP"),
        (b"\x15\x03\x01\0\x02\x02\x46", "TLS"),
        (b"\x05\0\0\0\x0b\x08\x05\x1a\0", "X protocol"),
        (b"\x0c\0\0\0\x093.20.32\0abc", "older than MySQL 3.21"),
        // Lengths of 16 MiB and of nothing.
        (b"\xff\xff\xff\0", "not a MySQL server"),
        (b"\0\0\0\0", "not a MySQL server"),
        (b"\x01\0\0\x01\x0a", "not a MySQL server"),
        (b"\x01\0\0\0\x0a", "not a MySQL server"),
        (b"\x01\0\0\0\xff", "not a MySQL server"),
        (b"\0\xff\xfe\xfd\xfc", "not a MySQL server"),
    ] {
        let failure = fails(async move |mut talk: Talk| {
            talk.raw(bytes).await;
            talk.silence().await;
        })
        .await;
        assert_eq!(told(&failure), (Phase::Greeting, Reason::Protocol), "{bytes:?}: {failure:?}");
        let hint = failure.hint.clone().unwrap_or_default();
        assert!(hint.contains(says) || bytes == b"\x01\0\0\0\xff", "{bytes:?}: {failure:?}");
    }
}

#[tokio::test]
async fn no_piece_of_a_greeting_hangs_or_panics() {
    let whole = greeting(PLAIN, "mysql_native_password");
    for end in 0..whole.len() {
        let piece = whole[..end].to_vec();
        let failure = fails(async move |mut talk: Talk| {
            talk.send(&piece).await;
            if talk.read().await.is_empty() {
                return;
            }
            talk.raw(b"\x01\0\0\x02\xff").await;
        })
        .await;
        assert_eq!(failure.reason, Reason::Protocol, "{end}: {failure:?}");
    }
}

#[tokio::test]
async fn an_error_in_place_of_the_greeting_is_read_with_and_without_sqlstate() {
    for (errno, reason) in
        [(1040_u16, Reason::TooManyConnections), (1129, Reason::HostBlocked), (1130, Reason::HostNotAllowed)]
    {
        for state in ["", "#08004"] {
            let error = [&[0xff][..], &errno.to_le_bytes(), state.as_bytes(), b"words"].concat();
            let failure = fails(async move |mut talk: Talk| talk.send(&error).await).await;
            assert_eq!(told(&failure), (Phase::Greeting, reason));
            assert_eq!((failure.errno, failure.detail.as_str()), (Some(errno), "words"));
        }
    }
}

/// How a server can leave us alone.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Fin,
    Rst,
    Silence,
}

impl Leave {
    const ALL: [(Leave, Reason); 3] =
        [(Leave::Fin, Reason::Closed), (Leave::Rst, Reason::Reset), (Leave::Silence, Reason::Timeout)];

    async fn act(self, mut talk: Talk) {
        match self {
            Leave::Fin => {}
            Leave::Rst => talk.reset(),
            Leave::Silence => talk.silence().await,
        }
    }
}

const SHORT: Duration = Duration::from_millis(200);

// Plays a good server until the client is in this phase.
async fn reach(phase: Phase, talk: &mut Talk) {
    match phase {
        Phase::Dns | Phase::Tcp | Phase::Greeting => {}
        Phase::Tls => {
            talk.send(&greeting(PLAIN | SSL, "mysql_native_password")).await;
            talk.read().await;
            // The client's first words, lest something unread turns a FIN into RST.
            let _ = talk.stream.read(&mut [0; 4096]).await;
        }
        Phase::Auth => {
            talk.send(&greeting(PLAIN, "mysql_native_password")).await;
            talk.read().await;
        }
        Phase::Query => {
            talk.let_in(PLAIN).await;
            talk.read().await;
        }
    }
}

#[tokio::test]
async fn every_way_to_go_away_is_told_in_every_phase() {
    for phase in [Phase::Greeting, Phase::Tls, Phase::Auth, Phase::Query] {
        for (leave, reason) in Leave::ALL {
            let (endpoint, task) = server(async move |mut talk: Talk| {
                reach(phase, &mut talk).await;
                leave.act(talk).await;
            })
            .await;
            let access = access(endpoint, "user", "secret", policy(&settings(TlsMode::Preferred)));
            let failure = match attempt_within(&access, SHORT).await {
                Err(failure) => failure,
                Ok((mut connection, _)) => {
                    connection.query("SELECT 1", Instant::now() + SHORT).await.expect_err("no answer")
                }
            };
            assert_eq!(told(&failure), (phase, reason), "{leave:?}: {failure:?}");
            timeout(PATIENCE, task).await.expect("in time").expect("the script went well");
        }
    }
}

#[tokio::test]
async fn a_packet_that_is_cut_short_is_told() {
    let failure = fails(async |mut talk: Talk| talk.raw(b"\x4a\0\0\0\x0a8.0").await).await;
    assert_eq!(told(&failure), (Phase::Greeting, Reason::Closed));
    assert!(failure.detail.contains("in the middle of a packet"));
}

#[tokio::test]
async fn a_greeting_in_single_bytes_survives_a_caller_that_stops_and_goes_on() {
    let (endpoint, task) = server(async |mut talk: Talk| {
        let payload = greeting(PLAIN, "mysql_native_password");
        let packet = [&(payload.len() as u32).to_le_bytes()[..3], &[0], &payload].concat();
        for byte in packet {
            talk.raw(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        talk.read().await;
        talk.send(OK).await;
        talk.read().await;
    })
    .await;
    let access = access(endpoint, "user", "secret", TlsPolicy::disabled());
    let mut times = PhaseTimes::default();
    let mut dialed = dialed(&access, &mut times).await;
    let mut waits = 0;
    while timeout(Duration::from_millis(5), dialed.greeting()).await.is_err() {
        waits += 1;
    }
    assert!(waits > 3, "{waits}");
    let connection = dialed.login(&access, Instant::now() + PATIENCE, &mut times).await.expect("a login");
    assert_eq!(times.of(Phase::Greeting), None, "the caller times what the caller waits for");
    connection.quit().await;
    task.await.expect("the script went well");
}

#[tokio::test]
async fn switches_of_plugin_are_followed() {
    let (endpoint, task) = server(async |mut talk: Talk| {
        talk.send(&greeting(PLAIN, "caching_sha2_password")).await;
        let response = talk.read().await;
        assert!(response.ends_with(b"caching_sha2_password\0"), "{response:?}");
        // The same plugin with another challenge, then others, some with an end mark and some without.
        talk.send(&switch("caching_sha2_password", b"12345678901234567890\0")).await;
        let again = talk.read().await;
        assert_eq!(again.len(), 32);
        talk.send(&switch("mysql_native_password", b"12345678901234567890")).await;
        assert_eq!(talk.read().await.len(), 20);
        // Challenges that are random may end in a zero that is no end mark.
        talk.send(&switch("client_ed25519", &[0; 32])).await;
        assert_eq!(talk.read().await.len(), 64);
        talk.send(&switch("parsec", &[0; 32])).await;
        assert_eq!(talk.read().await.len(), 0);
        talk.send(&[&b"P\0"[..], &[7; 18]].concat()).await;
        assert_eq!(talk.read().await.len(), 96);
        talk.send(&switch("caching_sha2_password", b"12345678901234567890\0")).await;
        talk.read().await;
        talk.send(&[1, 3]).await;
        talk.send(OK).await;
        talk.read().await;
    })
    .await;
    let (connection, _) = attempt(&access(endpoint, "user", "secret", TlsPolicy::disabled())).await.expect("a login");
    assert_eq!(connection.facts().auth_plugin, "caching_sha2_password");
    connection.quit().await;
    task.await.expect("the script went well");
}

#[tokio::test]
async fn an_empty_password_is_sent_as_each_plugin_expects_it() {
    let (endpoint, task) = server(async |mut talk: Talk| {
        talk.send(&greeting(PLAIN, "mysql_native_password")).await;
        talk.read().await;
        for (plugin, expected) in
            [("mysql_native_password", &b""[..]), ("caching_sha2_password", b"\0"), ("sha256_password", b"\0")]
        {
            talk.send(&switch(plugin, b"12345678901234567890\0")).await;
            assert_eq!(talk.read().await, expected, "{plugin}");
        }
        talk.send(OK).await;
        talk.read().await;
    })
    .await;
    let (connection, _) = attempt(&access(endpoint, "user", "", TlsPolicy::disabled())).await.expect("a login");
    connection.quit().await;
    task.await.expect("the script went well");
}

#[tokio::test]
async fn a_plugin_that_we_do_not_serve_is_named() {
    for (request, says) in [
        (b"\xfe".to_vec(), "mysql_old_password"),
        (switch("mysql_old_password", b"12345678\0"), "mysql_old_password"),
        (switch("dialog", b""), "dialog"),
        (switch("auth_gssapi_client", b"x"), "auth_gssapi_client"),
        (b"\xfeno end".to_vec(), "no end"),
        (switch("mysql_clear_password", b""), "mysql_clear_password"),
    ] {
        let failure = fails(async move |mut talk: Talk| {
            talk.send(&greeting(PLAIN, "mysql_native_password")).await;
            talk.read().await;
            talk.send(&request).await;
            assert!(talk.read().await.is_empty(), "nothing more is sent");
        })
        .await;
        assert_eq!(told(&failure), (Phase::Auth, Reason::AuthPlugin), "{failure:?}");
        assert!(failure.detail.contains(says) && failure.hint.is_some(), "{failure:?}");
    }
}

#[tokio::test]
async fn a_switch_may_still_end_in_a_refusal() {
    let failure = fails(async |mut talk: Talk| {
        talk.send(&greeting(PLAIN, "caching_sha2_password")).await;
        talk.read().await;
        talk.send(&switch("sha256_password", b"12345678901234567890\0")).await;
        assert_eq!(talk.read().await, [1], "a question for the key");
        talk.send(b"\xff\x15\x04#28000Access denied for user 'user'@'10.0.0.7' (using password: YES)").await;
    })
    .await;
    assert_eq!((told(&failure), failure.errno), ((Phase::Auth, Reason::AccessDenied), Some(1045)));
    assert!(failure.hint.is_some_and(|hint| hint.contains("10.0.0.7")));
}

#[tokio::test]
async fn a_login_that_breaks_the_rules_ends() {
    let after_login = async |packet: &'static [u8]| {
        fails(async move |mut talk: Talk| {
            talk.send(&greeting(PLAIN, "caching_sha2_password")).await;
            talk.read().await;
            talk.send(packet).await;
            talk.silence().await;
        })
        .await
    };
    for packet in [
        &b""[..],
        b"\x01",
        b"\x01\x09",
        b"\x02webauthn",
        b"\xff",
        b"\xfecaching_sha2_password\0short",
        b"\xfeparsec\0short",
        b"something else",
    ] {
        let failure = after_login(packet).await;
        assert_eq!(told(&failure), (Phase::Auth, Reason::Protocol), "{packet:?}: {failure:?}");
    }
    let failure = fails(async |mut talk: Talk| {
        talk.send(&greeting(PLAIN, "mysql_native_password")).await;
        loop {
            if talk.read().await.is_empty() {
                return;
            }
            talk.send(&switch("mysql_native_password", b"12345678901234567890\0")).await;
        }
    })
    .await;
    assert_eq!(told(&failure), (Phase::Auth, Reason::Protocol), "{failure:?}");
}

#[tokio::test]
async fn a_bad_key_from_the_server_is_a_failure() {
    for key in [
        &b"\x01"[..],
        b"\x01no key",
        b"\x01-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        b"\x01-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\n-----END PUBLIC KEY-----\n",
    ] {
        let failure = fails(async move |mut talk: Talk| {
            talk.send(&greeting(PLAIN, "caching_sha2_password")).await;
            talk.read().await;
            talk.send(&[1, 4]).await;
            assert_eq!(talk.read().await, [2], "a question for the key");
            talk.send(key).await;
            talk.silence().await;
        })
        .await;
        assert_eq!(told(&failure), (Phase::Auth, Reason::Protocol), "{failure:?}");
    }
}

#[tokio::test]
async fn a_key_that_takes_too_long_to_make_is_refused() {
    let failure = fails(async |mut talk: Talk| {
        talk.send(&greeting(PLAIN, "mysql_native_password")).await;
        talk.read().await;
        talk.send(&switch("parsec", &[0; 32])).await;
        talk.read().await;
        talk.send(&[&[b'P', 19][..], &[7; 18]].concat()).await;
        talk.silence().await;
    })
    .await;
    assert_eq!(told(&failure), (Phase::Auth, Reason::AuthPlugin), "{failure:?}");
}

#[tokio::test]
async fn a_clear_password_goes_over_a_unix_socket_where_it_is_allowed() {
    for allowed in [true, false] {
        let path = std::env::temp_dir().join(format!("goneaway-clear-{}-{allowed}", std::process::id()));
        let listener = tokio::net::UnixListener::bind(&path).expect("the temporary directory is writable");
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut talk = Talk { stream, sequence: 0 };
            talk.send(&greeting(PLAIN | SSL, "mysql_native_password")).await;
            talk.read().await;
            talk.send(&switch("mysql_clear_password", b"")).await;
            let password = talk.read().await;
            talk.send(OK).await;
            talk.read().await;
            password
        });
        let endpoint = goneaway::mysql::endpoint::Endpoint::Socket(path.clone());
        let preferred = policy(&settings(TlsMode::Preferred));
        let access = Access { cleartext: allowed, ..access(endpoint, "user", "sécret", preferred) };
        match attempt(&access).await {
            Ok((connection, _)) => {
                assert!(allowed);
                assert_eq!(connection.facts().auth_plugin, "mysql_clear_password");
                connection.quit().await;
            }
            Err(failure) => {
                assert!(!allowed);
                assert_eq!(told(&failure), (Phase::Auth, Reason::AuthPlugin));
                assert!(failure.hint.is_some_and(|hint| hint.contains("cleartext")));
            }
        }
        let password = task.await.expect("the script went well");
        assert_eq!(password, if allowed { "sécret\0".as_bytes() } else { b"" });
        std::fs::remove_file(&path).expect("just made");
    }
}

async fn logged_in<F>(
    capabilities: u32,
    script: impl FnOnce(Talk) -> F + Send + 'static,
) -> (Connection, tokio::task::JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let (endpoint, task) = server(async move |mut talk: Talk| {
        talk.let_in(capabilities).await;
        talk.read().await;
        script(talk).await;
    })
    .await;
    let (connection, _) = attempt(&access(endpoint, "user", "secret", TlsPolicy::disabled())).await.expect("a login");
    (connection, task)
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

#[tokio::test]
async fn result_sets_are_read_in_both_their_forms() {
    for capabilities in [PLAIN, PLAIN | DEPRECATE_EOF] {
        let old = capabilities & DEPRECATE_EOF == 0;
        let end = if old { &b"\xfe\0\0\x02\0"[..] } else { b"\xfe\0\0\x02\0\0\0" };
        let end_with_more = if old { &b"\xfe\0\0\x0a\0"[..] } else { b"\xfe\0\0\x0a\0\0\0" };
        let (mut connection, task) = logged_in(capabilities, async move |mut talk: Talk| {
            for end in [end_with_more, end] {
                talk.send(&[2]).await;
                talk.send(&column("a")).await;
                talk.send(&column("b")).await;
                if old {
                    talk.send(b"\xfe\0\0\x02\0").await;
                }
                talk.send(b"\x01x\xfb").await;
                talk.send(b"\0\xfc\x03\0yyy").await;
                talk.send(end).await;
            }
            assert_eq!(talk.read().await, b"\x0e");
            talk.send(OK).await;
            talk.read().await;
        })
        .await;
        let rows = connection.query("CALL two()", soon()).await.expect("an answer");
        assert_eq!(rows.columns(), ["a", "b"]);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [[Some("x"), None], [Some(""), Some("yyy")]]);
        connection.ping(soon()).await.expect("in step");
        connection.quit().await;
        task.await.expect("the script went well");
    }
}

#[tokio::test]
async fn answers_that_break_the_rules_end() {
    const ANSWERS: &[&[&[u8]]] = &[
        &[b""],
        &[b"\xfb/etc/passwd"],
        &[b"\xfc"],
        &[b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", b"\x03def"],
        &[b"\x01", b"\x03def\xfe\xff\xff\xff\xff\xff\xff\xff\xff"],
        &[b"\x01", b"\x03def\0\0\0\x01a", b"\x05abc"],
        &[b"\x01", b"\x03def\0\0\0\x01a", b"\x01ab"],
        &[b"\x01", b"\x03def\0\0\0\x01a", b""],
    ];
    for &packets in ANSWERS {
        let (mut connection, task) = logged_in(PLAIN | DEPRECATE_EOF, async move |mut talk: Talk| {
            for packet in packets {
                talk.send(packet).await;
            }
            talk.silence().await;
        })
        .await;
        let failure = connection.query("SELECT 1", soon()).await.expect_err("nonsense");
        assert_eq!(told(&failure), (Phase::Query, Reason::Protocol), "{packets:?}: {failure:?}");
        drop(connection);
        task.await.expect("the script went well");
    }
}

#[tokio::test]
async fn an_error_amid_the_rows_keeps_its_number() {
    let (mut connection, task) = logged_in(PLAIN | DEPRECATE_EOF, async |mut talk: Talk| {
        talk.send(&[1]).await;
        talk.send(&column("a")).await;
        talk.send(b"\x01x").await;
        talk.send(b"\xff\xd0\x0b#HY000Query execution was interrupted").await;
        talk.read().await;
    })
    .await;
    let failure = connection.query("SELECT 1", soon()).await.expect_err("an error");
    assert_eq!((failure.phase, failure.errno), (Phase::Query, Some(3024)));
    connection.quit().await;
    task.await.expect("the script went well");
}

#[tokio::test]
async fn rows_without_an_end_do_not_fill_the_memory() {
    let (mut connection, task) = logged_in(PLAIN | DEPRECATE_EOF, async |mut talk: Talk| {
        talk.send(&[1]).await;
        talk.send(&column("a")).await;
        let row = [&b"\xfd\0\0\x10"[..], &vec![b'x'; 1 << 20]].concat();
        for _ in 0..100 {
            talk.send(&row).await;
        }
        talk.silence().await;
    })
    .await;
    let failure = connection.query("SELECT 1", soon()).await.expect_err("too much");
    assert_eq!(told(&failure), (Phase::Query, Reason::Protocol));
    drop(connection);
    task.await.expect("the script went well");
}

#[tokio::test]
async fn packets_out_of_order_are_a_breach_but_errors_are_heard() {
    let (mut connection, task) = logged_in(PLAIN, async |mut talk: Talk| {
        talk.sequence = 5;
        talk.send(OK).await;
        talk.silence().await;
    })
    .await;
    let failure = connection.query("DO 1", soon()).await.expect_err("out of order");
    assert_eq!(told(&failure), (Phase::Query, Reason::Protocol));
    drop(connection);
    task.await.expect("the script went well");

    let (mut connection, task) = logged_in(PLAIN, async |mut talk: Talk| {
        talk.sequence = 0;
        talk.send(b"\xff\xbf\x0f#HY000The client was disconnected by the server because of inactivity").await;
    })
    .await;
    let failure = connection.ping(soon()).await.expect_err("disconnected");
    assert_eq!(failure.errno, Some(4031));
    task.await.expect("the script went well");
}

#[tokio::test]
async fn bytes_changed_at_random_never_hang_or_panic() {
    for round in 0..300 {
        let (endpoint, task) = server(async move |mut talk: Talk| {
            let mut random = fastrand::Rng::with_seed(round);
            let mut garble = move |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                if random.u8(..) < 80
                    && let Some(at) = (!bytes.is_empty()).then(|| random.usize(..bytes.len()))
                {
                    bytes[at] = random.u8(..);
                }
                bytes
            };
            talk.send(&garble(&greeting(PLAIN | DEPRECATE_EOF, "caching_sha2_password"))).await;
            talk.read().await;
            talk.send(&garble(&switch("mysql_native_password", b"12345678901234567890\0"))).await;
            talk.read().await;
            talk.send(&garble(OK)).await;
            talk.read().await;
            for packet in
                [&[2][..], &column("a"), &column("b"), b"\x01x\xfb", b"\0\xfc\x03\0yyy", b"\xfe\0\0\x02\0\0\0"]
            {
                talk.send(&garble(packet)).await;
            }
            // The end of the connection ends what waits for more.
        })
        .await;
        let access = access(endpoint, "user", "secret", TlsPolicy::disabled());
        if let Ok((mut connection, _)) = attempt(&access).await {
            let outcome = connection.query("SELECT 1", soon()).await;
            assert_ne!(outcome.map_err(|failure| failure.reason), Err(Reason::Timeout));
        }
        timeout(PATIENCE, task).await.expect("in time").expect("the script went well");
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_a_timeout_and_not_a_wait() {
    let failure = transport::timeout(Phase::Tcp);
    let (endpoint, task) = server(async |mut talk: Talk| talk.silence().await).await;
    let access = access(endpoint, "user", "secret", TlsPolicy::disabled());
    let started = Instant::now();
    let told = attempt_within(&access, Duration::ZERO).await.map(|_| ()).expect_err("no time");
    assert!(started.elapsed() < SHORT);
    assert_eq!(told.reason, failure.reason);
    task.abort();
}
