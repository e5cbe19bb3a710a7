//! What a target's task tells people: losses with their evidence, and how the target stands.

use tracing::{info, warn};

use super::desk::{Note, listed};
use super::loss::Booked;
use super::recovery::Change;

pub(super) fn lost(target: &str, booked: &Booked<Note>) {
    let held = &booked.held;
    let evidence = &held.evidence;
    let idle = match evidence.rest {
        super::loss::Rest::Watched(age) | super::loss::Rest::UpTo(age) | super::loss::Rest::Busy(age) => age,
    };
    warn!(target = %target, source = held.source.label(), cause = booked.cause.label(),
        confidence = booked.confidence.label(), idle = format_args!("{:.1}s", idle.as_secs_f64()),
        signal = evidence.signal.label(), thread_listed = listed(evidence.thread), path = ?evidence.path,
        detail = held.note.failure.detail, count = held.count, rest = ?evidence.rest, kills = ?evidence.kills,
        at_once = evidence.lost_at_once, fresh = ?evidence.fresh, after = ?evidence.after, before = ?evidence.before, opened = ?evidence.opened_ago, wt = ?evidence.wait_timeout, tx = ?evidence.transaction,
        "connection lost");
}

pub(super) fn changed(target: &str, change: &Change) {
    if let Some((from, to)) = change.state {
        info!(target = %target, from = from.label(), state = to.label(), "state changed");
    }
}
