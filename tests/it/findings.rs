//! Servers that are set up wrongly on purpose, one way a rule: `diagnose` names the fault, and when its own advice has been
//! carried out to the letter the finding is gone.

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use goneaway::watch::finding::{Finding, Severity};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::client::{access, at, attempt};
use super::daemon::{Daemon, run, watching};
use super::golden::{file, read};
use super::network::{Network, Proxy, ROUTER, SERVER};
use super::reasons::{self, blocked_source, relay};
use super::servers::{Kind, Server, process, tls};
use goneaway::mysql::handshake::TlsPolicy;

/// What `diagnose` says: its exit code and its findings.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    findings: Vec<Finding>,
}

impl Told {
    fn find(&self, name: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.name == name)
    }

    fn expect(&self, name: &str) -> Finding {
        self.find(name).unwrap_or_else(|| panic!("no finding `{name}`: {self:#?}")).clone()
    }
}

/// Diagnoses a server once; the program has a thread of its own, so that whatever serves it goes on.
async fn diagnose(configuration: &str) -> Told {
    let configuration = configuration.to_owned();
    let output = tokio::task::spawn_blocking(move || run(&configuration, &["diagnose", "--output", "json"]));
    let output = output.await.expect("it does not panic");
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {says}"));
    let findings = serde_json::from_value(document[0]["findings"].clone()).expect("findings");
    Told { code: output.status.code(), findings }
}

/// Carries out the advice to the letter: its statements, those that they print, and its lines with a restart.
async fn carry_out(server: &Server, finding: &Finding, way: usize) {
    let change = &finding.changes[way];
    for statement in &change.sql {
        if statement.starts_with("SELECT CONCAT('KILL") {
            for printed in server.column(statement).await {
                server.sql(&printed).await;
            }
        } else {
            server.sql(statement).await;
        }
    }
    if change.restart {
        server.configure(&change.my_cnf);
        server.restart().await;
    }
}

/// The finding is there, its first advice is carried out, and it is gone.
async fn heals(server: &Server, configuration: &str, name: &str, severity: Severity) -> Finding {
    let told = diagnose(configuration).await;
    let finding = told.expect(name);
    assert_eq!(finding.severity, severity, "{finding:#?}");
    let code = told.findings.iter().map(|finding| finding.severity).max().map(|worst| worst as i32);
    assert_eq!(told.code, code, "{told:#?}");
    carry_out(server, &finding, 0).await;
    let after = diagnose(configuration).await;
    assert_eq!(after.find(name), None, "{:?}: {finding:#?}", server.kind);
    finding
}

fn plain(server: &Server, user: &str) -> OptsBuilder {
    OptsBuilder::default()
        .prefer_socket(false)
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server.port)
        .user(Some(user))
        .pass(Some(user))
        .max_allowed_packet(Some(16 << 20))
        .wait_timeout(Some(600))
}

/// Holds connections of an account.
async fn hold(server: &Server, user: &str, count: usize) -> Vec<Conn> {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(Conn::new(plain(server, user)).await.expect("there is room"));
    }
    held
}

async fn leave(held: Vec<Conn>) {
    for conn in held {
        conn.disconnect().await.expect("in order");
    }
}

#[tokio::test]
async fn on_a_well_configured_server_there_is_nothing_to_find() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let told = diagnose(&watching(&server, "")).await;
        assert_eq!((told.code, &told.findings[..]), (Some(0), &[][..]), "{kind:?}");
    }
}

#[tokio::test]
async fn connections_near_the_limit_now_and_at_the_peak() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=12"]).await else { continue };
        let held = hold(&server, "goneaway", 10).await;
        heals(&server, &watching(&server, ""), "connections_near_limit", Severity::Warning).await;
        leave(held).await;
    }
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=12"]).await else { continue };
        leave(hold(&server, "goneaway", 11).await).await;
        heals(&server, &watching(&server, ""), "connections_peak", Severity::Warning).await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_new_clients_is_critical_and_says_why() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=5"]).await else { continue };
        let held = full(&server).await;
        let told = diagnose(&watching(&server, "")).await;
        let finding = told.expect("cannot_connect");
        assert_eq!(told.code, Some(2));
        assert!(finding.title.contains("too_many_connections"), "{finding:#?}");
        leave(held).await;
        server.sql("ALTER USER 'goneaway'@'%' ACCOUNT LOCK").await;
        let finding = heals(&server, &watching(&server, ""), "cannot_connect", Severity::Critical).await;
        let locked = finding.title.contains("account_locked") || finding.title.contains("access_denied");
        assert!(locked, "{kind:?}: {finding:#?}");
    }
}

