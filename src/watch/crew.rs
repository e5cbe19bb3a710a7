//! The tasks of all targets: kept alive, exchanged where a reload changes something, ended with the program.
//!
//! A target that is altered or removed is left in order first: its connections end with COM_QUIT, and only then its
//! successor begins, so that the budget of connections holds. Until then the board shows what was known before, and the
//! successor begins with what is known of the same server. Targets that are as before do not notice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;

use super::board::Board;
use super::rounds::Place;
use super::seat::{Seat, Shared};
use super::target::Target;
use super::task;
use super::visits::{Rules, Visits};

/// A task that dies at once, again and again, is not started more often than this.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The tasks of all targets.
#[derive(Debug)]
pub(super) struct Crew {
    board: Arc<Board>,
    shared: Shared,
    visits: Visits,
    /// Not running yet.
    new: Vec<Member>,
    tasks: JoinSet<()>,
    running: HashMap<Id, Member>,
    /// Who begins when the one of the same name has left.
    successors: BTreeMap<String, (Arc<Target>, Place)>,
    wanted: (mpsc::Sender<Change>, mpsc::Receiver<Change>),
}

/// A target and its task.
#[derive(Debug)]
struct Member {
    seat: Seat,
    stop: watch::Sender<bool>,
}

/// By which other targets take the place of those of now.
#[derive(Clone, Debug)]
pub struct Changes(mpsc::Sender<Change>);

#[derive(Debug)]
struct Change {
    targets: Vec<Arc<Target>>,
    rules: Rules,
    tell: oneshot::Sender<Changed>,
}

/// What became of the targets, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub added: Vec<String>,
    pub altered: Vec<String>,
    pub removed: Vec<String>,
    /// How many were left alone.
    pub unchanged: usize,
}

impl Changes {
    /// These are the targets and rules from now on; none when the watch has ended. Does not wait for those that leave.
    pub async fn make(&self, targets: Vec<Arc<Target>>, rules: Rules) -> Option<Changed> {
        let (tell, told) = oneshot::channel();
        self.0.send(Change { targets, rules, tell }).await.ok()?;
        told.await.ok()
    }
}

impl Member {
    fn new(target: Arc<Target>, place: Place, shared: &Shared) -> Member {
        let (stop, stopped) = watch::channel(false);
        Member { seat: Seat::new(target, place, shared, stopped), stop }
    }

    fn name(&self) -> &str {
        &self.seat.target.name
    }

    fn is_leaving(&self) -> bool {
        *self.stop.borrow()
    }

    fn leave(&self) {
        self.stop.send_replace(true);
    }
}

impl Crew {
    pub(super) fn new(
        targets: Vec<Arc<Target>>,
        rules: Rules,
        shared: Shared,
        shutdown: &watch::Receiver<bool>,
    ) -> Crew {
        let of = targets.len();
        let member = |(place, target)| Member::new(target, Place { place, of }, &shared);
        let new: Vec<Member> = targets.into_iter().enumerate().map(member).collect();
        let board = Arc::new(Board::new(new.iter().map(|member| member.seat.slot.clone()).collect()));
        let visits = Visits::new(rules, new.iter().map(|member| &member.seat), shutdown.clone());
        Crew {
            board,
            shared,
            visits,
            new,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            successors: BTreeMap::new(),
            wanted: mpsc::channel(1),
        }
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn visits(&self) -> &Visits {
        &self.visits
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.wanted.0.clone())
    }

