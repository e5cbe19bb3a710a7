//! Logins that are not finished in time, and are not given up.
//!
//! A login that stops half way is an aborted connect at the server, and enough of them block this host. So one that
//! has not ended by its deadline is a failure for whoever wanted it, and goes on: a server that stood still finishes it
//! when it wakes. It is given up only when a later one has got in, and it still has not.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::mysql::failure::Failure;
use crate::mysql::pool::Gate;

/// How long it may still take when others get in again.
const LATE: Duration = Duration::from_secs(10);

/// No login takes longer, also where none ever gets in again.
const LONGEST: Duration = Duration::from_secs(3600);

/// A login that goes on without the one who wanted it; to be polled to its end by whoever owns the connections.
pub struct Unfinished(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Unfinished {
    pub async fn finish(self) {
        self.0.await;
    }
}

impl fmt::Debug for Unfinished {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Unfinished")
    }
}

/// The deadline for a login that is run by `within`.
pub(super) fn longest() -> Instant {
    Instant::now() + LONGEST
}

/// Waits for a login until the deadline, and answers what is left of it then. `leave` ends in order what comes of it
/// too late.
pub(super) async fn within<C, L>(
    login: impl Future<Output = Result<C, Failure>> + Send + 'static,
    deadline: Instant,
    gate: &Arc<Gate>,
    leave: impl FnOnce(C) -> L + Send + 'static,
) -> Result<Result<C, Failure>, Unfinished>
where
    C: Send + 'static,
    L: Future<Output = ()> + Send,
{
    let mut login = Box::pin(login);
    if let Ok(ended) = timeout_at(deadline, &mut login).await {
        return Ok(ended);
    }
    let gate = gate.clone();
    Err(Unfinished(Box::pin(async move {
        let is_too_late = async {
            gate.opened().await;
            sleep(LATE).await;
        };
        tokio::select! {
            ended = login => {
                if let Ok(connection) = ended {
                    leave(connection).await;
                }
            }
            () = is_too_late => {}
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::failure::{Phase, Reason};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_login_that_is_late_is_finished_and_left_in_order() {
        let gate = Arc::new(Gate::default());
        let (left, told) = tokio::sync::oneshot::channel();
        let login = async {
            sleep(SECOND * 600).await;
            Ok(7)
        };
        let leave = |connection| async move { left.send(connection).expect("somebody listens") };
        let unfinished = within(login, Instant::now() + SECOND, &gate, leave).await.expect_err("too late");
        unfinished.finish().await;
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_as_it_would_be() {
        let gate = Arc::new(Gate::default());
        let failure = Failure::new(Phase::Tcp, Reason::Refused, "words");
        for outcome in [Ok(1), Err(failure)] {
            let expect = outcome.clone();
            let ended = within(async { outcome }, Instant::now() + SECOND, &gate, |_| async {}).await;
            assert_eq!(ended.expect("in time"), expect);
        }
    }
}
