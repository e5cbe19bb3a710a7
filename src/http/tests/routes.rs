//! What each path answers.

use std::io::Read;

use super::*;
use crate::http::families::FAMILIES;
use crate::http::handler::PATHS;
use crate::mysql::failure::{Phase, Reason};

const TEXT: &str = "text/plain; charset=utf-8";

fn refused() -> Failure {
    Failure::new(Phase::Tcp, Reason::Refused, "Connection refused").with_hint("is it running?")
}

/// The series of an exposition, without values, and without those that count the scrapes themselves.
fn series(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("mysql_conn_exporter_http_request_duration"))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect()
}

#[tokio::test]
async fn every_path_answers_under_both_of_its_names() {
    let site = Site::start(Limits::default());
    site.probed("orders", None);
    site.probed("billing", None);
    for (path, content_type, body) in [
        ("/health", TEXT, "ok\n"),
        ("/health/db", TEXT, "orders: ok\nbilling: ok\n"),
        ("/health/detailed", "application/health+json", "{\n  \"status\": \"pass\""),
        ("/-/healthy", TEXT, "ok\n"),
        ("/-/ready", TEXT, "ready\n"),
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
    ] {
        for prefix in ["", "/api"] {
            if prefix == "/api" && !path.starts_with("/health") {
                continue;
            }
            let answer = site.get(&format!("{prefix}{path}")).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{prefix}{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert!(answer.text().starts_with(body), "{path}: {}", answer.text());
        }
    }
    // Of a site that has no servers to ask.
    for path in PATHS.into_iter().filter(|path| *path != "/probe") {
        assert_eq!(site.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn events_are_json_and_wrong_questions_are_named() {
    let site = Site::start(Limits::default());
    let answer = site.get("/events?since=5&target=orders&kind=lost&limit=10").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text(), "{\"events\":[],\"next\":5}\n");
    for (query, says) in [
        ("target=other", "error: there is no target `other` (target)\n  targets: orders, billing\n"),
        ("sinse=5", "error: there is no parameter `sinse` here\n  parameters: since, limit, target, kind, standing\n"),
        ("kind=los", "error: there is no event of the kind `los` (kind)\n  kinds: lost, state, recovered"),
        ("since=now", "error: `now` is not a point to begin at (since)\n  hint: the `next` of the last answer"),
    ] {
        let answer = site.get(&format!("/events?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().starts_with(says), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn recovering_is_asked_for_by_post_and_told_to_the_targets_that_are_named() {
    let site = Site::start(Limits::default());
    let [mut orders, billing] = ["orders", "billing"].map(|name| site.slot(name).recoveries());
    let changed = |asked: &tokio::sync::watch::Receiver<u64>| asked.has_changed().expect("the slot is there");
    let mut client = site.connect().await;
    let answer = client.request("GET", "/-/recover", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    let answer = client.request("POST", "/-/recover?target=other", "").await;
    assert_eq!(answer.status, 400);
    assert_eq!([&orders, &billing].map(changed), [false, false]);
    let answer = client.request("POST", "/-/recover?target=orders", "").await;
    assert_eq!((answer.status, answer.text()), (202, "recovering orders\n"));
    assert_eq!([&orders, &billing].map(changed), [true, false]);
    orders.mark_unchanged();
    let answer = client.request("POST", "/-/recover", "").await;
    assert_eq!(answer.text(), "recovering orders\nrecovering billing\n");
    assert_eq!([&orders, &billing].map(changed), [true, true]);
}

#[tokio::test]
async fn the_page_links_what_there_is_and_loads_only_its_own() {
    let site = Site::start_on("/m&m", Limits::default());
    site.probed("orders", Some(refused()));
    let answer = site.get("/").await;
    assert_eq!(
        answer.header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    for shown in ["<a href=\"./m&amp;m\">", "<a href=\"./health/db\">", "tcp refused", "is it running?", "pending"] {
        assert!(answer.text().contains(shown), "{shown}: {}", answer.text());
    }
    let loaded: Vec<&str> = answer.text().split(['"', ' ']).filter(|part| part.starts_with("./-/page")).collect();
    assert_eq!(loaded, ["./-/page.svg", "./-/page.css", "./-/page.js"]);
    for path in loaded {
        let part = site.get(&path[1..]).await;
        assert_eq!((part.status, part.header("x-content-type-options")), (200, "nosniff"), "{path}");
        assert!(!part.text().contains("http://") || path.ends_with("svg"), "{path} names another site");
    }
    let one = site.get("/?target=orders").await;
    assert!(one.text().contains("<title>orders: ") && !one.text().contains("billing"), "{}", one.text());
    let none = site.get("/?target=%3Cb%3E").await;
    assert_eq!((none.status, none.header("content-type")), (400, "text/plain; charset=utf-8"));
    assert_eq!(none.text(), "error: there is no target `<b>` (target)\n  targets: orders, billing\n");
}

#[tokio::test]
async fn the_database_route_fails_while_a_required_target_does() {
    let site = Site::start(Limits::default());
    let answer = site.get("/health/db").await;
    assert_eq!((answer.status, answer.text()), (503, "orders: not probed yet\nbilling: not probed yet\n"));
    site.probed("orders", None);
    site.probed("billing", Some(refused()));
    let answer = site.get("/health/db").await;
    assert_eq!((answer.status, answer.text()), (503, "orders: ok\nbilling: failed phase=tcp reason=refused\n"));
    let optional = Snapshot { required: false, ..snapshot(Some(Some(refused()))) };
    site.slot("billing").publish(Block::default(), optional);
    let answer = site.get("/health/db").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "orders: ok\nbilling: failed phase=tcp reason=refused (not required)\n");
    assert!(site.get("/health/detailed").await.text().starts_with("{\n  \"status\": \"warn\""));
    // Who asks for it by name wants to know.
    let answer = site.get("/health/db?target=billing").await;
    assert_eq!((answer.status, answer.text()), (503, "billing: failed phase=tcp reason=refused (not required)\n"));
    let answer = site.get("/api/health/db?target=orders&nocache=1").await;
    assert_eq!((answer.status, answer.text()), (200, "orders: ok\n"));
    let answer = site.get("/health/db?target=other").await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "error: there is no target `other` (target)\n  targets: orders, billing\n")
    );
}

#[tokio::test]
async fn ready_means_that_every_first_probe_has_ended_however() {
    let site = Site::start(Limits::default());
    site.probed("orders", Some(refused()));
    let answer = site.get("/-/ready").await;
    assert_eq!((answer.status, answer.text()), (503, "waiting for the first probe of: billing\n"));
    assert_eq!(site.get("/-/healthy").await.status, 200);
    site.probed("billing", Some(refused()));
    assert_eq!(site.get("/-/ready").await.status, 200);
}

#[tokio::test]
async fn a_scrape_has_the_targets_and_the_process() {
    let site = Site::start(Limits::default());
    site.probed("orders", None);
    let answer = site.get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("vary"), "Accept, Accept-Encoding");
    assert_eq!(answer.header("content-encoding"), "");
    for line in [
        "mysql_up{target=\"orders\"} 1",
        "mysql_up{target=\"billing\"} 0",
        "mysql_global_status_uptime{target=\"orders\",n=\"1\"} 1",
        "promhttp_metric_handler_requests_in_flight 1",
        "promhttp_metric_handler_requests_total{code=\"200\"} 0",
        "mysql_conn_exporter_config_last_reload_successful 1",
    ] {
        assert!(answer.text().lines().any(|shown| shown == line), "{line}: {}", answer.text());
    }
    assert!(answer.text().contains("mysqld_exporter_build_info{branch="));
    let again = site.get("/metrics").await;
    assert!(again.text().contains("promhttp_metric_handler_requests_total{code=\"200\"} 1\n"));
    assert!(again.text().contains("mysql_conn_exporter_http_requests_total{code=\"200\",handler=\"metrics\"} 1\n"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_declared_family_of_the_process_is_shown() {
    let site = Site::start(Limits::default());
    site.get("/health").await;
    let answer = site.get("/metrics").await;
    for family in FAMILIES {
        let head = format!("# TYPE {} {}\n", family.name, family.kind.label());
        assert!(answer.text().contains(&head), "{head}");
    }
}

#[tokio::test]
async fn both_formats_hold_the_same_series() {
    let site = Site::start(Limits::default());
    site.probed("orders", None);
    let mut client = site.connect().await;
    client.get("/metrics", "").await;
    let text = client.get("/metrics", "Accept: text/plain\r\n").await;
    let open = client.get("/metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n").await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text().ends_with("\n# EOF\n"));
    assert_eq!(series(open.text()), series(text.text()));
}

#[tokio::test]
async fn a_compressed_scrape_is_the_same_scrape() {
    let site = Site::start(Limits::default());
    site.probed("orders", None);
    let mut client = site.connect().await;
    client.get("/metrics", "").await;
    let plain = client.get("/metrics", "Accept-Encoding: gzip;q=0\r\n").await;
    let packed = client.get("/metrics", "Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n").await;
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_string(&mut unpacked).unwrap();
    assert_eq!(series(&unpacked), series(plain.text()));
    assert!(packed.body.len() < plain.body.len() / 3);
}

#[tokio::test]
async fn a_scrape_can_be_narrowed() {
    let site = Site::start(Limits::default());
    site.probed("orders", None);
    site.probed("billing", None);
    let answer = site.get("/metrics?collect[]=global_variables&target%5B%5D=orders").await;
    let copied: Vec<&str> = series(answer.text()).into_iter().filter(|line| line.starts_with("mysql_g")).collect();
    assert_eq!(copied, ["mysql_global_variables_port{target=\"orders\",n=\"0\"}"]);
    assert!(!answer.text().contains("billing") && answer.text().contains("process_start_time_seconds"));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_refused() {
    let site = Site::start(Limits::default());
    for (query, says) in [
        ("collect[]=global_statsu", "error: there is no collector `global_statsu` (collect[])\n  on: global_status"),
        (
            "collect[]=slave_status",
            "error: the collector `slave_status` is off\n  hint: switch it on by --collect.slave_status",
        ),
        ("target[]=%3Cb%3E", "error: there is no target `<b>` (target[])\n  targets: orders, billing\n"),
    ] {
        let answer = site.get(&format!("/metrics?{query}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, TEXT));
        assert!(answer.text().starts_with(says), "{}", answer.text());
    }
    let counted = "promhttp_metric_handler_requests_total{code=\"400\"} 3\n";
    assert!(site.get("/metrics").await.text().contains(counted));
}

#[tokio::test]
async fn the_path_of_the_metrics_is_the_configured_one() {
    let site = Site::start_on("/here", Limits::default());
    assert_eq!(site.get("/metrics").await.status, 404);
    assert!(site.get("/here?").await.text().contains("mysql_up"));
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_what_is_right() {
    let site = Site::start(Limits::default());
    let mut client = site.connect().await;
    let answer = client.get("/metrics/", "").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("paths: /metrics / /health "), "{}", answer.text());
    for path in ["/metrics", "/health", "/"] {
        for method in ["POST", "DELETE", "OPTIONS"] {
            let answer = client.request(method, path, "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let site = Site::start(Limits::default());
    let mut client = site.connect().await;
    for path in ["/health", "/-/ready", "/"] {
        let get = client.get(path, "").await;
        let mut head = client.request("HEAD", path, "").await;
        head.headers.insert("date".to_owned(), get.header("date").to_owned());
        assert_eq!((head.status, head.headers), (get.status, get.headers), "{path}");
    }
    let head = client.request("HEAD", "/metrics", "").await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(client.get("/health", "").await.text(), "ok\n", "no body lies between");
}