#[tokio::test]
async fn accounts_near_their_limits() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        server.sql("GRANT SELECT (User, max_user_connections) ON mysql.user TO 'goneaway'@'%'").await;
        server.sql("CREATE USER 'shop'@'%' IDENTIFIED BY 'shop' WITH MAX_USER_CONNECTIONS 2").await;
        let held = hold(&server, "shop", 2).await;
        let finding = heals(&server, &watching(&server, ""), "account_limit", Severity::Critical).await;
        assert!(finding.seen.contains("shop: 2 of 2"), "{finding:#?}");
        leave(held).await;
        server.sql("ALTER USER 'goneaway'@'%' WITH MAX_USER_CONNECTIONS 3").await;
        let finding = heals(&server, &watching(&server, ""), "account_limit", Severity::Warning).await;
        assert!(finding.seen.contains("goneaway: 1 of 3"), "{finding:#?}");
    }
}

#[tokio::test]
async fn pools_that_want_more_than_there_is() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=30"]).await else { continue };
        let configuration =
            watching(&server, "    connections: 40\n    pools:\n      default: {size: 32, max_overflow: 0}\n");
        let finding = diagnose(&configuration).await.expect("pool_size");
        // The first way out is the applications' to go: their pools.
        assert!(finding.changes[0].pool.iter().any(|line| line.contains("maximumPoolSize=24")), "{finding:#?}");
        let smaller = configuration.replace("size: 32", "size: 24");
        assert_eq!(diagnose(&smaller).await.find("pool_size"), None);
        carry_out(&server, &finding, 1).await;
        assert_eq!(diagnose(&configuration).await.find("pool_size"), None);
    }
}

#[tokio::test]
async fn idle_limits_that_are_extreme_or_shorter_than_a_pools_lifetime() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        for (limit, severity) in [(20, Severity::Warning), (10_000_000, Severity::Info)] {
            server.sql(&format!("SET GLOBAL wait_timeout = {limit}")).await;
            heals(&server, &watching(&server, ""), "wait_timeout_extreme", severity).await;
        }
        server.sql("SET GLOBAL wait_timeout = 120").await;
        let finding = diagnose(&watching(&server, "")).await.expect("pool_lifetime");
        let recycle = finding.changes[0].what.split('`').nth(1).expect("the setting stands in backquotes");
        let advised = watching(&server, &format!("    pools: {{default: {{{recycle}}}}}\n"));
        assert_eq!(diagnose(&advised).await.find("pool_lifetime"), None, "{recycle}");
    }
}

#[tokio::test]
async fn sessions_that_are_about_to_be_ended() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let mut resting = Vec::new();
        let mut operator = server.operator().await;
        operator.query_drop("SET SESSION wait_timeout = 600").await.expect("its own");
        resting.push(operator);
        server.sql("SET GLOBAL wait_timeout = 4").await;
        let finding = until(&watching(&server, ""), "sessions_near_timeout").await;
        assert!(finding.changes[0].pool.iter().any(|line| line.contains("pool_recycle=2")), "{finding:#?}");
        // The other way, where the pool cannot: a longer limit.
        carry_out(&server, &finding, 1).await;
        assert_eq!(diagnose(&watching(&server, "")).await.find("sessions_near_timeout"), None, "{finding:#?}");
        leave(resting).await;
    }
}

/// Fills a server until nobody gets in any more: who was about to leave when it was full makes room once.
async fn full(server: &Server) -> Vec<Conn> {
    let end = Instant::now() + Duration::from_secs(60);
    let mut held = Vec::new();
    loop {
        held.extend(server.fill().await);
        if diagnose(&watching(server, "")).await.find("cannot_connect").is_some() {
            return held;
        }
        assert!(Instant::now() < end, "it never is full");
    }
}

/// Diagnoses until the finding is there.
async fn until(configuration: &str, name: &str) -> Finding {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let told = diagnose(configuration).await;
        if let Some(finding) = told.find(name) {
            return finding.clone();
        }
        assert!(Instant::now() < end, "no finding `{name}`: {told:#?}");
    }
}

