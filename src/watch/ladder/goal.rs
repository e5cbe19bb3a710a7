//! Which age is worth testing next: a pure function of what is known and of what is being tested already.

use std::time::Duration;

use super::settings::Settings;

/// What the next tests are to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Nothing: the limit is known well enough, or there is none as far as we look.
    Nothing,
    /// Whether there is a limit up to an age at all, by the ages that are known from middleboxes.
    Climb { above: Duration, up_to: Duration },
    /// Where between two ages the limit lies.
    Narrow { above: Duration, below: Duration },
    /// Whether a rest of this age is fatal a second time, and that of the other age survived.
    Repeat { fatal: Duration, survived: Duration },
    /// Whether a connection can live beyond the age at which one was ended before our eyes.
    Pass { beyond: Duration },
    /// Whether these ages still end as they did.
    Check(Vec<Duration>),
}

impl Goal {
    /// The age for a canary that is free, where `taken` are the ages that others test, and `free` canaries are to be
    /// given one.
    pub(super) fn next_age(&self, taken: &[Duration], free: usize, settings: &Settings) -> Option<Duration> {
        let untaken = |age: &Duration| !taken.contains(age);
        match self {
            Goal::Nothing => None,
            Goal::Pass { beyond } => Some(*beyond),
            Goal::Check(ages) => ages.iter().copied().find(untaken),
            Goal::Repeat { fatal, survived } => {
                [*fatal, *survived].into_iter().filter(|age| !age.is_zero()).find(untaken)
            }
            Goal::Climb { above, up_to } => rungs(*up_to, settings).into_iter().filter(|age| age > above).find(untaken),
            Goal::Narrow { above, below } => {
                let near = |bound| settings.resolution(bound) / 2;
                let (from, to) = (*above + near(*above), below.saturating_sub(near(*below)));
                let known = settings.ages.iter().copied().filter(|age| from < *age && *age < to);
                known.into_iter().find(untaken).or_else(|| Some(between(*above, *below, taken, free)))
            }
        }
    }

    /// Whether a test of this age, planned for an earlier goal, still serves this one.
    pub(super) fn is_served_by(&self, age: Duration) -> bool {
        match self {
            Goal::Nothing => false,
            Goal::Pass { beyond } => age == *beyond,
            Goal::Check(ages) => ages.contains(&age),
            Goal::Repeat { fatal, survived } => age == *fatal || age == *survived,
            Goal::Climb { above, up_to } => *above < age && age <= *up_to,
            Goal::Narrow { above, below } => *above < age && age < *below,
        }
    }
}

// The settings' ages below the end, twice the last one and so on, and the end. What comes too close to the end to
// tell anything else is left out.
fn rungs(end: Duration, settings: &Settings) -> Vec<Duration> {
    let last_but_end = end.saturating_sub(settings.resolution(end));
    let mut rungs: Vec<Duration> = settings.ages.iter().copied().filter(|age| *age < last_but_end).collect();
    if rungs.len() == settings.ages.len()
        && let Some(mut last) = rungs.last().copied().filter(|last| !last.is_zero())
    {
        while last * 2 < last_but_end {
            last *= 2;
            rungs.push(last);
        }
    }
    rungs.push(end);
    rungs
}

// The first of the ages that divide the widest gap evenly among those who are free.
fn between(above: Duration, below: Duration, taken: &[Duration], free: usize) -> Duration {
    let mut points = vec![above, below];
    points.extend(taken.iter().copied().filter(|age| above < *age && *age < below));
    points.sort();
    let gaps = points.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
    // Of equal ones the lower: it takes less time.
    let (width, from) = gaps.rev().max_by_key(|(width, _)| *width).unwrap_or((below - above, above));
    from + width / (free.max(1) as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(ages: &[u64]) -> Vec<Duration> {
        ages.iter().copied().map(Duration::from_secs).collect()
    }

    fn ages(goal: &Goal, taken: &[u64], free: usize) -> Vec<u64> {
        let mut taken = seconds(taken);
        let mut found = Vec::new();
        for left in (1..=free).rev() {
            let Some(age) = goal.next_age(&taken, left, &Settings::default()) else { break };
            found.push(age.as_secs());
            taken.push(age);
        }
        found
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_search_climbs_the_known_limits_up_to_its_end() {
        let climb = |above, up_to| Goal::Climb { above: s(above), up_to: s(up_to) };
        assert_eq!(ages(&climb(0, 3600), &[], 2), [50, 110]);
        assert_eq!(ages(&climb(50, 3600), &[110], 1), [225]);
        assert_eq!(ages(&climb(890, 3600), &[1790], 2), [3600]);
        assert_eq!(ages(&climb(0, 28800), &[50, 110], 20).last(), Some(&28800));
        assert_eq!(ages(&climb(1790, 28800), &[], 9), [3590, 7180, 14360, 28800]);
        assert_eq!(ages(&climb(0, 11), &[], 2), [11]);
    }

    #[test]
    fn between_two_bounds_the_known_limits_come_first_and_then_equal_parts() {
        let narrow = |above, below| Goal::Narrow { above: s(above), below: s(below) };
        assert_eq!(ages(&narrow(0, 3600), &[], 3), [50, 110, 225]);
        assert_eq!(ages(&narrow(360, 590), &[], 2), [436, 513]);
        assert_eq!(ages(&narrow(600, 900), &[700], 1), [800]);
        assert_eq!(ages(&narrow(600, 900), &[750], 1), [675]);
    }

    #[test]
    fn a_plan_is_kept_as_long_as_it_tells_something() {
        let goal = Goal::Narrow { above: s(340), below: s(590) };
        for (age, serves) in [(340, false), (341, true), (589, true), (590, false)] {
            assert_eq!(goal.is_served_by(s(age)), serves, "{age}");
        }
        assert!(!Goal::Nothing.is_served_by(s(1)));
    }

    #[test]
    fn a_death_is_repeated_beside_a_survival() {
        let goal = Goal::Repeat { fatal: s(360), survived: s(350) };
        assert_eq!(ages(&goal, &[], 3), [360, 350]);
        assert_eq!(ages(&Goal::Repeat { fatal: s(5), survived: s(0) }, &[], 2), [5]);
    }
}
