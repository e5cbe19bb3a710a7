//! README.md says nothing that is not so: its tables are made from the program, its examples are run.
//!
//! `UPDATE=1` writes the tables anew.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use goneaway::collect::COLLECTORS;
use goneaway::config;
use goneaway::watch::loss::Cause;

use super::daemon::{Daemon, run};
use super::servers::{Kind, Server};

fn readme() -> String {
    fs::read_to_string(path()).expect("the README is there")
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// What stands between `<!-- name -->` and `<!-- /name -->`.
fn part(name: &str) -> String {
    let readme = readme();
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (_, rest) = readme.split_once(&start).unwrap_or_else(|| panic!("the README has a part `{name}`"));
    rest.split_once(&end).unwrap_or_else(|| panic!("the part `{name}` has an end")).0.to_owned()
}

/// The code block of a part.
fn code(name: &str) -> String {
    let part = part(name);
    let (_, rest) = part.split_once('\n').expect("a fence");
    rest.trim_end().strip_suffix("```").expect("a fence at the end").to_owned()
}

fn is_current(name: &str, made: &str) {
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        let (old, new) = (part(name), readme());
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        fs::write(path(), new.replace(&format!("{start}{old}{end}"), &format!("{start}{made}{end}"))).expect("written");
    }
    assert_eq!(part(name), made, "the README's part `{name}` is stale; UPDATE=1 writes it anew");
}

// One test, since each may write the same file.
#[test]
fn the_tables_are_those_of_the_program() {
    is_current("settings", &config::settings_markdown());
    let mut collectors = String::from("| collector | default | what |\n| --- | --- | --- |\n");
    for collector in COLLECTORS {
        let default = if collector.default_on { "on" } else { "off" };
        collectors.push_str(&format!("| `{}` | {default} | {} |\n", collector.name, collector.summary));
    }
    is_current("collectors", &collectors);
    is_current("findings", &goneaway::report::diagnose::markdown());
    let output = Command::new(env!("CARGO_BIN_EXE_goneaway")).args(["metrics", "--output", "markdown"]).output();
    let output = output.expect("the program was built for this test");
    is_current("metrics", &String::from_utf8(output.stdout).expect("it is text"));
}

#[test]
fn the_number_of_reasons_is_right() {
    let reasons = goneaway::mysql::failure::Reason::ALL.len();
    assert!(readme().contains(&format!("one of {reasons} reasons")), "there are {reasons} reasons");
}

#[test]
fn the_example_of_a_configuration_has_no_mistake_but_its_missing_files() {
    let probe = format!("{}targets: {{orders: {{address: db}}}}\n", code("probe"));
    for example in [code("configuration"), probe] {
        let output = run(&example, &["config", "check"]);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let is_missing = |line: &&str| ["/etc/goneaway/", "/run/secrets/"].iter().any(|folder| line.contains(folder));
        let other: Vec<&str> = complaint.lines().skip(1).filter(|line| !is_missing(line)).collect();
        assert!(other.is_empty(), "{complaint}");
    }
}

#[test]
fn the_example_of_addresses_has_no_mistake() {
    let output = run(&format!("{}targets: {{a: {{address: a}}}}\n", code("listening")), &["config", "check"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_example_of_collectors_has_no_mistake() {
    let output = run(&format!("{}targets: {{a: {{address: db}}}}\n", code("collector-settings")), &["config", "check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_of_queries_has_no_mistake() {
    let output = run(&format!("{}targets: {{a: {{address: db}}}}\n", code("queries")), &["config", "check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_of_two_pools_has_no_mistake() {
    let output = run(&code("pools"), &["config", "check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_cause_is_explained() {
    let causes = part("causes");
    let told: Vec<&str> = causes.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut all: Vec<&str> = Cause::ALL.iter().map(|cause| cause.label()).collect();
    assert_eq!(all.len(), 16, "the README says sixteen");
    let mut sorted = told.clone();
    sorted.sort_unstable();
    all.sort_unstable();
    assert_eq!(sorted, all);
}

/// The names of a log line's fields.
fn fields(line: &str) -> Vec<&str> {
    line.split(' ').filter_map(|part| part.split_once('=')).map(|(name, _)| name).collect()
}

#[tokio::test]
async fn the_line_of_a_loss_has_the_fields_of_the_example() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let configuration =
        format!("targets:\n  orders:\n    address: 127.0.0.1:{}\n    password: goneaway\n    every: 1s\n", server.port);
    let daemon = Daemon::start(&configuration).await;
    let end = std::time::Instant::now() + Duration::from_secs(20);
    let line = loop {
        server.kill_all_of("goneaway").await;
        if let Some(line) = daemon.log().into_iter().find(|line| line.contains("source=pool")) {
            break line;
        }
        assert!(std::time::Instant::now() < end, "nothing is lost; {:#?}", daemon.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(fields(&line), fields(&code("lost")), "{line}");
}

#[test]
fn check_says_what_the_example_says() {
    let output = run("targets:\n  local:\n    address: 127.0.0.1:9\n", &["check"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), code("check"));
}

#[tokio::test]
async fn the_account_of_the_example_is_enough_and_the_excerpt_is_real() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        server.sql("DROP USER 'goneaway'@'%'").await;
        let more = if kind.is_mariadb() { code("account-mariadb") } else { String::new() };
        let statements = code("account") + &more;
        for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
            server.sql(statement).await;
        }
        let configuration = format!(
            "targets:\n  local:\n    address: 127.0.0.1:{}\n    password: a password of your choice\n",
            server.port
        );
        let daemon = Daemon::start(&configuration).await;
        let of = |name: &str| format!("{name}{{target=\"local\"}}");
        let seen = daemon
            .until(Duration::from_secs(5), "values", |seen| seen.has_copied() && seen.series[&of("mysql_up")] == 1.0)
            .await;
        for collector in COLLECTORS.iter().filter(|collector| collector.default_on) {
            let series = format!(
                "mysql_exporter_collector_success{{target=\"local\",collector=\"collect.{}\"}}",
                collector.name
            );
            assert_eq!(seen.series.get(&series), Some(&1.0), "{}: {}", server.version, collector.name);
        }
        for line in code("excerpt").lines() {
            let (series, _) = line.rsplit_once(' ').expect("a series and its value");
            assert!(seen.series.contains_key(series), "{}: {series}", server.version);
        }
        assert_eq!(daemon.get("/health/db").await.status, 200);
    }
}

#[tokio::test]
async fn the_paths_of_the_table_answer() {
    let daemon = Daemon::start("targets:\n  t:\n    address: 127.0.0.1:9\n").await;
    daemon
        .until(Duration::from_secs(5), "a probe", |seen| {
            seen.of("mysql_conn_probes_total", "result=\"failure\"") == Some(1.0)
        })
        .await;
    let readme = readme();
    let (_, http) = readme.split_once("## HTTP").expect("a section on HTTP");
    let (http, _) = http.split_once("\n## ").expect("it ends");
    let paths: Vec<&str> = http
        .lines()
        .filter(|line| line.starts_with("| `/"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    assert!(paths.len() >= 10, "{paths:?}");
    for path in paths {
        let status = daemon.get(path).await.status;
        let expected = match path {
            "/health/db" | "/api/health/db" => 503,
            // Nobody says which server.
            "/probe" => 400,
            _ => 200,
        };
        assert_eq!(status, expected, "{path}");
    }
}
