//! What both pages are made of: the frame, and the parts that tell of a target.

use std::time::{Duration, SystemTime};

use super::markup::{Clock, LinkTo, Text, html, since};
use crate::report::health::{Seen, Status};
use crate::watch::events::Event;
use crate::watch::events::says::time;
use crate::watch::finding::{Change, Finding};
use crate::watch::ladder::bounds::Owner;
use crate::watch::snapshot::{IdleLimit, Snapshot};

/// Above these shares of a limit people should look, and hurry.
const HIGH: f64 = 0.8;
const FULL: f64 = 0.95;

/// Where everything else is found, for people; the path of the metrics comes first.
const ELSEWHERE: [&str; 7] = ["/health", "/health/db", "/health/detailed", "/events", "/sd", "/-/healthy", "/-/ready"];

/// Everything before what is the page's own.
pub(super) fn head(out: &mut String, title: &str, now: SystemTime) {
    html!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"./-/page.svg\">\n\
         <link rel=\"stylesheet\" href=\"./-/page.css\">\n<script src=\"./-/page.js\" defer></script>\n</head>\n\
         <body>\n<p id=\"stale\" role=\"status\">goneaway does not answer now: this is how things were at the time below.</p>\n\
         <main>\n<p class=\"top\"><a href=\"./\">goneaway</a> <span class=\"dim\">{} · {} UTC</span></p>\n",
        Text(title),
        env!("CARGO_PKG_VERSION"),
        Clock { at: now, now }
    );
}

/// Everything after it.
pub(super) fn foot(out: &mut String, telemetry_path: &str) {
    out.push_str("<nav aria-label=\"more\">");
    for path in std::iter::once(telemetry_path).chain(ELSEWHERE) {
        // Below whatever path a proxy shows this page.
        html!(out, "<a href=\".{0}\">{0}</a> ", Text(path));
    }
    out.push_str("</nav>\n</main>\n</body>\n</html>\n");
}

/// What all targets come to, as a badge.
pub(super) fn overall(out: &mut String, status: Status) {
    let label = status.label();
    html!(out, "<span class=\"badge {label}\">{label}</span>");
}

/// How a target stands, in a word.
pub(super) fn state_of(seen: &Seen) -> &'static str {
    match (seen.snapshot.state, &seen.snapshot.probe) {
        (Some(state), Some(_)) => state.label(),
        _ => "pending",
    }
}

pub(super) fn badge(out: &mut String, seen: &Seen) {
    let state = state_of(seen);
    html!(out, "<span class=\"badge {state}\">{state}</span>");
}

/// Why it is not well: what failed, what was seen, what to do.
pub(super) fn why(out: &mut String, seen: &Seen, now: SystemTime) {
    if let Some(began) = seen.snapshot.out_since {
        html!(
            out,
            "<p class=\"bad\">no connection is of use since {} UTC ({})</p>",
            Clock { at: began, now },
            since(began, now)
        );
    }
    let Some(failure) = seen.failure() else {
        if !seen.up && seen.snapshot.probe.is_some() {
            out.push_str("<p class=\"bad\">no answer within the last two intervals</p>");
        }
        return;
    };
    let errno = failure.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
    html!(
        out,
        "<p><b>new connections fail: {} {}</b>{errno}</p><p class=\"said\">{}</p>",
        failure.phase.label(),
        failure.reason.label(),
        Text(&failure.detail)
    );
    if let Some(hint) = &failure.hint {
        html!(out, "<p class=\"hint\">{}</p>", Text(hint));
    }
}

/// So many of so many, with a bar.
pub(super) fn share(out: &mut String, used: u64, limit: u64) {
    let (high, full) = (limit as f64 * HIGH, limit as f64 * FULL);
    html!(
        out,
        "<span class=\"share\">{used} of {limit} <meter min=\"0\" max=\"{limit}\" low=\"{high:.1}\" high=\"{full:.1}\" \
         optimum=\"0\" value=\"{}\"></meter></span>",
        used.min(limit)
    );
}

/// Who holds how many of which pool, shortly.
pub(super) fn pools(out: &mut String, snapshot: &Snapshot) {
    for pool in &snapshot.pools {
        let counts = pool.counts;
        html!(out, "<p>{}: {} idle, {} used of {}", Text(&pool.name), counts.idle, counts.used, pool.size);
        if counts.pending > 0 {
            html!(out, ", <b>{} wait</b>", counts.pending);
        }
        out.push_str("</p>");
    }
}

