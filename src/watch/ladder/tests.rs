//! The ladder on simulated paths: what it finds, in what time, with how many connections, and what it does not fall for.

#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod path;

use std::time::Duration;

use self::path::{Cut, World};
use super::*;

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Limits of seconds instead of minutes: everything a hundredth.
fn quick() -> Settings {
    Settings {
        ages: [1.0, 2.0, 4.0, 8.0, 16.0].map(s).to_vec(),
        cap: s(20.0),
        precision: s(0.25),
        precision_ratio: 0.05,
        stagger: s(0.4),
        settle: s(0.05),
        control_patience: s(5.0),
        retry: s(1.0),
        recheck_every: s(60.0),
    }
}

fn up_to(cap: Duration) -> Settings {
    Settings { cap, ..Settings::default() }
}

const DAY: Duration = Duration::from_secs(86400);
const HOUR: Duration = Duration::from_secs(3600);
const EIGHT_HOURS: Duration = Duration::from_secs(8 * 3600);

/// Runs until the ladder is settled, and prints what it took.
fn find(settings: Settings, cut: Cut, wait_timeout: Duration) -> World {
    let mut world = World::new(settings, cut, wait_timeout);
    world.run_until_settled(14 * DAY);
    let bounds = world.ladder.bounds();
    println!(
        "{cut:?}: ({:.2} s, {:?}] in {:.0} s, {} connections, {} pings, {:?}",
        bounds.survived.as_secs_f64(),
        bounds.lost.map(|lost| lost.as_secs_f64()),
        world.elapsed().as_secs_f64(),
        world.opened,
        world.pings,
        world.ladder.owner(),
    );
    world
}

/// The limit lies between the bounds, which are close together; within this time and number of connections.
#[track_caller]
fn finds(settings: Settings, cut: Cut, within: Duration, connections: usize) {
    let limit = cut.limit().expect("a cut");
    let world = find(settings.clone(), cut, EIGHT_HOURS.max(limit * 3));
    let bounds = world.ladder.bounds();
    let lost = bounds.lost.expect("a limit");
    assert!(bounds.survived < limit && limit <= lost + s(0.01), "{bounds:?}");
    assert!(lost - bounds.survived <= settings.resolution(lost), "{bounds:?}");
    assert_eq!(world.ladder.owner(), Some(Owner::Middlebox));
    assert!(world.elapsed() <= within, "{:?}", world.elapsed());
    assert!(world.opened <= connections, "{} connections", world.opened);
    assert_eq!(world.count(TestResult::Void), 0);
    assert!(world.count(TestResult::Lost) > 0);
    assert_eq!(world.orphans(), 0, "left on the server");
}

#[test]
fn whoever_closes_connections_is_found_exactly() {
    finds(quick(), Cut::Closes(s(7.0)), s(16.0), 5);
    finds(Settings::default(), Cut::Closes(s(7.0)), s(60.0), 5);
    finds(Settings::default(), Cut::Closes(s(37.0)), s(120.0), 5);
    finds(Settings::default(), Cut::Closes(s(350.0)), s(1000.0), 5);
    finds(up_to(DAY), Cut::Closes(s(6.0 * 3600.0)), s(14.0 * 3600.0), 6);
}

#[test]
fn whoever_drops_connections_silently_is_found_between_two_ages() {
    finds(quick(), Cut::Drops(s(5.0)), s(30.0), 11);
    finds(quick(), Cut::Drops(s(9.0)), s(60.0), 12);
    finds(Settings::default(), Cut::Drops(s(37.0)), s(240.0), 10);
    finds(Settings::default(), Cut::Drops(s(350.0)), s(26.0 * 60.0), 11);
    finds(up_to(DAY), Cut::Drops(s(6.0 * 3600.0)), 2 * DAY, 14);
}

#[test]
fn a_reset_at_use_is_found_like_silence() {
    finds(quick(), Cut::ResetsAtUse(s(5.0)), s(30.0), 11);
    finds(Settings::default(), Cut::ResetsAtUse(s(350.0)), s(26.0 * 60.0), 11);
}

#[test]
fn where_nobody_cuts_the_search_ends_at_the_cap() {
    let world = find(Settings::default(), Cut::Never, EIGHT_HOURS);
    assert_eq!(world.ladder.bounds(), Bounds { survived: HOUR, lost: None });
    assert_eq!(world.ladder.owner(), Some(Owner::NoneSeen));
    assert_eq!(world.ladder.safe_lifetime(), Some(s(2880.0)));
    assert!(world.elapsed() < 2 * HOUR && world.opened <= 5, "{:?} {}", world.elapsed(), world.opened);
    assert_eq!(world.count(TestResult::Lost), 0);
    assert_eq!((world.ladder.parked(Role::Watching), world.ladder.parked(Role::Searching)), (1, 0));
}

#[test]
fn where_the_path_outlives_the_servers_own_limit_the_server_is_the_owner() {
    for settings in [quick(), Settings::default()] {
        let world = find(settings, Cut::Never, s(11.0));
        assert_eq!(world.ladder.bounds(), Bounds { survived: s(11.0), lost: None });
        assert_eq!(world.ladder.owner(), Some(Owner::Server));
        assert_eq!(world.ladder.safe_lifetime(), Some(s(5.0)));
    }
}

