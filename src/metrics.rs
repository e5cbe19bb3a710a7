//! How a metric is declared, kept and written.
//!
//! Our own families are declared once (`declare`), live in instruments of their owner (`live`), and are encoded
//! once a round into a `block` together with what was copied from the server. A scrape merges blocks (`exposition`).

pub mod declare;
mod block;
mod exposition;
mod sample;
mod live;

pub use block::{Block, BlockBuilder, Dropped, FamilyId};
pub use declare::{CONNECT_SECONDS, Family, Kind};
pub use exposition::{Format, write, write_part};
pub use live::{Counter, Gauge, GaugeVec, Histogram, HistogramVec, Instruments, IntCounter, IntCounterVec};
pub use sample::{Sample, samples};