/// What was lost, most first, shortly.
pub(super) fn lost(out: &mut String, snapshot: &Snapshot) {
    if snapshot.lost.is_empty() {
        out.push_str("<p class=\"dim\">none</p>");
    }
    for counted in snapshot.lost.iter().take(4) {
        html!(out, "<p>{} × {}</p>", counted.all(), counted.cause.label());
    }
    if snapshot.lost.len() > 4 {
        html!(out, "<p class=\"dim\">{} causes more</p>", snapshot.lost.len() - 4);
    }
}

/// How long an idle connection lives, shortly.
pub(super) fn idle(out: &mut String, limit: &IdleLimit) {
    let seconds = |time_: Duration| time(time_.as_secs_f64());
    match (limit.lost, limit.owner) {
        (Some(lost), Some(owner)) => html!(out, "<p><b>cut after {}</b> by the {}</p>", seconds(lost), who(owner)),
        (Some(lost), None) => html!(out, "<p><b>cut after {}</b></p>", seconds(lost)),
        (None, _) if limit.survived > Duration::ZERO => html!(out, "<p>{} survived</p>", seconds(limit.survived)),
        (None, _) => out.push_str("<p class=\"dim\">not known yet</p>"),
    }
    if let Some(safe) = limit.safe_lifetime {
        html!(out, "<p class=\"dim\">keep one {} at most</p>", seconds(safe));
    }
}

pub(super) fn who(owner: Owner) -> &'static str {
    match owner {
        Owner::Server => "server",
        Owner::Middlebox => "path (a proxy, balancer, firewall or NAT)",
        Owner::NoneSeen => "nobody that was seen",
    }
}

/// One finding, to be unfolded. `id` is its own on the page, so that it stays unfolded.
pub(super) fn finding(out: &mut String, finding: &Finding, of: Option<&str>, id: usize) {
    let severity = finding.severity.label();
    html!(out, "<details id=\"finding-{id}\"><summary><span class=\"badge {severity}\">{severity}</span> ");
    if let Some(target) = of {
        html!(out, "<a href=\"{}\">{}</a>: ", LinkTo(target), Text(target));
    }
    html!(out, "{}</summary>", Text(&finding.title));
    for (label, said) in [("seen", &finding.seen), ("why it matters", &finding.why)] {
        if !said.is_empty() {
            html!(out, "<p><span class=\"dim\">{label}:</span> {}</p>", Text(said));
        }
    }
    finding.changes.iter().for_each(|one| change(out, one));
    if !finding.verify.is_empty() {
        html!(out, "<p><span class=\"dim\">then look:</span> {}</p>", Text(&finding.verify));
    }
    out.push_str("</details>\n");
}

fn change(out: &mut String, change: &Change) {
    html!(out, "<p>{}</p>", Text(&change.what));
    let restart = if change.restart { "my.cnf, [mysqld]; needs a restart" } else { "my.cnf, [mysqld]" };
    for (label, lines) in [("SQL", &change.sql), (restart, &change.my_cnf), ("pools", &change.pool)] {
        if !lines.is_empty() {
            html!(out, "<p class=\"dim\">{label}</p><pre>{}</pre>", Text(lines.join("\n")));
        }
    }
}

/// The last events, newest first.
pub(super) fn events(out: &mut String, events: &[Event], now: SystemTime, with_target: bool) {
    out.push_str("<section><h2>Latest events</h2>\n");
    if events.is_empty() {
        out.push_str("<p class=\"dim\">nothing has happened since the start</p>\n</section>\n");
        return;
    }
    out.push_str("<table class=\"events\">\n");
    for event in events.iter().rev() {
        let count =
            if event.count > 1 { format!(" <span class=\"dim\">× {}</span>", event.count) } else { String::new() };
        html!(out, "<tr><td class=\"dim\">{}</td>", Clock { at: event.last, now });
        if with_target {
            html!(out, "<td><a href=\"{}\">{}</a></td>", LinkTo(&event.target), Text(&event.target));
        }
        html!(out, "<td>{}{count}</td></tr>\n", Text(event.what.says()));
    }
    out.push_str("</table>\n</section>\n");
}
