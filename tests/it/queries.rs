//! Queries of the operator's own on real servers: good ones are told, and what a bad one does it does to itself.

use std::time::Duration;

use super::daemon::{Daemon, run};
use super::exposition::Exposition;
use super::servers::{Kind, Server};

/// A query that fails, and what the log says of it, on MySQL and on MariaDB.
struct Bad {
    name: &'static str,
    sql: &'static str,
    more: &'static str,
    says: [&'static str; 2],
}

const fn bad(name: &'static str, sql: &'static str, says: &'static str) -> Bad {
    Bad { name, sql, more: "", says: [says; 2] }
}

const BAD: [Bad; 13] = [
    Bad {
        name: "slow",
        sql: "SELECT SLEEP(60) AS n",
        more: "    timeout: 1s\n",
        says: ["no answer within its timeout of 1s", "max_statement_time exceeded"],
    },
    // The server does not keep the limit of rows where the statement has its own.
    bad(
        "huge",
        "SELECT 1 AS n, REPEAT('x', 100) AS x FROM shop.d a, shop.d b, shop.d c, shop.d d, shop.d e, shop.d f, shop.d g LIMIT 3000000",
        "the answer has more than 50 rows",
    ),
    bad("many", "SELECT a.n FROM shop.d a, shop.d b, shop.d c, shop.d d, shop.d e", "the answer has more than 50 rows"),
    bad("wide", "SELECT 1 AS n, REPEAT('x', 5000000) AS x", "the answer is larger than 4 MiB"),
    bad("twice", "SELECT 1 AS n UNION ALL SELECT 2", "row 2 has the labels of row 1: none"),
    bad("text", "SELECT 'a\\nlot' AS n", "the column `n` is not a number: `a\\\\nlot`"),
    bad("negative", "SELECT -1 AS n", "is negative, and a counter is not: `-1`"),
    bad("missing", "SELECT 1 AS m", "the answer has no column `n`; it has `m`"),
    bad("writes", "SELECT shop.wrote() AS n", "READ ONLY transaction"),
    bad("half_way", "SELECT IF(n < 5, n, (SELECT d.n FROM shop.d)) AS n FROM shop.d ORDER BY n", "more than 1 row"),
    bad("forbidden", "SELECT COUNT(*) AS n FROM shop.hidden", "denied"),
    bad("no_table", "SELECT n FROM shop.none", "none"),
    bad("killed", "SELECT SUM(SLEEP(20)) AS n FROM shop.d /* to be killed */", ""),
];

/// Kept for each row and the packets on their way, and what allocators keep.
const MEMORY: u64 = 24 << 20;

fn configuration(server: &Server) -> String {
    let mut text = format!(
        "defaults: {{user: goneaway, password: goneaway, every: 4s, timeout: 4s, connect_timeout: 3s}}
targets:
  t: {{address: \"127.0.0.1:{port}\", tls: {{mode: DISABLED}}}}
  u: {{address: \"127.0.0.1:{port}\", ladder: {{enabled: false}}}}
queries:
  good:
    sql: |
      SELECT shop, waiting, sent  -- a comment
      FROM shop.orders;
    every: 4s
    labels: [shop]
    values:
      waiting: {{name: shop_orders_waiting, help: \"Orders that wait, by shop.\"}}
      sent: {{name: shop_orders_sent_total, type: counter, help: \"Orders that were sent, by shop.\"}}
  of_one:
    sql: SELECT 7 AS n
    every: 1s
    targets: [u]
    values: {{n: {{name: shop_of_one, type: untyped, help: Seven.}}}}
  not_here:
    sql: SELECT 1 AS n
    every: 1s
    servers: [\"mysql<5.0\", \"mariadb<5.0\"]
    values: {{n: {{name: shop_not_here, help: Nothing.}}}}
",
        port = server.port
    );
    for Bad { name, sql, more, .. } in BAD {
        let kind = if name == "negative" { "counter" } else { "gauge" };
        let metric = if name == "negative" { "shop_negative_total".to_owned() } else { format!("shop_{name}") };
        text.push_str(&format!(
            "  {name}:\n    sql: \"{}\"\n    every: 5s\n    targets: [t]\n    max_rows: 50\n{more}    values: {{n: {{name: {metric}, \
             type: {kind}, help: Help.}}}}\n",
            sql.replace('\\', "\\\\").replace('"', "\\\"")
        ));
    }
    text
}

async fn prepared(kind: Kind) -> Option<Server> {
    let server = Server::private(kind, &["max_allowed_packet=16M"]).await?;
    for statement in [
        "CREATE DATABASE shop CHARACTER SET utf8mb4",
        "CREATE TABLE shop.d (n INT PRIMARY KEY)",
        "INSERT INTO shop.d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
        "CREATE TABLE shop.written (n INT)",
        "CREATE TABLE shop.hidden (n INT)",
        "CREATE TABLE shop.orders (shop VARCHAR(40), waiting DECIMAL(8, 2), sent BIGINT UNSIGNED)",
        "INSERT INTO shop.orders VALUES ('plain', 3, 1000000), ('it\\'s \"a\\\\b\"\\nü', 0.25, NULL), (NULL, NULL, 7)",
        "CREATE FUNCTION shop.wrote() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO shop.written VALUES \
         (1); RETURN 1; END",
        "GRANT EXECUTE ON shop.* TO 'goneaway'@'%'",
        "GRANT SELECT ON shop.d TO 'goneaway'@'%'",
        "GRANT SELECT ON shop.orders TO 'goneaway'@'%'",
    ] {
        server.sql(statement).await;
    }
    Some(server)
}

#[tokio::test]
async fn a_query_that_goes_wrong_hurts_itself_and_nobody_else() {
    for kind in Kind::ALL {
        let Some(server) = prepared(kind).await else { continue };
        check(&server).await;
    }
}

async fn check(server: &Server) {
    let version = &server.version;
    let aborted = server.status("Aborted_clients").await;
    let daemon = Daemon::start(&configuration(server)).await;
    let is_good = |seen: &Exposition| {
        ["t", "u"].iter().all(|target| {
            seen.plain(&format!("shop_orders_waiting{{target=\"{target}\",shop=\"plain\"}}")) == Some(3.0)
                && seen.plain(&format!("mysql_up{{target=\"{target}\"}}")) == Some(1.0)
        })
    };
    daemon.until(Duration::from_secs(15), "the good query", is_good).await;
    let (before, _) = daemon.footprint();

    // Until each has failed, some of them several times.
    let says =
        |log: &[String], name: &str| log.iter().find(|line| line.contains(&format!("query=query.{name} "))).cloned();
    let end = std::time::Instant::now() + Duration::from_secs(90);
    let (mut most, mut killed) = (before, 0);
    loop {
        let seen = daemon.scrape().await;
        assert!(is_good(&seen), "{version}: the good query is gone; {:#?}", daemon.log());
        assert_eq!(daemon.get("/health/db").await.status, 200, "{version}: its health suffers");
        for collector in ["global_status", "global_variables", "conn.sessions"] {
            let series = format!("mysql_exporter_collector_success{{target=\"t\",collector=\"collect.{collector}\"}}");
            assert_eq!(seen.plain(&series), Some(1.0), "{version}: {collector} suffers: {:#?}", daemon.log());
        }
        most = most.max(daemon.footprint().0);
        let ids = "SELECT COALESCE(GROUP_CONCAT(id), '') FROM information_schema.processlist WHERE info LIKE '%to be killed%' \
                   AND user = 'goneaway'";
        let id = server.query_one(ids).await;
        if !id.is_empty() {
            server.sql(&format!("KILL {id}")).await;
            killed += 1;
        }
        if BAD.iter().all(|bad| says(&daemon.log(), bad.name).is_some()) {
            break;
        }
        let open: Vec<&str> =
            BAD.iter().map(|bad| bad.name).filter(|name| says(&daemon.log(), name).is_none()).collect();
        assert!(std::time::Instant::now() < end, "{version}: {open:?} did not fail; {:#?}", daemon.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for bad in &BAD {
        let line = says(&daemon.log(), bad.name).expect("it was there");
        let expect = bad.says[usize::from(server.kind.is_mariadb())];
        assert!(line.contains("query failed") && line.contains(expect), "{version}: {}: {line}", bad.name);
    }
    assert!(killed > 0, "{version}: nobody was killed");
    assert!(most < before + MEMORY, "{version}: from {before} to {most} bytes");
    assert_eq!(server.query_one("SELECT COUNT(*) FROM shop.written").await, "0", "{version}: a query has written");

    let seen = daemon.scrape().await;
    for bad in &BAD {
        let of =
            |family: &str| seen.plain(&format!("{family}{{target=\"t\",collector=\"collect.query.{}\"}}", bad.name));
        assert_eq!(of("mysql_exporter_collector_success"), Some(0.0), "{version}: {}", bad.name);
        assert!(of("mysql_exporter_collector_duration_seconds").is_some(), "{version}: {}", bad.name);
        assert_eq!(of("mysql_conn_exporter_collector_last_success_timestamp_seconds"), Some(0.0));
        assert_eq!(of("mysql_conn_exporter_collector_interval_seconds"), Some(5.0));
        let shown = seen.starting_with(&format!("shop_{}", bad.name)).count();
        assert_eq!(shown, 0, "{version}: {} shows something", bad.name);
    }
    for (series, value) in [
        ("shop_orders_waiting{target=\"t\",shop=\"it's \\\"a\\\\b\\\"\\nü\"}", Some(0.25)),
        ("shop_orders_waiting{target=\"t\",shop=\"\"}", None),
        ("shop_orders_sent_total{target=\"t\",shop=\"\"}", Some(7.0)),
        ("shop_orders_sent_total{target=\"t\",shop=\"plain\"}", Some(1_000_000.0)),
        ("shop_of_one{target=\"u\"}", Some(7.0)),
        ("shop_of_one{target=\"t\"}", None),
        ("mysql_conn_feature_supported{target=\"t\",feature=\"collect.query.not_here\",why=\"version\"}", Some(0.0)),
        ("mysql_exporter_collector_success{target=\"t\",collector=\"collect.query.not_here\"}", Some(1.0)),
        ("mysql_conn_feature_supported{target=\"t\",feature=\"collect.query.forbidden\",why=\"grant\"}", Some(0.0)),
    ] {
        assert_eq!(seen.plain(series), value, "{version}: {series}");
    }
    let lost: f64 = seen.starting_with("mysql_conn_lost_total{").map(|(_, count)| count).sum();
    assert_eq!(lost, 0.0, "{version}: connections are told as lost");
    let only = Exposition::parse(daemon.get("/metrics?collect[]=query.of_one").await.text());
    assert!(only.plain("shop_of_one{target=\"u\"}").is_some());
    assert_eq!(only.starting_with("shop_orders_waiting{").count(), 0, "{version}: the filter");
    assert_eq!(daemon.get("/metrics?collect[]=query.none").await.status, 400);
    daemon.stop().await;
    // Only what goes on and on is cut off.
    let cut = server.status("Aborted_clients").await - aborted;
    let runs = 90 / 5;
    assert!(cut <= runs, "{version}: {cut} aborted clients");
    println!("{version}: {} bad queries, {} MiB more at most, {cut} cut off", BAD.len(), (most - before) >> 20);
}

#[test]
fn queries_are_shown_where_they_are_asked_for() {
    let configuration = "targets: {t: {address: \"127.0.0.1:9\"}}\nqueries:\n  waiting:\n    sql: SELECT 1 AS n\n    \
                         labels: [shop]\n    values: {n: {name: shop_waiting, help: Orders that wait.}}\n";
    let out = |arguments: &[&str]| {
        let output = run(configuration, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is text")
    };
    let shown = out(&["config", "show"]);
    assert!(shown.contains("  waiting:\n    sql: \"SELECT 1 AS n\"  # "), "{shown}");
    assert!(
        shown.contains("    every: 1m  # default\n    timeout: 10s  # default\n    labels: [\"shop\"]  # "),
        "{shown}"
    );
    let catalogue = out(&["metrics"]);
    assert!(catalogue.contains("shop_waiting{shop} (gauge)\n  Orders that wait.\n"), "{catalogue}");
    let grants = out(&["grants"]);
    assert!(grants.contains("-- query.waiting: what it reads cannot be known here; grant SELECT on"), "{grants}");
}
