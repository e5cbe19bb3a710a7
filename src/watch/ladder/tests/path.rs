//! A server, a path to it and an executor of the ladder's commands, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::memory::Learned;
use super::super::settings::Settings;
use super::super::tested::{TestResult, Tested};
use super::super::{CanaryId, Command, Event, Ladder, MOST_CANARIES, Role};
use crate::mysql::signal::Signal;

/// What the path does to a connection that has rested for so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cut {
    Never,
    Closes(Duration),
    Drops(Duration),
    ResetsAtUse(Duration),
}

impl Cut {
    pub(super) fn limit(self) -> Option<Duration> {
        match self {
            Cut::Never => None,
            Cut::Closes(limit) | Cut::Drops(limit) | Cut::ResetsAtUse(limit) => Some(limit),
        }
    }
}

const ROUND_TRIP: Duration = Duration::from_millis(2);
const PING_DEADLINE: Duration = Duration::from_millis(500);
const CONTROL_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Socket {
    role: Role,
    since: Instant,
    session_wait_timeout: Duration,
    thread_id: u32,
}

pub(super) struct World {
    pub(super) ladder: Ladder,
    pub(super) cut: Cut,
    pub(super) refuses: bool,
    pub(super) control_is_mute: bool,
    pub(super) opened: usize,
    pub(super) refused: usize,
    pub(super) pings: usize,
    pub(super) tested: Vec<Tested>,
    began: Instant,
    now: Instant,
    control_next: Instant,
    sockets: BTreeMap<CanaryId, Socket>,
    /// Threads that the server lists.
    threads: BTreeSet<u32>,
    next_thread: u32,
    /// What the executor will report.
    coming: Vec<(Instant, Event)>,
}

impl World {
    pub(super) fn new(settings: Settings, cut: Cut, wait_timeout: Duration) -> World {
        World::with(settings, cut, wait_timeout, None)
    }

