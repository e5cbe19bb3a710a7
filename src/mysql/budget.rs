//! How many connections we hold to one server, and for what.
//!
//! A place is taken before a connection is opened and given back when it is gone, so the sum over all purposes
//! can never exceed the limit. Some purposes have a place of their own: it is never waited for. Who finds no place may
//! wait for one to be given back, and then has to try again: places are not handed on in a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What a connection is for; the label of `mysql_conn_exporter_connections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    Probe,
    Evidence,
    Canary,
    Pool,
    OnDemand,
}

impl Purpose {
    pub const ALL: [Purpose; 5] =
        [Purpose::Probe, Purpose::Evidence, Purpose::Canary, Purpose::Pool, Purpose::OnDemand];

    pub fn label(self) -> &'static str {
        match self {
            Purpose::Probe => "probe",
            Purpose::Evidence => "evidence",
            Purpose::Canary => "canary",
            Purpose::Pool => "pool",
            Purpose::OnDemand => "on_demand",
        }
    }
}

/// The places of one target.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: u32,
    reserved: &'static [Purpose],
    held: [AtomicU32; Purpose::ALL.len()],
    total: AtomicU32,
    freed: Notify,
}

/// A place in the budget; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    purpose: Purpose,
}

impl Budget {
    /// A budget of `limit` connections, one of which is the probe's.
    pub fn new(limit: u32) -> Budget {
        Budget::reserving(limit, &[Purpose::Probe])
    }

    /// A budget of `limit` connections, with one for each of these purposes that no other gets.
    pub fn reserving(limit: u32, reserved: &'static [Purpose]) -> Budget {
        let (held, total, freed) = (Default::default(), AtomicU32::new(0), Notify::new());
        Budget { inner: Arc::new(Inner { limit, reserved, held, total, freed }) }
    }

    pub fn limit(&self) -> u32 {
        self.inner.limit
    }

    /// A place, if one is free and not kept for another purpose.
    pub fn take(&self, purpose: Purpose) -> Option<Place> {
        let is_kept = |other: &&Purpose| **other != purpose && self.held(**other) == 0;
        let kept = self.inner.reserved.iter().filter(is_kept).count() as u32;
        let taken = self.inner.total.try_update(Ordering::AcqRel, Ordering::Acquire, |total| {
            (total + kept < self.inner.limit).then_some(total + 1)
        });
        taken.ok()?;
        self.inner.held[purpose as usize].fetch_add(1, Ordering::AcqRel);
        Some(Place { inner: self.inner.clone(), purpose })
    }

    /// Ends when a place is given back, from the call on: call it, try to take a place, and await it if there is none.
    pub fn freed(&self) -> Notified<'_> {
        self.inner.freed.notified()
    }

    /// Connections held for a purpose now.
    pub fn held(&self, purpose: Purpose) -> u32 {
        self.inner.held[purpose as usize].load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.held[self.purpose as usize].fetch_sub(1, Ordering::AcqRel);
        self.inner.total.fetch_sub(1, Ordering::AcqRel);
        self.inner.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_never_exceeded_and_the_probe_always_has_its_place() {
        let budget = Budget::new(3);
        let pool: Vec<Place> = std::iter::from_fn(|| budget.take(Purpose::Pool)).collect();
        assert_eq!(pool.len(), 2);
        let probe = budget.take(Purpose::Probe).expect("the probe's place is kept");
        assert!(budget.take(Purpose::Probe).is_none());
        assert_eq!((budget.held(Purpose::Pool), budget.held(Purpose::Probe)), (2, 1));
        drop(pool);
        drop(probe);
        assert_eq!((budget.held(Purpose::Pool), budget.held(Purpose::Probe)), (0, 0));
    }

    #[test]
    fn each_reserved_purpose_has_its_place() {
        let budget = Budget::reserving(4, &[Purpose::Probe, Purpose::Evidence]);
        let pool: Vec<Place> = std::iter::from_fn(|| budget.take(Purpose::Pool)).collect();
        assert_eq!(pool.len(), 2);
        let evidence = budget.take(Purpose::Evidence);
        assert!(
            evidence.is_some() && budget.take(Purpose::Evidence).is_none() && budget.take(Purpose::Canary).is_none()
        );
        assert!(budget.take(Purpose::Probe).is_some());
    }

    #[tokio::test]
    async fn a_place_given_back_between_the_try_and_the_wait_is_not_missed() {
        let budget = Budget::new(2);
        let place = budget.take(Purpose::Pool);
        let freed = budget.freed();
        assert!(budget.take(Purpose::Pool).is_none());
        drop(place);
        freed.await;
        assert!(budget.take(Purpose::Pool).is_some());
    }
}
