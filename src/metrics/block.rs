//! A block: the families of one target and one source, encoded once a round.
//!
//! Encoding is the dear part of a scrape. It is done when the values change, not when somebody looks: a scrape
//! only merges blocks by family (`exposition`). Sample lines are the same in both formats, so one text serves.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::ops::Range;

use super::declare::Kind;

/// Encoded sample lines, grouped by family and sorted by family name.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) text: String,
    pub(super) families: Vec<BlockFamily>,
    /// What could not be exposed and why.
    pub dropped: Dropped,
}

#[derive(Debug)]
pub(super) struct BlockFamily {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) help: Cow<'static, str>,
    pub(super) lines: Range<usize>,
}

/// Series that a block had to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The same name and labels came twice; the first one stands.
    pub duplicate: u64,
    /// A name or a label name that Prometheus would refuse, and the whole scrape with it.
    pub invalid: u64,
}

impl AsRef<Block> for Block {
    fn as_ref(&self) -> &Block {
        self
    }
}

impl Block {
    /// Names of the families in it, sorted.
    pub fn family_names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|family| &*family.name)
    }

    /// The lines of one family; none if it is not there.
    pub(super) fn lines_of(&self, family: &str) -> &str {
        match self.families.binary_search_by(|known| (*known.name).cmp(family)) {
            Ok(at) => &self.text[self.families[at].lines.clone()],
            Err(_) => "",
        }
    }

    /// How much text its samples are.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// How many series it has.
    pub fn series(&self) -> usize {
        self.text.lines().count()
    }

    /// The same with at most so many series, and how many were left out. The first families stay; of a histogram or a
    /// summary all series of all of it, or none.
    pub fn cut(mut self, most: usize) -> (Block, usize) {
        let all = self.series();
        if all <= most {
            return (self, 0);
        }
        let mut cut = Block { text: String::new(), families: Vec::new(), dropped: self.dropped };
        let mut room = most;
        for family in self.families.drain(..) {
            let lines = &self.text[family.lines.clone()];
            let is_plain = matches!(family.kind, Kind::Counter | Kind::Gauge | Kind::Untyped);
            let fits = match lines.lines().count() {
                count if count <= room => count,
                _ if is_plain => room,
                _ => 0,
            };
            if fits == 0 {
                continue;
            }
            room -= fits;
            let start = cut.text.len();
            lines.split_inclusive('\n').take(fits).for_each(|line| cut.text.push_str(line));
            cut.families.push(BlockFamily { lines: start..cut.text.len(), ..family });
        }
        let left_out = all - cut.series();
        (cut, left_out)
    }
}

/// Collects samples in any order; `finish` sorts, groups and encodes them.
#[derive(Debug)]
pub struct BlockBuilder {
    target: Option<String>,
    families: Vec<Pending>,
    samples: Vec<Sample>,
    text: String,
    dropped: Dropped,
}

#[derive(Debug)]
struct Pending {
    name: Box<str>,
    /// Checked once, not for each sample.
    valid: bool,
    kind: Kind,
    help: Cow<'static, str>,
}

#[derive(Debug)]
struct Sample {
    family: usize,
    series: Range<usize>,
    line: Range<usize>,
}

/// A family that was named to the builder; samples refer to it.
#[derive(Clone, Copy, Debug)]
pub struct FamilyId(usize);

impl BlockBuilder {
    /// With a target, every line carries `target="…"`.
    pub fn new(target: Option<&str>) -> BlockBuilder {
        BlockBuilder {
            target: target.map(escape_label),
            families: Vec::new(),
            samples: Vec::new(),
            text: String::new(),
            dropped: Dropped::default(),
        }
    }

    /// Makes room for about so many more series.
    pub fn reserve(&mut self, series: usize) {
        self.families.reserve(series);
        self.samples.reserve(series);
        self.text.reserve(series * 80);
    }

    /// Names a family. Naming it twice is allowed: the first kind and help stand.
    pub fn family(&mut self, name: &str, kind: Kind, help: impl Into<Cow<'static, str>>) -> FamilyId {
        // Collectors write a family's samples one after the other, so the last ones are the likely match.
        if let Some(at) = self.families.iter().rev().take(4).position(|known| &*known.name == name) {
            return FamilyId(self.families.len() - 1 - at);
        }
        let valid = valid_metric_name(name);
        self.families.push(Pending { name: name.into(), valid, kind, help: help.into() });
        FamilyId(self.families.len() - 1)
    }

    /// Adds one sample of a family.
    pub fn sample(&mut self, family: FamilyId, labels: &[(&str, &str)], value: f64) {
        self.sample_with_suffix(family, "", labels, value);
    }

    /// A family with one sample without labels: most of what a server has to say.
    pub fn single(&mut self, name: &str, kind: Kind, help: impl Into<Cow<'static, str>>, value: f64) {
        let family = self.family(name, kind, help);
        self.sample(family, &[], value);
    }

