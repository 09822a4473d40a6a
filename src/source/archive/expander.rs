//! Takes one outermost archive apart, with all that is nested in it.
//!
//! Contract: one thread owns an [`Expander`]; whatever reads a format comes back here with its members, so that limits
//! are counted in one place.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Read};

use crate::model::NoteKind;
use crate::notes::{Notes, printable};
use crate::source::archive::{Data, Expanded, Format, HEAD, HELD, WINDOW, packed, place, sniff, tar, zip};
use crate::source::pieces::{self, Fill, Position};
use crate::source::{Limits, Origin, PIECE, Sink};

/// How much of a member is read to see what it is.
const FIRST: usize = 64 << 10;
/// Longest name of a member that is kept.
pub(super) const NAME: usize = 4096;
pub(super) const TOO_MANY: &str = "it has more members than the limit";
const TOO_LARGE: &str = "it expands to more than the limit";

/// What is left of the limits of one outermost archive, and where its text goes. One thread owns it.
pub(super) struct Expander<'a> {
    pub(super) limits: &'a Limits,
    pub(super) notes: &'a Notes,
    sink: &'a dyn Sink,
    left: Cell<u64>,
    held: Cell<usize>,
    /// Why the rest is left out, if it is.
    pub(super) cut: Cell<Option<&'static str>>,
    pub(super) faults: Cell<u64>,
    done: Cell<Expanded>,
    scratch: RefCell<Vec<Vec<u8>>>,
    inflater: RefCell<Option<libdeflater::Decompressor>>,
}

/// An archive that is a member of another.
struct Inner {
    format: Format,
    depth: u32,
    /// The name of what is only its compression, taken from its place.
    outer_name: Option<String>,
}

impl<'a> Expander<'a> {
    pub(super) fn new(most: u64, limits: &'a Limits, notes: &'a Notes, sink: &'a dyn Sink) -> Self {
        let (held, cut, faults, done, scratch) = Default::default();
        let (left, inflater) = (Cell::new(most), RefCell::default());
        Self { limits, notes, sink, left, held, cut, faults, done, scratch, inflater }
    }

    pub(super) fn finish(self, origin: &Origin) -> Expanded {
        if let Some(why) = self.cut.get() {
            self.notes.add(NoteKind::ArchiveSize, place(origin), why);
        }
        self.done.get()
    }

    /// Takes an archive apart that can be read at any place.
    pub(super) fn archive(&self, data: Data<'_>, format: Format, at: &mut Origin, depth: u32) {
        let (faults, bytes) = (self.faults.get(), self.done.get().bytes);
        match format {
            Format::Zip => zip::read(self, data, at, depth),
            Format::Tar => tar::read(self, &mut data.reader(), at, depth),
            Format::Gzip if matches!(data, Data::Memory(bytes) if self.small_gzip(bytes, at, depth)) => {}
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
            Ok(opened) => opened,
            Err(e) => return self.failed(&e, at),
        };
        if self.enter() {
            at.member.push(packed::name(format, at, stored_name));
            self.content(&mut self.meter(decoder), at, depth, true);
            at.member.pop();
        }
    }

    /// The one member of a gzip stream that is in memory and says itself how little it expands to. `false` if it is none.
    fn small_gzip(&self, bytes: &[u8], at: &mut Origin, depth: u32) -> bool {
        let Some(gzip) = packed::single_gzip(bytes) else { return false };
        let Some(buf) = self.inflate(gzip.body, gzip.size.into()) else { return false };
        let text = &buf[..gzip.size as usize];
        let whole = crc32fast::hash(text) == gzip.sum;
        if whole && self.enter() {
            at.member.push(packed::name(Format::Gzip, at, gzip.name));
            self.in_memory(text, at, depth, true);
            at.member.pop();
        }
        self.give_back(buf);
        whole
    }

    /// Inflates raw deflate data in one go, which is much faster than by and by; `None` unless it comes to exactly `size`
    /// bytes, and those are few.
    pub(super) fn inflate(&self, packed: &[u8], size: u64) -> Option<Vec<u8>> {
        let left = self.left.get().checked_sub(size).filter(|_| size <= PIECE as u64)?;
        let mut out = self.borrow();
        if (out.len() as u64) < size {
            out.resize(size as usize, 0);
        }
        let mut inflater = self.inflater.borrow_mut();
        let inflater = inflater.get_or_insert_with(libdeflater::Decompressor::new);
        if inflater.deflate_decompress(packed, &mut out[..size as usize]) != Ok(size as usize) {
            self.give_back(out);
            return None;
        }
        self.left.set(left);
        Some(out)
    }

    /// One member of an archive that has many.
    pub(super) fn member(&self, name: &[u8], reader: &mut dyn Read, at: &mut Origin, depth: u32) {
        if self.enter() {
            at.member.push(printable(&name[..name.len().min(NAME)]));
            self.content(reader, at, depth, false);
            at.member.pop();
        }
    }

