//! The fault table, row by row, and what must hold of any evidence.

use std::time::Duration;

use super::*;
use crate::mysql::failure::{Phase, Reason};
use crate::mysql::server::{Flavor, Version};
use crate::mysql::signal::Signal;

use Confidence::{High, Low};

const NEW_MYSQL: (Flavor, Version) = (Flavor::MySql, Version::new(9, 7, 4));
const FIRST_4031: (Flavor, Version) = (Flavor::MySql, Version::new(8, 0, 24));
const OLD_MYSQL: (Flavor, Version) = (Flavor::MySql, Version::new(8, 0, 23));
const MARIADB: (Flavor, Version) = (Flavor::MariaDb, Version::new(10, 11, 19));
const NEW_MARIADB: (Flavor, Version) = (Flavor::MariaDb, Version::new(11, 8, 9));
const EVERY_SERVER: [(Flavor, Version); 5] = [NEW_MYSQL, FIRST_4031, OLD_MYSQL, MARIADB, NEW_MARIADB];
const WITHOUT_4031: [(Flavor, Version); 3] = [OLD_MYSQL, MARIADB, NEW_MARIADB];

/// The session's wait_timeout in all stories.
const W: f64 = 11.0;

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn watched(seconds: f64) -> Rest {
    Rest::Watched(s(seconds))
}

fn up_to(seconds: f64) -> Rest {
    Rest::UpTo(s(seconds))
}

fn failed(phase: Phase, reason: Reason) -> Fresh {
    Fresh::Failed { phase, reason, errno: None }
}

fn incarnation(name: &str, began_ago: f64) -> Incarnation {
    Incarnation { identity: Some(Identity::new(name)), began_ago: Some(s(began_ago)) }
}

/// One loss, on a direct path to a server that goes on as if nothing had happened; everything asked.
fn loss(server: (Flavor, Version), signal: Signal, rest: Rest) -> Evidence {
    let mut evidence = Evidence::new(signal, rest, s(3.0));
    evidence.server = Some(server);
    evidence.wait_timeout = Some(s(W));
    evidence.transaction = Transaction::None;
    evidence.max_allowed_packet = Some(16 << 20);
    evidence.opened_ago = Some(s(100.0));
    evidence.before = incarnation("a", 5000.0);
    evidence.after = Some(incarnation("a", 5000.0));
    evidence.old_identity_answers = Some(true);
    evidence.thread = Thread::Gone;
    evidence.kills = Some(Kills { moved: 0, always_moving: false });
    evidence.path = Path::Direct;
    evidence.fresh.note(Fresh::Good);
    evidence
}

impl Evidence {
    fn with(mut self, change: impl FnOnce(&mut Evidence)) -> Evidence {
        change(&mut self);
        self
    }

    fn killed(self, moved: u64) -> Evidence {
        self.with(|e| e.kills = Some(Kills { moved, always_moving: false }))
    }

    fn listed(self) -> Evidence {
        self.with(|e| e.thread = Thread::Listed)
    }

    fn proxied(self) -> Evidence {
        self.with(|e| e.path = Path::Proxied)
    }

    fn limit(self, seconds: f64) -> Evidence {
        self.with(|e| {
            e.ladder =
                Ladder { survived_max: Some(s(seconds - 1.0)), lost_min: Some(s(seconds)), limit: Some(s(seconds)) }
        })
    }

    fn survived(self, seconds: f64) -> Evidence {
        self.with(|e| e.ladder.survived_max = Some(s(seconds)))
    }

    fn together(self, lost: u64) -> Evidence {
        self.with(|e| e.lost_at_once = lost)
    }

    fn errno(self, errno: u16) -> Evidence {
        self.with(|e| e.errno = Some(errno))
    }

    fn attempts(self, attempts: &[Fresh]) -> Evidence {
        self.with(|e| {
            e.fresh = Attempts::default();
            for fresh in attempts {
                e.fresh.note(*fresh);
            }
        })
    }

    /// Nobody can be asked.
    fn away(self, attempt: Fresh) -> Evidence {
        self.attempts(&[attempt]).with(|e| {
            e.after = None;
            e.thread = Thread::NotAsked;
            e.kills = None;
            e.old_identity_answers = None;
        })
    }

    fn for_long(self) -> Evidence {
        self.with(|e| e.away_for = e.give_up)
    }

    fn back_as(self, name: &str, began_ago: f64) -> Evidence {
        self.with(|e| {
            e.fresh.note(Fresh::Good);
            e.after = Some(incarnation(name, began_ago));
        })
    }
}

#[track_caller]
fn check(evidence: Evidence, cause: Cause, confidence: Confidence) {
    assert_eq!(judge(&evidence), Verdict::Decided { cause, confidence }, "{evidence:#?}");
}

#[track_caller]
fn provisional(evidence: Evidence) {
    assert_eq!(judge(&evidence), Verdict::Provisional, "{evidence:#?}");
}

#[track_caller]
fn unknown(evidence: Evidence) {
    check(evidence, Cause::Unknown, Low);
}

