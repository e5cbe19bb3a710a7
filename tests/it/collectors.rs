//! All collectors beside mysqld_exporter 0.19, both asking the same server: names, types, labels, and what it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use goneaway::collect::COLLECTORS;
use mysql_async::Row;
use mysql_async::prelude::Queryable;

use super::client::settled;
use super::daemon::{self, Daemon, watching};
use super::incumbent::families;
use super::servers::{Kind, Server, cache, free_port, process};

/// Families that mysqld_exporter has and goneaway has not, each with its reason.
const LEFT_OUT: [(&str, &str); 3] =
    [("go_", "there is no Go in it"), ("promhttp_", "of the scrape itself"), ("process_", "of the process itself")];

/// A server that has something for every collector to tell.
pub(crate) async fn busy(kind: Kind, more: &[&str]) -> Option<Server> {
    let options = match kind.is_mariadb() {
        true => ["log-bin=binlog", "userstat=ON", "performance-schema-instrument='memory/%=ON'"].as_slice(),
        false => ["log-bin=binlog", "performance-schema-instrument='memory/%=ON'"].as_slice(),
    };
    let server = Server::private(kind, &[options, more].concat()).await?;
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

/// Another server of its kind that replicates from it, from now on.
pub(crate) async fn replica(source: &Server) -> Server {
    let server = busy(source.kind, &[]).await.expect("where one is, there are two");
    let mut operator = source.operator().await;
    let asked = if source.kind.is_mariadb() { "SHOW MASTER STATUS" } else { "SHOW BINARY LOG STATUS" };
    let row: Row = operator.query_first(asked).await.expect("root may").expect("it has a binary log");
    operator.disconnect().await.expect("in order");
    let (file, position): (String, u64) =
        (row.get(0).expect("the file"), row.get::<String, _>(1).and_then(|at| at.parse().ok()).expect("the position"));
    let port = source.port;
    let change = match source.kind.is_mariadb() {
        true => format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'goneaway',
             MASTER_PASSWORD = 'goneaway', MASTER_SSL_VERIFY_SERVER_CERT = 0, MASTER_LOG_FILE = '{file}',
             MASTER_LOG_POS = {position}"
        ),
        false => format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'goneaway',
             SOURCE_PASSWORD = 'goneaway', GET_SOURCE_PUBLIC_KEY = 1, SOURCE_LOG_FILE = '{file}',
             SOURCE_LOG_POS = {position}"
        ),
    };
    server.sql(&change).await;
    server.sql(if source.kind.is_mariadb() { "START SLAVE" } else { "START REPLICA" }).await;
    source.sql("INSERT INTO shop.orders (what) VALUES ('c')").await;
    settled(async || server.query_one("SELECT COUNT(*) FROM shop.orders").await == "3").await;
    server
}

/// The lines of a configuration that switch every collector on.
pub(crate) fn all_on() -> String {
    COLLECTORS.iter().map(|one| format!("  {}: true\n", one.name)).collect()
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
    settled(async || std::net::TcpStream::connect(address).is_ok()).await;
    let text = daemon::get_in(address, "/metrics", "", "1.0").await.text().to_owned();
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    // It leaves without a word, which the server counts as errors when it notices.
    let left = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'goneaway'";
    settled(async || server.query_one(left).await == "0").await;
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

/// A series by its name and its labels, whatever their order, without `target`.
fn values(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').expect("a line has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let mut labels: Vec<&str> = labels.trim_end_matches('}').split_inclusive("\",").collect();
        labels.iter_mut().for_each(|label| *label = label.trim_end_matches(','));
        labels.retain(|label| !label.starts_with("target=\"") && !label.is_empty());
        labels.sort_unstable();
        values.insert(format!("{name}{{{}}}", labels.join(",")), value.parse().expect("a number"));
    }
    values
}

