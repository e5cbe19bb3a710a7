//! Fleets: one that is well, which wakes nobody; and one that is large, of which the dashboards are quick all the same.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;

use super::collectors::{busy, replica};
use super::daemon::Daemon;
use super::prometheus::{Prometheus, program};
use super::servers::{Kind, Server};

/// Prometheus with the rules as they are shipped, but evaluated as often as it scrapes: no moment passes unseen.
fn watcher(program: &PathBuf, daemon: SocketAddr, interval: u64) -> Prometheus {
    let mut files = Vec::new();
    for name in ["goneaway.yml", "goneaway-slo.yml", "goneaway-exporter.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts").join(name);
        let rules = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(rules.contains("\n  interval: 30s\n"), "{name}");
        files.push((name, rules.replace("\n  interval: 30s\n", &format!("\n  interval: {interval}s\n"))));
    }
    let configuration = format!(
        "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, evaluation_interval: {interval}s}}\nrule_files: \
         [goneaway.yml, goneaway-slo.yml, goneaway-exporter.yml]\nscrape_configs:\n- job_name: goneaway\n  static_configs: [{{targets: ['{daemon}']}}]\n"
    );
    Prometheus::configured(program, &configuration, &files)
}

/// A Prometheus that has seen so many targets, all of them well.
async fn scraped(program: &PathBuf, daemon: &Daemon, targets: usize) -> Prometheus {
    daemon
        .until(Duration::from_secs(90), "all of them", |seen| {
            seen.starting_with("mysql_conn_probe_success").filter(|(_, good)| *good == 1.0).count() == targets
        })
        .await;
    let prometheus = watcher(program, daemon.address, 5);
    prometheus.value("count(mysql_up==1)", |up| up == targets as f64).await;
    prometheus
}

/// What an application does all day: a pool of four that is busy, and a client of its own twice a second.
async fn work(port: u16) {
    let options = |pool: bool| {
        let builder = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .user(Some("goneaway"))
            .pass(Some("goneaway"))
            .prefer_socket(false);
        let limits = mysql_async::PoolConstraints::new(4, 4).expect("four are four");
        if pool { builder.pool_opts(mysql_async::PoolOpts::default().with_constraints(limits)) } else { builder }
    };
    let pool = mysql_async::Pool::new(options(true));
    for turn in 0_u64.. {
        let mut kept = [None, None, None, None];
        for one in &mut kept {
            *one = Some(pool.get_conn().await.expect("a well server lets in"));
        }
        for one in kept.iter_mut().flatten() {
            one.query_drop("SELECT COUNT(*) FROM information_schema.plugins").await.expect("a well server answers");
        }
        drop(kept);
        if turn.is_multiple_of(2) {
            let mut alone = mysql_async::Conn::new(options(false)).await.expect("a well server lets in");
            alone.query_drop("SELECT 1").await.expect("a well server answers");
            alone.disconnect().await.expect("it says goodbye");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Those that fire and those that are pending.
async fn alerts(prometheus: &Prometheus) -> Vec<serde_json::Value> {
    let alerts = prometheus.get("/api/v1/alerts").await.expect("Prometheus answers");
    alerts["data"]["alerts"].as_array().expect("a list").clone()
}

fn is_watchdog(alert: &serde_json::Value) -> bool {
    alert["labels"]["alertname"] == "MySQLWatchdog"
}

#[tokio::test]
async fn one_that_is_well_wakes_nobody() {
    let Some(program) = program("prometheus-3") else { return };
    let Some(source) = busy(Kind::MariadbStable, &["max_connections=60"]).await else { return };
    let mut servers = vec![replica(&source).await, source];
    for kind in [Kind::MariadbUnstable, Kind::MysqlUnstable, Kind::MysqlUnstable] {
        let Some(server) = Server::private(kind, &["max_connections=60"]).await else { return };
        servers.push(server);
    }
    let mut configuration = String::from("defaults: {user: goneaway, password: goneaway, every: 5s}\ntargets:\n");
    for (number, server) in servers.iter().enumerate() {
        let _ = writeln!(configuration, "  server-{number}: {{address: \"127.0.0.1:{}\"}}", server.port);
    }
    let load: Vec<_> = servers.iter().map(|server| tokio::spawn(work(server.port))).collect();
    let daemon = Daemon::start(&configuration).await;
    let prometheus = scraped(&program, &daemon, 5).await;
    prometheus.value("instance:mysql_replication_running:min", |running| running == 1.0).await;
    // Those that waited for the first scrape see it at their next turn.
    let settled = Instant::now() + Duration::from_secs(45);
    loop {
        match alerts(&prometheus).await.as_slice() {
            [one] if is_watchdog(one) => break,
            others => assert!(Instant::now() < settled, "{others:#?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let lasts = Duration::from_secs(if std::env::var_os("GONEAWAY_TEST_LONG").is_some() { 1200 } else { 120 });
    let (began, mut heard, mut looks) = (Instant::now(), BTreeSet::new(), 0);
    while began.elapsed() < lasts {
        let alerts = alerts(&prometheus).await;
        assert!(alerts.iter().any(|alert| is_watchdog(alert) && alert["state"] == "firing"), "{alerts:?}");
        for alert in alerts.iter().filter(|alert| !is_watchdog(alert)) {
            let labels = &alert["labels"];
            heard.insert(format!(
                "{} {} {} {}, {} s after the start",
                alert["state"],
                labels["alertname"],
                labels["target"],
                alert["value"],
                began.elapsed().as_secs()
            ));
        }
        looks += 1;
        assert!(load.iter().all(|task| !task.is_finished()), "the load has ended");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // That nothing was said for lack of rules, or since they fail, is no silence.
    let rules = prometheus.get("/api/v1/rules").await.expect("Prometheus answers");
    let rules: Vec<&serde_json::Value> = rules["data"]["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
        .collect();
    assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    assert!(rules.iter().filter(|rule| rule["type"] == "alerting").count() > 30, "{} rules", rules.len());
    println!(
        "{looks} looks in {} s at {} rules over five servers: {} heard",
        lasts.as_secs(),
        rules.len(),
        heard.len()
    );
    assert!(heard.is_empty(), "{heard:#?}");
    load.iter().for_each(tokio::task::JoinHandle::abort);
}

/// With as many points as an hour has at a scrape each half minute, in ten minutes.
#[tokio::test]
async fn dashboards_of_two_hundred_targets_are_quick() {
    if std::env::var_os("GONEAWAY_TEST_LONG").is_none() {
        println!("not tried: it takes twelve minutes; scripts/test --long does");
        return;
    }
    let Some(program) = program("prometheus-3") else { return };
    let mut servers = Vec::new();
    for kind in [Kind::MariadbStable, Kind::MariadbUnstable, Kind::MysqlUnstable, Kind::MysqlUnstable] {
        let Some(server) = Server::private(kind, &["max_connections=600"]).await else { return };
        servers.push(server);
    }
    let mut configuration = String::from("defaults: {user: goneaway, password: goneaway}\ntargets:\n");
    for number in 0..200 {
        let port = servers[number % servers.len()].port;
        let _ = writeln!(configuration, "  server-{number:03}: {{address: \"127.0.0.1:{port}\"}}");
    }
    let daemon = Daemon::start(&configuration).await;
    let prometheus = scraped(&program, &daemon, 200).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asked = std::process::Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lint-dashboards"))
        .args(["--live", &format!("http://{}", prometheus.address), "--minutes", "10", "--step", "5"])
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&asked.stdout);
    println!("{said}{}", String::from_utf8_lossy(&asked.stderr));
    assert!(asked.status.success(), "{said}");
}