const REFUSED: Fresh = Fresh::Failed { phase: Phase::Tcp, reason: Reason::Refused, errno: None };
const DROPPED: Fresh = Fresh::Failed { phase: Phase::Tcp, reason: Reason::Timeout, errno: None };
const NO_GREETING: Fresh = Fresh::Failed { phase: Phase::Greeting, reason: Reason::Timeout, errno: None };
const NO_BACKEND: Fresh = Fresh::Failed { phase: Phase::Greeting, reason: Reason::Closed, errno: None };
const IS_OFFLINE: Fresh = Fresh::Failed { phase: Phase::Auth, reason: Reason::Offline, errno: Some(3032) };
const DENIED: Fresh = Fresh::Failed { phase: Phase::Auth, reason: Reason::AccessDenied, errno: Some(1045) };

mod wait_timeout {
    use super::*;

    #[test]
    fn mysql_says_so() {
        for server in [NEW_MYSQL, FIRST_4031] {
            check(loss(server, Signal::ErrPacket, watched(W)).errno(4031), Cause::WaitTimeout, High);
            // The packet is enough: nobody needs to be asked.
            let alone = Evidence::new(Signal::ErrPacket, watched(W), s(3.0)).errno(4031);
            check(alone.with(|e| e.server = Some(server)), Cause::WaitTimeout, High);
        }
    }

    #[test]
    fn numbers_from_4000_on_belong_to_their_flavor() {
        unknown(loss(MARIADB, Signal::ErrPacket, watched(W)).errno(4031));
        check(
            loss(MARIADB, Signal::ErrPacket, watched(W)).errno(4031).with(|e| e.server = None),
            Cause::WaitTimeout,
            Low,
        );
    }

    #[test]
    fn what_the_driver_calls_out_of_sync_is_the_lost_4031() {
        for server in [NEW_MYSQL, FIRST_4031] {
            for rest in [up_to(W), up_to(240.0)] {
                check(loss(server, Signal::OutOfSync, rest), Cause::WaitTimeout, High);
                check(loss(server, Signal::OutOfSync, rest).proxied(), Cause::WaitTimeout, High);
                let untold = loss(server, Signal::OutOfSync, rest).with(|e| e.wait_timeout = None);
                check(untold, Cause::WaitTimeout, Low);
            }
            // Too soon, or in the midst of a statement, it is what it says.
            check(loss(server, Signal::OutOfSync, up_to(W - 1.0)), Cause::Protocol, High);
            check(loss(server, Signal::OutOfSync, Rest::Busy(s(60.0))), Cause::Protocol, High);
        }
        for server in WITHOUT_4031 {
            check(loss(server, Signal::OutOfSync, up_to(240.0)), Cause::Protocol, High);
        }
    }

    #[test]
    fn a_watched_cut_at_the_second() {
        for server in WITHOUT_4031 {
            for signal in [Signal::Rst, Signal::Fin] {
                for age in [W - 1.5, W, W + 1.5] {
                    check(loss(server, signal, watched(age)), Cause::WaitTimeout, High);
                    // The age says it whatever lies between.
                    check(loss(server, signal, watched(age)).proxied(), Cause::WaitTimeout, High);
                    check(
                        loss(server, signal, watched(age)).with(|e| e.path = Path::Unknown),
                        Cause::WaitTimeout,
                        High,
                    );
                }
                for age in [W - 1.6, W + 1.6] {
                    unknown(loss(server, signal, watched(age)));
                }
            }
        }
    }

    #[test]
    fn a_mysql_that_would_have_said_so_has_not_done_it() {
        for server in [NEW_MYSQL, FIRST_4031] {
            unknown(loss(server, Signal::Fin, watched(W)));
            check(loss(server, Signal::Fin, watched(W)).killed(1), Cause::Killed, High);
            unknown(loss(server, Signal::Fin, up_to(240.0)));
        }
    }

    #[test]
    fn an_interval_that_reaches_beyond_it_on_a_path_that_lets_live() {
        for server in WITHOUT_4031 {
            for signal in [Signal::Rst, Signal::RstOnWrite, Signal::Fin] {
                let lost = || loss(server, signal, up_to(240.0));
                check(lost(), Cause::WaitTimeout, High);
                check(lost().proxied().survived(W), Cause::WaitTimeout, High);
                check(lost().with(|e| e.path = Path::Unknown).survived(60.0), Cause::WaitTimeout, High);
                unknown(lost().proxied());
                unknown(lost().proxied().survived(W - 1.0));
                unknown(lost().with(|e| e.path = Path::Unknown));
                unknown(loss(server, signal, up_to(W - 0.5)));
                // The path cuts before the server can.
                check(lost().proxied().limit(7.0), Cause::MiddleboxReset, High);
                check(lost().limit(7.0), Cause::MiddleboxReset, Low);
            }
        }
    }

