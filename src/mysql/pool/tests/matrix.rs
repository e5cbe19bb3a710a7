//! The cancellation matrix: every way in which each exchange can end, waited for or not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::super::*;
use super::fake::{Answer, Bench, Point, SLOW, SOON};

const TIMEOUT: Duration = Duration::from_secs(3);

/// A job as the exporter has them.
async fn job(bench: Bench) {
    let Ok(mut lease) = bench.pool.acquire(Which::Latest).await else { return };
    let _ = lease.ask().await;
    lease.give_back().await;
}

/// What is to be heard after a job that met this.
struct Expected {
    closed: &'static [CloseReason],
    opened: u64,
    unopened: u64,
    waited: &'static [Waited],
    idle: u32,
}

fn expected(point: Point, answer: Answer, cancelled: bool) -> Expected {
    use CloseReason::*;
    let of = |closed, opened, unopened, waited, idle| Expected { closed, opened, unopened, waited, idle };
    // Before the job there is the one that opened the connection that rests; at `Open` there was none, and at `Wait`
    // somebody has the connection.
    let ok: &[Waited] = &[Waited::Ok, Waited::Ok];
    let one: &[Waited] = &[Waited::Ok];
    match (point, answer, cancelled) {
        (Point::Wait, Answer::Ok | Answer::Slow, false) => of(&[], 1, 0, ok, 1),
        // The one who has it loses it: then there is another to be opened.
        (Point::Wait, Answer::Err, false) => of(&[Lost], 2, 0, ok, 1),
        (Point::Wait, Answer::Never, false) => of(&[], 1, 0, &[Waited::Ok, Waited::Timeout], 1),
        (Point::Wait, Answer::Err, true) => of(&[Lost], 1, 0, one, 0),
        (Point::Wait, _, true) => of(&[], 1, 0, one, 1),

        (Point::Open, Answer::Ok | Answer::Slow, false) => of(&[], 1, 0, one, 1),
        (Point::Open, Answer::Err | Answer::Never, false) => of(&[], 0, 1, &[Waited::Error], 0),
        // The login is finished, and the connection rests for the next.
        (Point::Open, Answer::Ok | Answer::Slow, true) => of(&[], 1, 0, &[], 1),
        (Point::Open, Answer::Err | Answer::Never, true) => of(&[], 0, 1, &[], 0),

        (Point::Check, Answer::Ok | Answer::Slow, false) => of(&[], 1, 0, ok, 1),
        (Point::Check, Answer::Err | Answer::Never, false) => of(&[Lost], 2, 0, ok, 1),
        (Point::Check, _, true) => of(&[Cancelled], 1, 0, one, 0),

        (Point::Use, Answer::Ok | Answer::Slow, false) => of(&[], 1, 0, ok, 1),
        (Point::Use, Answer::Err | Answer::Never, false) => of(&[Lost], 1, 0, ok, 0),
        (Point::Use, _, true) => of(&[Cancelled], 1, 0, ok, 0),

        (Point::Reset, Answer::Ok | Answer::Slow, false) => of(&[], 1, 0, ok, 1),
        (Point::Reset, Answer::Err, false) => of(&[ResetFailed], 1, 0, ok, 0),
        (Point::Reset, Answer::Never, false) => of(&[Lost], 1, 0, ok, 0),
        (Point::Reset, _, true) => of(&[Cancelled], 1, 0, ok, 0),
    }
}

#[tokio::test(start_paused = true)]
async fn the_books_balance_wherever_a_job_is_stopped_and_whatever_it_met() {
    for point in [Point::Wait, Point::Open, Point::Check, Point::Use, Point::Reset] {
        for answer in Answer::ALL {
            for cancelled in [false, true] {
                run(point, answer, cancelled).await;
            }
        }
    }
}

async fn run(point: Point, answer: Answer, cancelled: bool) {
    let what = format!("{point:?} {answer:?}{}", if cancelled { ", cancelled" } else { "" });
    let settings = Settings {
        size: 1,
        max_overflow: 0,
        timeout: TIMEOUT,
        pre_ping: Some(Duration::ZERO),
        recycle: None,
        ..Settings::default()
    };
    let bench = Bench::new(settings, 1);
    let mut holder = None;
    match point {
        Point::Open => {}
        Point::Wait => {
            let lease = bench.acquire(Which::Latest).await;
            holder = Some(tokio::spawn(hold(bench.clone(), lease, answer)));
        }
        _ => bench.acquire(Which::Latest).await.give_back().await,
    }
    if point != Point::Wait {
        bench.world.script(point, answer);
    }
    let mut reached = bench.world.reached.subscribe();
    let before = reached.borrow().1;
    let job = tokio::spawn(job(bench.clone()));
    if cancelled {
        if point != Point::Wait {
            reached.wait_for(|(at, times)| *times > before && *at == Some(point)).await.expect("the world goes on");
        }
        sleep(SOON / 2).await;
        job.abort();
        assert!(job.await.is_err_and(|error| error.is_cancelled()), "{what}: it was over before");
        bench.balance();
    } else {
        job.await.expect("no panic");
        bench.balance();
    }
    bench.world.script(point, Answer::Ok);
    if let Some(holder) = holder {
        holder.await.expect("no panic");
    }
    bench.settle().await;

    let expected = expected(point, answer, cancelled);
    assert_eq!(bench.closed(), expected.closed, "{what}");
    bench.heard(|heard| {
        assert_eq!((heard.opened, heard.unopened), (expected.opened, expected.unopened), "{what}");
        assert_eq!(heard.waited, expected.waited, "{what}");
        let uses = heard.waited.iter().filter(|waited| **waited == Waited::Ok).count();
        assert_eq!(heard.used.len(), uses, "{what}: each use is told once");
        for lost in &heard.lost {
            let during = match point {
                Point::Check => During::Check,
                Point::Reset => During::Reset,
                _ => During::Use,
            };
            assert_eq!(lost.during, during, "{what}");
        }
    });
    assert_eq!(bench.pool.counts().idle, expected.idle, "{what}");
    assert_eq!(bench.world.aborted_logins.load(Ordering::SeqCst), 0, "{what}");

    // Whatever happened: the next one is served.
    bench.acquire(Which::Latest).await.give_back().await;
    bench.end().await;
}

/// Has the connection that the job waits for.
async fn hold(bench: Bench, mut lease: Lease<super::fake::Fakes>, answer: Answer) {
    match answer {
        Answer::Ok => {}
        Answer::Slow => sleep(SLOW).await,
        Answer::Never => sleep(TIMEOUT * 2).await,
        Answer::Err => {
            bench.world.script(Point::Use, Answer::Err);
            let _ = lease.ask().await;
            bench.world.script(Point::Use, Answer::Ok);
        }
    }
    lease.give_back().await;
}
