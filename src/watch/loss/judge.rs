//! The verdict: one question after another, in a fixed order, until one holds.
//!
//! A rule answers "yes, and how sure" only if it has all that the cause needs. A rule that would need the server's
//! answers says nothing while there are none, and then the loss is provisional: a server that comes back tells more
//! than one that is away. Only when no rule holds and nobody more can be asked, the guesses have their say, with low
//! confidence; after them it is `unknown`.

use std::time::Duration;

use super::cause::{Cause, Confidence, Verdict};
use super::evidence::{Evidence, Path, Rest, Thread, Transaction};
use crate::mysql::server::{Flavor, Version};
use crate::mysql::signal::Signal;

use Confidence::{High, Low};

/// A server's idle timeout fires within this of the configured value, as seen on a watched socket.
const SERVER_TIMER: Duration = Duration::from_millis(1500);
/// MariaDB was seen to cut a millisecond before its time.
const EARLY: Duration = Duration::from_millis(100);
/// `Uptime` is cut off to whole seconds.
const UPTIME_GRAIN: Duration = Duration::from_secs(1);
/// Two readings of one incarnation's beginning agree within this: `Uptime` counts the beginnings of seconds, and an
/// answer takes its time.
const UPTIME_SPREAD: Duration = Duration::from_millis(1300);
/// From this MySQL on, an idle client is told why it is cut.
const SAYS_4031: Version = Version::new(8, 0, 24);

type Rule = fn(&Evidence) -> Option<Confidence>;
type Guess = fn(&Evidence) -> bool;

/// The order of the questions.
const RULES: &[(Cause, Rule)] = &[
    (Cause::ClientStall, client_stall),
    (Cause::WaitTimeout, wait_timeout),
    (Cause::IdleTransactionTimeout, idle_transaction_timeout),
    (Cause::Offline, offline),
    (Cause::PacketTooLarge, packet_too_large),
    (Cause::ServerRestart, server_restart),
    (Cause::Failover, failover),
    (Cause::ServerFrozen, server_frozen),
    (Cause::Network, network),
    (Cause::Killed, killed),
    (Cause::MiddleboxReset, middlebox_reset),
    (Cause::MiddleboxSilent, middlebox_silent),
    (Cause::Tls, tls),
    (Cause::Protocol, protocol),
];

/// What fits although something was not asked, or speaks for another cause too.
const GUESSES: &[(Cause, Guess)] = &[
    (Cause::WaitTimeout, may_be_wait_timeout),
    (Cause::IdleTransactionTimeout, may_be_idle_transaction_timeout),
    (Cause::MiddleboxReset, may_be_the_paths_limit),
];

/// The cause of a loss, or that it is too early to say.
pub fn judge(evidence: &Evidence) -> Verdict {
    for (cause, holds) in RULES {
        if let Some(confidence) = holds(evidence) {
            return Verdict::Decided { cause: *cause, confidence };
        }
    }
    if evidence.after.is_none() {
        if evidence.away_for < evidence.give_up {
            return Verdict::Provisional;
        }
        if evidence.fresh.is_away() {
            let (cause, confidence) = did_not_come_back(evidence);
            return Verdict::Decided { cause, confidence };
        }
    }
    for (cause, fits) in GUESSES {
        if fits(evidence) {
            return Verdict::Decided { cause: *cause, confidence: Low };
        }
    }
    Verdict::Decided { cause: Cause::Unknown, confidence: Low }
}

fn did_not_come_back(evidence: &Evidence) -> (Cause, Confidence) {
    match evidence.signal {
        Signal::Timeout => (Cause::Network, sure_if(evidence.fresh.unreached())),
        Signal::TlsAlert => (Cause::Tls, High),
        Signal::OutOfSync => (Cause::Protocol, Low),
        // Behind a proxy it may be the proxy that is down.
        _ => (Cause::ServerDown, sure_if(evidence.path == Path::Direct)),
    }
}

fn client_stall(evidence: &Evidence) -> Option<Confidence> {
    (evidence.lateness > evidence.deadline).then_some(High)
}

fn wait_timeout(evidence: &Evidence) -> Option<Confidence> {
    match (evidence.errno, evidence.server) {
        // From 4000 on each flavor has its own numbers.
        (Some(4031), Some((Flavor::MySql, _))) => Some(High),
        (Some(4031), None) => Some(Low),
        (Some(_), _) => None,
        (None, _) if evidence.signal == Signal::OutOfSync => lost_4031(evidence),
        (None, _) => match evidence.transaction {
            Transaction::None | Transaction::Open => cut_by_the_server_at(evidence, evidence.wait_timeout?),
            Transaction::Limited(_) | Transaction::Unknown => None,
        },
    }
}