    pub(super) fn with(settings: Settings, cut: Cut, wait_timeout: Duration, learned: Option<Learned>) -> World {
        let began = Instant::now();
        let mut world = World {
            ladder: Ladder::new(settings, learned, began),
            cut,
            refuses: false,
            control_is_mute: false,
            opened: 0,
            refused: 0,
            pings: 0,
            tested: Vec::new(),
            began,
            now: began,
            control_next: began,
            sockets: BTreeMap::new(),
            threads: BTreeSet::new(),
            next_thread: 100,
            coming: Vec::new(),
        };
        world.tell(Event::WaitTimeout(wait_timeout));
        world
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    pub(super) fn count(&self, result: TestResult) -> usize {
        self.tested.iter().filter(|tested| tested.result == result).count()
    }

    /// Connections that we hold.
    pub(super) fn held(&self) -> usize {
        self.sockets.len()
    }

    /// Sessions in the server whose connections we do not hold.
    pub(super) fn orphans(&self) -> usize {
        self.threads.len() - self.sockets.values().filter(|socket| self.threads.contains(&socket.thread_id)).count()
    }

    /// What the ladder says is true of the path.
    pub(super) fn assert_true(&self) {
        let bounds = self.ladder.bounds();
        if let Some(limit) = self.cut.limit() {
            assert!(bounds.survived < limit, "{:?}: {bounds:?}", self.cut);
            assert!(
                bounds.lost.is_none_or(|lost| lost + Duration::from_millis(10) >= limit),
                "{:?}: {bounds:?}",
                self.cut
            );
        } else {
            assert_eq!(bounds.lost, None);
        }
    }

    pub(super) fn run_until_settled(&mut self, at_most: Duration) {
        self.run(at_most, |world| world.ladder.is_settled());
        assert!(self.ladder.is_settled(), "{:?}: {:?} after {:?}", self.cut, self.ladder.bounds(), self.elapsed());
    }

    pub(super) fn run(&mut self, at_most: Duration, done: impl Fn(&World) -> bool) {
        let end = self.now + at_most;
        while !done(self) {
            let (at, event) = self.next();
            if at > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(at);
            if let Event::ControlAnswered { .. } = event {
                self.control_next = self.now + CONTROL_EVERY;
            }
            if let Event::Died { id, signal } = event
                && let Some(socket) = self.sockets.remove(&id)
                && !matches!(self.cut, Cut::ResetsAtUse(_))
            {
                assert_ne!(signal, Signal::ErrPacket, "the server's own limit ended a canary");
                self.threads.remove(&socket.thread_id);
            }
            self.tell(event);
        }
    }

    /// The next thing that happens by itself.
    fn next(&mut self) -> (Instant, Event) {
        let asked = self.control_next;
        let mut next = (asked + ROUND_TRIP, Event::ControlAnswered { asked });
        if self.control_is_mute {
            next.0 += Duration::from_secs(365 * 86400);
        }
        if let Some(due) = self.ladder.due().filter(|due| *due < next.0) {
            next = (due, Event::Tick);
        }
        for (id, socket) in &self.sockets {
            let server = (socket.session_wait_timeout, Signal::ErrPacket);
            let path = match self.cut {
                Cut::Closes(limit) => Some((limit, Signal::Fin)),
                _ => None,
            };
            for (rest, signal) in [Some(server), path].into_iter().flatten() {
                if socket.since + rest < next.0 {
                    next = (socket.since + rest, Event::Died { id: *id, signal });
                }
            }
        }
        let coming = self.coming.iter().enumerate().min_by_key(|(_, (at, _))| *at);
        if let Some((place, (at, _))) = coming
            && *at <= next.0
        {
            next = self.coming.remove(place);
        }
        next
    }

    pub(super) fn tell(&mut self, event: Event) {
        let step = self.ladder.on(self.now, event);
        self.tested.extend(step.tested);
        for command in step.commands {
            self.execute(command);
        }
        assert!(self.ladder.due().is_none_or(|due| due > self.now), "what was due is done");
        assert!(self.sockets.len() <= MOST_CANARIES, "{} connections at once", self.sockets.len());
    }

    fn execute(&mut self, command: Command) {
        let answer = self.now + ROUND_TRIP;
        match command {
            Command::Open { id, .. } if self.refuses => {
                self.refused += 1;
                self.coming.push((answer, Event::Refused { id }));
            }
            Command::Open { id, role, planned_age, session_wait_timeout } => {
                assert!(session_wait_timeout >= planned_age.mul_f64(1.5) + Duration::from_secs(60));
                self.opened += 1;
                self.next_thread += 1;
                let thread_id = self.next_thread;
                self.threads.insert(thread_id);
                self.sockets.insert(id, Socket { role, since: answer, session_wait_timeout, thread_id });
                self.coming.push((answer, Event::Opened { id, thread_id }));
            }
            Command::Rest { id, session_wait_timeout, .. } => {
                let socket = self.sockets.get_mut(&id).expect("only what is open rests");
                (socket.since, socket.session_wait_timeout) = (answer, session_wait_timeout);
                self.coming.push((answer, Event::Resting { id }));
            }
            Command::Ping { id } => {
                self.pings += 1;
                let socket = self.sockets.get_mut(&id).expect("only what is open is pinged");
                assert_eq!(socket.role, Role::Searching, "a watching canary is never pinged");
                let rest = self.now - socket.since;
                let event = match self.cut {
                    Cut::Drops(limit) if rest > limit => (self.now + PING_DEADLINE, Event::Silent { id }),
                    Cut::ResetsAtUse(limit) if rest > limit => (answer, Event::Died { id, signal: Signal::RstOnWrite }),
                    _ => {
                        socket.since = answer;
                        (answer, Event::Answered { id })
                    }
                };
                self.coming.push(event);
            }
            Command::Close { id, thread_id } => {
                self.coming.retain(|(_, event)| !about(*event, id));
                let Some(socket) = self.sockets.remove(&id) else { return };
                let cut_off = matches!(self.cut, Cut::Drops(limit) if self.now - socket.since > limit);
                if !cut_off || thread_id.is_some() {
                    self.threads.remove(&socket.thread_id);
                }
            }
            Command::Kill { thread_id } => {
                self.threads.remove(&thread_id);
            }
        }
    }

    /// The server goes away with every connection, is told so, and comes back.
    pub(super) fn restart(&mut self, down: Duration) {
        self.coming.clear();
        self.threads.clear();
        let (before, after): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.sockets).into_keys().partition(|id| id.0 % 2 == 0);
        for id in before {
            self.now += Duration::from_millis(1);
            self.tell(Event::Died { id, signal: Signal::Fin });
        }
        self.now += Duration::from_millis(1);
        self.tell(Event::ControlLost);
        for id in after {
            self.tell(Event::Died { id, signal: Signal::Fin });
        }
        assert_eq!(self.held(), 0);
        self.now += down;
        self.control_next = self.now;
        self.tell(Event::ServerChanged);
    }

