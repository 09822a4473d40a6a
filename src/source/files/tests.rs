//! Real folders, as hostile as a file system lets them be.
#![allow(clippy::unwrap_used)]

mod odd;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::source::pieces::testing::*;
use crate::source::{OVERLAP, PIECE, Piece};

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

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).unwrap();
}

/// Makes a repository by hand: the walk asks for no more than this.
fn init(root: &Path) {
    make(root, &[(".git/HEAD", "ref: refs/heads/main\n")]);
}

#[test]
fn ignore_files_hold_inside_a_work_tree_and_not_elsewhere() {
    let files = [
        (".gitignore", "*.log\nbuild/\n/only-top\n!keep.log\nbroken[\n"),
        ("a.log", "a"),
        ("keep.log", "k"),
        ("build/x", "x"),
        ("build/sub/y", "y"),
        ("only-top", "1"),
        ("sub/only-top", "2"),
        ("sub/.gitignore", "*.tmp\n!b.log"),
        ("sub/b.log", "b"),
        ("sub/c.log", "c"),
        ("sub/d.tmp", "d"),
        ("d.tmp", "d"),
    ];
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &files);
    assert_eq!(scan_plain(dir.path()).sink.names().len(), files.len());
    init(dir.path());
    make(dir.path(), &[(".git/info/exclude", "secret-plans\n"), ("sub/secret-plans", "p")]);
    let s = scan_plain(dir.path());
    let left = [".git/HEAD", ".git/info/exclude", ".gitignore", "d.tmp", "keep.log", "sub/.gitignore", "sub/b.log"];
    assert_eq!(s.sink.names(), [&left[..], &["sub/only-top"]].concat());
    // a.log, build (one entry), only-top, sub/c.log, sub/d.tmp, sub/secret-plans
    assert_eq!(s.counts, [(NoteKind::GitIgnored, 6)]);
    assert!(s.notes.is_empty() && s.met.is_empty());
    let counters = Counters::default();
    let s = scan_with(dir.path(), &Options { no_ignore: true, ..options(&counters) });
    assert_eq!((s.sink.names().len(), s.counts), (files.len() + 3, vec![]));
}

#[test]
fn a_folder_of_a_work_tree_knows_the_rules_above_it() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let top = [(".gitignore", "/a/b/x\n*.o"), ("a/.gitignore", "y"), (".git/info/exclude", "z")];
    make(dir.path(), &top);
    make(
        dir.path(),
        &[("a/b/x", ""), ("a/b/y", ""), ("a/b/z", ""), ("a/b/m.o", ""), ("a/b/n.c", "n"), ("a/b/c/x", "x")],
    );
    let work_tree = WorkTree { root: dir.path().to_path_buf(), git_dir: dir.path().join(".git") };
    let counters = Counters::default();
    let options = Options { work_tree: Some(work_tree), ..options(&counters) };
    let s = scan_with(&dir.path().join("a/b"), &options);
    assert_eq!(s.sink.names(), ["c/x", "n.c"]);
    assert_eq!(s.counts, [(NoteKind::GitIgnored, 4)]);
    // The top itself: the git directory is there, and its rules are known from the option.
    let s = scan_with(dir.path(), &options);
    assert_eq!(s.counts, [(NoteKind::GitIgnored, 4)]);
    assert!(s.met.is_empty());
    // A target that is ignored itself was asked for.
    assert_eq!(scan_with(&dir.path().join("a/b/c/x"), &options).sink.pieces().len(), 1);
}

#[test]
fn tracked_files_are_never_ignored() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    make(dir.path(), &[(".gitignore", "out\n*.key"), ("out/keep/k", "k"), ("out/keep/l", "l"), ("out/m", "m")]);
    make(dir.path(), &[("a.key", "a"), ("b.key", "b"), ("out/other/n", "n")]);
    let tracked = ["out/keep/k", "a.key"];
    let always = |path: &Path, folder: bool| {
        tracked.iter().map(Path::new).any(|t| if folder { t.starts_with(path) } else { t == path })
    };
    let counters = Counters::default();
    let s = scan_with(dir.path(), &Options { always: Some(&always), ..options(&counters) });
    assert_eq!(s.sink.names(), [".git/HEAD", ".gitignore", "a.key", "out/keep/k"]);
    // b.key, out/m, out/other, out/keep/l
    assert_eq!(s.counts, [(NoteKind::GitIgnored, 4)]);
}

