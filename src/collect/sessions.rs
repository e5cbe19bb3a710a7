//! Who holds connections to the server, and what they do with them: sessions by account, host, program and state, how
//! long they have been resting, and who rests within a transaction. Grouped by the server, so that a thousand alike are
//! one row. Our own are left out.

use std::collections::BTreeMap;

use super::collector::{Ask, Collector, Known, Pace, Why};
use super::facts::Needs;
use super::tally::{OTHER, folded, top};
use super::value::number;
use crate::metrics::BlockBuilder;
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "conn.sessions",
    summary: "Sessions of applications: who holds them, how long they rest, who is in a transaction",
    default_on: true,
    pace: Pace::Round,
    needs: Needs {
        variables: &["performance_schema"],
        tables: &[
            "performance_schema.threads",
            "performance_schema.session_connect_attrs",
            "performance_schema.processlist",
        ],
    },
    ask,
    read,
};

crate::metrics! {
    /// Sessions of applications by account, host (or the group of `host_groups` that it is in), program and state, ours left out: the 20 accounts, hosts and programs with most of them, the rest as `other`. program: the client's `program_name`, else its `_client_name`; empty where performance_schema is off. Source: performance_schema.threads, else the process list.
    SESSIONS: gauge "mysql_conn_sessions" { user, host_group, program, state };
    /// Seconds for which sessions have been resting (Sleep), of the 10 accounts with most sessions.
    IDLE_AGE: gauge_histogram "mysql_conn_sessions_idle_age_seconds" { user };
    /// Seconds for which the session that has been resting longest has done so, by account.
    OLDEST: gauge "mysql_conn_sessions_idle_oldest_seconds" { user };
    /// Sessions that have been resting for more than 80 % of the global `wait_timeout`, by account: who uses one next may find it gone away.
    NEAR_TIMEOUT: gauge "mysql_conn_sessions_near_timeout" { user };
    /// Sessions that rest within a transaction, by account (information_schema.innodb_trx).
    IN_TRANSACTION: gauge "mysql_conn_sessions_idle_in_transaction" { user };
    /// Seconds since the oldest transaction of a resting session began, by account; 0 where there is none.
    IN_TRANSACTION_OLDEST: gauge "mysql_conn_sessions_idle_in_transaction_oldest_seconds" { user };
}

/// Upper bounds of the histogram, in seconds; the SQL and the labels are made from them.
const BOUNDS: [u32; 10] = [1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800];

/// Accounts, hosts and programs that are told apart.
const NAMES: usize = 20;

/// Accounts that have a histogram: each takes thirteen series.
const HISTOGRAMS: usize = 10;

/// Groups that are told apart; the smallest of more are put together.
const GROUPS: usize = 150;

fn ask(known: &Known) -> Ask {
    if !known.facts.may(&["PROCESS"]) {
        return Ask::skip(Why::Grant);
    }
    let has_schema = known.facts.is_on("performance_schema")
        && known.facts.has_table("performance_schema.threads")
        && known.facts.has_table("performance_schema.session_connect_attrs");
    // Newer MySQL counts uses of the old table as a deprecated feature.
    let listed = "performance_schema.processlist";
    let has_list = known.facts.is_on("performance_schema") && known.facts.has_table(listed);
    let each = match has_schema {
        true => BY_SCHEMA.to_owned(),
        false if has_list => BY_LIST.replace("information_schema.PROCESSLIST", listed),
        false => BY_LIST.to_owned(),
    };
    let bounds: String = BOUNDS.iter().map(|bound| format!("SUM(s.rest <= {bound}), ")).collect();
    Ask::Sql(
        format!(
            "SELECT s.account, s.host, s.program, s.state, COUNT(*), {bounds}COUNT(s.rest), SUM(s.rest), MAX(s.rest), \
             SUM(s.rest > 0.8 * @@GLOBAL.wait_timeout), COUNT(IF(s.rest IS NULL, NULL, s.age)), \
             MAX(IF(s.rest IS NULL, NULL, s.age)) FROM ({each}) s GROUP BY 1, 2, 3, 4"
        )
        .into(),
    )
}

/// What a thread does, from its command. A replica's threads and those that feed one are replication.
macro_rules! state {
    ($user:literal, $command:literal) => {
        concat!(
            "CASE WHEN ",
            $user,
            " = 'system user' OR ",
            $command,
            " LIKE 'Binlog Dump%' OR ",
            $command,
            " LIKE 'Slave%' THEN 'replication' WHEN ",
            $command,
            " = 'Connect' THEN 'connecting' WHEN ",
            $command,
            " = 'Sleep' THEN 'sleep' WHEN ",
            $command,
            " IN ('Killed', 'Error', 'Delayed insert') THEN 'other' ELSE \
             'active' END"
        )
    };
}

