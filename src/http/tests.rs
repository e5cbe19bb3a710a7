//! The HTTP side over real loopback sockets, by a client that sends exactly what a test says.

mod clients;
mod routes;
mod tls;
mod unix;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::accept::{Limits, serve};
use super::guard::Guard;
use super::listen::bind;
use super::state::State;
use crate::metrics::{Block, BlockBuilder, Kind};
use crate::mysql::failure::Failure;
use crate::watch::board::{Board, Slot};
use crate::watch::events::Events;
use crate::watch::snapshot::{ProbeResult, Snapshot};

/// A server on a port of its own that watches `orders` and `billing`.
struct Site {
    address: SocketAddr,
    state: Arc<State>,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Site {
    fn start(limits: Limits) -> Site {
        Site::start_on("/metrics", limits)
    }

    fn start_on(telemetry_path: &str, limits: Limits) -> Site {
        Site::start_guarded(telemetry_path, limits, Guard::open())
    }

    fn start_guarded(telemetry_path: &str, limits: Limits, guard: Guard) -> Site {
        let slots = ["orders", "billing"].map(|name| Arc::new(Slot::new(name, Some(name.to_owned()), snapshot(None))));
        let collectors = vec![("global_status", true), ("global_variables", true), ("slave_status", false)];
        let board = Arc::new(Board::new(slots.into()));
        let state = State::new(board, Events::keeping(100), collectors, telemetry_path).guarded(guard);
        let state = Arc::new(state);
        let listeners = bind(&["127.0.0.1:0".to_owned()]).expect("the system chooses a free port");
        let address = listeners[0].address().tcp().expect("it was bound to TCP");
        let (shutdown, told) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listeners, state.clone(), limits, async { told.await.unwrap_or(()) }));
        Site { address, state, shutdown, served }
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        self.state.board.slots().iter().find(|slot| slot.name() == name).expect("a slot of this name").clone()
    }

    /// The target's last probe ended so, and its kept connection answers.
    fn probed(&self, name: &str, failure: Option<Failure>) {
        let slot = self.slot(name);
        slot.publish(block(name, "mysql_conn_probe_success", 1), snapshot(Some(failure)));
        slot.answered(Instant::now() + Duration::from_secs(3600));
        slot.copied(
            "global_status",
            block(name, "mysql_global_status_uptime", 2),
            Instant::now() + Duration::from_secs(3600),
        );
        slot.copied(
            "global_variables",
            block(name, "mysql_global_variables_port", 1),
            Instant::now() + Duration::from_secs(3600),
        );
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("it listens"))
    }

    async fn get(&self, path: &str) -> Answer {
        self.connect().await.get(path, "").await
    }

    async fn stop(self) {
        self.shutdown.send(()).expect("it still serves");
        self.served.await.expect("serving does not panic");
    }
}

fn snapshot(probe: Option<Option<Failure>>) -> Snapshot {
    let probe = probe.map(|failure| ProbeResult { at: SystemTime::now(), failure, phases: vec![], tls_version: None });
    let every = Duration::from_secs(15);
    Snapshot { every, address: "db:3306".to_owned(), required: true, probe, ..Snapshot::default() }
}

fn block(target: &str, name: &str, samples: usize) -> Block {
    let mut out = BlockBuilder::new(Some(target));
    let family = out.family(name, Kind::Untyped, "A \"quoted\" help.");
    for n in 0..samples {
        out.sample(family, &[("n", &n.to_string())], n as f64);
    }
    out.finish()
}

/// A connection that sends what it is told to send.
struct Client<S = TcpStream>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.expect("the connection takes it");
    }

    async fn get(&mut self, path: &str, headers: &str) -> Answer {
        self.request("GET", path, headers).await
    }

    async fn request(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).await;
        self.answer(method != "HEAD").await.expect("an answer")
    }

    /// One answer; none when the connection was closed instead.
    async fn answer(&mut self, with_body: bool) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).expect("a head is ASCII");
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> =
            lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; if with_body { length } else { 0 }];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Answer { status, headers, body })
    }

    /// Waits until the server closes the connection, in order or by a reset.
    async fn closed(&mut self) {
        let mut rest = [0; 4096];
        while self.0.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A folder of one test's files; it goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("goneaway-web-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("the system's own folder is writable");
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("our own folder is writable");
        path
    }

    /// A guard of `web.yml`, which is written first.
    fn guard(&self, text: &str) -> Guard {
        self.load(text).unwrap_or_else(|says| panic!("{says}"))
    }

    /// The same, or what is wrong; without the name of the folder.
    fn load(&self, text: &str) -> Result<Guard, String> {
        let path = self.write("web.yml", text);
        Guard::load(Some(&path)).map_err(|mistakes| self.bare(&mistakes.to_string()))
    }

    fn bare(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
