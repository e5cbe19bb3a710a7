//! `grants`: what it prints is enough, and raises no error.

use std::collections::BTreeSet;
use std::time::Duration;

use goneaway::collect::COLLECTORS;
use mysql_async::{Conn, OptsBuilder};

use super::collectors::{all_on, busy};
use super::daemon::{Daemon, run, watching};
use super::exposition::Exposition;
use super::servers::{Kind, Server};

#[tokio::test]
async fn the_statements_give_every_collector_what_it_needs() {
    for kind in Kind::ALL {
        let Some(server) = busy(kind, &[]).await else { continue };
        let every = "    every: 2s\n    timeout: 2s\n    connect_timeout: 1s\n";
        let configuration = format!("collectors:\n{}{}", all_on(), watching(&server, every))
            .replace("user: goneaway", "user: watcher")
            .replace("password: goneaway", "password: secret");
        let printed = run(&configuration, &["grants", "--server", &server.version]);
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let printed = String::from_utf8(printed.stdout).expect("it is text");
        let statements: Vec<&str> =
            printed.lines().filter(|line| !line.starts_with("--") && !line.is_empty()).collect();
        for statement in &statements {
            server.sql(&statement.replace("a password of your choice", "secret").replace(';', "")).await;
        }
        let errors = server.raised_errors().await;
        let daemon = Daemon::start(&configuration).await;
        let seen = daemon
            .until(Duration::from_secs(30), "every collector", |seen| {
                let last = seen.starting_with("mysql_conn_exporter_collector_last_success_timestamp_seconds{");
                last.into_iter().all(|(_, at)| at > 0.0) && seen.has_copied()
            })
            .await;
        let failed = seen.failed_collectors();
        assert!(failed.is_empty(), "{}: {failed:#?}\n{printed}", server.version);
        let lacking: Vec<&str> = seen
            .starting_with("mysql_conn_feature_supported{")
            .filter(|(series, value)| *value == 0.0 && series.contains("why=\"grant\""))
            .map(|(series, _)| series)
            .collect();
        assert!(lacking.is_empty(), "{}: {lacking:#?}", server.version);
        daemon.stop().await;
        // MySQL counts 3554 at each look into its own dictionary.
        match kind.is_mariadb() {
            true => assert_eq!(server.raised_errors().await, errors, "{}: errors in the server", server.version),
            false => assert_eq!(denied(&server).await, "0", "{}: denied", server.version),
        }
        println!("{}: {} statements are enough for every collector", server.version, statements.len());
    }
}

/// How often MySQL has refused a right.
async fn denied(server: &Server) -> String {
    let errors = "SELECT COALESCE(SUM(SUM_ERROR_RAISED), 0) FROM performance_schema.events_errors_summary_global_by_error \
                  WHERE ERROR_NUMBER IN (1142, 1143, 1227)";
    server.query_one(errors).await
}

/// A right as it is printed, with the collectors that are told to need it.
struct Right {
    sql: String,
    collectors: BTreeSet<String>,
}

