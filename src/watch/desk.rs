//! Where the losses of a target are taken in, asked about, judged and booked.
//!
//! ```text
//! lost, died   a loss, with what this side knows        -> decided at once, if that is enough
//! due          a second later: others may have gone with it, and the server has cleared up
//! question     one fresh connection asks about all of them (`evidence`); or nobody can be asked now
//! answered     judged: booked, or held while the server is away (`loss::ledger`)
//! tick         what is held is judged again; after `give_up` without knowing more
//! ```
//!
//! A canary's death is asked about like any other loss, but whether it is one is the ladder's to say: a canary that
//! finds the limit that it was sent to find is none. What the server knows of a death (a KILL, a restart) tells the
//! ladder that it was no idleness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::evidence::{Answer, Question, Session};
use super::history::{History, Span};
use super::ladder::canary::CanaryId;
use super::ladder::tested::{TestResult, Tested};
use super::loss::{
    Booked, Cause, Confidence, Evidence, Ladder, Ledger, Path, Rest, Source, Thread, Transaction, Verdict, judge,
};
use super::pools::Known;
use super::standing::Standing;
use crate::mysql::failure::Failure;
use crate::mysql::pool::{During, Lost};
use crate::mysql::server::Server;
use crate::mysql::signal::Signal;

/// From noticing a loss to asking about it, and between two askings.
const COLLECT: Duration = Duration::from_secs(1);

/// How long asking may take once a fresh connection gets in, several tries included.
const ASKING: Duration = Duration::from_secs(15);

/// A connection that had an answer this short a time before it was asked was not resting.
const RESTED: Duration = Duration::from_secs(1);
/// An end that comes this long after the question came while it was being answered.
const ANSWERING: Duration = Duration::from_millis(500);

/// What an event and a log line tell of a loss besides its evidence.
#[derive(Clone, Debug)]
pub(super) struct Note {
    /// The pool; none for a canary.
    pub(super) pool: Option<Arc<str>>,
    pub(super) connection_id: u32,
    pub(super) during: Option<During>,
    pub(super) failure: Failure,
    pub(super) noticed_at: Instant,
    opened_at: Instant,
    last_answer_at: Instant,
    span: Span,
    standing: Arc<Standing>,
    /// The latest fresh attempt that the evidence has in it.
    attempts_to: Instant,
}

/// A loss that has not reached the ledger yet.
#[derive(Clone, Debug)]
struct Case {
    source: Source,
    evidence: Evidence,
    note: Note,
}

/// A canary's death that waits for the ladder's word.
#[derive(Clone, Debug)]
struct Death {
    case: Case,
    asked: bool,
    /// The ladder has said that it was no idleness.
    is_loss: bool,
}

/// What is known of the target while losses are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) path: Path,
    pub(super) ladder: Ladder,
    pub(super) give_up: Duration,
    /// How long an answer may take.
    pub(super) deadline: Duration,
    /// By how much our own timers were late around the loss.
    pub(super) lateness: Duration,
}

/// A canary's end, as the one who watched it tells.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) id: CanaryId,
    pub(super) connection_id: u32,
    pub(super) server: Server,
    pub(super) standing: Arc<Standing>,
    pub(super) opened_at: Instant,
    pub(super) at: Instant,
    pub(super) rested: Duration,
    pub(super) signal: Signal,
    pub(super) failure: Failure,
}

/// What came of the latest.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) booked: Vec<Booked<Note>>,
    /// Canaries that something else than idleness has ended.
    pub(super) explained: Vec<CanaryId>,
}

/// The desk of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk {
    ledger: Ledger<Note>,
    history: History,
    /// Not asked about yet.
    new: Vec<Case>,
    /// Being asked about.
    in_question: Vec<Case>,
    deaths: BTreeMap<CanaryId, Death>,
    orphans: Vec<Session>,
    /// So many of them, the first, are being asked about.
    orphans_in_question: usize,
    ask_at: Option<Instant>,
    asked_last: Option<Instant>,
}

