//! What a scraper reads: blocks merged by family, in the format it asked for.
//!
//! Prometheus refuses a scrape in which a family's lines are not together, so the blocks of many targets are
//! merged, not concatenated. Both formats hold the same series under the same names.

use super::block::{Block, BlockFamily, plain};
use super::declare::Kind;

/// The two formats that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The best of the two for an `Accept` header; text when in doubt.
    pub fn negotiate(accept: Option<&str>) -> Format {
        let mut best = (0.0, Format::Text);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name: &str| {
                parameters.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
            };
            let quality = parameter("q").map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0));
            let format = match (media_type.as_str(), parameter("version")) {
                ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => Format::OpenMetrics,
                ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Format::Text,
                _ => continue,
            };
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    /// What an exposition ends with.
    pub fn end(self) -> &'static str {
        match self {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The whole exposition.
pub fn write<B: AsRef<Block>>(blocks: &[B], format: Format) -> String {
    let mut out = write_part(blocks, format);
    out.push_str(format.end());
    out
}

/// A part of an exposition, without its end: no family may be in two parts.
pub fn write_part<B: AsRef<Block>>(blocks: &[B], format: Format) -> String {
    let merged = merge(blocks);
    let size: usize = blocks.iter().map(|block| block.as_ref().text.len()).sum();
    let mut out = String::with_capacity(size + merged.len() * 120);
    for (at, family) in merged.iter().enumerate() {
        write_family(&mut out, &merged, at, family, format);
    }
    out
}

struct Merged<'a> {
    name: &'a str,
    kind: Kind,
    help: &'a str,
    parts: Vec<&'a str>,
}

/// The blocks of a fleet have nearly the same families in the same order, so each block is walked beside the
/// union of those before it: a comparison a family, and an insertion only where a server has one more.
fn merge<B: AsRef<Block>>(blocks: &[B]) -> Vec<Merged<'_>> {
    let mut union: Vec<Merged<'_>> = Vec::new();
    for block in blocks {
        let block = block.as_ref();
        let mut at = 0;
        for family in &block.families {
            let lines = &block.text[family.lines.clone()];
            at = place(&union, at, family);
            match union.get_mut(at) {
                Some(known) if known.name == &*family.name => known.parts.push(lines),
                _ => union.insert(
                    at,
                    Merged { name: &family.name, kind: family.kind, help: &family.help, parts: vec![lines] },
                ),
            }
            at += 1;
        }
    }
    union
}

/// Where the family is in the union, or where it belongs.
fn place(union: &[Merged<'_>], from: usize, family: &BlockFamily) -> usize {
    match union.get(from) {
        Some(known) if known.name == &*family.name => from,
        _ => from + union[from..].partition_point(|known| known.name < &*family.name),
    }
}

fn write_family(out: &mut String, all: &[Merged<'_>], at: usize, family: &Merged<'_>, format: Format) {
    match (format, family.kind) {
        (Format::Text, Kind::GaugeHistogram) => write_gauge_histogram_as_text(out, family),
        (Format::Text, kind) => {
            write_head(out, family.name, family.help, kind.label(), format);
            family.parts.iter().for_each(|part| out.push_str(part));
        }
        (Format::OpenMetrics, kind) => {
            let (name, kind) = open_metrics_head(all, at, family.name, kind);
            write_head(out, name, family.help, kind, format);
            family.parts.iter().for_each(|part| out.push_str(part));
        }
    }
}

/// In OpenMetrics a counter's family is named without `_total`. Where the name lacks it, or where the name
/// without it is another family's, the honest type is `unknown`: the series' name is never altered.
fn open_metrics_head<'a>(all: &[Merged<'a>], at: usize, name: &'a str, kind: Kind) -> (&'a str, &'static str) {
    match kind {
        Kind::Counter => match name.strip_suffix("_total") {
            Some(base) if all[..at].binary_search_by(|other| other.name.cmp(base)).is_err() => (base, "counter"),
            _ => (name, "unknown"),
        },
        Kind::Untyped => (name, "unknown"),
        other => (name, other.label()),
    }
}