#[test]
fn work_trees_below_the_target_have_rules_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[(".gitignore", "*"), ("x.log", "x"), ("clone/.gitignore", "*.log"), ("clone/y.log", "y")]);
    init(&dir.path().join("clone"));
    make(&dir.path().join("clone"), &[("sub/.git", "gitdir: ../.git/modules/sub\n"), ("sub/z.log", "z"), ("z", "z")]);
    make(dir.path(), &[("odd/.git", "no repository"), ("odd/w.log", "w")]);
    let s = scan_plain(dir.path());
    let expected =
        [".gitignore", "clone/.git/HEAD", "clone/.gitignore", "clone/sub/.git", "clone/sub/z.log", "clone/z"];
    assert_eq!(s.sink.names(), [&expected[..], &["odd/.git", "odd/w.log", "x.log"]].concat());
    assert_eq!(s.counts, [(NoteKind::GitIgnored, 1)]);
    assert_eq!(s.met, [dir.path().join("clone"), dir.path().join("clone/sub")]);
}

#[test]
fn hostile_ignore_files_are_not_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    make(dir.path(), &[("a/x", "x"), ("b/x", "x"), ("c/x", "x"), ("rules", "*")]);
    fifo(&dir.path().join("a/.gitignore"));
    symlink("../rules", dir.path().join("b/.gitignore")).unwrap();
    fs::write(dir.path().join("c/.gitignore"), "*\n".repeat(300_000)).unwrap();
    let s = scan_plain(dir.path());
    assert_eq!(s.sink.names(), [".git/HEAD", "a/x", "b/x", "c/.gitignore", "c/x", "rules"]);
    assert_eq!(s.counts, [(NoteKind::NotAFile, 1), (NoteKind::Link, 1), (NoteKind::Other, 1)]);
}

#[test]
fn plain_files_of_a_git_directory_are_read_and_its_databases_are_not() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let git = [
        (".git/config", "url"),
        (".git/hooks/pre-push", "#!"),
        (".git/logs/refs/heads/objects", "log"),
        (".git/modules/m/config", "url"),
        (".git/credentials", "c"),
        (".git/FETCH_HEAD", "url"),
    ];
    make(dir.path(), &git);
    make(dir.path(), &[(".git/objects/ab/cd", "o"), (".git/refs/heads/main", "r"), (".git/index", "i")]);
    make(dir.path(), &[(".git/modules/m/objects/x", "o"), (".git/packed-refs", "p"), (".git/lfs/objects/x", "o")]);
    make(dir.path(), &[(".gitignore", "*")]);
    let mut expected: Vec<&str> = git.iter().map(|(path, _)| *path).chain([".git/HEAD"]).collect();
    expected.sort();
    assert_eq!(scan_plain(dir.path()).sink.names(), expected);
    let (notes, sink, counters) = (Notes::default(), Collect::default(), Counters::default());
    let target = FileTarget { index: 0, path: dir.path().join(".git") };
    scan_git_dir(&target, b".git/", &options(&counters), &notes, &sink);
    assert_eq!(sink.names(), expected);
}

#[test]
fn globs_leave_out_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("a.rs", "1"), ("b.md", "2"), ("gen/c.rs", "3"), ("gen/d/e.rs", "4"), ("f/g.rs", "5")]);
    let counters = Counters::default();
    let filter = Filter::new(&["*.rs".into()], &["gen".into()]).unwrap();
    let options = Options { filter, ..options(&counters) };
    let s = scan_with(dir.path(), &options);
    assert_eq!((s.sink.names(), s.counts), (vec!["a.rs".into(), "f/g.rs".into()], vec![(NoteKind::Excluded, 2)]));
    let s = scan_with(&dir.path().join("b.md"), &options);
    assert_eq!((s.sink.names().len(), s.counts), (0, vec![(NoteKind::Excluded, 1)]));
}

#[test]
fn files_the_caller_knows_are_counted_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("same", "12345"), ("d/new", "123")]);
    let skip = |path: &Path, meta: &Metadata| path == Path::new("same") && meta.len() == 5;
    let counters = Counters::default();
    let s = scan_with(dir.path(), &Options { skip: Some(&skip), ..options(&counters) });
    assert_eq!(s.sink.names(), ["d/new"]);
    assert_eq!((counters.unchanged.load(Relaxed), counters.files.load(Relaxed)), (1, 1));
}

