//! Zip: by its central directory, and by the headers of the members themselves where that is damaged.
//!
//! Contract: the directory is read entry by entry and never held; each member is looked at once, however many entries
//! point at it and whatever it is called; sizes are used to find things and never to reserve memory.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};

use crate::model::NoteKind;
use crate::notes::printable;
use crate::source::archive::decode::Decoder;
use crate::source::archive::expander::{Expander, NAME, TOO_MANY};
use crate::source::archive::{Data, packed, place};
use crate::source::{Origin, PIECE};

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
/// The end record with the longest comment.
const MAX_END: u64 = 22 + 0xffff;

/// Where the central directory is.
#[derive(Debug, PartialEq, Eq)]
struct Directory {
    start: u64,
    entries: u64,
    /// Bytes before the archive proper, which its offsets do not count.
    shift: u64,
}

/// What an entry of the directory, or the header of a member, says.
struct Entry {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    packed: u64,
    /// Length of the text, if it is known; only a hint.
    size: u32,
    header: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Reads all members.
pub(super) fn read(ex: &Expander<'_>, data: Data<'_>, at: &mut Origin, depth: u32) {
    let faults = ex.faults.get();
    let mut seen = HashSet::new();
    match directory(data) {
        Ok(Some(directory)) => by_directory(ex, data, &directory, &mut seen, at, depth),
        Ok(None) => ex.damaged(at, "no central directory: looking for members one by one"),
        Err(e) => ex.failed(&e, at),
    }
    // Where the first member is not listed, archives were joined or the directory is a false one.
    let unlisted = !seen.contains(&0) && matches!(data.array::<4>(0), Ok(LOCAL));
    if ex.faults.get() > faults || unlisted {
        by_headers(ex, data, &mut seen, at, depth);
    }
}

/// Finds the central directory from the end of the archive.
fn directory(data: Data<'_>) -> io::Result<Option<Directory>> {
    let len = data.len();
    let tail_start = len.saturating_sub(MAX_END);
    let mut tail = vec![0; (len - tail_start) as usize];
    let n = data.read_at(tail_start, &mut tail)?;
    tail.truncate(n);
    for i in memchr::memmem::rfind_iter(&tail, &END) {
        let end = &tail[i..];
        if end.len() < 22 || 22 + usize::from(u16_at(end, 20)) > end.len() {
            continue;
        }
        if let Some(directory) = directory_of(data, end, tail_start + i as u64)? {
            return Ok(Some(directory));
        }
    }
    Ok(None)
}

/// The directory that the end record `end`, which stands at `at`, leads to; `None` if there is none.
fn directory_of(data: Data<'_>, end: &[u8], at: u64) -> io::Result<Option<Directory>> {
    let (mut entries, mut size, mut offset) =
        (u64::from(u16_at(end, 10)), u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
    let mut after = at; // where the directory ends
    if let Some(locator_at) = at.checked_sub(20) {
        let locator: [u8; 20] = data.array(locator_at)?;
        if locator[..4] == LOCATOR64 {
            for record_at in [u64_at(&locator, 8), locator_at.saturating_sub(56)] {
                let mut record = [0; 56];
                if data.read_at(record_at, &mut record)? == 56 && record[..4] == END64 {
                    (entries, size, offset) = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
                    after = record_at;
                    break;
                }
            }
        }
    }
    let found = |start: u64| -> io::Result<bool> {
        let mut magic = [0; 4];
        Ok(data.read_at(start, &mut magic)? == 4 && (magic == CENTRAL || entries == 0))
    };
    match after.checked_sub(size).filter(|start| *start >= offset) {
        Some(start) if found(start)? => return Ok(Some(Directory { start, entries, shift: start - offset })),
        _ => {}
    }
    Ok(found(offset)?.then_some(Directory { start: offset, entries, shift: 0 }))
}

fn by_directory(
    ex: &Expander<'_>,
    data: Data<'_>,
    directory: &Directory,
    seen: &mut HashSet<u64>,
    at: &mut Origin,
    depth: u32,
) {
    let mut reader = data.part(directory.start, u64::MAX).reader();
    let mut count = 0;
    while ex.cut.get().is_none() {
        let entry = match next_entry(&mut reader) {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(e) => return ex.failed(&e, at),
        };
        count += 1;
        if count > ex.limits.members {
            ex.cut.set(Some(TOO_MANY));
        }
        match entry.header.checked_add(directory.shift) {
            Some(header) if !seen.insert(header) => {}
            Some(header) => listed(ex, data, &Entry { header, ..entry }, at, depth),
            None => ex.damaged(at, "an entry of the central directory points nowhere"),
        }
    }
    if count < directory.entries && ex.cut.get().is_none() {
        ex.damaged(at, "the central directory has fewer entries than it says");
    }
}

/// The next entry of the directory; `None` behind the last one.
fn next_entry(reader: &mut impl BufRead) -> io::Result<Option<Entry>> {
    let mut fixed = [0; 46];
    let mut magic = [0; 4];
    if !matches!(read_up_to(reader, &mut magic)?, 4) || magic != CENTRAL {
        return Ok(None);
    }
    reader.read_exact(&mut fixed[4..])?;
    let mut name = vec![0; usize::from(u16_at(&fixed, 28))];
    let mut extra = vec![0; usize::from(u16_at(&fixed, 30))];
    reader.read_exact(&mut name)?;
    reader.read_exact(&mut extra)?;
    let comment = u64::from(u16_at(&fixed, 32));
    io::copy(&mut reader.take(comment), &mut io::sink())?;
    let (size, mut packed, mut header) =
        (u32_at(&fixed, 24), u64::from(u32_at(&fixed, 20)), u64::from(u32_at(&fixed, 42)));
    if let Some(mut big) = extra_field(&extra, 1) {
        // Only what does not fit its field stands here, in this order.
        let mut take = || {
            let value = u64_at(big, 0);
            big = big.get(8..).unwrap_or_default();
            value
        };
        if size == u32::MAX {
            take();
        }
        if packed == u64::from(u32::MAX) {
            packed = take();
        }
        if header == u64::from(u32::MAX) {
            header = take();
        }
    }
    Ok(Some(Entry { name, flags: u16_at(&fixed, 8), method: u16_at(&fixed, 10), packed, size, header }))
}

/// The extra field with this id.
fn extra_field(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let end = 4 + usize::from(u16_at(extra, 2));
        let field = extra.get(4..end)?;
        if u16_at(extra, 0) == id {
            return Some(field);
        }
        extra = &extra[end..];
    }
    None
}

/// A member that the directory lists.
fn listed(ex: &Expander<'_>, data: Data<'_>, entry: &Entry, at: &mut Origin, depth: u32) {
    let mut local = [0; 30];
    match data.read_at(entry.header, &mut local) {
        Ok(30) if local[..4] == LOCAL => {}
        Ok(_) => return fault(ex, at, &entry.name, "not where the central directory says"),
        Err(e) => return ex.failed(&e, at),
    }
    let start = entry.header + 30 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
    if start.saturating_add(entry.packed) > data.len() {
        fault(ex, at, &entry.name, "ends behind the end of the archive");
    }
    member(ex, entry, data.part(start, entry.packed), at, depth);
}

fn fault(ex: &Expander<'_>, at: &mut Origin, name: &[u8], detail: &str) {
    at.member.push(printable(&name[..name.len().min(NAME)]));
    ex.damaged(at, detail);
    at.member.pop();
}

/// Hands over one member, whose packed bytes are `body`.
fn member(ex: &Expander<'_>, entry: &Entry, body: Data<'_>, at: &mut Origin, depth: u32) {
    if entry.name.ends_with(b"/") && entry.packed == 0 {
        return;
    }
    if entry.flags & 1 != 0 {
        at.member.push(printable(&entry.name[..entry.name.len().min(NAME)]));
        ex.notes.add(NoteKind::ArchiveEncrypted, place(at), "encrypted");
        at.member.pop();
        return;
    }
    match body {
        // Small enough to be read at once, which makes all that follows faster.
        Data::File { len, .. } if len <= PIECE as u64 => {
            let mut buf = ex.borrow();
            buf.resize(buf.len().max(len as usize), 0);
            match body.read_at(0, &mut buf[..len as usize]) {
                Ok(n) => unpack(ex, entry, Data::Memory(&buf[..n]), at, depth),
                Err(e) => ex.failed(&e, at),
            }
            ex.give_back(buf);
        }
        body => unpack(ex, entry, body, at, depth),
    }
}

/// Hands over what a member's packed bytes hold.
fn unpack(ex: &Expander<'_>, entry: &Entry, body: Data<'_>, at: &mut Origin, depth: u32) {
    if let (8, Data::Memory(packed)) = (entry.method, body)
        && let Some(text) = ex.inflate(packed, entry.size.into())
    {
        ex.inflated_member(&entry.name, &text[..entry.size as usize], at, depth);
        return ex.give_back(text);
    }
    let decoder: io::Result<Box<dyn Read + '_>> = match entry.method {
        0 => return ex.stored_member(&entry.name, body, at, depth),
        8 => Ok(Box::new(Decoder::new(body.reader(), packed::inflate()))),
        12 => Ok(Box::new(Decoder::new(body.reader(), packed::bunzip2()))),
        93 => packed::zstd(body.reader()).map(|decoder| Box::new(decoder) as _),
        95 => packed::xz(body.reader()).map(|decoder| Box::new(decoder) as _),
        method => return fault(ex, at, &entry.name, &format!("compression method {method} is not supported")),
    };
    match decoder {
        Ok(decoder) => ex.member(&entry.name, &mut ex.meter(decoder), at, depth),
        Err(e) => ex.failed(&e, at),
    }
}