/// The driver meets the server's last word when it expects an answer, and throws it away as out of order.
fn lost_4031(evidence: &Evidence) -> Option<Confidence> {
    let (Rest::UpTo(rest) | Rest::Watched(rest)) = evidence.rest else { return None };
    if !says_4031(evidence) {
        return None;
    }
    match evidence.wait_timeout {
        Some(limit) => (rest + EARLY >= limit).then_some(High),
        None => Some(Low),
    }
}

fn idle_transaction_timeout(evidence: &Evidence) -> Option<Confidence> {
    match evidence.transaction {
        Transaction::Limited(limit) if !is_mysql(evidence) => cut_by_the_server_at(evidence, limit),
        _ => None,
    }
}

/// Whether the server cut the connection, without a word, because it had rested that long.
fn cut_by_the_server_at(evidence: &Evidence, limit: Duration) -> Option<Confidence> {
    if thread(evidence) != Thread::Gone || incarnation(evidence) != Life::Same || !closed_while_idle(evidence) {
        return None;
    }
    if says_4031(evidence) {
        return None;
    }
    match evidence.rest {
        Rest::Watched(age) if !within(age, limit, SERVER_TIMER) => return None,
        Rest::UpTo(rest) if rest + EARLY < limit || !path_lets_live(evidence, limit) => return None,
        _ => {}
    }
    // A reset that comes unasked is no KILL; all else may be one. Of MariaDB itself a FIN is not its timeout.
    let may_be_killed = evidence.signal != Signal::Rst && kills_suffice(evidence);
    if may_be_killed && evidence.signal == Signal::Fin && is_mariadb(evidence) && evidence.path == Path::Direct {
        return None;
    }
    Some(sure_if(identity_known(evidence) && evidence.server.is_some() && !may_be_killed))
}

/// A connection that rests that long gets as far as the server's own timeout.
fn path_lets_live(evidence: &Evidence, limit: Duration) -> bool {
    let ladder = evidence.ladder;
    let cuts_before = ladder.limit.is_some_and(|cut| cut < limit);
    let survived = ladder.survived_max.is_some_and(|survived| survived >= limit);
    survived || (evidence.path == Path::Direct && !cuts_before)
}

fn offline(evidence: &Evidence) -> Option<Confidence> {
    let told = evidence.errno == Some(3032);
    let told_next = evidence.fresh.offline() && evidence.errno.is_none() && closed(evidence);
    (told || told_next).then_some(High)
}

fn packet_too_large(evidence: &Evidence) -> Option<Confidence> {
    let told = evidence.errno == Some(1153);
    let too_large = evidence.sending.zip(evidence.max_allowed_packet).is_some_and(|(sent, most)| sent > most);
    (told || (too_large && evidence.errno.is_none() && closed(evidence))).then_some(High)
}

fn server_restart(evidence: &Evidence) -> Option<Confidence> {
    match evidence.errno {
        Some(1053) => Some(High),
        _ if incarnation(evidence) == Life::Anew => Some(sure_if(identity_known(evidence))),
        _ => None,
    }
}

fn failover(evidence: &Evidence) -> Option<Confidence> {
    if incarnation(evidence) != Life::OtherServer || evidence.several_identities {
        return None;
    }
    match evidence.old_identity_answers {
        Some(false) => Some(High),
        None => Some(Low),
        Some(true) => None,
    }
}

fn server_frozen(evidence: &Evidence) -> Option<Confidence> {
    let backlog_full = evidence.fresh.tcp_timed_out() && evidence.acknowledged == Some(true);
    let frozen = evidence.signal == Signal::Timeout && (evidence.fresh.ungreeted() || backlog_full);
    // Behind a proxy it may be the proxy that hangs.
    frozen.then(|| sure_if(evidence.path != Path::Proxied))
}

/// Says nothing until the server is back: then it is known not to have been a restart.
fn network(evidence: &Evidence) -> Option<Confidence> {
    let lost = evidence.signal == Signal::Timeout && evidence.fresh.unreached() && evidence.after.is_some();
    lost.then(|| sure_if(incarnation(evidence) == Life::Same && identity_known(evidence)))
}

