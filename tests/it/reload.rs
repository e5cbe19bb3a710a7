//! The configuration read anew while the daemon runs.

use std::time::{Duration, Instant};

use super::daemon::{Daemon, get};
use super::exposition::Exposition;
use super::servers::{self, Kind, Server};

/// A target's lines.
fn target(name: &str, server: &Server, more: &str) -> String {
    format!(
        "  {name}:\n    address: 127.0.0.1:{}\n    user: goneaway\n    password: goneaway\n    every: 1s\n{more}",
        server.port
    )
}

fn of(seen: &Exposition, family: &str, target: &str, labels: &str) -> Option<f64> {
    let comma = if labels.is_empty() { "" } else { "," };
    seen.plain(&format!("{family}{{target=\"{target}\"{comma}{labels}}}"))
}

const OPENED: (&str, &str) = ("mysql_conn_pool_opened_total", "pool=\"default\",result=\"ok\"");
const PROBES: (&str, &str) = ("mysql_conn_probes_total", "result=\"success\"");

#[tokio::test]
async fn only_what_changed_is_exchanged_and_the_rest_does_not_notice() {
    for kind in [Kind::MariadbUnstable, Kind::MysqlUnstable] {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let aborted = server.status("Aborted_clients").await;
        let same = target("same", &server, "    pools: {default: {recycle: never}}\n");
        let (altered, removed) = (target("altered", &server, ""), target("removed", &server, ""));
        let daemon = Daemon::start(&format!("targets:\n{same}{altered}{removed}")).await;
        let before = daemon
            .until(Duration::from_secs(10), "all up with their pools open", |seen| {
                ["same", "altered", "removed"].iter().all(|name| {
                    of(seen, "mysql_up", name, "") == Some(1.0)
                        && of(seen, OPENED.0, name, OPENED.1) >= Some(2.0)
                        && of(seen, PROBES.0, name, PROBES.1) >= Some(2.0)
                })
            })
            .await;

        let altered = target("altered", &server, "    down_after: 30s\n");
        daemon.reconfigure(&format!("log: {{level: debug}}\ntargets:\n{same}{altered}{}", target("new", &server, "")));
        let answer = daemon.post("/-/reload").await;
        assert_eq!(
            (answer.status, answer.text()),
            (
                200,
                "reloaded: 1 added, 1 altered, 1 removed, 1 unchanged\n  added: new\n  altered: altered\n  removed: \
                 removed\n  needs a restart: log.level\n"
            )
        );
        // What is known of the same server stays known: nobody who scrapes now sees it down.
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let seen = daemon.scrape().await;
            assert_eq!(of(&seen, "mysql_up", "removed", ""), None);
            for name in ["same", "altered"] {
                assert_eq!(of(&seen, "mysql_up", name, ""), Some(1.0), "{name}");
                assert!(of(&seen, PROBES.0, name, PROBES.1).is_some(), "{name} has its own families");
            }
            // It began anew, and so did its counters.
            let of_altered = of(&seen, PROBES.0, "altered", PROBES.1);
            if of(&seen, "mysql_up", "new", "") == Some(1.0) && of_altered >= Some(1.0) {
                break;
            }
            assert!(Instant::now() < end, "{:#?}", daemon.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let after = daemon.scrape().await;
        let opened = |seen: &Exposition| of(seen, OPENED.0, "same", OPENED.1);
        assert_eq!(opened(&after), opened(&before), "its connections are the same");
        assert!(of(&after, PROBES.0, "same", PROBES.1) >= of(&before, PROBES.0, "same", PROBES.1));
        assert_eq!(server.status("Aborted_clients").await, aborted, "connections were left in order");
        let (_, code) = daemon.stop().await;
        assert_eq!(code, Some(0));
    }
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_every_mistake_is_told() {
    let good = "targets: {t: {address: 127.0.0.1:9}}\n";
    let daemon = Daemon::start(good).await;
    let timestamp = "mysql_conn_exporter_config_last_reload_success_timestamp_seconds";
    let successful = |seen: &Exposition| seen.plain("mysql_conn_exporter_config_last_reload_successful");
    let began = daemon.scrape().await;
    assert_eq!(successful(&began), Some(1.0));

    daemon.reconfigure("targets:\n  t: {address: 127.0.0.1:9, evrey: 1s}\n  u: {address: 127.0.0.1:9, every: 15}\n");
    let answer = daemon.post("/-/reload").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("has 2 mistakes"), "{}", answer.text());
    for says in ["exporter.yaml:2:29: targets.t.evrey", "`15` has no unit; write `15s`"] {
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    let seen = daemon.scrape().await;
    assert_eq!((successful(&seen), seen.plain(timestamp)), (Some(0.0), began.plain(timestamp)));
    assert!(of(&seen, "mysql_up", "t", "").is_some() && of(&seen, "mysql_up", "u", "").is_none());

    daemon.reconfigure("targets: {u: {address: 127.0.0.1:9}}\n");
    daemon.hang_up();
    let seen = daemon
        .until(Duration::from_secs(5), "the good file is in force", |seen| of(seen, "mysql_up", "u", "").is_some())
        .await;
    assert_eq!(of(&seen, "mysql_up", "t", ""), None);
    let seen = daemon.until(Duration::from_secs(2), "told as good", |seen| successful(seen) == Some(1.0)).await;
    assert!(seen.plain(timestamp) > began.plain(timestamp));
    let log = daemon.log();
    assert!(log.iter().any(|line| line.contains("cannot use the new configuration")), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("in force anew") && line.contains("SIGHUP")), "{log:#?}");
}

#[tokio::test]
async fn a_password_is_read_anew_from_its_file() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let of_file =
        |password: &str| target("t", &server, "").replace("password: goneaway", &format!("password_file: {password}"));
    let configuration = format!("targets:\n{}", of_file("secret"));
    let daemon = Daemon::start_beside(&configuration, &[("secret", "wrong")]).await;
    daemon
        .until(Duration::from_secs(5), "denied", |seen| {
            seen.of("mysql_conn_probe_failures_total", "phase=\"auth\",reason=\"access_denied\"") >= Some(1.0)
        })
        .await;
    daemon.write("secret", "goneaway\n");
    let answer = daemon.post("/-/reload").await;
    assert!(answer.text().starts_with("reloaded: 0 added, 1 altered"), "{}", answer.text());
    daemon.until(Duration::from_secs(5), "let in", Exposition::up).await;
    let answer = daemon.post("/-/reload").await;
    assert!(answer.text().starts_with("reloaded: 0 added, 0 altered, 0 removed, 1 unchanged"), "{}", answer.text());
}

