//! A target's losses and changes as events.

use std::time::SystemTime;

use tokio::time::Instant;

use super::circuit::Suspended;
use super::desk::{Note, listed};
use super::events::{Loss, What};
use super::loss::{Booked, Path, Rest};
use super::recovery::Change;
use crate::mysql::failure::Failure;

/// A loss that has its cause.
pub(super) fn lost(booked: &Booked<Note>) -> What {
    let held = &booked.held;
    let (evidence, note) = (&held.evidence, &held.note);
    let (idle, rest) = match evidence.rest {
        Rest::Watched(rest) => ("exact", rest),
        Rest::UpTo(rest) => ("up_to", rest),
        Rest::Busy(rest) => ("busy", rest),
    };
    let noticed = SystemTime::now() - note.noticed_at.elapsed();
    What::Lost(Box::new(Loss {
        source: held.source.label(),
        pool: note.pool.as_deref().map(str::to_owned),
        cause: booked.cause.label(),
        confidence: booked.confidence.label(),
        signal: evidence.signal.label(),
        errno: evidence.errno,
        idle_seconds: rest.as_secs_f64(),
        idle,
        thread_listed: listed(evidence.thread),
        path: match evidence.path {
            Path::Unknown => None,
            Path::Direct => Some("direct"),
            Path::Proxied => Some("proxied"),
        },
        during: note.during.map(|during| during.label()),
        lost_at_once: evidence.lost_at_once,
        kills: evidence.kills.map(|kills| kills.moved),
        wait_timeout_seconds: evidence.wait_timeout.map(|limit| limit.as_secs_f64()),
        connection_id: note.connection_id,
        noticed: humantime::format_rfc3339_millis(noticed).to_string(),
        detail: note.failure.detail.clone(),
    }))
}

/// How a fresh connection ended that somebody waits for since then.
pub(super) fn tried(asked: Instant, failure: Option<&Failure>) -> What {
    What::RecoverTried {
        good: failure.is_none(),
        seconds: asked.elapsed().as_secs_f64(),
        phase: failure.map(|failure| failure.phase.label()),
        reason: failure.map(|failure| failure.reason.label()),
        detail: failure.map(|failure| failure.detail.clone()),
        hint: failure.and_then(|failure| failure.hint.clone()),
    }
}

/// What changed about how a target stands, in the order in which people want to read it.
pub(super) fn changed(change: &Change, latest: Option<&Failure>) -> Vec<What> {
    let mut told = Vec::new();
    if let Some(circuit) = change.circuit {
        told.push(match circuit {
            Some(Suspended::Refused(reason)) => What::CircuitOpened { why: reason.label() },
            Some(Suspended::NearBlock) => What::CircuitOpened { why: "host_nearly_blocked" },
            None => What::CircuitClosed,
        });
    }
    if let Some((from, to)) = change.state {
        let (phase, reason) =
            (latest.map(|failure| failure.phase.label()), latest.map(|failure| failure.reason.label()));
        told.push(What::State { from: from.label(), to: to.label(), phase, reason });
    }
    if let Some(after) = change.recovered {
        told.push(What::Recovered { after_seconds: after.as_secs_f64() });
    }
    if let Some(down) = change.outage_ended {
        told.push(What::OutageEnded { seconds: down.as_secs_f64() });
    }
    told
}
