//! The real daemon on real servers, in health and in trouble.

use std::time::{Duration, Instant};

use super::daemon::{Daemon, run, watching};
use super::servers::{self, Kind, Server};

/// Durations of soaks: short where every change runs them, long by `scripts/test --long`.
fn soak(short: u64, long: u64) -> Duration {
    Duration::from_secs(if std::env::var_os("GONEAWAY_TEST_LONG").is_some() { long } else { short })
}

#[tokio::test]
async fn a_watched_server_is_on_the_first_scrape_within_a_second() {
    for kind in Kind::ALL {
        let Some(server) = servers::shared(kind).await else { continue };
        let began = Instant::now();
        let daemon = Daemon::start(&watching(server, "")).await;
        let seen = daemon.until(Duration::from_secs(2), "values", |seen| seen.up() && seen.has_copied()).await;
        let took = began.elapsed();
        println!("{}: first complete scrape after {took:?}", server.version);
        assert!(took < Duration::from_secs(1), "{}: {took:?}", server.version);
        assert_eq!(seen.of("mysql_conn_probe_success", ""), Some(1.0));
        assert_eq!(seen.of("mysql_exporter_collector_success", "collector=\"collect.global_status\""), Some(1.0));
        assert!(seen.of("mysql_global_status_connections", "").is_some_and(|connections| connections > 0.0));
        assert_eq!(seen.of("mysql_conn_door_in_use", "door=\"main\""), Some(1.0));
        let info = seen.starting_with("mysql_conn_probe_info{").next().expect("an info series").0;
        assert!(info.contains("path=\"direct\""), "{}: {info}", server.version);
        let (took, code) = daemon.stop().await;
        assert!(took < Duration::from_secs(1) && code == Some(0), "stopping took {took:?}, code {code:?}");
    }
}

#[tokio::test]
async fn it_listens_at_once_and_answers_when_the_database_is_down() {
    let began = Instant::now();
    let daemon = Daemon::start("targets:\n  t:\n    address: 127.0.0.1:9\n").await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let seen = daemon
        .until(Duration::from_secs(2), "a failed probe", |seen| {
            seen.of("mysql_conn_probe_failures_total", "phase=\"tcp\",reason=\"refused\"") == Some(1.0)
        })
        .await;
    assert_eq!(seen.of("mysql_up", ""), Some(0.0));
    assert_eq!(daemon.get("/health").await.status, 200);
    assert_eq!(daemon.get("/health/db").await.status, 503);
    let down = daemon.log().iter().filter(|line| line.contains("probe failed")).count();
    assert_eq!(down, 1, "{:#?}", daemon.log());
}

#[tokio::test]
async fn a_frozen_server_costs_a_scrape_nothing_and_the_server_at_most_one_abort() {
    let kinds = Kind::ALL.map(|kind| tokio::spawn(freeze_and_thaw(kind)));
    for kind in kinds {
        kind.await.expect("freezing this server went wrong");
    }
}

async fn freeze_and_thaw(kind: Kind) {
    let Some(server) = Server::private(kind, &[]).await else { return };
    let every = Duration::from_secs(2);
    let daemon = Daemon::start(&watching(&server, "    every: 2s\n    timeout: 1s\n    connect_timeout: 1s\n")).await;
    // Also the connection of the pool that will have rested for half a minute, while the server is frozen.
    daemon
        .until(Duration::from_secs(5), "values and both connections of the pool", |seen| {
            let open: f64 = seen.starting_with("mysql_conn_pool_connections{").map(|(_, count)| count).sum();
            seen.up() && seen.has_copied() && open >= 2.0
        })
        .await;
    let (clients, connects) = (server.status("Aborted_clients").await, server.status("Aborted_connects").await);

    server.freeze().await;
    let frozen = Instant::now();
    let margin = Duration::from_millis(200);
    daemon.until(every * 2 + margin, "down within two intervals", |seen| !seen.up() && !seen.has_copied()).await;
    println!("{}: down and empty {:?} after the freeze", server.version, frozen.elapsed());

    let p99 = best_p99(&daemon, &server.version).await;

    let (memory, descriptors) = daemon.footprint();
    let until = frozen + soak(60, 600);
    let mut most = (0, 0);
    while Instant::now() < until {
        daemon.scrape().await;
        let now = daemon.footprint();
        most = (now.0.max(most.0), now.1.max(most.1));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    println!("{}: memory {memory} to at most {}, descriptors {descriptors} to {}", server.version, most.0, most.1);
    assert!(most.0 < memory + 1024 * 1024, "memory grew from {memory} to {}", most.0);
    assert!(most.1 <= descriptors + 1, "descriptors grew from {descriptors} to {}", most.1);
    let failures = daemon.scrape().await.of("mysql_conn_probe_failures_total", "phase=\"greeting\",reason=\"timeout\"");
    let due = frozen.elapsed().as_secs_f64() / every.as_secs_f64();
    assert!(failures.is_some_and(|failures| (failures - due).abs() <= 2.0), "{failures:?} failures, {due} were due");

    server.thaw();
    let thawed = Instant::now();
    daemon
        .until(Duration::from_secs(1), "all back", |seen| {
            seen.up() && seen.has_copied() && seen.of("mysql_conn_probe_success", "") == Some(1.0)
        })
        .await;
    println!("{}: back {:?} after the thaw", server.version, thawed.elapsed());
    daemon
        .until(every * 3, "two more good probes", |seen| {
            seen.of("mysql_conn_probes_total", "result=\"success\"").is_some_and(|successes| successes >= 4.0)
        })
        .await;
    let aborted_clients = server.status("Aborted_clients").await - clients;
    let aborted_connects = server.status("Aborted_connects").await - connects;
    println!("{}: Aborted_clients +{aborted_clients}, Aborted_connects +{aborted_connects}", server.version);
    assert!(aborted_clients <= 1 && aborted_connects <= 1, "+{aborted_clients}, +{aborted_connects}");
    assert!(p99 < Duration::from_millis(5), "{}: p99 {p99:?}", server.version);
}

/// The p99 of 200 scrapes. What else runs on this machine can spoil a batch of them, while a scrape that waits
/// for a database would spoil every one: the best of some batches counts. One daemon at a time.
async fn best_p99(daemon: &Daemon, version: &str) -> Duration {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let mut times = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            daemon.get("/metrics").await;
            times.push(began.elapsed());
        }
        times.sort();
        println!("{version}: scrapes of a frozen server p50 {:?}, p99 {:?}", times[100], times[198]);
        best = best.min(times[198]);
        if best < Duration::from_millis(5) {
            break;
        }
    }
    best
}