/// Values that may differ, each with its reason.
const OTHERWISE: [(&str, &str); 20] = [
    ("mysql_exporter_", "of the exporters themselves"),
    ("mysqld_exporter_", "of the exporter itself"),
    ("mysql_global_status_ssl_", "of the connection that asks: ours is encrypted"),
    // Theirs opens one for each scrape, ours keeps some.
    ("mysql_global_status_threads_", "of the connections there are"),
    ("mysql_info_schema_client_statistics_concurrent_connections", "of the connections there are"),
    ("mysql_info_schema_user_statistics_concurrent_connections", "of the connections there are"),
    ("mysql_perf_schema_memory_events_used_bytes", "of the connections there are"),
    ("mysql_sys_current_connections", "of the connections there are"),
    // The performance schema, which ours asks where it is, knows threads of the server's own that the other table has
    // not, and no host of theirs.
    ("mysql_info_schema_processlist_", "of the connections there are"),
    ("mysql_slave_status_seconds_behind_", "how far behind a replica is at that moment, in whole seconds"),
    ("mysql_sys_current_memory_bytes", "the server's own threads take and give back memory"),
    // Ours goes on after its answers are read; theirs has left by then.
    ("mysql_global_status_buffer_pool_pages", "temporary tables of who asks take pages and give them back"),
    ("mysql_global_status_innodb_buffer_pool_bytes_data", "temporary tables of who asks take pages and give them back"),
    ("mysql_global_status_buffer_pool_dirty_pages", "pages are written at leisure"),
    ("mysql_global_status_innodb_buffer_pool_bytes_dirty", "pages are written at leisure"),
    ("mysql_info_schema_innodb_metrics_buffer_buffer_pool_bytes_data", "the same, by another table"),
    ("mysql_info_schema_innodb_metrics_buffer_buffer_pool_pages_", "the same, by another table"),
    ("mysql_info_schema_innodb_metrics_buffer_pool_pages", "the same, by another table"),
    ("mysql_info_schema_innodb_metrics_buffer_buffer_pool_bytes_dirty", "pages are written at leisure"),
    ("mysql_info_schema_innodb_metrics_buffer_pool_dirty_pages", "pages are written at leisure"),
];

/// Series of theirs that stood still while ours were taken, and that are not the same here.
fn unlike(before: &str, ours: &str, after: &str) -> (usize, Vec<String>) {
    let (before, ours, after) = (values(before), values(ours), values(after));
    let still = before.iter().filter(|(series, value)| after.get(*series) == Some(*value));
    let still: Vec<_> = still
        .filter(|(series, _)| {
            let out = LEFT_OUT.iter().chain(&OTHERWISE);
            !out.into_iter().any(|(prefix, _)| series.starts_with(prefix))
        })
        .collect();
    let unlike = still.iter().filter_map(|(series, value)| match ours.get(*series) {
        // Theirs is a sum of floats in places.
        Some(other) if (other - **value).abs() <= value.abs() * 1e-12 || other.is_nan() && value.is_nan() => None,
        other => Some(format!("{series} is {other:?}, not {value}")),
    });
    (still.len(), unlike.collect())
}

