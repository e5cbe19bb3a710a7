//! What the web configuration file does to requests, and when it counts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

fn users(pairs: &[(&str, &str)]) -> String {
    let mut text = "basic_auth_users:\n".to_owned();
    for (name, password) in pairs {
        text.push_str(&format!("  {name}: {}\n", bcrypt::hash(password, 4).expect("4 is a cost")));
    }
    text
}

fn basic(text: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(text))
}

fn site(folder: &Folder, text: &str) -> Site {
    Site::start_guarded("/metrics", Limits::default(), folder.guard(text))
}

#[tokio::test]
async fn who_is_no_user_is_asked_on_every_path_and_counted() {
    let folder = Folder::new();
    let site = site(&folder, &users(&[("alice", "pass:word"), ("bob", "")]));
    let mut client = site.connect().await;
    for path in ["/metrics", "/", "/health", "/nothing"] {
        for headers in [
            String::new(),
            basic("alice:wrong"),
            basic("carol:pass:word"),
            basic("alice:"),
            "Authorization: Bearer x\r\n".to_owned(),
        ] {
            let answer = client.get(path, &headers).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Basic"), "{path} {headers}");
        }
    }
    assert_eq!(client.get("/health", &basic("alice:pass:word")).await.status, 200);
    assert_eq!(client.get("/health", &basic("bob:")).await.status, 200);
    let scrape = client.get("/metrics", &basic("alice:pass:word")).await;
    let counted = |line: &str| assert!(scrape.text().contains(&format!("{line}\n")), "{line}");
    counted("mysql_conn_exporter_http_requests_total{code=\"401\",handler=\"refused\"} 20");
    counted("mysql_conn_exporter_http_requests_total{code=\"429\",handler=\"refused\"} 0");
    site.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_of_the_file() {
    let folder = Folder::new();
    let text = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=60\n\
                \x20   Content-Security-Policy: default-src 'self'\n";
    let site = site(&folder, &(users(&[("alice", "x")]) + text));
    for (path, status, headers) in [
        ("/", 200, basic("alice:x")),
        ("/metrics", 200, basic("alice:x")),
        ("/nothing", 404, basic("alice:x")),
        ("/metrics", 401, String::new()),
    ] {
        let answer = site.connect().await.get(path, &headers).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-frame-options"), "deny", "{path}");
        assert_eq!(answer.header("strict-transport-security"), "max-age=60", "{path}");
        assert_eq!(answer.header("content-security-policy"), "default-src 'self'", "{path}");
    }
}

#[tokio::test]
async fn more_requests_than_the_limit_are_told_to_wait() {
    let folder = Folder::new();
    let site = site(&folder, "rate_limit: {interval: 1h, burst: 2}\n");
    let statuses = [site.get("/health").await.status, site.get("/nothing").await.status];
    assert_eq!(statuses, [200, 404]);
    let answer = site.get("/metrics").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "3600"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_counts_within_a_second_and_a_broken_one_never() {
    let folder = Folder::new();
    let site = site(&folder, &users(&[("alice", "old")]));
    let mut client = site.connect().await;
    let (old, new) = (basic("alice:old"), basic("alice:new"));
    for (text, old_status, new_status) in [
        (users(&[("alice", "old")]), 200, 401),
        ("basic_auth_users: {alice: x}\n".to_owned(), 200, 401),
        ("basic_auth_users: {alice: }\n".to_owned(), 200, 401),
        ("basic_auth_users: [\n".to_owned(), 200, 401),
        (users(&[("alice", "new")]), 401, 200),
        (String::new(), 200, 200),
    ] {
        folder.write("web.yml", &text);
        tokio::time::sleep(Duration::from_millis(1001)).await;
        assert_eq!(client.get("/health", &old).await.status, old_status, "{text}");
        assert_eq!(client.get("/health", &new).await.status, new_status, "{text}");
    }
    std::fs::remove_file(folder.path().join("web.yml")).expect("it is there");
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(client.get("/health", "").await.status, 200, "the last good one stays in force");
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_once_a_second() {
    let folder = Folder::new();
    let guard = folder.guard("");
    folder.write("web.yml", "rate_limit: {interval: 1s, burst: 1}\n");
    let before = guard.rules().await;
    tokio::time::advance(Duration::from_millis(900)).await;
    assert!(Arc::ptr_eq(&before, &guard.rules().await), "it is not looked at yet");
    tokio::time::advance(Duration::from_millis(200)).await;
    let after = guard.rules().await;
    assert!(!Arc::ptr_eq(&before, &after));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(Arc::ptr_eq(&after, &guard.rules().await), "it did not change");
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_flag() {
    let folder = Folder::new();
    let says = Guard::load(Some(&folder.path().join("none.yml"))).map(|_| ()).expect_err("not there").to_string();
    let expect = "error: cannot read none.yml: No such file or directory; check `--web.config.file`";
    assert_eq!(folder.bare(&says), expect);
}