    #[test]
    fn a_kill_in_the_same_interval_leaves_a_doubt() {
        check(loss(OLD_MYSQL, Signal::Fin, up_to(240.0)).killed(1), Cause::WaitTimeout, Low);
        check(loss(MARIADB, Signal::RstOnWrite, up_to(240.0)).killed(1), Cause::WaitTimeout, Low);
        // MariaDB itself cuts with a reset, and a KILL is a FIN.
        check(loss(MARIADB, Signal::Fin, up_to(240.0)).killed(1), Cause::Killed, Low);
        check(loss(MARIADB, Signal::Fin, watched(W)).killed(1), Cause::Killed, Low);
        check(loss(MARIADB, Signal::Rst, up_to(240.0)).killed(1), Cause::WaitTimeout, High);
        check(loss(OLD_MYSQL, Signal::Fin, watched(W)).killed(1), Cause::WaitTimeout, Low);
        // A KILL is no unasked reset.
        check(loss(MARIADB, Signal::Rst, watched(W)).killed(1), Cause::WaitTimeout, High);
    }

    #[test]
    fn it_does_not_run_during_a_statement_nor_in_a_limited_transaction() {
        unknown(loss(MARIADB, Signal::Fin, Rest::Busy(s(W))));
        let limited = |rest| {
            let limit = Transaction::Limited(s(60.0));
            loss(MARIADB, Signal::Rst, rest).with(|e| e.transaction = limit)
        };
        unknown(limited(watched(W)));
        unknown(limited(up_to(30.0)));
        check(
            loss(MARIADB, Signal::Rst, watched(W)).with(|e| e.transaction = Transaction::Open),
            Cause::WaitTimeout,
            High,
        );
    }

    #[test]
    fn a_watcher_that_saw_nothing_until_it_wrote_saw_no_timeout() {
        unknown(loss(MARIADB, Signal::RstOnWrite, watched(W)));
    }

    #[test]
    fn what_was_not_asked_leaves_a_doubt_or_is_not_named() {
        let lost = || loss(MARIADB, Signal::Rst, watched(W));
        for thread in [Thread::NotAsked, Thread::ListedOnce] {
            check(lost().with(|e| e.thread = thread), Cause::WaitTimeout, Low);
            unknown(loss(MARIADB, Signal::Rst, up_to(240.0)).with(|e| e.thread = thread));
        }
        check(lost().with(|e| e.after = Some(Incarnation::default())), Cause::WaitTimeout, Low);
        check(lost().with(|e| e.before.identity = None), Cause::WaitTimeout, Low);
        check(lost().with(|e| e.server = None), Cause::WaitTimeout, Low);
        check(lost().with(|e| e.transaction = Transaction::Unknown), Cause::WaitTimeout, Low);
        unknown(lost().with(|e| e.wait_timeout = None));
        // Spread over several servers: another one was asked.
        let spread = |e: &mut Evidence| (e.several_identities, e.after) = (true, Some(incarnation("b", 9.0)));
        check(lost().with(spread), Cause::WaitTimeout, Low);
        // The server still has it: it was not the server.
        check(lost().listed(), Cause::MiddleboxReset, High);
    }
}

mod idle_transaction_timeout {
    use super::*;

    fn in_transaction(signal: Signal, rest: Rest) -> Evidence {
        loss(MARIADB, signal, rest).with(|e| e.transaction = Transaction::Limited(s(5.0)))
    }

    #[test]
    fn the_same_in_a_transaction() {
        check(in_transaction(Signal::Rst, watched(5.1)), Cause::IdleTransactionTimeout, High);
        check(in_transaction(Signal::Rst, up_to(30.0)), Cause::IdleTransactionTimeout, High);
        check(in_transaction(Signal::RstOnWrite, up_to(6.0)), Cause::IdleTransactionTimeout, High);
        unknown(in_transaction(Signal::Rst, watched(7.0)));
        unknown(in_transaction(Signal::Rst, up_to(4.0)));
        unknown(in_transaction(Signal::Rst, up_to(30.0)).proxied());
        check(in_transaction(Signal::Rst, up_to(30.0)).proxied().survived(20.0), Cause::IdleTransactionTimeout, High);
    }

    #[test]
    fn not_asked_leaves_a_doubt() {
        let unasked = in_transaction(Signal::Rst, watched(5.0)).with(|e| e.thread = Thread::NotAsked);
        check(unasked, Cause::IdleTransactionTimeout, Low);
        check(in_transaction(Signal::Rst, watched(5.0)).with(|e| e.server = None), Cause::IdleTransactionTimeout, Low);
    }

    #[test]
    fn mysql_has_none() {
        unknown(in_transaction(Signal::Fin, watched(5.0)).with(|e| e.server = Some(OLD_MYSQL)));
    }
}

mod the_server_said_so {
    use super::*;

    #[test]
    fn offline() {
        check(loss(NEW_MYSQL, Signal::ErrPacket, up_to(1.0)).errno(3032), Cause::Offline, High);
        check(loss(NEW_MYSQL, Signal::Fin, watched(2.0)).away(IS_OFFLINE), Cause::Offline, High);
        check(loss(NEW_MYSQL, Signal::Fin, up_to(2.0)).attempts(&[IS_OFFLINE, Fresh::Good]), Cause::Offline, High);
        // Offline mode is not silent.
        unknown(loss(NEW_MYSQL, Signal::Timeout, up_to(2.0)).away(IS_OFFLINE).for_long());
    }

