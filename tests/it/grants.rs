//! `grants`: what it prints is enough, and raises no error.

use std::time::Duration;

use super::collectors::{all_on, busy};
use super::daemon::{Daemon, run, watching};
use super::servers::Kind;

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
        if kind.is_mariadb() {
            assert_eq!(server.raised_errors().await, errors, "{}: errors in the server", server.version);
        }
        println!("{}: {} statements are enough for every collector", server.version, statements.len());
    }
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