/// Ages of transactions by connection. They are told in the system's time, whatever the session's is.
macro_rules! transactions {
    () => {
        "(SELECT trx_mysql_thread_id AS id, MAX(TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', \
         'SYSTEM'))) AS age FROM information_schema.INNODB_TRX GROUP BY trx_mysql_thread_id) x"
    };
}

/// While a session logs in and leaves it has no program yet: who has our account then and comes from our host is us.
const BY_SCHEMA: &str = concat!(
    "SELECT COALESCE(t.PROCESSLIST_USER, '') AS account, COALESCE(t.PROCESSLIST_HOST, '') AS host, \
     COALESCE(a.program, '') AS program, ",
    state!("t.PROCESSLIST_USER", "t.PROCESSLIST_COMMAND"),
    " AS state, IF(t.PROCESSLIST_COMMAND = 'Sleep', t.PROCESSLIST_TIME, NULL) AS rest, x.age FROM \
     performance_schema.threads t LEFT JOIN (SELECT PROCESSLIST_ID AS id, COALESCE(MAX(IF(ATTR_NAME = 'program_name', \
     ATTR_VALUE, NULL)), MAX(ATTR_VALUE)) AS program FROM performance_schema.session_connect_attrs WHERE ATTR_NAME IN \
     ('program_name', '_client_name') GROUP BY PROCESSLIST_ID) a ON a.id = t.PROCESSLIST_ID LEFT JOIN ",
    transactions!(),
    " ON x.id = t.PROCESSLIST_ID WHERE t.PROCESSLIST_ID IS NOT NULL AND t.PROCESSLIST_COMMAND <> 'Daemon' AND \
     COALESCE(a.program, IF(CONCAT(t.PROCESSLIST_USER, '@', t.PROCESSLIST_HOST) = USER(), 'goneaway', '')) <> 'goneaway'"
);

/// Without the programs: who has our account and comes from our host is taken for us.
const BY_LIST: &str = concat!(
    "SELECT account, host, '' AS program, ",
    state!("account", "command"),
    " AS state, IF(command = 'Sleep', time, NULL) AS rest, x.age FROM (SELECT ID AS id, USER AS account, IF(HOST LIKE \
     '%:%', LEFT(HOST, CHAR_LENGTH(HOST) - CHAR_LENGTH(SUBSTRING_INDEX(HOST, ':', -1)) - 1), HOST) AS host, COMMAND AS \
     command, TIME AS time FROM information_schema.PROCESSLIST) p LEFT JOIN ",
    transactions!(),
    " ON x.id = p.id WHERE command <> 'Daemon' AND CONCAT(account, '@', host) <> USER()"
);

/// How an account's sessions rest.
#[derive(Clone, Copy, Debug, Default)]
struct Rests {
    cumulative: [f64; BOUNDS.len()],
    count: f64,
    sum: f64,
    oldest: f64,
    near: f64,
    in_transaction: f64,
    transaction_oldest: f64,
}