    #[test]
    fn packet_too_large() {
        for server in EVERY_SERVER {
            check(loss(server, Signal::ErrPacket, Rest::Busy(s(0.1))).errno(1153), Cause::PacketTooLarge, High);
            for signal in [Signal::RstOnWrite, Signal::Rst, Signal::Fin] {
                let sending = |bytes: u64| loss(server, signal, Rest::Busy(s(0.1))).with(|e| e.sending = Some(bytes));
                check(sending((16 << 20) + 1), Cause::PacketTooLarge, High);
                unknown(sending(16 << 20));
                unknown(sending(64 << 20).with(|e| e.max_allowed_packet = None));
            }
        }
        unknown(loss(MARIADB, Signal::Timeout, Rest::Busy(s(3.0))).with(|e| e.sending = Some(64 << 20)));
    }

    #[test]
    fn shutdown_and_kill_where_they_ever_come() {
        for server in EVERY_SERVER {
            check(loss(server, Signal::ErrPacket, up_to(1.0)).errno(1053).away(REFUSED), Cause::ServerRestart, High);
            check(loss(server, Signal::ErrPacket, up_to(1.0)).errno(1927), Cause::Killed, High);
        }
    }

    #[test]
    fn protocol_damage_and_what_says_nothing() {
        for errno in 1154..=1157 {
            check(loss(MARIADB, Signal::ErrPacket, up_to(1.0)).errno(errno), Cause::Protocol, High);
        }
        unknown(loss(MARIADB, Signal::ErrPacket, up_to(1.0)).errno(1158));
        unknown(loss(MARIADB, Signal::ErrPacket, up_to(1.0)));
        check(loss(NEW_MYSQL, Signal::TlsAlert, up_to(1.0)), Cause::Tls, High);
        check(loss(MARIADB, Signal::OutOfSync, up_to(1.0)), Cause::Protocol, High);
    }
}

mod another_life {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_waited_for() {
        for server in EVERY_SERVER {
            for attempt in [
                REFUSED,
                DROPPED,
                NO_BACKEND,
                failed(Phase::Dns, Reason::Dns),
                failed(Phase::Auth, Reason::ServerShutdown),
            ] {
                for signal in
                    [Signal::Fin, Signal::Rst, Signal::RstOnWrite, Signal::Timeout, Signal::OutOfSync, Signal::TlsAlert]
                {
                    // Near enough to rest for nothing else.
                    provisional(loss(server, signal, up_to(1.0)).away(attempt).together(2));
                }
            }
            provisional(loss(server, Signal::Fin, watched(1.0)).away(NO_GREETING));
        }
    }

    #[test]
    fn nobody_asked_yet_is_waited_for_too() {
        provisional(Evidence::new(Signal::Fin, watched(3.0), s(3.0)));
        provisional(loss(MARIADB, Signal::Fin, watched(3.0)).away(DENIED));
        provisional(loss(MARIADB, Signal::Rst, watched(W)).away(Fresh::Good));
    }

    #[test]
    fn back_anew_it_was_a_restart() {
        for server in EVERY_SERVER {
            for signal in
                [Signal::Fin, Signal::Rst, Signal::RstOnWrite, Signal::Timeout, Signal::OutOfSync, Signal::TlsAlert]
            {
                for rest in [watched(1.0), up_to(5.0), Rest::Busy(s(2.0))] {
                    check(loss(server, signal, rest).away(REFUSED).back_as("a", 3.0), Cause::ServerRestart, High);
                }
            }
            let nameless = loss(server, Signal::Fin, watched(1.0)).away(REFUSED).back_as("a", 3.0);
            check(nameless.with(|e| e.before.identity = None), Cause::ServerRestart, Low);
        }
    }

    #[test]
    fn uptime_is_read_with_its_grain() {
        let opened_100_ago = |began| loss(MARIADB, Signal::Fin, watched(1.0)).back_as("a", began);
        check(opened_100_ago(98.9), Cause::ServerRestart, High);
        // Before and after agree: it began as the connection was opened, or a little earlier.
        for (before, after) in [(100.3, 99.1), (101.0, 100.0), (100.8, 99.6)] {
            unknown(opened_100_ago(after).with(|e| e.before = incarnation("a", before)));
        }
        // Restarted in the second in which the connection was opened: the earlier reading tells.
        check(opened_100_ago(99.5).with(|e| e.before = incarnation("a", 5000.0)), Cause::ServerRestart, High);
        // A server whose clock was set back.
        unknown(loss(MARIADB, Signal::Fin, watched(1.0)).back_as("a", 1400.0));
    }

    #[test]
    fn a_smaller_uptime_of_another_server_is_no_restart() {
        let spread = |e: &mut Evidence| e.several_identities = true;
        unknown(loss(MARIADB, Signal::Fin, watched(1.0)).back_as("b", 3.0).with(spread));
        let nameless = |e: &mut Evidence| (e.several_identities, e.before.identity) = (true, None);
        unknown(loss(MARIADB, Signal::Fin, watched(1.0)).back_as("b", 3.0).with(nameless));
    }

