//! Storms: a thousand things at random, the books balanced after each.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

use super::super::*;
use super::fake::{Answer, Bench, Point};
use crate::mysql::budget::Purpose;

#[tokio::test(start_paused = true)]
async fn the_books_balance_after_each_of_a_thousand_random_things() {
    let mut all = [0; CloseReason::ALL.len()];
    for seed in 0..8 {
        for (reason, times) in CloseReason::ALL.into_iter().zip(storm(seed).await) {
            all[reason as usize] += times;
        }
    }
    for reason in CloseReason::ALL {
        assert!(all[reason as usize] > 0, "{reason:?} never happened: this is no storm");
    }
}

async fn storm(seed: u64) -> [usize; CloseReason::ALL.len()] {
    let mut rng = Rng::with_seed(seed);
    let settings = Settings {
        size: rng.u32(1..4),
        max_overflow: rng.u32(0..3),
        timeout: Duration::from_secs(2),
        pre_ping: Some(Duration::from_millis(20)),
        recycle: Some(Duration::from_secs(1)),
        ..Settings::default()
    };
    let most = settings.size + settings.max_overflow;
    let size = settings.size;
    let bench = Bench::new(settings, rng.u32(1..=most + 1));
    let mut jobs: Vec<JoinHandle<()>> = Vec::new();
    let mut elsewhere = Vec::new();
    for _ in 0..1000 {
        match rng.u32(0..100) {
            0..45 => jobs.push(tokio::spawn(job(bench.clone(), rng.fork(), size))),
            45..60 if !jobs.is_empty() => jobs.swap_remove(rng.usize(0..jobs.len())).abort(),
            60..62 => drop(bench.pool.recover()),
            62..70 => {
                let point = rng.choice([Point::Open, Point::Check, Point::Use, Point::Reset]).expect("some");
                bench.world.script(point, rng.choice(Answer::ALL).expect("some"));
            }
            70..80 => {
                let point = rng.choice([Point::Open, Point::Check, Point::Use, Point::Reset]).expect("some");
                bench.world.script(point, Answer::Ok);
            }
            80..83 => elsewhere.extend(bench.budget.take(Purpose::Evidence)),
            83..87 => drop(elsewhere.pop()),
            _ => sleep(Duration::from_millis(rng.u64(0..300))).await,
        }
        for _ in 0..rng.u32(0..4) {
            yield_now().await;
        }
        bench.balance();
        jobs.retain(|job| !job.is_finished());
    }
    drop(elsewhere);
    for point in [Point::Open, Point::Check, Point::Use, Point::Reset] {
        bench.world.script(point, Answer::Ok);
    }
    if rng.bool() {
        // The end comes in the middle of it.
        bench.end().await;
    }
    for job in jobs {
        // Aborted or not: nobody may wait for ever.
        let _ = job.await;
        bench.balance();
    }
    assert_eq!(bench.world.aborted_logins.load(Ordering::SeqCst), 0);
    bench.end().await;
    let closed = bench.closed();
    CloseReason::ALL.map(|reason| closed.iter().filter(|closed| **closed == reason).count())
}

async fn job(bench: Bench, mut rng: Rng, size: u32) {
    let slot = rng.u32(0..size);
    let which = [Which::Latest, Which::Longest, Which::Slot(slot), Which::Working];
    let Ok(mut lease) = bench.pool.acquire(rng.choice(which).expect("some")).await else { return };
    for _ in 0..rng.u32(0..3) {
        if lease.ask().await.is_err() {
            // Some give back what is lost, some just let go.
            if rng.bool() {
                return;
            }
            break;
        }
        sleep(Duration::from_millis(rng.u64(0..50))).await;
    }
    lease.give_back().await;
}
