//! The pool on real servers: how losses show at the next use, and that we leave without being counted as aborted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use goneaway::config::TlsMode;
use goneaway::mysql::budget::{Budget, Purpose};
use goneaway::mysql::failure::Failure;
use goneaway::mysql::pool::{CloseReason, During, Gate, Lease, Lost, Observer, Pool, Sessions, Settings, Which};
use goneaway::mysql::signal::{Signal, Standing};
use tokio::time::{Instant, sleep};

use crate::client::{PATIENCE, access, at, attempt, policy, settings, settled};
use crate::servers::{Kind, Server};

#[derive(Default)]
struct Heard {
    opened: Mutex<usize>,
    closed: Mutex<Vec<CloseReason>>,
    lost: Mutex<Vec<Lost>>,
}

impl Observer for Heard {
    fn opened(&self, result: Result<(), &Failure>, _took: Duration) {
        assert_eq!(result, Ok(()));
        *self.opened.lock().unwrap() += 1;
    }

    fn closed(&self, reason: CloseReason) {
        self.closed.lock().unwrap().push(reason);
    }

    fn lost(&self, lost: Lost) {
        self.lost.lock().unwrap().push(lost);
    }
}

struct Bench {
    server: Server,
    pool: Pool<Sessions>,
    budget: Budget,
    heard: Arc<Heard>,
}

impl Bench {
    async fn start(kind: Kind, mode: TlsMode) -> Option<Bench> {
        let server = Server::private(kind, &[]).await?;
        let tls = settings(mode);
        let access = access(at("localhost", &server), "goneaway", "goneaway", policy(&tls));
        let (connection, _) = attempt(&access).await.expect("a login");
        let gate = Arc::new(Gate::default());
        gate.open(connection.facts().clone());
        let sessions = Sessions::new(access, tls, Duration::from_secs(60), gate);
        connection.quit().await;
        let (budget, heard) = (Budget::new(4), Arc::new(Heard::default()));
        let settings = Settings { pre_ping: Some(Duration::ZERO), ..Settings::default() };
        let pool = Pool::new(sessions, settings, budget.clone(), heard.clone());
        Some(Bench { server, pool, budget, heard })
    }

    async fn acquire(&self, which: Which) -> Lease<Sessions> {
        self.pool.acquire(which).await.expect("a connection")
    }

    /// A resting connection of this slot; says the server's name for it.
    async fn rested(&self, slot: u32) -> u32 {
        let lease = self.acquire(Which::Slot(slot)).await;
        let id = lease.connection_id();
        lease.give_back().await;
        id
    }

    async fn gone(&self, id: u32) {
        let count = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id}");
        settled(async || self.server.query_one(&count).await == "0").await;
    }

    fn take_lost(&self) -> Vec<Lost> {
        std::mem::take(&mut *self.heard.lost.lock().unwrap())
    }

    fn take_closed(&self) -> Vec<CloseReason> {
        std::mem::take(&mut *self.heard.closed.lock().unwrap())
    }

    async fn shutdown(&self) {
        self.pool.shutdown(Instant::now() + PATIENCE).await;
        assert_eq!(self.budget.held(Purpose::Pool), 0);
        let counts = self.pool.counts();
        assert_eq!((counts.opened, counts.idle + counts.used), (counts.closed, 0));
    }
}

async fn on_all(test: impl AsyncFn(Bench), mode: TlsMode) {
    for kind in Kind::ALL {
        let Some(bench) = Bench::start(kind, mode).await else { continue };
        test(bench).await;
    }
}

#[tokio::test]
async fn whatever_the_pool_ends_itself_is_no_aborted_client() {
    for mode in [TlsMode::Disabled, TlsMode::Required] {
        on_all(ends_in_order, mode).await;
    }
}

async fn ends_in_order(bench: Bench) {
    let version = &bench.server.version;
    let aborted = bench.server.status("Aborted_clients").await;
    let mut ids = Vec::new();
    let mut leases = Vec::new();
    for _ in 0..3 {
        let mut lease = bench.acquire(Which::Latest).await;
        let rows = lease.query("SELECT CONNECTION_ID()", Instant::now() + PATIENCE).await.expect("an answer");
        assert_eq!(rows.scalar(), Some(&*lease.connection_id().to_string()), "{version}");
        let refused = lease.query("SELECT nonsense", Instant::now() + PATIENCE).await;
        assert_eq!(refused.map_err(|failure| failure.errno).err(), Some(Some(1054)), "{version}");
        assert_eq!(lease.standing(), Standing::InStep, "{version}");
        ids.push(lease.connection_id());
        leases.push(lease);
    }
    // An application's session has the server's own limit, so ours has it too.
    let limit = leases[0].query("SELECT @@session.wait_timeout", Instant::now() + PATIENCE).await.expect("an answer");
    let global = bench.server.query_one("SELECT @@global.wait_timeout").await;
    assert_eq!(limit.scalar(), Some(&*global), "{version}");

    for lease in leases.drain(..) {
        lease.give_back().await;
    }
    drop(bench.acquire(Which::Slot(0)).await);
    bench.pool.recover();
    ids.push(bench.rested(1).await);
    bench.shutdown().await;
    for id in ids {
        bench.gone(id).await;
    }
    use CloseReason::*;
    assert_eq!(bench.take_closed(), [Superfluous, Cancelled, Recover, Shutdown], "{version}");
    assert_eq!(bench.server.status("Aborted_clients").await, aborted, "{version}");
}