fn killed(evidence: &Evidence) -> Option<Confidence> {
    if evidence.errno == Some(1927) {
        return Some(High);
    }
    if !cut_for_good(evidence) || thread(evidence) != Thread::Gone || incarnation(evidence) != Life::Same {
        return None;
    }
    if !kills_suffice(evidence) || at_the_paths_limit(evidence) {
        return None;
    }
    let always_moving = evidence.kills.is_some_and(|kills| kills.always_moving);
    // A KILL is a FIN. Where nobody watched, a reset may stand for one.
    let fits = evidence.signal == Signal::Fin || matches!(evidence.rest, Rest::UpTo(_));
    Some(sure_if(fits && !always_moving && identity_known(evidence) && !may_be_at_the_servers_limit(evidence)))
}

fn middlebox_reset(evidence: &Evidence) -> Option<Confidence> {
    if !cut_for_good(evidence) {
        return None;
    }
    match thread(evidence) {
        Thread::Listed => Some(sure_if(identity_known(evidence))),
        Thread::Gone if cut_by_a_proxy(evidence) => Some(sure_if(evidence.kills?.moved == 0)),
        _ => None,
    }
}

/// The server let go because a proxy told it to. That needs everything else excluded.
fn cut_by_a_proxy(evidence: &Evidence) -> bool {
    let excluded = evidence.path == Path::Proxied
        && incarnation(evidence) == Life::Same
        && identity_known(evidence)
        && evidence.kills.is_some()
        && !kills_suffice(evidence);
    let twin = exact_age(evidence)
        .is_some_and(|age| evidence.watched_ages.iter().any(|other| near(*other, age) || near(age, *other)));
    excluded && (evidence.lost_at_once >= 2 || twin || at_the_paths_limit(evidence))
}

fn middlebox_silent(evidence: &Evidence) -> Option<Confidence> {
    // A statement that does not end may just be slow, unless the server has never heard of it.
    let slow = matches!(evidence.rest, Rest::Busy(_)) && evidence.is_asleep != Some(true);
    if evidence.signal != Signal::Timeout || slow || evidence.after.is_none() || !evidence.fresh.is_good() {
        return None;
    }
    match thread(evidence) {
        Thread::Listed => Some(sure_if(identity_known(evidence))),
        // Another server answered: the one that was lost may be frozen for all we know.
        _ if incarnation(evidence) == Life::OtherServer => None,
        Thread::Gone | Thread::NotAsked | Thread::ListedOnce => Some(Low),
    }
}

fn tls(evidence: &Evidence) -> Option<Confidence> {
    (evidence.signal == Signal::TlsAlert && evidence.after.is_some()).then_some(High)
}

fn protocol(evidence: &Evidence) -> Option<Confidence> {
    let told = matches!(evidence.errno, Some(1154..=1157));
    let out_of_sync = evidence.signal == Signal::OutOfSync && evidence.after.is_some();
    (told || out_of_sync).then_some(High)
}

/// The age is the timeout's, to the second, and nothing that was asked speaks against it.
fn may_be_wait_timeout(evidence: &Evidence) -> bool {
    let applies = !matches!(evidence.transaction, Transaction::Limited(_));
    applies && evidence.wait_timeout.is_some_and(|limit| age_is_the_servers(evidence, limit))
}

fn may_be_idle_transaction_timeout(evidence: &Evidence) -> bool {
    match evidence.transaction {
        Transaction::Limited(limit) => !is_mysql(evidence) && age_is_the_servers(evidence, limit),
        _ => false,
    }
}

fn age_is_the_servers(evidence: &Evidence, limit: Duration) -> bool {
    let exact = matches!(evidence.rest, Rest::Watched(age) if within(age, limit, SERVER_TIMER));
    let possible = match incarnation(evidence) {
        Life::Same | Life::Unknown => true,
        Life::OtherServer => evidence.several_identities,
        Life::Anew => false,
    };
    exact && possible && closed_while_idle(evidence) && !says_4031(evidence) && thread(evidence) != Thread::Listed
}

/// At the limit that the ladder confirmed, though the path does not look proxied, or a KILL came in the same interval,
/// or something was not asked. A load balancer that keeps the client's address looks like a direct path.
fn may_be_the_paths_limit(evidence: &Evidence) -> bool {
    let possible = !matches!(incarnation(evidence), Life::Anew);
    cut_for_good(evidence) && possible && at_the_paths_limit(evidence)
}

/// What the answers say of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Unknown,
    Same,
    /// The same server, started after the connection was opened.
    Anew,
    OtherServer,
}

