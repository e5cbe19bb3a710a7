//! One look at a target from the command line: a probe, and the collectors that tell of connections, on a connection of
//! its own.
//!
//! What is seen goes to a place on the board as a target's task would put it there, so that whoever reads the board reads
//! this too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use super::board::Slot;
use super::collection::{Errand, Found, Source, run};
use super::families::TargetInstruments;
use super::pools::families::PoolInstruments;
use super::probe::{self, Known, Probed};
use super::rounds::{Place, Rounds};
use super::snapshot::{ProbeResult, Snapshot};
use super::target::Target;
use crate::collect::Collector;
use crate::mysql::budget::{Budget, Purpose};
use crate::mysql::failure::{Failure, Phase};
use crate::mysql::handshake::{self, Connection, PhaseTimes};
use crate::mysql::transport;

/// The collectors that say something of connections.
const ASKED: [&str; 6] = [
    "global_status",
    "global_variables",
    "conn.sessions",
    "conn.account_limits",
    "conn.host_cache",
    "conn.session_tls",
];

/// How long what was seen counts as new.
const SHOWN: Duration = Duration::from_secs(3600);

/// Looks at a target once.
pub async fn look(target: &Arc<Target>) -> Arc<Slot> {
    let slot = Arc::new(Slot::new(&target.name, target.label.clone(), target.unknown()));
    let budget = Budget::new(target.connections);
    let instruments = TargetInstruments::new(target.every, budget.clone());
    let pools = PoolInstruments::new(instruments.all());
    target.pools.iter().for_each(|plan| pools.declare(&plan.settings));
    let mut snapshot = target.unknown();
    if try_login(target, &budget, &instruments, &mut snapshot).await {
        slot.answered(Instant::now() + SHOWN);
        ask(target, &slot, &instruments, &mut snapshot).await;
    }
    slot.publish(instruments.block(target.label.as_deref()), snapshot);
    slot
}

/// Probes as the daemon does. Says whether it got in.
async fn try_login(target: &Target, budget: &Budget, instruments: &TargetInstruments, snapshot: &mut Snapshot) -> bool {
    let Some(place) = budget.take(Purpose::Probe) else { return false };
    let (phases, outcome, path): (Vec<_>, _, _) = match probe::probe(target, place, Known::NotAsked).await {
        Probed::Ended(ended) => {
            instruments.probe_took(ended.took, &ended.times);
            (ended.times.iter().collect(), ended.outcome, ended.path.map_or(Known::NotTold, |found| found.path))
        }
        // A person does not want to wait for a frozen server; the one connection is given up.
        Probed::Silent(silent) => {
            (silent.times().iter().collect(), Err(probe::no_greeting(silent.waited())), Known::NotTold)
        }
    };
    for (phase, took) in &phases {
        instruments.phase_last.with_label_values(&[phase.label()]).set(took.as_secs_f64());
    }
    let mut result = ProbeResult { at: SystemTime::now(), failure: None, phases, tls_version: None };
    let got_in = match outcome {
        Ok(facts) => {
            instruments.probe_succeeded();
            instruments.negotiated(&facts, path);
            result.tls_version = facts.tls.as_ref().map(|tls| tls.version.clone());
            snapshot.last_success = Some(result.at);
            snapshot.server = Some(facts.server);
            true
        }
        Err(failure) => {
            instruments.probe_failed(&failure);
            snapshot.consecutive_failures = 1;
            result.failure = Some(failure);
            false
        }
    };
    snapshot.probe = Some(result);
    got_in
}

/// Asks the collectors that are on.
async fn ask(target: &Target, slot: &Slot, instruments: &TargetInstruments, snapshot: &mut Snapshot) {
    let is_asked = |collector: &&'static Collector| ASKED.contains(&collector.name);
    let collectors: Vec<&'static Collector> = target.collectors.iter().copied().filter(is_asked).collect();
    let errand = Errand {
        label: target.label.clone(),
        tunables: target.tunables.clone(),
        needs: collectors.iter().map(|collector| collector.needs).collect(),
        server_limit: None,
        deadline: Instant::now() + target.timeout,
        each: BTreeMap::new(),
    };
    let collection = run(&errand, collectors, &Once { target }, Found::default()).await;
    let mut rounds = Rounds::new(target.every, target.follows, Place { place: 0, of: 1 });
    rounds.begin(Instant::now());
    rounds.ended(collection, target, slot, instruments, snapshot, false);
}

/// A connection for one look.
struct Once<'a> {
    target: &'a Target,
}

impl Source for Once<'_> {
    type Line = Connection;

    async fn open(&self, deadline: Instant) -> Result<Connection, Failure> {
        let Target { access, connect_timeout, .. } = self.target;
        let mut times = PhaseTimes::default();
        let addresses = handshake::resolve(access, deadline, &mut times).await?;
        let mut dialed = handshake::dial(access, &addresses, *connect_timeout, deadline, &mut times).await?;
        timeout_at(deadline, dialed.greeting()).await.unwrap_or_else(|_| Err(transport::timeout(Phase::Greeting)))?;
        dialed.login(access, deadline, &mut times).await
    }
}
