//! What stands on the pages. How they look is seen in a browser: tests/it/page.rs.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::server::Server;
use crate::report::health::Seen;
use crate::report::picture::{Limit, Session, Setting};
use crate::watch::board::Slot;
use crate::watch::events::{Events, What};
use crate::watch::finding::{Change, Finding, Severity};
use crate::watch::ladder::bounds::Owner;
use crate::watch::loss::Cause;
use crate::watch::loss::families::Counted;
use crate::watch::pools::Occupancy;
use crate::watch::snapshot::{CollectorResult, IdleLimit, ProbeResult, Snapshot};
use crate::watch::state;

const EVIL: &str = "<script>alert('x')</script>\"&";
const ESCAPED: &str = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(7200)
}

/// A target of which everything is known, and all of that says `text`.
fn seen(name: &str, text: &str) -> Seen {
    let mut failure = Failure::new(Phase::Auth, Reason::AccessDenied, text).with_hint(text);
    failure.errno = Some(1045);
    let probe = ProbeResult {
        at: now(),
        failure: Some(failure),
        phases: vec![(Phase::Tcp, Duration::from_micros(250)), (Phase::Greeting, Duration::from_millis(1))],
        tls_version: Some(text.to_owned()),
    };
    let mut snapshot = Snapshot {
        address: text.to_owned(),
        required: true,
        probe: Some(probe),
        server: Some(Server::from_version(text)),
        connections: Some((3, 151)),
        state: Some(state::State::Backoff),
        out_since: Some(now() - Duration::from_secs(90)),
        pools: vec![Occupancy {
            name: text.into(),
            size: 5,
            max_overflow: 0,
            recycle: Some(Duration::from_secs(280)),
            counts: Default::default(),
        }],
        lost: [Counted { cause: Cause::MiddleboxReset, of_pools: 3, of_canaries: 1, last: now() }].into(),
        idle: IdleLimit {
            owner: Some(Owner::Middlebox),
            survived: Duration::from_secs(8),
            lost: Some(Duration::from_secs(10)),
            wait_timeout: Some(Duration::from_secs(28800)),
            safe_lifetime: Some(Duration::from_secs(4)),
        },
        ..Snapshot::default()
    };
    snapshot.collectors.push(CollectorResult {
        name: "global_status".into(),
        last_success: None,
        error: Some(text.to_owned()),
    });
    let change = Change { sql: vec![text.to_owned()], pool: vec![text.to_owned()], ..Change::new(text) };
    let finding = Finding::new("idle_limit", Severity::Warning, text).seen(text).why(text).change(change).verify(text);
    Seen { name: name.to_owned(), up: false, snapshot: Arc::new(snapshot), findings: [finding].into() }
}

fn pages(name: &str, text: &str) -> [String; 2] {
    let events = Events::keeping(10);
    let path = What::Path { path: "proxied", seen_as: Some(text.to_owned()) };
    events.tell_at(&name.into(), path, now());
    let (latest, _) = events.select(&Wanted { most: 10, ..Wanted::default() });
    let seen = seen(name, text);
    let slot = Slot::new(name, None, (*seen.snapshot).clone());
    let mut picture = crate::report::picture::picture(&slot, Instant::now());
    let [user, host, program, shown, wise] = [(); 5].map(|()| text.to_owned());
    picture.limits.push(Limit {
        scope: "account".to_owned(),
        user: user.clone(),
        used: Some(7.0),
        limit: 8.0,
        peak: None,
    });
    picture.settings.push(Setting { name: "back_log".to_owned(), value: 1.0, shown, wise, is_wise: false });
    picture.sessions.push(Session { user, host, program, connections: 12.0, sleeping: 9.0 });
    let one = one::one(&seen, &picture, &latest, text, now());
    [whole::whole(std::slice::from_ref(&seen), &latest, text, now()), one]
}

#[test]
fn what_a_server_says_is_never_markup() {
    for (page, least) in pages(EVIL, EVIL).into_iter().zip([12, 24]) {
        assert_eq!(page.matches("<script").count(), 1, "our own: {page}");
        assert!(!page.contains("('x')"), "{page}");
        assert!(page.matches(ESCAPED).count() >= least, "{} times: {page}", page.matches(ESCAPED).count());
        assert!(
            page.contains("./?target=%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E%22%26") || least == 24,
            "{page}"
        );
        // The policy forbids both: what needs them would be missing.
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick"), "{page}");
    }
}

#[test]
fn both_pages_say_how_it_stands() {
    let both =
        ["backoff", "auth access_denied", "(1045)", "3 of 151", "cut after", "10.0 s", "01:58:30", "middlebox_reset"];
    let of_one = [
        "0.250 ms",
        "1.000 ms",
        "4m 40s",
        "8h",
        "path (a proxy",
        "global_status",
        "account db",
        "7 of 8",
        "back_log",
        "sees us as db",
    ];
    for (page, more) in pages("orders", "db").iter().zip([&["./?target=orders"][..], &of_one]) {
        for shown in both.iter().chain(more) {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }
}

#[test]
fn the_worst_come_first_and_not_all_of_a_thousand() {
    let targets: Vec<Seen> = (0..1000)
        .map(|n| {
            let mut one = seen(&format!("t{n:03}"), "db");
            if n != 700 {
                Arc::make_mut(&mut one.snapshot).state = Some(state::State::Connected);
                one.up = true;
            } else {
                Arc::make_mut(&mut one.snapshot).state = Some(state::State::Down);
            }
            one
        })
        .collect();
    let page = whole::whole(&targets, &[], "/metrics", now());
    let first = page.find("./?target=t700").expect("the one that is down is shown");
    assert!(first < page.find("./?target=t000").expect("so is another"), "{}", &page[..2000]);
    assert!(
        page.contains("800 targets more") && page.contains("1000 targets: 999 connected, 1 down"),
        "{}",
        &page[..2000]
    );
    assert!(page.contains("970 more, on the pages of their targets"));
    assert!(page.len() < 700_000, "{} bytes", page.len());
}
