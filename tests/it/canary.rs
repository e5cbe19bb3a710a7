//! A watched connection sees how it ends, to the moment: what real servers do to one that rests, and what scripted
//! ones do.

use std::time::Duration;

use goneaway::config::TlsMode;
use goneaway::mysql::canary::{Canary, Ending, Pinged};
use goneaway::mysql::endpoint::Endpoint;
use goneaway::mysql::handshake::TlsPolicy;
use goneaway::mysql::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::client::{PATIENCE, access, at, attempt, policy, settings, settled};
use crate::scripted::{OK, PLAIN, Talk, server};
use crate::servers::{Kind, Server, shared};

const LONG: Duration = Duration::from_secs(600);

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

async fn canary(server: &Server, mode: TlsMode, session_wait_timeout: Duration) -> Canary {
    let access = access(at("127.0.0.1", server), "goneaway", "goneaway", policy(&settings(mode)));
    let (connection, _) = attempt(&access).await.expect("a good account");
    Canary::rest(connection, session_wait_timeout, deadline()).await.expect("anybody may set it")
}

async fn watched(mut canary: Canary) -> Ending {
    timeout(PATIENCE, canary.watch()).await.expect("an end in time")
}

async fn is_listed(server: &Server, thread_id: u32) -> bool {
    let count = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {thread_id}");
    server.query_one(&count).await != "0"
}

#[tokio::test]
async fn the_servers_own_limit_is_seen_at_the_second_with_its_signal() {
    for kind in Kind::ALL {
        let Some(server) = shared(kind).await else { continue };
        for mode in [TlsMode::Disabled, TlsMode::Required] {
            let ending = watched(canary(server, mode, Duration::from_secs(2)).await).await;
            println!("{} {mode:?}: {ending:?}", server.version);
            let expected = match kind.is_mariadb() {
                true => (Signal::Rst, None),
                false => (Signal::ErrPacket, Some(4031)),
            };
            assert_eq!((ending.signal, ending.errno), expected, "{} {mode:?}", server.version);
            assert!((1.9..3.5).contains(&ending.rested.as_secs_f64()), "{:?}", ending.rested);
        }
    }
}

#[tokio::test]
async fn the_session_outlives_a_shorter_global_limit() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["wait_timeout=1"]).await else { continue };
        let mut outlives = canary(&server, TlsMode::Disabled, LONG).await;
        let access = access(at("127.0.0.1", &server), "goneaway", "goneaway", TlsPolicy::disabled());
        let (mut plain, _) = attempt(&access).await.expect("a good account");
        let ended = timeout(PATIENCE, plain.unasked()).await.expect("the global limit");
        let expected = if kind.is_mariadb() { Signal::Rst } else { Signal::ErrPacket };
        assert_eq!(ended.signal, expected, "{}", server.version);
        assert!(outlives.rested() > Duration::from_millis(900));
        assert_eq!(outlives.ping(deadline()).await, Pinged::Answered, "{}", server.version);
        assert!(outlives.rested() < Duration::from_millis(500), "it rests anew");
        outlives.rest_anew(Duration::from_secs(1), deadline()).await.expect("it is in order after a ping");
        assert_eq!(watched(outlives).await.signal, expected);
    }
}

#[tokio::test]
async fn a_kill_is_a_fin_and_a_good_leave_aborts_nothing() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        for mode in [TlsMode::Disabled, TlsMode::Required] {
            let killed = canary(&server, mode, LONG).await;
            let id = killed.thread_id();
            assert!(is_listed(&server, id).await);
            server.sql(&format!("KILL {id}")).await;
            let ending = watched(killed).await;
            assert_eq!((ending.signal, ending.errno), (Signal::Fin, None), "{} {mode:?}: {ending:?}", server.version);
            settled(async || !is_listed(&server, id).await).await;

            let aborted = server.status("Aborted_clients").await;
            let leaves = canary(&server, mode, LONG).await;
            let id = leaves.thread_id();
            assert!(leaves.quit().await, "{} {mode:?}", server.version);
            settled(async || !is_listed(&server, id).await).await;
            assert_eq!(server.status("Aborted_clients").await, aborted, "{} {mode:?}", server.version);
        }
    }
}

