//! Archives and compressed streams: the text of every member, without ever writing to disk.
//!
//! Contract: what an archive declares decides nothing that is not bounded: depth, members and expanded bytes have limits
//! for the outermost archive in all, a member is held in memory up to [`PIECE`] bytes (a nested zip, which must be read
//! from its end, up to [`HELD`]), decoders may use [`WINDOW`] bytes. Whatever a limit cuts or damage hides is noted, and
//! everything else is still looked at. Names of members are only names.
//!
//! Zip and tar are read by our own code because a scanner wants what a reader for extraction refuses: members of equal
//! name, members behind damage, directories of any length in bounded memory.

mod data;
mod decode;
mod packed;
mod tar;
mod zip;

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Read};

pub use data::Data;

use crate::model::NoteKind;
use crate::notes::{Notes, printable};
use crate::source::pieces::{self, Fill, Position};
use crate::source::{Limits, Origin, PIECE, Sink};

/// How many bytes of a file [`sniff`] wants to see.
pub const HEAD: usize = 512;
/// Bytes of nested zips that are held in memory at a time.
pub const HELD: usize = 256 << 20;
/// Memory that one decoder may use for what its stream refers back to.
const WINDOW: u64 = 128 << 20;
/// What an archive may expand to whatever its size, and how often its size beyond that; [`Limits::expanded`] is the end.
const FREE: u64 = 64 << 20;
const RATIO: u64 = 200;
/// How much of a member is read to see what it is.
const FIRST: usize = 64 << 10;
/// Longest name of a member that is kept.
const NAME: usize = 4096;
const TOO_MANY: &str = "it has more members than the limit";
const TOO_LARGE: &str = "it expands to more than the limit";

/// A kind of archive or compressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// zip, and what is one: jar, whl, docx, apk.
    Zip,
    /// tar of any age.
    Tar,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

/// Tells an archive by the first [`HEAD`] bytes of a file.
pub fn sniff(head: &[u8]) -> Option<Format> {
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, b'P', b'K', 3, 4, ..] => Some(Format::Zip),
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Format::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
            if rest.starts_with(b"\x31\x41\x59\x26\x53\x59") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90") =>
        {
            Some(Format::Bzip2)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Format::Zstd),
        _ if tar::is_header(head) => Some(Format::Tar),
        _ => None,
    }
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Members looked at, those of nested archives too.
    pub members: u64,
    /// Bytes of text handed over.
    pub bytes: u64,
}

/// Hands the text of all members to the sink, at places that are `origin` with the names of the members behind it. What
/// turns out to be no archive at all is handed over as the text it is.
pub fn expand(
    data: Data<'_>,
    format: Format,
    origin: &Origin,
    limits: &Limits,
    notes: &Notes,
    sink: &dyn Sink,
) -> Expanded {
    let most = FREE.saturating_add(data.len().saturating_mul(RATIO)).min(limits.expanded);
    let expander = Expander::new(most, limits, notes, sink);
    let mut at = origin.clone();
    if limits.depth == 0 {
        expander.too_deep(&at);
        expander.text(&mut data.reader(), &mut Vec::new(), 0, &at);
    } else {
        expander.archive(data, format, &mut at, 1);
    }
    expander.finish(origin)
}

/// Like [`expand`], for what can only be read once from its start to its end. A zip is held in memory up to [`HELD`].
pub fn expand_stream(
    reader: &mut dyn Read,
    origin: &Origin,
    limits: &Limits,
    notes: &Notes,
    sink: &dyn Sink,
) -> Expanded {
    let expander = Expander::new(limits.expanded, limits, notes, sink);
    expander.content(reader, &mut origin.clone(), 0, false);
    expander.finish(origin)
}

/// What is left of the limits of one outermost archive, and where its text goes. One thread owns it.
struct Expander<'a> {
    limits: &'a Limits,
    notes: &'a Notes,
    sink: &'a dyn Sink,
    left: Cell<u64>,
    held: Cell<usize>,
    /// Why the rest is left out, if it is.
    cut: Cell<Option<&'static str>>,
    faults: Cell<u64>,
    done: Cell<Expanded>,
    scratch: RefCell<Vec<Vec<u8>>>,
}

