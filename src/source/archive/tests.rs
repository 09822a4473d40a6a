//! Archives as tools make them, and as an enemy would.
#![allow(clippy::unwrap_used)]

mod damage;

use std::io::{Cursor, Write};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};
use proptest::prelude::*;

use super::*;
use crate::model::NoteKind;
use crate::notes::printable;
use crate::source::pieces::testing::*;
use crate::source::{OVERLAP, PIECE, Piece};

/// What came of one archive.
struct Seen {
    sink: Collect,
    counts: Vec<(NoteKind, u64)>,
    done: Expanded,
}

fn limits() -> Limits {
    Limits::default()
}

/// Expands from memory and from a file, which must give the same.
fn look_with(bytes: &[u8], limits: &Limits) -> Seen {
    let format = sniff(&bytes[..bytes.len().min(HEAD)]).expect("an archive");
    let (notes, sink) = (Notes::default(), Collect::default());
    let done = expand(Data::Memory(bytes), format, &origin("x"), limits, &notes, &sink);
    let counts = notes.take().1;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let (file_notes, file_sink) = (Notes::default(), Collect::default());
    let data = Data::File { file: &file, start: 0, len: bytes.len() as u64 };
    assert_eq!(expand(data, format, &origin("x"), limits, &file_notes, &file_sink), done);
    assert_eq!(file_notes.take().1, counts);
    assert!(file_sink.pieces() == sink.pieces());
    Seen { sink, counts, done }
}

fn look(bytes: &[u8]) -> Seen {
    look_with(bytes, &limits())
}

/// Where the pieces stand, when nothing is to be noted.
fn names(bytes: &[u8]) -> Vec<String> {
    let seen = look(bytes);
    assert_eq!(seen.counts, []);
    seen.sink.names()
}

fn zip_of(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    zip_of(members, CompressionMethod::Deflated)
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(bytes, 3).unwrap()
}

type Packer = fn(&[u8]) -> Vec<u8>;
const PACKERS: [Packer; 4] = [gzip, bzip2, xz, zst];

/// Text that does not shrink much.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let step = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        b"0123456789abcdefghijklmnopqrstuvwxyz\nABCDEFGHIJKLMNOPQRSTUVWXY"[(state >> 58) as usize % 62]
    };
    (0..len).map(step).collect()
}

#[test]
fn every_format_is_told_and_opened() {
    let members: [(&str, &[u8]); 3] = [("a.txt", b"first"), ("d/e.txt", b"second"), ("f", &noise(70_000))];
    let expected = ["x!a.txt", "x!d/e.txt", "x!f"];
    for method in
        [CompressionMethod::Stored, CompressionMethod::Deflated, CompressionMethod::Bzip2, CompressionMethod::Zstd]
    {
        let archive = zip_of(&members, method);
        assert_eq!(names(&archive), expected, "{method}");
        assert_eq!(look(&archive).done, Expanded { members: 3, bytes: 70_011 });
    }
    let tar = tar_of(&members);
    assert_eq!(names(&tar), expected);
    for pack in PACKERS {
        assert_eq!(names(&pack(&tar)), expected);
        let seen = look(&pack(b"only\nthis"));
        assert_eq!((seen.sink.names(), seen.counts), (vec!["x!x".to_string()], vec![]));
        assert_eq!(seen.sink.pieces()[0].bytes, b"only\nthis");
    }
}

#[test]
fn archives_nest_in_any_order() {
    let inner = zipped(&[("deep.txt", b"found"), ("more.tgz", &gzip(&tar_of(&[("t", b"too")])))]);
    for pack in PACKERS {
        let outer = zipped(&[("l/m.tar", &tar_of(&[("n.packed", &pack(&inner)), ("side", b"s")]))]);
        let middle = "x!l/m.tar!n.packed!n.packed";
        let deep = [format!("{middle}!deep.txt"), format!("{middle}!more.tgz!t"), "x!l/m.tar!side".to_string()];
        assert_eq!(names(&outer), deep);
    }
    // A zip in a zip without compression is read where it stands.
    assert_eq!(names(&zip_of(&[("in.jar", &inner)], CompressionMethod::Stored)).len(), 2);
}

#[test]
fn a_nested_zip_longer_than_the_first_look_is_held() {
    let inner = zipped(&[("a", &noise(300_000)), ("b", b"end")]);
    assert_eq!(names(&gzip(&tar_of(&[("in.zip", &inner), ("after", b"x")]))), ["x!after", "x!in.zip!a", "x!in.zip!b"]);
}