    /// One histogram: upper bounds as the texts they are to be shown with, counts not yet cumulated excluded;
    /// `cumulative` has a count per bound, `count` is the `+Inf` bucket.
    pub fn histogram<'b>(
        &mut self,
        family: FamilyId,
        labels: &[(&str, &str)],
        cumulative: impl IntoIterator<Item = (&'b str, u64)>,
        count: u64,
        sum: f64,
    ) {
        let (count_suffix, sum_suffix) = match self.families[family.0].kind {
            Kind::GaugeHistogram => ("_gcount", "_gsum"),
            _ => ("_count", "_sum"),
        };
        let mut with_bound: Vec<(&str, &str)> = labels.to_vec();
        with_bound.push(("le", ""));
        let last = with_bound.len() - 1;
        for (bound, observations) in cumulative {
            with_bound[last].1 = bound;
            self.sample_with_suffix(family, "_bucket", &with_bound, observations as f64);
        }
        with_bound[last].1 = "+Inf";
        self.sample_with_suffix(family, "_bucket", &with_bound, count as f64);
        self.sample_with_suffix(family, sum_suffix, labels, sum);
        self.sample_with_suffix(family, count_suffix, labels, count as f64);
    }

    /// One summary: quantiles as the texts they are to be shown with.
    pub fn summary<'q>(
        &mut self,
        family: FamilyId,
        labels: &[(&str, &str)],
        quantiles: impl IntoIterator<Item = (&'q str, f64)>,
        count: f64,
        sum: f64,
    ) {
        for (quantile, value) in quantiles {
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("quantile", quantile)]).collect();
            self.sample(family, &labels, value);
        }
        self.sample_with_suffix(family, "_sum", labels, sum);
        self.sample_with_suffix(family, "_count", labels, count);
    }

    fn sample_with_suffix(&mut self, family: FamilyId, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let Pending { name, valid, .. } = &self.families[family.0];
        if !valid || !labels.iter().all(|(label, _)| valid_label_name(label)) {
            self.dropped.invalid += 1;
            return;
        }
        let start = self.text.len();
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut open = '{';
        if let Some(target) = &self.target {
            self.text.push_str("{target=\"");
            self.text.push_str(target);
            self.text.push('"');
            open = ',';
        }
        for (label, label_value) in labels {
            self.text.push(open);
            self.text.push_str(label);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, label_value);
            self.text.push('"');
            open = ',';
        }
        if open == ',' {
            self.text.push('}');
        }
        let series = start..self.text.len();
        self.text.push(' ');
        push_value(&mut self.text, value);
        self.text.push('\n');
        self.samples.push(Sample { family: family.0, series, line: start..self.text.len() });
    }

    /// Sorts by family name, drops what came twice, and encodes.
    pub fn finish(mut self) -> Block {
        let mut order: Vec<usize> = (0..self.families.len()).collect();
        order.sort_by(|a, b| self.families[*a].name.cmp(&self.families[*b].name));
        let mut rank = vec![0; order.len()];
        let mut groups: Vec<usize> = Vec::with_capacity(order.len());
        for &family in &order {
            let repeats = groups.last().is_some_and(|&last| self.families[last].name == self.families[family].name);
            if !repeats {
                groups.push(family);
            }
            rank[family] = groups.len() - 1;
        }
        // A stable sort: within a family the samples keep the order they were given in.
        self.samples.sort_by_key(|sample| rank[sample.family]);

        let mut block = Block { text: String::with_capacity(self.text.len()), ..Block::default() };
        let mut seen: HashSet<&str> = HashSet::new();
        let mut at = 0;
        for (place, &family) in groups.iter().enumerate() {
            let start = block.text.len();
            let end = self.samples[at..].iter().take_while(|sample| rank[sample.family] == place).count() + at;
            let alone = end - at == 1;
            seen.clear();
            for sample in &self.samples[at..end] {
                if alone || seen.insert(&self.text[sample.series.clone()]) {
                    block.text.push_str(&self.text[sample.line.clone()]);
                } else {
                    self.dropped.duplicate += 1;
                }
            }
            at = end;
            if block.text.len() > start {
                let pending = &mut self.families[family];
                block.families.push(BlockFamily {
                    name: std::mem::take(&mut pending.name),
                    kind: pending.kind,
                    help: std::mem::take(&mut pending.help),
                    lines: start..block.text.len(),
                });
            }
        }
        block.dropped = self.dropped;
        block
    }
}

/// Integers as integers, the rest in the shortest form that reads back equal.
fn push_value(text: &mut String, value: f64) {
    let written = if value.is_nan() {
        text.push_str("NaN");
        Ok(())
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        Ok(())
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        write!(text, "{}", value as i64)
    } else if (1e-4..1e15).contains(&value.abs()) {
        write!(text, "{value}")
    } else {
        write!(text, "{value:e}")
    };
    written.expect("writing to a String cannot fail");
}

fn escape_label(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    push_escaped(&mut escaped, value);
    escaped
}

