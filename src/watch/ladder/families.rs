//! The ladder's families, and the instruments behind them.

use std::time::Duration;

use super::bounds::{Bounds, Owner};
use super::canary::Role;
use super::tested::TestResult;
use crate::metrics::{Gauge, GaugeVec, Instruments, IntCounterVec};

crate::metrics! {
    /// Connections of ours that rest now to find out how long an idle connection lives on the path from this exporter. watching: rests until somebody ends it; searching: is pinged after its rest.
    IDLE_CANARIES: gauge "mysql_conn_idle_canaries" { role };
    /// Tests of the idle ladder by result since the exporter started. survived: answered after its rest; lost: idleness ended it, at the limit or beyond; void: an outage, a KILL or a full server spoilt it.
    IDLE_TESTS: counter "mysql_conn_idle_tests_total" { result };
    /// Seconds of the longest rest that a connection survived on the path from this exporter to the server; clients elsewhere have other paths. 0 while none has.
    IDLE_SURVIVED_MAX: gauge "mysql_conn_idle_survived_max_seconds" {};
    /// Seconds of the shortest rest that ended connections on the path from this exporter to the server, as confirmed by a second test; clients elsewhere have other paths. Absent while no limit is confirmed.
    IDLE_LOST_MIN: gauge "mysql_conn_idle_lost_min_seconds" {};
    /// Seconds after which the server says that it ends idle connections (its global `wait_timeout` and `interactive_timeout`). Absent while not known.
    IDLE_TIMEOUT_CONFIGURED: gauge "mysql_conn_idle_timeout_configured_seconds" { setting };
    /// Who ends an idle connection first on the path from this exporter (1 for one of them). server: the path keeps connections up to the server's own `wait_timeout`; middlebox: something in between is quicker; none_seen: nobody, as far as was tried yet.
    IDLE_LIMIT_OWNER: gauge "mysql_conn_idle_limit_owner" { owner };
    /// Seconds that a pool may keep a connection so that idleness never ends one: 80 % of the longest rest that the path from this exporter survived, or of `wait_timeout` where that is less, and at most that less 10 s (less half of it below 20 s). Absent while not known.
    IDLE_SAFE_LIFETIME: gauge "mysql_conn_idle_safe_lifetime_seconds" {};
}

/// What a target shows of its ladder.
#[derive(Clone, Debug)]
pub struct IdleInstruments {
    canaries: GaugeVec,
    tests: IntCounterVec,
    survived_max: Gauge,
    lost_min: GaugeVec,
    configured: GaugeVec,
    owner: GaugeVec,
    safe_lifetime: GaugeVec,
}

impl IdleInstruments {
    /// Registers the families with a target's others; closed sets stand at 0.
    pub fn new(all: &Instruments) -> IdleInstruments {
        let instruments = IdleInstruments {
            canaries: all.gauges(&IDLE_CANARIES),
            tests: all.counters(&IDLE_TESTS),
            survived_max: all.gauge(&IDLE_SURVIVED_MAX),
            lost_min: all.gauges(&IDLE_LOST_MIN),
            configured: all.gauges(&IDLE_TIMEOUT_CONFIGURED),
            owner: all.gauges(&IDLE_LIMIT_OWNER),
            safe_lifetime: all.gauges(&IDLE_SAFE_LIFETIME),
        };
        for role in Role::ALL {
            instruments.parked(role, 0);
        }
        for result in TestResult::ALL {
            instruments.tests.with_label_values(&[result.label()]);
        }
        instruments.known(Bounds::default(), None);
        instruments
    }

    /// Counts a test that is decided.
    pub fn tested(&self, result: TestResult) {
        self.tests.with_label_values(&[result.label()]).inc();
    }

    pub fn parked(&self, role: Role, count: usize) {
        self.canaries.with_label_values(&[role.label()]).set(count as f64);
    }

    pub fn configured(&self, wait_timeout: Duration, interactive_timeout: Duration) {
        for (setting, value) in [("wait_timeout", wait_timeout), ("interactive_timeout", interactive_timeout)] {
            self.configured.with_label_values(&[setting]).set(value.as_secs_f64());
        }
    }

    /// Shows the bounds and what follows from them and, once that is known, from the server's `wait_timeout`.
    pub fn known(&self, bounds: Bounds, wait_timeout: Option<Duration>) {
        self.survived_max.set(bounds.survived.as_secs_f64());
        set_or_absent(&self.lost_min, bounds.lost);
        let owner = bounds.owner(wait_timeout);
        for each in Owner::ALL {
            self.owner.with_label_values(&[each.label()]).set(f64::from(each == owner));
        }
        set_or_absent(&self.safe_lifetime, wait_timeout.and_then(|wait_timeout| bounds.safe_lifetime(wait_timeout)));
    }
}

fn set_or_absent(gauge: &GaugeVec, value: Option<Duration>) {
    match value {
        Some(value) => gauge.with_label_values::<&str>(&[]).set(value.as_secs_f64()),
        None => gauge.reset(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{BlockBuilder, Format, write};

    fn shown(all: &Instruments) -> Vec<String> {
        let mut out = BlockBuilder::new(None);
        all.write(&mut out);
        let text = write(&[std::sync::Arc::new(out.finish())], Format::Text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_not_known_is_absent_and_closed_sets_are_whole() {
        let all = Instruments::default();
        let instruments = IdleInstruments::new(&all);
        let lines = shown(&all);
        assert!(lines.contains(&"mysql_conn_idle_survived_max_seconds 0".to_owned()), "{lines:?}");
        assert!(lines.contains(&"mysql_conn_idle_limit_owner{owner=\"none_seen\"} 1".to_owned()), "{lines:?}");
        assert!(lines.contains(&"mysql_conn_idle_tests_total{result=\"void\"} 0".to_owned()), "{lines:?}");
        assert_eq!(lines.len(), 2 + 3 + 1 + 3, "{lines:?}");
        let bounds = Bounds { survived: Duration::from_secs(349), lost: Some(Duration::from_secs(350)) };
        instruments.known(bounds, Some(Duration::from_secs(28800)));
        let lines = shown(&all);
        assert!(lines.contains(&"mysql_conn_idle_lost_min_seconds 350".to_owned()), "{lines:?}");
        assert!(lines.contains(&"mysql_conn_idle_safe_lifetime_seconds 279".to_owned()), "{lines:?}");
        assert!(lines.contains(&"mysql_conn_idle_limit_owner{owner=\"middlebox\"} 1".to_owned()), "{lines:?}");
        instruments.known(Bounds { lost: None, ..bounds }, None);
        assert_eq!(shown(&all).len(), 9);
    }
}