#[tokio::test]
async fn a_session_that_rests_in_a_transaction() {
    let mut tests = tokio::task::JoinSet::new();
    for kind in Kind::ALL {
        tests.spawn(async move {
            let Some(server) = Server::private(kind, &[]).await else { return };
            server.sql("CREATE DATABASE shop").await;
            server.sql("CREATE TABLE shop.orders (id INT PRIMARY KEY) ENGINE=InnoDB").await;
            let mut operator = server.operator().await;
            operator.query_drop("START TRANSACTION").await.expect("allowed");
            operator.query_drop("INSERT INTO shop.orders VALUES (1)").await.expect("allowed");
            let configuration = watching(&server, "");
            until(&configuration, "idle_in_transaction").await;
            let finding = heals(&server, &configuration, "idle_in_transaction", Severity::Warning).await;
            assert!(finding.seen.contains("root: 1 session"), "{finding:#?}");
            operator.query_drop("SELECT 1").await.expect_err("it was ended");
        });
    }
    tests.join_all().await;
}

#[tokio::test]
async fn connections_that_end_or_begin_badly() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let configuration = watching(&server, "");
        // These end without a word.
        let access = access(at("127.0.0.1", &server), "goneaway", "goneaway", TlsPolicy::disabled());
        for _ in 0..15 {
            drop(attempt(&access).await.expect("a login"));
        }
        settled(&server, "Aborted_clients").await;
        let finding = heals(&server, &configuration, "aborted_clients", Severity::Warning).await;
        assert!(finding.changes[0].sql[0].starts_with("FLUSH"), "{finding:#?}");
        for _ in 0..15 {
            Conn::new(plain(&server, "goneaway").pass(Some("wrong"))).await.expect_err("the password is wrong");
        }
        settled(&server, "Aborted_connects").await;
        let finding = if kind.is_mariadb() {
            heals(&server, &configuration, "aborted_connects", Severity::Warning).await
        } else {
            // MySQL does not begin that count anew: a daemon judges by what it has seen itself.
            let finding = diagnose(&configuration).await.expect("aborted_connects");
            assert!(!finding.changes[0].sql.iter().any(|sql| sql.contains("FLUSH")), "{finding:#?}");
            carry_out(&server, &finding, 0).await;
            let daemon = Daemon::start(&configuration).await;
            let labels = "finding=\"aborted_connects\",severity=\"warning\"";
            daemon
                .until(Duration::from_secs(10), "a judgement without it", |seen| {
                    seen.has_copied() && seen.of("mysql_conn_finding", labels) == Some(0.0)
                })
                .await;
            daemon.stop().await;
            finding
        };
        assert!(finding.seen.contains("wrong passwords"), "{kind:?}: {finding:#?}");
    }
}