#[test]
fn nesting_stops_at_the_limit_and_says_so() {
    let mut bytes = tar_of(&[("secret", b"plain to see")]);
    for _ in 0..3 {
        bytes = tar_of(&[("in.tar", &bytes)]);
    }
    let all = look_with(&bytes, &Limits { depth: 4, ..limits() });
    assert_eq!((all.sink.names(), all.counts), (vec!["x!in.tar!in.tar!in.tar!secret".to_string()], vec![]));
    for depth in 0..4 {
        let cut = look_with(&bytes, &Limits { depth, ..limits() });
        assert_eq!(cut.counts, [(NoteKind::ArchiveDepth, 1)]);
        assert!(cut.sink.has(b"plain to see"), "what is not opened is text");
    }
    let mut onion = b"core".to_vec();
    for _ in 0..100 {
        onion = gzip(&onion);
    }
    assert_eq!(look(&onion).counts, [(NoteKind::ArchiveDepth, 1)]);
}

#[test]
fn names_are_only_names() {
    let hostile = ["../../etc/passwd", "/abs", "c:\\win\\..\\x", "new\nline", "esc\u{1b}[2J", "\u{202e}txt"];
    let members: Vec<(&str, &[u8])> = hostile.iter().map(|n| (*n, &b"x"[..])).collect();
    let mut shown: Vec<String> = hostile.iter().map(|n| format!("x!{}", printable(n.as_bytes()))).collect();
    shown.sort();
    assert_eq!(names(&zipped(&members)), shown);
    let mut tar = ::tar::Builder::new(Vec::new());
    for name in hostile {
        let mut header = ::tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(1);
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
    }
    assert_eq!(names(&tar.into_inner().unwrap()), shown);
    assert!(shown.iter().all(|name| !name.contains(['\n', '\u{1b}', '\u{202e}'])));
}

#[test]
fn members_of_one_name_are_all_seen() {
    let mut bytes = zipped(&[("same", b"one"), ("sama", b"two")]);
    while let Some(i) = memchr::memmem::find(&bytes, b"sama") {
        bytes[i + 3] = b'e';
    }
    let seen = look(&bytes);
    assert!(seen.sink.has(b"one") && seen.sink.has(b"two"));
    assert_eq!(seen.counts, []);
}

#[test]
fn long_members_come_in_pieces_with_right_lines() {
    let mut text = noise(PIECE + 5000);
    text[PIECE + 100] = b'\n';
    let newlines = |part: &[u8]| part.iter().filter(|b| **b == b'\n').count() as u64;
    for archive in [zipped(&[("m", &text)]), gzip(&tar_of(&[("m", &text)])), zst(&text)] {
        let pieces = look(&archive).sink.pieces();
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[1].at.offset, (PIECE - OVERLAP) as u64);
        assert_eq!(pieces[1].at.lines, newlines(&text[..PIECE - OVERLAP]));
        assert_eq!(pieces[1].bytes, text[PIECE - OVERLAP..]);
    }
}

#[test]
fn zips_of_all_makes() {
    let text = noise(2000);
    // Streamed: lengths stand behind the members.
    let mut streamed = ZipWriter::new_stream(Vec::new());
    streamed.start_file("s", SimpleFileOptions::default()).unwrap();
    streamed.write_all(&text).unwrap();
    assert_eq!(names(&streamed.finish().unwrap().into_inner()), ["x!s"]);
    // zip64 fields, a comment that looks like an end, an empty archive, folders.
    let mut big = ZipWriter::new(Cursor::new(Vec::new()));
    big.add_directory("folder/", SimpleFileOptions::default()).unwrap();
    big.start_file("folder/b", SimpleFileOptions::default().large_file(true)).unwrap();
    big.write_all(&text).unwrap();
    big.set_comment("PK\u{5}\u{6} and so on, long enough to be a record").unwrap();
    assert_eq!(names(&big.finish().unwrap().into_inner()), ["x!folder/b"]);
    assert_eq!(names(&zipped(&[])), Vec::<String>::new());
    // An archive behind another, both beginning like a zip: offsets of the second do not count the first.
    let two = [zipped(&[("one", b"1")]), zipped(&[("two", b"2")])].concat();
    assert_eq!(names(&two), ["x!one", "x!two"]);
}

