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
            by: "holder".into(),
            effect: "revoke".into(),
            place: "https://a.example".into(),
            undo: false,
        },
        _ => Entry::Outcome {
            run: "r".into(),
            plan: "p".into(),
            intent: Some(n - 1),
            item,
            outcome: "revoked".into(),
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
    assert_eq!(write(&[0, 1, 2, 3]), (false, false), "without a head nobody knows");
    std::fs::remove_file(&path).unwrap();
    assert!(verify(&path).is_err());
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
        head::write(&copy, 2, &check::read(&full[..two]).unwrap().last).unwrap();
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
