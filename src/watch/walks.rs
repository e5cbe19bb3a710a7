//! When the collectors that ask beside the rounds are due: each at its own pace, one after the other.

use std::time::Duration;

use tokio::time::Instant;

use crate::collect::Collector;

/// The collectors of one target that ask beside its rounds.
#[derive(Debug)]
pub(super) struct Walks {
    each: Vec<Walk>,
}

#[derive(Debug)]
struct Walk {
    collector: &'static Collector,
    every: Duration,
    due: Instant,
}

impl Walks {
    /// The first ones are due soon, not all at once.
    pub(super) fn new(slow: Vec<(&'static Collector, Duration)>, now: Instant) -> Walks {
        let walk = |(number, (collector, every)): (usize, (&'static Collector, Duration))| {
            let due = now + (FIRST * (number as u32 + 1)).min(every);
            Walk { collector, every, due }
        };
        Walks { each: slow.into_iter().enumerate().map(walk).collect() }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.each.iter().map(|walk| walk.due).min()
    }

    /// The one that is due; it is due again after its interval.
    pub(super) fn take(&mut self, now: Instant) -> Option<&'static Collector> {
        let walk = self.each.iter_mut().filter(|walk| walk.due <= now).min_by_key(|walk| walk.due)?;
        walk.due = now + walk.every;
        Some(walk.collector)
    }

    /// Nobody can be asked now.
    pub(super) fn put_off(&mut self, collector: &Collector, now: Instant) {
        if let Some(walk) = self.each.iter_mut().find(|walk| walk.collector.name == collector.name) {
            walk.due = now + FIRST.min(walk.every);
        }
    }
}

/// Between the first ones, and until one that nobody answered is tried again.
const FIRST: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::COLLECTORS;

    #[test]
    fn each_has_its_own_pace() {
        let zero = Instant::now();
        let second = Duration::from_secs(1);
        let mut walks = Walks::new(vec![(&COLLECTORS[0], second * 60), (&COLLECTORS[1], second * 300)], zero);
        let mut taken = [0, 0];
        for now in (0..=600).map(|after| zero + second * after) {
            while let Some(collector) = walks.take(now) {
                taken[usize::from(collector.name == COLLECTORS[1].name)] += 1;
            }
        }
        assert_eq!(taken, [10, 2]);
        walks.put_off(&COLLECTORS[1], zero + second * 601);
        let then = std::iter::from_fn(|| walks.take(zero + second * 603));
        assert!(then.map(|collector| collector.name).any(|name| name == COLLECTORS[1].name));
    }
}