    /// Keeps the task of every target alive until shutdown; ends when all have left.
    pub(super) async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        for member in std::mem::take(&mut self.new) {
            self.start(member);
        }
        loop {
            tokio::select! {
                // A sender that is gone means the same.
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(change) = self.wanted.1.recv() => {
                    let Change { targets, rules, tell } = change;
                    // Who asked may have gone; it is done all the same.
                    let _ = tell.send(self.change(targets, rules));
                }
            }
        }
        self.successors.clear();
        self.running.values().for_each(Member::leave);
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended);
        }
    }

    fn start(&mut self, member: Member) {
        let id = self.tasks.spawn(task::run(member.seat.clone())).id();
        self.running.insert(id, member);
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, defect) = match ended {
            Ok((id, ())) => (id, None),
            Err(died) => (died.id(), Some(died)),
        };
        let Some(member) = self.running.remove(&id) else { return };
        if member.is_leaving() {
            return self.left(&member);
        }
        let defect = defect.map_or("it ended unasked".to_owned(), |defect| defect.to_string());
        error!(target = %member.name(), defect, "the task of a target died and is started anew");
        member.seat.instruments.restarted();
        let again = member.seat.clone();
        let task = async move {
            let mut stop = again.shutdown.clone();
            tokio::select! {
                () = tokio::time::sleep(RESTART_PAUSE) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            task::run(again).await;
        };
        let id = self.tasks.spawn(task).id();
        self.running.insert(id, member);
    }

    /// A target has left its connections; its successor begins.
    fn left(&mut self, before: &Member) {
        let Some((target, place)) = self.successors.remove(before.name()) else { return };
        let member = Member::new(target, place, &self.shared);
        let (seat, old) = (&member.seat, &before.seat);
        let address = |seat: &Seat| seat.target.access.endpoint.to_string();
        if address(seat) == address(old) && seat.target.label == old.target.label {
            let collectors = &seat.target.collectors;
            seat.slot.inherit(&old.slot, |name| collectors.iter().any(|collector| collector.name == name));
        }
        // Its own families are there before anybody looks.
        let own = seat.instruments.block(seat.target.label.as_deref());
        seat.slot.publish(own, (*seat.slot.snapshot()).clone());
        self.start(member);
        self.show();
        self.visits.change(None, self.shown().into_iter().map(|member| &member.seat));
    }

    fn change(&mut self, targets: Vec<Arc<Target>>, rules: Rules) -> Changed {
        let mut changed = Changed::default();
        let of = targets.len();
        let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let mut wanted: BTreeMap<String, (Arc<Target>, Place)> = targets
            .into_iter()
            .enumerate()
            .map(|(place, target)| (target.name.clone(), (target, Place { place, of })))
            .collect();
        for member in self.running.values() {
            let name = member.name().to_owned();
            let successor = self.successors.get(&name);
            // One that leaves for good is not there any more, though its name is not free yet.
            let present = match member.is_leaving() {
                true => successor.map(|(target, _)| target.clone()),
                false => Some(member.seat.target.clone()),
            };
            let next = wanted.remove(&name);
            match (present, next) {
                (Some(present), Some((next, _))) if present.is_as(&next) => changed.unchanged += 1,
                (present, Some(next)) => {
                    member.leave();
                    self.successors.insert(name.clone(), next);
                    if present.is_some() { changed.altered.push(name) } else { changed.added.push(name) }
                }
                (present, None) => {
                    member.leave();
                    self.successors.remove(&name);
                    if present.is_some() {
                        changed.removed.push(name);
                    }
                }
            }
        }
        for (name, (target, place)) in wanted {
            let member = Member::new(target, place, &self.shared);
            let own = member.seat.instruments.block(member.seat.target.label.as_deref());
            member.seat.slot.publish(own, (*member.seat.slot.snapshot()).clone());
            self.start(member);
            changed.added.push(name);
        }
        self.shared.keeper.retain(|name| names.iter().any(|wanted| wanted == name));
        self.show();
        self.visits.change(Some(rules), self.shown().into_iter().map(|member| &member.seat));
        for list in [&mut changed.added, &mut changed.altered, &mut changed.removed] {
            list.sort();
        }
        changed
    }

    /// Those that are there for others, by name: also one that leaves, until its successor begins.
    fn shown(&self) -> Vec<&Member> {
        let is_shown = |member: &&Member| !member.is_leaving() || self.successors.contains_key(member.name());
        let mut shown: Vec<&Member> = self.running.values().filter(is_shown).collect();
        shown.sort_by(|one, other| one.name().cmp(other.name()));
        shown
    }

    fn show(&self) {
        self.board.put(self.shown().iter().map(|member| member.seat.slot.clone()).collect());
    }
}
