//! How much room is left below the server's connection limits, and when there was least.

use crate::collect::account_limits::{HEADROOM_RATIO, LIMIT_CONNECTIONS, USED_CONNECTIONS};
use crate::collect::value;
use crate::metrics::{Block, BlockBuilder, Family};
use crate::mysql::rows::Rows;
use crate::mysql::server::Flavor;

crate::metrics! {
    /// `Max_used_connections` (since the server started, or FLUSH STATUS) as a share of `max_connections`; the administrators' extra connection counts as full.
    PEAK_RATIO: gauge "mysql_conn_peak_ratio" {};
    /// When `Max_used_connections` was reached, in seconds since 1970. Source: `Max_used_connections_time` of SHOW GLOBAL STATUS where the server has it and its time zone is UTC or an offset; else the first round that saw it, up to an interval later. Absent while not known.
    PEAK_AT: gauge "mysql_conn_peak_timestamp_seconds" {};
}

/// The limits of a server, as its variables say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// `max_connections`.
    pub(super) server: f64,
    /// What its descriptors are enough for, where that is less.
    files: Option<f64>,
    /// It has an admin port.
    has_admin_port: bool,
    /// By which its words for moments are ahead of UTC.
    ahead: Option<f64>,
}

impl Limits {
    /// Reads SHOW GLOBAL VARIABLES; none where even `max_connections` is missing.
    pub(super) fn read(variables: &Rows, flavor: Flavor) -> Option<Limits> {
        let server = value(variables, "max_connections")?;
        let text = |name: &str| {
            let found = variables.pairs().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, text)| text).unwrap_or_default()
        };
        let tables = value(variables, "table_open_cache").unwrap_or(f64::INFINITY);
        // Each connection takes a descriptor. MySQL reckons so at its start, and lowers `max_connections`; MariaDB leaves
        // it, and so does whoever raises it later. A table takes two, and that many tables are kept for.
        let kept = match flavor {
            Flavor::MySql => 10.0 + 2.0 * tables.min(400.0),
            Flavor::MariaDb => 30.0 + 2.0 * tables.min(200.0),
        };
        let files = value(variables, "open_files_limit").filter(|files| *files > 0.0);
        let files = files.map(|files| (files - kept).max(1.0)).filter(|enough_for| *enough_for < server);
        let has_admin_port = !text("admin_address").is_empty();
        Some(Limits { server, files, has_admin_port, ahead: ahead(text("time_zone"), text("system_time_zone")) })
    }
}

/// By how many seconds a time zone is ahead of UTC, where that never changes.
fn ahead(zone: &str, of_system: &str) -> Option<f64> {
    let is_utc = |zone: &str| ["UTC", "GMT", "Etc/UTC"].contains(&zone);
    if is_utc(zone) || zone == "SYSTEM" && is_utc(of_system) {
        return Some(0.0);
    }
    let sign = match zone.bytes().next()? {
        b'+' => 1.0,
        b'-' => -1.0,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    Some(sign * (hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0))
}

/// What the server said of its connections in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Headroom {
    pub(super) limits: Option<Limits>,
    used: Option<f64>,
    peak: Option<f64>,
    /// When that was, in the server's words read as UTC.
    peak_told: Option<f64>,
    /// When that was.
    pub(super) peak_at: Option<f64>,
}

impl Headroom {
    /// Takes SHOW GLOBAL STATUS.
    pub(super) fn status(&mut self, status: &Rows) {
        self.used = value(status, "Threads_connected");
        self.peak = value(status, "Max_used_connections");
        self.peak_told = value(status, "Max_used_connections_time");
    }

    /// Connections in use and the limit, where both are known.
    pub(super) fn connections(&self) -> Option<(u64, u64)> {
        Some((self.used? as u64, self.limits?.server as u64))
    }

    pub(super) fn block(&self, label: Option<&str>) -> Block {
        let mut out = BlockBuilder::new(label);
        let mut write = |family: &'static Family, labels: &[(&str, &str)], value: Option<f64>| {
            if let Some(value) = value {
                let id = out.family(family.name, family.kind, family.help());
                out.sample(id, labels, value);
            }
        };
        let limits = self.limits.unwrap_or_default();
        let server = self.limits.map(|limits| limits.server);
        let share = |part: Option<f64>, of: Option<f64>| Some(part? / of.filter(|limit| *limit > 0.0)?);
        for (scope, limit) in [("server", server), ("open_files", limits.files)] {
            let labels = [("scope", scope), ("user", "")];
            let used = self.used.filter(|_| scope == "server" || limit.is_some());
            write(&LIMIT_CONNECTIONS, &labels, limit);
            write(&USED_CONNECTIONS, &labels, used);
            write(&HEADROOM_RATIO, &labels, share(used, limit).map(|used| (1.0 - used).clamp(0.0, 1.0)));
        }
        if limits.has_admin_port {
            let labels = [("scope", "admin"), ("user", "")];
            write(&LIMIT_CONNECTIONS, &labels, Some(f64::INFINITY));
            write(&HEADROOM_RATIO, &labels, Some(1.0));
        }
        write(&PEAK_RATIO, &[], share(self.peak, server).map(|peak| peak.min(1.0)));
        write(&PEAK_AT, &[], self.peak_at);
        out.finish()
    }
}

/// When the peak was, as rounds have seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Peak {
    highest: Option<f64>,
    seen_at: Option<f64>,
}

