//! What the configuration says of single collectors, seen at a real server.

use std::time::{Duration, Instant};

use super::daemon::{Daemon, watching};
use super::servers::{Kind, Server};

const LAST: &str = "mysql_conn_exporter_collector_last_success_timestamp_seconds";

#[tokio::test]
async fn a_collector_keeps_to_its_databases_and_to_its_pace() {
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.is_mariadb()) else { return };
    let Some(server) = Server::private(kind, &[]).await else { return };
    for statement in [
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT PRIMARY KEY)",
        "CREATE DATABASE attic",
        "CREATE TABLE attic.chairs (id INT PRIMARY KEY)",
        "GRANT SELECT ON *.* TO 'goneaway'@'%'",
    ] {
        server.sql(statement).await;
    }
    let collectors = "collectors:\n  info_schema.tables: {databases: shop, every: 5s}\n  info_schema.innodb_cmp: {every: \
                      3s, timeout: 2s}\n";
    let targets = watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n");
    let daemon = Daemon::start(&format!("{collectors}{targets}")).await;
    let paced = [("info_schema.tables", 5.0), ("info_schema.innodb_cmp", 3.0), ("global_status", 1.0)];
    let of = |collector: &str| format!("collector=\"collect.{collector}\"");
    let mut times = paced.map(|_| Vec::<f64>::new());
    let end = Instant::now() + Duration::from_secs(30);
    while times[0].len() < 4 {
        let seen = daemon.scrape().await;
        for ((collector, _), times) in paced.iter().zip(&mut times) {
            let last = seen.of(LAST, &of(collector)).filter(|last| *last > 0.0);
            times.extend(last.filter(|last| times.last() != Some(last)));
        }
        assert!(Instant::now() < end, "{times:?}; {:#?}", daemon.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = daemon.scrape().await;
    for ((collector, every), times) in paced.iter().zip(&times) {
        let pace = "mysql_conn_exporter_collector_interval_seconds";
        assert_eq!(seen.of(pace, &of(collector)), Some(*every), "{collector}");
        // A machine that is busy is late once, and not early in the mean.
        let mean = (times[times.len() - 1] - times[0]) / (times.len() - 1) as f64;
        assert!((every - 0.1..every + 1.0).contains(&mean), "{collector}: every {mean} s, {times:?}");
    }
    let schemas: Vec<&str> = seen.starting_with("mysql_info_schema_table_rows{").map(|(series, _)| series).collect();
    assert_eq!(schemas, ["mysql_info_schema_table_rows{target=\"t\",schema=\"shop\",table=\"orders\"}"]);
    assert!(seen.starting_with("mysql_info_schema_innodb_cmp").next().is_some(), "it is shown between its runs");
}
