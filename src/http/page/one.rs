//! The page of one target: everything that is known of it.

use std::time::{Duration, SystemTime};

use super::chart::{chart, said};
use super::markup::{Clock, Text, html, since};
use super::parts::{self, badge, share, state_of};
use crate::report::health::Seen;
use crate::report::picture::{Limit, Picture, Session, Setting};
use crate::watch::events::Event;
use crate::watch::events::says::time;
use crate::watch::snapshot::{ProbeResult, Snapshot};

/// The page of one target.
pub(super) fn one(seen: &Seen, picture: &Picture, latest: &[Event], telemetry_path: &str, now: SystemTime) -> String {
    let snapshot = &*seen.snapshot;
    let mut out = String::with_capacity(16384);
    parts::head(&mut out, &format!("{}: {} · goneaway", seen.name, state_of(seen)), now);
    out.push_str("<h1>");
    badge(&mut out, seen);
    html!(
        &mut out,
        " {} <span class=\"dim\">{}</span></h1>\n<div class=\"why\">",
        Text(&seen.name),
        Text(&snapshot.address)
    );
    parts::why(&mut out, seen, now);
    out.push_str("</div>\n<section><h2>New connections, last hour</h2>\n<div class=\"large\">");
    chart(&mut out, &snapshot.hour, now);
    html!(
        &mut out,
        "</div>\n<p class=\"dim\">{}</p>\n</section>\n<div class=\"columns\">\n",
        said(&snapshot.hour.until(now))
    );
    facts(&mut out, seen, now);
    if let Some(probe) = &snapshot.probe {
        phases(&mut out, probe, now);
    }
    limits(&mut out, picture);
    pools(&mut out, snapshot);
    lost(&mut out, snapshot, now);
    idle(&mut out, snapshot);
    sessions(&mut out, picture);
    settings(&mut out, picture);
    collectors(&mut out, snapshot, now);
    out.push_str("</div>\n");
    if !seen.findings.is_empty() {
        out.push_str("<section><h2>Findings</h2>\n");
        for (id, finding) in seen.findings.iter().enumerate() {
            parts::finding(&mut out, finding, None, id);
        }
        out.push_str("</section>\n");
    }
    parts::events(&mut out, latest, now, false);
    parts::foot(&mut out, telemetry_path);
    out
}

fn fact(out: &mut String, name: &str, value: impl std::fmt::Display) {
    html!(out, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n");
}

fn facts(out: &mut String, seen: &Seen, now: SystemTime) {
    let snapshot = &*seen.snapshot;
    out.push_str("<section><h2>Server</h2>\n<table>\n");
    match &snapshot.server {
        Some(server) => fact(out, "version", Text(server)),
        None => fact(out, "version", "not known: nobody got in yet"),
    }
    if let Some((used, limit)) = snapshot.connections {
        let mut bar = String::new();
        share(&mut bar, used, limit);
        fact(out, "connections", bar);
    }
    if let Some(path) = snapshot.path {
        fact(out, "path", path.label());
    }
    if let Some(door) = snapshot.door.filter(|door| *door != "main") {
        fact(out, "door", format_args!("<b class=\"bad\">{door}</b>: the main port takes nobody"));
    }
    if let Some(probe) = snapshot.probe.as_ref().filter(|probe| probe.failure.is_none()) {
        fact(out, "TLS", Text(probe.tls_version.as_deref().unwrap_or("none")));
    }
    match snapshot.last_success {
        Some(at) => fact(out, "got in last", format_args!("{} UTC ({} ago)", Clock { at, now }, since(at, now))),
        None => fact(out, "got in last", "never since the start"),
    }
    if snapshot.consecutive_failures > 0 {
        match snapshot.consecutive_failures {
            1 => fact(out, "failed since", "once"),
            many => fact(out, "failed since", format_args!("{many} times")),
        }
    }
    fact(out, "probed every", time(snapshot.every.as_secs_f64()));
    fact(out, "required", if snapshot.required { "yes: /health/db depends on it" } else { "no" });
    out.push_str("</table>\n</section>\n");
}

/// Every limit that is known, with what is in use of it.
fn limits(out: &mut String, picture: &Picture) {
    if picture.limits.is_empty() {
        return;
    }
    out.push_str("<section><h2>Limits</h2>\n<table>\n<tr><th>of</th><th>in use</th><th>at most until now</th></tr>\n");
    for Limit { scope, user, used, limit, peak } in &picture.limits {
        let whose = if user.is_empty() { scope.clone() } else { format!("{scope} {user}") };
        html!(out, "<tr><th scope=\"row\">{}</th><td>", Text(&whose));
        match used {
            Some(used) => share(out, *used as u64, *limit as u64),
            None => html!(out, "not known, of {limit:.0}"),
        }
        let peak = peak.map(|peak| format!("{peak:.0}")).unwrap_or_default();
        html!(out, "</td><td class=\"number\">{peak}</td></tr>\n");
    }
    out.push_str("</table>\n</section>\n");
}

/// Who holds connections: the largest groups.
fn sessions(out: &mut String, picture: &Picture) {
    if picture.sessions.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Sessions</h2>\n<table>\n<tr><th>user</th><th>from</th><th>program</th><th>sessions</th>\
         <th>at rest</th></tr>\n",
    );
    for Session { user, host, program, connections, sleeping } in &picture.sessions {
        html!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{connections:.0}</td><td \
             class=\"number\">{sleeping:.0}</td></tr>\n",
            Text(user),
            Text(host),
            Text(program)
        );
    }
    out.push_str("</table>\n</section>\n");
}

