//! The body of a scrape, and what of it serves again.
//!
//! What targets have to say changes once a round, however often somebody looks. So that part is kept as it was sent,
//! encoded and compressed, until one of its blocks is another; what the process says of itself comes behind it anew
//! each time. Both parts make one gzip stream: deflate's blocks can follow one another, and the checksums of two texts
//! combine.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::metrics::{Block, Format, write_part};

/// How many answers are kept: one a format.
const KEPT: usize = 2;

/// Level 1: the higher ones cost several times the work for a few percent.
const LEVEL: Compression = Compression::fast();

/// Of a gzip stream by deflate, without name and time, from an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    kept: Mutex<Vec<Arc<Kept>>>,
}

/// What targets had to say, ready to be sent.
#[derive(Debug)]
struct Kept {
    /// What it was made from: the same blocks give the same text.
    blocks: Vec<Arc<Block>>,
    format: Format,
    text: String,
    deflated: OnceLock<(Vec<u8>, Crc)>,
}

impl Answers {
    /// The whole body: the targets' blocks, then the process's.
    pub(super) fn body(&self, targets: Vec<Arc<Block>>, process: &Block, format: Format, gzip: bool) -> Vec<u8> {
        let kept = self.kept(targets, format);
        let tail = write_part(&[process], format) + format.end();
        match gzip {
            true => kept.gzip(tail.as_bytes()),
            false => [kept.text.as_bytes(), tail.as_bytes()].concat(),
        }
    }

    fn kept(&self, blocks: Vec<Arc<Block>>, format: Format) -> Arc<Kept> {
        let is_same = |kept: &Arc<Kept>| {
            let same = kept.blocks.iter().zip(&blocks).all(|(one, other)| Arc::ptr_eq(one, other));
            same && kept.blocks.len() == blocks.len() && kept.format == format
        };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.iter().find(|kept| is_same(kept)) {
            return kept.clone();
        }
        let text = write_part(&blocks, format);
        let kept = Arc::new(Kept { blocks, format, text, deflated: OnceLock::new() });
        all.retain(|other| other.format != format);
        all.truncate(KEPT - 1);
        all.push(kept.clone());
        kept
    }
}

/// The same body for blocks that are too many to keep.
pub(super) fn body_once(targets: &[Arc<Block>], process: &Block, format: Format, gzip: bool) -> Vec<u8> {
    let mut text = write_part(targets, format).into_bytes();
    text.extend_from_slice((write_part(&[process], format) + format.end()).as_bytes());
    if !gzip {
        return text;
    }
    let (deflated, crc) = deflate(&text, FlushCompress::Finish);
    framed(&[&deflated], &crc)
}

impl Kept {
    fn gzip(&self, tail: &[u8]) -> Vec<u8> {
        let (deflated, crc) = self.deflated.get_or_init(|| deflate(self.text.as_bytes(), FlushCompress::Sync));
        let (last, tail_crc) = deflate(tail, FlushCompress::Finish);
        let mut whole = Crc::new();
        whole.combine(crc);
        whole.combine(&tail_crc);
        framed(&[deflated, &last], &whole)
    }
}

/// Deflate's blocks, and the checksum of what is in them. With `Sync` they end at a byte, and more may follow.
fn deflate(text: &[u8], flush: FlushCompress) -> (Vec<u8>, Crc) {
    let mut compress = Compress::new(LEVEL, false);
    let mut out = Vec::with_capacity(text.len() / 5 + 128);
    loop {
        let read = compress.total_in() as usize;
        let status = compress.compress_vec(&text[read..], &mut out, flush).expect("text can be compressed");
        let all_read = compress.total_in() as usize == text.len();
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // Room that is left means that nothing is held back.
            _ => all_read && out.len() < out.capacity(),
        };
        if is_done {
            break;
        }
        out.reserve(out.capacity().max(1024));
    }
    let mut crc = Crc::new();
    crc.update(text);
    (out, crc)
}

fn framed(blocks: &[&[u8]], crc: &Crc) -> Vec<u8> {
    let length: usize = blocks.iter().map(|block| block.len()).sum();
    let mut out = Vec::with_capacity(length + 18);
    out.extend_from_slice(&GZIP_HEADER);
    blocks.iter().for_each(|block| out.extend_from_slice(block));
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::metrics::{BlockBuilder, Kind, write};

    fn block(prefix: &str, families: usize) -> Arc<Block> {
        let mut out = BlockBuilder::new(Some("t"));
        for number in 0..families {
            out.single(&format!("{prefix}_{number:05}"), Kind::Gauge, "some help that repeats", number as f64 * 1.7);
        }
        Arc::new(out.finish())
    }

    fn unzipped(body: &[u8]) -> String {
        let mut text = String::new();
        let mut decoder = GzDecoder::new(body);
        decoder.read_to_string(&mut text).expect("one gzip stream with the right checksum");
        assert!(decoder.into_inner().is_empty(), "nothing behind the stream");
        text
    }

    #[test]
    fn kept_and_new_parts_make_one_gzip_stream() {
        let answers = Answers::default();
        for families in [0, 1, 7, 300, 5000] {
            for format in [Format::Text, Format::OpenMetrics] {
                let (targets, process) = (vec![block("a", families), block("b", families / 2)], block("p", 20));
                let expected = write(&[targets.clone(), vec![process.clone()]].concat(), format);
                for _ in 0..2 {
                    assert_eq!(unzipped(&answers.body(targets.clone(), &process, format, true)), expected);
                    assert_eq!(answers.body(targets.clone(), &process, format, false), expected.as_bytes());
                }
                assert_eq!(unzipped(&body_once(&targets, &process, format, true)), expected);
                assert_eq!(body_once(&targets, &process, format, false), expected.as_bytes());
            }
        }
    }

    #[test]
    fn only_the_same_blocks_in_the_same_format_are_served_again() {
        let answers = Answers::default();
        let (one, other) = (block("a", 3), block("a", 3));
        let kept = answers.kept(vec![one.clone()], Format::Text);
        assert!(Arc::ptr_eq(&kept, &answers.kept(vec![one.clone()], Format::Text)));
        assert!(!Arc::ptr_eq(&kept, &answers.kept(vec![one.clone()], Format::OpenMetrics)));
        assert!(Arc::ptr_eq(&kept, &answers.kept(vec![one.clone()], Format::Text)));
        assert!(!Arc::ptr_eq(&kept, &answers.kept(vec![one.clone(), one.clone()], Format::Text)));
        assert!(!Arc::ptr_eq(&kept, &answers.kept(vec![other], Format::Text)));
        assert!(answers.kept.lock().is_ok_and(|all| all.len() <= KEPT));
    }
}