fn incarnation(evidence: &Evidence) -> Life {
    let Some(after) = &evidence.after else { return Life::Unknown };
    match (&evidence.before.identity, &after.identity) {
        (Some(before), Some(after)) if before != after => return Life::OtherServer,
        // Where connections are spread, only a name tells whose beginning it is.
        (None, _) | (_, None) if evidence.several_identities => return Life::Unknown,
        _ => {}
    }
    let Some(began) = after.began_ago else { return Life::Unknown };
    let Some(opened) = evidence.opened_ago else { return Life::Unknown };
    if began + UPTIME_GRAIN < opened {
        return Life::Anew;
    }
    // It was restarted in the second in which the connection was opened: the two readings still differ. Where
    // `Uptime` shrinks because the server's clock was set, the beginning does not fall near the opening.
    let moved = evidence.before.began_ago.is_some_and(|before| before > began + UPTIME_SPREAD);
    if moved && began < opened + UPTIME_SPREAD { Life::Anew } else { Life::Same }
}

/// Whether the server that was lost and the one that was asked are both known by name.
fn identity_known(evidence: &Evidence) -> bool {
    let after = evidence.after.as_ref().and_then(|after| after.identity.as_ref());
    evidence.before.identity.is_some() && after.is_some()
}

/// What the server says of the thread, as far as it is to be believed.
fn thread(evidence: &Evidence) -> Thread {
    let asked = match incarnation(evidence) {
        Life::Same => true,
        Life::Unknown => evidence.after.is_some() && !evidence.several_identities,
        Life::Anew | Life::OtherServer => false,
    };
    match evidence.thread {
        Thread::Listed | Thread::Gone if asked => evidence.thread,
        _ => Thread::NotAsked,
    }
}

fn closed(evidence: &Evidence) -> bool {
    matches!(evidence.signal, Signal::Fin | Signal::Rst | Signal::RstOnWrite)
}

/// Cut, by whomever, and nobody said why.
fn cut_for_good(evidence: &Evidence) -> bool {
    closed(evidence) && evidence.errno.is_none()
}

/// Cut while it rested. A watcher sees that at once: what it sees only in answer to a write is another thing.
fn closed_while_idle(evidence: &Evidence) -> bool {
    let unasked = matches!(evidence.signal, Signal::Fin | Signal::Rst);
    let idle = match evidence.rest {
        Rest::Watched(_) => unasked,
        Rest::UpTo(_) => true,
        Rest::Busy(_) => false,
    };
    idle && cut_for_good(evidence)
}

/// The age at the loss where it is known exactly: the far end ended it while somebody was reading.
fn exact_age(evidence: &Evidence) -> Option<Duration> {
    match evidence.rest {
        Rest::Watched(age) | Rest::Busy(age) if matches!(evidence.signal, Signal::Fin | Signal::Rst) => Some(age),
        _ => None,
    }
}

/// At the limit that the ladder found, or where nobody watched: beyond it.
fn at_the_paths_limit(evidence: &Evidence) -> bool {
    let Some(limit) = evidence.ladder.limit else { return false };
    match (exact_age(evidence), evidence.rest) {
        (Some(age), _) => near(age, limit),
        (None, Rest::Watched(rest) | Rest::UpTo(rest)) => rest >= limit,
        (None, Rest::Busy(_)) => false,
    }
}

/// The server's own timeout may have ended it: the age is right, or nobody watched and it lies on the way.
fn may_be_at_the_servers_limit(evidence: &Evidence) -> bool {
    let limit = match evidence.transaction {
        Transaction::Limited(limit) => Some(limit),
        _ => evidence.wait_timeout,
    };
    let may_be = limit.is_some_and(|limit| match evidence.rest {
        Rest::Watched(age) => within(age, limit, SERVER_TIMER),
        Rest::UpTo(rest) => rest >= limit,
        Rest::Busy(_) => false,
    });
    may_be && !says_4031(evidence)
}

/// `Com_kill` moved by at least the number lost.
fn kills_suffice(evidence: &Evidence) -> bool {
    evidence.kills.is_some_and(|kills| kills.moved >= evidence.lost_at_once.max(1))
}

fn is_mysql(evidence: &Evidence) -> bool {
    matches!(evidence.server, Some((Flavor::MySql, _)))
}

fn is_mariadb(evidence: &Evidence) -> bool {
    matches!(evidence.server, Some((Flavor::MariaDb, _)))
}

fn says_4031(evidence: &Evidence) -> bool {
    matches!(evidence.server, Some((Flavor::MySql, version)) if version >= SAYS_4031)
}

fn sure_if(sure: bool) -> Confidence {
    if sure { High } else { Low }
}

fn within(a: Duration, b: Duration, tolerance: Duration) -> bool {
    a.abs_diff(b) <= tolerance
}

/// Within 5 % of the second.
fn near(a: Duration, b: Duration) -> bool {
    within(a, b, b / 20)
}
