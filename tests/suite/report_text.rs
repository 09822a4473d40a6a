//! What people see: text and the summary.
#![allow(clippy::unwrap_used)]

use crate::report_samples::*;
use insta::assert_snapshot;
use unsprawl::model::*;
use unsprawl::report::{Format, Options, Style, summary};

#[test]
fn clean_is_silent() {
    let cut = Report { note_counts: vec![(NoteKind::TooLarge, 1)], ..Report::default() };
    assert_eq!(plain(Format::Text, &Report::default()), "");
    assert_eq!(plain(Format::Text, &cut), "");
}

#[test]
fn everything_as_text() {
    assert_snapshot!(plain(Format::Text, &everything()), @r"
    Acme acme.token  acme.token
      value        qWn7…(40)
      confidence   certain
      validity     unknown (not checked)
      fingerprint  ab0a3bc710fab89c
      user         deploy\u{1b}[31m
      url          https://bob:(redacted)@db.example.org/x
      session      a-se…(28)
      docs         https://docs.example.org/tokens#revoke it
      introduced   010101010101  2024-05-01T10:00:00+02:00  Jane <jane@example.org>
      removed      090909090909  impossible date (9223372036854775747 s since 1970)  Jane <jane@example.org>
      now          in 2 branches, not at HEAD
      note         commit 01 is dated after its child
      places       3
      first        config/prod.env:3:8  in .
                   010101010101  2024-05-01T10:00:00+02:00  Jane <jane@example.org>
                   Change 1
                   in 3 versions of the file, no longer at HEAD or in a branch
      newest       deploy/b\xfcro \u{202e}.yml:3:8  in .
                   encoded as base64 of gzip
                   020202020202  2024-05-02T10:00:00+02:00  Jane <jane@example.org>
                   Change 2
                   still there at HEAD or in a branch
                   and 1 more place

    SSH: Private key  ssh.key
      value        ...…(22) (encrypted: protected by a passphrase)
      confidence   high
      validity     unknown (not checked)
      fingerprint  ba751e6e1ea242c0
      places       2
      first        commit 040404040404:3:8  in .
                   040404040404  1970-01-01T01:59:55+02:00  Jane <jane@example.org>
                   Change 4
                   reachable from a ref
      also         blob b0b0b0b0b0b0:3:8  in .
                   object b0b0b0b0b0b0
                   reachable from no ref

    Acme acme.other  acme.other
      value        qWn7…(24)
      confidence   medium
      validity     active
                   limited by IP address
                   asked 2024-05-01T08:00:00Z
      principal    jane\u{1b}[31m Jane Doe <jane@example.org> id 42 (user)
                   of Acme
                   key id k-1
                   may repo, admin:org
                   created 2024-01-02T03:04:05Z
                   expires never
                   plan free
      identity     <jane@example.org>
      fingerprint  4dd91f3e26a1e189
      places       4
      first        staged.txt:3:8  in .
                   object b0b0b0b0b0b0
                   staged, in no commit
      newest       /abs/one.txt:3:8  in https://me:(redacted)@example.org/team/repo.git
                   and 2 more places

    Acme generic.password  generic.password
      value        …(3)
      confidence   low
      validity     inactive
      fingerprint  c72f81e3271834af
      place        a:b c/%2e[1]{0}.txt:3:8  in .
    ");
}

#[test]
fn one_place_of_a_named_folder() {
    let mut r = report(vec![finding("a.b", Confidence::High, &value(30), vec![place(PlaceKind::File, b"x.env")])]);
    r.targets = vec![target("src/app/", "folder", Some("src/app/"))];
    assert_snapshot!(plain(Format::Text, &r), @r"
    Acme a.b  a.b
      value        qWn7…(30)
      confidence   high
      validity     unknown (not checked)
      fingerprint  23204a6cc14885a2
      place        src/app/x.env:3:8
    ");
}

#[test]
fn more_places_than_are_shown() {
    let places = (1..=9).map(|i| git_place(PlaceKind::Blob, format!("f{i}").as_bytes(), Some(commit(i, MAY))));
    let r = report(vec![finding("a.b", Confidence::High, &value(30), places.collect())]);
    let addresses = |most| {
        let out = shown(Format::Text, &r, &Options { max_locations_text: most, ..Options::default() });
        let lines = out.lines().filter(|l| l.contains(":3:8") || l.contains("more place"));
        lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ")
    };
    assert_snapshot!(addresses(0), @r"first f1:3:8; and 8 more places");
    assert_snapshot!(addresses(2), @r"first f1:3:8; newest f9:3:8; and 7 more places");
    assert_snapshot!(addresses(8), @r"first f1:3:8; also f2:3:8; also f3:3:8; also f4:3:8; also f5:3:8; also f6:3:8; also f7:3:8; newest f9:3:8; and 1 more place");
    assert_snapshot!(addresses(100), @r"first f1:3:8; also f2:3:8; also f3:3:8; also f4:3:8; also f5:3:8; also f6:3:8; also f7:3:8; also f8:3:8; newest f9:3:8");
}

#[test]
fn most_certain_first() {
    let at = |rule, confidence| finding(rule, confidence, &value(30), vec![place(PlaceKind::File, b"x")]);
    let r =
        report(vec![at("a.low", Confidence::Low), at("a.certain", Confidence::Certain), at("a.low2", Confidence::Low)]);
    let text = plain(Format::Text, &r);
    let rules: Vec<&str> = text.lines().filter_map(|l| l.split_once("  a.").map(|(_, rule)| rule)).collect();
    assert_eq!(rules, ["certain", "low", "low2"]);
}

#[test]
fn colours_change_nothing_else() {
    let coloured = shown(Format::Text, &everything(), &Options { color: true, ..Options::default() });
    assert!(coloured.contains("\u{1b}[1m\u{1b}[31mcertain\u{1b}[0m"));
    let mut rest = coloured.as_str();
    let mut without = String::new();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        without.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(without + rest, plain(Format::Text, &everything()));
}

#[test]
fn summaries() {
    assert_snapshot!(summary(&everything(), Style::new(false)), @r"
    4 credentials found (1 certain, 1 high, 1 medium, 1 low) in 10 places.
    Scanned 1,234 files, 1 git object, 2 archive members, 5.0 MiB in 1 min 1 s.
    Left out 1 hit because of a comment that asks to ignore the line.
    too-large: 3 files larger than the limit (--max-file-size raises it)
      big.bin: 12 GB
      and 2 more
    git-ignored: 12 entries left out by .gitignore (--no-ignore scans them)
    git-damaged: 1 git object, pack or index is damaged (git fsck tells more; all the rest was scanned)
      pack-1: bad [link](https://x) {0}
    other: 1 further note
      hello
    Not everything was scanned: the scan is incomplete (exit code 3).
    ");
    assert_snapshot!(summary(&Report::default(), Style::new(false)), @r"
    No credentials found.
    Scanned 0 B in 0 ms.
    ");
}

#[test]
fn a_summary_shows_some_examples_of_what_cut_the_scan() {
    let note = |i| Note { kind: NoteKind::Unreadable, place: format!("dir/{i:03}"), detail: "denied".into() };
    let r = Report {
        notes: (0..200).map(note).collect(),
        note_counts: vec![(NoteKind::Unreadable, 1500)],
        ..Report::default()
    };
    let text = summary(&r, Style::new(false));
    assert_eq!(text.matches("dir/").count(), 10);
    assert!(text.contains("unreadable: 1,500 entries could not be read (check the permissions)"), "{text}");
    assert!(text.contains("and 1,490 more"), "{text}");
}
