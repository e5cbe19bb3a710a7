//! A pool keeps connections for longer than they live.

use super::facts::Facts;
use super::rule::Rule;
use super::words::{duration, found_safe, lifetime};
use crate::watch::finding::{Change, Finding, Severity};

pub(super) const RULE: Rule = Rule {
    name: "pool_lifetime",
    summary: "a configured pool keeps connections for longer than `wait_timeout` or the path lets them rest",
    severities: &[Severity::Warning],
    judge,
};

fn judge(facts: &Facts) -> Option<Finding> {
    let of_server = facts.variable("wait_timeout").map(|limit| (limit, "the server's wait_timeout"));
    let of_path = facts.value("mysql_conn_idle_lost_min_seconds").map(|limit| (limit, "the limit of the path"));
    let (limit, whose) = of_server.into_iter().chain(of_path).min_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let recycles = facts.all("mysql_conn_pool_recycle_seconds");
    let pools = facts.all("mysql_conn_pool_size");
    let kept = |pool: &str| recycles.iter().find(|known| known.label("pool") == pool).map(|known| known.value);
    let too_long: Vec<String> = pools
        .iter()
        .map(|pool| pool.label("pool"))
        .filter(|pool| kept(pool).is_none_or(|kept| kept >= limit))
        .map(|pool| format!("{pool} keeps them {}", kept(pool).map_or("for ever".to_owned(), duration)))
        .collect();
    if too_long.is_empty() {
        return None;
    }
    let safe = found_safe(limit, facts.value("mysql_conn_idle_safe_lifetime_seconds"));
    Some(
        Finding::new(
            RULE.name,
            Severity::Warning,
            format!("a pool keeps connections beyond {} of {whose}", duration(limit)),
        )
        .seen(format!("pool {}; {whose} is {}", too_long.join(", pool "), duration(limit)))
        .why(
            "a connection that rests until then is ended while the pool still takes it for good: the next query fails \
                 with 2006, `MySQL server has gone away`",
        )
        .change(
            Change::new(format!(
                "a lifetime of {safe} s, in the application and as `recycle: {safe}s` of the pool here"
            ))
            .pool(lifetime(safe)),
        )
        .verify(
            "mysql_conn_pool_recycle_seconds is below that limit, and mysql_conn_lost_total{source=\"pool\"} rests",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::mysql;
    use super::*;

    fn pool(recycle: &str, more: &str) -> Option<Finding> {
        mysql(&["mysql_global_variables_wait_timeout 300", "mysql_conn_pool_size{pool=default} 2", recycle, more])
            .judged(&RULE)
    }

    #[test]
    fn a_pool_that_outlives_its_connections_is_told() {
        let finding = pool("mysql_conn_pool_recycle_seconds{pool=default} 300", "x 1").expect("too long");
        assert_eq!(finding.seen, "pool default keeps them 5 min; the server's wait_timeout is 5 min");
        let finding = pool("mysql_conn_pool_recycle_seconds{pool=default} 280", "mysql_conn_idle_lost_min_seconds 60");
        assert!(finding.expect("the path is shorter").changes[0].what.contains("`recycle: 48s`"));
        assert!(pool("x 1", "y 1").expect("never").seen.contains("for ever"));
    }

    #[test]
    fn a_pool_that_is_quicker_is_none() {
        assert_eq!(pool("mysql_conn_pool_recycle_seconds{pool=default} 280", "x 1"), None);
        assert_eq!(mysql(&["mysql_conn_pool_size{pool=default} 2"]).judged(&RULE), None);
    }
}