#[test]
fn holes_of_sparse_files_take_no_time() {
    const SIZE: u64 = 10 << 30;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    let file = File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    let (middle, end) = (SIZE / 2 + 123_456_789, SIZE - 7);
    file.write_all_at(b"start\nx", 0).unwrap();
    file.write_all_at(b"mid\ndle", middle).unwrap();
    file.write_all_at(b"the end", end).unwrap();
    let began = std::time::Instant::now();
    let s = scan_plain(&path);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    assert!(s.counts.is_empty());
    for (text, at, line, column) in
        [(&b"x"[..], 6, 1, 0), (b"mid", middle, 1, middle - 6), (b"the end", end, 2, end - middle - 4)]
    {
        let (k, i) = s
            .sink
            .0
            .lock()
            .unwrap()
            .iter()
            .find_map(|k| Some((k.clone(), memchr::memmem::find(&k.bytes, text)?)))
            .unwrap();
        let mut position = k.at;
        position.advance(&k.bytes[..i]);
        assert_eq!((position.offset, position.lines, position.column), (at, line, column));
    }
    assert!(s.sink.pieces().iter().map(|k| k.bytes.len()).sum::<usize>() < 1 << 20);
}

#[test]
fn long_files_come_in_pieces_and_too_long_ones_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long");
    fs::write(&path, "0123456\n".repeat(PIECE / 4)).unwrap();
    let s = scan_plain(&path);
    let pieces = s.sink.pieces();
    assert_eq!(pieces.len(), 3);
    assert_eq!((pieces[1].at.offset, pieces[1].at.lines), ((PIECE - OVERLAP) as u64, (PIECE - OVERLAP) as u64 / 8));
    let counters = Counters::default();
    let limits = Limits { file_size: PIECE as u64, ..Limits::default() };
    let s = scan_with(dir.path(), &Options { limits, ..options(&counters) });
    assert_eq!((s.sink.pieces().len(), s.counts), (0, vec![(NoteKind::TooLarge, 1)]));
}

#[test]
fn files_of_the_kernel_are_read_although_they_say_they_are_empty() {
    let s = scan_plain(Path::new("/proc/self/status"));
    assert!(s.sink.has(b"Name:"));
    assert!(s.counts.is_empty());
}

#[test]
fn names_of_any_bytes_stay_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let names: [&[u8]; 4] = [b"new\nline", b"\xff\xfe", b"esc\x1b[31m", b"-\r"];
    for name in names {
        let folder = dir.path().join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let mut expected: Vec<Vec<u8>> = names.iter().map(|name| [name, &b"/"[..], name].concat()).collect();
    expected.sort();
    let paths: Vec<Vec<u8>> = scan_plain(dir.path()).sink.pieces().into_iter().map(|k| k.origin.path).collect();
    assert_eq!(paths, expected);
}

#[test]
fn archives_are_opened_wherever_they_stand() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("in/side", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"text").unwrap();
    // Longer than a piece: read where its members are.
    zip.start_file("pad", zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored))
        .unwrap();
    zip.write_all(&vec![b'p'; PIECE]).unwrap();
    let long = zip.finish().unwrap().into_inner();
    let mut small = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    small.write_all(b"text").unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("no-ending"), &long).unwrap();
    fs::write(dir.path().join("s.gz"), small.finish().unwrap()).unwrap();
    let counters = Counters::default();
    let s = scan_with(dir.path(), &options(&counters));
    assert_eq!(s.sink.names(), ["no-ending!in/side", "no-ending!pad", "s.gz!s"]);
    assert_eq!((counters.members.load(Relaxed), counters.expanded.load(Relaxed)), (3, PIECE as u64 + 8));
}

#[test]
fn many_files_and_deep_folders_come_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut folder = String::new();
    for depth in 0..60 {
        for i in 0..70 {
            let path = format!("{folder}f{i:03}");
            fs::write(dir.path().join(&path), format!("{depth} {i}")).unwrap();
            expected.push(path);
        }
        folder.push_str("d/");
        fs::create_dir(dir.path().join(&folder)).unwrap();
    }
    expected.sort();
    assert_eq!(scan_plain(dir.path()).sink.names(), expected);
}
