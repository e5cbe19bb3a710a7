//! How figures are told, and a pool's settings in the words of four libraries.

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    let tenths = (seconds * 10.0).round();
    if tenths < 100.0 && tenths % 10.0 > 0.0 {
        return format!("{:.1} s", tenths / 10.0);
    }
    let seconds = seconds.round().max(0.0) as u64;
    let part = |count: u64, unit: &str| if count == 0 { String::new() } else { format!(" {count} {unit}") };
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min{}", seconds / 60, part(seconds % 60, "s")),
        7200..=172_799 => format!("{} h{}", seconds / 3600, part(seconds % 3600 / 60, "min")),
        _ => format!("{} days{}", seconds / 86_400, part(seconds % 86_400 / 3600, "h")),
    }
}

/// Bytes in the largest unit that leaves a whole number of them, or nearly.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        large if large >= 1_073_741_824.0 => format!("{:.0} GiB", large / 1_073_741_824.0),
        large if large >= 1_048_576.0 => format!("{:.0} MiB", large / 1_048_576.0),
        large if large >= 1024.0 => format!("{:.0} KiB", large / 1024.0),
        small => format!("{small:.0} B"),
    }
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// One or several.
pub fn count(number: f64, one: &str, many: &str) -> String {
    if number == 1.0 { format!("1 {one}") } else { format!("{number:.0} {many}") }
}

/// A limit of connections of which a peak leaves three tenths free.
pub fn with_spare(peak: f64) -> f64 {
    (peak * 10.0 / 7.0).ceil()
}

/// How long a connection may be kept so that one of this limit is never met: four fifths of it, and ten seconds less where
/// that is less, but at least a second.
pub fn safe_lifetime(limit: f64) -> u64 {
    let spare = 10.0_f64.min(limit / 2.0);
    ((limit * 0.8).min(limit - spare).floor() as u64).max(1)
}

/// The same in whole seconds, where the ladder has found it out.
pub fn found_safe(limit: f64, found: Option<f64>) -> u64 {
    found.map_or_else(|| safe_lifetime(limit), |found| (found as u64).max(1).min(safe_lifetime(limit)))
}

/// How long a pool keeps a connection.
pub fn lifetime(seconds: u64) -> Vec<String> {
    let milliseconds = seconds * 1000;
    // HikariCP refuses less than 30 s for the first, and keeps alive from 30 s on.
    let hikari = match seconds {
        0..10 => "HikariCP: neither maxLifetime=30000 nor idleTimeout=10000 can be any lower; raise the limit instead"
            .to_owned(),
        10..30 => format!(
            "HikariCP: maxLifetime=30000, which cannot be lower, with minimumIdle=0, idleTimeout={milliseconds}"
        ),
        30..60 => format!("HikariCP: maxLifetime={milliseconds}"),
        _ => format!("HikariCP: maxLifetime={milliseconds}, keepaliveTime={}", milliseconds / 2),
    };
    vec![
        format!("SQLAlchemy: create_engine(…, pool_recycle={seconds}, pool_pre_ping=True)"),
        hikari,
        format!(
            "Go sql.DB: db.SetConnMaxLifetime({seconds} * time.Second); db.SetConnMaxIdleTime({seconds} * time.Second)"
        ),
        format!(
            "mysql_async: PoolOpts::default().with_inactive_connection_ttl(Duration::from_secs({seconds})).\
             with_abs_conn_ttl(Some(Duration::from_secs({seconds})))"
        ),
    ]
}

/// How many connections a pool has at most.
pub fn size(connections: u64) -> Vec<String> {
    let kept = connections.div_ceil(2);
    vec![
        format!("SQLAlchemy: create_engine(…, pool_size={kept}, max_overflow={})", connections - kept),
        format!("HikariCP: maximumPoolSize={connections}"),
        format!("Go sql.DB: db.SetMaxOpenConns({connections}); db.SetMaxIdleConns({kept})"),
        format!(
            "mysql_async: PoolOpts::default().with_constraints(PoolConstraints::new({}, {connections}).unwrap())",
            kept.min(connections)
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_two_units_at_most() {
        for (seconds, told) in [
            (0.4, "0.4 s"),
            (1.96, "2 s"),
            (10.4, "10 s"),
            (90.0, "90 s"),
            (280.0, "4 min 40 s"),
            (3600.0, "60 min"),
            (28800.0, "8 h"),
            (9000.0, "2 h 30 min"),
            (1e6, "11 days 13 h"),
        ] {
            assert_eq!(duration(seconds), told);
        }
        assert_eq!((bytes(16_777_216.0), bytes(1023.0)), ("16 MiB".to_owned(), "1023 B".to_owned()));
    }

    #[test]
    fn a_lifetime_is_safe_and_a_size_is_whole() {
        for (limit, safe) in [(28800.0, 23040), (60.0, 48), (20.0, 10), (1.0, 1)] {
            assert_eq!(safe_lifetime(limit), safe, "{limit}");
        }
        assert!(lifetime(280)[1].ends_with("maxLifetime=280000, keepaliveTime=140000"));
        assert!(lifetime(8)[1].contains("raise the limit instead"));
        assert!(lifetime(12)[1].ends_with("minimumIdle=0, idleTimeout=12000"));
        assert!(size(5)[0].ends_with("pool_size=3, max_overflow=2)"));
    }
}
