//! Live instruments: counters, gauges and histograms of a target, or of the process, kept by the `prometheus` crate.
//!
//! Only here does the crate appear. Its text encoder is not used: it panics on untyped families and knows no
//! OpenMetrics, so what its instruments collect is written into a block like everything else. Nor is its registry,
//! which sorts and copies what a block sorts anyway: half of what it cost to show a target's own families.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{HistogramOpts, Opts};

pub use prometheus::{Counter, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::block::BlockBuilder;
use super::declare::{Family, Kind};

/// The instruments of one owner. No default registry: whoever owns them, holds them.
#[derive(Clone, Default)]
pub struct Instruments {
    members: Arc<Mutex<Vec<Member>>>,
}

struct Member {
    family: &'static Family,
    collector: Box<dyn Collector>,
    /// The bounds of a histogram as they are shown.
    bounds: Vec<String>,
}

impl Instruments {
    pub fn counter(&self, family: &'static Family) -> IntCounter {
        self.register(family, Kind::Counter, IntCounter::with_opts(opts(family)))
    }

    /// A counter of seconds: the only ones that are not whole.
    pub fn seconds_counter(&self, family: &'static Family) -> Counter {
        self.register(family, Kind::Counter, Counter::with_opts(opts(family)))
    }

    pub fn counters(&self, family: &'static Family) -> IntCounterVec {
        self.register(family, Kind::Counter, IntCounterVec::new(opts(family), family.labels))
    }

    pub fn gauge(&self, family: &'static Family) -> Gauge {
        self.register(family, Kind::Gauge, Gauge::with_opts(opts(family)))
    }

    pub fn gauges(&self, family: &'static Family) -> GaugeVec {
        self.register(family, Kind::Gauge, GaugeVec::new(opts(family), family.labels))
    }

    pub fn histogram(&self, family: &'static Family) -> Histogram {
        self.register(family, Kind::Histogram, Histogram::with_opts(histogram_opts(family)))
    }

    pub fn histograms(&self, family: &'static Family) -> HistogramVec {
        self.register(family, Kind::Histogram, HistogramVec::new(histogram_opts(family), family.labels))
    }

    fn register<C: Collector + Clone + 'static>(
        &self,
        family: &'static Family,
        kind: Kind,
        instrument: prometheus::Result<C>,
    ) -> C {
        assert_eq!(family.kind, kind, "{} is declared as another kind", family.name);
        let instrument = instrument.expect("a declared family has valid names; the catalogue's test checks them");
        let bounds = family.buckets.iter().map(|bound| bound_text(*bound)).collect();
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!members.iter().any(|known| known.family.name == family.name), "{} is there already", family.name);
        members.push(Member { family, collector: Box::new(instrument.clone()), bounds });
        instrument
    }

    /// Writes the present values of all of them.
    pub fn write(&self, out: &mut BlockBuilder) {
        for member in self.members.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let kind = member.family.kind;
            let family = out.family(member.family.name, kind, member.family.help());
            let collected = member.collector.collect();
            let mut metrics: Vec<_> = collected.iter().flat_map(|collected| collected.get_metric()).collect();
            // The same order each time, as people expect who compare two scrapes.
            metrics.sort_by(|a, b| {
                let (a, b) = (a.get_label().iter(), b.get_label().iter());
                a.map(|label| label.value()).cmp(b.map(|label| label.value()))
            });
            for metric in metrics {
                let labels: Vec<(&str, &str)> =
                    metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
                match kind {
                    Kind::Counter => out.sample(family, &labels, metric.get_counter().get_value()),
                    Kind::Gauge => out.sample(family, &labels, metric.get_gauge().get_value()),
                    _ => {
                        let histogram = metric.get_histogram();
                        let counts = histogram.get_bucket().iter().map(|bucket| bucket.cumulative_count());
                        out.histogram(
                            family,
                            &labels,
                            member.bounds.iter().map(String::as_str).zip(counts),
                            histogram.get_sample_count(),
                            histogram.get_sample_sum(),
                        );
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        out.debug_list().entries(members.iter().map(|member| member.family.name)).finish()
    }
}

/// OpenMetrics wants `1.0`, and both formats are to hold the same series.
fn bound_text(bound: f64) -> String {
    format!("{bound:?}")
}

fn opts(family: &'static Family) -> Opts {
    Opts::new(family.name, family.help())
}

fn histogram_opts(family: &'static Family) -> HistogramOpts {
    HistogramOpts::new(family.name, family.help()).buckets(family.buckets.to_vec())
}
