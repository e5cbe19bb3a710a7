//! Files that may change while we run: what was read, and whether it is still the same.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::read_at_most;

/// Far above every certificate chain and list of users.
const FILE_BYTES: u64 = 1 << 20;

/// Files that were read together.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

/// Which file it was, how long, and when it was last changed. A swapped link shows as another inode.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// The whole file. The stamp is taken first: what is written while we read shows as a change later.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.seen.push((path.to_owned(), stamp(path)));
        read_at_most(path, FILE_BYTES)
    }

    /// Whether any of them is another than the one that was read; one that was missing and is there now counts.
    pub(super) fn have_changed(&self) -> bool {
        self.seen.iter().any(|(path, seen)| stamp(path) != *seen)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: (found.dev(), found.ino()),
        bytes: found.len(),
        written: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
