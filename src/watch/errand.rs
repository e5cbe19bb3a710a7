//! A job of a target's loop: at most one of it is under way, and its end is an event of the loop.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

/// How long a job that is under way may take to end when the daemon stops.
pub(super) const GRACE: Duration = Duration::from_secs(4);

/// The place of a job.
pub(super) struct Errand<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Default for Errand<T> {
    fn default() -> Errand<T> {
        Errand(None)
    }
}

impl<T> Errand<T> {
    pub(super) fn begin(&mut self, job: impl Future<Output = T> + Send + 'static) {
        self.0 = Some(Box::pin(job));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// The end of the job; never while there is none. Who stops waiting for it loses nothing.
    pub(super) async fn ended(&mut self) -> T {
        match &mut self.0 {
            Some(under_way) => {
                let value = under_way.await;
                self.0 = None;
                value
            }
            None => std::future::pending().await,
        }
    }

    /// Leaves the job where it is.
    pub(super) fn give_up(&mut self) {
        self.0 = None;
    }

    /// Lets it end, since the daemon stops. What has not ended by then is cut off: the server is not answering.
    pub(super) async fn finish(&mut self) {
        if let Some(under_way) = self.0.take() {
            let _ = timeout(GRACE, under_way).await;
        }
    }
}

/// When that is due, and never if nothing is.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_once_and_waiting_for_it_can_be_broken_off() {
        let mut errand = Errand::default();
        assert!(timeout(GRACE, errand.ended()).await.is_err(), "there is none");
        errand.begin(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            7
        });
        assert!(timeout(Duration::from_secs(2), errand.ended()).await.is_err() && errand.is_under_way());
        let began = Instant::now();
        assert_eq!((errand.ended().await, began.elapsed()), (7, Duration::from_secs(1)));
        assert!(!errand.is_under_way());
        errand.begin(std::future::pending());
        errand.finish().await;
        assert_eq!((errand.is_under_way(), began.elapsed()), (false, Duration::from_secs(1) + GRACE));
    }
}
