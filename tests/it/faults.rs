//! Every way of losing a connection, for real: the program, real servers, HAProxy, and a network of our own.
//!
//! Each fault has a world to itself. What is expected is one cause; all others must stay where they are. Every fault
//! runs on one of the servers in turn, and on all of them where `GONEAWAY_TEST_LONG` is set; `GONEAWAY_TEST_FAULT`
//! chooses those whose name has it in it.

mod world;

use std::fmt::Write;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use self::world::{World, lost_by};
use super::servers::Kind;

/// One way of losing connections.
#[derive(Clone, Debug)]
struct Fault {
    name: &'static str,
    strike: Strike,
    expected: &'static str,
    within: Duration,
    /// For the `[mysqld]` section.
    server: &'static [&'static str],
    way: Way,
    /// The verdict needs to know the path's limit: until then `unknown` is the honest answer.
    learns: bool,
    has_ladder: bool,
    pool: &'static str,
    only: fn(Kind) -> bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    /// Through HAProxy with these timeouts in milliseconds: client, server.
    Proxied(u32, u32),
    /// By a name that can be pointed elsewhere.
    Named,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    /// Resting is enough.
    None,
    Kill,
    Restart,
    Crash,
    ShutdownForGood,
    Freeze,
    ProxyKilled,
    /// The firewall has lost its state: what we send is answered with a reset.
    StateLostReset,
    /// The same, and nothing is answered.
    StateLostSilent,
    RouteLost,
    Offline,
    Failover,
}

const A_POOL: &str = "exercise: {busy: 200ms, rests: [2s, 3s]}";
/// Above the limits of three seconds that some worlds have.
const LONG_RESTS: &str = "exercise: {busy: 200ms, rests: [4500ms, 5s]}";

fn any(_: Kind) -> bool {
    true
}

fn fault(name: &'static str, strike: Strike, expected: &'static str) -> Fault {
    Fault {
        name,
        strike,
        expected,
        within: Duration::from_secs(10),
        server: &[],
        way: Way::Direct,
        learns: false,
        has_ladder: false,
        pool: A_POOL,
        only: any,
    }
}

fn faults() -> Vec<Fault> {
    use Strike::*;
    let resting = |name, expected| Fault { pool: LONG_RESTS, ..fault(name, None, expected) };
    let transaction =
        "reset_on_return: none\n        exercise: {statement: START TRANSACTION, busy: 200ms, rests: [4500ms]}";
    vec![
        Fault { server: &["wait_timeout=3"], ..resting("wait_timeout", "wait_timeout") },
        Fault {
            server: &["wait_timeout=3"],
            way: Way::Proxied(60_000, 60_000),
            learns: true,
            has_ladder: true,
            ..resting("wait_timeout, proxied", "wait_timeout")
        },
        Fault {
            server: &["idle_transaction_timeout=3"],
            pool: transaction,
            only: Kind::is_mariadb,
            ..fault("idle transaction", None, "idle_transaction_timeout")
        },
        fault("KILL", Kill, "killed"),
        Fault { way: Way::Proxied(60_000, 60_000), ..fault("KILL, proxied", Kill, "killed") },
        fault("restart", Restart, "server_restart"),
        fault("crash", Crash, "server_restart"),
        Fault { within: Duration::from_secs(15), ..fault("shutdown for good", ShutdownForGood, "server_down") },
        fault("freeze", Freeze, "server_frozen"),
        Fault {
            way: Way::Proxied(3_000, 60_000),
            learns: true,
            has_ladder: true,
            within: Duration::from_secs(45),
            ..resting("HAProxy timeout client", "middlebox_reset")
        },
        Fault {
            way: Way::Proxied(60_000, 3_000),
            learns: true,
            has_ladder: true,
            within: Duration::from_secs(45),
            ..resting("HAProxy timeout server", "middlebox_reset")
        },
        Fault {
            way: Way::Proxied(60_000, 60_000),
            has_ladder: true,
            ..fault("HAProxy killed", ProxyKilled, "middlebox_reset")
        },
        fault("firewall state lost, reset", StateLostReset, "middlebox_reset"),
        fault("firewall state lost, silent", StateLostSilent, "middlebox_silent"),
        Fault { within: Duration::from_secs(20), ..fault("route lost", RouteLost, "network") },
        Fault {
            server: &["max_allowed_packet=64K"],
            pool: "exercise: {statement: LARGE, busy: 500ms, rests: [2s]}",
            ..fault("1153", None, "packet_too_large")
        },
        Fault { only: |kind| !kind.is_mariadb(), ..fault("offline mode", Offline, "offline") },
        Fault { way: Way::Named, ..fault("failover", Failover, "failover") },
    ]
}

