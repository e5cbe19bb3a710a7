//! The idle ladder on real paths, with limits of seconds instead of minutes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::exposition::Exposition;
use super::network::{Network, Proxy, ROUTER, SERVER};
use super::servers::{Kind, Server, process};

/// Everything a hundredth of what it is by default, or so.
const QUICK: &str = "{cap: 14s, ages: [1s, 2s, 4s, 8s], precision: 400ms, stagger: 500ms}";

struct World {
    network: Network,
    server: Server,
    _proxy: Option<Proxy>,
    daemon: Daemon,
    configuration: String,
    hosts: PathBuf,
    most: f64,
}

impl World {
    async fn build(kind: Kind, options: &[&str], proxy: Option<u32>, forgets: Option<u32>) -> Option<World> {
        let network = Network::new()?;
        let server = Server::placed(kind, options, &network.server, SERVER).await?;
        if let Some(seconds) = forgets {
            network.forget_after(seconds);
        }
        let (proxy, address) = match proxy {
            Some(timeout) => (Some(Proxy::start(&network, timeout, timeout).await), ROUTER),
            None => (None, SERVER),
        };
        let directory = process::directory();
        let hosts = directory.join("hosts");
        std::fs::write(&hosts, "127.0.0.1 localhost\n").expect("ours");
        let configuration = format!(
            "state_directory: {}\ntargets:\n  t:\n    address: {address}:3306\n    user: goneaway\n    password: goneaway\n    every: 1s\n    \
             timeout: 1s\n    connect_timeout: 1s\n    ladder: {QUICK}\n    backoff: {{floor: 100ms, first: 200ms, cap: \
             1s}}\n    pools: {{default: {{size: 1, exercise: {{busy: 200ms}}}}}}\n",
            directory.join("state").display()
        );
        let daemon = Daemon::start_at(&configuration, Some((&network.client, &hosts))).await;
        Some(World { network, server, _proxy: proxy, daemon, configuration, hosts, most: 0.0 })
    }

