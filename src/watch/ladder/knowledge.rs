//! What survivals and deaths say together: the bounds, and the deaths that are not yet confirmed.
//!
//! A survival is believed at once: it was pinged and it answered. A death is believed when a second one came at the
//! same age at another time; one by silence also when a rest that is shorter by no more than the resolution was
//! survived in the same round. Until then it steers the search and is not published. A survival of more than its age
//! refutes it: whatever ended that connection, it was not idleness.

use std::time::Duration;

use tokio::time::Instant;

use super::bounds::Bounds;
use super::canary::{CanaryId, Role};
use super::goal::Goal;
use super::settings::Settings;
use crate::mysql::signal::Signal;

/// A connection that ended after a rest, or did not answer, while the control was well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) id: CanaryId,
    pub(super) role: Role,
    pub(super) age: Duration,
    pub(super) at: Instant,
    pub(super) signal: Signal,
    /// Ended before our eyes at this age; else it was found dead, and died somewhen before.
    pub(super) seen: bool,
}

/// What became of a death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Idleness ended it.
    Lost(Death),
    /// Something else did.
    Void(Death),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Knowledge {
    bounds: Bounds,
    /// Unconfirmed, lowest age first.
    deaths: Vec<(Death, u32)>,
    round: u32,
    survived_in_round: Duration,
    checks: Vec<Duration>,
}