    #[test]
    fn failover() {
        for server in EVERY_SERVER {
            for signal in [Signal::Fin, Signal::Timeout, Signal::RstOnWrite] {
                let moved = |answers| {
                    let lost = loss(server, signal, up_to(1.0)).away(REFUSED);
                    lost.back_as("b", 3.0).with(|e| e.old_identity_answers = answers)
                };
                check(moved(Some(false)), Cause::Failover, High);
                check(moved(None), Cause::Failover, Low);
            }
            unknown(loss(server, Signal::Fin, up_to(1.0)).back_as("b", 9000.0));
            let spread = |e: &mut Evidence| (e.several_identities, e.old_identity_answers) = (true, Some(false));
            unknown(loss(server, Signal::Fin, up_to(1.0)).back_as("b", 9000.0).with(spread));
        }
    }

    #[test]
    fn given_up_after_five_minutes() {
        for signal in [Signal::Fin, Signal::Rst, Signal::RstOnWrite] {
            let gone = |attempt| loss(MARIADB, signal, up_to(1.0)).away(attempt);
            provisional(gone(REFUSED).with(|e| e.away_for = s(299.9)));
            check(gone(REFUSED).for_long(), Cause::ServerDown, High);
            check(gone(NO_BACKEND).proxied().for_long(), Cause::ServerDown, Low);
            check(gone(REFUSED).for_long().with(|e| e.path = Path::Unknown), Cause::ServerDown, Low);
        }
        check(loss(MARIADB, Signal::Timeout, up_to(1.0)).away(DROPPED).for_long(), Cause::Network, High);
        check(loss(MARIADB, Signal::Timeout, up_to(1.0)).away(NO_BACKEND).for_long(), Cause::Network, Low);
        check(loss(MARIADB, Signal::TlsAlert, up_to(1.0)).away(REFUSED).for_long(), Cause::Tls, High);
        check(loss(MARIADB, Signal::OutOfSync, up_to(1.0)).away(REFUSED).for_long(), Cause::Protocol, Low);
        // A shorter setting, for those who have no time.
        let short = |e: &mut Evidence| (e.away_for, e.give_up) = (s(2.0), s(2.0));
        check(loss(MARIADB, Signal::Fin, up_to(1.0)).away(REFUSED).with(short), Cause::ServerDown, High);
    }

    #[test]
    fn no_connection_could_be_had_to_ask() {
        for attempt in
            [DENIED, failed(Phase::Greeting, Reason::TooManyConnections), failed(Phase::Greeting, Reason::HostBlocked)]
        {
            unknown(loss(MARIADB, Signal::Fin, watched(3.0)).away(attempt).for_long());
            unknown(loss(MARIADB, Signal::Timeout, up_to(3.0)).away(attempt).for_long());
        }
        check(loss(MARIADB, Signal::Rst, watched(W)).away(DENIED).for_long(), Cause::WaitTimeout, Low);
    }
}

mod silence {
    use super::*;

    #[test]
    fn a_frozen_server_is_named_at_once() {
        for server in EVERY_SERVER {
            for rest in [watched(4.0), up_to(4.0), Rest::Busy(s(3.0))] {
                let silent = || loss(server, Signal::Timeout, rest);
                check(silent().away(NO_GREETING), Cause::ServerFrozen, High);
                check(silent().away(NO_GREETING).proxied(), Cause::ServerFrozen, Low);
                // It woke before anybody could be asked: every attempt counts, a late greeting as none.
                check(silent().attempts(&[NO_GREETING, Fresh::Good]), Cause::ServerFrozen, High);
                check(silent().attempts(&[Fresh::LateGreeting, Fresh::Good]).listed(), Cause::ServerFrozen, High);
                // The backlog is full, and yet the far end is there.
                let full = silent().away(DROPPED).with(|e| e.acknowledged = Some(true));
                check(full, Cause::ServerFrozen, High);
                for acknowledged in [None, Some(false)] {
                    provisional(silent().away(DROPPED).with(|e| e.acknowledged = acknowledged));
                }
            }
            // It was restarted in its sleep.
            check(
                loss(server, Signal::Timeout, up_to(4.0)).attempts(&[NO_GREETING]).back_as("a", 1.0),
                Cause::ServerRestart,
                High,
            );
        }
    }

    #[test]
    fn a_path_that_was_lost_and_came_back() {
        for attempt in [DROPPED, failed(Phase::Tcp, Reason::Unreachable), failed(Phase::Dns, Reason::Timeout), REFUSED]
        {
            for rest in [watched(4.0), up_to(4.0), Rest::Busy(s(3.0))] {
                let silent = || loss(MARIADB, Signal::Timeout, rest).attempts(&[attempt, Fresh::Good]);
                check(silent(), Cause::Network, High);
                check(silent().listed(), Cause::Network, High);
                check(silent().with(|e| e.before.identity = None), Cause::Network, Low);
                check(silent().with(|e| e.after = Some(Incarnation::default())), Cause::Network, Low);
            }
        }
    }