impl Desk {
    pub(super) fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// A connection of a pool was lost.
    pub(super) fn lost(&mut self, lost: Lost<Known>, scene: &Scene, now: Instant) -> Judged {
        let mut evidence = Evidence::new(lost.signal, rest_of(&lost), scene.deadline);
        let known = &lost.known;
        evidence.errno = lost.failure.errno;
        evidence.sending = Some(known.asked).filter(|bytes| *bytes > 0);
        evidence.server = Some((known.server.flavor, known.server.version));
        evidence.wait_timeout = known.standing.wait_timeout;
        evidence.transaction = known.transaction;
        evidence.max_allowed_packet = known.standing.max_allowed_packet;
        let note = Note {
            span: Span { from: lost.last_answer_at, to: lost.noticed_at },
            pool: Some(lost.pool),
            connection_id: lost.connection_id,
            during: Some(lost.during),
            failure: lost.failure,
            noticed_at: lost.noticed_at,
            opened_at: lost.opened_at,
            last_answer_at: lost.last_answer_at,
            standing: known.standing.clone(),
            attempts_to: lost.last_answer_at,
        };
        self.history.lost(note.span);
        let mut case = Case { source: Source::Pool, evidence, note };
        case.see(&self.history, scene, now);
        let mut judged = Judged::default();
        match judge(&case.evidence) {
            // The server said why, or we slept: nobody need be asked.
            Verdict::Decided { cause, confidence: Confidence::High } if cause != Cause::Unknown => {
                judged.booked.extend(self.ledger.lost(case.source, case.evidence, case.note));
            }
            _ => {
                self.new.push(case);
                self.ask_soon(now);
            }
        }
        judged
    }

    /// A canary has ended. Whether that is a loss is said by `tested`.
    pub(super) fn died(&mut self, ended: Ended, scene: &Scene, now: Instant) {
        let mut evidence = Evidence::new(ended.signal, Rest::Watched(ended.rested), scene.deadline);
        evidence.errno = ended.failure.errno;
        evidence.server = Some((ended.server.flavor, ended.server.version));
        evidence.transaction = Transaction::None;
        // An answer that did not come was asked for at the end of the rest; what ended it lies anywhere before.
        let rested_from = ended.at.checked_sub(ended.rested).unwrap_or(ended.opened_at).max(ended.opened_at);
        let is_exact = matches!(ended.signal, Signal::Fin | Signal::Rst | Signal::ErrPacket);
        let span = Span { from: if is_exact { ended.at } else { rested_from }, to: ended.at };
        if is_exact {
            self.history.aged(ended.rested);
        }
        self.history.lost(span);
        let note = Note {
            span,
            pool: None,
            connection_id: ended.connection_id,
            during: None,
            failure: ended.failure,
            noticed_at: ended.at,
            opened_at: ended.opened_at,
            last_answer_at: rested_from,
            standing: ended.standing,
            attempts_to: rested_from,
        };
        let mut case = Case { source: Source::Canary, evidence, note };
        case.see(&self.history, scene, now);
        self.deaths.insert(ended.id, Death { case, asked: false, is_loss: false });
        self.ask_soon(now);
    }

    /// The ladder has judged a test.
    pub(super) fn tested(&mut self, tested: &Tested) -> Judged {
        let mut judged = Judged::default();
        if tested.result == TestResult::Void && tested.signal.is_some() {
            if let Some(death) = self.deaths.get_mut(&tested.id) {
                death.is_loss = true;
                if death.asked
                    && let Some(Death { case, .. }) = self.deaths.remove(&tested.id)
                {
                    judged.booked.extend(self.ledger.lost(case.source, case.evidence, case.note));
                }
            }
        } else {
            self.deaths.remove(&tested.id);
        }
        judged
    }

    /// A thread of ours is left behind in the server, by a path that has forgotten it.
    pub(super) fn left_behind(&mut self, orphan: Session, now: Instant) {
        self.orphans.push(orphan);
        self.ask_soon(now);
    }