impl Peak {
    /// When the peak of a round was: the server's word for it, else when it was first seen.
    pub(super) fn of(&mut self, headroom: &Headroom, now: f64) -> Option<f64> {
        let peak = headroom.peak?;
        match self.highest.replace(peak) {
            Some(before) if peak > before => self.seen_at = Some(now),
            Some(before) if peak < before => self.seen_at = None,
            _ => {}
        }
        let ahead = headroom.limits.and_then(|limits| limits.ahead);
        let told = headroom.peak_told.filter(|told| *told > 0.0).zip(ahead).map(|(told, ahead)| told - ahead);
        told.or(self.seen_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, write};

    fn shown(headroom: Headroom) -> Vec<String> {
        let text = write(&[std::sync::Arc::new(headroom.block(None))], Format::Text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn rows(pairs: &[(&str, &str)]) -> Rows {
        Rows::of(&["Variable_name", "Value"], pairs.iter().map(|(name, value)| vec![Some(*name), Some(*value)]))
    }

    fn limits(flavor: Flavor, variables: &[(&str, &str)]) -> Limits {
        Limits::read(&rows(variables), flavor).expect("max_connections is there")
    }

    fn headroom(limits: Option<Limits>, used: Option<f64>, peak: Option<f64>) -> Headroom {
        Headroom { limits, used, peak, ..Headroom::default() }
    }

    #[test]
    fn a_full_server_has_no_headroom_and_never_less() {
        let full = Limits { server: 100.0, ..Limits::default() };
        assert_eq!(
            shown(headroom(Some(full), Some(101.0), Some(101.0))),
            [
                "mysql_conn_headroom_ratio{scope=\"server\",user=\"\"} 0",
                "mysql_conn_limit_connections{scope=\"server\",user=\"\"} 100",
                "mysql_conn_peak_ratio 1",
                "mysql_conn_used_connections{scope=\"server\",user=\"\"} 101",
            ]
        );
    }

    #[test]
    fn what_the_server_did_not_say_is_left_out() {
        assert_eq!(shown(Headroom::default()), Vec::<String>::new());
        assert_eq!(shown(headroom(Some(Limits::default()), Some(1.0), None)).len(), 2);
    }

    #[test]
    fn open_files_are_a_limit_where_they_are_the_lower_one() {
        let files = |flavor, files, tables, connections| {
            let says = [("open_files_limit", files), ("table_open_cache", tables), ("max_connections", connections)];
            limits(flavor, &says).files
        };
        // As MySQL 9.7 lowers its limit itself; so there is nothing more to say.
        assert_eq!(files(Flavor::MySql, "2048", "400", "5000"), Some(1238.0));
        assert_eq!(files(Flavor::MySql, "2048", "400", "1238"), None);
        assert_eq!(files(Flavor::MariaDb, "2048", "2000", "5000"), Some(1618.0));
        assert_eq!(files(Flavor::MariaDb, "2048", "100", "5000"), Some(1818.0));
        assert_eq!(files(Flavor::MariaDb, "32768", "2000", "151"), None);
        assert_eq!(files(Flavor::MySql, "0", "400", "5000"), None);
        let capped = limits(Flavor::MariaDb, &[("open_files_limit", "1430"), ("max_connections", "5000")]);
        let lines = shown(headroom(Some(capped), Some(250.0), None));
        for expected in [
            "mysql_conn_limit_connections{scope=\"open_files\",user=\"\"} 1000",
            "mysql_conn_used_connections{scope=\"open_files\",user=\"\"} 250",
            "mysql_conn_headroom_ratio{scope=\"open_files\",user=\"\"} 0.75",
        ] {
            assert!(lines.contains(&expected.to_owned()), "{expected}: {lines:#?}");
        }
    }

    #[test]
    fn an_admin_port_has_no_limit() {
        let of = limits(Flavor::MySql, &[("max_connections", "10"), ("admin_address", "127.0.0.1")]);
        let lines = shown(headroom(Some(of), Some(10.0), None));
        assert!(
            lines.contains(&"mysql_conn_limit_connections{scope=\"admin\",user=\"\"} +Inf".to_owned()),
            "{lines:#?}"
        );
        assert!(lines.contains(&"mysql_conn_headroom_ratio{scope=\"admin\",user=\"\"} 1".to_owned()), "{lines:#?}");
        let without = limits(Flavor::MySql, &[("max_connections", "10"), ("admin_address", "")]);
        assert!(!without.has_admin_port);
    }

    #[test]
    fn when_the_peak_was_is_the_servers_word_or_when_it_was_first_seen() {
        let mut peak = Peak::default();
        let mut at = |zone: &str, peaked: f64, told: Option<f64>, now: f64| {
            let of =
                limits(Flavor::MySql, &[("max_connections", "10"), ("time_zone", zone), ("system_time_zone", "CET")]);
            peak.of(&Headroom { peak_told: told, ..headroom(Some(of), None, Some(peaked)) }, now)
        };
        assert_eq!(at("+02:30", 3.0, Some(20_000.0), 1.0), Some(11_000.0));
        assert_eq!(at("-01:00", 3.0, Some(20_000.0), 1.0), Some(23_600.0));
        // A zone with summers: the words may mean two moments.
        assert_eq!(at("SYSTEM", 3.0, Some(20_000.0), 1.0), None);
        assert_eq!(at("Europe/Vienna", 3.0, None, 2.0), None, "it was before anybody looked");
        assert_eq!(at("SYSTEM", 5.0, None, 3.0), Some(3.0));
        assert_eq!(at("SYSTEM", 5.0, None, 4.0), Some(3.0));
        assert_eq!(at("SYSTEM", 1.0, None, 5.0), None, "the server was started anew");
        assert_eq!(at("SYSTEM", 2.0, None, 6.0), Some(6.0));
        assert_eq!(ahead("SYSTEM", "UTC"), Some(0.0));
    }
}
