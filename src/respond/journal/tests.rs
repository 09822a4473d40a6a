#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::secret::Fingerprinter;

fn entry(n: u64) -> Entry {
    let item =
        Subject { number: n as u32, rule: "a.b".into(), fingerprint: Fingerprinter::default().of(&n.to_le_bytes()) };
    match n % 3 {
        0 => Entry::Begin { run: "r".into(), plan: "p".into(), by: "me".into(), items: 1, undo: false },
        1 => Entry::Intent {
            run: "r".into(),
            plan: "p".into(),
            items: vec![item],
            way: "w".into(),
            by: By::Holder,
            effect: Effect::Revoke,
            place: "https://a.example".into(),
            undo: false,
        },
        _ => Entry::Outcome {
            run: "r".into(),
            plan: "p".into(),
            intent: Some(n - 1),
            item,
            outcome: Outcome::Revoked,
            reason: Some("line\nend \u{202e}".into()),
            seen_at: None,
        },
    }
}

fn journal(lines: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/journal.jsonl");
    let mut journal = Journal::open(&path).unwrap();
    for n in 0..lines {
        assert_eq!(journal.append(&entry(n)).unwrap(), n + 1);
    }
    (dir, path)
}

/// The head as it is after this line.
fn set_head(path: &Path, seq: u64, hash: &str) {
    head::prepare(path, seq, hash).unwrap();
    head::take(path).unwrap();
}

#[test]
fn what_is_written_is_read_again_and_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, path) = journal(4);
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&head::path_of(&path)), mode(path.parent().unwrap())), (0o600, 0o600, 0o700));
    let mut again = Journal::open(&path).unwrap();
    assert_eq!(
        again.records().iter().map(|r| r.entry.clone()).collect::<Vec<_>>(),
        (0..4).map(entry).collect::<Vec<_>>()
    );
    assert_eq!(again.append(&entry(4)).unwrap(), 5);
    drop(again);
    let summary = verify(&path).unwrap();
    assert_eq!((summary.records.len(), summary.torn, summary.behind), (5, 0, 0));
}

#[test]
fn two_runs_exclude_each_other() {
    let (_dir, path) = journal(2);
    let first = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Busy(_))));
    assert!(verify(&path).is_ok(), "reading needs no lock");
    drop(first);
    assert!(Journal::open(&path).is_ok());
}

#[test]
fn only_a_file_is_a_journal() {
    assert!(Journal::open(Path::new("/dev/full")).is_err());
    let dir = tempfile::tempdir().unwrap();
    assert!(Journal::open(dir.path()).is_err() && verify(dir.path()).is_err());
}

#[test]
fn every_changed_byte_is_found() {
    let (_dir, path) = journal(4);
    let good = std::fs::read(&path).unwrap();
    for i in 0..good.len() {
        for change in [1u8, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[i] ^= change;
            std::fs::write(&path, &bad).unwrap();
            assert!(verify(&path).is_err(), "byte {i} ^ {change:#x}: {:?}", String::from_utf8_lossy(&bad));
            assert!(Journal::open(&path).is_err(), "byte {i} ^ {change:#x}");
            assert_eq!(std::fs::read(&path).unwrap(), bad, "a broken journal was changed");
        }
    }
}

