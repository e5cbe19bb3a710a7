//! The whole picture of one target, for `status` and `diagnose`: made from the board, told as text or as JSON.
//!
//! Whether the board is a daemon's or was filled by one look from the command line makes no difference here.

mod shape;
mod told;

use std::time::SystemTime;

use tokio::time::Instant;

use super::diagnose::Facts;
use super::diagnose::words::{bytes, duration, with_spare};
use super::health::see;
use super::sizing::sizing;
use crate::watch::board::Slot;
use crate::watch::snapshot::{CollectorResult, Snapshot};

pub use shape::{Failing, Limit, Picture, Pool, Probe, Rest, Server, Session, Setting};

/// How many groups of sessions are told.
const TOP: usize = 10;

/// Makes the picture of a target.
pub fn picture(slot: &Slot, now: Instant) -> Picture {
    let (seen, blocks) = (see(slot, now), slot.shown(now));
    let snapshot = &seen.snapshot;
    let facts = Facts::new(&blocks, snapshot, now, None);
    // A task that watches knows more states than one look.
    let states = facts.all("mysql_conn_state");
    let state = states.iter().find(|state| state.value == 1.0).map(|state| state.label("state"));
    Picture {
        target: seen.name.clone(),
        address: snapshot.address.clone(),
        required: snapshot.required,
        up: seen.up,
        state: state.unwrap_or(seen.state()).to_owned(),
        probe: snapshot.probe.as_ref().map(|probe| {
            let failure = probe.failure.as_ref();
            Probe {
                at: time(probe.at),
                success: failure.is_none(),
                phases: probe
                    .phases
                    .iter()
                    .map(|(phase, took)| (phase.label().to_owned(), took.as_secs_f64()))
                    .collect(),
                phase: failure.map(|failure| failure.phase.label().to_owned()),
                reason: failure.map(|failure| failure.reason.label().to_owned()),
                errno: failure.and_then(|failure| failure.errno),
                detail: failure.map(|failure| failure.detail.clone()),
                hint: failure.and_then(|failure| failure.hint.clone()),
            }
        }),
        server: server(&facts, snapshot.account.as_deref()),
        pools: pools(&facts),
        limits: limits(&facts),
        settings: settings(&facts),
        sessions: sessions(&facts),
        rests: rests(&facts),
        failing: failing(snapshot),
        findings: seen.findings.to_vec(),
        sizing: sizing(&facts),
    }
}

fn server(facts: &Facts, account: Option<&str>) -> Option<Server> {
    let info = facts.all("mysql_conn_probe_info");
    let info = info.first()?;
    let label = |name: &str| info.label(name).to_owned();
    let owners = facts.all("mysql_conn_idle_limit_owner");
    let doors = facts.all("mysql_conn_door_in_use");
    let door = doors.iter().find(|door| door.value == 1.0);
    let not_after = facts.value("mysql_conn_probe_tls_certificate_not_after_timestamp_seconds");
    Some(Server {
        flavor: label("flavor"),
        version: label("version"),
        uptime_seconds: facts.status("uptime"),
        account: account.map(str::to_owned),
        auth_plugin: label("auth_plugin"),
        tls_version: label("tls_version"),
        tls_cipher: label("tls_cipher"),
        certificate_not_after: not_after
            .filter(|at| *at > 0.0)
            .map(|at| time(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs_f64(at))),
        path: label("path"),
        door: door.map_or_else(|| label("door"), |door| door.label("door").to_owned()),
        idle_limit_owner: owners.iter().find(|owner| owner.value == 1.0).map(|owner| owner.label("owner").to_owned()),
        idle_safe_lifetime_seconds: facts.value("mysql_conn_idle_safe_lifetime_seconds"),
    })
}

fn pools(facts: &Facts) -> Vec<Pool> {
    let of = |family: &str, pool: &str| facts.labelled(family, "pool", pool);
    let connections = facts.all("mysql_conn_pool_connections");
    let state = |pool: &str, state: &str| {
        let is_it = |sample: &&crate::metrics::Sample| sample.label("pool") == pool && sample.label("state") == state;
        connections.iter().find(is_it).map_or(0.0, |sample| sample.value)
    };
    let closed = facts.all("mysql_conn_pool_closed_total");
    let lost = |pool: &str| {
        let is_it = |sample: &&crate::metrics::Sample| sample.label("pool") == pool && sample.label("reason") == "lost";
        closed.iter().find(is_it).map_or(0.0, |sample| sample.value)
    };
    let pool = |size: crate::metrics::Sample| {
        let name = size.label("pool").to_owned();
        Pool {
            idle: state(&name, "idle"),
            used: state(&name, "used"),
            size: size.value,
            max_overflow: of("mysql_conn_pool_max_overflow", &name).unwrap_or_default(),
            recycle_seconds: of("mysql_conn_pool_recycle_seconds", &name),
            lost: lost(&name),
            name,
        }
    };
    facts.all("mysql_conn_pool_size").into_iter().map(pool).collect()
}

