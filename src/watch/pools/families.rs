//! The families of pools, and the instruments behind them.

use std::time::Duration;

use crate::metrics::{CONNECT_SECONDS, GaugeVec, HistogramVec, Instruments, IntCounterVec};
use crate::mysql::pool::{Checked, CloseReason, Counts, Settings, Waited};

crate::metrics! {
    /// Connections of the exporter's pool now. idle: rests in it; used: is checked, used or reset.
    POOL_CONNECTIONS: gauge "mysql_conn_pool_connections" { pool, state };
    /// How many connections stay in the pool, as configured (`size`).
    POOL_SIZE: gauge "mysql_conn_pool_size" { pool };
    /// How many more connections there may be, as configured (`max_overflow`); they are closed when they come back.
    POOL_MAX_OVERFLOW: gauge "mysql_conn_pool_max_overflow" { pool };
    /// Seconds after which a connection is replaced when it is next wanted, as configured (`recycle`). Absent for `never`.
    POOL_RECYCLE: gauge "mysql_conn_pool_recycle_seconds" { pool };
    /// Who waits for a connection of the pool now.
    POOL_PENDING: gauge "mysql_conn_pool_pending_requests" { pool };
    /// Seconds from asking the pool for a connection to having one: waiting, checking and opening, where it ended well.
    POOL_ACQUIRE_WAIT: histogram(WAIT_SECONDS) "mysql_conn_pool_acquire_wait_seconds" { pool };
    /// How often the pool was asked for a connection since the exporter started. ok: there was one; timeout: none came free in time; error: opening one failed.
    POOL_ACQUIRES: counter "mysql_conn_pool_acquires_total" { pool, result };
    /// Seconds that opening a connection for the pool took, where it succeeded: login and settings.
    POOL_CREATE_DURATION: histogram(CONNECT_SECONDS) "mysql_conn_pool_create_duration_seconds" { pool };
    /// Seconds from having a connection to giving it back.
    POOL_USE_DURATION: histogram(WAIT_SECONDS) "mysql_conn_pool_use_duration_seconds" { pool };
    /// Connections opened for the pool since the exporter started, and those that could not be. What was opened is closed or still there.
    POOL_OPENED: counter "mysql_conn_pool_opened_total" { pool, result };
    /// Connections that left the pool since the exporter started. recycle: older than `recycle`; superfluous: came back when `size` others rested; lost: ended without our wish, see mysql_conn_lost_total; reset_failed: the server refused to reset it; cancelled: its user stopped in the middle of an answer; recover: an operator wanted new ones; shutdown: the exporter ends.
    POOL_CLOSED: counter "mysql_conn_pool_closed_total" { pool, reason };
    /// Connections that were asked for a sign of life before they were handed out (`pre_ping`), since the exporter started. dead: an application without that check would have met the error.
    POOL_CHECKS: counter "mysql_conn_pool_checks_total" { pool, result };
    /// Seconds that a connection of the pool had rested when it was found lost.
    POOL_LOST_AGE: histogram(AGE_SECONDS) "mysql_conn_pool_lost_age_seconds" { pool };
}

const WAIT_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
const AGE_SECONDS: &[f64] = &[1.0, 10.0, 50.0, 70.0, 250.0, 340.0, 400.0, 700.0, 1000.0, 2000.0, 4000.0, 29000.0];

/// The instruments of a target's pools.
#[derive(Clone, Debug)]
pub struct PoolInstruments {
    connections: GaugeVec,
    size: GaugeVec,
    max_overflow: GaugeVec,
    recycle: GaugeVec,
    pending: GaugeVec,
    acquire_wait: HistogramVec,
    acquires: IntCounterVec,
    create_duration: HistogramVec,
    use_duration: HistogramVec,
    opened: IntCounterVec,
    closed: IntCounterVec,
    checks: IntCounterVec,
    lost_age: HistogramVec,
}

impl PoolInstruments {
    pub fn new(all: &Instruments) -> PoolInstruments {
        PoolInstruments {
            connections: all.gauges(&POOL_CONNECTIONS),
            size: all.gauges(&POOL_SIZE),
            max_overflow: all.gauges(&POOL_MAX_OVERFLOW),
            recycle: all.gauges(&POOL_RECYCLE),
            pending: all.gauges(&POOL_PENDING),
            acquire_wait: all.histograms(&POOL_ACQUIRE_WAIT),
            acquires: all.counters(&POOL_ACQUIRES),
            create_duration: all.histograms(&POOL_CREATE_DURATION),
            use_duration: all.histograms(&POOL_USE_DURATION),
            opened: all.counters(&POOL_OPENED),
            closed: all.counters(&POOL_CLOSED),
            checks: all.counters(&POOL_CHECKS),
            lost_age: all.histograms(&POOL_LOST_AGE),
        }
    }

    /// A pool: what is configured, and closed sets at 0.
    pub fn declare(&self, settings: &Settings) {
        let pool = &*settings.name;
        self.size.with_label_values(&[pool]).set(f64::from(settings.size));
        self.max_overflow.with_label_values(&[pool]).set(f64::from(settings.max_overflow));
        if let Some(recycle) = settings.recycle {
            self.recycle.with_label_values(&[pool]).set(recycle.as_secs_f64());
        }
        for result in ["ok", "error"] {
            self.opened.with_label_values(&[pool, result]);
        }
        for waited in Waited::ALL {
            self.acquires.with_label_values(&[pool, waited.label()]);
        }
        for reason in CloseReason::ALL {
            self.closed.with_label_values(&[pool, reason.label()]);
        }
        for checked in Checked::ALL {
            self.checks.with_label_values(&[pool, checked.label()]);
        }
        self.counted(pool, Counts::default());
    }

    /// How the pool stands now.
    pub fn counted(&self, pool: &str, counts: Counts) {
        self.connections.with_label_values(&[pool, "idle"]).set(f64::from(counts.idle));
        self.connections.with_label_values(&[pool, "used"]).set(f64::from(counts.used));
        self.pending.with_label_values(&[pool]).set(f64::from(counts.pending));
    }

    pub fn opened(&self, pool: &str, ok: bool, took: Duration) {
        self.opened.with_label_values(&[pool, if ok { "ok" } else { "error" }]).inc();
        if ok {
            self.create_duration.with_label_values(&[pool]).observe(took.as_secs_f64());
        }
    }

    pub fn closed(&self, pool: &str, reason: CloseReason) {
        self.closed.with_label_values(&[pool, reason.label()]).inc();
    }

    pub fn waited(&self, pool: &str, result: Waited, took: Duration) {
        self.acquires.with_label_values(&[pool, result.label()]).inc();
        if result == Waited::Ok {
            self.acquire_wait.with_label_values(&[pool]).observe(took.as_secs_f64());
        }
    }

    pub fn checked(&self, pool: &str, result: Checked) {
        self.checks.with_label_values(&[pool, result.label()]).inc();
    }

    pub fn used(&self, pool: &str, took: Duration) {
        self.use_duration.with_label_values(&[pool]).observe(took.as_secs_f64());
    }

    pub fn lost(&self, pool: &str, rested: Duration) {
        self.lost_age.with_label_values(&[pool]).observe(rested.as_secs_f64());
    }
}
