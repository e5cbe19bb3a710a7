//! Uses a pool as an application would, with rests.
//!
//! The first connection is used every second or so: it is the control, by which is known that the server is well.
//! Each other rests for a while, is used once, and rests again: an idle limit of the server or of the path shows at its
//! next use, as it would in an application. While nobody gets in, only what is still there is used.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::loss::Transaction;
use super::pools::{Exercise, Inbox, News, Opener, Plan, Pools};
use crate::mysql::failure::Failure;
use crate::mysql::pool::{Gate, Lease, Pool, ResetOnReturn, Which};
use crate::mysql::session::ends_session;

/// From here on sending a statement takes its own time.
const LARGE: usize = 64 << 10;

/// Uses of the control that a connection which has rested for long waits for at most.
const BEATS: u32 = 2;

/// The longest pause between two tries to have a connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Exercises every pool of a target until shutdown; then each connection is given back and this ends.
pub(super) async fn exercise(pools: Pools, shutdown: watch::Receiver<bool>) {
    let mut users = Vec::new();
    let mut control = None;
    for (index, (plan, pool)) in pools.iter().enumerate() {
        let Some(exercise) = &plan.exercise else { continue };
        if index == 0 {
            control = Some(exercise.busy);
        }
        for slot in 0..plan.settings.size {
            let part = match (index, slot, control) {
                (0, 0, _) => Part::Control(pools.control().clone()),
                (_, _, Some(busy)) => Part::Led(pools.control().subscribe(), busy * BEATS + plan.read_timeout),
                _ => Part::Alone,
            };
            let user = User {
                pool: pool.clone(),
                plan: plan.clone(),
                exercise: exercise.clone(),
                slot,
                part,
                gate: pools.gate().clone(),
                inbox: pools.inbox().clone(),
                dropped: pools.dropped(),
            };
            users.push(user.go_on(shutdown.clone()));
        }
    }
    join_all(users).await;
}

/// Who uses one connection of a pool.
struct User {
    pool: Pool<Opener>,
    plan: Arc<Plan>,
    exercise: Exercise,
    slot: u32,
    part: Part,
    gate: Arc<Gate>,
    inbox: Arc<Inbox>,
    dropped: watch::Receiver<u64>,
}

/// A server that freezes shall have one connection of ours that it answers too late, not one for each that is in use.
enum Part {
    /// The one that is used most often: where this is not answered, the others are left alone.
    Control(watch::Sender<u64>),
    /// One that rests for long: used when the control has just been answered, or not within that time.
    Led(watch::Receiver<u64>, Duration),
    Alone,
}

impl User {
    async fn go_on(mut self, mut shutdown: watch::Receiver<bool>) {
        let (mut rest, mut failures) = (Duration::ZERO, 0);
        for turn in self.slot as usize.. {
            tokio::select! {
                // A sender that is gone means the same.
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = self.wait(rest) => {}
            }
            let was_had = self.once().await;
            failures = if was_had { 0 } else { failures + 1 };
            rest = if was_had { self.rest(turn) } else { self.pause(failures) };
        }
    }

    fn rest(&self, turn: usize) -> Duration {
        match self.exercise.rests.as_slice() {
            [_, ..] if self.slot > 0 => self.exercise.rests[(turn - 1) % self.exercise.rests.len()],
            _ => self.exercise.busy,
        }
    }

    /// Ever longer where the pool has no connection to give although others get in.
    fn pause(&self, failures: u32) -> Duration {
        (self.exercise.busy * 2_u32.pow(failures.min(8)) / 2).min(LONGEST_PAUSE)
    }

    async fn wait(&mut self, rest: Duration) {
        tokio::select! {
            () = sleep(rest) => {}
            // The pools outlive their users.
            _ = self.dropped.changed() => {}
        }
        if self.pool.holds(self.slot) {
            if let Part::Led(control, at_most) = &mut self.part
                && rest > *at_most
            {
                control.mark_unchanged();
                // Without an answer this connection is asked all the same, unless there was silence.
                let _ = timeout(*at_most, control.changed()).await;
            }
            self.gate.broke_silence().await;
        }
        if self.pool.holds(self.slot) {
            return;
        }
        if !self.gate.is_open() {
            self.inbox.tell(News::Skipped);
            self.gate.opened().await;
        }
        // Not all at once: many targets may have lost one server.
        sleep(self.exercise.busy.min(Duration::from_secs(1)).mul_f64(fastrand::f64())).await;
    }

    /// Uses the connection; says whether there was one.
    async fn once(&self) -> bool {
        let pool = self.plan.settings.name.clone();
        let mut lease = match self.pool.acquire(Which::Slot(self.slot)).await {
            Ok(lease) => lease,
            Err(refused) => {
                self.inbox.tell(News::Unanswered { pool, failure: refused.failure() });
                return false;
            }
        };
        let asked = Instant::now();
        let answer = self.ask(&mut lease).await;
        match &answer {
            // It leaves the pool as what it is, before anyone hears of this.
            Err(failure) if ends_session(failure) => drop(lease),
            _ => lease.give_back().await,
        }
        if let (Part::Control(answers), Ok(())) = (&self.part, &answer) {
            answers.send_modify(|count| *count += 1);
        }
        self.inbox.tell(match answer {
            Ok(()) => News::Answered { pool, slot: self.slot, asked },
            Err(failure) => News::Unanswered { pool, failure },
        });
        true
    }

    async fn ask(&self, lease: &mut Lease<Opener>) -> Result<(), Failure> {
        let sql = &self.exercise.statement;
        let sending = if sql.len() < LARGE { Duration::ZERO } else { self.plan.write_timeout };
        let deadline = Instant::now() + self.plan.read_timeout + sending;
        lease.session.query(sql, deadline).await?;
        if self.plan.settings.reset_on_return == ResetOnReturn::None && lease.session.server().is_mariadb() {
            // Others have no limit of their own for transactions that rest.
            let open = lease.session.query("SELECT @@in_transaction", deadline).await?;
            let transaction = match open.scalar() {
                Some("0") => Transaction::None,
                _ => lease.standing().idle_transaction.in_force(None),
            };
            lease.rests_in(transaction);
        }
        Ok(())
    }
}