/// Waits until the server has counted them.
async fn settled(server: &Server, counter: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while server.status(counter).await < 15 {
        assert!(Instant::now() < end, "{counter} stays at {}", server.status(counter).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn hosts_near_a_block_and_blocked() {
    let hosts = format!("127.0.0.1 localhost\n{} client.test\n", blocked_source());
    for kind in Kind::ALL {
        let options = ["skip-name-resolve=OFF", "max_connect_errors=4"];
        let Some(server) = Server::private_with_hosts(kind, &options, &hosts).await else { continue };
        // Errors of the address 127.0.0.1 are not counted: the look itself clears nothing.
        let configuration = watching(&server, "");
        let relay = relay(server.port).await;
        for (name, severity) in [("host_near_block", Severity::Warning), ("host_blocked", Severity::Critical)] {
            server.sql("SET GLOBAL max_connect_errors = 4").await;
            // One after the other, each until the server has counted it.
            let enough = if name == "host_blocked" { 4.0 } else { 2.0 };
            let errors = "SELECT COALESCE(MAX(SUM_CONNECT_ERRORS), 0) FROM performance_schema.host_cache";
            let end = Instant::now() + Duration::from_secs(30);
            while server.query_one(errors).await.parse::<f64>().expect("a number") < enough {
                drop(tokio::net::TcpStream::connect(relay).await.expect("it listens"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert!(Instant::now() < end, "no errors are counted");
            }
            heals(&server, &configuration, name, severity).await;
        }
    }
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_the_server() {
    for kind in Kind::ALL {
        let options = ["skip-name-resolve=OFF"];
        let Some(server) = Server::private_with_hosts(kind, &options, "127.0.0.1 localhost\n").await else { continue };
        // Whatever is asked, nothing is said.
        let Ok(resolver) = UdpSocket::bind("127.0.0.53:53").await else {
            println!("not tried: this machine lends nobody port 53 of 127.0.0.53");
            return;
        };
        server.resolves_by("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n");
        server.restart().await;
        let address = relay(server.port).await;
        let configuration =
            format!("targets:\n  t:\n    address: {address}\n    user: goneaway\n    password: goneaway\n");
        let finding = heals(&server, &configuration, "reverse_dns_slow", Severity::Warning).await;
        assert!(finding.seen.contains("skip_name_resolve = OFF"), "{finding:#?}");
        drop(resolver);
    }
}

#[tokio::test]
async fn variables_that_are_too_small() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["thread_cache_size=0", "back_log=10"]).await else { continue };
        let configuration = watching(&server, "");
        server.sql("SET GLOBAL max_allowed_packet = 1048576").await;
        heals(&server, &configuration, "max_allowed_packet", Severity::Warning).await;
        for _ in 0..60 {
            leave(hold(&server, "goneaway", 1).await).await;
        }
        heals(&server, &configuration, "thread_cache_small", Severity::Warning).await;
        heals(&server, &configuration, "back_log_small", Severity::Info).await;
    }
}

#[tokio::test]
async fn what_cannot_be_seen() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["performance-schema=OFF"]).await else { continue };
        heals(&server, &watching(&server, ""), "performance_schema_off", Severity::Info).await;
        server.sql("CREATE USER 'low'@'127.0.0.1' IDENTIFIED BY 'low'").await;
        let low =
            watching(&server, "").replace("user: goneaway\n    password: goneaway", "user: low\n    password: low");
        let finding = heals(&server, &low, "missing_grants", Severity::Warning).await;
        let grants = &finding.changes[0].sql;
        assert!(grants.contains(&"GRANT PROCESS ON *.* TO 'low'@'127.0.0.1';".to_owned()), "{kind:?}: {grants:#?}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_run_out() {
    for kind in Kind::ALL {
        let directory = process::directory();
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        let put = |identity: &super::servers::certificates::Identity| {
            fs::copy(&identity.certificate, &cert).expect("our own directory");
            fs::copy(&identity.key, &key).expect("our own directory");
        };
        put(&tls().expired);
        let options = [format!("ssl-cert={}", cert.display()), format!("ssl-key={}", key.display())];
        let Some(server) = Server::private(kind, &options.each_ref().map(String::as_str)).await else { continue };
        let configuration = watching(&server, "    tls: {mode: required}\n");
        let finding = diagnose(&configuration).await.expect("certificate_expiry");
        assert_eq!(finding.severity, Severity::Critical);
        put(&tls().server);
        carry_out(&server, &finding, 0).await;
        assert_eq!(diagnose(&configuration).await.find("certificate_expiry"), None, "{kind:?}: {finding:#?}");
        let _ = fs::remove_dir_all(&directory);
    }
}

#[tokio::test]
async fn sessions_in_the_clear() {
    // MariaDB does not tell of the TLS of others' sessions.
    let Some(server) = Server::private(Kind::MysqlUnstable, &["bind-address=127.0.0.1,127.0.0.2"]).await else {
        return;
    };
    let configuration = watching(&server, "    tls: {mode: required}\n").replace("127.0.0.1", "127.0.0.2");
    assert_eq!(diagnose(&configuration).await.find("tls_absent"), None);
    server.sql("CREATE USER 'shop'@'%' IDENTIFIED BY 'shop'").await;
    let held = hold(&server, "shop", 1).await;
    let finding = diagnose(&configuration).await.expect("tls_absent");
    assert_eq!(finding.seen, "1 sessions have no TLS");
    carry_out(&server, &finding, 0).await;
    // Those that are there stay; who comes anew has to use it.
    leave(held).await;
    Conn::new(plain(&server, "shop")).await.expect_err("the server insists");
    assert_eq!(diagnose(&configuration).await.find("tls_absent"), None);
}

#[tokio::test]
async fn an_account_with_a_plugin_of_yesterday() {
    let Some(server) = Server::private(Kind::MysqlUnstable, &[]).await else { return };
    server.sql("CREATE USER 'old'@'%' IDENTIFIED WITH sha256_password BY 'old'").await;
    let with = |password: &str| {
        let account = format!("user: old\n    password: {password}");
        watching(&server, "").replace("user: goneaway\n    password: goneaway", &account)
    };
    let finding = diagnose(&with("old")).await.expect("auth_plugin_deprecated");
    carry_out(&server, &finding, 0).await;
    let after = diagnose(&with("a password of your choice")).await;
    assert_eq!((after.find("auth_plugin_deprecated"), after.find("cannot_connect")), (None, None), "{after:#?}");
}

const QUICK: &str = "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n";

#[tokio::test]
async fn a_daemon_shows_a_finding_soon_and_as_long_as_it_is_so() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let daemon = Daemon::start(&watching(&server, QUICK)).await;
        let labels = "finding=\"wait_timeout_extreme\",severity=\"warning\"";
        let value = |seen: &super::exposition::Exposition| seen.of("mysql_conn_finding", labels);
        let first = daemon.scrape().await;
        assert_eq!(value(&first), Some(0.0), "it is there from the first scrape");
        daemon.until(Duration::from_secs(5), "values", |seen| seen.has_copied()).await;
        for (limit, expected) in [(20, 1.0), (600, 0.0)] {
            server.sql(&format!("SET GLOBAL wait_timeout = {limit}")).await;
            daemon.until(Duration::from_secs(10), "the finding", |seen| value(seen) == Some(expected)).await;
            let health = daemon.get("/health/detailed").await;
            let document: Value = serde_json::from_str(health.text()).expect("JSON");
            let names: Vec<&str> = document["checks"]["t:findings"]
                .as_array()
                .map(|all| all.iter().filter_map(|one| one["componentId"].as_str()).collect())
                .unwrap_or_default();
            assert_eq!(names.contains(&"wait_timeout_extreme"), expected == 1.0, "{}", health.text());
            assert_eq!(document["status"], if expected == 1.0 { "warn" } else { "pass" }, "{}", health.text());
            assert!(!health.text().contains("SET GLOBAL"), "{}", health.text());
            // What the daemon knows is what the command tells.
            let url = format!("http://{}", daemon.address);
            let output =
                tokio::task::spawn_blocking(move || run("", &["diagnose", "--url", &url])).await.expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(
                output.status.code(),
                Some(expected as i32),
                "{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(text.contains("(wait_timeout_extreme)"), expected == 1.0, "{text}");
        }
        let (_, code) = daemon.stop().await;
        assert_eq!(code, Some(0));
    }
}

/// A leak of two connections a minute. The trend wants ten minutes, so it takes longer than a run of all tests may.
#[tokio::test]
async fn a_leak_is_told_before_the_server_is_full() {
    if std::env::var_os("GONEAWAY_TEST_LONG").is_none() {
        println!("not tried: it takes twelve minutes; scripts/test --long does");
        return;
    }
    let Some(server) = Server::private(Kind::MariadbStable, &["max_connections=70"]).await else { return };
    let daemon = Daemon::start(&watching(&server, QUICK)).await;
    let trend = |seen: &super::exposition::Exposition| {
        seen.of("mysql_conn_finding", "finding=\"connections_trend\",severity=\"warning\"")
    };
    let mut held = hold(&server, "goneaway", 28).await;
    let began = Instant::now();
    while trend(&daemon.scrape().await) != Some(1.0) {
        assert!(began.elapsed() < Duration::from_secs(780), "not told with {} of 70", held.len());
        tokio::time::sleep(Duration::from_secs(30)).await;
        held.extend(hold(&server, "goneaway", 1).await);
    }
    println!("told after {} s with {} of 70 held", began.elapsed().as_secs(), held.len());
    let url = format!("http://{}", daemon.address);
    let asking = tokio::task::spawn_blocking(move || run("", &["diagnose", "--url", &url, "--output", "json"]));
    let output = asking.await.expect("it does not panic");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings: Vec<Finding> = serde_json::from_value(document[0]["findings"].clone()).expect("findings");
    let finding = findings.iter().find(|finding| finding.name == "connections_trend").expect("it was just told");
    carry_out(&server, finding, 0).await;
    daemon.until(Duration::from_secs(60), "its end", |seen| trend(seen) == Some(0.0)).await;
    leave(held).await;
}

#[tokio::test]
async fn a_path_that_cuts_is_found_and_one_that_is_mended_is_not() {
    let Some(network) = Network::new() else { return };
    let Some(_server) = Server::placed(Kind::MariadbStable, &[], &network.server, SERVER).await else { return };
    let proxy = Proxy::start(&network, 4000, 4000).await;
    let hosts = process::directory().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("our own directory");
    let configuration = format!(
        "targets:\n  t:\n    address: {ROUTER}\n    password: goneaway\n{QUICK}    ladder: {{cap: 10s, ages: [1s, 2s, 5s], \
         precision: 500ms, stagger: 500ms, recheck_every: 3s}}\n"
    );
    let daemon = Daemon::start_at(&configuration, Some((&network.client, &hosts))).await;
    let labels = "finding=\"idle_limit_of_path\",severity=\"warning\"";
    let is =
        |expected| move |seen: &super::exposition::Exposition| seen.of("mysql_conn_finding", labels) == Some(expected);
    daemon.until(Duration::from_secs(60), "the limit is found", is(1.0)).await;
    let health = daemon.get("/health/detailed").await;
    assert!(health.text().contains("something on the way ends connections that rest for"), "{}", health.text());
    // Its second way out: the idle timeout of what lies between, above the server's.
    drop(proxy);
    let _proxy = Proxy::start(&network, 30_000_000, 30_000_000).await;
    daemon.until(Duration::from_secs(90), "the path is found mended", is(0.0)).await;
}

/// Hides what differs from run to run: these words, and times.
fn masked(text: &str, words: &[(&str, &str)]) -> String {
    let text = words.iter().fold(text.to_owned(), |text, (word, mask)| text.replace(word, mask));
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        masked.push_str(&rest[..start]);
        let end = rest[start..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |end| start + end);
        let (number, after) = (&rest[start..end], &rest[end..]);
        let is_time = [" ms", " s", " %)", " new ones", " min", " idle,", " used of", " lost"]
            .iter()
            .any(|unit| after.starts_with(unit));
        // The connection that the test itself has just left may still be there.
        let is_peak = after.starts_with(" or more for a peak")
            || [
                "connections of server: ",
                "at most ",
                "peak of ",
                " max_connections ",
                "of each host ",
                "back_log ",
                "thread_cache_size ",
            ]
            .iter()
            .any(|words| text[..text.len() - rest.len() + start].ends_with(words));
        masked.push_str(if is_time || is_peak { "#" } else { number });
        rest = after;
    }
    masked + rest
}