fn limits(facts: &Facts) -> Vec<Limit> {
    let used = facts.all("mysql_conn_used_connections");
    let limit = |limit: crate::metrics::Sample| {
        let (scope, user) = (limit.label("scope").to_owned(), limit.label("user").to_owned());
        let is_it = |used: &&crate::metrics::Sample| used.label("scope") == scope && used.label("user") == user;
        Limit {
            used: used.iter().find(is_it).map(|used| used.value),
            limit: limit.value,
            peak: if scope == "server" { facts.status("max_used_connections") } else { None },
            scope,
            user,
        }
    };
    facts.all("mysql_conn_limit_connections").into_iter().map(limit).collect()
}

/// The settings that matter to connections. What is wise is told for each, and follows from the peak where it does.
fn settings(facts: &Facts) -> Vec<Setting> {
    let peak = facts.status("max_used_connections").unwrap_or_default();
    let limit = facts.variable("max_connections").unwrap_or_default();
    let mut settings = Vec::new();
    let mut told = |name: &str, show: fn(f64) -> String, wise: String, is_wise: &dyn Fn(f64) -> bool| {
        if let Some(value) = facts.variable(name) {
            settings.push(Setting { name: name.to_owned(), value, shown: show(value), wise, is_wise: is_wise(value) });
        }
    };
    let between = |least: f64, most: f64| format!("{} to {}", duration(least), duration(most));
    told("wait_timeout", duration, between(600.0, 86_400.0), &|value| (60.0..=86_400.0).contains(&value));
    told("interactive_timeout", duration, between(600.0, 86_400.0), &|value| (60.0..=86_400.0).contains(&value));
    told("connect_timeout", duration, between(5.0, 60.0), &|value| (5.0..=60.0).contains(&value));
    told("net_read_timeout", duration, between(10.0, 600.0), &|value| (10.0..=600.0).contains(&value));
    told("net_write_timeout", duration, between(10.0, 600.0), &|value| (10.0..=600.0).contains(&value));
    told("max_allowed_packet", bytes, "16 MiB or more".to_owned(), &|value| value >= 4_194_304.0);
    told("max_connections", number, format!("{:.0} or more for a peak of {peak:.0}", with_spare(peak)), &|value| {
        peak < value * 0.85
    });
    told("max_user_connections", number, "0 (none), or more than any account needs".to_owned(), &|value| {
        value == 0.0 || value >= 20.0
    });
    told("max_connect_errors", number, "100 or more".to_owned(), &|value| value >= 100.0);
    told("skip_name_resolve", switch, "ON, with accounts of addresses".to_owned(), &|value| value == 1.0);
    let threads = peak.clamp(8.0, 100.0);
    told("thread_cache_size", number, format!("{threads:.0} or more"), &|value| value >= threads.min(8.0));
    let queue = (50.0 + (limit / 5.0).floor()).min(900.0);
    told("back_log", number, format!("{queue:.0} or more"), &|value| value >= queue);
    told("performance_schema", switch, "ON".to_owned(), &|value| value == 1.0);
    settings
}

fn sessions(facts: &Facts) -> Vec<Session> {
    let mut groups: Vec<Session> = Vec::new();
    for sample in facts.all("mysql_conn_sessions") {
        let (user, host, program) = (sample.label("user"), sample.label("host_group"), sample.label("program"));
        let at = groups.iter().position(|known| known.user == user && known.host == host && known.program == program);
        let at = at.unwrap_or_else(|| {
            let [user, host, program] = [user, host, program].map(str::to_owned);
            groups.push(Session { user, host, program, connections: 0.0, sleeping: 0.0 });
            groups.len() - 1
        });
        groups[at].connections += sample.value;
        if sample.label("state") == "sleep" {
            groups[at].sleeping += sample.value;
        }
    }
    groups.sort_by(|one, other| other.connections.total_cmp(&one.connections));
    groups.truncate(TOP);
    groups
}

