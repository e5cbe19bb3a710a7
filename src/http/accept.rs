//! The accept loop, and who makes room when all places are taken.
//!
//! A new connection always gets in. When all places are taken, the one that is missed least gives way: first those that rest
//! between requests (a scraper just connects again), then those that have not asked yet, the longest first. So neither idle nor
//! slow nor silent clients keep a health check out, and the number of connections stays bounded.
//!
//! Accepting can fail for want of descriptors. That passes, or an operator raises the limit: it is logged once, an idle
//! connection gives its descriptor back, and the loop goes on after a pause. It never ends by itself.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::connection;
use super::life::{Deadlines, Life, Step};
use super::listen::Listener;
use super::process::open_files_limit;
use super::state::State;
use super::stream::Stream;

/// What clients may take from us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. At most half of the descriptors that the process may have.
    pub connections: usize,
    /// From a connection's start, or a request's first byte, to the end of its headers.
    pub asking: Duration,
    /// From there until the answer has been taken.
    pub answering: Duration,
    /// Of that, without a byte being taken.
    pub stalled: Duration,
    /// Between two requests: above every usual scrape interval.
    pub resting: Duration,
    /// For requests that are being answered when the shutdown comes.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 512,
            asking: Duration::from_secs(10),
            answering: Duration::from_secs(30),
            stalled: Duration::from_secs(5),
            resting: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `shutdown` is done; then stops listening, closes what rests and gives the rest its grace.
pub async fn serve(listeners: Vec<Listener>, state: Arc<State>, limits: Limits, shutdown: impl Future<Output = ()>) {
    let mut next = 0;
    let accept = |cx: &mut Context<'_>| {
        // Not always the same one first: it could keep the others waiting.
        next += 1;
        for at in 0..listeners.len() {
            let listener = &listeners[(next + at) % listeners.len()];
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    };
    let half = open_files_limit().map_or(usize::MAX, |limit| (limit / 2.0) as usize);
    let limits = Limits { connections: limits.connections.min(half).max(1), ..limits };
    let connections = run(accept, state, limits, shutdown).await;
    drop(listeners);
    connections.close(limits.grace).await;
}

pub(super) async fn run(
    mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<Stream>>,
    state: Arc<State>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Connections {
    let mut connections = Connections::new(state, &limits);
    let mut trouble = Trouble::default();
    tokio::pin!(shutdown);
    loop {
        let pause = trouble.pause_until;
        tokio::select! {
            biased;
            () = &mut shutdown => return connections,
            Some(ended) = connections.tasks.join_next_with_id() => connections.ended(ended),
            () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => trouble.pause_until = None,
            accepted = poll_fn(&mut accept), if pause.is_none() => match accepted {
                Ok(stream) => {
                    trouble.over();
                    connections.make_room(limits.connections).await;
                    connections.start(stream);
                }
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    connections.give_one_up(Step::Asking);
                    trouble.met(&error);
                }
            },
        }
    }
}

/// Errors that belong to a connection which ended before it was accepted (accept(2)).
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// The connections of now. It owns their tasks.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    lives: HashMap<Id, Arc<Life>>,
    state: Arc<State>,
    deadlines: Deadlines,
    closing: watch::Sender<bool>,
}

impl Connections {
    fn new(state: Arc<State>, limits: &Limits) -> Connections {
        let deadlines = Deadlines {
            asking: limits.asking,
            answering: limits.answering,
            stalled: limits.stalled,
            resting: limits.resting,
        };
        Connections {
            tasks: JoinSet::new(),
            lives: HashMap::new(),
            state,
            deadlines,
            closing: watch::Sender::new(false),
        }
    }

    fn start(&mut self, stream: Stream) {
        let life = Arc::new(Life::new());
        let served =
            connection::serve(stream, life.clone(), self.state.clone(), self.deadlines, self.closing.subscribe());
        let task = self.tasks.spawn(served);
        self.lives.insert(task.id(), life);
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                error!(%error, "answering a request failed; this is a defect of goneaway");
                error.id()
            }
        };
        self.lives.remove(&id);
    }

    /// Waits only for a task that has been told to end and waits for nothing itself.
    async fn make_room(&mut self, limit: usize) {
        while self.tasks.len() >= limit {
            self.give_one_up(Step::Answering);
            if let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended);
            }
        }
    }

    /// Ends the connection that is missed least, if its step is not beyond `most`.
    fn give_one_up(&self, most: Step) {
        let least = self.lives.values().map(|life| (life.rank(), life)).min_by_key(|(rank, _)| *rank);
        if let Some(((step, _), life)) = least
            && step <= most
        {
            life.give_up();
        }
    }

    async fn close(mut self, grace: Duration) {
        let end = Instant::now() + grace;
        self.closing.send_replace(true);
        while let Ok(Some(ended)) = timeout_at(end, self.tasks.join_next_with_id()).await {
            self.ended(ended);
        }
        if !self.tasks.is_empty() {
            info!(connections = self.tasks.len(), "closing connections that did not take their answers in time");
        }
        self.tasks.shutdown().await;
    }
}

/// Accepting does not work: told once, with growing pauses between the attempts.
#[derive(Debug, Default)]
struct Trouble {
    last: Option<Instant>,
    pause: Duration,
    pause_until: Option<Instant>,
}

impl Trouble {
    const FIRST_PAUSE: Duration = Duration::from_millis(10);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);
    /// Without descriptors to spare it works and fails by turns; that is one trouble, not many.
    const QUIET: Duration = Duration::from_secs(60);

    fn met(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.last.replace(now).is_none() {
            warn!(%error, "cannot accept connections; trying again until it works");
        }
        self.pause = (self.pause * 2).clamp(Trouble::FIRST_PAUSE, Trouble::LONGEST_PAUSE);
        self.pause_until = Some(now + self.pause);
    }

    fn over(&mut self) {
        self.pause = Duration::ZERO;
        if self.last.is_some_and(|last| last.elapsed() > Trouble::QUIET) {
            self.last = None;
            info!("accepting connections again");
        }
    }
}