impl<'a> Expander<'a> {
    fn new(most: u64, limits: &'a Limits, notes: &'a Notes, sink: &'a dyn Sink) -> Self {
        let (held, cut, faults, done, scratch) = Default::default();
        Self { limits, notes, sink, left: Cell::new(most), held, cut, faults, done, scratch }
    }

    fn finish(self, origin: &Origin) -> Expanded {
        if let Some(why) = self.cut.get() {
            self.notes.add(NoteKind::ArchiveSize, place(origin), why);
        }
        self.done.get()
    }

    /// Takes an archive apart that can be read at any place.
    fn archive(&self, data: Data<'_>, format: Format, at: &mut Origin, depth: u32) {
        let (faults, bytes) = (self.faults.get(), self.done.get().bytes);
        match format {
            Format::Zip => zip::read(self, data, at, depth),
            Format::Tar => tar::read(self, &mut data.reader(), at, depth),
            packed => self.packed(packed, &mut data.reader(), at, depth),
        }
        if self.faults.get() > faults && self.done.get().bytes == bytes && self.cut.get().is_none() {
            // Nothing came out: perhaps it only began like an archive.
            let mut buf = self.borrow();
            self.text(&mut data.reader(), &mut buf, 0, at);
            self.give_back(buf);
        }
    }

    /// The one member of a compressed stream.
    fn packed(&self, format: Format, reader: &mut dyn BufRead, at: &mut Origin, depth: u32) {
        let (decoder, stored_name) = match packed::open(format, reader) {
            Ok(decoder) => decoder,
            Err(e) => return self.failed(&e, at),
        };
        if !self.enter() {
            return;
        }
        let name = packed::name(format, at, stored_name);
        at.member.push(name);
        self.content(&mut self.meter(decoder), at, depth, true);
        at.member.pop();
    }

    /// One member of an archive that has many.
    fn member(&self, name: &[u8], reader: &mut dyn Read, at: &mut Origin, depth: u32) {
        if self.enter() {
            at.member.push(printable(&name[..name.len().min(NAME)]));
            self.content(reader, at, depth, false);
            at.member.pop();
        }
    }

    /// One member that is not compressed: a zip in a zip is read where it stands.
    fn stored_member(&self, name: &[u8], body: Data<'_>, at: &mut Origin, depth: u32) {
        let zip = matches!(body.array::<4>(0), Ok(magic) if sniff(&magic) == Some(Format::Zip));
        if !zip || depth >= self.limits.depth {
            return self.member(name, &mut self.meter(body.reader()), at, depth);
        }
        if !self.enter() {
            return;
        }
        match self.left.get().checked_sub(body.len()) {
            Some(left) => self.left.set(left),
            None => return self.cut.set(Some(TOO_LARGE)),
        }
        at.member.push(printable(&name[..name.len().min(NAME)]));
        self.archive(body, Format::Zip, at, depth + 1);
        at.member.pop();
    }

    /// Counts a member; `false` if a limit says that it is not to be looked at.
    fn enter(&self) -> bool {
        let mut done = self.done.get();
        if self.cut.get().is_none() && done.members >= self.limits.members {
            self.cut.set(Some(TOO_MANY));
        }
        if self.cut.get().is_some() {
            return false;
        }
        done.members += 1;
        self.done.set(done);
        true
    }

    /// Text, or one more archive: `depth` is that of the archive whose member this is. A tar that is the only content of
    /// a compressed stream (`wrapped`) is one archive with it.
    fn content(&self, reader: &mut dyn Read, at: &mut Origin, depth: u32, wrapped: bool) {
        let mut buf = self.borrow();
        let (n, end) = pieces::fill(reader, &mut buf, 0, FIRST);
        let format = sniff(&buf[..n]);
        let one = wrapped && format == Some(Format::Tar);
        let below = if one { depth } else { depth + 1 };
        match format {
            Some(format) if below <= self.limits.depth => {
                let name = if one { at.member.pop() } else { None };
                self.nested(format, reader, &mut buf, (n, end), at, below);
                at.member.extend(name);
            }
            format => {
                if format.is_some() {
                    self.too_deep(at);
                }
                match end {
                    Fill::Full => self.text(reader, &mut buf, n, at),
                    Fill::End => self.text(&mut io::empty(), &mut buf, n, at),
                    Fill::Failed(e) => self.text(&mut Failing(Some(e)), &mut buf, n, at),
                }
            }
        }
        self.give_back(buf);
    }