/// Compares the exporters at this server, and both formats of ours: what differs.
async fn compare(server: &Server) -> Vec<String> {
    let theirs = incumbents(server).await;
    let errors = raised(server).await;
    let configuration = watching(server, "    every: 2s\n    timeout: 2s\n    connect_timeout: 1s\n");
    let daemon = Daemon::start(&format!("collectors:\n{}{configuration}", all_on())).await;
    let slow = COLLECTORS.iter().filter(|one| matches!(one.pace, goneaway::collect::Pace::Slow(_)));
    let slow: Vec<String> = slow.map(|one| format!("collector=\"collect.{}\"", one.name)).collect();
    let last = "mysql_conn_exporter_collector_last_success_timestamp_seconds";
    let seen = daemon
        .until(Duration::from_secs(30), "every collector", |seen| {
            slow.iter().all(|labels| seen.of(last, labels) > Some(0.0)) && seen.has_copied()
        })
        .await;
    let failed = seen.failed_collectors();
    let text = daemon.get("/metrics").await.text().to_owned();
    let open = daemon.get_with("/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n").await;
    assert!(open.text().ends_with("# EOF\n"), "{}: {}", server.version, open.head);
    let again = daemon.get("/metrics").await.text().to_owned();
    daemon.stop().await;
    let raised = raised(server).await - errors;
    let afterwards = incumbents(server).await;

    let [first, open, second] =
        [&*text, open.text(), &*again].map(|text| values(text).into_keys().collect::<BTreeSet<String>>());
    let only_text: Vec<&String> = first.intersection(&second).filter(|series| !open.contains(*series)).collect();
    let only_open: Vec<&String> =
        open.iter().filter(|series| !first.contains(*series) && !second.contains(*series)).collect();

    let ours = text.replace("{target=\"t\"}", "").replace("{target=\"t\",", "{");
    let (still, unlike) = unlike(&theirs, &ours, &afterwards);
    let samples = &*theirs;
    let (ours, theirs) = (families(&ours), families(&theirs));
    let is_left_out = |name: &str| LEFT_OUT.iter().any(|(prefix, _)| name.starts_with(prefix));
    let mut different = Vec::new();
    for (name, shape) in theirs.iter().filter(|(name, _)| !is_left_out(name)) {
        let told = || samples.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        match ours.get(name) {
            None => different.push(format!("{name} is missing; they have {shape:?}, {}", told())),
            Some(other) if other != shape => different.push(format!("{name} is {other:?}, not {shape:?}")),
            Some(_) => {}
        }
    }
    let only_ours: BTreeSet<&&str> =
        ours.keys().filter(|name| !name.starts_with("mysql_conn_") && !theirs.contains_key(*name)).collect();
    println!(
        "{}: {} families of theirs, {still} series that stand still; only ours: {only_ours:?}; errors raised +{raised}",
        server.version,
        theirs.len()
    );
    let of_format = only_text.iter().map(|series| format!("{series} is not in OpenMetrics"));
    let of_other = only_open.iter().map(|series| format!("{series} is in OpenMetrics only"));
    different.extend(failed.iter().map(|series| format!("{series} has failed")));
    different.extend(of_format.chain(of_other).chain(unlike));
    if raised > 0 {
        let log = std::fs::read_to_string(server.data().join("raised.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        different.push(format!("{raised} errors in the server: {last:?}"));
    }
    if still < 1000 {
        different.push(format!("only {still} series stand still"));
    }
    different.iter().map(|what| format!("{}: {what}", server.version)).collect()
}

/// What differs. A value that is another only this once moved in the moment between two exporters; a wrong one is wrong again.
async fn differences(server: &Server) -> Vec<String> {
    let series_of = |what: &String| what.split_once(" is ").map(|(series, _)| series.to_owned());
    let (values, others): (Vec<String>, Vec<String>) =
        compare(server).await.into_iter().partition(|what| series_of(what).is_some());
    if values.is_empty() || !others.is_empty() {
        return [values, others].concat();
    }
    let before: BTreeSet<Option<String>> = values.iter().map(series_of).collect();
    let again = compare(server).await;
    again.into_iter().filter(|what| series_of(what).is_none() || before.contains(&series_of(what))).collect()
}

#[tokio::test]
async fn every_collector_has_the_incumbents_families_and_values_and_raises_no_error() {
    let mut different = Vec::new();
    for kind in Kind::ALL {
        let Some(server) = busy(kind, &[]).await else { continue };
        different.extend(differences(&server).await);
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[tokio::test]
async fn a_replica_has_the_incumbents_families_and_values() {
    let mut different = Vec::new();
    for kind in Kind::ALL {
        let Some(source) = busy(kind, &[]).await else { continue };
        let server = replica(&source).await;
        different.extend(differences(&server).await);
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[tokio::test]
async fn a_member_of_a_group_has_the_incumbents_families_and_values() {
    let local = format!("loose-group_replication_local_address=127.0.0.1:{}", free_port());
    let options = [
        "plugin-load-add=group_replication.so",
        "gtid-mode=ON",
        "enforce-gtid-consistency=ON",
        "report-host=127.0.0.1",
        "loose-group_replication_group_name=7ab6a3ae-7d6b-4c8b-9a57-3a3c0d1d7c10",
        "loose-group_replication_start_on_boot=OFF",
        local.as_str(),
    ];
    let Some(server) = busy(Kind::MysqlUnstable, &options).await else { return };
    server.sql("SET GLOBAL group_replication_bootstrap_group = ON").await;
    server.sql("START GROUP_REPLICATION").await;
    let members = "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'";
    settled(async || server.query_one(members).await == "1").await;
    let different = differences(&server).await;
    assert!(different.is_empty(), "{different:#?}");
}
