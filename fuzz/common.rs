//! What fuzz targets share: a folder of this process, a way to take numbers off the input, and copies and inserts made
//! from it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use unsprawl::source::git::walk::Segment;

/// A folder of this process for what must stand in files. Whoever starts the target removes it (fuzz/run does).
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("unsprawl-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        folder
    })
}

/// Takes numbers off the front of the input; zeros when it is used up.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn short(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }

    /// The next `n` bytes, or what is left.
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A text made of stretches of `base` and of new bytes, with the segments that say so.
    pub fn change(&mut self, base: &[u8]) -> (Vec<u8>, Vec<Segment>) {
        let (mut text, mut segments) = (Vec::new(), Vec::new());
        for _ in 0..self.byte() % 8 {
            let start = text.len();
            if self.byte() % 3 == 0 {
                let n = usize::from(self.byte());
                text.extend_from_slice(self.bytes(n));
                if text.len() > start {
                    segments.push(Segment::Insert { start, len: text.len() - start });
                }
            } else {
                let (from, to) = (self.short().min(base.len()), self.short().min(base.len()));
                if from < to {
                    segments.push(Segment::Copy { start, base: from, len: to - from });
                    text.extend_from_slice(&base[from..to]);
                }
            }
        }
        (text, segments)
    }
}

/// Whether the segments cover an object from start to end and copies lie inside its base, with the same bytes.
pub fn assert_covers(segments: &[Segment], object: &[u8], base: Option<&[u8]>) {
    let mut at = 0;
    for segment in segments {
        let (start, len) = match *segment {
            Segment::Copy { start, base: from, len } => {
                if let Some(base) = base {
                    assert_eq!(&object[start..start + len], &base[from..from + len]);
                }
                (start, len)
            }
            Segment::Insert { start, len } => (start, len),
        };
        assert_eq!(start, at, "segments leave a gap");
        at += len;
    }
    assert_eq!(at, object.len(), "segments do not cover the object");
}
