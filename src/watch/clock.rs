//! When a target's jobs run.
//!
//! Probes keep a phase of their own, drawn at random: targets that tick together would open their connections
//! together. Collections follow the scrapers: values are wanted just before somebody looks. `Rhythm` learns when
//! scrapes come, `next_collection` says when to collect. Both are pure: time comes in, time goes out.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many scrapers with phases of their own are served. A third finds data that was made for one of the first two.
const TRAINS: usize = 2;
/// Arrivals remembered in the search for a rhythm; more than that between two beats is no rhythm.
const REMEMBERED: usize = 12;
/// A rhythm that missed this many beats is gone.
const MISSED: u32 = 2;
/// Scrapers are slower than this; what comes faster is a load test.
const SHORTEST_PERIOD: Duration = Duration::from_millis(500);
const LONGEST_PERIOD: Duration = Duration::from_secs(600);

/// When scrapes come: arrivals that repeat at an even distance are a train.
#[derive(Clone, Debug, Default)]
pub struct Rhythm {
    loose: VecDeque<Instant>,
    trains: Vec<Train>,
}

/// One scraper's arrivals.
#[derive(Clone, Copy, Debug)]
struct Train {
    last: Instant,
    period: Duration,
    /// The arrival that the last collection was made for.
    served: Option<Instant>,
}

impl Rhythm {
    /// A scrape arrived.
    pub fn arrived(&mut self, at: Instant) {
        self.trains.retain(|train| at < train.last + train.period * (MISSED + 1));
        if let Some(train) = self.trains.iter_mut().find(|train| train.expects(at)) {
            train.beat(at);
            return;
        }
        if self.trains.len() < TRAINS
            && let Some(period) = self.period_ending_at(at)
        {
            self.trains.push(Train { last: at, period, served: None });
            self.loose.clear();
            return;
        }
        self.loose.push_back(at);
        if self.loose.len() > REMEMBERED {
            self.loose.pop_front();
        }
    }

    /// Three arrivals at the same distance, the last one now.
    fn period_ending_at(&self, at: Instant) -> Option<Duration> {
        for (index, middle) in self.loose.iter().enumerate().rev() {
            let period = at.duration_since(*middle);
            if !(SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&period) {
                continue;
            }
            let tolerance = tolerance(period);
            let first = self.loose.iter().take(index).find(|first| near(**first + period, *middle, tolerance));
            if let Some(first) = first {
                return Some(at.duration_since(*first) / 2);
            }
        }
        None
    }

    /// How often the most frequent scraper comes.
    pub fn shortest(&self) -> Option<Duration> {
        self.trains.iter().map(|train| train.period).min()
    }

    /// Whether a rhythm is known at present.
    pub fn is_locked(&self) -> bool {
        !self.trains.is_empty()
    }
}

impl Train {
    fn expects(&self, at: Instant) -> bool {
        let beats = self.beats_until(at);
        beats > 0 && near(self.last + self.period * beats, at, tolerance(self.period))
    }

    /// The nearest whole number of periods.
    fn beats_until(&self, at: Instant) -> u32 {
        let beats = at.saturating_duration_since(self.last).as_secs_f64() / self.period.as_secs_f64();
        beats.round().min(f64::from(MISSED + 1)) as u32
    }

    fn beat(&mut self, at: Instant) {
        let measured = at.duration_since(self.last) / self.beats_until(at).max(1);
        // Follows a slow drift, and is not thrown by one late scrape.
        self.period = (self.period * 3 + measured) / 4;
        self.last = at;
    }

    /// The last expected arrival in a span.
    fn last_between(&self, from: Instant, to: Instant) -> Option<Instant> {
        let beats = to.checked_duration_since(self.last)?.as_nanos() / self.period.as_nanos().max(1);
        let beats = u32::try_from(beats).unwrap_or(u32::MAX).min(MISSED + 1);
        Some(self.last + self.period * beats).filter(|arrival| beats > 0 && *arrival >= from)
    }

    /// The first expected arrival at or after a moment; none once too many were missed.
    fn next_from(&self, from: Instant) -> Option<Instant> {
        (1..=MISSED + 1).map(|beats| self.last + self.period * beats).find(|arrival| *arrival >= from)
    }
}

fn tolerance(period: Duration) -> Duration {
    (period / 20).clamp(Duration::from_millis(50), Duration::from_millis(500))
}

fn near(a: Instant, b: Instant, tolerance: Duration) -> bool {
    a.max(b).duration_since(a.min(b)) <= tolerance
}

/// How a target collects.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The interval: no value is older, whoever looks.
    pub every: Duration,
    /// How long before an expected scrape a collection starts.
    pub lead: Duration,
}

impl Pace {
    /// Two collections are at least this far apart.
    fn least(&self) -> Duration {
        self.every / 10
    }

