//! Connections that follow a script, and books that must balance whatever happens to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::*;
use crate::mysql::budget::{Place, Purpose};
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::signal::{Loss, Signal, Standing};

pub(super) const SOON: Duration = Duration::from_millis(10);
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// Longer than any deadline of the tests.
pub(super) const LATER: Duration = Duration::from_secs(60);

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ok,
    Err,
    Slow,
    Never,
}

impl Answer {
    pub(super) const ALL: [Answer; 4] = [Answer::Ok, Answer::Err, Answer::Slow, Answer::Never];
}

/// The points where someone can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Point {
    Wait,
    Open,
    Check,
    Use,
    Reset,
}

/// The server of the script.
pub(super) struct World {
    script: Mutex<BTreeMap<Point, Answer>>,
    /// Where an exchange began last, and how often one began.
    pub(super) reached: watch::Sender<(Option<Point>, u32)>,
    ids: AtomicU32,
    /// From before a login to after a farewell.
    pub(super) alive: Arc<AtomicU32>,
    pub(super) most_alive: AtomicU32,
    pub(super) farewells: AtomicU32,
    pub(super) aborted_logins: AtomicU32,
    /// No further connection can be had.
    pub(super) hopeless: AtomicBool,
}

impl World {
    pub(super) fn script(&self, point: Point, answer: Answer) {
        self.script.lock().unwrap().insert(point, answer);
    }

    async fn exchange(&self, point: Point, deadline: Instant) -> Option<bool> {
        self.reached.send_modify(|(at, times)| (*at, *times) = (Some(point), *times + 1));
        let answer = self.script.lock().unwrap().get(&point).copied().unwrap_or(Answer::Ok);
        match answer {
            Answer::Ok => sleep(SOON).await,
            Answer::Err => {
                sleep(SOON).await;
                return Some(false);
            }
            Answer::Slow => sleep(SLOW).await,
            Answer::Never => {
                sleep_until(deadline).await;
                return None;
            }
        }
        Some(true)
    }
}

/// Counts a connection for as long as it is.
struct Alive(Arc<AtomicU32>, #[expect(dead_code, reason = "given back on drop")] Place);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) struct Fake {
    world: Arc<World>,
    id: u32,
    in_step: bool,
    loss: Option<Loss>,
    answered_at: Instant,
    _alive: Alive,
}

impl Fake {
    pub(super) async fn ask(&mut self) -> Result<(), Failure> {
        self.exchange(Point::Use, Instant::now() + Duration::from_secs(3)).await
    }

    async fn exchange(&mut self, point: Point, deadline: Instant) -> Result<(), Failure> {
        assert_eq!(Connection::standing(self), Standing::InStep, "asked out of step at {point:?}");
        self.in_step = false;
        let world = self.world.clone();
        let (signal, reason) = match world.exchange(point, deadline).await {
            Some(true) => {
                (self.in_step, self.answered_at) = (true, Instant::now());
                return Ok(());
            }
            // A reset is refused by the server; everything else fails with the connection.
            Some(false) if point == Point::Reset => {
                self.in_step = true;
                return Err(Failure::new(Phase::Query, Reason::Other, "refused"));
            }
            Some(false) => (Signal::Fin, Reason::Closed),
            None => (Signal::Timeout, Reason::Timeout),
        };
        let failure = Failure::new(Phase::Query, reason, "scripted");
        self.loss = Some(Loss::now(signal, failure.clone()));
        Err(failure)
    }
}

impl Connection for Fake {
    type Known = ();

    fn known(&self) {}

    fn id(&self) -> u32 {
        self.id
    }

    fn standing(&self) -> Standing<'_> {
        match &self.loss {
            Some(loss) => Standing::Lost(loss),
            None if self.in_step => Standing::InStep,
            None => Standing::Unanswered,
        }
    }

    fn answered_at(&self) -> Instant {
        self.answered_at
    }

    async fn ping(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.exchange(Point::Check, deadline).await
    }

    async fn reset(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.exchange(Point::Reset, deadline).await
    }

    async fn close(self) {
        assert!(self.in_step && self.loss.is_none(), "a farewell in the middle of an answer");
        sleep(SOON).await;
        self.world.farewells.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) struct Fakes(pub(super) Arc<World>);

/// Says so if a login is stopped half way.
struct HalfWay<'a>(&'a World, bool);

impl Drop for HalfWay<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.aborted_logins.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Connector for Fakes {
    type Connection = Fake;

    fn can_open(&self) -> bool {
        !self.0.hopeless.load(Ordering::SeqCst)
    }

    async fn open(&self, place: Place, deadline: Instant) -> Result<Fake, Failure> {
        let world = self.0.clone();
        let alive = world.alive.fetch_add(1, Ordering::SeqCst) + 1;
        world.most_alive.fetch_max(alive, Ordering::SeqCst);
        let _alive = Alive(world.alive.clone(), place);
        let mut half_way = HalfWay(&world, false);
        let answer = world.exchange(Point::Open, deadline).await;
        half_way.1 = true;
        drop(half_way);
        match answer {
            Some(true) => {
                let id = world.ids.fetch_add(1, Ordering::SeqCst) + 1;
                Ok(Fake { world, id, in_step: true, loss: None, answered_at: Instant::now(), _alive })
            }
            Some(false) => Err(Failure::new(Phase::Tcp, Reason::Refused, "scripted")),
            None => Err(Failure::new(Phase::Auth, Reason::Timeout, "scripted")),
        }
    }
}