fn read(answers: &[Rows], known: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let mut rows: Vec<Vec<Option<&str>>> = rows.iter().filter(|row| row.len() == 5 + BOUNDS.len() + 6).collect();
    for row in &mut rows {
        // First into their groups: what counts most is told, whatever the number of its hosts.
        row[1] = row[1].map(|host| known.tunables.host_groups.of(host));
    }
    let value = |row: &[Option<&str>], at: usize| row[at].and_then(number).unwrap_or_default();
    let mut counts: [BTreeMap<&str, f64>; 3] = Default::default();
    for row in &rows {
        for (at, counts) in counts.iter_mut().enumerate() {
            *counts.entry(row[at].unwrap_or_default()).or_default() += value(row, 4);
        }
    }
    let kept = counts.each_ref().map(|counts| top(counts, NAMES));
    let with_histogram = top(&counts[0], HISTOGRAMS);

    let mut groups: BTreeMap<[&str; 4], f64> = BTreeMap::new();
    let mut rests: BTreeMap<&str, Rests> = BTreeMap::new();
    let mut histograms: BTreeMap<&str, Rests> = BTreeMap::new();
    for row in &rows {
        let [account, host, program] = [0, 1, 2].map(|at| folded(row[at].unwrap_or_default(), &kept[at]));
        *groups.entry([account, host, program, row[3].unwrap_or_default()]).or_default() += value(row, 4);
        rests.entry(account).or_default().add(row);
        histograms.entry(folded(row[0].unwrap_or_default(), &with_histogram)).or_default().add(row);
    }

    let sessions = out.family(SESSIONS.name, SESSIONS.kind, SESSIONS.help());
    for ([user, host, program, state], count) in bounded(groups) {
        let labels = [("user", user), ("host_group", host), ("program", program), ("state", state)];
        out.sample(sessions, &labels, count);
    }
    let idle_age = out.family(IDLE_AGE.name, IDLE_AGE.kind, IDLE_AGE.help());
    let bounds = BOUNDS.map(|bound| format!("{bound}.0"));
    for (user, rests) in histograms {
        let cumulative = bounds.iter().zip(rests.cumulative).map(|(bound, count)| (bound.as_str(), count as u64));
        out.histogram(idle_age, &[("user", user)], cumulative, rests.count as u64, rests.sum);
    }
    let families = [&OLDEST, &NEAR_TIMEOUT, &IN_TRANSACTION, &IN_TRANSACTION_OLDEST];
    let ids = families.map(|family| out.family(family.name, family.kind, family.help()));
    for (user, rests) in &rests {
        let values = [rests.oldest, rests.near, rests.in_transaction, rests.transaction_oldest];
        ids.iter().zip(values).for_each(|(id, value)| out.sample(*id, &[("user", user)], value));
    }
}

impl Rests {
    fn add(&mut self, row: &[Option<&str>]) {
        let value = |at: usize| row[at].and_then(number).unwrap_or_default();
        for (at, sum) in self.cumulative.iter_mut().enumerate() {
            *sum += value(5 + at);
        }
        let after = 5 + BOUNDS.len();
        self.count += value(after);
        self.sum += value(after + 1);
        self.oldest = self.oldest.max(value(after + 2));
        self.near += value(after + 3);
        self.in_transaction += value(after + 4);
        self.transaction_oldest = self.transaction_oldest.max(value(after + 5));
    }
}

/// The largest groups; what is beyond is put together by its state.
fn bounded(groups: BTreeMap<[&str; 4], f64>) -> BTreeMap<[&str; 4], f64> {
    if groups.len() <= GROUPS {
        return groups;
    }
    let mut sorted: Vec<([&str; 4], f64)> = groups.into_iter().collect();
    sorted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let rest = sorted.split_off(GROUPS);
    let mut bounded: BTreeMap<[&str; 4], f64> = sorted.into_iter().collect();
    for ([.., state], count) in rest {
        *bounded.entry([OTHER, OTHER, OTHER, state]).or_default() += count;
    }
    bounded
}

#[cfg(test)]
mod tests {
    use super::super::host_groups::HostGroups;
    use super::super::trial::{shown, shown_by};
    use super::super::tunables::Tunables;
    use super::*;

    fn row(names: [&str; 4], count: u32, rests: Option<[u32; 6]>, below: [u32; BOUNDS.len()]) -> Vec<Option<String>> {
        let mut row: Vec<Option<String>> = names.iter().map(|name| Some((*name).to_owned())).collect();
        row.push(Some(count.to_string()));
        row.extend(below.map(|count| rests.map(|_| count.to_string())));
        match rests {
            Some(rests) => row.extend(rests.map(|value| Some(value.to_string()))),
            None => row.extend([Some("0".to_owned()), None, None, None, Some("0".to_owned()), None]),
        }
        row
    }

    fn told(rows: &[Vec<Option<String>>]) -> Vec<String> {
        let columns = vec!["c"; 5 + BOUNDS.len() + 6];
        let rows = rows.iter().map(|row| row.iter().map(Option::as_deref).collect());
        shown(read, &[Rows::of(&columns, rows)])
    }

