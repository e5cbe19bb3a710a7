//! The page of a daemon that watches real servers: what stands on it, and that nothing of theirs is markup.

use std::time::Duration;

use super::daemon::{Daemon, watching};
use super::servers::{Kind, shared};

#[tokio::test]
async fn what_comes_from_outside_is_shown_and_never_run() {
    let Some(server) = shared(Kind::MariadbStable).await else { return };
    let evil = "<script>x</script>";
    let more = format!("  evil:\n    address: 127.0.0.1:{}\n    user: \"{evil}\"\n    password: x\n", server.port);
    let daemon = Daemon::start(&watching(server, &more)).await;
    daemon
        .until(Duration::from_secs(10), "both were probed", |seen| {
            let success =
                |target| seen.series.get(&format!("mysql_conn_probe_success{{target=\"{target}\"}}")).copied();
            let denied = "mysql_conn_probe_failures_total{target=\"evil\",phase=\"auth\",reason=\"access_denied\"}";
            success("t") == Some(1.0) && seen.series.get(denied).is_some_and(|count| *count >= 1.0)
        })
        .await;
    for path in ["/", "/?target=evil"] {
        let page = daemon.get(path).await;
        let head = page.head.to_ascii_lowercase();
        assert!(
            head.contains("content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'"),
            "{head}"
        );
        let text = page.text();
        assert_eq!(text.matches("<script").count(), 1, "{text}");
        assert!(text.contains("&lt;script&gt;x&lt;/script&gt;"), "{text}");
        assert!(text.contains("access_denied") && !text.contains(" style=") && !text.contains("onerror="), "{text}");
    }
    let page = daemon.get("/?target=t").await;
    for shown in [server.version.as_str(), "connected", "<path d=\"M", "Last probe", "greeting"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    // What the page is made of comes from here.
    for part in ["/-/page.css", "/-/page.js", "/-/page.svg"] {
        assert_eq!(daemon.get(part).await.status, 200, "{part}");
    }
    assert_eq!(daemon.get("/?target=nobody").await.status, 400);
}

#[tokio::test]
async fn events_say_in_a_sentence_what_happened_and_how_targets_stand() {
    let Some(server) = shared(Kind::MariadbStable).await else { return };
    let daemon = Daemon::start(&watching(server, "    every: 1s\n")).await;
    daemon
        .until(Duration::from_secs(10), "connected", |seen| seen.of("mysql_conn_probe_success", "") == Some(1.0))
        .await;
    let answer = daemon.get("/events?standing=now&target=t").await;
    let document: serde_json::Value = serde_json::from_str(answer.text()).expect("JSON");
    let events = document["events"].as_array().expect("a list");
    assert!(events.iter().all(|event| event["says"].as_str().is_some_and(|says| !says.is_empty())), "{document}");
    let standing = &document["standing"][0];
    assert_eq!((standing["target"].as_str(), standing["state"].as_str()), (Some("t"), Some("connected")), "{document}");
    assert!(standing["pools"][0]["size"].as_u64() >= Some(1), "{document}");
    let without: serde_json::Value = serde_json::from_str(daemon.get("/events").await.text()).expect("JSON");
    assert_eq!(without.get("standing"), None);
    assert_eq!(daemon.get("/events?standing=later").await.status, 400);
}
