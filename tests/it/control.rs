//! The control socket, and the commands that find a daemon by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;

use tokio::net::UnixStream;

use super::daemon::{Answer, Daemon, ask, run, watching};
use super::servers::{self, Kind};

/// Nobody needs to know the password.
const USERS: &str = "basic_auth_users: {a: \"$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\"}\n";

async fn by_socket(daemon: &Daemon, method: &str, path: &str, headers: &str) -> Answer {
    let stream = UnixStream::connect(daemon.path("g.sock")).await.expect("it listens");
    ask(stream, method, path, headers, "1.1").await
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn it_serves_the_same_routes_to_its_user_without_a_password() {
    let configuration =
        "control: g.sock\nweb: {config_file: web.yml, lifecycle: false}\ntargets: {t: {address: 127.0.0.1:9}}\n";
    let daemon = Daemon::start_beside(configuration, &[("web.yml", USERS)]).await;
    assert_eq!(daemon.get("/health").await.status, 401);
    for (path, status) in [("/health", 200), ("/metrics", 200), ("/health/db", 503), ("/nowhere", 404)] {
        assert_eq!(by_socket(&daemon, "GET", path, "").await.status, status, "{path}");
    }
    let mode = fs::metadata(daemon.path("g.sock")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What is switched off at the addresses is not at the control socket.
    let post = "Content-Length: 0\r\n";
    assert_eq!(by_socket(&daemon, "POST", "/-/recover", post).await.status, 202);
    assert_eq!(by_socket(&daemon, "POST", "/-/reload", post).await.status, 200);
    let socket = daemon.path("g.sock");
    let (_, code) = daemon.stop().await;
    assert_eq!((code, socket.exists()), (Some(0), false));
}

#[tokio::test]
async fn a_second_daemon_does_not_take_it_from_the_first() {
    let daemon = Daemon::start("control: g.sock\ntargets: {t: {address: 127.0.0.1:9}}\n").await;
    let second = daemon.run(&["serve", "--web.listen-address", "127.0.0.1:0"]).await;
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(3), "{complaint}");
    let socket = daemon.path("g.sock");
    assert!(complaint.contains(&format!("error: cannot listen on `{}`", socket.display())), "{complaint}");
    assert!(complaint.contains("a goneaway that runs already has it"), "{complaint}");
    assert_eq!(by_socket(&daemon, "GET", "/health", "").await.status, 200);
}

#[tokio::test]
async fn changes_are_refused_where_they_are_switched_off_or_come_from_another_site() {
    let daemon = Daemon::start("targets: {t: {address: 127.0.0.1:9}}\n").await;
    for path in ["/-/recover", "/-/reload"] {
        assert_eq!(daemon.get(path).await.status, 405, "{path}");
        for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: http://evil.example\r\n", "Origin: null\r\n"] {
            let answer = daemon.post_with(path, header).await;
            assert_eq!(answer.status, 403, "{path} {header}: {}", answer.text());
        }
        let answer = daemon.post_with(path, "Origin: http://test\r\n").await;
        assert!(answer.status < 300, "{path}: {}", answer.text());
    }
    daemon.reconfigure("web: {lifecycle: false}\ntargets: {t: {address: 127.0.0.1:9}}\n");
    assert_eq!(daemon.post("/-/reload").await.status, 200);
    let answer = daemon.post("/-/reload").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("`web.lifecycle: true` switches it on"), "{}", answer.text());
}

#[tokio::test]
async fn recover_through_the_daemon_tells_what_it_took() {
    let Some(server) = servers::shared(Kind::MariadbStable).await else { return };
    let daemon = Daemon::start(&(watching(server, "") + "  away: {address: 127.0.0.1:9}\ncontrol: g.sock\n")).await;
    daemon
        .until(Duration::from_secs(5), "pooled connections", |seen| {
            let open: f64 = seen.starting_with("mysql_conn_pool_connections{").map(|(_, count)| count).sum();
            seen.up() && open >= 1.0
        })
        .await;
    let output = daemon.run(&["recover", "t"]).await;
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("by the daemon at "), "{text}");
    assert!(text.contains("t: good, ") && text.contains("pooled connections: "), "{text}");
    assert_eq!(daemon.events("recover_asked").await.len(), 1);
    // At once again, by URL, of both, as JSON.
    let url = format!("http://{}", daemon.address);
    let output = daemon.run(&["recover", "--url", &url, "--for", "2s", "--output", "json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(2), "{json:#}");
    assert_eq!((&json["targets"]["t"]["good"], &json["targets"]["away"]["good"]), (&true.into(), &false.into()));
    assert_eq!(json["targets"]["away"]["failures"][0]["reason"], "refused", "{json:#}");
    let output = daemon.run(&["recover", "other"]).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{complaint}");
    assert!(complaint.contains("there is no target `other`") && complaint.contains("targets: away, t"), "{complaint}");
}

#[tokio::test]
async fn recover_without_a_daemon_connects_by_itself() {
    let Some(server) = servers::shared(Kind::MysqlUnstable).await else { return };
    let output = run(&watching(server, ""), &["recover"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("by this command itself, as no daemon runs here\nt: good, "), "{text}");
    let wrong = watching(server, "").replace("password: goneaway", "password: wrong");
    let output = run(&wrong, &["recover", "--for", "1s"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("t: not good\n") && text.contains("failed in phase auth: access_denied"), "{text}");
    assert!(!text.contains("times"), "where trying makes it worse it is tried once: {text}");
    // A socket that a dead daemon has left is nobody.
    let output = run(&(watching(server, "") + "control: nobody.sock\n"), &["recover"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for (arguments, says) in [
        (&["recover", "other"][..], "error: there is no target `other`\n  hint: configured are t\n"),
        (
            &["recover", "--url", "db:1"][..],
            "error: `--url` is not a URL of http or https; write `http://host:10306`\n",
        ),
    ] {
        let output = run(&watching(server, ""), arguments);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(3), says));
    }
    let output = run(&watching(server, ""), &["recover", "--url", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.starts_with("error: cannot ask the daemon at http://127.0.0.1:9\n  cause: "), "{complaint}");
}