#[tokio::test]
async fn a_shutdown_and_a_crash_are_fins() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let rests = tokio::spawn(watched(canary(&server, TlsMode::Disabled, LONG).await));
        server.shutdown().await;
        assert_eq!(rests.await.expect("no panic").signal, Signal::Fin, "{} shut down", server.version);
        server.start().await;
        let rests = tokio::spawn(watched(canary(&server, TlsMode::Disabled, LONG).await));
        server.kill();
        assert_eq!(rests.await.expect("no panic").signal, Signal::Fin, "{} crashed", server.version);
    }
}

#[tokio::test]
async fn a_frozen_server_is_silent_and_answers_the_same_ping_when_it_goes_on() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let mut canary = canary(&server, TlsMode::Disabled, LONG).await;
    server.freeze().await;
    for _ in 0..3 {
        let soon = Instant::now() + Duration::from_millis(50);
        assert_eq!(canary.ping(soon).await, Pinged::Silent);
    }
    server.thaw();
    assert_eq!(canary.ping(deadline()).await, Pinged::Answered);
    assert_eq!(canary.ping(deadline()).await, Pinged::Answered, "in step again");
    assert!(canary.quit().await);
}

// A canary on a server that has let it in, answered its SET, and goes on by the script.
async fn resting<F>(script: impl FnOnce(Talk) -> F + Send + 'static) -> (Canary, JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let (endpoint, task): (Endpoint, _) = server(async move |mut talk: Talk| {
        talk.let_in(PLAIN).await;
        let statement = talk.read().await;
        assert_eq!(statement, b"\x03SET SESSION wait_timeout = 600");
        talk.send(OK).await;
        script(talk).await;
    })
    .await;
    let access = access(endpoint, "user", "secret", TlsPolicy::disabled());
    let (connection, _) = attempt(&access).await.expect("it lets everybody in");
    (Canary::rest(connection, LONG, deadline()).await.expect("an answer"), task)
}

#[tokio::test]
async fn every_end_has_its_signal() {
    let (canary, _task) = resting(async |_talk| {}).await;
    assert_eq!(watched(canary).await.signal, Signal::Fin);

    let (canary, _task) = resting(async |talk| talk.reset()).await;
    assert_eq!(watched(canary).await.signal, Signal::Rst);

    let (canary, _task) = resting(async |mut talk| {
        talk.sequence = 0;
        talk.send(b"\xff\xbf\x0f#HY000The client was disconnected").await;
    })
    .await;
    let ending = watched(canary).await;
    assert_eq!((ending.signal, ending.errno), (Signal::ErrPacket, Some(4031)));
    assert_eq!(ending.detail, "The client was disconnected");

    let (canary, _task) = resting(async |mut talk| {
        talk.sequence = 0;
        talk.send(OK).await;
        talk.silence().await;
    })
    .await;
    assert_eq!(watched(canary).await.signal, Signal::OutOfSync);
}

#[tokio::test]
async fn to_stop_watching_loses_nothing() {
    let (mut canary, task) = resting(async |mut talk| {
        // In pieces, over several watches.
        for byte in b"\x09\0\0\0\xff\xbf\x0f#HY000" {
            talk.stream.write_all(&[*byte]).await.expect("the client listens");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    })
    .await;
    let ending = loop {
        if let Ok(ending) = timeout(Duration::from_millis(5), canary.watch()).await {
            break ending;
        }
    };
    assert_eq!((ending.signal, ending.errno), (Signal::ErrPacket, Some(4031)));
    task.await.expect("the script went well");
}

#[tokio::test]
async fn a_ping_that_meets_the_end_tells_it() {
    let (mut canary, _task) = resting(async |mut talk| {
        talk.read().await;
        talk.reset();
    })
    .await;
    match canary.ping(deadline()).await {
        Pinged::Ended(ending) => assert_eq!(ending.signal, Signal::RstOnWrite),
        other => panic!("{other:?}"),
    }
    assert!(!canary.quit().await, "there is nobody to take leave of");

    let (mut canary, _task) = resting(async |mut talk| {
        talk.read().await;
    })
    .await;
    match canary.ping(deadline()).await {
        Pinged::Ended(ending) => assert_eq!(ending.signal, Signal::Fin),
        other => panic!("{other:?}"),
    }
}
