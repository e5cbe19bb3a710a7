//! Storms: everything killed many times a second, a server that flaps, one that refuses us, and the way back.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::daemon::{Daemon, watching};
use super::exposition::Exposition;
use super::network::{CLIENT, Network, SERVER};
use super::servers::{Kind, Server, process, tls};

/// A second's rhythm, and limits of seconds.
const QUICK: &str = "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n    give_up_after: 20s\n    backoff: {floor: \
                     100ms, first: 200ms, cap: 1s}\n    ladder: {cap: 8s, ages: [1s, 2s, 4s], precision: 250ms, stagger: \
                     400ms}\n    pools:\n      default: {read_timeout: 1s, connect_timeout: 1s, exercise: {busy: 100ms, \
                     rests: [500ms, 2s]}}\n      proposed: {size: 1, max_overflow: 0, exercise: {busy: 300ms}}\n    \
                     connections: 9\n";

/// Values of a family by one of its labels, summed over the others.
fn by(seen: &Exposition, family: &str, label: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (series, value) in seen.starting_with(&format!("{family}{{")) {
        let value_of = series.split(&format!("{label}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        *sums.entry(value_of.expect("the label is there").to_owned()).or_default() += value;
    }
    sums
}

fn sum_where(seen: &Exposition, family: &str, labels: &[&str]) -> f64 {
    let fits = |series: &str| labels.iter().all(|label| series.contains(label));
    seen.starting_with(&format!("{family}{{")).filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
}

/// What is watched while it storms.
struct Watcher {
    daemon: Daemon,
    memory: u64,
    descriptors: usize,
    times: Vec<Duration>,
    limit: f64,
}

impl Watcher {
    async fn new(server: &Server) -> Watcher {
        let daemon = Daemon::start(&watching(server, QUICK)).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        // What is only needed once has been allocated, and the ladder has climbed.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (memory, descriptors) = daemon.footprint();
        let limit = daemon.scrape().await.of("mysql_conn_exporter_connections_limit", "").expect("always there");
        Watcher { daemon, memory, descriptors, times: Vec::new(), limit }
    }

    async fn look(&mut self) {
        let began = Instant::now();
        let seen = self.daemon.scrape().await;
        self.times.push(began.elapsed());
        let held: f64 = seen.starting_with("mysql_conn_exporter_connections{").map(|(_, held)| held).sum();
        assert!(held <= self.limit, "{held} connections of {}", self.limit);
    }

    /// When all is quiet again: the books balance, and nothing has grown.
    async fn settle(mut self, what: &str) -> Exposition {
        let end = Instant::now() + Duration::from_secs(30);
        let seen = loop {
            let health: serde_json::Value =
                serde_json::from_str(self.daemon.get("/health/detailed").await.text()).expect("JSON");
            let undecided = health["checks"]["t:undecidedLosses"][0]["observedValue"].as_f64().expect("a count");
            let seen = self.daemon.scrape().await;
            let open: f64 = sum_where(&seen, "mysql_conn_pool_connections", &["state=\"idle\""])
                + sum_where(&seen, "mysql_conn_pool_connections", &["state=\"in_use\""]);
            let opened = sum_where(&seen, "mysql_conn_pool_opened_total", &["result=\"ok\""]);
            let closed: f64 = by(&seen, "mysql_conn_pool_closed_total", "reason").values().sum();
            let lost = sum_where(&seen, "mysql_conn_pool_closed_total", &["reason=\"lost\""]);
            let booked = sum_where(&seen, "mysql_conn_lost_total", &["source=\"pool\""]);
            let causes = by(&seen, "mysql_conn_lost_total", "cause");
            let balances = opened == closed + open && lost == booked + undecided;
            if balances && undecided == 0.0 && seen.up() {
                let causes: BTreeMap<_, _> = causes.into_iter().filter(|(_, count)| *count > 0.0).collect();
                println!(
                    "{what}: opened {opened} = closed {closed} + open {open}; lost {lost} = booked {booked}: {causes:?}"
                );
                break seen;
            }
            assert!(
                Instant::now() < end,
                "{what}: opened {opened}, closed {closed}, open {open}, lost {lost}, booked {booked}, undecided \
                 {undecided}, {causes:?}; {:#?}",
                self.daemon.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let (memory, descriptors) = self.daemon.footprint();
        self.times.sort();
        let (p50, p99) = (self.times[self.times.len() / 2], self.times[self.times.len() * 99 / 100]);
        println!(
            "{what}: memory {} to {memory}, descriptors {} to {descriptors}, scrapes p50 {p50:?} p99 {p99:?}, {} events",
            self.memory,
            self.descriptors,
            self.daemon.events("lost").await.len()
        );
        assert!(memory < self.memory + 3 * 1024 * 1024, "{what}: memory {} to {memory}", self.memory);
        assert!(descriptors <= self.descriptors + 6, "{what}: descriptors {} to {descriptors}", self.descriptors);
        assert!(p50 < Duration::from_millis(10), "{what}: p50 {p50:?}");
        let lines = self.daemon.log().len();
        assert!(lines < 400, "{what}: {lines} lines in the log");
        seen
    }
}

#[tokio::test]
async fn a_kill_storm_is_accounted_for() {
    let Some(server) = Server::private(Kind::MariadbUnstable, &[]).await else { return };
    let mut watcher = Watcher::new(&server).await;
    let end = Instant::now() + Duration::from_secs(15);
    let mut killed = 0;
    let mut next = Instant::now();
    while Instant::now() < end {
        killed += server.kill_all_of("goneaway").await;
        watcher.look().await;
        next += Duration::from_millis(50);
        tokio::time::sleep(next.saturating_duration_since(Instant::now())).await;
    }
    println!("{killed} threads were killed");
    assert!(killed > 60, "{killed} killed");
    let seen = watcher.settle("a kill storm").await;
    let lost: f64 = by(&seen, "mysql_conn_lost_total", "cause").values().sum();
    let known = sum_where(&seen, "mysql_conn_lost_total", &["cause=\"killed\""]);
    assert!(known >= 0.9 * lost, "{known} of {lost}");
}

#[tokio::test]
async fn a_server_that_flaps_is_accounted_for() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let mut watcher = Watcher::new(&server).await;
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        server.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.start().await;
        let up = Instant::now() + Duration::from_secs(2);
        while Instant::now() < up {
            watcher.look().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let seen = watcher.settle("a flapping server").await;
    let lost: f64 = by(&seen, "mysql_conn_lost_total", "cause").values().sum();
    let restarts = sum_where(&seen, "mysql_conn_lost_total", &["cause=\"server_restart\""]);
    assert!(lost > 20.0 && restarts >= 0.9 * lost, "{restarts} of {lost}");
}

#[tokio::test]
async fn a_password_that_is_refused_is_tried_once_an_interval() {
    for kind in [Kind::MariadbStable, Kind::MysqlUnstable] {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let more = format!("{QUICK}    circuit_interval: 4s\n");
        let daemon = Daemon::start(&watching(&server, &more)).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let aborted = server.status("Aborted_connects").await;
        server.sql("ALTER USER 'goneaway'@'%' IDENTIFIED BY 'another'").await;
        server.kill_all_of("goneaway").await;
        let began = Instant::now();
        let mut attempts: Vec<f64> = Vec::new();
        while began.elapsed() < Duration::from_secs(25) {
            let refused = server.status("Aborted_connects").await - aborted;
            while attempts.len() < refused as usize {
                attempts.push(began.elapsed().as_secs_f64());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{}: refused at {attempts:.1?}", server.version);
        assert!((5..=7).contains(&attempts.len()), "{}: {attempts:?}; {:#?}", server.version, daemon.log());
        assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] > 3.9), "{}: {attempts:?}", server.version);
        let seen = daemon.scrape().await;
        assert_eq!(seen.of("mysql_conn_circuit_open", ""), Some(1.0));
        assert!(daemon.events("circuit_opened").await.iter().any(|event| event["why"] == "access_denied"));
        // Mended: an operator need not wait for the next interval.
        server.sql("ALTER USER 'goneaway'@'%' IDENTIFIED BY 'goneaway'").await;
        assert_eq!(daemon.post("/-/recover").await.status, 202);
        daemon.until(Duration::from_secs(2), "values again", |seen| seen.up() && seen.has_copied()).await;
    }
}

#[tokio::test]
async fn a_host_is_not_blocked_because_of_us() {
    for kind in [Kind::MariadbStable, Kind::MysqlUnstable] {
        let Some(network) = Network::new() else { return };
        let directory = process::directory();
        let show = |identity: &super::servers::certificates::Identity| {
            for (from, to) in [(&identity.certificate, "cert.pem"), (&identity.key, "key.pem")] {
                fs::copy(from, directory.join(to)).expect("ours");
            }
        };
        show(&tls().server);
        let options = [
            "skip-name-resolve=OFF".to_owned(),
            "max_connect_errors=10".to_owned(),
            format!("ssl-cert={}/cert.pem", directory.display()),
            format!("ssl-key={}/key.pem", directory.display()),
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let hosts = format!("127.0.0.1 localhost\n{CLIENT} client.test\n");
        let Some(server) = Server::placed_with_hosts(kind, &options, &network.server, SERVER, &hosts).await else {
            continue;
        };
        let file = directory.join("hosts");
        fs::write(&file, "127.0.0.1 localhost\n").expect("ours");
        let configuration = format!(
            "targets:\n  t:\n    address: {SERVER}:3306\n    user: goneaway\n    password: goneaway\n    tls: {{mode: \
             VERIFY_IDENTITY, server_name: localhost, ca: {}}}\n{QUICK}    circuit_interval: 3s\n",
            tls().ca.display()
        );
        let daemon = Daemon::start_at(&configuration, Some((&network.client, &file))).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        // From now on every handshake of ours breaks off, and counts.
        show(&tls().misnamed);
        server.sql(if kind.is_mariadb() { "FLUSH SSL" } else { "ALTER INSTANCE RELOAD TLS" }).await;
        server.kill_all_of("goneaway").await;
        let began = Instant::now();
        let mut most = 0;
        while began.elapsed() < Duration::from_secs(30) {
            let errors = "SELECT COALESCE(MAX(SUM_CONNECT_ERRORS), 0) FROM performance_schema.host_cache";
            most = most.max(server.query_one(errors).await.parse::<u64>().expect("a count"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let blocked = "SELECT COALESCE(MAX(COUNT_HOST_BLOCKED_ERRORS), 0) FROM performance_schema.host_cache";
        println!("{}: {most} errors of 10 after 30 s", server.version);
        assert_eq!(server.query_one(blocked).await, "0");
        assert!((3..10).contains(&most), "{}: {most}; {:#?}", server.version, daemon.log());
    }
}

#[tokio::test]
async fn coming_back_takes_no_longer_than_the_cap_and_is_measured_right() {
    let Some(server) = Server::private(Kind::MysqlUnstable, &[]).await else { return };
    let cap = Duration::from_secs(5);
    let more = "    every: 60s\n    timeout: 5s\n    backoff: {cap: 5s}\n";
    let daemon = Daemon::start(&watching(&server, more)).await;
    daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
    let gone = Instant::now();
    server.kill();
    tokio::time::sleep(Duration::from_secs(20)).await;
    server.start().await;
    let up = Instant::now();
    let recovered = |seen: &Exposition| seen.of("mysql_conn_recovery_duration_seconds_count", "") == Some(1.0);
    let seen = daemon.until(cap + Duration::from_secs(1), "the first good query", recovered).await;
    let truth = gone.elapsed().as_secs_f64();
    let told = seen.of("mysql_conn_recovery_duration_seconds_sum", "").expect("observed");
    println!("back {:?} after the server, {told:.2} s in all, {truth:.2} s by another clock", up.elapsed());
    assert!((told - truth).abs() <= 0.1 * truth, "{told} for {truth}");
    let recoveries = daemon.events("recovered").await;
    assert_eq!(recoveries.len(), 1, "{recoveries:#?}");
}
