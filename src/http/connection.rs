//! One connection, from accept to close: TLS if it is wanted, then HTTP/1 by hyper, with an end to each of its steps.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::life::{Deadlines, Life, Step};
use super::opening::{Opened, open};
use super::routes;
use super::state::State;
use super::stream::{Door, Stream};
use super::wire::{Socket, Wire};

/// Request line and headers together. Browsers that share cookies with others on the host come with several KiB.
const HEAD_BYTES: usize = 16 * 1024;

/// What hyper may buffer of a connection, answers aside.
const BUFFER_BYTES: usize = 32 * 1024;

/// A request that was begun before the shutdown may still be completed for so long.
const LAST_ASK: Duration = Duration::from_millis(250);

/// Serves a connection until its end, whoever causes it.
pub(super) async fn serve(
    stream: Stream,
    life: Arc<Life>,
    state: Arc<State>,
    deadlines: Deadlines,
    mut closing: watch::Receiver<bool>,
) {
    stream.prepare(deadlines.answering);
    let door = stream.door();
    let opened = tokio::select! {
        biased;
        opened = open(&state.guard, door, Socket::new(stream, life.clone())) => opened,
        () = life.given_up() => return,
        () = sleep_until(life.deadline(&deadlines)) => return,
        // Nothing was asked yet.
        _ = closing.wait_for(|closing| *closing) => return,
    };
    match opened {
        Ok(Opened::Plain(socket)) => talk(socket, door, life, state, deadlines, closing).await,
        Ok(Opened::Tls(stream)) => talk(*stream, door, life, state, deadlines, closing).await,
        // Port scanners and health checks of a load balancer do so all day.
        Err(error) => debug!(%error, "a TLS handshake failed"),
    }
}

/// Speaks HTTP until the connection's end.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    door: Door,
    life: Arc<Life>,
    state: Arc<State>,
    mut deadlines: Deadlines,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let in_service = InService::new(life.clone());
        let (state, life) = (state.clone(), life.clone());
        async move {
            let reply = routes::answer(&state, &life, door, request).await;
            drop(in_service);
            Ok::<_, Infallible>(reply)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(Wire::new(stream, life.clone())), service)
    );
    let mut alarm = pin!(sleep_until(life.deadline(&deadlines)));
    let mut told = false;
    loop {
        // Every step is entered while the connection is polled, so the alarm, polled after it, always knows the present one.
        let overdue = poll_fn(|cx| {
            let deadline = life.deadline(&deadlines);
            if deadline != alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            alarm.as_mut().poll(cx)
        });
        tokio::select! {
            biased;
            // How it ended is the client's affair: it left, it sent nonsense, it was answered.
            _ = connection.as_mut() => return,
            () = life.given_up() => break,
            () = overdue => break,
            _ = closing.wait_for(|closing| *closing), if !told => {
                told = true;
                // Closes at once when it rests.
                connection.as_mut().graceful_shutdown();
                deadlines.asking = elapsed(&life) + LAST_ASK;
            }
        }
    }
    if life.rank().0 == Step::Answering {
        life.abort();
    }
}

/// How long the present step has taken.
fn elapsed(life: &Life) -> Duration {
    Instant::now().saturating_duration_since(life.rank().1)
}

/// A request in the service. Dropped when it is answered, or with the connection.
struct InService(Arc<Life>);

impl InService {
    fn new(life: Arc<Life>) -> InService {
        life.service_begins();
        InService(life)
    }
}

impl Drop for InService {
    fn drop(&mut self) {
        self.0.service_ends();
    }
}
