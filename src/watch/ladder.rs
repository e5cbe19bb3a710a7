//! How long an idle connection lives on the path from here to the server, found out by letting some rest.
//!
//! The server's own limit needs no experiment: it says its `wait_timeout`. What lies between (load balancers,
//! firewalls, NAT) says nothing, so up to three connections of our own rest without any traffic: one that only
//! watches shows whoever closes connections, at exactly its limit; two that search are pinged after chosen rests and
//! show whoever drops them silently. What is found holds for the path from this exporter, not for every client's.
//!
//! The ladder is pure. It is told what happened (`Event`) and when, and says what to do (`Command`) and what became
//! of each test (`Tested`); sockets and timers are the caller's. What a death is worth depends on the control, a
//! connection to the same server that is busy: when that died too, or the server restarted, the round is void and
//! moves no bound.
//!
//! ```text
//! settings   ages, steps, patience
//! bounds     what is known; the owner of the limit, the safe lifetime
//! canary     one resting connection
//! tested     what became of a test
//! goal       the age that is worth testing next
//! knowledge  survivals and deaths into bounds, confirmed
//! memory     the bounds in a file, for the next start
//! families   the metrics
//! ```

pub mod settings;
pub mod bounds;
pub mod canary;
pub mod tested;
mod goal;
mod knowledge;
pub mod memory;
pub mod families;

use std::time::Duration;

use tokio::time::Instant;

use self::bounds::{Bounds, Owner};
use self::canary::{Canary, CanaryId, Role, State, session_wait_timeout};
use self::goal::Goal;
use self::knowledge::{Death, Judged, Knowledge, one_event};
use self::memory::Learned;
use self::settings::Settings;
use self::tested::{TestResult, Tested};
use crate::mysql::signal::Signal;

/// Connections held at once, at most.
pub const MOST_CANARIES: usize = 1 + SEARCHING;

const SEARCHING: usize = 2;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Log in, `SET SESSION wait_timeout`, then report `Opened` or `Refused`. No keepalive.
    Open { id: CanaryId, role: Role, planned_age: Duration, session_wait_timeout: Duration },
    /// It has just answered and is to rest anew: `SET SESSION wait_timeout`, then report `Resting` or `Died`.
    Rest { id: CanaryId, planned_age: Duration, session_wait_timeout: Duration },
    /// Ask whether it lives, then report `Answered`, `Silent` or `Died`. After `Silent` go on listening for the answer.
    Ping { id: CanaryId },
    /// Leave it with COM_QUIT, and when the server does not close it then (it owes an answer; the path has cut it
    /// already), KILL this thread. Nothing more is reported about it.
    Close { id: CanaryId, thread_id: Option<u32> },
    /// It died without the server's knowledge. KILL this thread over another connection, to the same server in the
    /// same incarnation: another one gives the number to somebody else.
    Kill { thread_id: u32 },
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Logged in and set up: it rests from now on.
    Opened {
        id: CanaryId,
        thread_id: u32,
    },
    Refused {
        id: CanaryId,
    },
    /// Set up anew: it rests from now on.
    Resting {
        id: CanaryId,
    },
    /// The connection ended, or a ping found it dead.
    Died {
        id: CanaryId,
        signal: Signal,
    },
    Answered {
        id: CanaryId,
    },
    /// No answer within the ping's deadline.
    Silent {
        id: CanaryId,
    },
    /// The control, a busy connection to the same server, has answered what it was asked at that time. When it was
    /// lost, `ControlLost` comes before any answer of the connection that replaced it.
    ControlAnswered {
        asked: Instant,
    },
    ControlLost,
    /// Another server, or the same one after a restart.
    ServerChanged,
    /// What the server promises: `@@global.wait_timeout` of a fresh session.
    WaitTimeout(Duration),
    /// Whether the server has room for us: false at 1040, 1226, or above 80 % of its connections.
    Room(bool),
    /// There is reason to believe that the limit has changed: look now.
    Doubt,
    /// What ended this canary is known, and it was no idleness.
    Explained {
        id: CanaryId,
    },
    /// `due` has come.
    Tick,
}

/// The answer to an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub commands: Vec<Command>,
    pub tested: Vec<Tested>,
}