#[tokio::test]
async fn a_killed_connection_and_one_that_rested_too_long_are_noticed_when_they_are_wanted() {
    on_all(is_noticed, TlsMode::Disabled).await;
}

#[tokio::test]
async fn over_tls_the_same_ends_have_the_same_signals() {
    on_all(is_noticed, TlsMode::Required).await;
}

async fn is_noticed(bench: Bench) {
    let version = bench.server.version.clone();
    let killed = bench.rested(0).await;
    let answered_before = Instant::now();
    bench.server.sql(&format!("KILL {killed}")).await;
    bench.gone(killed).await;
    let lease = bench.acquire(Which::Latest).await;
    assert_ne!(lease.connection_id(), killed, "{version}");
    assert_eq!(bench.budget.held(Purpose::Pool), 1, "{version}");
    lease.give_back().await;
    let lost = bench.take_lost();
    assert_eq!(lost.len(), 1, "{version}: {lost:?}");
    assert_eq!(
        (lost[0].connection_id, lost[0].signal, lost[0].during),
        (killed, Signal::Fin, During::Check),
        "{version}: {lost:?}"
    );
    assert!(lost[0].opened_at < lost[0].last_answer_at, "{version}: {lost:?}");
    assert!(lost[0].last_answer_at <= answered_before && answered_before < lost[0].noticed_at, "{version}: {lost:?}");

    bench.pool.recover();
    bench.server.sql("SET GLOBAL wait_timeout = 1").await;
    let rested = bench.rested(0).await;
    bench.gone(rested).await;
    assert_ne!(bench.rested(0).await, rested, "{version}");
    let lost = bench.take_lost();
    let signal = if bench.server.kind.is_mariadb() { Signal::Rst } else { Signal::OutOfSync };
    assert_eq!(
        lost.iter().map(|lost| (lost.connection_id, lost.signal)).collect::<Vec<_>>(),
        [(rested, signal)],
        "{version}: {lost:?}"
    );
    println!("{version}: {}", lost[0].failure);
    assert!(lost[0].rested() >= Duration::from_secs(1), "{version}: {lost:?}");
    bench.shutdown().await;
}

#[tokio::test]
async fn a_session_with_an_answer_under_way_is_dropped_at_once() {
    on_all(is_dropped, TlsMode::Disabled).await;
}

async fn is_dropped(bench: Bench) {
    let version = bench.server.version.clone();
    let in_rows = "SELECT REPEAT('x', 200000), SLEEP(0.1) FROM information_schema.COLUMNS";
    for (sql, wait) in [("SELECT SLEEP(60)", 100), (in_rows, 600)] {
        // Stopped from outside.
        let mut lease = bench.acquire(Which::Latest).await;
        let id = lease.connection_id();
        let stopped = tokio::time::timeout(Duration::from_millis(wait), async {
            lease.query(sql, Instant::now() + Duration::from_secs(60)).await
        });
        assert!(stopped.await.is_err(), "{version}");
        assert_eq!(lease.standing(), Standing::Unanswered, "{version}");
        let refused = lease.query("SELECT 1", Instant::now() + PATIENCE).await;
        assert!(refused.is_err_and(|failure| failure.detail.contains("nobody waited")), "{version}");
        lease.give_back().await;
        assert_eq!(bench.take_closed(), [CloseReason::Cancelled], "{version}");
        assert_eq!(bench.budget.held(Purpose::Pool), 0, "{version}");
        if sql == in_rows {
            // Nobody reads on behind our back: the server notices when it writes the next row.
            bench.gone(id).await;
        }

        // By its own deadline.
        let mut lease = bench.acquire(Which::Latest).await;
        let id = lease.connection_id();
        let late = lease.query(sql, Instant::now() + Duration::from_millis(wait)).await;
        assert!(late.is_err(), "{version}");
        lease.give_back().await;
        let lost = bench.take_lost();
        assert_eq!((lost.len(), lost[0].signal, lost[0].during), (1, Signal::Timeout, During::Use), "{version}");
        assert_eq!(bench.take_closed(), [CloseReason::Lost], "{version}");
        if sql == in_rows {
            bench.gone(id).await;
        }
    }
    bench.shutdown().await;
}

#[tokio::test]
async fn a_frozen_server_costs_a_check_its_deadline() {
    for kind in Kind::ALL {
        let Some(bench) = Bench::start(kind, TlsMode::Disabled).await else { continue };
        let id = bench.rested(0).await;
        bench.server.freeze().await;
        let acquire = tokio::spawn({
            let pool = bench.pool.clone();
            async move { pool.acquire(Which::Latest).await.map(|lease| lease.connection_id()) }
        });
        settled(async || !bench.heard.lost.lock().unwrap().is_empty()).await;
        let lost = bench.take_lost();
        assert_eq!((lost[0].connection_id, lost[0].signal), (id, Signal::Timeout), "{lost:?}");
        sleep(Duration::from_millis(50)).await;
        bench.server.thaw();
        // The login that waited for the greeting goes through.
        assert_ne!(acquire.await.expect("no panic").expect("a connection"), id);
        bench.shutdown().await;
    }
}
