//! Counters made of what the server has summed up by itself: connections that accounts opened, errors that they met, errors
//! of hosts.
//!
//! The server's sums fall when it restarts, when somebody empties its tables, when it forgets a host. Its accounts may be
//! thousands. So what is shown are counters of our own, fed with the differences: nothing falls, the names that were met
//! first and largest stay, and `other` takes the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::collect::HostGroups;
use crate::collect::accounts::OPENED;
use crate::collect::host_cache::{self, BEFORE_KINDS, KINDS};
use crate::collect::server_errors::{self, ABOUT_CONNECTIONS};
use crate::collect::tally::OTHER;
use crate::metrics::{Instruments, IntCounterVec};
use crate::mysql::rows::Rows;

/// Pairs of account and host that are told apart.
const PAIRS: usize = 20;

/// Accounts whose errors are told apart.
const ACCOUNTS: usize = 10;

/// As many rows as the statements of `collect` ask for: with so many, there are others.
const MOST_ACCOUNTS: usize = 200;
const MOST_ERRORS: usize = 2000;

/// The counters of one target. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct View {
    state: Arc<Mutex<State>>,
    opened: IntCounterVec,
    errors: IntCounterVec,
    of_hosts: IntCounterVec,
}

#[derive(Debug, Default)]
struct State {
    opened: Differences,
    all_opened: Option<u64>,
    pairs: Kept<[String; 2]>,
    errors: Differences,
    accounts: Kept<String>,
    of_hosts: Option<[u64; KINDS.len()]>,
}

impl View {
    pub(super) fn new(all: &Instruments) -> View {
        let of_hosts = all.counters(&host_cache::ERRORS);
        View {
            state: Arc::default(),
            opened: all.counters(&OPENED),
            errors: all.counters(&server_errors::ERRORS),
            of_hosts,
        }
    }

    /// Takes what a collector's statements were answered. Hosts are told by their groups.
    pub(super) fn take(&self, collector: &str, answers: &[Rows], groups: &HostGroups) {
        match (collector, answers) {
            ("conn.accounts", [sum, rows]) => self.accounts(sum, rows, groups),
            ("conn.server_errors", [rows]) => self.errors(rows),
            ("conn.host_cache", [rows]) => self.host_cache(rows),
            _ => {}
        }
    }

    fn accounts(&self, sum: &Rows, rows: &Rows, groups: &HostGroups) {
        let mut state = self.state();
        let state = &mut *state;
        let now: Vec<([String; 2], u64)> = rows
            .iter()
            .filter_map(|row| match row[..] {
                [Some(user), host, Some(total)] => {
                    Some(([user.to_owned(), host.unwrap_or_default().to_owned()], total.parse().ok()?))
                }
                _ => None,
            })
            .collect();
        let of_rows = state.opened.of(&now, now.len() >= MOST_ACCOUNTS);
        let all: u64 = sum.scalar().and_then(|sum| sum.parse().ok()).unwrap_or_default();
        let seen: u64 = of_rows.iter().map(|(_, difference)| difference).sum();
        let before = state.all_opened.replace(all);
        let beyond = before.and_then(|before| all.checked_sub(before)).unwrap_or_default().saturating_sub(seen);
        for ([user, host], difference) in of_rows {
            // The server's sums are of hosts; what they grew by is told of their group.
            let pair = [user, groups.of(&host).to_owned()];
            let [user, host] = match state.pairs.keep(&pair, PAIRS) {
                true => pair,
                false => [OTHER.to_owned(), OTHER.to_owned()],
            };
            self.opened.with_label_values(&[user, host]).inc_by(difference);
        }
        if beyond > 0 {
            self.opened.with_label_values(&[OTHER, OTHER]).inc_by(beyond);
        }
    }

    fn errors(&self, rows: &Rows) {
        let mut state = self.state();
        let state = &mut *state;
        let now: Vec<([String; 2], u64)> = rows
            .iter()
            .filter_map(|row| match row[..] {
                [Some(user), Some(errno), Some(sum)] => Some(([user.to_owned(), errno.to_owned()], sum.parse().ok()?)),
                _ => None,
            })
            .collect();
        for ([user, errno], difference) in state.errors.of(&now, now.len() >= MOST_ERRORS) {
            if difference == 0 {
                continue;
            }
            let user = if state.accounts.keep(&user, ACCOUNTS) { user.as_str() } else { OTHER };
            let errno = if ABOUT_CONNECTIONS.contains(&errno.as_str()) { errno.as_str() } else { OTHER };
            self.errors.with_label_values(&[user, errno]).inc_by(difference);
        }
    }

    fn host_cache(&self, rows: &Rows) {
        let Some(row) = rows.iter().next().filter(|row| row.len() == BEFORE_KINDS + KINDS.len()) else { return };
        let sum = |at: usize| row[BEFORE_KINDS + at].and_then(|text| text.parse().ok()).unwrap_or_default();
        let now: [u64; KINDS.len()] = std::array::from_fn(sum);
        let before = self.state().of_hosts.replace(now).unwrap_or(now);
        for (at, kind) in KINDS.into_iter().enumerate() {
            // A sum that fell has lost a host: what that one had was counted when it came.
            self.of_hosts.with_label_values(&[kind]).inc_by(now[at].saturating_sub(before[at]));
        }
    }