/// The ladder of one target.
#[derive(Clone, Debug)]
pub struct Ladder {
    settings: Settings,
    knowledge: Knowledge,
    canaries: Vec<Canary>,
    /// Deaths that wait for a word from the control.
    pending: Vec<Pending>,
    wait_timeout: Option<Duration>,
    /// The control lives.
    well: bool,
    room: bool,
    opened_last: Option<(Instant, Role)>,
    refused: u32,
    retry_at: Option<Instant>,
    /// The limit is known well enough.
    settled: bool,
    recheck_at: Option<Instant>,
    next_id: u32,
    began: Instant,
}

#[derive(Clone, Debug)]
struct Pending {
    death: Death,
    /// The server may not know yet.
    thread_id: Option<u32>,
    /// The control has to answer what it was asked after this.
    asked_after: Instant,
}

impl Ladder {
    /// A ladder that begins with what was learned before. Nothing is opened until the control has answered.
    pub fn new(settings: Settings, learned: Option<Learned>, now: Instant) -> Ladder {
        let bounds = learned.map(|learned| learned.bounds).unwrap_or_default();
        // A limit that was known well enough when the last daemon stopped is looked at again when it is due.
        let recheck_at =
            learned.and_then(|learned| learned.settled_ago).map(|ago| now + settings.recheck_every.saturating_sub(ago));
        Ladder {
            settings,
            knowledge: Knowledge::new(bounds),
            canaries: Vec::new(),
            pending: Vec::new(),
            wait_timeout: None,
            well: false,
            room: true,
            opened_last: None,
            refused: 0,
            retry_at: None,
            settled: false,
            recheck_at,
            next_id: 0,
            began: now,
        }
    }

    /// Takes in what happened at a time, and says what follows. Times never run backwards.
    pub fn on(&mut self, now: Instant, event: Event) -> Step {
        let mut step = Step::default();
        match event {
            Event::Opened { id, thread_id } => {
                self.refused = 0;
                self.retry_at = None;
                if let Some(canary) = self.find(id) {
                    canary.thread_id = Some(thread_id);
                    (canary.state, canary.since) = (State::Resting, now);
                }
            }
            Event::Refused { id } => self.was_refused(now, id),
            Event::Resting { id } => {
                if let Some(canary) = self.find(id) {
                    (canary.state, canary.since) = (State::Resting, now);
                }
            }
            Event::Died { id, signal } => self.died(now, id, signal, &mut step),
            Event::Answered { id } => self.answered(id, &mut step),
            Event::Silent { id } => self.fell_silent(now, id),
            Event::ControlAnswered { asked } => {
                self.well = true;
                self.believe(asked, &mut step);
            }
            Event::ControlLost => {
                self.well = false;
                self.void(now, &mut step);
            }
            Event::ServerChanged => self.void(now, &mut step),
            Event::WaitTimeout(wait_timeout) => self.wait_timeout = Some(wait_timeout),
            Event::Room(room) => {
                let filled = self.room && !room;
                self.room = room;
                if filled {
                    self.void(now, &mut step);
                }
            }
            Event::Doubt => {
                if self.goal() == Goal::Nothing {
                    self.recheck_at = Some(now);
                }
            }
            Event::Explained { id } => self.explained(id, &mut step),
            Event::Tick => {}
        }
        self.advance(now, &mut step);
        step
    }

    /// When `Event::Tick` is due, if nothing else happens before.
    pub fn due(&self) -> Option<Instant> {
        let resting = self.canaries.iter().filter(|canary| canary.state == State::Resting);
        let rests = resting.map(|canary| canary.since + canary.planned);
        let patience = self.pending.iter().map(|pending| pending.asked_after + self.settings.control_patience);
        let recheck = self.recheck_at.filter(|_| self.may_open());
        let opening = self.may_open().then(|| self.wanted().and_then(|_| self.next_opening())).flatten();
        rests.chain(patience).chain(recheck).chain(opening).min()
    }

    /// What is known about the limit of the path.
    pub fn bounds(&self) -> Bounds {
        self.knowledge.bounds()
    }

    /// Who cuts first; none before the server's own limit is known.
    pub fn owner(&self) -> Option<Owner> {
        Some(self.bounds().owner(Some(self.wait_timeout?)))
    }

    /// How long a pool may keep a connection; see `Bounds::safe_lifetime`.
    pub fn safe_lifetime(&self) -> Option<Duration> {
        self.bounds().safe_lifetime(self.wait_timeout?)
    }

