//! The pool under paused time, on connections that follow a script.

mod fake;
mod matrix;
mod storm;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::poll;
use tokio::time::{advance, sleep};

use super::*;
use crate::mysql::budget::Purpose;
use crate::mysql::signal::Signal;
use fake::{Answer, Bench, LATER, Point};

fn settings(size: u32, max_overflow: u32) -> Settings {
    Settings { size, max_overflow, recycle: None, pre_ping: None, ..Settings::default() }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_one_used_last_is_reused_and_the_one_that_rested_longest_can_be_had() {
    let bench = Bench::new(settings(2, 1), 3);
    let (a, b) = (bench.acquire(Which::Latest).await, bench.acquire(Which::Latest).await);
    let (first, second) = (a.id(), b.id());
    a.give_back().await;
    b.give_back().await;
    for _ in 0..3 {
        let lease = bench.acquire(Which::Latest).await;
        assert_eq!(lease.id(), second);
        lease.give_back().await;
    }
    let lease = bench.acquire(Which::Longest).await;
    assert_eq!(lease.id(), first);
    lease.give_back().await;
    assert_eq!(bench.acquire(Which::Latest).await.id(), first);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_connection_rests_while_another_is_used_each_second() {
    let bench = Bench::new(Settings { pre_ping: Some(SECOND / 2), ..settings(2, 1) }, 3);
    let resting = bench.acquire(Which::Slot(1)).await;
    let rests = resting.id();
    resting.give_back().await;
    let mut busy = None;
    for rest in [30, 240] {
        for _ in 0..rest {
            let one = bench.acquire(Which::Working).await;
            // A second at the same time is overflow: it does not wake the one that rests.
            let other = bench.acquire(Which::Working).await;
            assert!(one.slot() == 0 && other.slot() == 2);
            assert_eq!(*busy.get_or_insert(one.id()), one.id());
            other.give_back().await;
            one.give_back().await;
            sleep(SECOND).await;
        }
        let resting = bench.acquire(Which::Slot(1)).await;
        assert_eq!(resting.id(), rests);
        assert!(resting.rested() >= SECOND * rest, "{:?}", resting.rested());
        resting.give_back().await;
    }
    bench.settle().await;
    assert!(bench.closed().iter().all(|reason| *reason == CloseReason::Superfluous));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_in_use_is_waited_for_and_others_pass() {
    let bench = Bench::new(settings(2, 0), 2);
    let held = bench.acquire(Which::Slot(0)).await;
    let mut same = std::pin::pin!(bench.pool.acquire(Which::Slot(0)));
    assert!(poll!(same.as_mut()).is_pending());
    bench.acquire(Which::Latest).await.give_back().await;
    let id = held.id();
    held.give_back().await;
    assert_eq!(same.await.expect("its turn").id(), id);
    bench.settle().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn overflow_is_closed_as_superfluous_when_it_comes_back() {
    let bench = Bench::new(settings(2, 1), 3);
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(bench.acquire(Which::Latest).await);
    }
    let ids: Vec<u32> = leases.iter().map(|lease| lease.id()).collect();
    // The overflow comes first: there is room to rest, until those of the first slots are back.
    for lease in leases.into_iter().rev() {
        assert!(bench.closed().is_empty());
        lease.give_back().await;
    }
    assert_eq!(bench.closed(), [CloseReason::Superfluous]);
    for slot in [0, 1] {
        let lease = bench.acquire(Which::Slot(slot)).await;
        assert_eq!(lease.id(), ids[slot as usize]);
        lease.give_back().await;
    }
    bench.settle().await;
    assert_eq!(bench.world.farewells.load(Ordering::SeqCst), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_replaced_when_it_is_wanted() {
    // The budget has no place beside those of the pool: the old one leaves before the new one comes.
    for places in [1, 3] {
        let bench = Bench::new(Settings { recycle: Some(SECOND * 280), ..settings(1, 0) }, places);
        let lease = bench.acquire(Which::Latest).await;
        let old = lease.id();
        lease.give_back().await;
        advance(SECOND * 279).await;
        let lease = bench.acquire(Which::Latest).await;
        assert_eq!(lease.id(), old);
        // In use it may grow older.
        sleep(SECOND * 10).await;
        lease.give_back().await;
        assert!(bench.closed().is_empty());
        let lease = bench.acquire(Which::Latest).await;
        assert_ne!(lease.id(), old);
        assert_eq!(bench.closed(), [CloseReason::Recycle]);
        lease.give_back().await;
        bench.settle().await;
        bench.end().await;
        assert_eq!(bench.world.farewells.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_stays_while_there_is_no_other() {
    let bench = Bench::new(Settings { recycle: Some(SECOND * 280), ..settings(1, 0) }, 1);
    let lease = bench.acquire(Which::Latest).await;
    let old = lease.id();
    lease.give_back().await;
    bench.world.hopeless.store(true, Ordering::SeqCst);
    sleep(SECOND * 1000).await;
    let lease = bench.acquire(Which::Latest).await;
    assert_eq!(lease.id(), old);
    lease.give_back().await;
    bench.world.hopeless.store(false, Ordering::SeqCst);
    let lease = bench.acquire(Which::Latest).await;
    assert_ne!(lease.id(), old);
    lease.give_back().await;
    assert_eq!(bench.closed(), [CloseReason::Recycle]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_replaced_within_the_same_acquire() {
    for (answer, signal) in [(Answer::Err, Signal::Fin), (Answer::Never, Signal::Timeout)] {
        let bench = Bench::new(Settings { pre_ping: Some(SECOND), ..settings(1, 0) }, 1);
        let lease = bench.acquire(Which::Latest).await;
        let dead = lease.id();
        lease.give_back().await;
        let rested_since = Instant::now();
        // Just used: it is not asked.
        bench.world.script(Point::Check, answer);
        bench.acquire(Which::Latest).await.give_back().await;
        let answered_at = Instant::now();
        assert!(rested_since < answered_at && bench.heard(|heard| heard.checked.is_empty()));
        sleep(SECOND * 40).await;
        let lease = bench.acquire(Which::Latest).await;
        assert_ne!(lease.id(), dead);
        bench.heard(|heard| {
            assert_eq!((&*heard.closed, &*heard.checked), (&[CloseReason::Lost][..], &[Checked::Dead][..]));
            let lost = &heard.lost[0];
            assert_eq!((lost.connection_id, lost.signal, lost.during), (dead, signal, During::Check));
            assert_eq!(lost.last_answer_at, answered_at);
            assert!(lost.rested() >= SECOND * 40 && lost.rested() < SECOND * 46, "{lost:?}");
            assert!(lost.opened_at < rested_since && lost.noticed_at > answered_at);
            assert_eq!(heard.waited, [Waited::Ok; 3]);
        });
        lease.give_back().await;
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_living_connection_is_checked_and_kept() {
    let bench = Bench::new(Settings { pre_ping: Some(Duration::ZERO), ..settings(1, 0) }, 1);
    for _ in 0..3 {
        bench.acquire(Which::Latest).await.give_back().await;
    }
    bench.heard(|heard| assert_eq!((heard.opened, &*heard.checked), (1, &[Checked::Alive; 2][..])));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn recover_closes_what_rests_now_and_what_is_out_when_it_is_back() {
    let bench = Bench::new(settings(2, 0), 2);
    let (out, rests) = (bench.acquire(Which::Latest).await, bench.acquire(Which::Latest).await);
    rests.give_back().await;
    assert_eq!(bench.pool.recover(), Recovered { closed: 1, marked: 1 });
    assert_eq!(bench.closed(), [CloseReason::Recover]);
    out.give_back().await;
    assert_eq!(bench.closed(), [CloseReason::Recover; 2]);
    let new = bench.acquire(Which::Latest).await;
    assert_eq!(new.id(), 3);
    new.give_back().await;
    bench.settle().await;
    assert_eq!(bench.pool.counts().idle, 1);
    assert_eq!(bench.world.farewells.load(Ordering::SeqCst), 2);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_granted_before_recover_is_not_handed_out_after_it() {
    let bench = Bench::new(settings(1, 0), 1);
    let held = bench.acquire(Which::Latest).await;
    let old = held.id();
    let mut waits = std::pin::pin!(bench.pool.acquire(Which::Latest));
    assert!(poll!(waits.as_mut()).is_pending());
    held.give_back().await;
    assert_eq!(bench.pool.recover(), Recovered { closed: 1, marked: 0 });
    assert_ne!(waits.await.expect("a new one").id(), old);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_order_and_nobody_is_forgotten() {
    let bench = Bench::new(settings(1, 0), 1);
    let held = bench.acquire(Which::Latest).await;
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(bench.pool.acquire(Which::Latest))).collect();
    for one in &mut waiting {
        assert!(poll!(one).is_pending());
    }
    assert_eq!(bench.pool.counts().pending, 5);
    held.give_back().await;
    // It is the first one's now, who goes away without having looked.
    drop(waiting.remove(0));
    assert!(poll!(&mut waiting[1]).is_pending(), "the third passed the second");
    let second = waiting.remove(0).await.expect("its turn");
    // One who comes later does not pass, though he asks at the moment it comes free.
    let mut late = Box::pin(bench.pool.acquire(Which::Latest));
    second.give_back().await;
    assert!(poll!(&mut late).is_pending());
    for one in waiting {
        one.await.expect("its turn").give_back().await;
    }
    late.await.expect("the last turn").give_back().await;
    bench.settle().await;
    assert!(bench.closed().is_empty());
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_budget_is_waited_for_like_a_full_pool() {
    let bench = Bench::new(Settings { timeout: SECOND * 3, ..settings(2, 1) }, 1);
    let evidence = bench.budget.take(Purpose::Evidence).expect("a place");
    let began = Instant::now();
    assert_eq!(bench.pool.acquire(Which::Latest).await.err(), Some(Refused::Timeout));
    assert_eq!(began.elapsed(), SECOND * 3);
    let mut waits = std::pin::pin!(bench.pool.acquire(Which::Latest));
    assert!(poll!(waits.as_mut()).is_pending());
    drop(evidence);
    let lease = waits.await.expect("the place came free");
    // Two pools share a budget: one that gives a place back wakes the other.
    let other = Pool::new(fake::Fakes(bench.world.clone()), settings(1, 0), bench.budget.clone(), Arc::new(()));
    let mut waits = std::pin::pin!(other.acquire(Which::Latest));
    assert!(poll!(waits.as_mut()).is_pending());
    drop(lease);
    drop(waits.await.expect("the place came free"));
    other.shutdown(Instant::now() + SECOND).await;
    bench.heard(|heard| assert_eq!(heard.waited, [Waited::Timeout, Waited::Ok]));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_opening_lets_the_next_one_try() {
    let bench = Bench::new(settings(1, 0), 1);
    bench.world.script(Point::Open, Answer::Err);
    let (one, other) = tokio::join!(bench.pool.acquire(Which::Latest), bench.pool.acquire(Which::Latest));
    assert!(matches!((one.err(), other.err()), (Some(Refused::Failed(_)), Some(Refused::Failed(_)))));
    bench.heard(|heard| assert_eq!((heard.opened, heard.unopened), (0, 2)));
    bench.settle().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_says_farewell_to_all_and_tells_those_who_wait() {
    let bench = Bench::new(settings(1, 1), 2);
    let (rests, out) = (bench.acquire(Which::Latest).await, bench.acquire(Which::Latest).await);
    let mut waits = std::pin::pin!(bench.pool.acquire(Which::Slot(0)));
    assert!(poll!(waits.as_mut()).is_pending());
    let pool = bench.pool.clone();
    let ends = tokio::spawn(async move { pool.shutdown(Instant::now() + LATER).await });
    assert_eq!(waits.await.err(), Some(Refused::Stopped));
    rests.give_back().await;
    sleep(SECOND).await;
    assert!(!ends.is_finished(), "one is still out");
    out.give_back().await;
    ends.await.expect("no panic");
    assert_eq!(bench.closed(), [CloseReason::Shutdown; 2]);
    assert_eq!(bench.world.farewells.load(Ordering::SeqCst), 2);
    assert_eq!(bench.pool.acquire(Which::Latest).await.err(), Some(Refused::Stopped));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_by_its_deadline_and_a_late_lease_is_still_counted() {
    let bench = Bench::new(settings(2, 0), 2);
    let late = bench.acquire(Which::Latest).await;
    bench.world.script(Point::Open, Answer::Never);
    let mut opening = Box::pin(bench.pool.acquire(Which::Latest));
    assert!(poll!(&mut opening).is_pending());
    drop(opening);
    let began = Instant::now();
    bench.pool.shutdown(began + SECOND).await;
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(bench.world.aborted_logins.load(Ordering::SeqCst), 1);
    late.give_back().await;
    assert_eq!(bench.closed(), [CloseReason::Shutdown]);
    bench.end().await;
}

#[test]
fn a_lease_may_end_where_no_runtime_is() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let bench = Bench::new(settings(1, 0), 1);
    let lease = runtime.block_on(bench.acquire(Which::Latest));
    drop(runtime);
    drop(lease);
    assert_eq!(bench.closed(), [CloseReason::Cancelled]);
    assert_eq!(bench.budget.held(Purpose::Pool), 0);
}

#[test]
fn what_a_pool_hands_out_may_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    let bench = Bench::new(settings(1, 0), 1);
    let pool = bench.pool.clone();
    is_send(async move {
        let lease = pool.acquire(Which::Latest).await.expect("a connection");
        lease.give_back().await;
    });
}