#[test]
fn a_limit_that_moves_up_is_noticed() {
    for (before, after) in [
        (Cut::Closes(s(37.0)), Cut::Closes(s(350.0))),
        (Cut::Drops(s(350.0)), Cut::Drops(s(600.0))),
        (Cut::Drops(s(100.0)), Cut::Never),
        (Cut::Closes(s(350.0)), Cut::Drops(s(900.0))),
    ] {
        moves(before, after);
    }
}

#[test]
fn a_limit_that_moves_down_is_noticed() {
    for (before, after) in [
        (Cut::Closes(s(350.0)), Cut::Closes(s(37.0))),
        (Cut::Drops(s(600.0)), Cut::Drops(s(350.0))),
        (Cut::Drops(s(600.0)), Cut::Drops(s(37.0))),
        (Cut::Never, Cut::Drops(s(350.0))),
        (Cut::Never, Cut::Closes(s(350.0))),
        (Cut::Closes(s(350.0)), Cut::Drops(s(100.0))),
        (Cut::Never, Cut::Drops(s(9.0))),
    ] {
        moves(before, after);
    }
}

fn moves(before: Cut, after: Cut) {
    let settings = Settings::default();
    let mut world = find(settings.clone(), before, EIGHT_HOURS);
    world.cut = after;
    let found = |world: &World| {
        let bounds = world.ladder.bounds();
        world.ladder.is_settled()
            && match (after.limit(), bounds.lost) {
                (None, None) => bounds.survived == HOUR,
                (Some(limit), Some(lost)) => {
                    bounds.survived < limit
                        && limit <= lost + s(0.01)
                        && lost - bounds.survived <= settings.resolution(lost)
                }
                _ => false,
            }
    };
    let began = world.elapsed();
    world.run(9 * HOUR, found);
    assert!(found(&world), "{before:?} to {after:?}: {:?}", world.ladder.bounds());
    println!("{before:?} to {after:?}: noticed and measured in {:.0} s", (world.elapsed() - began).as_secs_f64());
    world.leave();
    assert_eq!(world.orphans(), 0);
}

#[test]
fn a_known_limit_is_looked_at_every_six_hours_with_two_connections() {
    for cut in [Cut::Closes(s(350.0)), Cut::Drops(s(350.0))] {
        let mut world = find(Settings::default(), cut, EIGHT_HOURS);
        let (bounds, opened) = (world.ladder.bounds(), world.opened);
        world.run(s(24.5 * 3600.0), |world| world.opened > opened + 8);
        assert_eq!(world.ladder.bounds(), bounds, "nothing has moved");
        assert!((6..=8).contains(&(world.opened - opened)), "{}", world.opened - opened);
        assert_eq!(world.count(TestResult::Void), 0);
        assert_eq!(world.orphans(), 0);
    }
}

#[test]
fn without_a_limit_one_connection_goes_on_watching() {
    let mut world = find(Settings::default(), Cut::Never, EIGHT_HOURS);
    let opened = world.opened;
    world.run(DAY, |_| false);
    assert_eq!(world.ladder.bounds(), Bounds { survived: HOUR, lost: None });
    // An hour each, and one more to look again every six hours.
    assert!(world.opened - opened <= 24 + 4, "{}", world.opened - opened);
    assert_eq!(world.count(TestResult::Void), 0);
}

#[test]
fn restarts_move_no_bound() {
    for cut in [Cut::Never, Cut::Closes(s(350.0)), Cut::Drops(s(350.0)), Cut::Drops(s(37.0))] {
        for every in [s(90.0), s(400.0), s(1111.0)] {
            let mut world = World::new(Settings::default(), cut, EIGHT_HOURS);
            for _ in 0..12 {
                let until = world.elapsed() + every;
                world.run(every, |world| world.elapsed() >= until);
                let before = world.ladder.bounds();
                let (parked, voided) = (world.held(), world.count(TestResult::Void));
                world.restart(s(20.0));
                assert_eq!(world.ladder.bounds(), before, "{cut:?}");
                assert!(world.count(TestResult::Void) >= voided + parked, "{cut:?}");
                world.assert_true();
            }
            world.run_until_settled(DAY);
            world.assert_true();
        }
    }
}

#[test]
fn a_proxy_that_cuts_everything_at_once_moves_no_bound() {
    let mut world = World::new(Settings::default(), Cut::Never, EIGHT_HOURS);
    for minutes in [1.0, 2.5, 3.0, 7.0, 20.0] {
        world.run(s(minutes * 60.0), |_| false);
        let before = world.ladder.bounds();
        // The control does not go through the proxy: only their equal time tells.
        world.cut_all();
        world.run(s(30.0), |_| false);
        assert_eq!(world.ladder.bounds().lost, None);
        assert!(world.ladder.bounds().survived >= before.survived);
    }
    world.run_until_settled(DAY);
    assert_eq!(world.ladder.bounds(), Bounds { survived: HOUR, lost: None });
    assert_eq!(world.count(TestResult::Lost), 0);
    assert!(world.count(TestResult::Void) > 5);
}

