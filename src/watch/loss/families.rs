//! The families of lost connections, and the instruments behind them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cause::{Cause, Source};
use crate::metrics::{GaugeVec, HistogramVec, Instruments, IntCounterVec};
use crate::mysql::signal::Signal;

crate::metrics! {
    /// Established connections of the exporter that ended without its wish, by whose they were and by cause, since the exporter started. source: pool (used as an application uses one) or canary (of the idle ladder; finding the limit it was sent to find is no loss). cause: decided from evidence at both ends; a loss while the server is away is counted when it is known what became of it.
    LOST: counter "mysql_conn_lost_total" { source, cause };
    /// Lost connections by what was seen, apart from any verdict, since the exporter started. err_packet: the server said why; fin: closed in order; rst: an unasked reset; rst_on_write: a reset or broken pipe in answer to a write; timeout: no answer; tls_alert: the TLS layer ended it; out_of_sync: a packet that was not due. Counted when it is seen.
    LOST_SIGNALS: counter "mysql_conn_lost_signals_total" { signal };
    /// When a connection was last lost by this cause, in seconds since 1970; 0 if none has been. Source: the exporter's clock when the loss was noticed.
    LOST_LAST: gauge "mysql_conn_lost_last_timestamp_seconds" { cause };
    /// Seconds that a connection had rested when it was lost. Exact for canaries, whose sockets are watched; for pools the time from the last answer until the loss was noticed.
    LOST_IDLE_AGE: histogram(REST_SECONDS) "mysql_conn_lost_idle_age_seconds" { source };
}

/// From a connection in steady use to a night's rest; the usual limits of middleboxes fall between different bounds.
const REST_SECONDS: &[f64] = &[1.0, 10.0, 50.0, 70.0, 250.0, 340.0, 400.0, 700.0, 1000.0, 2000.0, 4000.0, 29000.0];

/// Losses of one cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    pub cause: Cause,
    pub of_pools: u64,
    pub of_canaries: u64,
    /// When the last one was noticed.
    pub last: SystemTime,
}

/// The live instruments of one target's losses.
#[derive(Clone, Debug)]
pub struct LossInstruments {
    lost: IntCounterVec,
    signals: IntCounterVec,
    last: GaugeVec,
    idle_age: HistogramVec,
}

impl LossInstruments {
    /// Closed sets stand at 0; the histogram appears at its first observation.
    pub fn new(all: &Instruments) -> LossInstruments {
        let instruments = LossInstruments {
            lost: all.counters(&LOST),
            signals: all.counters(&LOST_SIGNALS),
            last: all.gauges(&LOST_LAST),
            idle_age: all.histograms(&LOST_IDLE_AGE),
        };
        for cause in Cause::ALL {
            for source in Source::ALL.into_iter().filter(|source| source.can_have(*cause)) {
                instruments.lost.with_label_values(&[source.label(), cause.label()]);
            }
            instruments.last.with_label_values(&[cause.label()]);
        }
        for signal in Signal::ALL {
            instruments.signals.with_label_values(&[signal.label()]);
        }
        instruments
    }

    /// A loss was noticed; its cause may take longer.
    pub fn seen(&self, source: Source, signal: Signal, rest: Duration) {
        self.signals.with_label_values(&[signal.label()]).inc();
        self.idle_age.with_label_values(&[source.label()]).observe(rest.as_secs_f64());
    }

    /// Losses have their cause. `noticed` is the moment of the latest, in seconds since 1970.
    pub fn booked(&self, source: Source, cause: Cause, count: u64, noticed: f64) {
        self.lost.with_label_values(&[source.label(), cause.label()]).inc_by(count);
        let last = self.last.with_label_values(&[cause.label()]);
        last.set(last.get().max(noticed));
    }

    /// What was lost so far, most first.
    pub fn counted(&self) -> Vec<Counted> {
        let of = |source: Source, cause: Cause| match source.can_have(cause) {
            true => self.lost.with_label_values(&[source.label(), cause.label()]).get(),
            false => 0,
        };
        let count = |cause: &Cause| {
            let last = self.last.with_label_values(&[cause.label()]).get();
            Counted {
                cause: *cause,
                of_pools: of(Source::Pool, *cause),
                of_canaries: of(Source::Canary, *cause),
                last: UNIX_EPOCH + Duration::try_from_secs_f64(last).unwrap_or_default(),
            }
        };
        let mut all: Vec<Counted> = Cause::ALL.iter().map(count).filter(|counted| counted.all() > 0).collect();
        all.sort_by_key(|counted| std::cmp::Reverse(counted.all()));
        all
    }
}

impl Counted {
    pub fn all(&self) -> u64 {
        self.of_pools + self.of_canaries
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::{BlockBuilder, Format, write};

    fn shown(all: &Instruments) -> Vec<String> {
        let mut out = BlockBuilder::new(None);
        all.write(&mut out);
        let text = write(&[Arc::new(out.finish())], Format::Text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn closed_sets_start_at_zero() {
        let all = Instruments::default();
        LossInstruments::new(&all);
        let lines = shown(&all);
        assert!(lines.iter().all(|line| line.ends_with(" 0")), "{lines:#?}");
        // Causes of a pool and of a canary, the last of each cause, the signals; no histogram yet.
        assert_eq!(lines.len(), 16 + 14 + 16 + 7);
    }

    #[test]
    fn what_is_booked_late_does_not_turn_the_last_loss_back() {
        let all = Instruments::default();
        let instruments = LossInstruments::new(&all);
        instruments.seen(Source::Canary, Signal::Fin, Duration::from_secs(60));
        instruments.booked(Source::Canary, Cause::Killed, 2, 100.0);
        instruments.booked(Source::Canary, Cause::Killed, 1, 90.0);
        instruments.booked(Source::Pool, Cause::PacketTooLarge, 4, 50.5);
        let counted: Vec<(Cause, u64, u64, Duration)> = instruments
            .counted()
            .iter()
            .map(|one| {
                (one.cause, one.of_pools, one.of_canaries, one.last.duration_since(UNIX_EPOCH).unwrap_or_default())
            })
            .collect();
        let ms = Duration::from_millis;
        assert_eq!(counted, [(Cause::PacketTooLarge, 4, 0, ms(50_500)), (Cause::Killed, 0, 3, ms(100_000))]);
        let lines = shown(&all);
        for line in [
            "mysql_conn_lost_total{source=\"canary\",cause=\"killed\"} 3",
            "mysql_conn_lost_last_timestamp_seconds{cause=\"killed\"} 100",
            "mysql_conn_lost_signals_total{signal=\"fin\"} 1",
            "mysql_conn_lost_idle_age_seconds_bucket{source=\"canary\",le=\"50.0\"} 0",
            "mysql_conn_lost_idle_age_seconds_bucket{source=\"canary\",le=\"70.0\"} 1",
        ] {
            let labels = |text: &str| {
                let mut parts: Vec<String> = text.split(['{', ',', '}']).map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert!(lines.iter().any(|shown| labels(shown) == labels(line)), "{line} not in {lines:#?}");
        }
    }
}
