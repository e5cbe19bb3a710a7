//! A server that is full: on by its second door, or by what is kept, and back; with the administrators' one connection
//! free and taken. A host on its way to being blocked, and that it is never us who block it.

use std::fs;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::io::AsyncReadExt;

use super::daemon::{Daemon, watching};
use super::exposition::Exposition;
use super::network::{CLIENT, Namespace, Network, SERVER};
use super::servers::{Kind, Server, free_port, process};

const QUICK: &str = "    every: 2s\n    timeout: 2s\n    connect_timeout: 2s\n    circuit_interval: 3s\n    ladder: {enabled: \
                     false}\n    backoff: {floor: 200ms, first: 500ms, cap: 1s}\n    \
                     pools: {default: {size: 1, max_overflow: 0}}\n";

/// As long as anything here may take on a machine with much else to do. What is promised is an interval.
const LONG: Duration = Duration::from_secs(20);

/// A server of twelve connections with a second door, which is of this kind.
async fn doored(kind: Kind) -> Option<(Server, &'static str, u16)> {
    let port = free_port();
    let (door, options) = match kind.is_mariadb() {
        true => ("extra", vec![format!("extra-port={port}"), "extra-max-connections=2".to_owned()]),
        false => ("admin", vec!["admin-address=127.0.0.1".to_owned(), format!("admin-port={port}")]),
    };
    let options: Vec<&str> = options.iter().map(String::as_str).chain(["max_connections=12"]).collect();
    let server = Server::private(kind, &options).await?;
    server.sql("CREATE USER 'shop'@'%' IDENTIFIED BY 'shop'").await;
    Some((server, door, port))
}

/// Those who use the server up.
struct Crowd<'a> {
    server: &'a Server,
    held: Vec<Conn>,
    /// The daemon's account may have what is kept for administrators.
    is_privileged: bool,
    /// Root on the connection that is kept for administrators.
    root: Option<Conn>,
    /// Logins that were refused.
    refused: u64,
}