    /// When to ask; nothing is asked while an answer is awaited.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_at
    }

    /// A fresh connection has got in: what is held can be asked about.
    pub(super) fn can_be_asked(&mut self, now: Instant) {
        let is_owed = !self.new.is_empty() || !self.ledger.is_empty() || !self.orphans.is_empty();
        if is_owed || self.deaths.values().any(|death| !death.asked) {
            self.ask_soon(now);
        }
    }

    fn ask_soon(&mut self, now: Instant) {
        let earliest = self.asked_last.map_or(now, |last| last.max(now)) + COLLECT;
        self.ask_at = Some(self.ask_at.map_or(earliest, |at| at.min(earliest)));
    }

    /// What to ask. `answered` or `unanswered` follows.
    pub(super) fn question(&mut self) -> Question {
        self.ask_at = None;
        self.in_question.append(&mut self.new);
        let of_deaths = self.deaths.values().filter(|death| !death.asked).map(|death| &death.case.note);
        let of_ledger = self.ledger.iter().map(|held| &held.note);
        let notes = self.in_question.iter().map(|case| &case.note).chain(of_deaths).chain(of_ledger);
        let session = |note: &Note| Session { thread_id: note.connection_id, standing: note.standing.clone() };
        self.orphans_in_question = self.orphans.len();
        Question { threads: notes.map(session).collect(), orphans: self.orphans.clone() }
    }

    /// Nobody can be asked now: no fresh connection gets in.
    pub(super) fn unanswered(&mut self, scene: &Scene, now: Instant) -> Judged {
        self.ask_at = None;
        self.asked_last = Some(now);
        self.in_question.append(&mut self.new);
        self.judge_all(None, scene, now)
    }

    /// The answer to the question has come.
    pub(super) fn answered(&mut self, answer: &Answer, scene: &Scene, now: Instant) -> Judged {
        self.asked_last = Some(now);
        self.history.attempted(answer.at, answer.fresh);
        self.history.killed(now, answer.killed);
        let mut judged = Judged::default();
        if let Some(standing) = &answer.standing {
            judged = self.stood(standing, scene, now);
        }
        // One that was cut off in the middle has not said all: it is asked again.
        let is_whole = answer.failure.is_none();
        if is_whole {
            self.orphans.drain(..self.orphans_in_question);
        }
        self.orphans_in_question = 0;
        let more = self.judge_all(Some(answer).filter(|_| is_whole), scene, now);
        judged.booked.extend(more.booked);
        judged.explained.extend(more.explained);
        if !self.new.is_empty() || !is_whole {
            self.can_be_asked(now);
        }
        judged
    }

    /// A new session has said where it stands. That the server was started anew since needs no more asking.
    pub(super) fn stood(&mut self, standing: &Standing, scene: &Scene, now: Instant) -> Judged {
        self.history.stood(standing);
        let history = &self.history;
        let after = standing.incarnation(now);
        let booked = self.ledger.settle(|held| {
            let mut known = held.evidence.clone();
            see(&mut known, &mut held.note.clone(), history, scene, now);
            known.after = Some(after.clone());
            if matches!(judge(&known), Verdict::Decided { cause: Cause::ServerRestart, .. }) {
                held.evidence = known;
            }
        });
        Judged { booked, explained: Vec::new() }
    }

    /// Judges anew what is held, as time passes.
    pub(super) fn tick(&mut self, scene: &Scene, now: Instant) -> Judged {
        let history = &self.history;
        let booked = self.ledger.settle(|held| see(&mut held.evidence, &mut held.note, history, scene, now));
        Judged { booked, explained: Vec::new() }
    }

    fn judge_all(&mut self, answer: Option<&Answer>, scene: &Scene, now: Instant) -> Judged {
        let mut judged = Judged::default();
        let history = &self.history;
        // First what has been held: it was lost first.
        judged.booked.extend(self.ledger.settle(|held| {
            see(&mut held.evidence, &mut held.note, history, scene, now);
            hear(&mut held.evidence, &held.note, history, answer, now);
        }));
        for mut case in std::mem::take(&mut self.in_question) {
            case.see(&self.history, scene, now);
            hear(&mut case.evidence, &case.note, &self.history, answer, now);
            judged.booked.extend(self.ledger.lost(case.source, case.evidence, case.note));
        }
        let mut losses = Vec::new();
        for (id, death) in &mut self.deaths {
            if death.asked {
                continue;
            }
            death.case.see(&self.history, scene, now);
            hear(&mut death.case.evidence, &death.case.note, &self.history, answer, now);
            death.asked = death.case.evidence.after.is_some() || death.is_loss;
            if death.is_loss {
                losses.push(*id);
            } else if is_explained(judge(&death.case.evidence)) {
                judged.explained.push(*id);
            }
        }
        for id in losses {
            if let Some(Death { case, .. }) = self.deaths.remove(&id) {
                judged.booked.extend(self.ledger.lost(case.source, case.evidence, case.note));
            }
        }
        judged
    }

    /// How many losses of this source are not counted yet.
    pub(super) fn provisional(&self, source: Source) -> u64 {
        let is_of = |case: &&Case| case.source == source;
        let waiting = self.new.iter().chain(&self.in_question).filter(is_of).count() as u64;
        waiting + self.ledger.provisional(source)
    }

    /// Whether there is anything that time may decide.
    pub(super) fn is_empty(&self) -> bool {
        self.ledger.is_empty()
    }
}

impl Case {
    fn see(&mut self, history: &History, scene: &Scene, now: Instant) {
        see(&mut self.evidence, &mut self.note, history, scene, now);
    }
}

