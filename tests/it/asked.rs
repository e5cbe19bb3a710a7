//! Whoever can be probed can be asked: kept sessions where the driver does not know the plugin or the certificate.

use std::fs;
use std::time::Duration;

use super::daemon::Daemon;
use super::servers::{self, Kind, Server};

/// The server answers SHOW GLOBAL STATUS on a kept session, and counts no aborted connection for it.
async fn is_asked(server: &Server, what: &str, target: &str) {
    let aborted = server.status("Aborted_connects").await;
    let configuration =
        format!("targets:\n  t:\n    address: 127.0.0.1:{}\n    every: 1s\n    timeout: 1s\n{target}", server.port);
    let daemon = Daemon::start(&configuration).await;
    let success = "collector=\"collect.global_status\"";
    daemon
        .until(Duration::from_secs(5), what, |seen| {
            seen.up() && seen.has_copied() && seen.of("mysql_exporter_collector_success", success) == Some(1.0)
        })
        .await;
    let seen = daemon.until(Duration::from_secs(5), "a second round", |seen| {
        seen.of("mysql_conn_exporter_scheduler_runs_total", "job=\"collect\",result=\"ok\"") >= Some(2.0)
    });
    assert_eq!(seen.await.of("mysql_conn_feature_supported", "feature=\"session\",why=\"\""), Some(1.0), "{what}");
    let (took, code) = daemon.stop().await;
    assert!(code == Some(0) && took < Duration::from_secs(1), "{what}: stopping took {took:?}, code {code:?}");
    assert_eq!(server.status("Aborted_connects").await - aborted, 0, "{what}");
}

#[tokio::test]
async fn every_plugin_that_is_probed_is_asked_too() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let clients = server.status("Aborted_clients").await;
        for account in server.accounts() {
            let file = std::env::temp_dir().join(format!("goneaway-asked-{}-{}", std::process::id(), server.port));
            fs::write(&file, &account.password).expect("the temporary directory is writable");
            let target = format!("    user: {}\n    password_file: {}\n", account.user, file.display());
            is_asked(&server, &format!("{} by {}", server.version, account.plugin), &target).await;
            fs::remove_file(&file).expect("just written");
        }
        assert_eq!(server.status("Aborted_clients").await - clients, 0, "{}", server.version);
    }
}

#[tokio::test]
async fn every_certificate_that_is_accepted_is_asked_behind_too() {
    let tls = servers::tls();
    // Without a name in it, which the driver insists on.
    let nameless = tls.client.options();
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[&nameless[0], &nameless[1]]).await else { continue };
        let account = "    user: goneaway\n    password: goneaway\n";
        let verify_ca = format!("{account}    tls:\n      mode: VERIFY_CA\n      ca: {}\n", tls.ca.display());
        is_asked(&server, &format!("{} VERIFY_CA, nameless", server.version), &verify_ca).await;
        let required = format!("{account}    tls:\n      mode: REQUIRED\n      min_version: \"1.3\"\n");
        is_asked(&server, &format!("{} REQUIRED, TLS 1.3", server.version), &required).await;
    }
}
