//! An event in a sentence, for the page and for a terminal.

use std::time::Duration;

use super::what::{Loss, What};

impl What {
    /// What happened, for a person; the target's name and the time stand beside it.
    pub fn says(&self) -> String {
        match self {
            What::Lost(loss) => loss.says(),
            What::State { from, to, phase, reason } => match (phase, reason) {
                (Some(phase), Some(reason)) => format!("{from} → {to}: {phase} {reason}"),
                _ => format!("{from} → {to}"),
            },
            What::Recovered { after_seconds } => format!("recovered {} after the loss", time(*after_seconds)),
            What::OutageEnded { seconds } => format!("the outage is over, after {}", time(*seconds)),
            What::CircuitOpened { why } => {
                format!("attempts are suspended, since trying makes it worse: {why}")
            }
            What::CircuitClosed => "attempts are no longer suspended".to_owned(),
            What::Path { path, seen_as } => match seen_as {
                Some(seen_as) => format!("the path to the server is {path}; it sees us as {seen_as}"),
                None => format!("the path to the server is {path}"),
            },
            What::Door { door, address: Some(address) } => {
                format!("the server is full: collectors get in by its {door} port, {address}")
            }
            What::Door { door, address: None } => format!("collectors get in by the {door} port again"),
            What::Addresses { before, after } => {
                format!("the name has other addresses: {}, before {}", after.join(", "), before.join(", "))
            }
            What::IdleLimit { owner, survived_seconds, lost_seconds, safe_lifetime_seconds } => {
                let mut said = match lost_seconds {
                    Some(lost) => format!("idle connections are cut after {} ({owner})", time(*lost)),
                    None => format!("idle connections survive {} ({owner})", time(*survived_seconds)),
                };
                if let Some(safe) = safe_lifetime_seconds {
                    said.push_str(&format!("; a pool may keep one for {}", time(*safe)));
                }
                said
            }
            What::RecoverAsked { closed, in_use } => {
                format!("pooled connections are dropped, as asked: {closed} closed, {in_use} when they come back")
            }
            What::RecoverTried { good: true, seconds, .. } => {
                format!("connected anew {} after it was asked for", time(*seconds))
            }
            What::RecoverTried { seconds, phase, reason, .. } => {
                let (phase, reason) = (phase.unwrap_or("login"), reason.unwrap_or("other"));
                format!("not connected anew {} after it was asked for: {phase} {reason}", time(*seconds))
            }
            What::Stalled { seconds, .. } => format!("goneaway itself did not run for {}", time(*seconds)),
        }
    }
}

impl Loss {
    fn says(&self) -> String {
        let whose = match &self.pool {
            Some(pool) => format!("a connection of the pool {pool}"),
            None => "a resting connection".to_owned(),
        };
        let rest = match self.idle {
            "busy" => "in the midst of a statement".to_owned(),
            "up_to" => format!("within {} at rest", time(self.idle_seconds)),
            _ => format!("after {} at rest", time(self.idle_seconds)),
        };
        let sure = if self.confidence == "high" { "" } else { ", probably" };
        format!("lost {whose} {rest}: {}{sure}", self.cause)
    }
}

/// A time as people say it: `0.8 ms`, `12.3 s`, `5m 20s`.
pub fn time(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    match time.as_secs() {
        0 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        whole => humantime::format_duration(Duration::from_secs(whole)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_people_say_them() {
        for (seconds, said) in [
            (0.0, "0.0 ms"),
            (0.00084, "0.8 ms"),
            (1.0, "1.0 s"),
            (59.96, "60.0 s"),
            (60.4, "1m"),
            (320.0, "5m 20s"),
            (28800.0, "8h"),
            (f64::NAN, "0.0 ms"),
        ] {
            assert_eq!(time(seconds), said);
        }
    }

    #[test]
    fn a_loss_is_one_sentence() {
        let loss = Loss {
            source: "pool",
            pool: Some("app".to_owned()),
            cause: "middlebox_reset",
            confidence: "high",
            signal: "rst",
            errno: None,
            idle_seconds: 12.0,
            idle: "up_to",
            thread_listed: Some(true),
            path: None,
            during: None,
            lost_at_once: 1,
            kills: None,
            wait_timeout_seconds: None,
            connection_id: 7,
            noticed: String::new(),
            detail: String::new(),
        };
        assert_eq!(
            What::Lost(Box::new(loss.clone())).says(),
            "lost a connection of the pool app within 12.0 s at rest: middlebox_reset"
        );
        let canary = Loss { pool: None, idle: "exact", confidence: "low", cause: "killed", ..loss };
        assert_eq!(canary.says(), "lost a resting connection after 12.0 s at rest: killed, probably");
    }

    #[test]
    fn what_is_known_of_the_idle_limit_is_said() {
        let limit = |lost_seconds, safe_lifetime_seconds| {
            What::IdleLimit { owner: "middlebox", survived_seconds: 8.0, lost_seconds, safe_lifetime_seconds }.says()
        };
        assert_eq!(
            limit(Some(10.0), Some(4.0)),
            "idle connections are cut after 10.0 s (middlebox); a pool may keep one for 4.0 s"
        );
        assert_eq!(limit(None, None), "idle connections survive 8.0 s (middlebox)");
    }
}