#[test]
fn a_false_or_lost_directory_hides_nothing() {
    let good = zipped(&[("a", b"alpha"), ("b", &noise(3000)), ("c", b"gamma")]);
    let directory = memchr::memmem::find(&good, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::rfind(&good, b"PK\x05\x06").unwrap();
    let all = ["x!a", "x!b", "x!c"];
    let mut lost = good[..directory].to_vec();
    let mut misled = good.clone();
    misled[directory + 42] ^= 0x15; // offset of the first member
    let mut cut_short = good.clone();
    cut_short[end + 10] = 9; // says nine members
    let mut garbage = good.clone();
    garbage[directory + 1] = b'X';
    for (case, bytes) in [("lost", &lost), ("misled", &misled), ("cut short", &cut_short), ("garbage", &garbage)] {
        let seen = look(bytes);
        assert_eq!(seen.sink.names(), all, "{case}");
        assert_eq!(seen.counts, [(NoteKind::ArchiveDamaged, 1)], "{case}");
    }
    // An empty directory put behind: sound in itself, so nothing is damaged, yet all is seen.
    let mut emptied = good.clone();
    emptied.extend_from_slice(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(names(&emptied), all);
    lost.truncate(lost.len() - 4);
    assert!(look(&lost).sink.has(b"alpha"));
}

#[test]
fn encrypted_members_are_named_and_the_others_seen() {
    let mut bytes = zipped(&[("locked", b"hidden"), ("open", b"seen")]);
    let central = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
    bytes[6] |= 1;
    bytes[central + 8] |= 1;
    let seen = look(&bytes);
    assert_eq!(seen.sink.names(), ["x!open"]);
    assert_eq!(seen.counts, [(NoteKind::ArchiveEncrypted, 1)]);
}

#[test]
fn an_unknown_method_is_told() {
    let mut bytes = zipped(&[("odd", b"1"), ("fine", b"2")]);
    let central = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
    bytes[central + 10] = 9;
    let seen = look(&bytes);
    assert!(seen.sink.names().contains(&"x!fine".to_string()));
    assert_eq!(seen.counts[0].0, NoteKind::ArchiveDamaged);
}

/// Keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn piece(&self, _: Piece<'_>) {}
}

#[test]
fn bombs_are_cut_and_told() {
    let zeros = vec![0; 96 << 20];
    let gz = gzip(&zeros);
    for bomb in [gzip(&gz), gz, zst(&zeros), zipped(&[("a", &zeros), ("b", &zeros)])] {
        let notes = Notes::default();
        let format = sniff(&bomb).unwrap();
        let done = expand(Data::Memory(&bomb), format, &origin("x"), &limits(), &notes, &Nothing);
        assert_eq!(notes.take().1, [(NoteKind::ArchiveSize, 1)]);
        let allowed = FREE + RATIO * bomb.len() as u64;
        assert!(done.bytes <= allowed && done.bytes + (1 << 20) >= allowed, "{done:?}");
    }
    let small = Limits { expanded: 1 << 20, ..limits() };
    assert_eq!(look_with(&zipped(&[("a", &noise(1 << 20)), ("b", b"")]), &small).counts, []);
    assert_eq!(look_with(&zipped(&[("a", &noise(1 << 20)), ("b", b"1")]), &small).counts, [(NoteKind::ArchiveSize, 1)]);
}

#[test]
fn overlapping_members_count_each_time_and_equal_ones_once() {
    let zeros = vec![0; 12 << 20];
    let one = zipped(&[("a", &zeros)]);
    let central = memchr::memmem::find(&one, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::find(&one, b"PK\x05\x06").unwrap();
    let entry = &one[central..end];
    // A thousand entries for one member: looked at once.
    let mut same = one[..central].to_vec();
    same.extend_from_slice(&entry.repeat(1000));
    same.extend_from_slice(&one[end..]);
    let n = same.len() - (one.len() - end);
    same[n + 10..n + 12].copy_from_slice(&1000u16.to_le_bytes());
    same[n + 12..n + 16].copy_from_slice(&(1000 * entry.len() as u32).to_le_bytes());
    let seen = look(&same);
    assert_eq!((seen.done.members, seen.counts), (1, vec![]));
    // A hundred headers in front of one stream of bytes, each taking in the headers behind it: bounded in all.
    let (mut quoted, mut entries, mut body) = (Vec::new(), Vec::new(), 100 * 31 + (1 << 20));
    for i in 0..100u32 {
        body -= 31;
        let mut local = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        local.extend_from_slice(&(body as u32).to_le_bytes());
        local.extend_from_slice(&(body as u32).to_le_bytes());
        local.extend_from_slice(b"\x01\0\0\0n");
        entries.extend_from_slice(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        entries.extend_from_slice(&local[18..26]);
        entries.extend_from_slice(b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0");
        entries.extend_from_slice(&(i * 31).to_le_bytes());
        entries.push(b'n');
        quoted.extend_from_slice(&local);
    }
    quoted.extend_from_slice(&noise(1 << 20));
    let start = quoted.len() as u32;
    quoted.extend_from_slice(&entries);
    quoted.extend_from_slice(b"PK\x05\x06\0\0\0\0\x64\0\x64\0");
    quoted.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    quoted.extend_from_slice(&start.to_le_bytes());
    quoted.extend_from_slice(b"\0\0");
    assert!(look(&quoted).done.members >= 100);
    let tight = look_with(&quoted, &Limits { expanded: 10 << 20, ..limits() });
    assert!(tight.counts.contains(&(NoteKind::ArchiveSize, 1)));
    assert!(tight.done.bytes <= 10 << 20);
}

#[test]
fn too_many_members_are_cut_and_told() {
    let names: Vec<String> = (0..50).map(|i| i.to_string()).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b"x"[..])).collect();
    for archive in [zipped(&members), tar_of(&members), gzip(&tar_of(&members))] {
        let seen = look_with(&archive, &Limits { members: 10, ..limits() });
        assert_eq!(seen.counts, [(NoteKind::ArchiveSize, 1)]);
        assert!((9..=10).contains(&seen.sink.pieces().len()));
        assert_eq!(look_with(&archive, &Limits { members: 51, ..limits() }).counts, []);
    }
}

#[test]
fn decoders_are_refused_huge_windows() {
    // zstd: a frame with a window of 1 GiB and one raw block.
    let zstd = b"\x28\xb5\x2f\xfd\0\xa0\x29\0\0hello";
    let seen = look(zstd);
    assert_eq!(seen.counts, [(NoteKind::ArchiveSize, 1)]);
    // xz: the dictionary of 4 GiB in the header of the first block, whose sum is made to fit again.
    let mut xz = xz(b"hello");
    let header = 12 + 4 * (usize::from(xz[12]) + 1);
    let property = (13..header).find(|i| xz[i - 1] == 1 && xz[i - 2] == 0x21).unwrap();
    xz[property] = 40;
    let sum = crc32fast::hash(&xz[12..header - 4]);
    xz[header - 4..header].copy_from_slice(&sum.to_le_bytes());
    let seen = look(&xz);
    assert_eq!(seen.counts, [(NoteKind::ArchiveSize, 1)]);
}

#[test]
fn gzip_of_several_members_and_what_stands_behind() {
    let two = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(look(&two).sink.pieces()[0].bytes, b"one two");
    let padded = [&two[..], &[0; 700]].concat();
    assert_eq!(names(&padded), ["x!x"]);
    let followed = [&two[..], b"rest"].concat();
    let seen = look(&followed);
    assert_eq!(seen.counts, [(NoteKind::ArchiveDamaged, 1)]);
    assert_eq!(seen.sink.pieces()[0].bytes, b"one two");
    let mut named = flate2::GzBuilder::new().filename("orig\nname").write(Vec::new(), flate2::Compression::fast());
    named.write_all(b"1").unwrap();
    assert_eq!(names(&named.finish().unwrap()), ["x!orig\\nname"]);
    let at = Origin { path: b"dir/backup.tar.gz".to_vec(), ..origin("") };
    assert_eq!(packed::name(Format::Gzip, &at, Some(b"other".to_vec())), "backup.tar");
}

#[test]
fn what_only_begins_like_an_archive_is_text() {
    let texts: [&[u8]; 5] = [
        b"PK\x03\x04 is how a zip begins, password=x",
        b"\x1f\x8b\x08\0 password=x, or rather not gzip",
        b"BZh91AY&SY password=x",
        b"\xfd7zXZ\0 password=x",
        b"\x28\xb5\x2f\xfd\x7f password=x",
    ];
    for text in texts {
        let seen = look(text);
        assert!(seen.sink.pieces().iter().any(|k| k.bytes == text && k.origin.member.is_empty()), "{text:?}");
        assert_eq!(seen.counts.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [NoteKind::ArchiveDamaged]);
    }
    for text in [&b"PKWARE"[..], b"BZh9 is bzip2", b"\x1f\x8b", b"ustar", &noise(600)] {
        assert_eq!(sniff(text), None);
    }
}