fn printed(configuration: &str, version: &str) -> Vec<Right> {
    let printed = run(configuration, &["grants", "--server", version]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let printed = String::from_utf8(printed.stdout).expect("it is text");
    let lines: Vec<&str> = printed.lines().collect();
    let rights = lines.windows(2).filter(|pair| pair[1].starts_with("GRANT "));
    let right = |pair: &[&str]| {
        let (collectors, _) = pair[0].trim_start_matches("-- ").split_once("; without it ").expect("what it is for");
        let sql = pair[1].strip_prefix("GRANT ").and_then(|right| right.split_once(" TO ")).expect("a right").0;
        Right { sql: sql.to_owned(), collectors: collectors.split(", ").map(str::to_owned).collect() }
    };
    rights.map(right).collect()
}

/// What a target's collector has to say: its series without the target, by the collector; empty where it is refused.
async fn told(daemon: &Daemon, target: &str, collector: &str) -> BTreeSet<String> {
    let answer = daemon.get(&format!("/metrics?target[]={target}&collect[]={collector}")).await;
    let seen = Exposition::parse(answer.text());
    let label = format!("target=\"{target}\"");
    let of_ours: &[&str] = match collector {
        "conn.sessions" => &["mysql_conn_sessions"],
        "conn.accounts" => &["mysql_conn_sessions_opened_total"],
        "conn.account_limits" => &["mysql_conn_limit_connections{target=\"FULL\",scope=\"account\""],
        "conn.host_cache" => &["mysql_conn_host_cache_hosts", "mysql_conn_host_cache_nearest"],
        "conn.server_errors" => &["mysql_conn_server_errors_total"],
        "conn.session_tls" => &["mysql_conn_sessions_tls"],
        _ => &[],
    };
    let of_ours: Vec<String> = of_ours.iter().map(|prefix| prefix.replace("FULL", target)).collect();
    let is_its = |series: &str| match collector.starts_with("conn.") {
        true => of_ours.iter().any(|prefix| series.starts_with(prefix)),
        false => {
            !series.starts_with("mysql_conn_") && !series.starts_with("mysql_exporter_") && series.contains(&label)
        }
    };
    let not_up = |series: &&str| !series.starts_with("mysql_up{");
    seen.series
        .keys()
        .map(String::as_str)
        .filter(|series| is_its(series))
        .filter(not_up)
        .map(|series| series.replace(&label, ""))
        .collect()
}

fn families(series: &BTreeSet<String>) -> BTreeSet<&str> {
    series.iter().filter_map(|series| series.split('{').next()).collect()
}

/// Without a right exactly those collectors say less that are told to need it, and with all of them none is refused.
#[tokio::test]
async fn each_right_that_is_taken_away_is_missed_by_those_that_need_it() {
    for kind in Kind::ALL {
        // Who may read every table may read the server's own too: those rights are printed where that is off.
        for with_tables in [true, false] {
            without_each(kind, with_tables).await;
        }
    }
}

const OF_TABLES: [&str; 4] =
    ["info_schema.tables", "info_schema.tablestats", "info_schema.schemastats", "auto_increment.columns"];

async fn without_each(kind: Kind, with_tables: bool) {
    let Some(server) = busy(kind, &["max_connections=300"]).await else { return };
    let version = &server.version;
    let is_on = |name: &str| with_tables || !OF_TABLES.contains(&name);
    let on = COLLECTORS.iter().map(|one| format!("  {}: {}\n", one.name, is_on(one.name))).collect::<String>();
    let rights = printed(&format!("collectors:\n{on}{}", watching(&server, "")), version);
    let mut targets = String::new();
    let names: Vec<String> =
        std::iter::once("full".to_owned()).chain((0..rights.len()).map(|at| format!("without{at}"))).collect();
    for (number, name) in names.iter().enumerate() {
        server.sql(&format!("CREATE USER {name} IDENTIFIED BY 'secret'")).await;
        for (_, right) in rights.iter().enumerate().filter(|(at, _)| at + 1 != number) {
            server.sql(&format!("GRANT {} TO {name}", right.sql)).await;
        }
        targets.push_str(&format!("  {name}: {{address: \"127.0.0.1:{}\", user: {name}}}\n", server.port));
    }
    // Sessions with a limit of their own, of a program, that met an error: something for each to tell.
    server.sql("CREATE USER limited IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 7").await;
    let _held = client(&server, "limited").await;
    let configuration = format!(
        "defaults: {{password: secret, every: 12s, timeout: 8s, connect_timeout: 4s, ladder: {{enabled: false}}}}\n\
         collectors:\n{on}targets:\n{targets}"
    );
    let daemon = Daemon::start(&configuration).await;
    daemon
        .until(Duration::from_secs(90), "every collector of the full account", |seen| {
            let last = "mysql_conn_exporter_collector_last_success_timestamp_seconds{target=\"full\"";
            let asked = seen.starting_with("mysql_exporter_collector_duration_seconds{").count();
            let on = COLLECTORS.iter().filter(|one| is_on(one.name)).count();
            asked >= names.len() * (on + 1) && seen.starting_with(last).all(|(_, at)| at > 0.0)
        })
        .await;
    let seen = daemon.scrape().await;
    let refused = |target: &str, collector: &str| {
        let labels = format!("{{target=\"{target}\",feature=\"collect.{collector}\",why=\"grant\"}}");
        seen.plain(&format!("mysql_conn_feature_supported{labels}")) == Some(0.0)
    };
    for (at, right) in rights.iter().enumerate() {
        let target = &names[at + 1];
        for collector in COLLECTORS.iter().map(|one| one.name).filter(|name| is_on(name)) {
            let (all, less) = (told(&daemon, "full", collector).await, told(&daemon, target, collector).await);
            let is_needed = right.collectors.contains(collector);
            let lost: Vec<&str> = families(&all).difference(&families(&less)).copied().collect();
            let what = format!("{version}: {collector} without {}", right.sql);
            assert!(!refused("full", collector), "{version}: {collector} is refused with all rights");
            if !is_needed {
                assert!(!refused(target, collector) && lost.is_empty(), "{what} lacks {lost:?}");
                continue;
            }
            // What this server does not have is not missed; errors are counted when they come.
            if all.is_empty() {
                continue;
            }
            let is_missed = refused(target, collector) || !lost.is_empty() || !all.is_subset(&less);
            assert!(is_missed, "{what} lacks nothing: {less:#?}");
        }
    }
    daemon.stop().await;
    let names: Vec<&str> = rights.iter().map(|right| right.sql.as_str()).collect();
    println!("{version}: each of {names:?} is missed");
}

/// A session of an application.
async fn client(server: &Server, user: &str) -> Conn {
    let options = OptsBuilder::default()
        .prefer_socket(false)
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server.port)
        .user(Some(user))
        .pass(Some("secret"))
        .connect_attributes([("program_name".to_owned(), "shop".to_owned())].into());
    Conn::new(options).await.expect("it may log in")
}

#[test]
fn what_is_no_version_is_named_with_the_way_out() {
    let output = run("targets: {t: {address: \"127.0.0.1:9\"}}\n", &["grants", "--server", "mariadb"]);
    assert_eq!(output.status.code(), Some(3));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("`mariadb` is not the version of a server") && complaint.contains("hint:"),
        "{complaint}"
    );
}