    /// When to start the next collection, after one that started at `last`.
    ///
    /// Without a rhythm: an interval later. With one: just before the first expected scrape that has not been served
    /// in this interval. Where that is further away than an interval, collections in between step towards it.
    pub fn next_collection(&self, rhythm: &Rhythm, last: Instant) -> Instant {
        let slack = self.every / 10;
        let latest = last + self.every + slack;
        let wanted = rhythm.trains.iter().filter_map(|train| {
            let after_last = last + self.least() + self.lead;
            // One extra collection an interval is fine: two scrapers half an interval apart look like one that comes
            // twice as often, and a scraper a little faster than the interval finds young data, too.
            let is_alone = rhythm.trains.len() == 1;
            let pause = if is_alone && train.period >= self.every / 2 - slack { self.every / 2 } else { self.every };
            let after_served = train.served.map(|served| served + pause - slack);
            train.next_from(after_served.map_or(after_last, |served| served.max(after_last)))
        });
        let Some(arrival) = wanted.min() else {
            return last + self.every;
        };
        let mut start = arrival - self.lead;
        if start > latest {
            // Too far away. A collection in between is best placed before a scrape, too.
            let between = rhythm
                .trains
                .iter()
                .filter_map(|train| train.last_between(last + self.least() + self.lead, latest + self.lead));
            if let Some(arrival) = between.max() {
                return arrival - self.lead;
            }
            while start > latest {
                start -= self.every;
            }
        }
        start.max(last + self.least())
    }

    /// A collection starts: it serves every scraper that is expected soon after.
    pub fn started(&self, rhythm: &mut Rhythm, at: Instant) {
        for train in &mut rhythm.trains {
            // A little early still counts: the timer's grain, and a scraper that drifts.
            let soon = at + self.lead + self.least();
            if let Some(arrival) = train.next_from(at).filter(|arrival| *arrival <= soon) {
                train.served = Some(arrival);
            }
        }
    }
}

/// How long before a scrape the target with this place in the fleet starts: many targets are spread over the last
/// second (or a quarter of the interval), one alone starts just in time.
pub fn lead(took: Duration, every: Duration, place: usize, of: usize) -> Duration {
    let just_in_time = (took * 3 / 2 + Duration::from_millis(30)).min(every / 4);
    let spread = Duration::from_secs(1).min(every / 4);
    let share = spread.mul_f64(place as f64 / of.max(1) as f64);
    (just_in_time + share).min(every / 2)
}

/// Even ticks from a random start. A tick that nobody could answer is not made up for.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    every: Duration,
    next: Instant,
}

impl Ticks {
    pub fn new(first: Instant, every: Duration) -> Ticks {
        Ticks { every, next: first }
    }

    pub fn next(&self) -> Instant {
        self.next
    }

    /// Takes the tick that is due; returns how late it is. Ticks that were slept through are passed over.
    pub fn take(&mut self, now: Instant) -> Duration {
        let late = now.saturating_duration_since(self.next);
        let passed = (late.as_nanos() / self.every.as_nanos().max(1)) as u32;
        self.next += self.every * (passed + 1);
        late
    }

    /// Moves to another phase: the next tick comes at a random point of the interval that begins now.
    pub fn scatter(&mut self, now: Instant, random: f64) {
        self.next = now + self.every.mul_f64(0.5 + random / 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    /// Runs a target of `every` against scrapes at these moments (seconds); returns the starts of its collections
    /// and the age of the data that each scrape found.
    fn run(every: Duration, mut scrapes: Vec<f64>, until: f64) -> (Vec<f64>, Vec<(f64, f64)>) {
        let zero = Instant::now();
        let seconds = |at: Instant| at.duration_since(zero).as_secs_f64();
        scrapes.sort_by(f64::total_cmp);
        let pace = Pace { every, lead: Duration::from_millis(50) };
        let mut rhythm = Rhythm::default();
        let (mut last, mut starts, mut ages) = (zero, vec![0.0], Vec::new());
        for scrape in scrapes {
            let scrape = zero + Duration::from_secs_f64(scrape);
            loop {
                let next = pace.next_collection(&rhythm, last);
                if next > scrape {
                    break;
                }
                assert!(next > last, "time goes forward");
                pace.started(&mut rhythm, next);
                last = next;
                starts.push(seconds(next));
            }
            ages.push((seconds(scrape), seconds(scrape) - seconds(last)));
            rhythm.arrived(scrape);
        }
        assert!(starts.last().is_some_and(|last| *last <= until));
        (starts, ages)
    }

    fn train(offset: f64, period: f64, count: usize) -> Vec<f64> {
        (0..count).map(|beat| offset + period * beat as f64).collect()
    }

    /// A scraper's beat with the jitter of a busy machine.
    fn jittered(offset: f64, period: f64, count: usize) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(7);
        train(offset, period, count).into_iter().map(|at| at + random.f64() * 0.03).collect()
    }

    fn median(ages: &[(f64, f64)]) -> f64 {
        let mut ages: Vec<f64> = ages.iter().map(|(_, age)| *age).collect();
        ages.sort_by(f64::total_cmp);
        ages[ages.len() / 2]
    }

    #[test]
    fn a_steady_scraper_finds_young_data_after_its_first_five_scrapes() {
        for offset in [0.1, 1.0, 2.5, 4.9] {
            let (starts, ages) = run(EVERY, jittered(offset, 5.0, 24), 125.0);
            assert!(median(&ages[5..]) < 0.2, "offset {offset}: {ages:?}");
            assert!(ages[5..].iter().all(|(_, age)| *age < 0.5), "offset {offset}: {ages:?}");
            assert!(starts.len() <= 26, "{} collections for 24 scrapes", starts.len());
        }
    }

    #[test]
    fn a_scraper_slower_than_the_interval_finds_young_data_and_the_interval_is_kept() {
        for period in [12.0, 15.0, 60.0] {
            let (starts, ages) = run(EVERY, jittered(2.0, period, 20), period * 21.0);
            assert!(ages[5..].iter().all(|(_, age)| *age < 0.5), "period {period}: {ages:?}");
            let gaps = starts.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.fold(0.0, f64::max) <= 5.5, "period {period}: {starts:?}");
            assert!(starts.len() as f64 <= period * 20.0 / 5.0 + 24.0, "period {period}: {}", starts.len());
        }
    }

