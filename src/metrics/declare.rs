//! How a family of our own is declared: once, with the doc comment as its help text.
//!
//! `metrics!` makes a `static` for each family and a list of them all, `FAMILIES`, from which the catalogue,
//! the README's table and the tests are made. Families copied from a server (`mysql_global_status_…`) have
//! names that only the server knows: collectors write those straight into a block.

/// What kind of family a name is, in the words of the Prometheus text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Untyped,
}

impl Kind {
    pub fn label(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::Untyped => "untyped",
        }
    }
}

/// One family of our own.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// Label names besides `target`.
    pub labels: &'static [&'static str],
    /// Upper bounds, for histograms only.
    pub buckets: &'static [f64],
    raw_help: &'static str,
}

impl Family {
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        buckets: &'static [f64],
        raw_help: &'static str,
    ) -> Family {
        Family { name, kind, labels, buckets, raw_help }
    }

    /// The doc comment of the declaration, on one line.
    pub fn help(&self) -> &'static str {
        self.raw_help.trim_ascii()
    }
}

/// Upper bounds for the time of connecting and asking, in seconds: from a loopback round trip to the usual deadline.
pub const CONNECT_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Declares families: `/// help` then `NAME: kind "family_name" { label, label };`.
#[macro_export]
#[doc(hidden)]
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $ident:ident: $kind:ident $(($buckets:expr))? $name:literal { $($label:ident),* $(,)? };)*) => {
        $($(#[doc = $help])+
        pub static $ident: $crate::metrics::declare::Family = $crate::metrics::declare::Family::new(
            $name,
            $crate::metrics!(@kind $kind),
            &[$(stringify!($label)),*],
            $crate::metrics!(@buckets $($buckets)?),
            concat!($($help),+),
        );)*

        /// Every family declared in this file.
        pub static FAMILIES: &[&$crate::metrics::declare::Family] = &[$(&$ident),*];
    };
    (@kind counter) => { $crate::metrics::declare::Kind::Counter };
    (@kind gauge) => { $crate::metrics::declare::Kind::Gauge };
    (@kind histogram) => { $crate::metrics::declare::Kind::Histogram };
    (@kind gauge_histogram) => { $crate::metrics::declare::Kind::GaugeHistogram };
    (@kind summary) => { $crate::metrics::declare::Kind::Summary };
    (@kind untyped) => { $crate::metrics::declare::Kind::Untyped };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}
