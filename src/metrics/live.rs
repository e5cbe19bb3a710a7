//! Live instruments: counters, gauges and histograms of a target, or of the process, kept by the `prometheus` crate.
//!
//! Only here does the crate appear. Its text encoder is not used: it panics on untyped families and knows no
//! OpenMetrics, so what its registry gathers is written into a block like everything else.

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{HistogramOpts, Opts, Registry};

pub use prometheus::{Counter, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::block::BlockBuilder;
use super::declare::{Family, Kind};

/// The instruments of one owner. No default registry: whoever owns them, holds them.
#[derive(Clone, Debug, Default)]
pub struct Instruments {
    registry: Registry,
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
        self.registry.register(Box::new(instrument.clone())).expect("a family is registered once per owner");
        instrument
    }

    /// Writes the present values of all of them.
    pub fn write(&self, out: &mut BlockBuilder) {
        for gathered in self.registry.gather() {
            let kind = match gathered.get_field_type() {
                MetricType::COUNTER => Kind::Counter,
                MetricType::GAUGE => Kind::Gauge,
                MetricType::HISTOGRAM => Kind::Histogram,
                MetricType::SUMMARY | MetricType::UNTYPED => Kind::Untyped,
            };
            let family = out.family(gathered.name(), kind, gathered.help().to_owned());
            for metric in gathered.get_metric() {
                let labels: Vec<(&str, &str)> =
                    metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
                match kind {
                    Kind::Counter => out.sample(family, &labels, metric.get_counter().get_value()),
                    Kind::Gauge => out.sample(family, &labels, metric.get_gauge().get_value()),
                    _ => {
                        let histogram = metric.get_histogram();
                        let bounds: Vec<(String, u64)> = histogram
                            .get_bucket()
                            .iter()
                            .filter(|bucket| bucket.upper_bound().is_finite())
                            .map(|bucket| (bound_text(bucket.upper_bound()), bucket.cumulative_count()))
                            .collect();
                        out.histogram(
                            family,
                            &labels,
                            bounds.iter().map(|(bound, count)| (bound.as_str(), *count)),
                            histogram.get_sample_count(),
                            histogram.get_sample_sum(),
                        );
                    }
                }
            }
        }
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
