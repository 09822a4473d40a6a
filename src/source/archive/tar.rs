//! Tar: v7, ustar, GNU and pax.
//!
//! Contract: reads from start to end in bounded memory, never back; a damaged header costs what stands up to the next
//! sound one; archives that were appended behind the end mark are read too.

use std::io::{self, BufRead, Read};

use crate::source::Origin;
use crate::source::archive::expander::Expander;

const BLOCK: usize = 512;
/// Longest pax header or GNU long name that is looked at.
const MAX_META: u64 = 64 << 10;

/// What a header says.
struct Header {
    name: Vec<u8>,
    size: u64,
    kind: u8,
    /// Old GNU sparse file with more of its map in the following blocks.
    more_map: bool,
}

/// What the headers before that of a file say about it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Whether this is the header of a member: the sum that every tar has had since 1979 must fit.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else { return false };
    let Some(declared) = number(&block[148..156]).filter(|n| *n > 0) else { return false };
    let sums = block.iter().enumerate().fold((0u64, 0i64), |(unsigned, signed), (i, b)| {
        let b = if (148..156).contains(&i) { b' ' } else { *b };
        (unsigned + u64::from(b), signed + i64::from(b as i8))
    });
    declared == sums.0 || i64::try_from(declared) == Ok(sums.1)
}

/// A number field: octal digits, or (first bit set) the bytes of a big-endian number.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        let negative = field[0] & 0x40 != 0;
        let high_empty = high.iter().enumerate().all(|(i, b)| *b == if i == 0 { 0x80 } else { 0 });
        let low = low.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        return (!negative).then_some(if high_empty { low } else { u64::MAX });
    }
    let digits = field.trim_ascii_start();
    let digits = &digits[digits.iter().take_while(|b| **b == 0).count()..];
    let end = digits.iter().position(|b| *b == b' ' || *b == 0).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => Some(n << 3 | u64::from(b - b'0')),
        _ => None,
    })
}

fn text(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

fn parse(block: &[u8; BLOCK]) -> Header {
    let mut name = Vec::new();
    let prefix = text(&block[345..500]);
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
        name.extend_from_slice(prefix);
        name.push(b'/');
    }
    name.extend_from_slice(text(&block[..100]));
    let kind = block[156];
    // A size that is no number: nothing is known of where the next header stands; it is searched for.
    let size = number(&block[124..136]).unwrap_or(0);
    Header { name, size, kind, more_map: kind == b'S' && block[482] != 0 }
}

/// Reads all members.
pub(super) fn read(ex: &Expander<'_>, reader: &mut dyn BufRead, at: &mut Origin, depth: u32) {
    let mut ahead = Ahead::default();
    let mut lost = false;
    let mut block = [0; BLOCK];
    while ex.cut.get().is_none() {
        match read_block(reader, &mut block) {
            Ok(0) => return,
            Ok(BLOCK) => {}
            Ok(n) => {
                if block[..n].iter().any(|b| *b != 0) && !lost {
                    ex.damaged(at, "ends inside a header");
                }
                return;
            }
            Err(e) => return ex.failed(&e, at),
        }
        if is_header(&block) {
            lost = false;
            if !entry(ex, reader, &parse(&block), &mut ahead, at, depth) {
                return;
            }
        } else if block.iter().any(|b| *b != 0) && !lost {
            lost = true;
            ex.damaged(at, "a header is damaged: going on with the next sound one");
        }
    }
}

/// Reads what belongs to one header. `false` if the archive ends within it.
fn entry(
    ex: &Expander<'_>,
    reader: &mut dyn BufRead,
    header: &Header,
    ahead: &mut Ahead,
    at: &mut Origin,
    depth: u32,
) -> bool {
    let faults = ex.faults.get();
    let mut size = header.size;
    match header.kind {
        b'L' | b'x' | b'X' => {
            let mut meta = Vec::new();
            let read = Read::take(&mut *reader, size.min(MAX_META)).read_to_end(&mut meta);
            if header.kind == b'L' {
                ahead.name = Some(text(&meta).to_vec());
            } else {
                pax(&meta, ahead);
            }
            let left = if read.is_ok() { size - meta.len() as u64 } else { u64::MAX };
            return skip(ex, reader, left, size, faults, at);
        }
        b'K' | b'g' => return skip(ex, reader, size, size, faults, at),
        _ => {}
    }
    let Ahead { name, size: real } = std::mem::take(ahead);
    match header.kind {
        // Directories, devices and links have no data, whatever their size field says.
        b'2'..=b'6' => return true,
        b'1' => size = 0,
        _ => {}
    }
    size = real.unwrap_or(size);
    if header.more_map && !skip_map(reader) {
        ex.damaged(at, "ends inside the map of a sparse file");
        return false;
    }
    let mut body = Read::take(&mut *reader, size);
    if size > 0 {
        ex.member(name.as_ref().unwrap_or(&header.name), &mut body, at, depth);
    }
    let left = body.limit();
    skip(ex, reader, left, size, faults, at)
}

/// Goes behind the data of a member, of which `left` bytes were not read, and its padding. If that is not all there, says
/// so unless some fault was noted since there were `faults` of them.
fn skip(ex: &Expander<'_>, reader: &mut dyn BufRead, left: u64, size: u64, faults: u64, at: &Origin) -> bool {
    let skipped = io::copy(&mut Read::take(&mut *reader, left), &mut io::sink());
    let whole = matches!(skipped, Ok(n) if n == left);
    if !whole {
        if ex.faults.get() == faults {
            match skipped {
                Err(e) => ex.failed(&e, at),
                Ok(_) => ex.damaged(at, "ends inside a member"),
            }
        }
        return false;
    }
    let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    match io::copy(&mut Read::take(reader, padding), &mut io::sink()) {
        Ok(n) => n == padding,
        Err(e) => {
            ex.failed(&e, at);
            false
        }
    }
}

/// Goes behind the blocks that hold the rest of the map of an old GNU sparse file.
fn skip_map(reader: &mut dyn BufRead) -> bool {
    let mut block = [0; BLOCK];
    while matches!(read_block(reader, &mut block), Ok(BLOCK)) {
        if block[504] == 0 {
            return true;
        }
    }
    false
}

fn read_block(reader: &mut dyn BufRead, block: &mut [u8; BLOCK]) -> io::Result<usize> {
    let mut n = 0;
    while n < BLOCK {
        match reader.read(&mut block[n..]) {
            Ok(0) => break,
            Ok(k) => n += k,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// Takes name and size from the records of a pax header: `<length> <key>=<value>\n`.
fn pax(mut records: &[u8], ahead: &mut Ahead) {
    while let Some(space) = memchr::memchr(b' ', records) {
        let length = std::str::from_utf8(&records[..space]).ok().and_then(|n| n.parse::<usize>().ok());
        let Some(record) = length.and_then(|n| records.get(space + 1..n)) else { return };
        records = &records[space + 1 + record.len()..];
        let Some(equals) = memchr::memchr(b'=', record) else { continue };
        let value = record[equals + 1..].strip_suffix(b"\n").unwrap_or(&record[equals + 1..]);
        match &record[..equals] {
            b"path" | b"GNU.sparse.name" => ahead.name = Some(text(value).to_vec()),
            b"size" => ahead.size = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok()).or(ahead.size),
            _ => {}
        }
    }
}