#[tokio::test]
async fn under_the_load_of_fifty_scrapers_no_request_is_lost() {
    let Some(server) = servers::shared(Kind::MariadbUnstable).await else { return };
    let same = target("same", server, "");
    let daemon = Daemon::start(&format!("targets:\n{same}")).await;
    daemon.until(Duration::from_secs(5), "up", |seen| of(seen, "mysql_up", "same", "") == Some(1.0)).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let scrapers: Vec<_> = (0..50)
        .map(|_| {
            let (address, stopped) = (daemon.address, stopped.clone());
            tokio::spawn(async move {
                let mut answers = 0;
                while !*stopped.borrow() {
                    let answer = get(address, "/metrics", "").await;
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    let up = "mysql_up{target=\"same\"} 1\n";
                    assert!(answer.text().contains(up), "the unchanged target is in every answer");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for round in 0..20 {
        let other = target(&format!("other{}", round % 3), server, &format!("    down_after: {}s\n", 30 + round));
        daemon.reconfigure(&format!("targets:\n{same}{other}"));
        let answer = daemon.post("/-/reload").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(" 1 unchanged"), "{}", answer.text());
    }
    stop.send_replace(true);
    let mut answers = 0;
    for scraper in scrapers {
        answers += scraper.await.expect("no scraper lost a request");
    }
    println!("{answers} scrapes during 20 reloads");
    assert!(answers >= 50, "{answers}");
}
