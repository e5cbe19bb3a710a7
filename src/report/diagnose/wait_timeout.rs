//! The server's own idle limit is extreme.

use super::facts::Facts;
use super::rule::Rule;
use super::words::duration;
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "wait_timeout_extreme",
    summary: "`wait_timeout` is below a minute, or above a day (info)",
    severities: &[Severity::Info, Severity::Warning],
    judge,
};

const SHORT: f64 = 60.0;
const LONG: f64 = 86_400.0;

/// What both flavors ship with.
const USUAL: f64 = 28_800.0;

fn judge(facts: &Facts) -> Option<Finding> {
    let limit = facts.variable("wait_timeout")?;
    let oldest = facts.all("mysql_conn_sessions_idle_oldest_seconds").iter().map(|one| one.value).fold(0.0, f64::max);
    let (severity, title, why) = match limit {
        short if short < SHORT => (
            Severity::Warning,
            format!("the server ends connections that rest for {}", duration(short)),
            "pools keep connections for minutes; those that rest longer than this are gone when they are wanted (2006)",
        ),
        long if long > LONG => (
            Severity::Info,
            format!("the server keeps connections that rest for {}", duration(long)),
            "connections of clients that have vanished hold their place, their locks and their memory for so long",
        ),
        _ => return None,
    };
    // Long enough for whoever rests longest now, but never beyond what is usual.
    let wise = (oldest * 1.5).clamp(600.0, USUAL);
    Some(
        Finding::new(RULE.name, severity, title)
            .seen(format!("wait_timeout = {limit:.0} s; the longest rest of a session now is {}", duration(oldest)))
            .why(why)
            .change(
                Change::new(
                    "a limit above what pools keep, and below a working day; connections that are open keep theirs",
                )
                .set("wait_timeout", wise.ceil()),
            )
            .verify("mysql_global_variables_wait_timeout, and new sessions: SHOW VARIABLES LIKE 'wait_timeout'"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{mysql, sql};
    use super::*;

    fn limit(seconds: u32) -> Option<Finding> {
        let limit = format!("mysql_global_variables_wait_timeout {seconds}");
        mysql(&[&limit, "mysql_conn_sessions_idle_oldest_seconds{user=a} 1000"]).judged(&RULE)
    }

    #[test]
    fn extremes_are_told() {
        let finding = limit(30).expect("short");
        assert_eq!((finding.severity, sql(&finding)), (Severity::Warning, vec!["SET GLOBAL wait_timeout = 1500;"]));
        assert_eq!(limit(31_536_000).map(|finding| finding.severity), Some(Severity::Info));
    }

    #[test]
    fn the_usual_is_none() {
        for seconds in [60, 600, 28_800, 86_400] {
            assert_eq!(limit(seconds), None);
        }
    }
}