    /// An archive inside of another, whose first bytes are in `buf`.
    fn nested(
        &self,
        format: Format,
        reader: &mut dyn Read,
        buf: &mut Vec<u8>,
        (mut n, mut end): (usize, Fill),
        at: &mut Origin,
        depth: u32,
    ) {
        let mut held = 0;
        if format == Format::Zip && matches!(end, Fill::Full) {
            let most = (HELD - self.held.get()).max(n);
            (n, end) = pieces::fill(reader, buf, n, most);
            if matches!(end, Fill::Full) && matches!(reader.read(&mut [0]), Ok(1..)) {
                self.notes.add(
                    NoteKind::ArchiveSize,
                    place(at),
                    "too large to be held in memory: the rest is left out",
                );
            }
            held = n;
            self.held.set(self.held.get() + held);
        }
        match end {
            Fill::Full if format != Format::Zip => {
                let mut rest = BufReader::with_capacity(FIRST, (&buf[..n]).chain(reader));
                match format {
                    Format::Tar => tar::read(self, &mut rest, at, depth),
                    packed => self.packed(packed, &mut rest, at, depth),
                }
            }
            Fill::Full | Fill::End => self.archive(Data::Memory(&buf[..n]), format, at, depth),
            Fill::Failed(e) => {
                self.failed(&e, at);
                self.archive(Data::Memory(&buf[..n]), format, at, depth);
            }
        }
        self.held.set(self.held.get() - held);
    }

    /// Hands over text, whose first `n` bytes are in `buf`.
    fn text(&self, reader: &mut dyn Read, buf: &mut Vec<u8>, n: usize, at: &Origin) {
        let mut position = Position::default();
        if let Err(e) = pieces::stream(reader, buf, n, &mut position, at, self.sink) {
            self.failed(&e, at);
        }
        let mut done = self.done.get();
        done.bytes += position.offset;
        self.done.set(done);
    }

    fn too_deep(&self, at: &Origin) {
        let limit = self.limits.depth;
        self.notes.add(NoteKind::ArchiveDepth, place(at), format!("archives deeper than {limit} are not opened"));
    }

    /// Notes that a reader failed.
    fn failed(&self, e: &io::Error, at: &Origin) {
        if packed::wants_memory(e) {
            self.notes.add(
                NoteKind::ArchiveSize,
                place(at),
                format!("decoding takes more than {WINDOW} bytes of memory"),
            );
            self.faults.set(self.faults.get() + 1);
        } else {
            self.damaged(at, &e.to_string());
        }
    }

    /// Notes damage, unless it is only what a limit left over.
    fn damaged(&self, at: &Origin, detail: &str) {
        if self.cut.get().is_none() {
            self.notes.add(NoteKind::ArchiveDamaged, place(at), detail);
        }
        self.faults.set(self.faults.get() + 1);
    }

    fn meter<R: Read>(&self, inner: R) -> Metered<'_, R> {
        Metered { inner, left: &self.left, cut: &self.cut }
    }

    fn borrow(&self) -> Vec<u8> {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    fn give_back(&self, buf: Vec<u8>) {
        if buf.len() <= PIECE {
            self.scratch.borrow_mut().push(buf);
        }
    }
}

/// What came out of a decoder, counted against the limit of the outermost archive; ends where the limit does.
struct Metered<'e, R> {
    inner: R,
    left: &'e Cell<u64>,
    cut: &'e Cell<Option<&'static str>>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            if self.cut.get().is_none() && self.inner.read(&mut [0])? > 0 {
                self.cut.set(Some(TOO_LARGE));
            }
            return Ok(0);
        }
        let most = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = self.inner.read(&mut buf[..most])?;
        self.left.set(left - n as u64);
        Ok(n)
    }
}

/// Fails once with the error that a reader gave before.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// A place as notes show it.
fn place(at: &Origin) -> Vec<u8> {
    let mut place = match at.object {
        _ if !at.path.is_empty() => at.path.clone(),
        Some(object) => object.to_string().into_bytes(),
        None => b"-".to_vec(),
    };
    for member in &at.member {
        place.push(b'!');
        place.extend_from_slice(member.as_bytes());
    }
    place
}

#[cfg(test)]
mod tests;