#[tokio::test]
async fn a_hundred_rounds_leave_no_trace_in_the_servers_counters() {
    let kinds = Kind::ALL.map(|kind| tokio::spawn(watch_without_a_trace(kind)));
    for kind in kinds {
        kind.await.expect("watching this server left a trace");
    }
}

async fn watch_without_a_trace(kind: Kind) {
    let Some(server) = Server::private(kind, &[]).await else { return };
    let errors = server.raised_errors().await;
    let (clients, connects) = (server.status("Aborted_clients").await, server.status("Aborted_connects").await);
    let daemon = Daemon::start(&watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n")).await;
    let end = Instant::now() + Duration::from_secs(130);
    let mut most = 0.0_f64;
    loop {
        let seen = daemon.scrape().await;
        let held: f64 = seen.starting_with("mysql_conn_exporter_connections{").map(|(_, held)| held).sum();
        most = most.max(held);
        if seen.of("mysql_conn_probes_total", "result=\"success\"").is_some_and(|successes| successes >= 100.0) {
            assert_eq!(seen.of("mysql_conn_probes_total", "result=\"failure\""), Some(0.0));
            break;
        }
        assert!(Instant::now() < end, "100 rounds take longer than {:?}; log: {:#?}", end.elapsed(), daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (took, code) = daemon.stop().await;
    assert!(code == Some(0) && took < Duration::from_secs(1), "stopping took {took:?}, code {code:?}");
    let raised = server.raised_errors().await - errors;
    let aborted_clients = server.status("Aborted_clients").await - clients;
    let aborted_connects = server.status("Aborted_connects").await - connects;
    println!(
        "{}: 100 rounds: errors +{raised}, Aborted_clients +{aborted_clients}, Aborted_connects +{aborted_connects}, at most {most} connections",
        server.version
    );
    assert_eq!((raised, aborted_clients, aborted_connects), (0, 0, 0), "{}", server.version);
    assert!(most <= 8.0, "{most} connections");
}

/// The rhythm of hours in a minute, unless the soak is long.
fn rhythm() -> &'static str {
    match std::env::var_os("GONEAWAY_TEST_LONG") {
        Some(_) => "    every: 15s\n",
        None => {
            "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n    ladder: {cap: 8s, ages: [1s, 2s, 4s], precision: \
             250ms, stagger: 400ms}\n    pools: {default: {recycle: 5s, exercise: {busy: 50ms, rests: [500ms, 4s]}}}\n"
        }
    }
}

#[tokio::test]
async fn a_soak_loses_nothing_and_grows_nowhere() {
    let kinds = Kind::ALL.map(|kind| tokio::spawn(soak_one(kind)));
    for kind in kinds {
        kind.await.expect("soaking on this server went wrong");
    }
}

async fn soak_one(kind: Kind) {
    let Some(server) = Server::private(kind, &[]).await else { return };
    let (clients, connects) = (server.status("Aborted_clients").await, server.status("Aborted_connects").await);
    let daemon = Daemon::start(&watching(&server, rhythm())).await;
    daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
    let (began, whole) = (Instant::now(), soak(60, 3600));
    let mut quarters = [const { Vec::new() }; 4];
    while began.elapsed() < whole {
        daemon.scrape().await;
        let quarter = (began.elapsed().as_secs_f64() / whole.as_secs_f64() * 4.0) as usize;
        quarters[quarter.min(3)].push(daemon.footprint().0);
        tokio::time::sleep(whole / 240).await;
    }
    let seen = daemon.scrape().await;
    let (_, code) = daemon.stop().await;
    assert_eq!(code, Some(0));
    let aborted_clients = server.status("Aborted_clients").await - clients;
    let aborted_connects = server.status("Aborted_connects").await - connects;
    let lost: f64 = seen.starting_with("mysql_conn_lost_total{").map(|(_, lost)| lost).sum();
    let answers = seen.of("mysql_conn_exporter_scheduler_runs_total", "job=\"exercise\",result=\"ok\"");
    let opened = seen.of("mysql_conn_pool_opened_total", "pool=\"default\",result=\"ok\"");
    let mean = |quarter: &[u64]| quarter.iter().sum::<u64>() / quarter.len().max(1) as u64;
    let (first, last) = (mean(&quarters[0]), mean(&quarters[3]));
    println!(
        "{}: {whole:?}: {answers:?} uses, {opened:?} opened, {lost} lost, memory {first} to {last}, Aborted_clients \
         +{aborted_clients}, Aborted_connects +{aborted_connects}",
        server.version
    );
    assert_eq!((lost, aborted_clients, aborted_connects), (0.0, 0, 0), "{}", server.version);
    // No limit was found here, so no canary's test can account for any.
    assert_eq!(seen.of("mysql_conn_idle_tests_total", "result=\"lost\""), Some(0.0));
    assert!(answers > Some(whole.as_secs_f64() / 2.0), "{answers:?}");
    assert!(last < first + 1024 * 1024, "{}: memory {first} to {last}", server.version);
}

#[tokio::test]
async fn a_full_server_is_up_and_refuses_and_both_are_told() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &["max_connections=5"]).await else { continue };
        let daemon =
            Daemon::start(&watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n")).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        let taken = server.fill().await;
        let refused = ["auth", "greeting"].map(|phase| format!("phase=\"{phase}\",reason=\"too_many_connections\""));
        let seen = daemon
            .until(Duration::from_secs(10), "refused", |seen| {
                refused.iter().any(|labels| seen.of("mysql_conn_probe_failures_total", labels) > Some(1.0))
            })
            .await;
        assert!(seen.up() && seen.has_copied(), "{}: the kept session goes on", server.version);
        assert_eq!(seen.of("mysql_conn_probe_success", ""), Some(0.0));
        let headroom = seen.of("mysql_conn_headroom_ratio", "scope=\"server\",user=\"\"");
        assert!(headroom.is_some_and(|headroom| headroom <= 0.2), "{}: headroom {headroom:?}", server.version);
        drop(taken);
    }
}

