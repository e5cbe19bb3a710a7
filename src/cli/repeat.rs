//! Between two rounds of a command that goes on, and what ends it.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Reads `30`, `2.5`, or a time with its unit.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let read = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    let Some(every) = read else {
        return Err(format!("`{text}` is no interval; write seconds, as `30`, or a time with its unit, as `5s`"));
    };
    match every {
        _ if every < SHORTEST => Err(format!("`{text}` is too short: a probe a second is the most; write `1`")),
        _ if every > LONGEST => Err(format!("`{text}` is too long: once a day is the least; write `1d`")),
        _ => Ok(every),
    }
}

/// Each probe is a login at the server.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Ctrl-C, a request to end, a terminal that goes away: each of them ends what goes on.
pub(super) struct Ends([Signal; 3]);

impl Ends {
    /// Takes the signals over; must be called inside the runtime.
    pub(super) fn new() -> io::Result<Ends> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Ends([signal(interrupt)?, signal(terminate)?, signal(hangup)?]))
    }

    /// Returns when somebody wants the end.
    pub(super) async fn come(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Does work whose end is near, also when somebody wants the end meanwhile: connections are to be left in order.
    /// Says whether somebody did; who wants it twice does not want to wait, and nothing comes of the work.
    pub(super) async fn after<T>(&mut self, work: impl Future<Output = T>) -> (Option<T>, bool) {
        let mut work = std::pin::pin!(work);
        let mut wanted = false;
        loop {
            tokio::select! {
                done = &mut work => return (Some(done), wanted),
                () = self.come() => {
                    if wanted {
                        return (None, true);
                    }
                    wanted = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_seconds_or_has_a_unit() {
        let ms = Duration::from_millis;
        for (text, read) in [("30", 30_000), ("2.5", 2_500), ("1", 1000), ("5s", 5000), ("1m", 60_000)] {
            assert_eq!(parse(text), Ok(ms(read)), "{text}");
        }
        for (text, says) in [
            ("0", "too short"),
            ("0.9", "too short"),
            ("2d", "too long"),
            ("x", "no interval"),
            ("-1", "no interval"),
            ("nan", "no interval"),
        ] {
            assert!(parse(text).expect_err(text).contains(says), "{text}: {:?}", parse(text));
        }
    }
}