/// Looks for the headers of members that were not seen yet, from the start to the end of the archive.
fn by_headers(ex: &Expander<'_>, data: Data<'_>, seen: &mut HashSet<u64>, at: &mut Origin, depth: u32) {
    let mut from = 0;
    while ex.cut.get().is_none() {
        let (header, local) = match find(data, from, &LOCAL) {
            Ok(Some(header)) => match data.array::<30>(header) {
                Ok(local) => (header, local),
                Err(_) => return,
            },
            Ok(None) => return,
            Err(e) => return ex.failed(&e, at),
        };
        from = header + 4;
        let name_len = u16_at(&local, 26);
        if !plausible(&local) || !seen.insert(header) {
            continue;
        }
        if seen.len() as u64 > ex.limits.members {
            ex.cut.set(Some(TOO_MANY));
        }
        let mut name = vec![0; usize::from(name_len)];
        match data.read_at(header + 30, &mut name) {
            Ok(n) if n == name.len() => {}
            _ => continue,
        }
        let start = header + 30 + u64::from(name_len) + u64::from(u16_at(&local, 28));
        let (flags, method) = (u16_at(&local, 6), u16_at(&local, 8));
        let packed = match packed_len(data, start, flags, method, u32_at(&local, 18)) {
            Ok(packed) => packed,
            Err(e) => return ex.failed(&e, at),
        };
        let faults = ex.faults.get();
        member(ex, &Entry { name, flags, method, packed, size: 0, header }, data.part(start, packed), at, depth);
        if ex.faults.get() == faults && flags & 8 == 0 {
            from = start.saturating_add(packed);
        }
    }
}

