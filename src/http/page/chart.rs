//! The last hour of a target as a small picture: how long new connections took, and in which minutes some failed.

use std::time::{Duration, SystemTime};

use super::markup::{Text, html};
use crate::watch::events::says::time;
use crate::watch::hour::{Hour, MINUTES, Minute};

const WIDTH: usize = 3 * MINUTES;
const HEIGHT: f64 = 36.0;

/// Where nothing is slower than this the line stays low: a millisecond more or less is no mountain.
const LEAST_SCALE: Duration = Duration::from_millis(2);

/// The picture as inline SVG; the sentence in it says the same for who cannot see it.
pub(super) fn chart(out: &mut String, hour: &Hour, now: SystemTime) {
    let minutes = hour.until(now);
    let means = minutes.iter().flatten().filter_map(Minute::mean);
    let scale = means.max().unwrap_or_default().max(LEAST_SCALE).as_secs_f64() * 1.15;
    let height = |mean: Duration| HEIGHT - 2.0 - mean.as_secs_f64() / scale * (HEIGHT - 4.0);
    html!(
        out,
        "<svg class=\"hour\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title>",
        Text(said(&minutes))
    );
    for (at, minute) in minutes.iter().enumerate() {
        if let Some(minute) = minute.filter(|minute| minute.failed > 0) {
            let part = if minute.good > 0 { " class=\"some\"" } else { "" };
            html!(out, "<rect{part} x=\"{}\" y=\"0\" width=\"3\" height=\"{HEIGHT}\"/>", at * 3);
        }
    }
    // A line for each stretch of minutes that have a time.
    let mut path = String::new();
    let mut is_drawing = false;
    for (at, minute) in minutes.iter().enumerate() {
        let Some(mean) = minute.and_then(|minute| minute.mean()) else {
            is_drawing = false;
            continue;
        };
        let (x, y) = (at * 3, height(mean));
        let step = if is_drawing { 'L' } else { 'M' };
        // From the minute's beginning to its end, so that one alone is seen.
        html!(&mut path, "{step}{x} {y:.1}H{}", x + 3);
        is_drawing = true;
    }
    if !path.is_empty() {
        html!(out, "<path d=\"{path}\"/>");
    }
    out.push_str("</svg>");
}

/// The hour in a sentence.
pub(super) fn said(minutes: &[Option<Minute>; MINUTES]) -> String {
    let tried = || minutes.iter().flatten();
    let good: u64 = tried().map(|minute| u64::from(minute.good)).sum();
    let failed: u64 = tried().map(|minute| u64::from(minute.failed)).sum();
    if good + failed == 0 {
        return "no new connection was tried in the last hour".to_owned();
    }
    let mut said = format!("last hour: {failed} of {} new connections failed", good + failed);
    let means = || tried().filter_map(Minute::mean);
    if let (Some(best), Some(worst)) = (means().min(), means().max()) {
        let slowest = tried().map(|minute| minute.slowest).max().unwrap_or_default();
        let [best, worst, slowest] = [best, worst, slowest].map(|took| time(took.as_secs_f64()));
        said.push_str(&format!("; {best} to {worst} on average of a minute, the slowest {slowest}"));
    }
    said
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(minute: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(minute * 60)
    }

    fn drawn(hour: &Hour, now: u64) -> String {
        let mut out = String::new();
        chart(&mut out, hour, at(now));
        out
    }

    #[test]
    fn gaps_are_gaps_and_failures_are_seen() {
        let mut hour = Hour::default();
        let took = Some(Duration::from_millis(10));
        hour.good(at(0), took);
        hour.good(at(1), took);
        hour.failed(at(2));
        hour.good(at(3), took);
        hour.failed(at(3));
        let svg = drawn(&hour, 59);
        let y = "6.2";
        assert!(svg.contains(&format!("<path d=\"M0 {y}H3L3 {y}H6M9 {y}H12\"/>")), "{svg}");
        assert!(svg.contains("<rect x=\"6\" y=\"0\" width=\"3\" height=\"36\"/><rect class=\"some\" x=\"9\""), "{svg}");
        assert!(
            svg.contains(
                "<title>last hour: 2 of 5 new connections failed; 10.0 ms to 10.0 ms on average of a minute, the"
            ),
            "{svg}"
        );
    }

    #[test]
    fn an_hour_without_anything_is_an_empty_picture() {
        let svg = drawn(&Hour::default(), 100);
        assert!(
            !svg.contains("<path") && !svg.contains("<rect") && svg.contains("no new connection was tried"),
            "{svg}"
        );
    }
}