    /// Waits for what holds, and keeps count of the canaries meanwhile.
    async fn until(&mut self, within: Duration, what: &str, holds: impl Fn(&Exposition) -> bool) -> Exposition {
        let end = Instant::now() + within;
        loop {
            let seen = self.daemon.scrape().await;
            let parked: f64 = seen.starting_with("mysql_conn_idle_canaries{").map(|(_, parked)| parked).sum();
            let held = seen.of("mysql_conn_exporter_connections", "purpose=\"canary\"").expect("always there");
            self.most = self.most.max(parked).max(held);
            if holds(&seen) {
                return seen;
            }
            let events = self.daemon.events("idle_limit").await;
            assert!(Instant::now() < end, "not within {within:?}: {what}; {events:#?}; {:#?}", self.daemon.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the program and starts it again.
    async fn start_anew(&mut self) {
        let again =
            Daemon::start_at("targets: {t: {address: 127.0.0.1:9}}\n", Some((&self.network.client, &self.hosts)));
        let before = std::mem::replace(&mut self.daemon, again.await);
        before.stop().await;
        self.daemon = Daemon::start_at(&self.configuration, Some((&self.network.client, &self.hosts))).await;
    }

    /// Stops the program, and sees that nothing of it is left on the server.
    async fn end(self) {
        assert!(self.most <= 3.0, "{} canaries at once", self.most);
        let listed = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'goneaway'";
        let began = Instant::now();
        self.daemon.stop().await;
        while self.server.query_one(listed).await != "0" {
            assert!(began.elapsed() < Duration::from_secs(10), "threads are left on the server");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(self.network);
    }
}

fn bounds(seen: &Exposition) -> (f64, Option<f64>) {
    let survived = seen.of("mysql_conn_idle_survived_max_seconds", "").expect("always there");
    (survived, seen.of("mysql_conn_idle_lost_min_seconds", ""))
}

fn owner(seen: &Exposition) -> &'static str {
    let owners = ["server", "middlebox", "none_seen"];
    let is = |owner: &&str| seen.of("mysql_conn_idle_limit_owner", &format!("owner=\"{owner}\"")) == Some(1.0);
    let found: Vec<&str> = owners.into_iter().filter(|owner| is(owner)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// Within 5 % or half a second of the truth on either side.
fn is_close(seen: &Exposition, limit: f64) -> bool {
    let near = |bound: f64| (bound - limit).abs() <= (limit * 0.05).max(0.5);
    let (survived, lost) = bounds(seen);
    survived <= limit && near(survived) && lost.is_some_and(|lost| lost >= limit - 0.05 && near(lost))
}

#[tokio::test]
async fn a_proxys_limit_is_found_and_a_restart_in_the_middle_changes_no_bound() {
    let Some(mut world) = World::build(Kind::MariadbStable, &[], Some(7_000), None).await else { return };
    let seen = world.until(Duration::from_secs(15), "a canary that survived", |seen| bounds(seen).0 >= 1.0).await;
    let voided = seen.of("mysql_conn_idle_tests_total", "result=\"void\"").expect("from the start");
    let (survived, _) = bounds(&seen);
    world.server.restart().await;
    let is_void = |seen: &Exposition| seen.of("mysql_conn_idle_tests_total", "result=\"void\"") > Some(voided);
    let seen = world.until(Duration::from_secs(15), "a void round", is_void).await;
    assert!(bounds(&seen).1.is_none() && bounds(&seen).0 >= survived, "{:?} after {survived}", bounds(&seen));
    let began = Instant::now();
    let seen = world.until(Duration::from_secs(60), "7 s", |seen| is_close(seen, 7.0)).await;
    println!("HAProxy at 7 s: {:?} {:.1} s after a restart", bounds(&seen), began.elapsed().as_secs_f64());
    assert_eq!(owner(&seen), "middlebox");
    let least = bounds(&seen).0;
    let safe = (least * 0.8).min(least - (least / 2.0).min(10.0)).floor();
    assert_eq!(seen.of("mysql_conn_idle_safe_lifetime_seconds", ""), Some(safe));
    // What was learned is there at the next start, at once.
    let learned = bounds(&seen).1.map(f64::trunc);
    world.start_anew().await;
    let seen = world.until(Duration::from_secs(2), "a scrape", |seen| seen.up()).await;
    assert_eq!((bounds(&seen).1.map(f64::trunc), owner(&seen)), (learned, "middlebox"));
    world.end().await;
}

#[tokio::test]
async fn a_silent_firewalls_limit_is_found_and_nothing_is_left_behind() {
    let Some(mut world) = World::build(Kind::MysqlUnstable, &[], None, Some(9)).await else { return };
    let began = Instant::now();
    let seen = world.until(Duration::from_secs(120), "9 s", |seen| is_close(seen, 9.0)).await;
    println!("a silent firewall at 9 s: {:?} in {:.1} s", bounds(&seen), began.elapsed().as_secs_f64());
    assert_eq!(owner(&seen), "middlebox");
    // Those that the firewall has cut are ended on the server, over another connection, before their own limit.
    let ours = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'goneaway'";
    let end = Instant::now() + Duration::from_secs(10);
    while world.server.query_one(ours).await.parse::<u32>().expect("a count") > 5 {
        assert!(Instant::now() < end, "orphans on the server");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.network.heal();
    world.end().await;
}

#[tokio::test]
async fn where_the_path_outlives_the_server_it_is_the_owner() {
    let Some(mut world) = World::build(Kind::MariadbUnstable, &["wait_timeout=11"], None, None).await else { return };
    let began = Instant::now();
    let seen = world.until(Duration::from_secs(60), "the server", |seen| owner(seen) == "server").await;
    println!("wait_timeout 11 s: {:?} in {:.1} s", bounds(&seen), began.elapsed().as_secs_f64());
    let (survived, lost) = bounds(&seen);
    assert!((10.9..12.0).contains(&survived) && lost.is_none(), "{survived} {lost:?}");
    assert_eq!(seen.of("mysql_conn_idle_safe_lifetime_seconds", ""), Some(5.0));
    assert_eq!(seen.of("mysql_conn_idle_timeout_configured_seconds", "setting=\"wait_timeout\""), Some(11.0));
    world.end().await;
}

#[tokio::test]
async fn where_nobody_cuts_no_limit_is_claimed() {
    let Some(mut world) = World::build(Kind::MariadbStable, &[], None, None).await else { return };
    let began = Instant::now();
    let seen = world.until(Duration::from_secs(60), "the cap", |seen| bounds(seen).0 >= 14.0).await;
    println!("no limit: {:?} in {:.1} s", bounds(&seen), began.elapsed().as_secs_f64());
    assert_eq!((bounds(&seen).1, owner(&seen)), (None, "none_seen"));
    // Seven of fourteen: below twenty, half is spared.
    assert_eq!(seen.of("mysql_conn_idle_safe_lifetime_seconds", ""), Some(7.0));
    assert_eq!(seen.of("mysql_conn_idle_tests_total", "result=\"lost\""), Some(0.0));
    world.end().await;
}