fn rests(facts: &Facts) -> Vec<Rest> {
    let of = |family: &str, user: &str| facts.labelled(family, "user", user).unwrap_or_default();
    let rest = |oldest: crate::metrics::Sample| {
        let user = oldest.label("user").to_owned();
        Rest {
            oldest_seconds: oldest.value,
            near_timeout: of("mysql_conn_sessions_near_timeout", &user),
            in_transaction: of("mysql_conn_sessions_idle_in_transaction", &user),
            in_transaction_oldest_seconds: of("mysql_conn_sessions_idle_in_transaction_oldest_seconds", &user),
            user,
        }
    };
    let mut rests: Vec<Rest> = facts.all("mysql_conn_sessions_idle_oldest_seconds").into_iter().map(rest).collect();
    rests.sort_by(|one, other| other.oldest_seconds.total_cmp(&one.oldest_seconds));
    rests.truncate(TOP);
    rests
}

fn failing(snapshot: &Snapshot) -> Vec<Failing> {
    let failing = |one: &CollectorResult| {
        let error = one.error.clone()?;
        Some(Failing { name: one.name.clone().into_owned(), error, last_success: one.last_success.map(time) })
    };
    snapshot.collectors.iter().filter_map(failing).collect()
}

fn number(value: f64) -> String {
    format!("{value:.0}")
}

fn switch(value: f64) -> String {
    if value == 1.0 { "ON".to_owned() } else { "OFF".to_owned() }
}

/// RFC 3339 in UTC, to the second.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::metrics::{BlockBuilder, Kind};
    use crate::mysql::failure::{Failure, Phase, Reason};
    use crate::report::judge::judge;
    use crate::watch::finding::Severity;
    use crate::watch::snapshot::ProbeResult;

    fn slot(failure: Option<Failure>, fill: impl FnOnce(&mut BlockBuilder)) -> Arc<Slot> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let phases = vec![(Phase::Tcp, Duration::from_millis(1)), (Phase::Greeting, Duration::from_millis(2))];
        let probe = ProbeResult { at, failure, phases, tls_version: None };
        let snapshot = Snapshot {
            address: "db:3306".to_owned(),
            required: true,
            is_local: true,
            probe: Some(probe),
            ..Snapshot::default()
        };
        let slot = Arc::new(Slot::new("orders", Some("orders".to_owned()), Snapshot::default()));
        let mut out = BlockBuilder::new(slot.label());
        fill(&mut out);
        slot.publish(out.finish(), snapshot);
        judge(&slot, None, Instant::now());
        slot
    }

    #[test]
    fn what_is_down_is_told_with_its_reason() {
        let mut failure = Failure::new(Phase::Auth, Reason::AccessDenied, "Access denied").with_hint("the password");
        failure.errno = Some(1045);
        let picture = picture(&slot(Some(failure), |_| ()), Instant::now());
        assert_eq!(
            picture.told(),
            "orders (db:3306): not reachable, down: access_denied in phase auth (1045)\n  cause: Access denied\n  hint: the \
             password\n  findings: 1 critical\n    critical: no new client gets in: access_denied in phase auth \
             (cannot_connect)\n"
        );
        assert_eq!(picture.worst(), Some(Severity::Critical));
        let json = serde_json::to_string(&picture).expect("JSON");
        assert_eq!(serde_json::from_str::<Picture>(&json).expect("the same"), picture);
    }

    #[test]
    fn limits_settings_and_sessions_are_told() {
        let slot = slot(None, |out| {
            for (name, value) in [
                ("mysql_global_variables_wait_timeout", 28_800.0),
                ("mysql_global_variables_back_log", 10.0),
                ("mysql_global_variables_max_connections", 100.0),
                ("mysql_global_status_max_used_connections", 40.0),
            ] {
                out.single(name, Kind::Gauge, "", value);
            }
            let server = [("scope", "server"), ("user", "")];
            for (name, value) in [("mysql_conn_limit_connections", 100.0), ("mysql_conn_used_connections", 7.0)] {
                let id = out.family(name, Kind::Gauge, "");
                out.sample(id, &server, value);
            }
            let sessions = out.family("mysql_conn_sessions", Kind::Gauge, "");
            for (state, number) in [("sleep", 3.0), ("active", 2.0)] {
                let labels = [("user", "shop"), ("host_group", "web1"), ("program", "php"), ("state", state)];
                out.sample(sessions, &labels, number);
            }
            let oldest = out.family("mysql_conn_sessions_idle_oldest_seconds", Kind::Gauge, "");
            out.sample(oldest, &[("user", "shop")], 300.0);
        });
        let told = picture(&slot, Instant::now()).told();
        for shown in [
            "connections of server: 7 (7 %) of 100, at most 40\n",
            "    wait_timeout                  8 h   wise: 10 min to 24 h\n",
            "  ! back_log                       10   wise: 70 or more\n",
            "    shop from web1 by php: 5, of which 3 rest\n    shop rests for up to 5 min\n",
            "  findings: 1 info\n",
        ] {
            assert!(told.contains(shown), "{shown}: {told}");
        }
    }
}