    #[test]
    fn a_middlebox_that_forgot() {
        for server in EVERY_SERVER {
            for rest in [watched(60.0), up_to(240.0)] {
                let silent = || loss(server, Signal::Timeout, rest);
                check(silent().listed(), Cause::MiddleboxSilent, High);
                check(silent(), Cause::MiddleboxSilent, Low);
                check(silent().with(|e| e.thread = Thread::NotAsked), Cause::MiddleboxSilent, Low);
                check(silent().with(|e| e.thread = Thread::ListedOnce), Cause::MiddleboxSilent, Low);
                check(silent().listed().with(|e| e.before.identity = None), Cause::MiddleboxSilent, Low);
            }
        }
        let spread = |e: &mut Evidence| (e.several_identities, e.after) = (true, Some(incarnation("b", 9.0)));
        unknown(loss(MARIADB, Signal::Timeout, up_to(60.0)).listed().with(spread));
        // A statement that does not end may be slow.
        let busy = || loss(MARIADB, Signal::Timeout, Rest::Busy(s(3.0))).listed();
        unknown(busy());
        unknown(busy().with(|e| e.is_asleep = Some(false)));
        // Unless the server has never heard of it.
        check(busy().with(|e| e.is_asleep = Some(true)), Cause::MiddleboxSilent, High);
        // A kept session could answer, but no fresh connection gets in.
        unknown(loss(MARIADB, Signal::Timeout, up_to(60.0)).listed().attempts(&[DENIED]));
    }
}

mod cuts {
    use super::*;

    #[test]
    fn kill() {
        for server in EVERY_SERVER {
            for rest in [watched(3.0), up_to(3.0), Rest::Busy(s(3.0))] {
                check(loss(server, Signal::Fin, rest).killed(1), Cause::Killed, High);
                check(loss(server, Signal::Fin, rest).killed(1).proxied(), Cause::Killed, High);
                check(loss(server, Signal::Fin, rest).killed(5).together(5), Cause::Killed, High);
                unknown(loss(server, Signal::Fin, rest).killed(4).together(5));
                unknown(loss(server, Signal::Fin, rest));
                let busy_server = Some(Kills { moved: 3, always_moving: true });
                check(loss(server, Signal::Fin, rest).with(|e| e.kills = busy_server), Cause::Killed, Low);
                check(loss(server, Signal::Fin, rest).killed(1).with(|e| e.before.identity = None), Cause::Killed, Low);
                unknown(loss(server, Signal::Fin, rest).killed(1).with(|e| e.thread = Thread::NotAsked));
                unknown(loss(server, Signal::Fin, rest).with(|e| e.kills = None));
            }
            check(loss(server, Signal::Rst, watched(3.0)).killed(1), Cause::Killed, Low);
            check(loss(server, Signal::RstOnWrite, up_to(3.0)).killed(1), Cause::Killed, High);
        }
        // Nobody watched, and behind a proxy the server's own timeout fits as well.
        check(loss(MARIADB, Signal::Fin, up_to(240.0)).killed(1).proxied(), Cause::Killed, Low);
    }

    #[test]
    fn the_server_still_has_it() {
        for server in EVERY_SERVER {
            for signal in [Signal::RstOnWrite, Signal::Rst, Signal::Fin] {
                for rest in [watched(60.0), up_to(240.0), Rest::Busy(s(3.0))] {
                    let lost = || loss(server, signal, rest).listed();
                    check(lost(), Cause::MiddleboxReset, High);
                    check(lost().proxied().killed(7), Cause::MiddleboxReset, High);
                    check(lost().with(|e| e.before.identity = None), Cause::MiddleboxReset, Low);
                    unknown(lost().with(|e| e.thread = Thread::ListedOnce).with(|e| e.wait_timeout = None));
                }
            }
        }
    }

    #[test]
    fn a_proxys_idle_timeout_is_unknown_at_first_and_named_once_it_is_known() {
        for server in EVERY_SERVER {
            let first = || loss(server, Signal::Fin, watched(7.01)).proxied();
            unknown(first());
            check(first().with(|e| e.watched_ages = vec![s(3.0), s(7.0)]), Cause::MiddleboxReset, High);
            unknown(first().with(|e| e.watched_ages = vec![s(6.5)]));
            check(first().limit(7.0), Cause::MiddleboxReset, High);
            unknown(first().limit(7.6));
            // At a known limit a KILL elsewhere says little.
            check(first().limit(7.0).killed(1), Cause::MiddleboxReset, Low);
            check(first().limit(7.0).with(|e| e.kills = None), Cause::MiddleboxReset, Low);
            // The query's own rest counts for a proxy.
            check(loss(server, Signal::Fin, Rest::Busy(s(7.0))).proxied().limit(7.0), Cause::MiddleboxReset, High);
        }
    }