    /// Somebody ends all canaries at once.
    pub(super) fn cut_all(&mut self) {
        for id in self.sockets.keys().copied().collect::<Vec<_>>() {
            self.end(id);
        }
    }

    /// Somebody ends one canary.
    pub(super) fn cut_one(&mut self, role: Role) {
        let found = self.sockets.iter().find(|(_, socket)| socket.role == role);
        let id = *found.expect("one is there").0;
        self.end(id);
    }

    // Its other events die with it; a canary that is closed by what the ladder makes of the one before is gone.
    fn end(&mut self, id: CanaryId) {
        let Some(socket) = self.sockets.remove(&id) else { return };
        self.threads.remove(&socket.thread_id);
        self.coming.retain(|(_, event)| !about(*event, id));
        self.now += Duration::from_millis(1);
        self.tell(Event::Died { id, signal: Signal::Fin });
    }

    /// The server stands still: what is asked meanwhile is answered when it goes on.
    pub(super) fn freeze(&mut self, time: Duration) {
        let end = self.now + time;
        let asked = self.control_next;
        while let Some(due) = self.ladder.due().filter(|due| *due < end) {
            self.now = self.now.max(due);
            let step = self.ladder.on(self.now, Event::Tick);
            self.tested.extend(step.tested);
            for command in step.commands {
                let Command::Ping { id } = command else {
                    self.execute(command);
                    continue;
                };
                self.coming.push((self.now + PING_DEADLINE, Event::Silent { id }));
                let socket = self.sockets.get_mut(&id).expect("only what is open is pinged");
                socket.since = end;
                self.coming.push((end.max(self.now + PING_DEADLINE) + ROUND_TRIP, Event::Answered { id }));
            }
            // Logins wait like everything else.
            for (at, event) in &mut self.coming {
                if !matches!(event, Event::Silent { .. }) {
                    *at = (*at).max(end + ROUND_TRIP);
                }
            }
            let silent = |(_, event): &mut (Instant, Event)| matches!(event, Event::Silent { .. });
            let silent: Vec<_> = self.coming.extract_if(.., silent).collect();
            for (at, event) in silent {
                self.now = self.now.max(at);
                self.tell(event);
            }
        }
        self.now = end;
        self.control_next = self.control_next.max(end);
        self.tell(Event::ControlAnswered { asked });
    }

    /// The daemon ends.
    pub(super) fn leave(&mut self) {
        for command in self.ladder.end() {
            self.execute(command);
        }
    }
}

fn about(event: Event, id: CanaryId) -> bool {
    match event {
        Event::Opened { id: of, .. } | Event::Refused { id: of } | Event::Resting { id: of } => of == id,
        Event::Died { id: of, .. } | Event::Answered { id: of } | Event::Silent { id: of } => of == id,
        _ => false,
    }
}