    #[test]
    fn sessions_are_summed_by_account_and_their_rests_are_a_histogram() {
        let lines = told(&[
            row(["shop", "10.0.0.1", "web", "sleep"], 3, Some([3, 100, 90, 1, 1, 50]), [1, 2, 2, 3, 3, 3, 3, 3, 3, 3]),
            row(["shop", "10.0.0.1", "web", "active"], 2, None, [0; BOUNDS.len()]),
            row(["shop", "10.0.0.2", "cron", "sleep"], 1, Some([1, 7, 7, 0, 0, 0]), [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ]);
        for expected in [
            "mysql_conn_sessions{user=\"shop\",host_group=\"10.0.0.1\",program=\"web\",state=\"sleep\"} 3",
            "mysql_conn_sessions{user=\"shop\",host_group=\"10.0.0.1\",program=\"web\",state=\"active\"} 2",
            "mysql_conn_sessions_idle_age_seconds_bucket{user=\"shop\",le=\"1.0\"} 1",
            "mysql_conn_sessions_idle_age_seconds_bucket{user=\"shop\",le=\"10.0\"} 3",
            "mysql_conn_sessions_idle_age_seconds_bucket{user=\"shop\",le=\"+Inf\"} 4",
            "mysql_conn_sessions_idle_age_seconds_gcount{user=\"shop\"} 4",
            "mysql_conn_sessions_idle_age_seconds_gsum{user=\"shop\"} 107",
            "mysql_conn_sessions_idle_oldest_seconds{user=\"shop\"} 90",
            "mysql_conn_sessions_near_timeout{user=\"shop\"} 1",
            "mysql_conn_sessions_idle_in_transaction{user=\"shop\"} 1",
            "mysql_conn_sessions_idle_in_transaction_oldest_seconds{user=\"shop\"} 50",
        ] {
            assert!(lines.contains(&expected.to_owned()), "{expected}: {lines:#?}");
        }
    }

    /// One collection from ten thousand accounts on two thousand hosts, as it comes from the server.
    #[test]
    fn ten_thousand_accounts_are_few_series() {
        let names: Vec<(String, String)> =
            (0..10_000).map(|n| (format!("account{n:05}"), format!("10.0.{}.{}", n % 2000 / 250, n % 250))).collect();
        let rows: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, (user, host))| {
                row([user, host, "shop", "sleep"], 1 + (n as u32 % 7), Some([1, 1, 1, 0, 0, 0]), [1; BOUNDS.len()])
            })
            .collect();
        let columns = vec!["c"; 5 + BOUNDS.len() + 6];
        let answers = [Rows::of(&columns, rows.iter().map(|row| row.iter().map(Option::as_deref).collect()))];
        let series = shown(read, &answers).len();
        assert!(series < 500, "{series} series");
    }

    #[test]
    fn hosts_of_a_group_are_one_before_the_largest_are_chosen() {
        // Sixty hosts of one session each, and thirty of two that are in no group.
        let hosts: Vec<(String, u32)> =
            (0..60).map(|n| (format!("10.1.0.{n}"), 1)).chain((0..30).map(|n| (format!("10.2.0.{n}"), 2))).collect();
        let rows: Vec<_> = hosts
            .iter()
            .map(|(host, count)| row(["u", host, "p", "sleep"], *count, Some([1; 6]), [1; BOUNDS.len()]))
            .collect();
        let columns = vec!["c"; 5 + BOUNDS.len() + 6];
        let rows = Rows::of(&columns, rows.iter().map(|row| row.iter().map(Option::as_deref).collect()));
        let groups = HostGroups::parse(&["10.1.0.0/16=web".to_owned()]).expect("good");
        let lines = shown_by(read, &[rows], &Tunables { host_groups: groups, ..Tunables::default() });
        let of = |host: &str| {
            let series =
                format!("mysql_conn_sessions{{user=\"u\",host_group=\"{host}\",program=\"p\",state=\"sleep\"}} ");
            lines.iter().find_map(|line| line.strip_prefix(&series))
        };
        // Nineteen more are told apart.
        assert_eq!((of("web"), of("other"), of("10.1.0.7")), (Some("60"), Some("22"), None), "{lines:#?}");
    }

    #[test]
    fn the_number_of_series_is_bounded_and_nothing_gets_lost() {
        let names: Vec<(String, String)> = (0..400).map(|n| (format!("u{n:03}"), format!("h{}", n % 60))).collect();
        let rows: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, (user, host))| {
                row([user, host, "p", "sleep"], 1 + (n as u32 % 7), Some([1, 1, 1, 0, 0, 0]), [1; BOUNDS.len()])
            })
            .collect();
        let lines = told(&rows);
        assert!(lines.len() < 500, "{}", lines.len());
        let sum = |prefix: &str| -> f64 {
            let of = lines.iter().filter(|line| line.starts_with(prefix));
            of.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
        };
        let all: u32 = (0..400).map(|n| 1 + n % 7).sum();
        assert_eq!(sum("mysql_conn_sessions{"), f64::from(all));
        assert_eq!(sum("mysql_conn_sessions_idle_age_seconds_gcount"), 400.0);
    }
}
