//! What Prometheus makes of an exposition: promtool's opinion, and real scrapes by its two major versions.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::daemon::{Daemon, watching};
use super::incumbent;
use super::prometheus::{Prometheus, program};
use super::servers::{self, Kind};

#[tokio::test]
async fn promtool_accepts_every_servers_exposition() {
    for tool in ["promtool-2", "promtool-3"] {
        let Some(promtool) = program(tool) else { continue };
        for kind in Kind::ALL {
            let Some(server) = servers::shared(kind).await else { continue };
            let daemon = Daemon::start(&watching(server, "")).await;
            daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
            let exposition = daemon.get("/metrics").await;
            let (code, said) = check_metrics(&promtool, &exposition.body);
            // 3 is for lint remarks: the incumbent's names break many of its rules, and ours none.
            assert!(matches!(code, Some(0 | 3)), "{tool} on {}: {said}", server.version);
            let ours: Vec<&str> = said.lines().filter(|line| line.contains("mysql_conn_")).collect();
            assert!(ours.is_empty(), "{tool} on {}: {ours:?}", server.version);
            assert!(!said.contains("error while linting"), "{tool} on {}: {said}", server.version);
        }
    }
}

#[tokio::test]
async fn promtool_refuses_what_is_wrong() {
    let Some(promtool) = program("promtool-2") else { return };
    let (code, _) = check_metrics(&promtool, b"# TYPE a gauge\na 1\n# TYPE a gauge\na 2\n");
    assert_eq!(code, Some(1));
}

fn check_metrics(promtool: &PathBuf, exposition: &[u8]) -> (Option<i32>, String) {
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("stdin is piped").write_all(exposition).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[tokio::test]
async fn live_families_are_the_incumbents() {
    for (kind, core) in [
        (Kind::MariadbStable, "mariadb-10.11"),
        (Kind::MariadbUnstable, "mariadb-11.8"),
        (Kind::MysqlUnstable, "mysql-9.7"),
    ] {
        let Some(server) = servers::shared(kind).await else { continue };
        let daemon = Daemon::start(&watching(server, "")).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        let exposition = daemon.get("/metrics").await;
        // The core was taken without the label that names our targets.
        let anonymous = exposition.text().replace("{target=\"t\"}", "").replace("{target=\"t\",", "{");
        let differences = incumbent::differences(&anonymous, &incumbent::core(core));
        assert!(differences.is_empty(), "{}: {differences:#?}", server.version);
    }
}

#[tokio::test]
async fn both_major_versions_of_prometheus_scrape_every_server() {
    let text_only = "  scrape_protocols: [PrometheusText0.0.4]\n";
    for (name, more) in [("prometheus-2", ""), ("prometheus-3", ""), ("prometheus-3", text_only)] {
        let Some(program) = program(name) else { continue };
        for kind in Kind::ALL {
            let Some(server) = servers::shared(kind).await else { continue };
            let daemon =
                Daemon::start(&watching(server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n")).await;
            let prometheus = Prometheus::start(&program, daemon.address, more);
            prometheus.value("mysql_up{target=\"t\"}", |up| up == 1.0).await;
            prometheus.value("up", |up| up == 1.0).await;
            let rate = prometheus.value("rate(mysql_global_status_connections[10s])", |rate| rate > 0.0).await;
            let scraped = prometheus.value("scrape_samples_scraped", |samples| samples > 900.0).await;
            let accept = if more.is_empty() { "Accept: application/openmetrics-text;version=1.0.0\r\n" } else { "" };
            let exposition = daemon.get_with("/metrics", accept).await;
            let samples = exposition.text().lines().filter(|line| !line.starts_with('#')).count() as f64;
            assert_eq!(exposition.head.contains("openmetrics"), more.is_empty(), "{}", exposition.head);
            println!("{name}{} on {}: {scraped} samples, {rate:.2} connections/s", more.trim_end(), server.version);
            // A few series come and go between two scrapes, such as those of handlers first asked.
            assert!((scraped - samples).abs() <= 5.0, "{scraped} scraped, {samples} shown");
        }
    }
}

#[tokio::test]
async fn a_steady_scraper_finds_young_data() {
    let Some(server) = servers::shared(Kind::MysqlUnstable).await else { return };
    let daemon = Daemon::start(&watching(server, "    every: 5s\n    timeout: 4s\n")).await;
    let mut beat = tokio::time::interval(Duration::from_secs(5));
    let mut ages = Vec::new();
    let mut collections = 0.0;
    for _ in 0..24 {
        beat.tick().await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let seen = daemon.scrape().await;
        let name = "mysql_conn_exporter_collector_last_success_timestamp_seconds";
        let last = seen.of(name, "collector=\"collect.global_status\"").unwrap_or_default();
        ages.push(now - last);
        collections =
            seen.of("mysql_conn_exporter_scheduler_runs_total", "job=\"collect\",result=\"ok\"").unwrap_or_default();
    }
    let mut steady = ages[5..].to_vec();
    steady.sort_by(f64::total_cmp);
    let median = steady[steady.len() / 2];
    println!(
        "ages after five scrapes: median {median:.3} s, most {:.3} s; {collections} collections",
        steady[steady.len() - 1]
    );
    assert!(median < 0.5, "{ages:?}");
    assert!(collections <= 24.0 + 3.0, "{collections} collections for 24 scrapes");
}
