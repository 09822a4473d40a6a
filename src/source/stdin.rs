//! Standard input.
//!
//! Contract: one text, handed over in overlapping pieces while it comes in; an archive is told by its first bytes.

use std::io::{self, ErrorKind, Read};

use crate::model::{NoteKind, PlaceKind};
use crate::notes::Notes;
use crate::source::archive::{self, Expanded};
use crate::source::spread::{Helpers, Spread};
use crate::source::{Limits, Origin, Sink};

/// Reads everything from `reader`. `target` is the index of the target in the report. An input that fails is noted.
pub fn scan(reader: &mut dyn Read, target: usize, limits: &Limits, notes: &Notes, sink: &dyn Sink) -> Expanded {
    let origin = Origin { target, kind: PlaceKind::Stdin, path: Vec::new(), object: None, member: Vec::new() };
    let mut input = Input { reader, failed: None };
    let helpers = Helpers::new(sink, notes);
    let done = rayon::in_place_scope(|scope| {
        archive::expand_stream(&mut input, &origin, limits, notes, &Spread { helpers: &helpers, scope })
    });
    if let Some(e) = input.failed {
        notes.add(NoteKind::Unreadable, "-", e.to_string());
    }
    done
}

/// An input whose failure is its end: what came before is text like any other.
struct Input<'a> {
    reader: &'a mut dyn Read,
    failed: Option<io::Error>,
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Ok(0);
        }
        match self.reader.read(buf) {
            Err(e) if e.kind() != ErrorKind::Interrupted => {
                self.failed = Some(e);
                Ok(0)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;
    use crate::source::PIECE;
    use crate::source::pieces::testing::*;

    struct Fails;

    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn text_comes_as_it_is_and_a_failure_is_told() {
        let (notes, sink) = (Notes::default(), Collect::default());
        let done = scan(&mut (&b"one\ntwo"[..]).chain(Fails), 3, &Limits::default(), &notes, &sink);
        assert_eq!(done, Expanded { members: 0, bytes: 7 });
        let pieces = sink.pieces();
        assert_eq!((pieces.len(), &pieces[0].bytes[..]), (1, &b"one\ntwo"[..]));
        assert_eq!((pieces[0].origin.kind, pieces[0].origin.target), (PlaceKind::Stdin, 3));
        assert_eq!(notes.take().1, [(NoteKind::Unreadable, 1)]);
    }

    #[test]
    fn long_text_comes_in_pieces() {
        let (notes, sink) = (Notes::default(), Collect::default());
        let text = vec![b'x'; 2 * PIECE];
        assert_eq!(scan(&mut &text[..], 0, &Limits::default(), &notes, &sink).bytes, 2 * PIECE as u64);
        assert_eq!(sink.pieces().len(), 3);
    }

    #[test]
    fn archives_are_opened() {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file("a/b.txt", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"inside").unwrap();
        let zip = zip.finish().unwrap().into_inner();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&zip).unwrap();
        for (input, member) in [(zip, "!a/b.txt"), (gzip.finish().unwrap(), "!!a/b.txt")] {
            let (notes, sink) = (Notes::default(), Collect::default());
            scan(&mut &input[..], 0, &Limits::default(), &notes, &sink);
            assert_eq!(sink.names(), [member]);
            assert_eq!(sink.pieces()[0].bytes, b"inside");
            assert!(notes.take().1.is_empty());
        }
    }
}
