//! Real folders, as hostile as a file system lets them be.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::source::pieces::testing::*;

fn options(counters: &Counters) -> Options<'_> {
    Options {
        limits: Limits::default(),
        filter: Filter::default(),
        no_ignore: false,
        work_tree: None,
        always: None,
        skip: None,
        counters,
    }
}

/// Makes files with these contents, and the folders they stand in.
fn make(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

struct Scanned {
    sink: Collect,
    counts: Vec<(NoteKind, u64)>,
    notes: Vec<crate::model::Note>,
    met: Vec<PathBuf>,
}

fn scan_with(path: &Path, options: &Options<'_>) -> Scanned {
    let (notes, sink) = (Notes::default(), Collect::default());
    let met = scan(&FileTarget { index: 0, path: path.to_path_buf() }, options, &notes, &sink);
    let (notes, counts) = notes.take();
    Scanned { sink, counts, notes, met }
}

fn scan_plain(path: &Path) -> Scanned {
    scan_with(path, &options(&Counters::default()))
}

#[test]
fn every_file_comes_once_hidden_ones_too() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("a", "1"), (".env", "2"), ("d/.hidden/x", "3"), ("d/e/f", "4"), ("empty", "")]);
    let counters = Counters::default();
    let s = scan_with(dir.path(), &options(&counters));
    assert_eq!(s.sink.names(), [".env", "a", "d/.hidden/x", "d/e/f"]);
    assert_eq!((counters.files.load(Relaxed), counters.bytes.load(Relaxed)), (5, 4));
    assert!(s.counts.is_empty());
}