    /// Whether the bounds are as near to each other as they are to come.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Canaries of a role that are parked now.
    pub fn parked(&self, role: Role) -> usize {
        self.canaries.iter().filter(|canary| canary.role == role && canary.is_open()).count()
    }

    /// The canaries that rest now, for people: role, age, planned age.
    pub fn resting(&self, now: Instant) -> Vec<(Role, Duration, Duration)> {
        let open = self.canaries.iter().filter(|canary| canary.is_open());
        open.map(|canary| (canary.role, canary.age(now), canary.planned)).collect()
    }

    /// What is worth keeping for the next start.
    pub fn learned(&self, now: Instant) -> Learned {
        let every = self.settings.recheck_every;
        // One that is just being looked at again is as old as they get.
        let ago = self.recheck_at.map_or(every, |at| every.saturating_sub(at.saturating_duration_since(now)));
        Learned { bounds: self.bounds(), settled_ago: self.settled.then_some(ago) }
    }

    /// Leaves every canary, with no result: the daemon stops, or the ladder is switched off.
    pub fn end(&mut self) -> Vec<Command> {
        self.well = false;
        self.pending.clear();
        self.canaries.drain(..).map(|canary| canary.close()).collect()
    }

    fn find(&mut self, id: CanaryId) -> Option<&mut Canary> {
        self.canaries.iter_mut().find(|canary| canary.id == id)
    }

    fn was_refused(&mut self, now: Instant, id: CanaryId) {
        if self.find(id).is_none() {
            return;
        }
        self.canaries.retain(|canary| canary.id != id);
        let factor = (1 << self.refused.min(4)).min(10);
        self.refused += 1;
        self.retry_at = Some(now + self.settings.retry * factor);
    }

    fn died(&mut self, now: Instant, id: CanaryId, signal: Signal, step: &mut Step) {
        let Some(place) = self.canaries.iter().position(|canary| canary.id == id) else { return };
        let canary = self.canaries.remove(place);
        let (age, seen) = match canary.state {
            State::Resting => (canary.age(now), true),
            State::Pinged(rest) => (rest, false),
            // It was reported dead by its silence, and that stands.
            State::Silent(_) => return,
            State::Opening | State::Free | State::Arming => (canary.age(now), true),
        };
        let death = Death { id, role: canary.role, age, at: now, signal, seen };
        let is_a_test = matches!(canary.state, State::Resting | State::Pinged(_)) && signal != Signal::OutOfSync;
        if !is_a_test {
            step.tested.push(death.tested(TestResult::Void));
            return;
        }
        let with_others = self.pending.iter().any(|other| one_event(&other.death, &death, &self.settings));
        let event = with_others || self.knowledge.shares_an_event(&death, &self.settings);
        // What is ended before our eyes is ended by the server, or by somebody who may have told it.
        let thread_id = canary.thread_id.filter(|_| !seen);
        self.pending.push(Pending { death, thread_id, asked_after: now });
        if event {
            self.void(now, step);
        }
    }

    // A KILL, say: taken out before it can be taken for a limit.
    fn explained(&mut self, id: CanaryId, step: &mut Step) {
        let pending: Vec<Pending> = self.pending.extract_if(.., |pending| pending.death.id == id).collect();
        for Pending { death, .. } in pending {
            step.tested.push(death.tested(TestResult::Void));
            self.bury(death.id, None, step);
        }
        let judged = self.knowledge.explained(id);
        tell(judged, step);
    }

    fn fell_silent(&mut self, now: Instant, id: CanaryId) {
        let asked_after = now + self.settings.settle;
        let Some(canary) = self.find(id) else { return };
        let State::Pinged(rest) = canary.state else { return };
        canary.state = State::Silent(rest);
        let death = Death { id, role: canary.role, age: rest, at: now, signal: Signal::Timeout, seen: false };
        let thread_id = canary.thread_id;
        self.pending.push(Pending { death, thread_id, asked_after });
    }

