//! Reads one file into pieces.
//!
//! Contract: a file is opened without blocking and looked at again once it is open, so whatever takes its place between
//! listing and opening can neither hang nor mislead us. It is read, never mapped, up to the size it had when it was
//! opened; a file that says it is empty (as those of `/proc` do) up to [`ENDLESS`]. Holes of sparse files are not read.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{FileType, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::model::NoteKind;
use crate::notes::Notes;
use crate::source::archive::{self, Data};
use crate::source::files::Options;
use crate::source::pieces::{self, Fill, Position};
use crate::source::{Origin, PIECE, Sink};

/// How much is read of a file that does not know its size.
const ENDLESS: u64 = 256 << 20;
/// Holes shorter than this are read through: cheaper than cutting the text there.
const HOLE: u64 = 1 << 20;

/// Opens for reading; never blocks (FIFOs, devices), never becomes a controlling terminal.
pub(super) fn open(path: &Path, follow: bool) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

/// Reads files and hands their text over.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) notes: &'a Notes,
    pub(super) sink: &'a dyn Sink,
}

impl Reader<'_> {
    /// Reads one file, whose place is `origin`. `buf` is scratch memory that is used again and again.
    pub(super) fn file(&self, path: &Path, follow: bool, buf: &mut Vec<u8>, origin: &Origin) {
        // Decoders meet hostile bytes here: a fault of ours must cost one file, not the scan.
        let read = std::panic::AssertUnwindSafe(|| self.open_and_read(path, follow, buf, origin));
        match std::panic::catch_unwind(read) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => self.failed(&e, origin),
            Err(_) => {
                *buf = Vec::new();
                self.notes.add(NoteKind::Unreadable, &origin.path, "an internal error stopped the scan of this file");
            }
        }
    }

    fn failed(&self, e: &io::Error, origin: &Origin) {
        match e.kind() {
            ErrorKind::NotFound => self.notes.add(NoteKind::Changed, &origin.path, "vanished before it was read"),
            _ if e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => self.notes.count(NoteKind::Link, 1),
            _ if e.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => self.not_a_file(origin),
            _ => self.notes.add(NoteKind::Unreadable, &origin.path, e.to_string()),
        }
    }

    fn not_a_file(&self, origin: &Origin) {
        self.notes.add(NoteKind::NotAFile, &origin.path, "a FIFO, socket or device");
    }

    fn open_and_read(&self, path: &Path, follow: bool, buf: &mut Vec<u8>, origin: &Origin) -> io::Result<()> {
        let file = open(path, follow)?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.not_a_file(origin);
            return Ok(());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > self.options.limits.file_size {
            self.notes.add(NoteKind::TooLarge, &origin.path, format!("{size} bytes"));
            return Ok(());
        }
        self.options.counters.files.fetch_add(1, Relaxed);
        let read = match size {
            0 => self.of_unknown_size(&file, buf, origin),
            _ if size <= PIECE as u64 => self.small(&file, size as usize, buf, origin),
            _ => self.large(&file, size, buf, origin),
        }?;
        self.options.counters.bytes.fetch_add(read, Relaxed);
        if read < size {
            self.notes.add(NoteKind::Changed, &origin.path, "became shorter while it was read");
        }
        Ok(())
    }

    /// A file that fits a piece. Returns how much was read, as the two below do.
    fn small(&self, mut file: &File, size: usize, buf: &mut Vec<u8>, origin: &Origin) -> io::Result<u64> {
        let (n, end) = pieces::fill(&mut file, buf, 0, size);
        match archive::sniff(&buf[..n]) {
            Some(format) => self.expand(Data::Memory(&buf[..n]), format, origin),
            None => pieces::whole(&buf[..n], origin, self.sink),
        }
        match end {
            Fill::Failed(e) => Err(e),
            Fill::Full | Fill::End => Ok(n as u64),
        }
    }

    /// Empty, or one of the files that the kernel makes while they are read.
    fn of_unknown_size(&self, mut file: &File, buf: &mut Vec<u8>, origin: &Origin) -> io::Result<u64> {
        let cap = ENDLESS.min(self.options.limits.file_size);
        let mut at = Position::default();
        let result = pieces::stream(&mut Read::take(&mut file, cap), buf, 0, &mut at, origin, self.sink);
        if at.offset == cap && file.read(&mut [0])? > 0 {
            self.notes.add(NoteKind::TooLarge, &origin.path, format!("read only to byte {cap}"));
        }
        result.map(|()| at.offset)
    }

    /// An archive, which is read where its members are, or long text, which is read stretch by stretch between its holes.
    fn large(&self, file: &File, size: u64, buf: &mut Vec<u8>, origin: &Origin) -> io::Result<u64> {
        let data = Data::File { file, start: 0, len: size };
        let mut head = [0; archive::HEAD];
        let n = data.read_at(0, &mut head)?;
        if let Some(format) = archive::sniff(&head[..n]) {
            self.expand(data, format, origin);
            return Ok(size);
        }
        let mut at = Position::default();
        while let Some((start, end)) = stretch(file, at.offset, size)? {
            at.skip(start - at.offset);
            pieces::stream(&mut data.part(start, end - start).reader(), buf, 0, &mut at, origin, self.sink)?;
            if at.offset < end {
                return Ok(at.offset);
            }
        }
        Ok(size)
    }

    fn expand(&self, data: Data<'_>, format: archive::Format, origin: &Origin) {
        let done = archive::expand(data, format, origin, &self.options.limits, self.notes, self.sink);
        self.options.counters.members.fetch_add(done.members, Relaxed);
        self.options.counters.expanded.fetch_add(done.bytes, Relaxed);
    }
}

/// The next stretch of a file, from `at` on, that is no hole; `None` if only a hole is left.
fn stretch(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows nothing of holes.
        Err(_) => return Ok(Some((at, size))),
    };
    if start >= size {
        return Ok(None);
    }
    let mut end = start;
    loop {
        end = match rustix::fs::seek(file, SeekFrom::Hole(end)) {
            Ok(hole) if hole > end => hole.min(size),
            _ => return Ok(Some((start, size))),
        };
        match rustix::fs::seek(file, SeekFrom::Data(end)) {
            Ok(next) if next > end && next - end < HOLE && next < size => end = next,
            _ => return Ok(Some((start, end))),
        }
    }
}
