//! `rate_limit`: how many requests are answered.

use std::time::Duration;

use super::document::Document;
use crate::config::Mistakes;

/// One request an interval, and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

const GROUP: &str = "rate_limit";
const INTERVAL: &str = "rate_limit.interval";
const BURST: &str = "rate_limit.burst";

/// Longer intervals are mistakes of somebody's.
const LONGEST: Duration = Duration::from_secs(86_400);

/// None when requests are not counted: an interval of 0 means that too.
pub(crate) fn read(document: &Document, mistakes: &mut Mistakes) -> Option<Rate> {
    let group = document.find(GROUP)?;
    let interval = match document.one(INTERVAL).map(|(place, text)| (place, interval(text))) {
        None => None,
        Some((_, Ok(interval))) if interval.is_zero() => return None,
        Some((_, Ok(interval))) => Some(interval),
        Some((place, Err(says))) => {
            mistakes.at(place, INTERVAL, says);
            return None;
        }
    };
    let burst = match document.one(BURST).map(|(place, text)| (place, text, text.parse::<u32>())) {
        None => None,
        Some((place, _, Ok(0))) if interval.is_some() => {
            mistakes.at(place, BURST, "`0` lets no request in; write a number from 1 on, such as `20`");
            return None;
        }
        Some((_, _, Ok(burst))) => Some(burst),
        Some((place, text, Err(_))) => {
            mistakes.at(place, BURST, format!("`{text}` is not a whole number; write one such as `20`"));
            return None;
        }
    };
    match (interval, burst) {
        (Some(interval), Some(burst)) => return Some(Rate { interval, burst }),
        (Some(_), None) => mistakes.at(&group.key, GROUP, "has no `burst`; add one, such as `burst: 20`"),
        (None, Some(_)) => mistakes.at(&group.key, GROUP, "has no `interval`; add one, such as `interval: 1s`"),
        (None, None) => {}
    }
    None
}

fn interval(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("`{text}` has no unit; write `{text}s`"));
    }
    match humantime::parse_duration(text) {
        Ok(interval) if interval <= LONGEST => Ok(interval),
        Ok(_) => Err(format!("`{text}` is too long; write at most `24h`")),
        Err(_) => Err(format!("`{text}` is not a duration; write one such as `1s` or `500ms`")),
    }
}
