//! The process list: threads by what they do, whose they are and where they come from.

use std::collections::BTreeMap;

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::value::number;
use crate::metrics::{BlockBuilder, Family};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "info_schema.processlist",
    summary: "Threads by command, state, account and host (the process list)",
    default_on: false,
    pace: Pace::Round,
    needs: Needs { variables: &["performance_schema"], tables: &["performance_schema.processlist"] },
    ask,
    read,
};

crate::metrics! {
    /// Threads of the process list by command and state (COMMAND, STATE).
    THREADS: gauge "mysql_info_schema_processlist_threads" { command, state };
    /// Seconds that threads have been in their state, together, by command and state (TIME).
    SECONDS: gauge "mysql_info_schema_processlist_seconds" { command, state };
    /// Threads of the process list by account (USER).
    BY_USER: gauge "mysql_info_schema_processlist_processes_by_user" { mysql_user };
    /// Threads of the process list by the host that they come from (HOST).
    BY_HOST: gauge "mysql_info_schema_processlist_processes_by_host" { client_host };
}

fn ask(known: &Known) -> Ask {
    // Newer MySQL counts uses of the old table as a deprecated feature, and locks all threads for it.
    let table = match known.facts.has_table("performance_schema.processlist") && known.facts.is_on("performance_schema")
    {
        true => "performance_schema.processlist",
        false => "information_schema.PROCESSLIST",
    };
    let least = known.tunables.processlist_min_time;
    Ask::Sql(
        format!(
            "SELECT USER, SUBSTRING_INDEX(HOST, ':', 1) AS SHOWN_HOST, COALESCE(COMMAND, '') AS SHOWN_COMMAND, \
             COALESCE(STATE, '') AS SHOWN_STATE, COUNT(*) AS THREADS, SUM(TIME) AS SECONDS FROM {table} WHERE ID <> \
             CONNECTION_ID() AND TIME >= {least} GROUP BY 1, 2, 3, 4"
        )
        .into(),
    )
}

fn read(answers: &[Rows], known: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    let (mut by_state, mut by_user, mut by_host) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for row in rows.iter() {
        let [user, host, Some(command), Some(state), Some(threads), seconds] = row[..] else { continue };
        let threads = number(threads).unwrap_or_default();
        let sums: &mut (f64, f64) = by_state.entry((word(command), word(state))).or_default();
        sums.0 += threads;
        sums.1 += seconds.and_then(number).unwrap_or_default();
        *by_user.entry(user.unwrap_or_default().to_owned()).or_insert(0.0) += threads;
        let host = host.filter(|host| !host.is_empty()).unwrap_or("unknown");
        *by_host.entry(host.to_owned()).or_insert(0.0) += threads;
    }
    let mut named = |family: &Family| out.family(family.name, family.kind, family.help());
    let [threads, seconds, users, hosts] = [&THREADS, &SECONDS, &BY_USER, &BY_HOST].map(&mut named);
    for ((command, state), sums) in &by_state {
        let labels = [("command", command.as_str()), ("state", state.as_str())];
        out.sample(threads, &labels, sums.0);
        out.sample(seconds, &labels, sums.1);
    }
    if known.tunables.processlist_by_user {
        by_user.iter().for_each(|(user, count)| out.sample(users, &[("mysql_user", user)], *count));
    }
    if known.tunables.processlist_by_host {
        by_host.iter().for_each(|(host, count)| out.sample(hosts, &[("client_host", host)], *count));
    }
}

/// A command or a state as a label: lower case, words joined by underscores, without the signs between them.
fn word(text: &str) -> String {
    if text.is_empty() {
        return "unknown".to_owned();
    }
    let kept = text.chars().filter(|letter| !matches!(letter, ';' | ',' | ':' | '.' | '(' | ')'));
    let joined = kept.map(|letter| if matches!(letter, ' ' | '-') { '_' } else { letter });
    joined.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::trial::shown;
    use super::*;

    #[test]
    fn threads_are_summed_by_what_is_asked_for() {
        let row = |user, host, command, state, threads, seconds| {
            vec![Some(user), Some(host), Some(command), Some(state), Some(threads), Some(seconds)]
        };
        let columns = ["USER", "SHOWN_HOST", "SHOWN_COMMAND", "SHOWN_STATE", "THREADS", "SECONDS"];
        let rows = Rows::of(
            &columns,
            [
                row("shop", "10.0.0.1", "Sleep", "", "3", "40"),
                row("shop", "10.0.0.2", "Sleep", "", "1", "2"),
                row("event_scheduler", "", "Daemon", "Waiting on empty queue; (idle-1)", "1", "9"),
            ],
        );
        let expected = [
            "mysql_info_schema_processlist_processes_by_host{client_host=\"10.0.0.1\"} 3",
            "mysql_info_schema_processlist_processes_by_host{client_host=\"10.0.0.2\"} 1",
            "mysql_info_schema_processlist_processes_by_host{client_host=\"unknown\"} 1",
            "mysql_info_schema_processlist_processes_by_user{mysql_user=\"event_scheduler\"} 1",
            "mysql_info_schema_processlist_processes_by_user{mysql_user=\"shop\"} 4",
            "mysql_info_schema_processlist_seconds{command=\"daemon\",state=\"waiting_on_empty_queue_idle_1\"} 9",
            "mysql_info_schema_processlist_seconds{command=\"sleep\",state=\"unknown\"} 42",
            "mysql_info_schema_processlist_threads{command=\"daemon\",state=\"waiting_on_empty_queue_idle_1\"} 1",
            "mysql_info_schema_processlist_threads{command=\"sleep\",state=\"unknown\"} 4",
        ];
        assert_eq!(shown(read, &[rows]), expected);
    }
}