impl<'a> Crowd<'a> {
    fn new(server: &'a Server, is_privileged: bool) -> Crowd<'a> {
        Crowd { server, held: Vec::new(), is_privileged, root: None, refused: 0 }
    }

    async fn log_in(&mut self, options: OptsBuilder) -> Option<Conn> {
        match Conn::new(options.max_allowed_packet(Some(16 << 20)).wait_timeout(Some(600))).await {
            Ok(conn) => Some(conn),
            Err(mysql_async::Error::Server(error)) if error.code == 1040 => {
                self.refused += 1;
                None
            }
            Err(other) => panic!("{} refuses otherwise: {other:?}", self.server.version),
        }
    }

    /// Takes every connection that an ordinary client can have, until the daemon finds none twice in a row. Whoever may
    /// use MySQL's admin port may have the administrators' one too: it has to be taken as well.
    async fn fill(&mut self, daemon: &Daemon) {
        let end = Instant::now() + LONG;
        loop {
            let tcp = || {
                let account = OptsBuilder::default().user(Some("shop")).pass(Some("shop"));
                account.prefer_socket(false).ip_or_hostname("127.0.0.1").tcp_port(self.server.port)
            };
            let options = tcp();
            while let Some(conn) = self.log_in(options.clone()).await {
                self.held.push(conn);
            }
            let seen = daemon.scrape().await;
            if seen.of("mysql_conn_probe_consecutive_failures", "").is_some_and(|failures| failures >= 2.0) {
                return;
            }
            let is_full = seen.of("mysql_conn_headroom_ratio", "scope=\"server\",user=\"\"") == Some(0.0);
            if is_full && self.is_privileged && self.root.is_none() {
                self.take_the_last().await;
            }
            assert!(Instant::now() < end, "{}: not full; {:#?}", self.server.version, daemon.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes the administrators' connection too.
    async fn take_the_last(&mut self) {
        let end = Instant::now() + LONG;
        while self.root.is_none() {
            // A login that is about to be refused may have it for a moment.
            let socket = OptsBuilder::default().socket(self.server.socket.to_str()).user(Some("root"));
            self.root = self.log_in(socket).await;
            assert!(Instant::now() < end, "{}: root may always", self.server.version);
        }
    }

    /// Ends every connection of goneaway's by the last one.
    async fn kill_ours(&mut self) {
        let root = self.root.as_mut().expect("the last one is taken");
        let ids: Vec<u64> =
            root.query("SELECT id FROM information_schema.processlist WHERE user = 'goneaway'").await.expect("a list");
        for id in ids {
            // One may have ended by itself.
            let _ = root.query_drop(format!("KILL {id}")).await;
        }
    }

    async fn leave(mut self) -> u64 {
        for conn in self.held.drain(..).chain(self.root.take()) {
            conn.disconnect().await.expect("in order");
        }
        self.refused
    }
}

fn sum(seen: &Exposition, family: &str, labels: &[&str]) -> f64 {
    let fits = |series: &str| labels.iter().all(|label| series.contains(label));
    seen.starting_with(&format!("{family}{{")).filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
}

fn is_by(seen: &Exposition, door: &str) -> bool {
    let in_use = |door: &str| sum(seen, "mysql_conn_door_in_use", &[&format!("door=\"{door}\"")]);
    in_use(door) == 1.0 && ["main", "admin", "extra"].map(in_use).iter().sum::<f64>() == 1.0
}

/// Failures of probes for want of a connection in this phase.
fn refused_in(seen: &Exposition, phase: &str) -> f64 {
    let labels = [&*format!("phase=\"{phase}\""), "reason=\"too_many_connections\""];
    sum(seen, "mysql_conn_probe_failures_total", &labels)
}

/// The same values as always come, and anew.
async fn goes_on(daemon: &Daemon, what: &str) -> Exposition {
    let asked = |seen: &Exposition| {
        sum(seen, "mysql_conn_exporter_collector_last_success_timestamp_seconds", &["collect.global_status\""])
    };
    let mut last = asked(&daemon.scrape().await);
    // Three rounds, each of them with everything.
    for _ in 0..3 {
        let is_new = |seen: &Exposition| asked(seen) > last && seen.up() && seen.has_copied();
        last = asked(&daemon.until(LONG, what, is_new).await);
    }
    daemon.scrape().await
}

async fn start(server: &Server, second_door: &str) -> Daemon {
    Daemon::start(&watching(server, &format!("{QUICK}    second_door: {second_door}\n"))).await
}

async fn is_at_home(daemon: &Daemon) {
    let is = |seen: &Exposition| {
        seen.up() && seen.has_copied() && is_by(seen, "main") && sum(seen, "mysql_conn_pool_connections", &[]) >= 1.0
    };
    daemon.until(LONG, "values by the main door", is).await;
}

/// Errors that the server raised, but for those who found it full.
async fn raised(server: &Server) -> u64 {
    if server.kind.is_mariadb() {
        let log = fs::read(server.data().join("raised.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let is_error = |line: &&str| line.starts_with("20") && line.contains(" ERROR ") && !line.contains("ERROR 1040");
        return log.lines().filter(is_error).count() as u64;
    }
    let others = "SELECT CAST(SUM(SUM_ERROR_RAISED) AS UNSIGNED) FROM \
                  performance_schema.events_errors_summary_global_by_error WHERE COALESCE(ERROR_NUMBER, 0) <> 1040";
    server.query_one(others).await.parse().expect("a sum of counters")
}

async fn a_full_server(kind: Kind) {
    let Some((server, second, port)) = doored(kind).await else { return };
    let version = &server.version;
    if second == "admin" {
        let daemon = start(&server, "auto").await;
        let lacks = |seen: &Exposition| {
            seen.of("mysql_conn_feature_supported", "feature=\"second_door\",why=\"grant\"") == Some(0.0)
        };
        daemon.until(LONG, "that the right is missing", lacks).await;
        daemon.stop().await;
        server.sql("GRANT SERVICE_CONNECTION_ADMIN ON *.* TO 'goneaway'@'%'").await;
    }

    // By what the server says of itself.
    let daemon = start(&server, "auto").await;
    is_at_home(&daemon).await;
    let seen = daemon
        .until(LONG, "that there is a second door", |seen| {
            seen.of("mysql_conn_feature_supported", "feature=\"second_door\",why=\"\"") == Some(1.0)
        })
        .await;
    let scope = format!("scope=\"{second}\",user=\"\"");
    let limit = seen.of("mysql_conn_limit_connections", &scope);
    assert_eq!(limit, Some(if kind.is_mariadb() { 2.0 } else { f64::INFINITY }), "{version}");
    assert_eq!(seen.of("mysql_conn_headroom_ratio", &scope), Some(1.0), "{version}");
    let aborted_clients = server.status("Aborted_clients").await;
    let aborted_connects = server.status("Aborted_connects").await;
    let errors = raised(&server).await;
    let is_privileged = second == "admin";
    let mut crowd = Crowd::new(&server, is_privileged);
    crowd.fill(&daemon).await;
    daemon.until(LONG, "the second door", |seen| is_by(seen, second)).await;
    goes_on(&daemon, "values by the second door").await;
    crowd.take_the_last().await;
    daemon.until(LONG, "a refusal before the greeting", |seen| refused_in(seen, "greeting") > 0.0).await;
    let seen = goes_on(&daemon, "values by the second door while the last is taken").await;
    assert!(is_by(&seen, second), "{version}: {:#?}", daemon.log());
    assert_eq!(seen.of("mysql_conn_headroom_ratio", "scope=\"server\",user=\"\""), Some(0.0), "{version}");
    let held = sum(&seen, "mysql_conn_exporter_connections", &[]);
    let most = seen.of("mysql_conn_exporter_connections_limit", "").expect("always there");
    assert!(held <= most, "{version}: {held} of {most}");
    let others = crowd.leave().await;
    daemon.until(LONG, "the main door", |seen| is_by(seen, "main") && refused_now(seen) == 0.0).await;
    let seen = goes_on(&daemon, "values by the main door").await;
    assert!(is_by(&seen, "main"), "{version}");
    for family in ["mysql_conn_lost_total", "mysql_conn_lost_signals_total", "mysql_conn_pool_lost_age_seconds_count"] {
        assert_eq!(sum(&seen, family, &[]), 0.0, "{version}: {family}");
    }
    assert_eq!(sum(&seen, "mysql_conn_pool_closed_total", &["reason=\"lost\""]), 0.0, "{version}");
    assert_eq!(server.status("Aborted_clients").await, aborted_clients, "{version}");
    assert_eq!(raised(&server).await, errors, "{version}: errors in the server");
    // Whoever was refused is counted, nobody else.
    let refused = server.status("Aborted_connects").await - aborted_connects;
    let ours = refused_in(&seen, "auth")
        + refused_in(&seen, "greeting")
        + sum(&seen, "mysql_conn_reconnect_attempts_total", &["result=\"error\""]);
    assert!(refused as f64 <= ours + others as f64, "{version}: {refused} of {ours} and {others}");
    let doors: Vec<String> = daemon.events("door").await.iter().map(|event| event["door"].to_string()).collect();
    let (first, last) = (doors.first().map(String::as_str), doors.last().map(String::as_str));
    assert_eq!((first, last), (Some(&*format!("\"{second}\"")), Some("\"main\"")), "{version}: {doors:?}");

    // Where nothing is kept any more, all comes by the second door alone.
    let mut crowd = Crowd::new(&server, is_privileged);
    crowd.fill(&daemon).await;
    crowd.take_the_last().await;
    daemon.until(LONG, "the second door again", |seen| is_by(seen, second)).await;
    let end = Instant::now() + LONG;
    while sum(&daemon.scrape().await, "mysql_conn_pool_connections", &[]) > 0.0 {
        // A probe may be the first to have a place that comes free.
        crowd.kill_ours().await;
        crowd.fill(&daemon).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(Instant::now() < end, "{version}: something is kept; {:#?}", daemon.log());
    }
    let seen = goes_on(&daemon, "values by the second door alone").await;
    assert!(is_by(&seen, second), "{version}: {:#?}", daemon.log());
    // Somebody who comes now is told where there is a way.
    let late = start(&server, &format!("\":{port}\"")).await;
    late.until(LONG, "a way in from the start", |seen| seen.up() && seen.has_copied() && is_by(seen, second)).await;
    late.stop().await;
    crowd.leave().await;
    is_at_home(&daemon).await;
    daemon.stop().await;

    // Without a second door what is kept goes on.
    if is_privileged {
        server.sql("REVOKE SERVICE_CONNECTION_ADMIN ON *.* FROM 'goneaway'@'%'").await;
    }
    let daemon = start(&server, "\"off\"").await;
    is_at_home(&daemon).await;
    let mut crowd = Crowd::new(&server, false);
    crowd.fill(&daemon).await;
    let seen = goes_on(&daemon, "values by what is kept").await;
    assert!(refused_in(&seen, "auth") > 0.0, "{version}: {:#?}", daemon.log());
    crowd.take_the_last().await;
    daemon.until(LONG, "a refusal before the greeting", |seen| refused_in(seen, "greeting") > 0.0).await;
    let seen = goes_on(&daemon, "values by what is kept while the last is taken").await;
    assert!(is_by(&seen, "main") && daemon.events("door").await.is_empty(), "{version}");
    crowd.leave().await;
    is_at_home(&daemon).await;
    daemon.stop().await;
}

fn refused_now(seen: &Exposition) -> f64 {
    seen.of("mysql_conn_probe_consecutive_failures", "").unwrap_or(f64::NAN)
}

#[tokio::test]
async fn a_full_mariadb_10_11_is_watched_by_its_extra_port() {
    a_full_server(Kind::MariadbStable).await;
}

#[tokio::test]
async fn a_full_mariadb_11_8_is_watched_by_its_extra_port() {
    a_full_server(Kind::MariadbUnstable).await;
}

#[tokio::test]
async fn a_full_mysql_9_7_is_watched_by_its_admin_port() {
    a_full_server(Kind::MysqlUnstable).await;
}

#[tokio::test]
async fn a_second_door_of_another_server_is_not_used() {
    let Some((server, _, _)) = doored(Kind::MariadbStable).await else { return };
    let Some((_other, _, port)) = doored(Kind::MariadbStable).await else { return };
    let daemon = start(&server, &format!("127.0.0.1:{port}")).await;
    is_at_home(&daemon).await;
    let mut crowd = Crowd::new(&server, false);
    crowd.fill(&daemon).await;
    let seen = goes_on(&daemon, "values by what is kept").await;
    assert!(is_by(&seen, "main"));
    let told = daemon.log().into_iter().filter(|line| line.contains("is not the server of `address`")).count();
    assert_eq!(told, 1, "{:#?}", daemon.log());
    crowd.leave().await;
    daemon.stop().await;
}

/// Connects as a balancer's bare check does: up to the greeting.
async fn knock(from: &Namespace, times: usize) {
    for _ in 0..times {
        let mut stream = from.connect(format!("{SERVER}:3306").parse().expect("an address")).expect("it listens");
        stream.read_u8().await.expect("it greets");
    }
}

fn errors_of(address: &str, what: &str) -> String {
    format!("SELECT COALESCE(SUM({what}), 0) FROM performance_schema.host_cache WHERE IP = '{address}'")
}

#[tokio::test]
async fn a_host_on_its_way_to_being_blocked_is_seen_and_never_blocked_by_us() {
    // Of the router's side, where somebody checks ports.
    const CHECKER: &str = "10.77.2.1";
    for kind in [Kind::MariadbStable, Kind::MysqlUnstable] {
        let Some(network) = Network::new() else { return };
        let hosts = format!("127.0.0.1 localhost\n{CLIENT} client.test\n{CHECKER} checker.test\n");
        let options = ["skip-name-resolve=OFF", "max_connect_errors=10"];
        let Some(server) = Server::placed_with_hosts(kind, &options, &network.server, SERVER, &hosts).await else {
            continue;
        };
        let version = &server.version;
        let file = process::directory().join("hosts");
        fs::write(&file, "127.0.0.1 localhost\n").expect("ours");
        let configuration =
            format!("targets:\n  t:\n    address: {SERVER}:3306\n    user: goneaway\n    password: goneaway\n{QUICK}");
        let daemon = Daemon::start_at(&configuration, Some((&network.client, &file))).await;
        daemon.until(LONG, "values", |seen| seen.up() && seen.has_copied()).await;
        let hosts = |seen: &Exposition, state: &str| {
            seen.of("mysql_conn_host_cache_hosts", &format!("state=\"{state}\"")).unwrap_or(f64::NAN)
        };
        let ratio = |seen: &Exposition| seen.of("mysql_conn_host_cache_nearest_block_ratio", "").unwrap_or(f64::NAN);
        daemon.until(LONG, "no host errs", |seen| ratio(seen) == 0.0 && hosts(seen, "erring") == 0.0).await;

        // Another host is driven towards its block, and into it.
        knock(&network.router, 6).await;
        daemon.until(LONG, "it errs", |seen| ratio(seen) == 0.6 && hosts(seen, "erring") == 1.0).await;
        knock(&network.router, 4).await;
        daemon.until(LONG, "it is blocked", |seen| ratio(seen) == 1.0 && hosts(seen, "blocked") == 1.0).await;
        let seen = daemon.scrape().await;
        assert_eq!(hosts(&seen, "erring"), 0.0, "{version}");
        assert_eq!(seen.of("mysql_conn_probe_success", ""), Some(1.0), "{version}: nobody else is");

        // On ours somebody goes nine of ten steps, again and again: each login of ours begins the count anew.
        for _ in 0..3 {
            let logins = sum(&daemon.scrape().await, "mysql_conn_probes_total", &["result=\"success\""]);
            // Between two probes, or the count has begun anew already.
            knock(&network.client, 9).await;
            let more =
                |seen: &Exposition| sum(seen, "mysql_conn_probes_total", &["result=\"success\""]) >= logins + 2.0;
            daemon.until(LONG, "two more logins", more).await;
        }
        assert_eq!(server.query_one(&errors_of(CLIENT, "COUNT_HOST_BLOCKED_ERRORS")).await, "0", "{version}");
        assert_eq!(server.query_one(&errors_of(CLIENT, "SUM_CONNECT_ERRORS")).await, "0", "{version}");

        // Where somebody has had our host blocked after all, we do not knock any more but now and then, and go on with
        // what is kept.
        let is_blocked =
            |seen: &Exposition| sum(seen, "mysql_conn_probe_failures_total", &["reason=\"host_blocked\""]) > 0.0;
        let end = Instant::now() + LONG;
        while !is_blocked(&daemon.scrape().await) {
            knock_on(&network.client).await;
            assert!(Instant::now() < end, "{version}: not blocked; {:#?}", daemon.log());
        }
        let seen = daemon.until(LONG, "both are blocked", |seen| hosts(seen, "blocked") == 2.0 && seen.up()).await;
        assert_eq!(seen.of("mysql_conn_circuit_open", ""), Some(1.0), "{version}");
        let refused = server.query_one(&errors_of(CLIENT, "COUNT_HOST_BLOCKED_ERRORS")).await;
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(7)).await;
        let again = server.query_one(&errors_of(CLIENT, "COUNT_HOST_BLOCKED_ERRORS")).await;
        let knocks = again.parse::<u64>().expect("a count") - refused.parse::<u64>().expect("a count");
        let intervals = began.elapsed().as_secs() / 3 + 1;
        assert!(knocks <= intervals, "{version}: {knocks} in {:?}", began.elapsed());
        // An operator forgives, and all is well again.
        let forgive = if kind.is_mariadb() { "FLUSH HOSTS" } else { "TRUNCATE TABLE performance_schema.host_cache" };
        server.sql(forgive).await;
        daemon
            .until(LONG, "nobody is blocked", |seen| {
                hosts(seen, "blocked") == 0.0 && seen.of("mysql_conn_probe_success", "") == Some(1.0)
            })
            .await;
        daemon.stop().await;
    }
}

/// Many at once, faster than a login in between; those after the block are refused with an error instead of a greeting.
async fn knock_on(from: &Namespace) {
    let address = format!("{SERVER}:3306").parse().expect("an address");
    for _ in 0..30 {
        let mut stream = from.connect(address).expect("it listens");
        // The server may close while it is read.
        let _ = stream.read_u8().await;
    }
}