/// How long the packed bytes of a member are, as far as its own header tells.
fn packed_len(data: Data<'_>, start: u64, flags: u16, method: u16, declared: u32) -> io::Result<u64> {
    let rest = data.len().saturating_sub(start);
    match declared {
        u32::MAX => Ok(rest),
        0 if flags & 8 == 0 => Ok(0),
        // The length stands behind the bytes: compressed bytes know their end, others are taken up to that mark.
        0 if method == 0 => Ok(find(data, start, &DESCRIPTOR)?.map_or(rest, |end| end - start)),
        0 => Ok(rest),
        n => Ok(u64::from(n)),
    }
}

/// Whether bytes that begin like the header of a member may well be one.
fn plausible(local: &[u8; 30]) -> bool {
    let (version, method, name) = (u16_at(local, 4) & 0xff, u16_at(local, 8), u16_at(local, 26));
    version <= 63 && matches!(method, 0 | 8 | 12 | 93 | 95) && (1..=NAME as u16).contains(&name)
}

/// The first place of `needle`, from `from` on.
fn find(data: Data<'_>, from: u64, needle: &[u8; 4]) -> io::Result<Option<u64>> {
    let mut reader = data.part(from, u64::MAX).reader();
    let (mut at, mut kept) = (from, Vec::new()); // kept: the last bytes of what was searched before
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        kept.extend_from_slice(&bytes[..bytes.len().min(3)]);
        if let Some(i) = memchr::memmem::find(&kept, needle) {
            return Ok(Some(at - (kept.len() - bytes.len().min(3)) as u64 + i as u64));
        }
        if let Some(i) = memchr::memmem::find(bytes, needle) {
            return Ok(Some(at + i as u64));
        }
        let n = bytes.len();
        if n >= 3 {
            kept.clear();
            kept.extend_from_slice(&bytes[n - 3..]);
        }
        reader.consume(n);
        at += n as u64;
    }
}

fn read_up_to(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match reader.read(&mut buf[n..]) {
            Ok(0) => break,
            Ok(k) => n += k,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}
