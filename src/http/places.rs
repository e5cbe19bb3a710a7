//! The places of scrapes: who has one may have an answer in memory, and who does not read gives it up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::life::Life;

/// How many scrapes may have an answer in memory at once. A scrape costs well under a millisecond, so 50 scrapers that come
/// together are served one after the other; only clients that do not read hold a place for long.
pub(super) const SCRAPES: usize = 64;

/// How long a scrape waits for its place: longer than it takes to tell who does not read.
const WAIT: Duration = Duration::from_secs(2);

/// Who has taken no byte for so long may lose the place to one who waits.
const STALLED: Duration = Duration::from_secs(1);

/// How often one who waits looks for such a client.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Places {
    pub(super) free: Arc<Semaphore>,
    holders: Arc<Mutex<Vec<Arc<Life>>>>,
}

/// Comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    life: Arc<Life>,
    holders: Arc<Mutex<Vec<Arc<Life>>>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Places {
        Places { free: Arc::new(Semaphore::new(SCRAPES)), holders: Arc::default() }
    }

    /// A place for a connection, in the order of asking; none when nobody gives one up in time.
    pub(super) async fn take(&self, life: &Arc<Life>) -> Option<Place> {
        let end = Instant::now() + WAIT;
        let mut permit = std::pin::pin!(self.free.clone().acquire_owned());
        loop {
            if let Ok(permit) = timeout(LOOK, permit.as_mut()).await {
                self.holders.lock().unwrap_or_else(PoisonError::into_inner).push(life.clone());
                return Some(Place { life: life.clone(), holders: self.holders.clone(), _permit: permit.ok()? });
            }
            if Instant::now() >= end {
                return None;
            }
            self.give_one_up();
        }
    }

    /// Ends the connection that has been stalled longest. It is forgotten here at once: who waits too looks for another.
    fn give_one_up(&self) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let stalled = holders.iter().enumerate().filter_map(|(at, life)| Some((life.stalled_since()?, at)));
        if let Some((since, at)) = stalled.min()
            && since.elapsed() >= STALLED
        {
            holders.swap_remove(at).give_up();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = holders.iter().position(|life| Arc::ptr_eq(life, &self.life)) {
            holders.swap_remove(at);
        }
    }
}
