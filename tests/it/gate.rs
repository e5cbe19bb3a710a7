//! Deployments that wait for the servers, and look afterwards what they have done.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::daemon::{Daemon, run, watching};
use super::servers::{self, Kind, Server};

async fn gate(configuration: String, arguments: &'static [&'static str]) -> Output {
    tokio::task::spawn_blocking(move || run(&configuration, arguments)).await.expect("it does not panic")
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_server_that_comes_up_after_ten_seconds_is_waited_for() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    server.kill();
    let configuration = watching(&server, "    connect_timeout: 1s\n    timeout: 1s\n");
    let began = Instant::now();
    let gating = tokio::spawn(gate(configuration, &["gate", "--for", "60s", "--good", "3", "--headroom", "20%"]));
    tokio::time::sleep(Duration::from_secs(10)).await;
    server.start().await;
    let (code, out, err) = told(&gating.await.expect("it does not panic"));
    let took = began.elapsed();
    println!("ready after {took:?}\n{err}{out}");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(took > Duration::from_secs(10), "{took:?}");
    assert!(out.starts_with("t: ready: ") && out.contains(" connections are free\n"), "{out}");
    assert!(err.contains("t: waiting: the probe fails in phase tcp: refused"), "{err}");
}

#[tokio::test]
async fn a_server_that_stays_full_keeps_the_gate_shut() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=8"]).await else { continue };
        let taken = server.fill().await;
        let output = gate(watching(&server, ""), &["gate", "--for", "4s", "--output", "json"]).await;
        let (code, out, err) = told(&output);
        assert_eq!(code, Some(2), "{out}{err}");
        let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let why = json["targets"]["t"]["why"].as_str().unwrap_or_default();
        assert!(why.contains("too_many_connections (1040)"), "{json:#}");
        assert!(err.contains("t: waiting: the probe fails in phase "), "{err}");
        drop(taken);
    }
}

#[tokio::test]
async fn room_that_is_missing_keeps_it_shut_although_probes_are_good() {
    let Some(server) = servers::shared(Kind::MysqlUnstable).await else { return };
    let output = gate(watching(server, ""), &["gate", "--for", "4s", "--good", "1", "--headroom", "100000"]).await;
    let (code, out, err) = told(&output);
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(out.contains("connections are free, and 100000 are wanted"), "{out}");
    let output = gate(watching(server, ""), &["gate", "--good", "1", "--headroom", "120%"]).await;
    assert_eq!(output.status.code(), Some(3));
}

/// Passes everything on to a server, each piece later by so many milliseconds.
async fn slowed(server: &Server, delay: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let (here, there) = (listener.local_addr().expect("bound").port(), server.port);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let delay = delay.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(("127.0.0.1", there)).await else { return };
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let requests = async { drop(tokio::io::copy(&mut from_client, &mut to_server).await) };
                let answers = async {
                    let mut piece = vec![0; 16 * 1024];
                    while let Ok(read @ 1..) = from_server.read(&mut piece).await {
                        tokio::time::sleep(Duration::from_millis(delay.load(Ordering::Relaxed))).await;
                        if to_client.write_all(&piece[..read]).await.is_err() {
                            return;
                        }
                    }
                };
                // Whoever ends first ends both.
                tokio::select! { () = requests => {} () = answers => {} }
            });
        }
    });
    here
}

#[tokio::test]
async fn a_server_that_gets_slower_and_loses_connections_is_told_after_the_deployment() {
    let Some(server) = Server::private(Kind::MariadbUnstable, &[]).await else { return };
    let delay = Arc::new(AtomicU64::new(0));
    let port = slowed(&server, delay.clone()).await;
    let configuration = watching(&server, "    every: 1s\ncontrol: g.sock\n")
        .replace(&format!("127.0.0.1:{}", server.port), &format!("127.0.0.1:{port}"));
    let daemon = Daemon::start(&configuration).await;
    daemon.until(Duration::from_secs(5), "up", |seen| seen.up() && seen.has_copied()).await;
    let file = daemon.path("baseline.json").display().to_string();

    let (code, out, err) = told(&daemon.run(&["gate", "verify", &file]).await);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.contains("cannot read the baseline") && err.contains("gate baseline"), "{err}");
    let (code, out, err) = told(&daemon.run(&["gate", "baseline", &file]).await);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.starts_with("t: 10 of 10 probes good, median "), "{out}");
    let (code, out, err) = told(&daemon.run(&["gate", "verify", &file]).await);
    assert_eq!(code, Some(0), "nothing has changed: {out}{err}");

    delay.store(40, Ordering::Relaxed);
    server.kill_all_of("goneaway").await;
    daemon
        .until(Duration::from_secs(20), "the loss is booked", |seen| {
            seen.starting_with("mysql_conn_lost_total{").any(|(_, lost)| lost > 0.0)
        })
        .await;
    let (code, out, err) = told(&daemon.run(&["gate", "verify", &file]).await);
    println!("{out}{err}");
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(out.contains("t: worse\n"), "{out}");
    assert!(out.contains("  latency   worse  median ") && out.contains("; most of it in phase "), "{out}");
    assert!(out.contains("  losses    worse  the daemon counted ") && out.contains("(killed "), "{out}");
    let output = daemon.run(&["gate", "verify", &file, "--slower", "1000%", "--output", "json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["worse"], true, "{json:#}");
}
