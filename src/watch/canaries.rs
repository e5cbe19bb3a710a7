//! The ladder's connections: does what the ladder commands, and tells it and the target's task what happened.
//!
//! Each canary is one future that opens a connection, watches it while it rests, pings it when it is told to, and
//! leaves it in order. The ladder decides; nothing here does.

mod canary;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use self::canary::{Order, Told, Way, live};
use super::desk::Ended;
use super::errand::until;
use super::evidence::Session;
use super::ladder::bounds::{Bounds, Owner};
use super::ladder::canary::{CanaryId, Role};
use super::ladder::memory::Learned;
use super::ladder::settings::Settings;
use super::ladder::tested::Tested;
use super::ladder::{Command, Event, Ladder, MOST_CANARIES};
use super::pools::Inbox;
use super::standing::Standing;
use super::target::Target;
use crate::mysql::budget::Budget;
use crate::mysql::failure::{Failure, Reason};
use crate::mysql::pool::Gate;

/// What happened to a target's canaries.
#[derive(Debug)]
pub(super) enum Happened {
    /// A connection ended, or does not answer. Whether that is a loss is said by `Tested`.
    Died(Ended),
    Tested(Tested),
    /// A thread of ours is left in the server, and is to be ended.
    LeftBehind(Session),
    Unopened(Failure),
    /// What is known, or parked, may have changed.
    Changed,
}

/// The canaries of one target.
pub(super) struct Canaries {
    target: Arc<Target>,
    ladder: Ladder,
    budget: Budget,
    gate: Arc<Gate>,
    inbox: Arc<Inbox>,
    orders: BTreeMap<CanaryId, mpsc::UnboundedSender<Order>>,
    /// Of connections that may have to be ended by their numbers: as they were when they were opened.
    threads: VecDeque<(u32, Arc<Standing>)>,
    alive: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    tell: mpsc::UnboundedSender<(CanaryId, Told)>,
    told: mpsc::UnboundedReceiver<(CanaryId, Told)>,
    happened: VecDeque<Happened>,
    life: Option<Standing>,
}

impl Canaries {
    /// Nothing is opened until the control has answered.
    pub(super) fn new(
        target: Arc<Target>,
        settings: Settings,
        learned: Option<Learned>,
        budget: Budget,
        gate: Arc<Gate>,
        inbox: Arc<Inbox>,
    ) -> Canaries {
        let (tell, told) = mpsc::unbounded_channel();
        Canaries {
            ladder: Ladder::new(settings, learned, Instant::now()),
            target,
            budget,
            gate,
            inbox,
            orders: BTreeMap::new(),
            threads: VecDeque::new(),
            alive: FuturesUnordered::new(),
            tell,
            told,
            happened: VecDeque::new(),
            life: None,
        }
    }

    /// Something that the ladder has to know.
    pub(super) fn on(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let step = self.ladder.on(Instant::now(), event);
            let is_news = !step.commands.is_empty() || !step.tested.is_empty();
            self.happened.extend(step.tested.into_iter().map(Happened::Tested));
            events.extend(step.commands.into_iter().filter_map(|command| self.obey(command)));
            if is_news {
                self.happened.push_back(Happened::Changed);
            }
        }
    }

    /// Another server, or another life of it, is behind the target now.
    pub(super) fn met(&mut self, standing: &Standing) {
        if !standing.tells_its_life() {
            return;
        }
        let before = self.life.replace(standing.clone());
        if before.is_some_and(|before| !before.is_same_life(standing)) {
            self.on(Event::ServerChanged);
        }
    }

    /// What happens next. To stop waiting loses nothing.
    pub(super) async fn next(&mut self) -> Happened {
        loop {
            if let Some(happened) = self.happened.pop_front() {
                return happened;
            }
            let due = self.ladder.due();
            tokio::select! {
                Some((id, told)) = self.told.recv() => self.heard(id, told),
                Some(()) = self.alive.next() => {}
                () = until(due) => self.on(Event::Tick),
            }
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.ladder.bounds()
    }

    pub(super) fn owner(&self) -> Option<Owner> {
        self.ladder.owner()
    }

    pub(super) fn parked(&self, role: Role) -> usize {
        self.ladder.parked(role)
    }

    pub(super) fn learned(&self) -> Learned {
        self.ladder.learned(Instant::now())
    }

    /// Leaves all of them in order, by the deadline.
    pub(super) async fn end(&mut self, deadline: Instant) {
        for command in self.ladder.end() {
            self.obey(command);
        }
        self.orders.clear();
        // What has not left by then is dropped: the server has stopped listening.
        let _ = timeout_at(deadline, async { while self.alive.next().await.is_some() {} }).await;
    }

    /// Does what the ladder commands; the event is what came of it at once.
    fn obey(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Open { id, session_wait_timeout, .. } => {
                let Some(facts) = self.gate.facts() else { return Some(Event::Refused { id }) };
                let (orders, inbox) = mpsc::unbounded_channel();
                self.orders.insert(id, orders);
                let tell = self.tell.clone();
                let tell = move |told| {
                    // Nobody listens any more when all is over.
                    let _ = tell.send((id, told));
                };
                let (target, gate, late) = (self.target.clone(), self.gate.clone(), self.inbox.clone());
                let way = Way { target, facts, budget: self.budget.clone(), gate, late };
                self.alive.push(Box::pin(live(way, id, session_wait_timeout, inbox, tell)));
            }
            Command::Rest { id, session_wait_timeout, .. } => self.order(id, Order::Rest(session_wait_timeout)),
            Command::Ping { id } => self.order(id, Order::Ping),
            Command::Close { id, thread_id } => {
                self.order(id, Order::Close { is_to_be_killed: thread_id.is_some() });
                self.orders.remove(&id);
            }
            Command::Kill { thread_id } => self.left_behind(thread_id),
        }
        None
    }

    fn order(&self, id: CanaryId, order: Order) {
        if let Some(orders) = self.orders.get(&id) {
            // One that has ended has told so.
            let _ = orders.send(order);
        }
    }

    fn left_behind(&mut self, thread_id: u32) {
        if let Some((_, standing)) = self.threads.iter().rfind(|(id, _)| *id == thread_id) {
            let standing = standing.clone();
            self.happened.push_back(Happened::LeftBehind(Session { thread_id, standing }));
        }
    }

    fn heard(&mut self, id: CanaryId, told: Told) {
        match told {
            Told::Opened { thread_id, standing } => {
                if self.threads.len() >= 4 * MOST_CANARIES {
                    self.threads.pop_front();
                }
                self.threads.push_back((thread_id, standing));
                self.on(Event::Opened { id, thread_id });
            }
            Told::Unopened(failure) => {
                self.orders.remove(&id);
                if matches!(failure.reason, Reason::TooManyConnections | Reason::UserLimit) {
                    self.on(Event::Room(false));
                }
                self.happened.push_back(Happened::Unopened(failure));
                self.on(Event::Refused { id });
            }
            Told::NoPlace => {
                self.orders.remove(&id);
                self.on(Event::Refused { id });
            }
            Told::Resting => self.on(Event::Resting { id }),
            Told::Answered => self.on(Event::Answered { id }),
            Told::Silent(ended) => {
                // It is taken in before the ladder may judge it.
                self.happened.push_back(Happened::Died(*ended));
                self.on(Event::Silent { id });
            }
            Told::Died(ended) => {
                self.orders.remove(&id);
                let signal = ended.signal;
                self.happened.push_back(Happened::Died(*ended));
                self.on(Event::Died { id, signal });
            }
            Told::Left { thread_id } => self.left_behind(thread_id),
        }
    }
}
