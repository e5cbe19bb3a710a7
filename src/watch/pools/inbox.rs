//! What happens to the kept connections of a target, in the order in which it happened, for its task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::patience::Unfinished;
use super::super::standing::Standing;
use super::known::Known;
use crate::mysql::failure::Failure;
use crate::mysql::pool::Lost;

/// What happened to the kept connections of a target.
#[derive(Debug)]
pub enum News {
    /// A connection was opened, and this is what it said.
    Opened(Arc<Standing>),
    /// One could not be opened.
    Unopened(Failure),
    Lost(Box<Lost<Known>>),
    /// A connection was used and answered what it was asked at that time.
    Answered {
        pool: Arc<str>,
        slot: u32,
        asked: Instant,
    },
    /// A use of the pool ended otherwise.
    Unanswered {
        pool: Arc<str>,
        failure: Failure,
    },
    /// A login that is not finished in time, and goes on.
    Unfinished(Unfinished),
    /// A use was due while nobody could be asked.
    Skipped,
}

/// News, in the order in which they came.
#[derive(Debug, Default)]
pub struct Inbox {
    news: Mutex<VecDeque<News>>,
    came: Notify,
}

impl Inbox {
    pub fn tell(&self, news: News) {
        self.news().push_back(news);
        self.came.notify_one();
    }

    /// All that came since; waits while there is nothing. To stop waiting loses nothing.
    pub async fn take(&self) -> VecDeque<News> {
        loop {
            let news = std::mem::take(&mut *self.news());
            if !news.is_empty() {
                return news;
            }
            self.came.notified().await;
        }
    }

    fn news(&self) -> MutexGuard<'_, VecDeque<News>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