/// The same for a document. Of its numbers only those of errors stay: the others are in the text, or differ.
fn document_masked(document: &mut Value, words: &[(&str, &str)]) {
    match document {
        Value::Number(_) => *document = "#".into(),
        Value::String(text) => *text = masked(text, words),
        Value::Array(list) => list.iter_mut().for_each(|one| document_masked(one, words)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "errno" => {}
                    "at" => *value = "TIME".into(),
                    _ => document_masked(value, words),
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn is_golden(name: &str, text: &str) {
    let path = file(&format!("golden/{name}"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).expect("goldens can be written");
    }
    assert_eq!(text, read(&path), "golden/{name}; UPDATE=1 rewrites it");
}

/// What `status` and `diagnose` say, as text and as JSON, and how they exit.
fn told(situation: &str, mut how: impl FnMut(&[&str]) -> Output, code: i32, words: &[(&str, &str)]) {
    for command in ["status", "diagnose"] {
        let output = how(&[command]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{situation}: {text}{}", String::from_utf8_lossy(&output.stderr));
        is_golden(&format!("{command}-{situation}.txt"), &masked(&text, words));
        let output = how(&[command, "--output", "json"]);
        assert_eq!(output.status.code(), Some(code), "{situation}: {command}");
        let mut document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        document_masked(&mut document, words);
        let text = serde_json::to_string_pretty(&document).expect("it was JSON") + "\n";
        is_golden(&format!("{command}-{situation}.json"), &text);
    }
}

#[tokio::test]
async fn status_and_diagnose_say_what_the_goldens_say() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let configuration = watching(&server, QUICK);
    let wrong = configuration.replace("password: goneaway", "password: wrong");
    let port = format!(":{}", server.port);
    let words = [(server.version.as_str(), "VERSION"), (port.as_str(), ":PORT")];
    let told = |situation: &str, configuration: &str, code: i32| {
        told(situation, |arguments| run(configuration, arguments), code, &words);
    };
    server.sql("FLUSH STATUS").await;
    told("healthy", &configuration, 0);
    told("wrong-password", &wrong, 2);
    let three = format!(
        "defaults: {{user: goneaway, password: goneaway, timeout: 1s}}\ntargets:\n  a: {{address: \"127.0.0.1{port}\"}}\n  \
         b: {{address: \"127.0.0.1:9\"}}\n  c: {{address: \"127.0.0.1{port}\"}}\n"
    );
    told("one-of-three-down", &three, 2);
    server.sql("SET GLOBAL max_connections = 10").await;
    let held = full(&server).await;
    told("full", &configuration, 2);
    leave(held).await;
    server.freeze().await;
    told("frozen", &configuration, 2);
    server.thaw();
    server.shutdown().await;
    told("down", &configuration, 2);
}

#[test]
fn a_server_out_of_reach_is_told_as_such() {
    let (_listener, _waiting, address) = reasons::full();
    let port = format!(":{}", address.port());
    let configuration = format!("targets:\n  t: {{address: \"{address}\", connect_timeout: 300ms}}\n");
    told("unreachable", |arguments| run(&configuration, arguments), 2, &[(port.as_str(), ":PORT")]);
}

/// Passes on what comes, and ends a connection on which nothing comes for two seconds, as balancers do. In a thread of its
/// own, so that it goes on while a command runs.
fn cutting(to: u16) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pass = async move {
        let listener = TcpListener::from_std(listener).expect("a socket");
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
                loop {
                    let passed = tokio::select! {
                        read = client.read(&mut up) => match read {
                            Ok(length @ 1..) => server.write_all(&up[..length]).await,
                            _ => return,
                        },
                        read = server.read(&mut down) => match read {
                            Ok(length @ 1..) => client.write_all(&down[..length]).await,
                            _ => return,
                        },
                        () = tokio::time::sleep(Duration::from_secs(2)) => return,
                    };
                    if passed.is_err() {
                        return;
                    }
                }
            });
        }
    };
    std::thread::spawn(move || runtime.block_on(pass));
    port
}

