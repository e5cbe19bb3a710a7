//! Heavy collectors and locked tables: only what they ask suffers, health does not.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use goneaway::collect::{COLLECTORS, Pace};
use mysql_async::prelude::Queryable;

use super::client::found;
use super::collectors::{all_on, busy, replica};
use super::daemon::{Daemon, watching};
use super::exposition::Exposition;
use super::servers::{Kind, Server};

const LAST: &str = "mysql_conn_exporter_collector_last_success_timestamp_seconds";
const SUCCESS: &str = "mysql_exporter_collector_success";

/// Tables of the schema, how often they are told, and how long is watched: `GONEAWAY_TEST_LONG` wants it all.
fn extent() -> (usize, &'static str, Duration) {
    match std::env::var_os("GONEAWAY_TEST_LONG") {
        Some(_) => (5000, "20s", Duration::from_secs(90)),
        None => (500, "3s", Duration::from_secs(10)),
    }
}

fn of(collector: &str) -> String {
    format!("collector=\"collect.{collector}\"")
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Fills the schema `many`.
async fn fill(server: &Server, tables: usize) {
    server.sql("CREATE DATABASE many").await;
    let create = |number: &usize| format!("CREATE TABLE many.t{number} (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY)");
    let numbers: Vec<usize> = (0..tables).collect();
    for some in numbers.chunks(200) {
        server.sql(&some.iter().map(create).collect::<Vec<_>>().join("; ")).await;
    }
}

/// What a period of watching has shown, the worst ones last.
#[derive(Debug, Default)]
struct Watched {
    probes: Vec<f64>,
    attempt_ages: Vec<f64>,
    status_ages: Vec<f64>,
    scrapes: Vec<f64>,
}

impl Watched {
    /// `now` is when the answer came: reading a long one takes the test a while.
    fn take(&mut self, seen: &Exposition, took: Duration, now: f64) {
        assert_eq!(seen.of("mysql_conn_probe_success", ""), Some(1.0));
        let phases = seen.starting_with("mysql_conn_probe_phase_last_duration_seconds{");
        self.probes.push(phases.map(|(_, seconds)| seconds).sum());
        let at = |name: &str, labels: &str| seen.of(name, labels).expect("it is always told");
        self.attempt_ages.push(now - at("mysql_conn_probe_last_attempt_timestamp_seconds", ""));
        self.status_ages.push(now - at(LAST, &of("global_status")));
        self.scrapes.push(took.as_secs_f64());
    }

    /// The 99th percentile of each, in seconds: probe, age of the last attempt, of global_status, scrape.
    fn worst(mut self) -> [f64; 4] {
        [&mut self.probes, &mut self.attempt_ages, &mut self.status_ages, &mut self.scrapes].map(|all| {
            all.sort_by(f64::total_cmp);
            all[(all.len() * 99).div_ceil(100) - 1]
        })
    }
}

/// Watches for a while; says too how often each of the slow ones has succeeded.
async fn watched(daemon: &Daemon, period: Duration, slow: &[&str]) -> ([f64; 4], Vec<usize>, Exposition) {
    let mut watched = Watched::default();
    let mut times = vec![Vec::new(); slow.len()];
    let end = Instant::now() + period;
    loop {
        let began = Instant::now();
        let answer = daemon.get("/metrics").await;
        let (took, came) = (began.elapsed(), now());
        let seen = Exposition::parse(answer.text());
        watched.take(&seen, took, came);
        for (collector, times) in slow.iter().zip(&mut times) {
            let last = seen.of(LAST, &of(collector)).filter(|last| *last > 0.0);
            times.extend(last.filter(|last| times.last() != Some(last)));
        }
        if Instant::now() > end {
            return (watched.worst(), times.iter().map(Vec::len).collect(), seen);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// That every probe has succeeded, and no connection was lost.
fn is_healthy(seen: &Exposition, who: &str) {
    for result in ["failure", "skipped", "suspended"] {
        let labels = format!("result=\"{result}\"");
        assert_eq!(seen.of("mysql_conn_probes_total", &labels), Some(0.0), "{who}: {result}");
    }
    let lost: Vec<_> = seen.starting_with("mysql_conn_lost_total{").filter(|(_, count)| *count > 0.0).collect();
    assert!(lost.is_empty(), "{who}: {lost:?}");
}

/// Collectors whose last run has failed.
fn failed(seen: &Exposition) -> Vec<&str> {
    let failed = seen.failed_collectors().into_iter();
    failed.filter_map(|series| series.split("collect.").nth(1)?.split('"').next()).collect()
}

#[tokio::test]
async fn slow_collectors_of_many_tables_do_not_touch_health() {
    let (tables, every, period) = extent();
    for kind in Kind::ALL {
        let Some(server) = busy(kind, &[]).await else { continue };
        let began = Instant::now();
        fill(&server, tables).await;
        println!("{}: {tables} tables in {:?}", server.version, began.elapsed());
        let targets = watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n");
        let slow: Vec<&str> = COLLECTORS.iter().filter(|one| one.pace != Pace::Round).map(|one| one.name).collect();
        let said = |how: &str| -> String {
            let line = |name: &str| match slow.contains(&name) {
                true => format!("  {name}: {how}\n"),
                false => format!("  {name}: true\n"),
            };
            COLLECTORS.iter().map(|one| line(one.name)).collect()
        };
        let daemon = Daemon::start(&format!("collectors:\n{}{targets}", said("false"))).await;
        let patience = Duration::from_secs(20);
        daemon.until(patience, "a round", |seen| seen.of(LAST, &of("global_status")) > Some(0.0)).await;
        let (control, _, _) = watched(&daemon, period, &[]).await;
        daemon.stop().await;

        let daemon = Daemon::start(&format!("collectors:\n{}{targets}", said(&format!("{{every: {every}}}")))).await;
        let all = |seen: &Exposition| slow.iter().all(|name| seen.of(LAST, &of(name)) > Some(0.0));
        daemon.until(Duration::from_secs(120), "every slow collector", all).await;
        let (burdened, runs, seen) = watched(&daemon, period, &slow).await;
        let shown = seen.starting_with("mysql_info_schema_table_rows{").count();
        println!(
            "{}: p99 of probe, age of attempt, age of global_status, scrape: alone {control:.3?}, beside {} slow ones \
             {burdened:.3?}; runs {runs:?}; {} series, {shown} tables",
            server.version,
            slow.len(),
            seen.series.len()
        );
        let log = daemon.log();
        daemon.stop().await;
        is_healthy(&seen, &format!("{}: {log:#?}", server.version));
        assert!(failed(&seen).is_empty(), "{}: {:?}", server.version, failed(&seen));
        assert!(runs.iter().all(|runs| *runs >= 2), "{}: they run all the time: {runs:?}", server.version);
        assert!(shown >= tables, "{}: {shown}", server.version);
        let [probe, attempt, status, scrape] = burdened;
        // A machine of two cores that others use too: an order of magnitude, not a benchmark.
        assert!(probe < control[0] * 5.0 + 0.3, "{}: a probe takes {probe} s", server.version);
        assert!(attempt < 1.0 + 1.5, "{}: the last attempt is {attempt} s old", server.version);
        // After two intervals it would not be shown.
        assert!(status < 2.0 * 1.0 + 1.0, "{}: global_status is {status} s old", server.version);
        assert!(scrape < control[3] + 1.0, "{}: a scrape takes {scrape} s", server.version);
    }
}

/// Watches while a table is locked: who fails, and how old what others say becomes.
async fn while_locked(daemon: &Daemon, quick: &[&str], period: Duration) -> (Vec<String>, f64, Exposition) {
    let (mut fail, mut oldest) = (Vec::new(), 0.0_f64);
    let end = Instant::now() + period;
    loop {
        let seen = daemon.scrape().await;
        assert_eq!(seen.of("mysql_conn_probe_success", ""), Some(1.0));
        for name in failed(&seen) {
            if !fail.iter().any(|known| known == name) {
                fail.push(name.to_owned());
            }
        }
        for name in quick {
            let last = seen.of(LAST, &of(name)).expect("it is told of all");
            oldest = oldest.max(now() - last);
        }
        if Instant::now() > end {
            return (fail, oldest, seen);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_locked_heartbeat_is_the_only_one_that_fails() {
    for kind in Kind::ALL {
        let Some(server) = busy(kind, &[]).await else { continue };
        let targets = watching(&server, "    every: 2s\n    timeout: 2s\n    connect_timeout: 1s\n");
        let daemon = Daemon::start(&format!("collectors:\n{}{targets}", all_on())).await;
        let patience = Duration::from_secs(30);
        daemon.until(patience, "every collector", |seen| seen.has_copied() && failed(seen).is_empty()).await;
        let is_quick = |name: &&str| *name != "heartbeat";
        let quick = COLLECTORS.iter().filter(|one| one.pace == Pace::Round).map(|one| one.name).filter(is_quick);
        let quick: Vec<&str> = quick.collect();
        let aborted = server.status("Aborted_clients").await;
        let mut operator = server.operator().await;
        operator.query_drop("LOCK TABLES heartbeat.heartbeat WRITE").await.expect("root may");
        daemon.until(patience, "the lock is felt", |seen| seen.of(SUCCESS, &of("heartbeat")) == Some(0.0)).await;
        let (fail, oldest, seen) = while_locked(&daemon, &quick, Duration::from_secs(9)).await;
        println!("{}: heartbeat locked: {fail:?} fail, the oldest of the others was {oldest:.2} s", server.version);
        operator.query_drop("UNLOCK TABLES").await.expect("in order");
        operator.disconnect().await.expect("in order");
        daemon.until(patience, "it is back", |seen| seen.of(SUCCESS, &of("heartbeat")) == Some(1.0)).await;
        assert_eq!(fail, ["heartbeat"], "{}", server.version);
        assert!(oldest < 2.0 * 2.0, "{}: {oldest} s", server.version);
        is_healthy(&seen, &server.version);
        assert_eq!(server.status("Aborted_clients").await, aborted, "{}: the lock costs no connection", server.version);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_killed_collector_fails_alone_and_comes_back() {
    for kind in Kind::ALL {
        let Some(server) = busy(kind, &[]).await else { continue };
        let targets = watching(&server, "    every: 2s\n    timeout: 2s\n    connect_timeout: 1s\n");
        // Beside the rounds, and slow while its table is locked.
        let said = all_on().replace("heartbeat: true", "heartbeat: {every: 3s, timeout: 3s}");
        let daemon = Daemon::start(&format!("collectors:\n{said}{targets}")).await;
        let patience = Duration::from_secs(30);
        daemon.until(patience, "every collector", |seen| seen.has_copied() && failed(seen).is_empty()).await;
        let mut operator = server.operator().await;
        operator.query_drop("LOCK TABLES heartbeat.heartbeat WRITE").await.expect("root may");
        let asking = "SELECT id FROM information_schema.processlist WHERE user = 'goneaway' AND info LIKE \
                      'SELECT%SHOWN_STORED%'";
        let id = found(async || {
            let mut looking = server.operator().await;
            let asked: Option<u64> = looking.query_first(asking).await.expect("a list");
            let killed = match asked {
                Some(id) => looking.query_drop(format!("KILL {id}")).await.is_ok().then_some(id),
                None => None,
            };
            looking.disconnect().await.expect("in order");
            killed
        })
        .await;
        operator.query_drop("UNLOCK TABLES").await.expect("in order");
        operator.disconnect().await.expect("in order");
        let (fails, others) = (Cell::new(false), RefCell::new(Vec::new()));
        let lost = |seen: &Exposition| {
            let lost = seen.starting_with("mysql_conn_lost_total{").filter(|(_, count)| *count > 0.0);
            lost.map(|(series, count)| (series.to_owned(), count)).collect::<Vec<(String, f64)>>()
        };
        let seen = daemon
            .until(patience, "a failure, a loss, and all well again", |seen| {
                assert_eq!(seen.of("mysql_conn_probe_success", ""), Some(1.0), "{}", server.version);
                let failed = failed(seen);
                fails.set(fails.get() || failed.contains(&"heartbeat"));
                others
                    .borrow_mut()
                    .extend(failed.iter().filter(|name| **name != "heartbeat").map(|name| name.to_string()));
                fails.get() && failed.is_empty() && !lost(seen).is_empty()
            })
            .await;
        let (causes, others) = (lost(&seen), others.into_inner());
        println!("{}: connection {id} killed while its collector waited: {causes:?}", server.version);
        assert!(others.is_empty(), "{}: {others:?}", server.version);
        let is_killed = |series: &str| series.contains("source=\"pool\"") && series.contains("cause=\"killed\"");
        assert!(causes.iter().all(|(series, count)| is_killed(series) && *count == 1.0), "{causes:?}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_stopped_replica_is_told_and_moves_nothing_else() {
    for kind in Kind::ALL {
        let Some(source) = busy(kind, &[]).await else { continue };
        let server = replica(&source).await;
        let targets = watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n");
        let daemon = Daemon::start(&format!("collectors:\n{}{targets}", all_on())).await;
        let patience = Duration::from_secs(30);
        daemon.until(patience, "every collector", |seen| seen.has_copied() && failed(seen).is_empty()).await;
        let spellings = [
            ["slave_io_running", "slave_sql_running", "seconds_behind_master"],
            ["replica_io_running", "replica_sql_running", "seconds_behind_source"],
        ];
        // By either spelling: what the first of all series of that name says.
        let value = |seen: &Exposition, name: &str| {
            let series = format!("mysql_slave_status_{name}{{");
            seen.starting_with(&series).next().map(|(_, value)| value)
        };
        for [io, sql, behind] in spellings {
            let runs = |seen: &Exposition| value(seen, io) == Some(1.0) && value(seen, sql) == Some(1.0);
            let seen = daemon.until(patience, "replication runs", runs).await;
            assert!(value(&seen, behind).is_some_and(|behind| behind >= 0.0), "{}: {behind}", server.version);
        }
        server.sql(if kind.is_mariadb() { "STOP ALL SLAVES" } else { "STOP REPLICA" }).await;
        for [io, sql, _] in spellings {
            let stands = |seen: &Exposition| value(seen, io) == Some(0.0) && value(seen, sql) == Some(0.0);
            daemon.until(patience, "replication stands", stands).await;
        }
        let quick: Vec<&str> = COLLECTORS.iter().filter(|one| one.pace == Pace::Round).map(|one| one.name).collect();
        let (fail, oldest, seen) = while_locked(&daemon, &quick, Duration::from_secs(3)).await;
        println!("{}: replica stopped: {fail:?} fail, the oldest was {oldest:.2} s", server.version);
        assert!(fail.is_empty(), "{}: {fail:?}", server.version);
        assert!(oldest < 2.5, "{}: {oldest} s", server.version);
        is_healthy(&seen, &server.version);
        daemon.stop().await;
    }
}