#[test]
fn a_kill_of_one_canary_is_refuted_and_told_as_a_loss() {
    for role in Role::ALL {
        let mut world = World::new(Settings::default(), Cut::Never, EIGHT_HOURS);
        world.run(s(60.0), |_| false);
        world.cut_one(role);
        world.run_until_settled(DAY);
        assert_eq!(world.ladder.bounds(), Bounds { survived: HOUR, lost: None }, "{role:?}");
        let lost: Vec<_> = world.tested.iter().filter(|tested| tested.signal.is_some()).collect();
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((lost[0].result, lost[0].role), (TestResult::Void, role));
    }
}

#[test]
fn a_server_that_stood_still_has_not_lost_anybody() {
    let mut world = World::new(Settings::default(), Cut::Never, EIGHT_HOURS);
    for seconds in [30.0, 40.0, 80.0, 200.0, 300.0] {
        world.run(s(seconds), |_| false);
        world.freeze(s(37.0));
    }
    world.run_until_settled(DAY);
    assert_eq!(world.ladder.bounds(), Bounds { survived: HOUR, lost: None });
    assert_eq!(world.count(TestResult::Lost), 0);
}

#[test]
fn refused_openings_are_tried_again_ever_more_rarely() {
    let mut world = World::new(Settings::default(), Cut::Drops(s(37.0)), EIGHT_HOURS);
    world.refuses = true;
    world.run(HOUR, |_| false);
    assert!((6..=12).contains(&world.refused), "{} in an hour", world.refused);
    assert!(world.tested.is_empty() && world.held() == 0);
    world.refuses = false;
    world.run_until_settled(HOUR);
    world.assert_true();
}

#[test]
fn a_server_near_its_limit_is_left_alone() {
    let mut world = World::new(Settings::default(), Cut::Drops(s(350.0)), EIGHT_HOURS);
    world.run(s(200.0), |_| false);
    let before = world.ladder.bounds();
    world.tell(Event::Room(false));
    assert_eq!(world.held(), 0);
    let opened = world.opened;
    world.run(HOUR, |_| false);
    assert_eq!((world.opened, world.ladder.bounds()), (opened, before));
    world.tell(Event::Room(true));
    world.run_until_settled(HOUR);
    world.assert_true();
}

#[test]
fn without_a_word_from_the_control_a_death_is_worth_nothing() {
    let mut world = World::new(Settings::default(), Cut::Closes(s(37.0)), EIGHT_HOURS);
    world.run(s(1.0), |_| false);
    world.control_is_mute = true;
    world.run(HOUR, |_| false);
    assert_eq!(world.ladder.bounds().lost, None);
    assert_eq!(world.count(TestResult::Lost), 0);
    assert!(world.count(TestResult::Void) > 0);
}

#[test]
fn nothing_is_opened_before_the_control_lives_and_the_servers_limit_is_known() {
    let now = Instant::now();
    let mut ladder = Ladder::new(quick(), None, now);
    assert_eq!(ladder.on(now, Event::Tick), Step::default());
    assert_eq!(ladder.on(now, Event::WaitTimeout(s(60.0))), Step::default());
    assert_eq!((ladder.due(), ladder.owner(), ladder.safe_lifetime()), (None, Some(Owner::NoneSeen), None));
    let step = ladder.on(now, Event::ControlAnswered { asked: now });
    let open =
        Command::Open { id: CanaryId(0), role: Role::Watching, planned_age: s(20.0), session_wait_timeout: s(90.0) };
    assert_eq!(step.commands, [open]);
}

#[test]
fn what_was_learned_is_not_searched_again() {
    let world = find(Settings::default(), Cut::Drops(s(350.0)), EIGHT_HOURS);
    let learned = world.ladder.learned(world.now());
    assert_eq!(learned.settled_ago, Some(Duration::ZERO));
    let mut again = World::with(Settings::default(), Cut::Drops(s(350.0)), EIGHT_HOURS, Some(learned));
    again.run(s(5.9 * 3600.0), |_| false);
    assert_eq!((again.opened, again.ladder.bounds()), (0, learned.bounds));
    again.run(HOUR, |_| false);
    assert_eq!((again.opened, again.ladder.bounds()), (2, learned.bounds), "looked at again");
}

#[test]
fn a_doubt_brings_the_next_look_forward() {
    let mut world = find(Settings::default(), Cut::Drops(s(600.0)), EIGHT_HOURS);
    world.cut = Cut::Drops(s(350.0));
    world.tell(Event::Doubt);
    world.tell(Event::Doubt);
    world
        .run(HOUR, |world| world.ladder.is_settled() && world.ladder.bounds().lost.is_some_and(|lost| lost < s(400.0)));
    world.assert_true();
}

#[test]
fn the_daemons_end_leaves_no_canary() {
    for at in [5.0, 100.0, 1000.0] {
        let mut world = World::new(Settings::default(), Cut::Never, EIGHT_HOURS);
        world.run(s(at), |_| false);
        assert!(world.held() > 0);
        world.leave();
        assert_eq!((world.held(), world.orphans()), (0, 0));
    }
}