#[tokio::test]
async fn a_proxy_that_cuts_is_told_with_its_limit_and_what_a_pool_may_keep() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let port = cutting(server.port);
    let configuration = format!(
        "targets:\n  t:\n    address: 127.0.0.1:{port}\n    password: goneaway\n{QUICK}    ladder: {{cap: 8s, ages: [1s, 4s], \
         precision: 500ms, stagger: 500ms}}\n    pools: {{default: {{exercise: {{rests: [3s]}}}}}}\n"
    );
    let daemon = Daemon::start(&configuration).await;
    let found = |seen: &super::exposition::Exposition| {
        seen.of("mysql_conn_finding", "finding=\"idle_limit_of_path\",severity=\"warning\"") == Some(1.0)
    };
    daemon.until(Duration::from_secs(60), "the limit is found", found).await;
    let (url, port) = (format!("http://{}", daemon.address), format!(":{port}"));
    let words = [(server.version.as_str(), "VERSION"), (port.as_str(), ":PORT")];
    let how = |arguments: &[&str]| run("", &[arguments, &["--url", &url]].concat());
    told("cut-by-a-proxy", how, 1, &words);
}

#[test]
fn three_targets_of_which_one_is_unknown_or_down() {
    let configuration = "targets:\n  a: {address: '127.0.0.1:9'}\n  b: {address: '127.0.0.1:9', required: false}\n";
    for command in ["status", "diagnose"] {
        let output = run(configuration, &[command, "a"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.starts_with("a (127.0.0.1:9): ") && !text.contains("b (127"), "{text}");
        let output = run(configuration, &[command, "c"]);
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(says, "error: there is no target `c`\n  hint: configured are a, b\n");
        let output = run("targets: {a: {adress: x}}\n", &[command]);
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.is_empty());
    }
}