    /// One member that is not compressed. In memory, and if it is a zip, it is read where it stands.
    pub(super) fn stored_member(&self, name: &[u8], body: Data<'_>, at: &mut Origin, depth: u32) {
        let zip = matches!(body.array::<4>(0), Ok(magic) if sniff(&magic) == Some(Format::Zip));
        if matches!(body, Data::File { .. }) && (!zip || depth >= self.limits.depth) {
            return self.member(name, &mut self.meter(body.reader()), at, depth);
        }
        let Some(left) = self.left.get().checked_sub(body.len()) else { return self.cut.set(Some(TOO_LARGE)) };
        if !self.enter() {
            return;
        }
        self.left.set(left);
        at.member.push(printable(&name[..name.len().min(NAME)]));
        match body {
            Data::Memory(bytes) => self.in_memory(bytes, at, depth, false),
            file => self.archive(file, Format::Zip, at, depth + 1),
        }
        at.member.pop();
    }

    /// One member that was inflated at one go.
    pub(super) fn inflated_member(&self, name: &[u8], bytes: &[u8], at: &mut Origin, depth: u32) {
        if self.enter() {
            at.member.push(printable(&name[..name.len().min(NAME)]));
            self.in_memory(bytes, at, depth, false);
            at.member.pop();
        }
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

    /// What kind of archive begins with `head`, if it may be opened, and how deep it is: `depth` is that of the archive
    /// whose member it is. A tar that is the only content of a compressed stream (`wrapped`) is one archive with it.
    fn inner(&self, head: &[u8], at: &mut Origin, depth: u32, wrapped: bool) -> Option<Inner> {
        let format = sniff(&head[..head.len().min(HEAD)])?;
        let one = wrapped && format == Format::Tar;
        let depth = if one { depth } else { depth + 1 };
        if depth > self.limits.depth {
            self.too_deep(at);
            return None;
        }
        Some(Inner { format, depth, outer_name: if one { at.member.pop() } else { None } })
    }

    /// A member that comes from a reader: text, or one more archive.
    pub(super) fn content(&self, reader: &mut dyn Read, at: &mut Origin, depth: u32, wrapped: bool) {
        let mut buf = self.borrow();
        let (n, end) = pieces::fill(reader, &mut buf, 0, FIRST);
        match (self.inner(&buf[..n], at, depth, wrapped), end) {
            (Some(inner), end) => {
                self.nested(&inner, reader, &mut buf, (n, end), at);
                at.member.extend(inner.outer_name);
            }
            (None, Fill::Full) => self.text(reader, &mut buf, n, at),
            (None, Fill::End) => self.text(&mut io::empty(), &mut buf, n, at),
            (None, Fill::Failed(e)) => self.text(&mut Failing(Some(e)), &mut buf, n, at),
        }
        self.give_back(buf);
    }

    /// A member that is whole in memory: text, or one more archive.
    fn in_memory(&self, bytes: &[u8], at: &mut Origin, depth: u32, wrapped: bool) {
        match self.inner(bytes, at, depth, wrapped) {
            Some(inner) => {
                self.archive(Data::Memory(bytes), inner.format, at, inner.depth);
                at.member.extend(inner.outer_name);
            }
            None => {
                pieces::whole(bytes, at, self.sink);
                self.handed(bytes.len() as u64);
            }
        }
    }

    /// An archive inside of another, whose first bytes are in `buf`.
    fn nested(
        &self,
        inner: &Inner,
        reader: &mut dyn Read,
        buf: &mut Vec<u8>,
        (mut n, mut end): (usize, Fill),
        at: &mut Origin,
    ) {
        let (format, depth) = (inner.format, inner.depth);
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
    pub(super) fn text(&self, reader: &mut dyn Read, buf: &mut Vec<u8>, n: usize, at: &Origin) {
        let mut position = Position::default();
        if let Err(e) = pieces::stream(reader, buf, n, &mut position, at, self.sink) {
            self.failed(&e, at);
        }
        self.handed(position.offset);
    }

    fn handed(&self, bytes: u64) {
        let mut done = self.done.get();
        done.bytes += bytes;
        self.done.set(done);
    }

    pub(super) fn too_deep(&self, at: &Origin) {
        let limit = self.limits.depth;
        self.notes.add(NoteKind::ArchiveDepth, place(at), format!("archives deeper than {limit} are not opened"));
    }

    /// Notes that a reader failed.
    pub(super) fn failed(&self, e: &io::Error, at: &Origin) {
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
    pub(super) fn damaged(&self, at: &Origin, detail: &str) {
        if self.cut.get().is_none() {
            self.notes.add(NoteKind::ArchiveDamaged, place(at), detail);
        }
        self.faults.set(self.faults.get() + 1);
    }

    pub(super) fn meter<R: Read>(&self, inner: R) -> Metered<'_, R> {
        Metered { inner, left: &self.left, cut: &self.cut }
    }

    pub(super) fn borrow(&self) -> Vec<u8> {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, buf: Vec<u8>) {
        if buf.len() <= PIECE {
            self.scratch.borrow_mut().push(buf);
        }
    }
}

/// What came out of a decoder, counted against the limit of the outermost archive; ends where the limit does.
pub(super) struct Metered<'e, R> {
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