/// Text 0.0.4 knows no gauge histogram: its three series become three untyped families.
fn write_gauge_histogram_as_text(out: &mut String, family: &Merged<'_>) {
    for suffix in ["_bucket", "_gcount", "_gsum"] {
        let name = format!("{}{suffix}", family.name);
        write_head(out, &name, family.help, "untyped", Format::Text);
        for line in family.parts.iter().flat_map(|part| part.split_inclusive('\n')) {
            let rest = line.strip_prefix(&name);
            if rest.is_some_and(|rest| rest.starts_with(['{', ' '])) {
                out.push_str(line);
            }
        }
    }
}

fn write_head(out: &mut String, name: &str, help: &str, kind: &str, format: Format) {
    out.push_str("# HELP ");
    out.push_str(name);
    out.push(' ');
    push_help(out, help, format);
    out.push_str("\n# TYPE ");
    out.push_str(name);
    out.push(' ');
    out.push_str(kind);
    out.push('\n');
}

fn push_help(out: &mut String, help: &str, format: Format) {
    if plain(help) {
        out.push_str(help);
        return;
    }
    for character in help.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if format == Format::OpenMetrics => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::BlockBuilder;
    use super::*;
    use std::sync::Arc;

    fn block(target: &str, names: &[&str]) -> Arc<Block> {
        let mut out = BlockBuilder::new(Some(target));
        for name in names {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Untyped };
            out.single(name, kind, format!("help of \"{name}\""), 1.0);
        }
        Arc::new(out.finish())
    }

    #[test]
    fn the_lines_of_a_family_stand_together_whichever_target_they_come_from() {
        let blocks = [block("1", &["b", "d"]), block("2", &["a", "b", "c"]), block("3", &["d", "e", "b"])];
        let text = write(&blocks, Format::Text);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "a{target=\"2\"} 1",
                "b{target=\"1\"} 1",
                "b{target=\"2\"} 1",
                "b{target=\"3\"} 1",
                "c{target=\"2\"} 1",
                "d{target=\"1\"} 1",
                "d{target=\"3\"} 1",
                "e{target=\"3\"} 1"
            ]
        );
        assert_eq!(text.matches("# TYPE b untyped\n").count(), 1);
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn open_metrics_names_a_counter_without_its_suffix_and_never_alters_a_series() {
        let text = write(&[block("1", &["a_total", "b", "b_total"])], Format::OpenMetrics);
        assert_eq!(
            text,
            "# HELP a help of \\\"a_total\\\"\n# TYPE a counter\na_total{target=\"1\"} 1\n\
             # HELP b help of \\\"b\\\"\n# TYPE b unknown\nb{target=\"1\"} 1\n\
             # HELP b_total help of \\\"b_total\\\"\n# TYPE b_total unknown\nb_total{target=\"1\"} 1\n# EOF\n"
        );
    }

    #[test]
    fn a_counter_whose_name_lacks_the_suffix_is_unknown_in_open_metrics() {
        let mut out = BlockBuilder::new(None);
        out.single("queries", Kind::Counter, "", 1.0);
        let block = Arc::new(out.finish());
        assert!(
            write(std::slice::from_ref(&block), Format::OpenMetrics).contains("# TYPE queries unknown\nqueries 1\n")
        );
        assert!(write(&[block], Format::Text).contains("# TYPE queries counter\nqueries 1\n"));
    }

    #[test]
    fn a_gauge_histogram_is_three_untyped_families_in_text() {
        let mut out = BlockBuilder::new(None);
        let family = out.family("age", Kind::GaugeHistogram, "ages");
        out.histogram(family, &[], [("1", 2)], 3, 4.0);
        let block = Arc::new(out.finish());
        assert_eq!(
            write(std::slice::from_ref(&block), Format::Text),
            "# HELP age_bucket ages\n# TYPE age_bucket untyped\nage_bucket{le=\"1\"} 2\nage_bucket{le=\"+Inf\"} 3\n\
             # HELP age_gcount ages\n# TYPE age_gcount untyped\nage_gcount 3\n\
             # HELP age_gsum ages\n# TYPE age_gsum untyped\nage_gsum 4\n"
        );
        assert!(
            write(&[block], Format::OpenMetrics).starts_with("# HELP age ages\n# TYPE age gaugehistogram\nage_bucket")
        );
    }

    #[test]
    fn the_scrapers_preference_is_followed() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"), Format::Text),
            (Some(prometheus_2), Format::OpenMetrics),
            (Some(prometheus_3), Format::OpenMetrics),
            (Some("text/plain;version=0.0.4,application/openmetrics-text;q=0.5"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept:?}");
        }
    }
}