/// The server's settings that are other than what is wise; the others are in `goneaway status`.
fn settings(out: &mut String, picture: &Picture) {
    let unwise: Vec<&Setting> = picture.settings.iter().filter(|setting| !setting.is_wise).collect();
    if unwise.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Settings to think about</h2>\n<table>\n<tr><th>setting</th><th>is</th><th>wise</th></tr>\n",
    );
    for Setting { name, shown, wise, .. } in unwise {
        html!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td></tr>\n",
            Text(name),
            Text(shown),
            Text(wise)
        );
    }
    out.push_str("</table>\n</section>\n");
}

fn phases(out: &mut String, probe: &ProbeResult, now: SystemTime) {
    html!(out, "<section><h2>Last probe</h2>\n<p class=\"dim\">{} UTC</p>\n<table>\n", Clock { at: probe.at, now });
    let longest = probe.phases.iter().map(|(_, took)| *took).max().unwrap_or_default().as_secs_f64();
    for (phase, took) in &probe.phases {
        let took = took.as_secs_f64();
        let width = if longest > 0.0 { took / longest * 100.0 } else { 0.0 };
        html!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{:.3} ms</td><td class=\"bar\"><svg viewBox=\"0 0 100 8\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width:.1}\" height=\"8\"/></svg></td></tr>\n",
            phase.label(),
            took * 1000.0
        );
    }
    if let Some(failure) = &probe.failure {
        fact(out, failure.phase.label(), format_args!("<b class=\"bad\">{}</b>", failure.reason.label()));
    }
    out.push_str("</table>\n</section>\n");
}

fn pools(out: &mut String, snapshot: &Snapshot) {
    const COLUMNS: [&str; 8] = ["idle", "used", "wait", "size", "overflow", "recycle", "opened", "closed"];
    out.push_str("<section><h2>Pools</h2>\n<table class=\"many\">\n<thead><tr><th>pool</th>");
    for column in COLUMNS {
        html!(out, "<th>{column}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for pool in &snapshot.pools {
        let counts = pool.counts;
        let recycle = pool.recycle.map_or("never".to_owned(), |after| time(after.as_secs_f64()));
        let [idle, used, wait] = [counts.idle, counts.used, counts.pending].map(|count| count.to_string());
        let [size, overflow] = [pool.size, pool.max_overflow].map(|count| count.to_string());
        let [opened, closed] = [counts.opened, counts.closed].map(|count| count.to_string());
        html!(out, "<tr><th scope=\"row\">{}</th>", Text(&pool.name));
        for (column, value) in COLUMNS.iter().zip([idle, used, wait, size, overflow, recycle, opened, closed]) {
            html!(out, "<td class=\"number\" data-is=\"{column}\">{value}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

fn lost(out: &mut String, snapshot: &Snapshot, now: SystemTime) {
    out.push_str("<section><h2>Lost connections</h2>\n");
    let undecided = snapshot.undecided.0 + snapshot.undecided.1;
    if undecided > 0 {
        html!(
            out,
            "<p>{undecided} more are not counted yet: the server is away, and may come back as what tells why.</p>\n"
        );
    }
    if snapshot.lost.is_empty() {
        out.push_str("<p class=\"dim\">none since the start</p>\n</section>\n");
        return;
    }
    out.push_str("<table>\n<tr><th>cause</th><th>pools</th><th>resting</th><th>last</th></tr>\n");
    for counted in snapshot.lost.iter() {
        html!(
            out,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{} ago</td></tr>\n",
            counted.cause.label(),
            counted.of_pools,
            counted.of_canaries,
            since(counted.last, now)
        );
    }
    out.push_str("</table>\n</section>\n");
}

fn idle(out: &mut String, snapshot: &Snapshot) {
    let limit = &snapshot.idle;
    let seconds = |time_: Duration| time(time_.as_secs_f64());
    out.push_str("<section><h2>Idle connections</h2>\n<table>\n");
    fact(out, "survived", if limit.survived > Duration::ZERO { seconds(limit.survived) } else { "nothing yet".into() });
    if let Some(lost) = limit.lost {
        fact(out, "cut after", seconds(lost));
    }
    if let Some(owner) = limit.owner {
        fact(out, "by", parts::who(owner));
    }
    if let Some(wait_timeout) = limit.wait_timeout {
        fact(out, "wait_timeout", seconds(wait_timeout));
    }
    if let Some(safe) = limit.safe_lifetime {
        fact(out, "a pool may keep one", seconds(safe));
    }
    out.push_str(
        "</table>\n<p class=\"dim\">On the path from here; clients elsewhere have other paths.</p>\n</section>\n",
    );
}

/// Those that fail; the others are the metrics' business.
fn collectors(out: &mut String, snapshot: &Snapshot, now: SystemTime) {
    let failing: Vec<_> = snapshot.collectors.iter().filter(|one| one.error.is_some()).collect();
    if failing.is_empty() {
        return;
    }
    out.push_str("<section><h2>Collectors and queries that fail</h2>\n<table>\n");
    for one in failing {
        let last = one.last_success.map(|at| format!(" (good {} ago)", since(at, now))).unwrap_or_default();
        fact(out, &one.name, format_args!("{}{last}", Text(one.error.as_deref().unwrap_or_default())));
    }
    out.push_str("</table>\n</section>\n");
}
