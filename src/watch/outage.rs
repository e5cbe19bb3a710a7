//! What the log says of a target that is away: a line when it goes, a line when it returns, one for each new reason.

use std::collections::BTreeSet;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::probe::Ended;
use crate::mysql::failure::{Failure, Reason};

/// The outage of one target, as its log tells it.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    /// Not told in the log yet: it may be a greeting that is only late.
    untold: Option<Failure>,
    /// Reasons that this outage had and that the log has told.
    told: BTreeSet<&'static str>,
    greets_late: bool,
    last: Option<Failure>,
}

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// A connection is not greeted. It may only be late, at every probe: the line in the log waits until that is known.
    pub(super) fn not_greeted(&mut self, failure: &Failure) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.untold = Some(failure.clone());
        }
    }

    /// It is still not greeted when the next probe is due, or will never be.
    pub(super) fn tell(&mut self, target: &str) {
        let Some(failure) = self.untold.take() else { return };
        self.told.insert(failure.reason.label());
        let (phase, reason) = (failure.phase.label(), failure.reason.label());
        warn!(target = %target, phase, reason, errno = failure.errno, detail = failure.detail,
            hint = failure.hint.as_deref(), "probe failed");
    }

    /// The greeting came after its deadline.
    pub(super) fn greeted(&mut self, target: &str, ended: &Ended) {
        if self.untold.take().is_none() {
            return;
        }
        self.since = None;
        if !std::mem::replace(&mut self.greets_late, true) {
            warn!(target = %target, seconds = format_args!("{:.1}", ended.took.as_secs_f64()),
                "the server greets after the deadline; often it is slow to resolve the name of this host \
                 (`skip_name_resolve`)");
        }
    }

    pub(super) fn gave_up(&mut self, target: &str, failure: &Failure) {
        self.tell(target);
        debug!(target = %target, reason = failure.reason.label(), "gave up waiting for a greeting");
    }

    /// A fresh connection failed.
    pub(super) fn failed(&mut self, target: &str, failure: &Failure) {
        self.last = Some(failure.clone());
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.untold = Some(failure.clone());
            self.tell(target);
        } else if self.untold.is_none() && !self.told.contains(failure.reason.label()) {
            // The cause has changed. Once a reason and outage: a server that flaps between two fills no log.
            self.untold = Some(failure.clone());
            self.tell(target);
        }
    }

    /// A fresh connection got in; says whether an outage ended.
    pub(super) fn ended(&mut self, target: &str, failures: u64) -> bool {
        let Some(since) = self.since.take() else { return false };
        self.untold = None;
        self.told.clear();
        let down = since.elapsed().as_secs_f64();
        let last = self.last.take();
        let (phase, reason) = (last.as_ref().map(|last| last.phase.label()), last.as_ref().map(reason_of));
        info!(target = %target, down_seconds = format_args!("{down:.1}"), failures, phase, reason,
            errno = last.as_ref().and_then(|last| last.errno), "probe succeeds again");
        true
    }
}

fn reason_of(failure: &Failure) -> &'static str {
    let reason: Reason = failure.reason;
    reason.label()
}