/// What this side knows by now.
fn see(evidence: &mut Evidence, note: &mut Note, history: &History, scene: &Scene, now: Instant) {
    evidence.lateness = evidence.lateness.max(scene.lateness);
    evidence.path = scene.path;
    evidence.ladder = scene.ladder;
    evidence.away_for = now.saturating_duration_since(note.noticed_at);
    evidence.opened_ago = Some(now.saturating_duration_since(note.opened_at));
    evidence.before = note.standing.incarnation(now);
    evidence.several_identities = history.several_identities();
    evidence.lost_at_once = history.at_once(note.span).count;
    let exact = match evidence.rest {
        Rest::Watched(age) if matches!(evidence.signal, Signal::Fin | Signal::Rst) => Some(age),
        _ => None,
    };
    evidence.watched_ages = history.other_ages(exact);
    for (at, fresh) in history.attempts_since(note.attempts_to) {
        evidence.fresh.note(*fresh);
        note.attempts_to = *at;
    }
    // Whoever is just back can be asked in a moment.
    evidence.give_up = scene.give_up + if evidence.fresh.is_good() { ASKING } else { Duration::ZERO };
}

/// What the server has said.
fn hear(evidence: &mut Evidence, note: &Note, history: &History, answer: Option<&Answer>, now: Instant) {
    let Some((answer, standing)) = answer.and_then(|answer| Some((answer, answer.standing.as_ref()?))) else { return };
    evidence.after = Some(standing.incarnation(now));
    if let Some(thread) = answer.threads.get(&note.connection_id) {
        evidence.thread = *thread;
        evidence.is_asleep = Some(answer.asleep.contains(&note.connection_id));
    }
    let before = note.standing.identity.as_ref();
    // As many KILLs as were lost together, since the first of them may have been lost.
    let kills = |since| history.kills_since(since, standing.identity.as_ref());
    evidence.kills = kills(history.at_once(note.span).from).or_else(|| kills(note.last_answer_at));
    evidence.old_identity_answers = before.and_then(|before| history.answers_since(before, note.noticed_at));
}

/// How long it had rested, and how well that is known.
fn rest_of(lost: &Lost<Known>) -> Rest {
    let before = lost.known.asked_at.saturating_duration_since(lost.last_answer_at);
    let answering = lost.noticed_at.saturating_duration_since(lost.known.asked_at);
    let was_asked = lost.during == During::Use && lost.known.asked > 0;
    match lost.signal {
        // A ping is never slow by itself.
        Signal::Timeout if was_asked && before < RESTED => Rest::Busy(answering),
        Signal::Timeout => Rest::UpTo(before),
        _ if was_asked && answering >= ANSWERING => Rest::Busy(answering),
        _ => Rest::UpTo(lost.rested()),
    }
}

/// Whether a canary's end is known to be no idleness.
fn is_explained(verdict: Verdict) -> bool {
    use Cause::*;
    match verdict {
        Verdict::Decided { cause: WaitTimeout | MiddleboxReset | MiddleboxSilent | Unknown, .. } => false,
        Verdict::Decided { confidence, .. } => confidence == Confidence::High,
        Verdict::Provisional => false,
    }
}

/// Whether the server still lists the thread, for an event.
pub(super) fn listed(thread: Thread) -> Option<bool> {
    match thread {
        Thread::Listed | Thread::ListedOnce => Some(true),
        Thread::Gone => Some(false),
        Thread::NotAsked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::loss::Fresh;
    use super::*;
    use crate::mysql::failure::{Phase, Reason};

    fn scene() -> Scene {
        let (path, ladder) = (Path::Direct, Ladder::default());
        Scene { path, ladder, give_up: COLLECT, deadline: COLLECT, lateness: Duration::ZERO }
    }

    #[test]
    fn a_thread_that_is_left_behind_is_owed_until_an_answer_is_whole() {
        let now = Instant::now();
        let mut desk = Desk::default();
        let orphan = |thread_id| Session { thread_id, standing: Arc::new(Standing::silent()) };
        desk.left_behind(orphan(7), now);
        assert_eq!(desk.question().orphans.len(), 1);
        let cut_off = Failure::new(Phase::Query, Reason::Closed, "in the middle");
        desk.answered(
            &Answer { fresh: Fresh::from(&cut_off), failure: Some(cut_off), ..Answer::good(now) },
            &scene(),
            now,
        );
        assert!(desk.due().is_some());
        assert_eq!(desk.question().orphans.len(), 1, "asked again");
        // Another one is left behind meanwhile.
        desk.left_behind(orphan(8), now);
        desk.answered(&Answer::good(now), &scene(), now);
        let left: Vec<u32> = desk.question().orphans.iter().map(|orphan| orphan.thread_id).collect();
        assert_eq!(left, [8]);
    }
}
