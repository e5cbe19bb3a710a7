//! The page of all targets: who needs somebody, and why.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::chart::chart;
use super::markup::{LinkTo, Text, html};
use super::parts::{self, badge, share, state_of};
use crate::report::health::{Seen, status};
use crate::watch::events::Event;

/// So many targets are shown, the worst of them.
const MOST: usize = 200;

/// So many findings are shown, the worst of them.
const MOST_FINDINGS: usize = 30;

/// Worst first; those that are as well as each other by name.
fn rank(seen: &Seen) -> u8 {
    match state_of(seen) {
        "down" => 0,
        "backoff" | "reconnecting" => 1,
        "degraded" => 2,
        _ if !seen.passes() => 3,
        _ => 4,
    }
}

/// The whole page.
pub(super) fn whole(targets: &[Seen], latest: &[Event], telemetry_path: &str, now: SystemTime) -> String {
    let mut out = String::with_capacity(8192 + 3072 * targets.len().min(MOST));
    let overall = status(targets);
    parts::head(&mut out, &format!("{} · goneaway", overall.label()), now);
    out.push_str("<h1>");
    parts::overall(&mut out, overall);
    let mut states = BTreeMap::<&str, usize>::new();
    targets.iter().for_each(|seen| *states.entry(state_of(seen)).or_default() += 1);
    let states: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let of = if targets.len() == 1 { "target" } else { "targets" };
    html!(&mut out, " {} {of}: {}</h1>\n", targets.len(), states.join(", "));

    let mut sorted: Vec<&Seen> = targets.iter().collect();
    sorted.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    out.push_str(
        "<table class=\"targets\">\n<thead><tr><th>Target</th><th>State</th><th>New connections, last hour</th>\
         <th>At the server</th><th>Pools</th><th>Lost</th><th>Idle limit</th></tr></thead>\n",
    );
    for seen in sorted.iter().take(MOST) {
        row(&mut out, seen, now);
    }
    out.push_str("</table>\n");
    if targets.len() > MOST {
        html!(
            &mut out,
            "<p>{} targets more, none of them worse; <a href=\"./health/detailed\">/health/detailed</a> has all of them, \
             and <code>/?target=</code> shows one.</p>\n",
            targets.len() - MOST
        );
    }
    findings(&mut out, &sorted);
    parts::events(&mut out, latest, now, true);
    parts::foot(&mut out, telemetry_path);
    out
}

fn row(out: &mut String, seen: &Seen, now: SystemTime) {
    let snapshot = &seen.snapshot;
    let optional = if snapshot.required { "" } else { " · not required" };
    let fails = seen.failure().is_some() || !seen.up && snapshot.probe.is_some();
    html!(
        out,
        "<tbody><tr><th scope=\"row\"><a href=\"{}\">{}</a><p class=\"dim\">{}{optional}</p></th><td>",
        LinkTo(&seen.name),
        Text(&seen.name),
        Text(&snapshot.address)
    );
    badge(out, seen);
    if let Some(server) = &snapshot.server {
        html!(out, "<p class=\"dim\">{}</p>", Text(server));
    }
    let failing: Vec<&str> =
        snapshot.collectors.iter().filter(|one| one.error.is_some()).map(|one| &*one.name).collect();
    match failing.as_slice() {
        [] => {}
        [one] => html!(out, "<p class=\"bad\">{} fails</p>", Text(one)),
        [one, ..] => html!(out, "<p class=\"bad\">{} and {} more fail</p>", Text(one), failing.len() - 1),
    }
    out.push_str("</td><td data-is=\"last hour\">");
    chart(out, &snapshot.hour, now);
    out.push_str("</td><td data-is=\"at the server\">");
    match snapshot.connections {
        Some((used, limit)) => share(out, used, limit),
        None => out.push_str("<span class=\"dim\">not known</span>"),
    }
    out.push_str("</td><td data-is=\"pools\">");
    parts::pools(out, snapshot);
    out.push_str("</td><td data-is=\"lost\">");
    parts::lost(out, snapshot);
    out.push_str("</td><td data-is=\"idle limit\">");
    parts::idle(out, &snapshot.idle);
    out.push_str("</td></tr>\n");
    if fails {
        out.push_str("<tr class=\"why\"><td colspan=\"7\">");
        parts::why(out, seen, now);
        out.push_str("</td></tr>\n");
    }
    out.push_str("</tbody>\n");
}

fn findings(out: &mut String, targets: &[&Seen]) {
    let mut all: Vec<_> = targets.iter().flat_map(|seen| seen.findings.iter().map(|one| (*seen, one))).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    html!(out, "<section><h2>Findings</h2>\n");
    for (id, (seen, finding)) in all.iter().take(MOST_FINDINGS).enumerate() {
        parts::finding(out, finding, Some(&seen.name), id);
    }
    if all.len() > MOST_FINDINGS {
        html!(out, "<p>{} more, on the pages of their targets.</p>", all.len() - MOST_FINDINGS);
    }
    out.push_str("</section>\n");
}