impl Knowledge {
    pub(super) fn new(bounds: Bounds) -> Knowledge {
        Knowledge { bounds, ..Knowledge::default() }
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whatever cuts here was only ever seen to cut in silence: to watch for it is of no use.
    pub(super) fn cuts_in_silence(&self) -> bool {
        self.deaths.first().is_some_and(|(death, _)| !death.seen)
    }

    pub(super) fn goal(&self, stop: Duration, settings: &Settings) -> Goal {
        if let Some((death, _)) = self.deaths.first() {
            let above = self.survived_below(death.age);
            let resolution = settings.resolution(death.age);
            return match death.seen {
                true => Goal::Pass { beyond: death.age + resolution },
                false if death.age - above > resolution => Goal::Narrow { above, below: death.age },
                false => Goal::Repeat { fatal: death.age, survived: above },
            };
        }
        if !self.checks.is_empty() {
            return Goal::Check(self.checks.clone());
        }
        let above = self.bounds.survived;
        match self.bounds.lost {
            Some(below) if below - above > settings.resolution(below) => Goal::Narrow { above, below },
            None if above < stop => Goal::Climb { above, up_to: stop },
            _ => Goal::Nothing,
        }
    }

    /// The bounds may have moved: one test on either side of them, in a round of its own.
    pub(super) fn recheck(&mut self, stop: Duration) {
        self.begin_a_round();
        self.checks = match self.bounds.lost {
            Some(lost) => vec![self.bounds.survived.mul_f64(0.95), lost.mul_f64(1.05)],
            None => vec![stop],
        };
        self.checks.retain(|age| !age.is_zero());
    }

    pub(super) fn survived(&mut self, age: Duration, settings: &Settings) -> Vec<Judged> {
        let refuted = |(death, _): &mut (Death, u32)| death.age <= age;
        let mut judged: Vec<Judged> =
            self.deaths.extract_if(.., refuted).map(|(death, _)| Judged::Void(death)).collect();
        self.survived_in_round = self.survived_in_round.max(age);
        self.bounds.survived = self.bounds.survived.max(age);
        if self.bounds.lost.is_some_and(|lost| lost <= age) {
            // The limit has moved up, or is gone.
            self.bounds.lost = None;
            self.checks.clear();
        }
        self.checks.retain(|check| *check > age);
        judged.extend(self.confirm(settings));
        judged
    }

    pub(super) fn died(&mut self, death: Death, settings: &Settings) -> Vec<Judged> {
        if self.is_explained(&death, settings) {
            self.checks.retain(|check| *check < death.age);
            return vec![Judged::Lost(death)];
        }
        if death.age <= self.survived_in_round {
            // Either it was no idleness, or the limit moved in the middle of the round.
            self.begin_a_round();
        }
        let place = self.deaths.partition_point(|(other, _)| other.age <= death.age);
        self.deaths.insert(place, (death, self.round));
        self.confirm(settings)
    }

    /// An event ended connections: what was seen at the time says nothing, and a new round begins.
    pub(super) fn void(&mut self, now: Instant, settings: &Settings) -> Vec<Judged> {
        self.begin_a_round();
        let fresh = |(death, _): &mut (Death, u32)| now.saturating_duration_since(death.at) < settings.together() * 2;
        self.deaths.extract_if(.., fresh).map(|(death, _)| Judged::Void(death)).collect()
    }

    /// This death was no idleness.
    pub(super) fn explained(&mut self, id: CanaryId) -> Vec<Judged> {
        self.deaths.extract_if(.., |(death, _)| death.id == id).map(|(death, _)| Judged::Void(death)).collect()
    }

    fn begin_a_round(&mut self) {
        self.round += 1;
        self.survived_in_round = Duration::ZERO;
    }

    /// Whether this death and one that came before it were one event: at the same time, at different ages.
    pub(super) fn shares_an_event(&self, death: &Death, settings: &Settings) -> bool {
        self.deaths.iter().any(|(other, _)| one_event(death, other, settings))
    }

    // By the confirmed limit. One that was found dead died anywhere below its age, so only a survival of less than
    // the limit tells it from a limit that has moved down.
    fn is_explained(&self, death: &Death, settings: &Settings) -> bool {
        let Some(lost) = self.bounds.lost else { return false };
        let resolution = settings.resolution(lost);
        match death.seen {
            true => death.age.abs_diff(lost) <= resolution,
            false => death.age >= lost || (death.age > self.bounds.survived && lost - death.age <= resolution),
        }
    }

    // What was survived for certain: longer rests than this death's were survived at another time, when the limit
    // may have been another.
    fn survived_below(&self, age: Duration) -> Duration {
        if self.bounds.survived < age { self.bounds.survived } else { self.survived_in_round }
    }

    fn confirm(&mut self, settings: &Settings) -> Vec<Judged> {
        let mut judged = Vec::new();
        while let Some(confirmed) = self.confirmed(settings) {
            let survived = self.survived_below(confirmed.age);
            self.bounds = Bounds {
                lost: Some(confirmed.age),
                survived: match confirmed.seen {
                    true => survived.max(confirmed.age - settings.margin(confirmed.age)),
                    false => survived,
                },
            };
            self.checks.clear();
            let explained = |(death, _): &mut (Death, u32)| death.age >= confirmed.age;
            judged.extend(self.deaths.extract_if(.., explained).map(|(death, _)| Judged::Lost(death)));
        }
        judged
    }

    fn confirmed(&self, settings: &Settings) -> Option<Death> {
        let survived = self.survived_in_round;
        self.deaths.iter().enumerate().find_map(|(place, (death, round))| {
            let resolution = settings.resolution(death.age);
            let again = |(other, _): &(Death, u32)| {
                other.age - death.age <= resolution && other.at_another_time(death, settings)
            };
            let beside = !death.seen
                && *round == self.round
                && !survived.is_zero()
                && survived < death.age
                && death.age - survived <= resolution;
            (beside || self.deaths[place + 1..].iter().any(again)).then(|| death.clone())
        })
    }
}

impl Death {
    fn at_another_time(&self, other: &Death, settings: &Settings) -> bool {
        apart(self.at, other.at) >= settings.together()
    }
}

/// Two that were ended at the same time, at different ages.
pub(super) fn one_event(one: &Death, other: &Death, settings: &Settings) -> bool {
    one.seen
        && other.seen
        && !one.at_another_time(other, settings)
        && one.age.abs_diff(other.age) >= settings.together()
}

fn apart(one: Instant, other: Instant) -> Duration {
    one.max(other) - one.min(other)
}