    #[test]
    fn a_pools_loss_beyond_the_paths_limit() {
        for server in EVERY_SERVER {
            let lost = |rest| loss(server, Signal::Fin, up_to(rest)).proxied().limit(7.0);
            check(lost(10.0), Cause::MiddleboxReset, High);
            check(lost(240.0), Cause::MiddleboxReset, High);
            unknown(lost(6.0));
            unknown(lost(6.0).with(|e| e.watched_ages = vec![s(6.0)]));
            check(lost(10.0).killed(1), Cause::MiddleboxReset, Low);
            check(lost(6.0).killed(1), Cause::Killed, High);
        }
    }

    #[test]
    fn a_proxy_that_is_killed_takes_all_with_it() {
        for server in EVERY_SERVER {
            let lost = || loss(server, Signal::Fin, up_to(3.0)).together(3).attempts(&[REFUSED, Fresh::Good]);
            check(lost().proxied(), Cause::MiddleboxReset, High);
            check(lost().proxied().killed(1), Cause::MiddleboxReset, Low);
            check(lost().proxied().killed(3), Cause::Killed, High);
            unknown(lost());
            unknown(lost().with(|e| e.path = Path::Unknown));
            unknown(lost().proxied().with(|e| e.kills = None));
            // A restart of the server and one of the proxy look alike when nobody can be named.
            unknown(lost().proxied().with(|e| e.after = Some(Incarnation::default())));
        }
    }

    #[test]
    fn a_single_close_that_nothing_explains() {
        for server in EVERY_SERVER {
            for path in [Path::Unknown, Path::Direct, Path::Proxied] {
                unknown(loss(server, Signal::Fin, watched(3.0)).with(|e| e.path = path));
            }
        }
    }
}

#[test]
fn a_stalled_client_is_asked_for_before_all_others() {
    let stalled = |e: &mut Evidence| e.lateness = s(3.1);
    check(loss(NEW_MYSQL, Signal::ErrPacket, watched(W)).errno(4031).with(stalled), Cause::ClientStall, High);
    check(loss(MARIADB, Signal::Timeout, up_to(60.0)).away(NO_GREETING).with(stalled), Cause::ClientStall, High);
    check(Evidence::new(Signal::Fin, watched(1.0), s(3.0)).with(stalled), Cause::ClientStall, High);
    unknown(loss(MARIADB, Signal::Fin, watched(3.0)).with(|e| e.lateness = s(3.0)));
}

mod of_any_evidence {
    use std::collections::HashSet;

    use super::*;

    fn one_of<T: Clone>(random: &mut fastrand::Rng, all: &[T]) -> T {
        all[random.usize(..all.len())].clone()
    }

    /// Evidence at random, of values that matter.
    fn any(random: &mut fastrand::Rng) -> Evidence {
        let rests = [watched(W), watched(7.0), watched(3.0), up_to(3.0), up_to(240.0), Rest::Busy(s(7.0))];
        let rest = one_of(random, &rests);
        let mut evidence = Evidence::new(one_of(random, &Signal::ALL), rest, s(3.0));
        let errnos =
            [None, None, None, None, None, Some(4031), Some(1153), Some(3032), Some(1053), Some(1927), Some(1158)];
        evidence.errno = one_of(random, &errnos);
        evidence.sending = one_of(random, &[None, None, Some(64 << 20)]);
        evidence.lateness = one_of(random, &[s(0.0), s(0.0), s(0.0), s(0.0), s(4.0)]);
        evidence.server = one_of(random, &[None, Some(NEW_MYSQL), Some(OLD_MYSQL), Some(MARIADB)]);
        evidence.wait_timeout = one_of(random, &[None, Some(s(W)), Some(s(W))]);
        let limited = Transaction::Limited(s(7.0));
        evidence.transaction = one_of(random, &[Transaction::Unknown, Transaction::None, Transaction::Open, limited]);
        evidence.max_allowed_packet = one_of(random, &[None, Some(16 << 20)]);
        evidence.opened_ago = one_of(random, &[None, Some(s(300.0)), Some(s(300.0))]);
        evidence.before = one_of(random, &[Incarnation::default(), incarnation("a", 5000.0), incarnation("a", 5000.0)]);
        let nameless = Incarnation { identity: None, began_ago: Some(s(5000.0)) };
        let (same, anew, other) = (incarnation("a", 5000.0), incarnation("a", 3.0), incarnation("b", 5000.0));
        evidence.after =
            one_of(random, &[None, Some(nameless), Some(same.clone()), Some(same), Some(anew), Some(other)]);
        evidence.several_identities = random.u8(..4) == 0;
        evidence.old_identity_answers = one_of(random, &[None, Some(true), Some(false)]);
        evidence.thread =
            one_of(random, &[Thread::NotAsked, Thread::ListedOnce, Thread::Listed, Thread::Gone, Thread::Gone]);
        let kills = |moved, always_moving| Some(Kills { moved, always_moving });
        evidence.kills = one_of(random, &[None, kills(0, false), kills(1, false), kills(9, true)]);
        evidence.lost_at_once = one_of(random, &[1, 1, 3]);
        evidence.watched_ages = one_of(random, &[vec![], vec![s(7.1)]]);
        for _ in 0..random.u8(..3) {
            let attempts =
                [Fresh::Good, Fresh::Good, REFUSED, DROPPED, NO_GREETING, IS_OFFLINE, DENIED, Fresh::LateGreeting];
            evidence.fresh.note(one_of(random, &attempts));
        }
        evidence.acknowledged = one_of(random, &[None, Some(true), Some(false)]);
        evidence.path = one_of(random, &[Path::Unknown, Path::Direct, Path::Proxied]);
        if random.bool() {
            evidence = evidence.limit(7.0);
        } else if random.bool() {
            evidence = evidence.survived(60.0);
        }
        evidence.away_for = one_of(random, &[s(0.0), s(400.0)]);
        evidence
    }

