//! `/probe` and `/sd`: who is asked about, what it costs, and that nobody else is ever connected to.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::daemon::{Answer, Daemon, watching};
use super::exposition::Exposition;
use super::servers::{self, Kind, Server};

/// Watches one server, and allows another beside it.
fn configuration(watched: &Server, more: &str) -> String {
    format!(
        "probe: {{allow: [\"127.0.0.1:*\", \"localhost:*\"]}}\nauth_modules:\n  client: {{user: goneaway, password: \
         goneaway}}\n  wrong: {{user: goneaway, password: no}}\n  bound: {{user: goneaway, password: goneaway, allow: \
         [\"db.example:3306\"]}}\n{more}{}",
        watching(watched, "")
    )
}

/// What a good answer says.
fn seen(answer: &Answer) -> Exposition {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Exposition::parse(answer.text())
}

#[tokio::test]
async fn a_server_is_asked_at_scrape_time_as_the_incumbent_would() {
    for kind in Kind::ALL {
        let (Some(watched), Some(other)) = (servers::shared(kind).await, Server::private(kind, &[]).await) else {
            continue;
        };
        let daemon = Daemon::start(&configuration(watched, "")).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        let aborted = (other.status("Aborted_clients").await, other.status("Aborted_connects").await);
        let before = other.status("Uptime").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let answer = daemon.get(&format!("/probe?target=127.0.0.1:{}", other.port)).await;
        let now = seen(&answer);
        // Of this moment, of that server, without a label.
        assert!(
            now.plain("mysql_global_status_uptime").is_some_and(|uptime| uptime > before as f64),
            "{}",
            answer.text()
        );
        assert_eq!(now.plain("mysql_up"), Some(1.0));
        assert_eq!(now.plain("mysql_exporter_collector_success{collector=\"collect.global_status\"}"), Some(1.0));
        assert!(now.plain("mysql_exporter_collector_duration_seconds{collector=\"connection\"}").is_some());
        for foreign in ["target=\"", "process_", "mysqld_exporter_build_info", "promhttp_", "mysql_conn_"] {
            assert!(!answer.text().contains(foreign), "{foreign} in {}", answer.text());
        }
        // The watched server by its name and by its address: over its own pool.
        let connections = watched.status("Connections").await;
        for target in ["t".to_owned(), format!("127.0.0.1:{}", watched.port)] {
            let of_target = seen(&daemon.get(&format!("/probe?target={target}")).await);
            assert_eq!(of_target.plain("mysql_up"), Some(1.0));
            assert!(of_target.plain("mysql_global_variables_max_connections").is_some());
        }
        let opened = watched.status("Connections").await - connections;
        println!("{}: {opened} connections beside two visits of the watched server", watched.version);
        let one = daemon.get("/probe?target=t&collect[]=global_variables").await;
        assert!(one.text().contains("mysql_global_variables_") && !one.text().contains("mysql_global_status_"));
        // OpenMetrics, when it is asked for.
        let path = format!("/probe?target=127.0.0.1:{}", other.port);
        let open = daemon.get_with(&path, "Accept: application/openmetrics-text;version=1.0.0\r\n").await;
        assert!(
            open.head.contains("application/openmetrics-text") && open.text().ends_with("# EOF\n"),
            "{}",
            open.head
        );
        let after = (other.status("Aborted_clients").await, other.status("Aborted_connects").await);
        assert_eq!(after, aborted, "{}", other.version);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn nobody_is_connected_to_who_is_not_allowed() {
    let Some(watched) = servers::shared(Kind::MariadbStable).await else { return };
    let listener = TcpListener::bind("127.0.0.2:0").await.expect("loopback");
    let secret = listener.local_addr().expect("it listens").port();
    let daemon = Daemon::start(&configuration(watched, "")).await;
    for (query, status, says) in [
        ("", 400, "`target` is missing"),
        ("?target=", 400, "`target` is missing"),
        ("?target=127.0.0.1", 400, "`127.0.0.1` has no port"),
        ("?target=nobody", 400, "`nobody` has no port"),
        (&format!("?target=127.0.0.2:{secret}"), 403, "is not among the servers that may be asked about"),
        (&format!("?target=127.0.0.2:{secret}&auth_module=client"), 403, "is not among the servers"),
        (&format!("?target=127.0.0.2:{secret}&auth_module=bound"), 403, "is not among the servers"),
        (&format!("?target=127.0.0.1.:{secret}&auth_module=bound"), 403, "is not for"),
        (&format!("?target=127.2:{secret}"), 403, "is not among the servers"),
        (&format!("?target=2130706434:{secret}"), 403, "is not among the servers"),
        (&format!("?target=0x7f.2:{secret}"), 403, "is not among the servers"),
        ("?target=t&auth_module=nobody", 400, "auth modules: bound, client, wrong"),
        ("?target=t&auth_module=bound", 403, "is not for"),
        ("?target=t&collect[]=global_statsu", 400, "there is no collector `global_statsu`"),
        ("?target=t&collect[]=heartbeat", 400, "the collector `heartbeat` is off"),
        ("?target=t&target=u", 400, "`target` is given twice"),
    ] {
        let answer = daemon.get(&format!("/probe{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().starts_with("error: ") && answer.text().contains(says), "{query}: {}", answer.text());
    }
    let nobody = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(nobody.is_err(), "somebody came: {nobody:?}");
    assert_eq!(daemon.get_with("/probe?target=t", "X-Prometheus-Scrape-Timeout-Seconds: x\r\n").await.status, 400);
    assert_eq!(daemon.post("/probe?target=t").await.status, 405);
    let log = daemon.log().join("\n");
    assert!(!log.contains("password: goneaway"), "{log}");
    let seen = daemon.scrape().await;
    for (reason, count) in
        [("target", 4.0), ("auth_module", 1.0), ("not_allowed", 6.0), ("not_bound", 2.0), ("busy", 0.0)]
    {
        let series = format!("mysql_conn_exporter_probe_targets_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(seen.plain(&series), Some(count), "{reason}");
    }
}

#[tokio::test]
async fn a_visit_ends_by_the_scrapers_deadline_and_is_shared() {
    let Some(watched) = servers::shared(Kind::MariadbStable).await else { return };
    for kind in Kind::ALL {
        let Some(other) = Server::private(kind, &[]).await else { continue };
        let daemon = Daemon::start(&configuration(watched, "")).await;
        let path = format!("/probe?target=127.0.0.1:{}", other.port);
        seen(&daemon.get(&path).await);

        // Twenty who ask at once cost what one does.
        let before = other.status("Connections").await;
        let all = futures_util::future::join_all((0..20).map(|_| daemon.get(&path))).await;
        let opened = other.status("Connections").await - before;
        assert!(all.iter().all(|answer| seen(answer).plain("mysql_up") == Some(1.0)), "{}", other.version);
        println!("{}: 20 scrapers at once opened {} connections", other.version, opened - 1);
        assert!(opened <= 5, "{}: {opened} connections", other.version);

        // A wrong password is down, and 200.
        let denied = daemon.get(&format!("{path}&auth_module=wrong")).await;
        assert_eq!(seen(&denied).plain("mysql_up"), Some(0.0), "{}", denied.text());
        assert!(!denied.text().contains("mysql_global_"), "{}", denied.text());

        // One that has frozen is down by the deadline, and is not connected to again and again.
        other.freeze().await;
        for _ in 0..3 {
            let began = Instant::now();
            let frozen = daemon.get_with(&path, "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n").await;
            let took = began.elapsed();
            assert_eq!(seen(&frozen).plain("mysql_up"), Some(0.0), "{}", frozen.text());
            assert!(took < Duration::from_millis(1000), "{}: {took:?}", other.version);
        }
        other.thaw();
        let end = Instant::now() + Duration::from_secs(5);
        while seen(&daemon.get(&path).await).plain("mysql_up") != Some(1.0) {
            assert!(Instant::now() < end, "{}: not up again", other.version);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let aborted = (other.status("Aborted_clients").await, other.status("Aborted_connects").await);
        println!("{}: frozen for three visits: aborted clients and connects {aborted:?}", other.version);
        // The wrong password is one, on MariaDB.
        assert!(aborted.0 <= 1 && aborted.1 <= 2, "{}: {aborted:?}", other.version);
        let (took, code) = daemon.stop().await;
        assert!(took < Duration::from_secs(2) && code == Some(0), "{took:?} {code:?}");
    }
}

#[tokio::test]
async fn discovery_names_every_target_and_how_to_scrape_it() {
    let daemon = Daemon::start(
        "targets:\n  orders: {address: \"127.0.0.1:9\"}\n  archive: {address: \"db.example:3307\", required: false}\n",
    )
    .await;
    // The address is the one in the Host header.
    let answer = daemon.get("/sd").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.head.to_lowercase().contains("content-type: application/json"), "{}", answer.head);
    let document: serde_json::Value = serde_json::from_str(answer.text()).expect("JSON");
    let all: Vec<(&str, &str, &str, &str)> = document
        .as_array()
        .expect("a list")
        .iter()
        .take(2)
        .map(|entry| {
            let label = |name: &str| entry["labels"][name].as_str().expect("labels are texts");
            let target = entry["targets"][0].as_str().expect("addresses are texts");
            (target, label("__metrics_path__"), label("__param_target"), label("instance"))
        })
        .collect();
    let process = &document[2]["labels"];
    assert_eq!((process["__param_only"].as_str(), process["instance"].as_str()), (Some("process"), None));
    assert_eq!(
        all,
        [("test", "/metrics", "archive", "db.example:3307"), ("test", "/metrics", "orders", "127.0.0.1:9")]
    );
    let one = daemon.get("/metrics?target=orders").await;
    assert!(one.text().contains("target=\"orders\"") && !one.text().contains("target=\"archive\""));
    assert!(!one.text().contains("process_resident_memory_bytes"));
    let process = daemon.get("/metrics?only=process").await;
    assert!(process.text().contains("process_resident_memory_bytes") && !process.text().contains("target=\""));
    daemon.stop().await;
}
