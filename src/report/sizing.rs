//! How large things should be: figures that follow from what was observed, for a site with little traffic and for one with
//! much.
//!
//! No figure is fixed. The low ones fit the peak that was seen, the high ones twice of it.

use serde::{Deserialize, Serialize};

use super::diagnose::Facts;
use super::diagnose::words::{found_safe, with_spare};

/// What was observed, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sizing {
    /// `Max_used_connections`.
    pub peak: u64,
    /// Hosts that hold sessions.
    pub hosts: u64,
    /// New connections a second since the server started.
    pub connections_per_second: f64,
    /// For a site whose traffic stays as it is.
    pub low_traffic: Figures,
    /// For one that must bear twice the peak.
    pub high_traffic: Figures,
}

/// Settings that fit together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub max_connections: u64,
    /// Of the pool of each host.
    pub pool_size: u64,
    /// How long a pool keeps a connection, in seconds.
    pub pool_lifetime_seconds: u64,
    /// After how long a rest a pool asks a connection for a sign of life before it hands it out, in seconds.
    pub pre_ping_after_seconds: f64,
    pub thread_cache_size: u64,
    pub back_log: u64,
}

/// The figures; none where the server has not told its peak.
pub fn sizing(facts: &Facts) -> Option<Sizing> {
    let peak = facts.status("max_used_connections")?.max(1.0);
    let hosts = facts.hosts();
    let uptime = facts.status("uptime")?.max(1.0);
    let rate = facts.status("connections").unwrap_or_default() / uptime;
    // The shorter of what the server and the path allow.
    let limits = [facts.variable("wait_timeout"), facts.value("mysql_conn_idle_lost_min_seconds")];
    let idle = limits.into_iter().flatten().fold(28_800.0, f64::min);
    let safe = found_safe(idle, facts.value("mysql_conn_idle_safe_lifetime_seconds"));
    Some(Sizing {
        peak: peak as u64,
        hosts: hosts as u64,
        connections_per_second: rate,
        // Connections rest long: each is asked before it is used, and may grow as old as is safe.
        low_traffic: figures(peak, hosts, safe, 0.0),
        // Connections hardly rest: asking each of them costs a round trip a request; half an hour spreads them over servers
        // that come and go.
        high_traffic: figures(peak * 2.0, hosts, safe.min(1800), 0.5),
    })
}

fn figures(peak: f64, hosts: f64, lifetime: u64, pre_ping_after: f64) -> Figures {
    let limit = with_spare(peak);
    Figures {
        max_connections: limit as u64,
        pool_size: (peak / hosts).ceil().max(1.0) as u64,
        pool_lifetime_seconds: lifetime,
        pre_ping_after_seconds: pre_ping_after,
        thread_cache_size: peak.clamp(8.0, 100.0) as u64,
        back_log: (50.0 + (limit / 5.0).ceil()).min(900.0) as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::metrics::{BlockBuilder, Kind};
    use crate::watch::snapshot::Snapshot;

    fn of(peak: f64) -> Sizing {
        let mut out = BlockBuilder::new(None);
        for (name, value) in [
            ("mysql_global_status_max_used_connections", peak),
            ("mysql_global_status_uptime", 1000.0),
            ("mysql_global_status_connections", 5000.0),
            ("mysql_global_variables_wait_timeout", 28_800.0),
            ("mysql_conn_idle_lost_min_seconds", 350.0),
        ] {
            out.single(name, Kind::Gauge, "", value);
        }
        let sessions = out.family("mysql_conn_sessions", Kind::Gauge, "");
        for host in ["a", "b", "c"] {
            out.sample(sessions, &[("user", "shop"), ("host_group", host)], 1.0);
        }
        let (blocks, snapshot) = ([Arc::new(out.finish())], Snapshot::default());
        sizing(&Facts::new(&blocks, &snapshot, Instant::now(), None)).expect("the peak is known")
    }

    #[test]
    fn figures_follow_from_the_peak() {
        let seen = of(70.0);
        assert_eq!((seen.peak, seen.hosts, seen.connections_per_second), (70, 3, 5.0));
        let Figures { max_connections, pool_size, pool_lifetime_seconds, thread_cache_size, back_log, .. } =
            seen.low_traffic;
        assert_eq!(
            [max_connections, pool_size, pool_lifetime_seconds, thread_cache_size, back_log],
            [100, 24, 280, 70, 70]
        );
        assert_eq!((seen.high_traffic.max_connections, seen.high_traffic.pool_size), (200, 47));
        assert_eq!(of(700.0).high_traffic.max_connections, 2000);
    }

    #[test]
    fn nothing_is_made_up() {
        let snapshot = Snapshot::default();
        assert_eq!(sizing(&Facts::new(&[], &snapshot, Instant::now(), None)), None);
    }
}