/// What the observer heard.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) opened: u64,
    pub(super) unopened: u64,
    pub(super) closed: Vec<CloseReason>,
    pub(super) waited: Vec<Waited>,
    pub(super) checked: Vec<Checked>,
    pub(super) used: Vec<Duration>,
    pub(super) lost: Vec<Lost>,
}

#[derive(Default)]
struct Recorder(Mutex<Heard>);

impl Observer for Recorder {
    fn opened(&self, result: Result<(), &Failure>, _took: Duration) {
        let mut heard = self.0.lock().unwrap();
        match result {
            Ok(()) => heard.opened += 1,
            Err(_) => heard.unopened += 1,
        }
    }

    fn closed(&self, reason: CloseReason) {
        self.0.lock().unwrap().closed.push(reason);
    }

    fn waited(&self, result: Waited, _took: Duration) {
        self.0.lock().unwrap().waited.push(result);
    }

    fn checked(&self, result: Checked) {
        self.0.lock().unwrap().checked.push(result);
    }

    fn used(&self, took: Duration) {
        self.0.lock().unwrap().used.push(took);
    }

    fn lost(&self, lost: Lost) {
        self.0.lock().unwrap().lost.push(lost);
    }
}

/// A pool on a scripted server, and its books.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) pool: Pool<Fakes>,
    pub(super) world: Arc<World>,
    pub(super) budget: Budget,
    recorder: Arc<Recorder>,
}

impl Bench {
    /// A budget of `places` for the pool.
    pub(super) fn new(settings: Settings, places: u32) -> Bench {
        let world = Arc::new(World {
            script: Mutex::default(),
            reached: watch::Sender::new((None, 0)),
            ids: AtomicU32::new(0),
            alive: Arc::default(),
            most_alive: AtomicU32::new(0),
            farewells: AtomicU32::new(0),
            aborted_logins: AtomicU32::new(0),
            hopeless: AtomicBool::new(false),
        });
        // One more is kept for the probe.
        let budget = Budget::new(places + 1);
        let recorder = Arc::new(Recorder::default());
        let pool = Pool::new(Fakes(world.clone()), settings, budget.clone(), recorder.clone());
        Bench { pool, world, budget, recorder }
    }

    pub(super) fn heard<T>(&self, read: impl FnOnce(&Heard) -> T) -> T {
        read(&self.recorder.0.lock().unwrap())
    }

    pub(super) fn closed(&self) -> Vec<CloseReason> {
        self.heard(|heard| heard.closed.clone())
    }

    pub(super) async fn acquire(&self, which: Which) -> Lease<Fakes> {
        self.pool.acquire(which).await.expect("a connection")
    }

    /// Lets everything end that is under way.
    pub(super) async fn settle(&self) {
        sleep(LATER).await;
        self.balance();
        let counts = self.pool.counts();
        assert_eq!((counts.opening, counts.pending), (0, 0));
        assert_eq!(self.budget.held(Purpose::Pool), counts.idle + counts.used, "places are given back");
    }

    /// What must be true at any time.
    pub(super) fn balance(&self) {
        let (counts, settings) = (self.pool.counts(), self.pool.settings());
        self.heard(|heard| {
            assert_eq!(heard.opened, heard.closed.len() as u64 + u64::from(counts.idle + counts.used), "{counts:?}");
            assert_eq!((heard.opened, heard.closed.len() as u64), (counts.opened, counts.closed));
            let lost = heard.closed.iter().filter(|reason| **reason == CloseReason::Lost).count();
            assert_eq!(lost, heard.lost.len(), "each loss is told once");
        });
        assert!(counts.idle <= settings.size, "{counts:?}");
        assert!(counts.idle + counts.used + counts.opening <= settings.size + settings.max_overflow, "{counts:?}");
        let held = self.budget.held(Purpose::Pool);
        assert!(held >= counts.idle + counts.used + counts.opening, "{counts:?}: every connection has its place");
        assert!(held >= self.world.alive.load(Ordering::SeqCst), "a place outlives its connection");
        assert!(self.world.most_alive.load(Ordering::SeqCst) < self.budget.limit());
    }

    /// Ends the pool; nothing is left.
    pub(super) async fn end(&self) {
        self.pool.shutdown(Instant::now() + LATER).await;
        self.balance();
        let Counts { idle, used, opening, pending, .. } = self.pool.counts();
        assert_eq!((idle, used, opening, pending), (0, 0, 0, 0));
        assert_eq!((self.budget.held(Purpose::Pool), self.world.alive.load(Ordering::SeqCst)), (0, 0));
    }
}
