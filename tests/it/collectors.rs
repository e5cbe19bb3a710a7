//! All collectors beside mysqld_exporter 0.19, both asking the same server: names, types, labels, and what it costs.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use goneaway::collect::COLLECTORS;

use super::daemon::{self, Daemon, watching};
use super::incumbent::families;
use super::servers::{Kind, Server, cache, free_port, process};

/// Families that mysqld_exporter has and goneaway has not, each with its reason.
const LEFT_OUT: [(&str, &str); 3] =
    [("go_", "there is no Go in it"), ("promhttp_", "of the scrape itself"), ("process_", "of the process itself")];

/// A server that has something for every collector to tell.
async fn busy(kind: Kind) -> Option<Server> {
    let options = match kind.is_mariadb() {
        true => ["log-bin=binlog", "userstat=ON", "performance-schema-instrument='memory/%=ON'"].as_slice(),
        false => ["log-bin=binlog", "performance-schema-instrument='memory/%=ON'"].as_slice(),
    };
    let server = Server::private(kind, options).await?;
    for statement in [
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), KEY (what))",
        "INSERT INTO shop.orders (what) VALUES ('a'), ('b')",
        "CREATE DATABASE heartbeat",
        "CREATE TABLE heartbeat.heartbeat (ts VARCHAR(26) NOT NULL, server_id INT UNSIGNED PRIMARY KEY)",
        "INSERT INTO heartbeat.heartbeat VALUES (NOW(6), 7)",
        "GRANT SELECT ON *.* TO 'goneaway'@'%'",
        "GRANT REPLICATION SLAVE ON *.* TO 'goneaway'@'%'",
        "SELECT COUNT(*) FROM shop.orders WHERE what = 'a'",
    ] {
        server.sql(statement).await;
    }
    if kind.is_mariadb() {
        server.sql("GRANT REPLICATION MASTER ADMIN ON *.* TO 'goneaway'@'%'").await;
    }
    Some(server)
}

/// What mysqld_exporter says of it with every collector on.
async fn incumbents(server: &Server) -> String {
    let program = cache().expect("where servers are, it is too").join("bin/mysqld_exporter-unstable");
    let directory = process::directory();
    let file = directory.join("my.cnf");
    std::fs::write(
        &file,
        format!("[client]\nuser=goneaway\npassword=goneaway\nhost=127.0.0.1\nport={}\n", server.port),
    )
    .expect("ours");
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(program);
    command.arg(format!("--config.my-cnf={}", file.display())).arg(format!("--web.listen-address={address}"));
    let theirs = COLLECTORS.iter().filter(|collector| !collector.is_ours());
    command.args(theirs.map(|collector| format!("--collect.{}", collector.name)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = process::spawn(command).expect("scripts/fetch has brought it");
    let address = address.parse().expect("an address");
    let end = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < end, "mysqld_exporter does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = daemon::get_in(address, "/metrics", "", "1.0").await.text().to_owned();
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    text
}

/// Errors raised in the server. MySQL counts some (3554) at each look into its own dictionary, whoever looks.
async fn raised(server: &Server) -> u64 {
    if server.kind.is_mariadb() {
        return server.raised_errors().await;
    }
    let sum = "SELECT CAST(SUM(SUM_ERROR_RAISED) AS UNSIGNED) FROM
        performance_schema.events_errors_summary_global_by_error WHERE ERROR_NUMBER <> 3554 OR ERROR_NUMBER IS NULL";
    server.query_one(sum).await.parse().expect("a sum of counters")
}

#[tokio::test]
async fn every_collector_has_the_incumbents_families_and_raises_no_error() {
    for kind in Kind::ALL {
        let Some(server) = busy(kind).await else { continue };
        let theirs = incumbents(&server).await;
        let errors = raised(&server).await;
        let switched: String = COLLECTORS.iter().map(|one| format!("  {}: true\n", one.name)).collect();
        let configuration = watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n");
        let daemon = Daemon::start(&format!("collectors:\n{switched}{configuration}")).await;
        let slow = COLLECTORS.iter().filter(|one| matches!(one.pace, goneaway::collect::Pace::Slow(_)));
        let slow: Vec<String> = slow.map(|one| format!("collector=\"collect.{}\"", one.name)).collect();
        let last = "mysql_conn_exporter_collector_last_success_timestamp_seconds";
        let seen = daemon
            .until(Duration::from_secs(30), "every collector", |seen| {
                slow.iter().all(|labels| seen.of(last, labels) > Some(0.0)) && seen.has_copied()
            })
            .await;
        let failed: Vec<&str> = seen
            .starting_with("mysql_exporter_collector_success{")
            .filter(|(_, success)| *success != 1.0)
            .map(|(series, _)| series)
            .collect();
        let ours = daemon.get("/metrics").await.text().replace("{target=\"t\"}", "").replace("{target=\"t\",", "{");
        daemon.stop().await;
        let raised = raised(&server).await - errors;
        let (ours, theirs) = (families(&ours), families(&theirs));
        let is_left_out = |name: &str| LEFT_OUT.iter().any(|(prefix, _)| name.starts_with(prefix));
        let mut different = Vec::new();
        for (name, shape) in theirs.iter().filter(|(name, _)| !is_left_out(name)) {
            match ours.get(name) {
                None => different.push(format!("{name} is missing")),
                Some(other) if other != shape => different.push(format!("{name} is {other:?}, not {shape:?}")),
                Some(_) => {}
            }
        }
        let only_ours: BTreeSet<&&str> =
            ours.keys().filter(|name| !name.starts_with("mysql_conn_") && !theirs.contains_key(*name)).collect();
        println!(
            "{}: {} families of theirs, only ours: {only_ours:?}; errors raised +{raised}",
            server.version,
            theirs.len()
        );
        assert!(failed.is_empty(), "{}: {failed:#?}; {:#?}", server.version, seen.types.len());
        assert!(different.is_empty(), "{}: {different:#?}", server.version);
        assert_eq!(raised, 0, "{}: errors in the server", server.version);
    }
}
