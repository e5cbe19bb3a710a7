//! What a target's counters did lately: the part of a judgement that one look cannot give.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Counters of the server whose growth is judged.
pub(super) const COUNTERS: [&str; 8] = [
    "mysql_global_status_connections",
    "mysql_global_status_aborted_clients",
    "mysql_global_status_aborted_connects",
    "mysql_global_status_aborted_connects_preauth",
    "mysql_global_status_access_denied_errors",
    "mysql_global_status_threads_created",
    "mysql_global_status_uptime",
    "mysql_global_status_threads_connected",
];

/// The last of them, which is no counter: its slope is what matters.
const USED: usize = 7;
const UPTIME: usize = 6;

/// Between two readings that are kept, and how many: half an hour.
const EVERY: Duration = Duration::from_secs(30);
const KEPT: usize = 60;

/// A slope over less than this is noise.
const TREND_SPAN: Duration = Duration::from_secs(600);

/// The readings of the last half hour. Bounded.
#[derive(Clone, Debug, Default)]
pub struct Past {
    readings: VecDeque<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    values: [f64; COUNTERS.len()],
}

/// By how much a counter has grown, and in which time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    pub(super) by: f64,
    pub(super) over: Duration,
}

impl Past {
    /// Takes a reading, unless the last is too young. A server that was started anew has no past.
    pub fn read(&mut self, at: Instant, value: impl Fn(&str) -> Option<f64>) {
        if self.readings.back().is_some_and(|last| at < last.at + EVERY) || value(COUNTERS[0]).is_none() {
            return;
        }
        let values = COUNTERS.map(|name| value(name).unwrap_or_default());
        if self.readings.back().is_some_and(|last| values[UPTIME] < last.values[UPTIME] || values[0] < last.values[0]) {
            self.readings.clear();
        }
        if self.readings.len() >= KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(Reading { at, values });
    }

    /// By how much a counter has grown within what is remembered, up to its value now.
    pub(super) fn growth(&self, counter: &str, now: f64, at: Instant) -> Option<Growth> {
        let place = COUNTERS.iter().position(|known| *known == counter)?;
        let first = self.readings.front()?;
        let over = at.saturating_duration_since(first.at);
        (over >= EVERY).then(|| Growth { by: (now - first.values[place]).max(0.0), over })
    }

    /// Connections that are added a second, by the straight line that fits best; none before ten minutes are known.
    pub(super) fn slope(&self) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        if last.at.saturating_duration_since(first.at) < TREND_SPAN {
            return None;
        }
        let count = self.readings.len() as f64;
        let points = || {
            let seconds = |reading: &Reading| reading.at.saturating_duration_since(first.at).as_secs_f64();
            self.readings.iter().map(move |reading| (seconds(reading), reading.values[USED]))
        };
        let mean = |values: f64| values / count;
        let (x, y) = (mean(points().map(|(x, _)| x).sum()), mean(points().map(|(_, y)| y).sum()));
        let spread: f64 = points().map(|(at, _)| (at - x).powi(2)).sum();
        let together: f64 = points().map(|(at, used)| (at - x) * (used - y)).sum();
        (spread > 0.0).then_some(together / spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(past: &mut Past, at: Instant, connections: f64, uptime: f64, used: f64) {
        past.read(at, |name| match name {
            "mysql_global_status_connections" => Some(connections),
            "mysql_global_status_uptime" => Some(uptime),
            "mysql_global_status_threads_connected" => Some(used),
            _ => None,
        });
    }

    #[test]
    fn growth_is_of_what_is_remembered_and_a_restart_forgets() {
        let (zero, mut past) = (Instant::now(), Past::default());
        let at = |seconds| zero + Duration::from_secs(seconds);
        let connections = COUNTERS[0];
        read(&mut past, at(0), 100.0, 1000.0, 1.0);
        assert_eq!(past.growth(connections, 120.0, at(10)), None);
        assert_eq!(past.growth(connections, 130.0, at(60)), Some(Growth { by: 30.0, over: Duration::from_secs(60) }));
        read(&mut past, at(60), 3.0, 5.0, 1.0);
        assert_eq!(past.growth(connections, 4.0, at(90)), Some(Growth { by: 1.0, over: Duration::from_secs(30) }));
        for minute in 2..200 {
            read(&mut past, at(60 * minute), 10.0, 60.0 * minute as f64, 1.0);
        }
        assert_eq!(past.readings.len(), KEPT);
    }

    #[test]
    fn a_slope_needs_ten_minutes() {
        let (zero, mut past) = (Instant::now(), Past::default());
        for step in 0..20_u32 {
            read(&mut past, zero + EVERY * step, 1.0, f64::from(step), 10.0 + f64::from(step) * 3.0);
            assert_eq!(past.slope(), None, "{step}");
        }
        read(&mut past, zero + EVERY * 20, 1.0, 20.0, 70.0);
        assert!((past.slope().expect("ten minutes") - 0.1).abs() < 1e-9);
    }
}
