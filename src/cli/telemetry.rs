//! Log lines, on stderr: logfmt for people and their tools, JSON where it is asked for.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use super::logfmt::Logfmt;
use crate::config::{Log, LogFormat, LogLevel};

/// From now on what is logged is written.
pub(super) fn start(log: &Log) -> Result<(), TryInitError> {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let ours = tracing_subscriber::filter::filter_fn(move |metadata| {
        // Below warnings, the words of the crates we stand on are not for operators.
        *metadata.level() <= level
            && (metadata.target().starts_with("goneaway") || *metadata.level() <= LevelFilter::WARN)
    });
    let layer = match log.format {
        LogFormat::Logfmt => fmt::layer().event_format(Logfmt).with_writer(std::io::stderr).boxed(),
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_target(false).with_writer(std::io::stderr).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(ours)).try_init()
}
