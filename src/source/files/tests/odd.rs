//! What is no plain file, cannot be read, or changes while it is read.

use super::*;

#[test]
fn links_are_counted_and_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    make(outside.path(), &[("secret", "s")]);
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("a", "1"), ("d/b", "2")]);
    for (to, link) in [
        (Path::new(".."), "d/up"),
        (Path::new("loop"), "loop"),
        (Path::new("nowhere"), "broken"),
        (outside.path(), "outside"),
        (Path::new("a"), "same"),
    ] {
        symlink(to, dir.path().join(link)).unwrap();
    }
    let s = scan_plain(dir.path());
    assert_eq!(s.sink.names(), ["a", "d/b"]);
    assert_eq!(s.counts, [(NoteKind::Link, 5)]);
    // A target that is a link was asked for.
    assert_eq!(scan_plain(&dir.path().join("outside")).sink.names(), ["secret"]);
    assert_eq!(scan_plain(&dir.path().join("same")).sink.pieces()[0].bytes, b"1");
    assert_eq!(scan_plain(&dir.path().join("loop")).counts, [(NoteKind::Unreadable, 1)]);
}

#[test]
fn what_is_no_file_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    fifo(&dir.path().join("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    symlink("/dev/zero", dir.path().join("zero")).unwrap();
    make(dir.path(), &[("a", "1")]);
    let s = scan_plain(dir.path());
    assert_eq!(s.sink.names(), ["a"]);
    assert_eq!(s.counts, [(NoteKind::NotAFile, 2), (NoteKind::Link, 1)]);
    for target in ["pipe", "socket", "zero", "missing"] {
        assert_eq!(scan_plain(&dir.path().join(target)).counts, [(NoteKind::Unreadable, 1)], "{target}");
    }
}

#[test]
fn what_takes_the_place_of_a_file_cannot_hang_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    fifo(&dir.path().join("pipe"));
    symlink("pipe", dir.path().join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let counters = Counters::default();
    let options = options(&counters);
    for (name, kind) in [
        ("pipe", NoteKind::NotAFile),
        ("socket", NoteKind::NotAFile),
        ("link", NoteKind::Link),
        ("gone", NoteKind::Changed),
    ] {
        let (notes, sink) = (Notes::default(), Collect::default());
        let reader = read::Reader { options: &options, notes: &notes, sink: &sink };
        reader.file(&dir.path().join(name), false, &mut Vec::new(), &origin(name));
        assert_eq!(notes.take().1, [(kind, 1)], "{name}");
        assert!(sink.pieces().is_empty());
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    // Tests may run as root, whom no mode keeps out: the memory of a process has nothing at address 0 for anyone.
    let s = scan_plain(Path::new("/proc/self/mem"));
    assert_eq!(s.counts, [(NoteKind::Unreadable, 1)]);
    // A path longer than the kernel takes.
    let dir = tempfile::tempdir().unwrap();
    let long = "d".repeat(250);
    let mut at = rustix::fs::open(dir.path(), rustix::fs::OFlags::PATH, 0o700.into()).unwrap();
    for _ in 0..20 {
        rustix::fs::mkdirat(&at, &long, 0o700.into()).unwrap();
        at = rustix::fs::openat(&at, &long, rustix::fs::OFlags::PATH, 0o700.into()).unwrap();
    }
    make(dir.path(), &[("a", "1")]);
    let s = scan_plain(dir.path());
    assert_eq!((s.sink.names(), s.counts), (vec!["a".to_string()], vec![(NoteKind::Unreadable, 1)]));
}

/// Cuts the file short when its first piece comes.
struct Cutter(PathBuf, Collect);

impl Sink for Cutter {
    fn piece(&self, piece: Piece<'_>) {
        self.1.piece(piece);
        File::options().write(true).open(&self.0).unwrap().set_len(10).unwrap();
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long");
    fs::write(&path, vec![b'x'; 3 * PIECE]).unwrap();
    let (notes, counters) = (Notes::default(), Counters::default());
    let sink = Cutter(path.clone(), Collect::default());
    // On one thread, the first piece is looked at before the next one is read.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| scan(&FileTarget { index: 0, path }, &options(&counters), &notes, &sink));
    assert_eq!(notes.take().1, [(NoteKind::Changed, 1)]);
    assert_eq!(sink.1.pieces().len(), 1);
}

/// A fault in detection.
struct Faulty(Collect);

impl Sink for Faulty {
    fn piece(&self, piece: Piece<'_>) {
        assert!(piece.bytes != b"bad", "a fault");
        self.0.piece(piece);
    }
}

#[test]
fn a_fault_of_ours_costs_one_file() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), &[("a", "1"), ("b", "bad"), ("c", "3")]);
    let (notes, counters, sink) = (Notes::default(), Counters::default(), Faulty(Collect::default()));
    scan(&FileTarget { index: 0, path: dir.path().into() }, &options(&counters), &notes, &sink);
    assert_eq!(sink.0.names(), ["a", "c"]);
    assert_eq!(notes.take().1, [(NoteKind::Unreadable, 1)]);
}