    fn answered(&mut self, id: CanaryId, step: &mut Step) {
        let Some(canary) = self.find(id) else { return };
        match canary.state {
            State::Pinged(rest) => {
                canary.state = State::Free;
                let role = canary.role;
                step.tested.push(Tested { result: TestResult::Survived, id, role, age: rest, signal: None });
                let judged = self.knowledge.survived(rest, &self.settings);
                tell(judged, step);
            }
            State::Silent(_) => {
                // Late: somebody stood still, and nothing is dead.
                canary.state = State::Free;
                let late = self.pending.extract_if(.., |pending| pending.death.id == id);
                step.tested
                    .extend(late.map(|pending| Tested { signal: None, ..pending.death.tested(TestResult::Void) }));
            }
            _ => {}
        }
    }

    // The control was asked at that time and has answered: what died before, died alone.
    fn believe(&mut self, asked: Instant, step: &mut Step) {
        let believed: Vec<Pending> = self.pending.extract_if(.., |pending| pending.asked_after <= asked).collect();
        for Pending { death, thread_id, .. } in believed {
            self.bury(death.id, thread_id, step);
            let judged = self.knowledge.died(death, &self.settings);
            tell(judged, step);
        }
    }

    fn bury(&mut self, id: CanaryId, thread_id: Option<u32>, step: &mut Step) {
        if self.find(id).is_some() {
            self.canaries.retain(|canary| canary.id != id);
            step.commands.push(Command::Close { id, thread_id: None });
        }
        step.commands.extend(thread_id.map(|thread_id| Command::Kill { thread_id }));
    }

    // All that rests is worth nothing. Nobody is killed: the numbers may be those of another incarnation by now.
    fn void(&mut self, now: Instant, step: &mut Step) {
        for Pending { death, .. } in std::mem::take(&mut self.pending) {
            step.tested.push(death.tested(TestResult::Void));
            self.bury(death.id, None, step);
        }
        for canary in std::mem::take(&mut self.canaries) {
            step.commands.push(Command::Close { id: canary.id, thread_id: None });
            if canary.is_open() {
                let age = canary.age(now);
                step.tested.push(Tested {
                    result: TestResult::Void,
                    id: canary.id,
                    role: canary.role,
                    age,
                    signal: None,
                });
            }
        }
        let judged = self.knowledge.void(now, &self.settings);
        tell(judged, step);
    }

    fn advance(&mut self, now: Instant, step: &mut Step) {
        let patience = self.settings.control_patience;
        let unheard = self.pending.extract_if(.., |pending| now >= pending.asked_after + patience);
        for Pending { death, .. } in unheard.collect::<Vec<_>>() {
            step.tested.push(death.tested(TestResult::Void));
            self.bury(death.id, None, step);
        }
        if !self.may_open() {
            return;
        }
        self.settle(now);
        self.keep_watching(now, step);
        self.search(now, step);
        if self.next_opening().is_some_and(|at| at <= now)
            && let Some((role, planned)) = self.wanted()
        {
            self.open(now, role, planned, step);
        }
    }

    fn may_open(&self) -> bool {
        self.well && self.room && self.wait_timeout.is_some()
    }

    fn stop(&self) -> Duration {
        self.wait_timeout.unwrap_or_default().min(self.settings.cap)
    }

    fn goal(&self) -> Goal {
        self.knowledge.goal(self.stop(), &self.settings)
    }

    // Knows when the search is over, and when it is time to look again.
    fn settle(&mut self, now: Instant) {
        match self.goal() {
            // A look at a known limit does not make it unknown.
            Goal::Check(_) => {}
            Goal::Nothing => {
                self.settled = true;
                match self.recheck_at {
                    Some(at) if at <= now => {
                        self.recheck_at = None;
                        self.knowledge.recheck(self.stop());
                    }
                    Some(_) => {}
                    None => self.recheck_at = Some(now + self.settings.recheck_every),
                }
            }
            _ => (self.settled, self.recheck_at) = (false, None),
        }
    }

    // Of use while whoever closes connections may still be found, or may begin to.
    fn wants_a_watcher(&self) -> bool {
        self.bounds().lost.is_none() && !self.knowledge.cuts_in_silence()
    }

    fn keep_watching(&mut self, now: Instant, step: &mut Step) {
        let wanted = self.wants_a_watcher();
        let over = |canary: &mut Canary| {
            canary.role == Role::Watching
                && canary.state == State::Resting
                && (!wanted || canary.age(now) >= canary.planned)
        };
        step.commands.extend(self.canaries.extract_if(.., over).map(|canary| canary.close()));
    }