/// What came of one.
struct Outcome {
    name: &'static str,
    version: String,
    expected: &'static str,
    got: String,
    confidence: String,
    took: Duration,
    is_good: bool,
    why: String,
}

#[tokio::test]
async fn each_fault_ends_in_its_cause_and_no_other() {
    let long = std::env::var_os("GONEAWAY_TEST_LONG").is_some();
    let wanted = std::env::var("GONEAWAY_TEST_FAULT").unwrap_or_default();
    let mut trials = Vec::new();
    for (number, fault) in faults().into_iter().enumerate().filter(|(_, fault)| fault.name.contains(&wanted)) {
        let on: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| (fault.only)(*kind)).collect();
        let chosen = if long { on } else { vec![on[number % on.len()]] };
        trials.extend(chosen.into_iter().map(|kind| (fault.clone(), kind)));
    }
    let mut waiting = trials.into_iter();
    let mut running = FuturesUnordered::new();
    let mut outcomes = Vec::new();
    loop {
        // Few at a time: a machine that is busy starting servers loses connections by itself.
        while running.len() < 4
            && let Some((fault, kind)) = waiting.next()
        {
            running.push(trial(fault, kind));
        }
        match running.next().await {
            Some(Some(outcome)) => outcomes.push(outcome),
            Some(None) => return,
            None => break,
        }
    }
    let mut matrix = String::new();
    for outcome in &outcomes {
        let Outcome { name, version, expected, got, confidence, took, is_good, why } = outcome;
        let verdict = if *is_good { "good" } else { "WRONG" };
        let took = took.as_secs_f64();
        writeln!(
            matrix,
            "{name:28} {version:24} expected {expected:24} got {got:24} {confidence:5} {took:5.1} s {verdict} {why}"
        )
        .expect("a String takes it");
    }
    println!("{matrix}");
    assert!(!outcomes.is_empty(), "no fault is called {wanted}");
    assert!(outcomes.iter().all(|outcome| outcome.is_good), "\n{matrix}");
}

/// Brings a fault about and waits for its verdict; none where there can be no such world.
async fn trial(fault: Fault, kind: Kind) -> Option<Outcome> {
    let mut world = World::build(&fault, kind).await?;
    let (mut unknown_before, mut others) = (0.0, Vec::new());
    if fault.learns {
        others = world.learn(fault.expected, Duration::from_secs(40)).await;
        unknown_before = world.lost().await.values().sum();
    }
    let before = world.lost().await;
    let began = Instant::now();
    world.strike(fault.strike).await;
    let (mut got, mut took) = (0.0, began.elapsed());
    while began.elapsed() < fault.within {
        let now = world.lost().await;
        got = lost_by(&now, &before, |cause| cause == fault.expected);
        if got > 0.0 {
            took = began.elapsed();
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What else is lost has its verdict by now, too.
    world.settle(Duration::from_secs(8)).await;
    let now = world.lost().await;
    let events = world.daemon.events("lost").await;
    for cause in now.keys().filter(|cause| **cause != fault.expected) {
        let moved = lost_by(&now, &before, |other| other == cause);
        // MySQL may tell one statement that it shuts down (1053), which is a verdict by itself.
        let is_told = |event: &serde_json::Value| event["cause"] != cause.as_str() || event["errno"] == 1053;
        if moved > 0.0 && !(fault.strike == Strike::ShutdownForGood && events.iter().all(is_told)) {
            others.push(format!("{cause} +{moved}"));
        }
    }
    let of_it = events.iter().rev().find(|event| event["cause"] == fault.expected);
    let confidence = of_it.and_then(|event| event["confidence"].as_str()).unwrap_or("").to_owned();
    let is_good = got > 0.0 && others.is_empty();
    let mut why = String::new();
    if fault.learns {
        write!(why, "(lost while it learned: {unknown_before})").expect("a String takes it");
    }
    if !is_good {
        write!(why, "others: {others:?}\n{events:#?}\n{:#?}", world.daemon.log()).expect("a String takes it");
    }
    let version = world.server.version.clone();
    let got = if got > 0.0 { fault.expected.to_owned() } else { "nothing".to_owned() };
    Some(Outcome { name: fault.name, version, expected: fault.expected, got, confidence, took, is_good, why })
}