    /// A holder that panicked leaves at worst a difference that is told twice.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By how much sums have grown since they were last seen.
#[derive(Debug, Default)]
struct Differences {
    last: Option<BTreeMap<[String; 2], u64>>,
    /// There were more sums than were seen.
    was_cut: bool,
}

impl Differences {
    fn of(&mut self, now: &[([String; 2], u64)], is_cut: bool) -> Vec<([String; 2], u64)> {
        let is_first = self.last.is_none();
        let last = self.last.take().unwrap_or_default();
        let difference = |key: &[String; 2], now: u64| match last.get(key) {
            Some(last) if now >= *last => now - last,
            // It began anew.
            Some(_) => now,
            // What was there before anybody looked, or below the cut, is not of now.
            None if is_first || self.was_cut => 0,
            None => now,
        };
        let grown = now.iter().map(|(key, sum)| (key.clone(), difference(key, *sum))).collect();
        self.last = Some(now.iter().cloned().collect());
        self.was_cut = is_cut;
        grown
    }
}

/// Names that are told apart: the first that come, up to a number.
#[derive(Debug)]
struct Kept<N>(BTreeSet<N>);

impl<N> Default for Kept<N> {
    fn default() -> Kept<N> {
        Kept(BTreeSet::new())
    }
}

impl<N: Ord + Clone> Kept<N> {
    fn keep(&mut self, name: &N, most: usize) -> bool {
        self.0.contains(name) || self.0.len() < most && self.0.insert(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::{BlockBuilder, Format, write};

    struct World {
        all: Instruments,
        view: View,
        groups: HostGroups,
    }

    impl World {
        fn new() -> World {
            let all = Instruments::default();
            World { view: View::new(&all), all, groups: HostGroups::default() }
        }

        fn accounts(&self, sum: u64, rows: &[(&str, &str, u64)]) {
            let (sum, rows): (_, Vec<[String; 3]>) = (
                sum.to_string(),
                rows.iter().map(|(user, host, n)| [(*user).into(), (*host).into(), n.to_string()]).collect(),
            );
            let sum = Rows::of(&["s"], [vec![Some(sum.as_str())]]);
            let rows = rows.iter().map(|row| row.iter().map(|text| Some(text.as_str())).collect());
            let rows = Rows::of(&["u", "h", "n"], rows);
            self.view.take("conn.accounts", &[sum, rows], &self.groups);
        }

        fn lines(&self) -> Vec<String> {
            let mut out = BlockBuilder::new(None);
            self.all.write(&mut out);
            let text = write(&[Arc::new(out.finish())], Format::Text);
            text.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0")).map(str::to_owned).collect()
        }
    }

    #[test]
    fn differences_are_counted_and_a_restart_of_the_server_falls_nowhere() {
        let world = World::new();
        world.accounts(100, &[("shop", "h1", 90), ("cron", "h2", 10)]);
        assert_eq!(world.lines(), [""; 0], "what was before anybody looked is not counted");
        world.accounts(130, &[("shop", "h1", 105), ("cron", "h2", 15), ("new", "h3", 10)]);
        let opened =
            |user, host, n| format!("mysql_conn_sessions_opened_total{{host_group=\"{host}\",user=\"{user}\"}} {n}");
        let expected = vec![opened("cron", "h2", 5), opened("new", "h3", 10), opened("shop", "h1", 15)];
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sorted(world.lines()), sorted(expected));
        // The server was restarted.
        world.accounts(3, &[("shop", "h1", 2), ("cron", "h2", 1)]);
        let expected = vec![opened("cron", "h2", 6), opened("new", "h3", 10), opened("shop", "h1", 17)];
        assert_eq!(sorted(world.lines()), sorted(expected));
    }

    #[test]
    fn what_is_below_the_cut_goes_to_other_and_is_never_counted_twice() {
        let world = World::new();
        let names: Vec<String> = (0..250).map(|n| format!("u{n:03}")).collect();
        let take = |all: u64, of: &dyn Fn(usize) -> u64| {
            let mut rows: Vec<(&str, &str, u64)> =
                names.iter().enumerate().map(|(n, name)| (&**name, "h", of(n))).collect();
            rows.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
            rows.truncate(MOST_ACCOUNTS);
            world.accounts(all, &rows);
        };
        let sum =
            || -> f64 { world.lines().iter().filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum() };
        let first = |n: usize| 1000 - n as u64;
        let total = |of: &dyn Fn(usize) -> u64| (0..250).map(of).sum::<u64>();
        take(total(&first), &first);
        // Those below the cut overtake those above it, and fall behind again.
        let second = |n: usize| first(n) + if n >= 200 { 500 } else { 1 };
        take(total(&second), &second);
        assert_eq!(sum(), (total(&second) - total(&first)) as f64);
        let third = |n: usize| second(n) + if n < 100 { 900 } else { 0 };
        take(total(&third), &third);
        assert!(
            sum() >= (total(&third) - total(&first)) as f64 * 0.999,
            "{} of {}",
            sum(),
            total(&third) - total(&first)
        );
        assert!(world.lines().len() <= PAIRS + 1, "{:?}", world.lines().len());
    }

    /// Ten thousand accounts on two thousand hosts, of which others are the busiest each time.
    #[test]
    fn nothing_falls_however_the_busiest_change_and_all_is_counted() {
        let names: Vec<(String, String)> =
            (0..10_000).map(|n| (format!("u{n:05}"), format!("h{}", n % 2000))).collect();
        let mut totals: Vec<u64> = (0..10_000).map(|n| 1 + n % 13).collect();
        let world = World::new();
        let (mut before, mut grown) = (BTreeMap::new(), 0);
        for round in 0..40_usize {
            for step in 0..500 {
                let account = (round * 997 + step * 7) % totals.len();
                let more = (1000 / (step + 1)) as u64 + 1;
                totals[account] += more;
                grown += if round > 0 { more } else { 0 };
            }
            let mut rows: Vec<(&str, &str, u64)> =
                names.iter().zip(&totals).map(|((user, host), total)| (&**user, &**host, *total)).collect();
            rows.sort_by_key(|(_, _, total)| std::cmp::Reverse(*total));
            rows.truncate(MOST_ACCOUNTS);
            world.accounts(totals.iter().sum(), &rows);
            let now: BTreeMap<String, u64> = world
                .lines()
                .iter()
                .filter_map(|line| line.rsplit_once(' '))
                .map(|(series, count)| (series.to_owned(), count.parse().expect("whole")))
                .collect();
            for (series, count) in &before {
                assert!(now.get(series).is_some_and(|after| after >= count), "round {round}: {series} fell");
            }
            assert!(now.len() <= PAIRS + 1, "{} series", now.len());
            assert_eq!(now.values().sum::<u64>(), grown, "round {round}");
            before = now;
        }
    }

    #[test]
    fn hosts_of_a_group_are_counted_together() {
        let groups = HostGroups::parse(&["h*=web".to_owned()]).expect("good");
        let world = World { groups, ..World::new() };
        world.accounts(0, &[]);
        let names: Vec<String> = (0..40).map(|n| format!("h{n}")).collect();
        let rows: Vec<(&str, &str, u64)> = names.iter().map(|host| ("shop", &**host, 2)).collect();
        world.accounts(83, &[&rows[..], &[("shop", "x", 3)]].concat());
        let opened = |host, n| format!("mysql_conn_sessions_opened_total{{host_group=\"{host}\",user=\"shop\"}} {n}");
        let lines = || {
            let mut lines = world.lines();
            lines.sort();
            lines
        };
        assert_eq!(lines(), [opened("web", 80), opened("x", 3)]);
        // One of them is forgotten by the server and comes again.
        world.accounts(81, &[&rows[1..], &[("shop", "x", 3)]].concat());
        world.accounts(82, &[&rows[1..], &[("shop", "h0", 1), ("shop", "x", 3)]].concat());
        assert_eq!(lines(), [opened("web", 81), opened("x", 3)]);
    }

    #[test]
    fn errors_are_told_by_their_numbers_and_the_rest_together() {
        let world = World::new();
        let take = |rows: &[(&str, &str, &str)]| {
            let rows = rows.iter().map(|(user, errno, sum)| vec![Some(*user), Some(*errno), Some(*sum)]);
            world.view.take("conn.server_errors", &[Rows::of(&["u", "e", "n"], rows)], &world.groups);
        };
        take(&[("shop", "1045", "5")]);
        take(&[("shop", "1045", "7"), ("shop", "1064", "3"), ("shop", "1146", "1")]);
        assert_eq!(
            world.lines(),
            [
                "mysql_conn_server_errors_total{errno=\"1045\",user=\"shop\"} 2",
                "mysql_conn_server_errors_total{errno=\"other\",user=\"shop\"} 4"
            ]
        );
    }

    #[test]
    fn a_host_that_is_forgotten_takes_nothing_away_and_adds_nothing() {
        let world = World::new();
        let take = |handshake: u64| {
            let count = handshake.to_string();
            let at = KINDS.iter().position(|kind| *kind == "handshake").expect("a kind");
            let row =
                (0..BEFORE_KINDS + KINDS.len()).map(|column| (column == BEFORE_KINDS + at).then_some(count.as_str()));
            let rows = Rows::of(&vec!["c"; BEFORE_KINDS + KINDS.len()], [row.collect()]);
            world.view.take("conn.host_cache", &[rows], &world.groups);
        };
        for handshake in [5, 8, 2, 3] {
            take(handshake);
        }
        assert_eq!(world.lines(), ["mysql_conn_host_cache_errors_total{kind=\"handshake\"} 4"]);
    }
}