#[test]
fn lines_that_are_gone_moved_or_doubled_are_found() {
    let (_dir, path) = journal(5);
    let good = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let write = |order: &[usize]| {
        let text: String = order.iter().map(|i| lines[*i]).collect();
        std::fs::write(&path, text).unwrap();
        (verify(&path).is_ok(), Journal::open(&path).is_ok())
    };
    for order in
        [&[0, 1, 2, 3][..], &[0, 1, 2], &[], &[1, 2, 3, 4], &[0, 2, 3, 4], &[0, 1, 3, 2, 4], &[0, 1, 1, 2, 3, 4]]
    {
        assert_eq!(write(order), (false, false), "{order:?}");
    }
    assert_eq!(write(&[0, 1, 2, 3, 4]), (true, true));
    std::fs::remove_file(head::path_of(&path)).unwrap();
    for order in [&[0, 1, 2, 3, 4][..], &[0, 1, 2, 3], &[0]] {
        assert_eq!(write(order), (false, false), "without a head nobody knows: {order:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(verify(&path).is_err());
}

#[test]
fn every_cut_is_told_or_set_aside() {
    // With the head of the whole file: everything that is cut was promised, but for nothing at all.
    let (_dir, path) = journal(4);
    let (full, head) = (std::fs::read(&path).unwrap(), std::fs::read(head::path_of(&path)).unwrap());
    for cut in 0..full.len() {
        std::fs::write(&path, &full[..cut]).unwrap();
        for outcome in [verify(&path).err(), Journal::open(&path).err()] {
            let said = outcome.map(|e| e.to_string()).unwrap_or_default();
            assert!(said.contains("its end was cut off"), "cut at {cut}: {said}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), &full[..cut], "a journal that was cut was changed");
        assert_eq!(std::fs::read(head::path_of(&path)).unwrap(), head);
    }
}

#[test]
fn a_crash_in_the_first_line_is_set_aside_too() {
    let (_dir, path) = journal(1);
    let full = std::fs::read(&path).unwrap();
    for cut in 0..=full.len() {
        std::fs::write(&path, &full[..cut]).unwrap();
        set_head(&path, 0, check::NOTHING);
        let opened = Journal::open(&path).unwrap();
        let whole = cut == full.len();
        assert_eq!((opened.records().len(), opened.torn().is_some()), (usize::from(whole), cut > 0 && !whole), "{cut}");
    }
    let kept = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(kept, 2 + full.len() - 1, "each half line is kept in a file of its own");
}

#[test]
fn lines_that_no_run_wrote_are_found() {
    let (_dir, path) = journal(5);
    let full = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = full.split_inclusive(|b| *b == b'\n').collect();
    for seq in 0..5 {
        let last = check::read(&lines[..seq].concat()).unwrap().last;
        set_head(&path, seq as u64, &last);
        // A crash leaves one line without a head, and no more.
        assert_eq!(verify(&path).map(|s| s.behind).ok(), (seq == 4).then_some(1), "head of line {seq}");
        assert_eq!(Journal::open(&path).is_ok(), seq == 4, "head of line {seq}");
    }
}

#[test]
fn a_head_that_is_none_is_an_error() {
    let (_dir, path) = journal(2);
    let good = std::fs::read(head::path_of(&path)).unwrap();
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        std::fs::write(head::path_of(&path), &bad).unwrap();
        assert!(matches!(verify(&path), Err(JournalError::Broken { .. })), "{}", String::from_utf8_lossy(&bad));
        assert!(matches!(Journal::open(&path), Err(JournalError::Broken { .. })));
        assert_eq!(std::fs::read(head::path_of(&path)).unwrap(), bad, "evidence is kept");
    }
}

#[test]
fn by_any_name_it_is_one_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (link, real) = (dir.path().join("link"), dir.path().join("real"));
    std::os::unix::fs::symlink("real", &link).unwrap();
    let mut first = Journal::open(&link).unwrap();
    first.append(&entry(0)).unwrap();
    assert!(matches!(Journal::open(&real), Err(JournalError::Busy(_))));
    drop(first);
    Journal::open(&real).unwrap().append(&entry(1)).unwrap();
    Journal::open(&link).unwrap().append(&entry(2)).unwrap();
    for name in [&link, &real] {
        assert_eq!(verify(name).unwrap().records.len(), 3);
    }
}

#[test]
fn what_is_moved_replaced_or_written_while_it_is_open_gets_nothing_more() {
    type Change = fn(&Path);
    let changes: [Change; 5] = [
        |path| std::fs::rename(path, path.with_extension("1")).unwrap(),
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            std::fs::rename(path, path.with_extension("1")).unwrap();
            std::fs::copy(path.with_extension("1"), path).unwrap();
        },
        |path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"x\n").unwrap(),
        |path| OpenOptions::new().write(true).open(path).unwrap().set_len(3).unwrap(),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let (_dir, path) = journal(2);
        let mut open = Journal::open(&path).unwrap();
        let head = std::fs::read(head::path_of(&path)).unwrap();
        change(&path);
        assert!(matches!(open.append(&entry(2)), Err(JournalError::Changed(_))), "change {i}");
        assert!(matches!(open.append(&entry(2)), Err(JournalError::Stuck(_))), "change {i}");
        assert_eq!(open.records().len(), 2);
        assert_eq!(std::fs::read(head::path_of(&path)).unwrap(), head, "change {i}");
    }
}

#[test]
fn an_entry_that_could_not_be_written_is_not_there() {
    // No room for the head: its place is taken by a folder that nothing can be removed from.
    let (_dir, path) = journal(2);
    let before = std::fs::read(&path).unwrap();
    let mut open = Journal::open(&path).unwrap();
    let new = PathBuf::from(format!("{}.new", head::path_of(&path).display()));
    std::fs::create_dir(&new).unwrap();
    assert!(matches!(open.append(&entry(2)), Err(JournalError::Io(..))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_dir(&new).unwrap();
    assert_eq!(open.append(&entry(2)).unwrap(), 3);
    drop(open);
    assert_eq!(verify(&path).unwrap().records.len(), 3);
}

#[test]
fn order_is_by_number_whatever_the_clock_says() {
    let (_dir, path) = journal(0);
    let mut last = check::NOTHING.to_owned();
    let mut text = Vec::new();
    for (n, at) in
        ["2026-01-02T00:00:00.000Z", "2026-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"].iter().enumerate()
    {
        let record = Record { seq: n as u64 + 1, at: (*at).into(), prev: last, entry: entry(n as u64) };
        let line = serde_json::to_vec(&record).unwrap();
        last = check::hash(&line);
        text.extend([&line[..], b"\n"].concat());
    }
    std::fs::write(&path, text).unwrap();
    set_head(&path, 3, &last);
    assert_eq!(Journal::open(&path).unwrap().append(&entry(3)).unwrap(), 4);
    assert_eq!(verify(&path).unwrap().records.len(), 4);
}

#[test]
fn a_crash_at_any_byte_loses_nothing_that_was_promised() {
    let (_dir, path) = journal(3);
    let full = std::fs::read(&path).unwrap();
    let two: usize = full.split_inclusive(|b| *b == b'\n').take(2).map(<[u8]>::len).sum();
    for cut in two..=full.len() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("j");
        std::fs::write(&copy, &full[..cut]).unwrap();
        // The head is written after the line.
        set_head(&copy, 2, &check::read(&full[..two]).unwrap().last);
        let mut opened = Journal::open(&copy).unwrap();
        let whole = cut == full.len();
        assert_eq!(opened.records().len(), if whole { 3 } else { 2 }, "cut at {cut}");
        assert_eq!(opened.torn().is_some(), !whole && cut > two, "cut at {cut}");
        if opened.torn().is_some() {
            assert_eq!(std::fs::read(dir.path().join("j.torn-1")).unwrap(), &full[two..cut]);
        }
        opened.append(&entry(9)).unwrap();
        drop(opened);
        verify(&copy).unwrap();
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_an_error_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(read) = check::read(&bytes) {
            prop_assert!(read.records.is_empty());
        }
    }
}