#[tokio::test]
async fn a_restarted_server_is_found_again_without_an_old_session() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let daemon =
            Daemon::start(&watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n")).await;
        daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        server.kill();
        daemon.until(Duration::from_secs(4), "down", |seen| !seen.up() && !seen.has_copied()).await;
        server.start().await;
        daemon.until(Duration::from_secs(4), "values again", |seen| seen.up() && seen.has_copied()).await;
        let log = daemon.log();
        let lines = |words: &str| log.iter().filter(|line| line.contains(words)).count();
        assert_eq!((lines("probe failed"), lines("probe succeeds again")), (1, 1), "{}: {log:#?}", server.version);
    }
}

#[tokio::test]
async fn families_of_our_own_are_few_and_say_what_they_are() {
    for kind in Kind::ALL {
        let Some(server) = servers::shared(kind).await else { continue };
        let daemon = Daemon::start(&watching(server, "")).await;
        let seen = daemon.until(Duration::from_secs(5), "values", |seen| seen.up() && seen.has_copied()).await;
        let own = seen.starting_with("mysql_conn_").filter(|(series, _)| series.contains("target=\"t\"")).count();
        println!("{}: {own} series of our own, {} in all", server.version, seen.series.len());
        assert!(own < 550, "{own} series of our own");
        for (family, kind) in &seen.types {
            let help = seen.help.get(family).map_or("", String::as_str);
            assert!(help.len() > 10, "{family} ({kind}) has no help text");
        }
    }
}

#[test]
fn check_tells_a_person_phase_by_phase_and_exits_by_the_result() {
    let output = run("targets:\n  t:\n    address: 127.0.0.1:9\n", &["check"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.starts_with("t (127.0.0.1:9) failed in phase tcp: refused\n"), "{told}");
    assert!(told.contains("  cause: ") && told.contains("  hint: "), "{told}");
    let output = run("targets:\n  t:\n    address: 127.0.0.1:9\n", &["check", "u"]);
    assert_eq!(output.status.code(), Some(3));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaint, "error: there is no target `u`\n  hint: configured are t\n");
}