    #[test]
    fn a_scraper_faster_than_the_interval_costs_no_more_than_the_interval() {
        let (starts, _) = run(Duration::from_secs(15), jittered(0.3, 5.0, 60), 310.0);
        assert!(starts.len() <= 22, "{starts:?}");
    }

    #[test]
    fn a_scraper_a_little_faster_than_the_interval_finds_young_data() {
        let (starts, ages) = run(Duration::from_secs(15), jittered(0.4, 10.0, 40), 410.0);
        assert!(median(&ages[5..]) < 0.2, "{ages:?}");
        assert!(starts.len() <= 45, "{starts:?}");
    }

    #[test]
    fn two_scrapers_cost_at_most_one_extra_collection_an_interval() {
        for offset in [0.7, 1.3, 2.5, 4.0] {
            let mut scrapes = jittered(0.0, 5.0, 40);
            scrapes.extend(train(offset, 5.0, 40));
            let (starts, ages) = run(EVERY, scrapes, 205.0);
            assert!(ages[12..].iter().all(|(_, age)| *age < 0.7), "offset {offset}: {ages:?}");
            for start in &starts {
                let within = starts.iter().filter(|other| (*start..*start + 4.9).contains(*other)).count();
                assert!(within <= 2, "offset {offset}: {within} collections in one interval: {starts:?}");
            }
        }
    }

    #[test]
    fn an_irregular_scraper_finds_data_no_older_than_the_interval() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut at = 0.0;
        let scrapes: Vec<f64> = std::iter::repeat_with(|| {
            at += 0.2 + random.f64() * 13.0;
            at
        })
        .take(200)
        .collect();
        let (_, ages) = run(EVERY, scrapes, 3000.0);
        assert!(ages.iter().all(|(_, age)| *age <= 5.5), "{ages:?}");
    }

    #[test]
    fn a_scraper_that_leaves_is_forgotten() {
        let zero = Instant::now();
        let mut rhythm = Rhythm::default();
        for beat in 0..5 {
            rhythm.arrived(zero + EVERY * beat);
        }
        assert!(rhythm.is_locked());
        rhythm.arrived(zero + EVERY * 9 + Duration::from_secs(2));
        assert!(!rhythm.is_locked());
    }

    #[test]
    fn a_crowd_of_scrapers_is_no_rhythm_of_its_own() {
        let crowd: Vec<f64> = (0..3000).map(|beat| f64::from(beat) * 0.01).collect();
        let (starts, _) = run(EVERY, crowd, 30.0);
        assert!(starts.len() <= 13, "{starts:?}");
    }

    #[test]
    fn ticks_that_were_slept_through_are_passed_over() {
        let zero = Instant::now();
        let mut ticks = Ticks::new(zero, EVERY);
        assert_eq!(ticks.take(zero), Duration::ZERO);
        assert_eq!(ticks.take(zero + Duration::from_secs(17)), Duration::from_secs(12));
        assert_eq!(ticks.next(), zero + Duration::from_secs(20));
    }

    #[test]
    fn many_targets_are_spread_and_one_alone_is_just_in_time() {
        let took = Duration::from_millis(4);
        assert_eq!(lead(took, EVERY, 0, 1), Duration::from_millis(36));
        assert_eq!(lead(took, EVERY, 50, 100), Duration::from_millis(536));
        assert!(lead(Duration::from_secs(9), EVERY, 99, 100) <= EVERY / 2);
    }
}