fn push_escaped(text: &mut String, value: &str) {
    if plain(value) {
        text.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// Whether a text is written as it is, in help and label values.
pub(super) fn plain(text: &str) -> bool {
    !any(text, |byte| (byte == b'\\') | (byte == b'"') | (byte == b'\n'))
}

/// Whether any byte is such. It looks at all of them, where the iterator's `any` would stop at the first: so the
/// compiler takes sixteen at once, and looking at the bytes of a thousand names and helps is much of encoding them.
fn any(text: &str, such: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(0, |found, byte| found | u8::from(such(byte))) != 0
}

fn valid_metric_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'_') | (byte == b':');
    name.bytes().next().is_some_and(|first| !first.is_ascii_digit()) && !any(name, |byte| !allowed(byte))
}

fn valid_label_name(name: &str) -> bool {
    !name.contains(':') && valid_metric_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(build: impl FnOnce(&mut BlockBuilder)) -> String {
        let mut builder = BlockBuilder::new(None);
        build(&mut builder);
        builder.finish().text
    }

    #[test]
    fn families_are_grouped_and_sorted_whatever_the_order_of_samples() {
        let lines = text(|out| {
            let b = out.family("b", Kind::Gauge, "");
            let a = out.family("a", Kind::Gauge, "");
            out.sample(b, &[("x", "1")], 1.0);
            out.sample(a, &[], 2.0);
            for name in ["c", "d", "e", "f", "b"] {
                out.single(name, Kind::Gauge, "", 3.0);
            }
        });
        assert_eq!(lines, "a 2\nb{x=\"1\"} 1\nb 3\nc 3\nd 3\ne 3\nf 3\n");
    }

    #[test]
    fn a_series_that_comes_twice_is_dropped_and_counted() {
        let mut out = BlockBuilder::new(Some("t"));
        let family = out.family("a", Kind::Gauge, "");
        out.sample(family, &[("x", "1")], 1.0);
        out.sample(family, &[("x", "1")], 2.0);
        out.sample(family, &[("x", "2")], 2.0);
        let block = out.finish();
        assert_eq!(block.text, "a{target=\"t\",x=\"1\"} 1\na{target=\"t\",x=\"2\"} 2\n");
        assert_eq!(block.dropped, Dropped { duplicate: 1, invalid: 0 });
    }

    #[test]
    fn a_block_is_cut_to_so_many_series_and_no_histogram_in_two() {
        let mut out = BlockBuilder::new(None);
        let (a, h, z) = (
            out.family("a", Kind::Gauge, ""),
            out.family("h", Kind::Histogram, ""),
            out.family("z", Kind::Counter, ""),
        );
        out.sample(a, &[], 1.0);
        out.histogram(h, &[], [("1", 1)], 1, 1.0);
        (0..4).for_each(|n| out.sample(z, &[("n", &n.to_string())], 1.0));
        let block = out.finish();
        assert_eq!(block.series(), 9);
        let (block, left_out) = block.cut(9);
        assert_eq!((block.series(), left_out), (9, 0));
        let (block, left_out) = block.cut(7);
        assert_eq!((block.series(), left_out, block.family_names().count()), (7, 2, 3));
        let (block, left_out) = block.cut(3);
        assert_eq!((block.text.as_str(), left_out), ("a 1\nz{n=\"0\"} 1\nz{n=\"1\"} 1\n", 4));
    }

    #[test]
    fn names_that_prometheus_refuses_are_dropped_and_counted() {
        let mut out = BlockBuilder::new(None);
        out.single("1a", Kind::Gauge, "", 1.0);
        out.single("a-b", Kind::Gauge, "", 1.0);
        out.single("", Kind::Gauge, "", 1.0);
        let family = out.family("good", Kind::Gauge, "");
        out.sample(family, &[("le:", "1")], 1.0);
        let block = out.finish();
        assert_eq!((block.text.as_str(), block.families.len()), ("", 0));
        assert_eq!(block.dropped, Dropped { duplicate: 0, invalid: 4 });
    }

    #[test]
    fn label_values_are_escaped() {
        let lines = text(|out| {
            let family = out.family("a", Kind::Gauge, "");
            out.sample(family, &[("x", "a\"b\\c\nd ü")], 1.0);
        });
        assert_eq!(lines, "a{x=\"a\\\"b\\\\c\\nd ü\"} 1\n");
    }

    #[test]
    fn values_read_back_as_they_were() {
        for (value, shown) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (0.25, "0.25"),
            (1e-7, "1e-7"),
            (1234567890.0, "1234567890"),
            (18446744073709551615.0, "1.8446744073709552e19"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(|out| out.single("a", Kind::Gauge, "", value)), format!("a {shown}\n"));
        }
    }

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let lines = text(|out| {
            let family = out.family("h", Kind::Histogram, "");
            out.histogram(family, &[("p", "x")], [("1", 2), ("5", 3)], 4, 9.5);
        });
        assert_eq!(
            lines,
            "h_bucket{p=\"x\",le=\"1\"} 2\nh_bucket{p=\"x\",le=\"5\"} 3\nh_bucket{p=\"x\",le=\"+Inf\"} 4\nh_sum{p=\"x\"} 9.5\nh_count{p=\"x\"} 4\n"
        );
    }
}