    /// What a cause needs when no error packet names it: without any of these it is never sure.
    fn needs(cause: Cause) -> &'static [fn(&mut Evidence)] {
        const NAMED: &[fn(&mut Evidence)] = &[
            |e| e.before.identity = None,
            |e| e.after = e.after.take().map(|after| Incarnation { identity: None, ..after }),
        ];
        match cause {
            Cause::WaitTimeout | Cause::IdleTransactionTimeout => &[
                |e| e.before.identity = None,
                |e| e.after = None,
                |e| e.opened_ago = None,
                |e| e.thread = Thread::NotAsked,
                |e| e.server = None,
                |e| e.wait_timeout = None,
                |e| e.transaction = Transaction::Unknown,
            ],
            Cause::Killed => &[
                |e| e.before.identity = None,
                |e| e.after = None,
                |e| e.opened_ago = None,
                |e| e.thread = Thread::NotAsked,
                |e| e.kills = None,
            ],
            Cause::Failover => &[|e| e.old_identity_answers = None, |e| e.before.identity = None, |e| e.after = None],
            Cause::MiddleboxReset | Cause::MiddleboxSilent => {
                &[|e| e.thread = Thread::NotAsked, |e| e.before.identity = None, |e| e.after = None]
            }
            Cause::ServerRestart => NAMED,
            Cause::ServerFrozen => &[|e| e.fresh = Attempts::default()],
            Cause::Network => &[|e| e.fresh = Attempts::default()],
            Cause::ServerDown => &[|e| e.path = Path::Unknown, |e| e.fresh = Attempts::default()],
            Cause::PacketTooLarge => &[|e| e.max_allowed_packet = None, |e| e.sending = None],
            Cause::Offline => &[|e| e.fresh = Attempts::default()],
            Cause::Tls | Cause::Protocol | Cause::ClientStall | Cause::Unknown => &[],
        }
    }

    #[test]
    fn missing_evidence_never_makes_sure() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut sure = HashSet::new();
        for _ in 0..300_000 {
            let evidence = any(&mut random);
            let Verdict::Decided { cause, confidence: High } = judge(&evidence) else { continue };
            // The lost 4031 needs less than the rest of its kind, and the error packet nothing.
            if evidence.errno.is_some() || (cause == Cause::WaitTimeout && evidence.signal == Signal::OutOfSync) {
                continue;
            }
            sure.insert(cause);
            for (index, without) in needs(cause).iter().enumerate() {
                // An idle timeout of a transaction has another limit.
                if cause == Cause::IdleTransactionTimeout && index == 5 {
                    continue;
                }
                let less = evidence.clone().with(without);
                let verdict = judge(&less);
                assert_ne!(verdict, Verdict::Decided { cause, confidence: High }, "need {index}: {less:#?}");
            }
        }
        let named = Cause::ALL.iter().filter(|cause| **cause != Cause::Unknown);
        let missing: Vec<_> = named.filter(|cause| !sure.contains(cause)).collect();
        assert!(missing.is_empty(), "never sure: {missing:?}");
    }

    #[test]
    fn every_cause_is_reached_and_unknown_is_never_sure() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut reached = HashSet::new();
        for _ in 0..100_000 {
            if let Verdict::Decided { cause, confidence } = judge(&any(&mut random)) {
                assert!(cause != Cause::Unknown || confidence == Low);
                reached.insert(cause);
            }
        }
        let missing: Vec<_> = Cause::ALL.iter().filter(|cause| !reached.contains(cause)).collect();
        assert!(missing.is_empty(), "never reached: {missing:?}");
    }

    #[test]
    fn nothing_is_provisional_once_it_was_asked_or_given_up() {
        let mut random = fastrand::Rng::with_seed(13);
        let mut waited = 0;
        for _ in 0..100_000 {
            let evidence = any(&mut random);
            if judge(&evidence) == Verdict::Provisional {
                waited += 1;
                assert!(evidence.after.is_none() && evidence.away_for < evidence.give_up, "{evidence:#?}");
                assert_ne!(judge(&evidence.clone().for_long()), Verdict::Provisional);
            }
        }
        assert!(waited > 1000, "{waited}");
    }

    #[test]
    fn a_stall_is_always_a_stall() {
        let mut random = fastrand::Rng::with_seed(17);
        for _ in 0..20_000 {
            let evidence = any(&mut random).with(|e| e.lateness = s(9.0));
            assert_eq!(judge(&evidence), Verdict::Decided { cause: Cause::ClientStall, confidence: High });
        }
    }
}