    /// Gives a new age to every searching canary that is free or whose own tells nothing any more.
    fn search(&mut self, now: Instant, step: &mut Step) {
        let goal = self.goal();
        let mut at = 0;
        while at < self.canaries.len() {
            let canary = &self.canaries[at];
            let idle = match canary.state {
                State::Free => true,
                State::Resting => canary.role == Role::Searching && !goal.is_served_by(canary.planned),
                _ => false,
            };
            let next = if idle { self.next_age(&goal) } else { None };
            let age = self.canaries[at].age(now);
            let canary = &mut self.canaries[at];
            match (canary.state, next) {
                (State::Free, Some(planned)) => {
                    canary.state = State::Arming;
                    canary.planned = planned;
                    canary.session_wait_timeout = session_wait_timeout(planned);
                    let session_wait_timeout = canary.session_wait_timeout;
                    step.commands.push(Command::Rest { id: canary.id, planned_age: planned, session_wait_timeout });
                }
                // It rests already, so it goes on resting where it can; else it is pinged when it was to be.
                (State::Resting, Some(planned)) if canary.may_rest(planned) => canary.planned = planned.max(age),
                (State::Free | State::Resting, None) if idle => {
                    step.commands.push(self.canaries.remove(at).close());
                    continue;
                }
                _ => {}
            }
            let canary = &mut self.canaries[at];
            if canary.role == Role::Searching && canary.state == State::Resting && age >= canary.planned {
                canary.state = State::Pinged(age);
                step.commands.push(Command::Ping { id: canary.id });
            }
            at += 1;
        }
    }

    fn next_age(&self, goal: &Goal) -> Option<Duration> {
        let searching = self.canaries.iter().filter(|canary| canary.role == Role::Searching);
        let busy = searching.filter(|canary| canary.state != State::Free && goal.is_served_by(canary.planned));
        let taken: Vec<Duration> = busy.map(|canary| canary.planned).collect();
        goal.next_age(&taken, SEARCHING.saturating_sub(taken.len()), &self.settings)
    }

    // The canary to open next. The watching one comes first: at best it finds the limit alone. But where it has to be
    // opened ever anew, the others must have their turn.
    fn wanted(&self) -> Option<(Role, Duration)> {
        let held = |role| self.canaries.iter().filter(|canary| canary.role == role).count();
        let watching = (held(Role::Watching) == 0 && self.wants_a_watcher()).then(|| (Role::Watching, self.stop()));
        let free = held(Role::Searching) < SEARCHING;
        let planned = free.then(|| self.next_age(&self.goal())).flatten();
        let searching = planned.map(|planned| (Role::Searching, planned));
        match self.opened_last {
            Some((_, Role::Watching)) => searching.or(watching),
            _ => watching.or(searching),
        }
    }

    fn next_opening(&self) -> Option<Instant> {
        // What a death that is not yet believed says decides what to open.
        if !self.pending.is_empty() || self.canaries.iter().any(|canary| canary.state == State::Opening) {
            return None;
        }
        let staggered = self.opened_last.map(|(last, _)| last + self.settings.stagger);
        staggered.into_iter().chain(self.retry_at).max().or(Some(self.began))
    }

    fn open(&mut self, now: Instant, role: Role, planned: Duration, step: &mut Step) {
        let id = CanaryId(self.next_id);
        self.next_id += 1;
        self.opened_last = Some((now, role));
        let session_wait_timeout = session_wait_timeout(planned);
        self.canaries.push(Canary {
            id,
            role,
            state: State::Opening,
            planned,
            session_wait_timeout,
            since: now,
            thread_id: None,
        });
        step.commands.push(Command::Open { id, role, planned_age: planned, session_wait_timeout });
    }
}

impl Canary {
    fn close(self) -> Command {
        Command::Close { id: self.id, thread_id: self.thread_id }
    }
}

impl Death {
    fn tested(&self, result: TestResult) -> Tested {
        Tested { result, id: self.id, role: self.role, age: self.age, signal: Some(self.signal) }
    }
}

fn tell(judged: Vec<Judged>, step: &mut Step) {
    step.tested.extend(judged.into_iter().map(|judged| match judged {
        Judged::Lost(death) => death.tested(TestResult::Lost),
        Judged::Void(death) => death.tested(TestResult::Void),
    }));
}

#[cfg(test)]
mod tests;
