//! Samples read back out of blocks: whoever judges a target reads what a scrape would show.
//!
//! A block is text already. Only the lines of the families that are asked for are parsed, so that a look at a dozen
//! families among a thousand costs what a dozen lines cost.

use super::block::Block;

/// One sample of a family. Those of a histogram have names of their own and are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `target` aside.
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Sample {
    /// The value of a label; empty where there is none, as Prometheus has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
    }
}

/// The samples of a family in these blocks.
pub fn samples<B: AsRef<Block>>(blocks: &[B], family: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for block in blocks {
        samples.extend(block.as_ref().lines_of(family).lines().filter_map(|line| read(line, family)));
    }
    samples
}

fn read(line: &str, family: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let labels = match series.strip_prefix(family)? {
        "" => Vec::new(),
        labels => read_labels(labels.strip_prefix('{')?.strip_suffix('}')?),
    };
    Some(Sample { labels, value })
}

/// Reads `a="b",c="d"` as `BlockBuilder` writes it.
fn read_labels(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let (mut value, mut escaped, mut end) = (String::new(), false, rest.len());
        for (at, character) in rest.char_indices() {
            match character {
                'n' if escaped => value.push('\n'),
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '"' if !escaped => {
                    end = at + 1;
                    break;
                }
                other => value.push(other),
            }
            escaped = false;
        }
        if name != "target" {
            labels.push((name.to_owned(), value));
        }
        text = rest[end..].trim_start_matches(',');
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::super::block::BlockBuilder;
    use super::super::declare::Kind;
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let mut out = BlockBuilder::new(Some("t"));
        let family = out.family("b", Kind::Gauge, "");
        out.sample(family, &[("x", "a\"b\\n\nc, d=\"e\""), ("y", "")], -1.5);
        out.sample(family, &[], 7.0);
        out.single("bc", Kind::Gauge, "", 1.0);
        let histogram = out.family("h", Kind::Histogram, "");
        out.histogram(histogram, &[], [("1.0", 1)], 1, 0.5);
        let blocks = [BlockBuilder::new(None).finish(), out.finish()];
        let [one, other] = &samples(&blocks, "b")[..] else { panic!("{:?}", samples(&blocks, "b")) };
        assert_eq!((one.label("x"), one.label("y"), one.value), ("a\"b\\n\nc, d=\"e\"", "", -1.5));
        assert_eq!((other.labels.len(), other.value, other.label("x")), (0, 7.0, ""));
        assert_eq!(samples(&blocks, "h"), []);
        assert_eq!(samples(&blocks, "a"), []);
    }
}
