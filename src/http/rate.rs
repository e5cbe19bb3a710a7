//! The limit on requests: one an interval, and some at once after a rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::web_config::Rate;

/// What was answered lately, as the time at which all of it will have been paid for. It outlives the settings.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<Option<Instant>>);

impl Limit {
    /// Counts a request, or says how long the next one has to wait.
    pub(super) fn take(&self, rate: Rate) -> Result<(), Duration> {
        let now = Instant::now();
        let mut paid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let debt = paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        // A smaller limit than before does not ask for what an older one allowed.
        let debt = debt.min(rate.interval * rate.burst);
        let most = rate.interval * (rate.burst - 1);
        if debt > most {
            return Err(debt - most);
        }
        *paid = Some(now + debt + rate.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_an_interval() {
        let limit = Limit::default();
        let rate = Rate { interval: Duration::from_secs(10), burst: 3 };
        assert_eq!([(); 4].map(|()| limit.take(rate).is_ok()), [true, true, true, false]);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(limit.take(rate), Err(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!([(); 2].map(|()| limit.take(rate).is_ok()), [true, false]);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!([(); 4].map(|()| limit.take(rate).is_ok()), [true, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_read_anew_counts_at_once() {
        let limit = Limit::default();
        let rate = |seconds, burst| Rate { interval: Duration::from_secs(seconds), burst };
        (0..100).for_each(|_| limit.take(rate(3600, 100)).unwrap());
        assert_eq!(limit.take(rate(1, 1)), Err(Duration::from_secs(1)));
    }
}
