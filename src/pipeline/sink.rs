//! What is done with text from files, standard input and archives: scan it and gather the hits.
//!
//! Contract: positions are those in the whole text, also for the pieces of a long one; what a piece's edge cut off is left to
//! the piece that has it whole.

use crate::collect::Collector;
use crate::detect::candidate::Scratch;
use crate::detect::{Cuts, Scanner};
use crate::model::{Hit, NoteKind};
use crate::notes::Notes;
use crate::per_thread::PerThread;
use crate::source::{OVERLAP, Origin, PIECE, Piece, Sink};

/// Scans pieces and gathers hits.
pub struct TextSink<'a> {
    scanner: &'a Scanner,
    collector: &'a Collector,
    notes: &'a Notes,
    scratch: PerThread<Scratch>,
}

impl<'a> TextSink<'a> {
    /// For a scanner and a collector.
    pub fn new(scanner: &'a Scanner, collector: &'a Collector, notes: &'a Notes) -> Self {
        Self { scanner, collector, notes, scratch: PerThread::default() }
    }
}

/// Notes what decoders left out in one text.
pub fn note_cuts(notes: &Notes, origin: &Origin, cuts: Cuts) {
    for what in cuts.0 {
        let object = origin.object.map(|id| id.to_string()).unwrap_or_default();
        let place = if origin.path.is_empty() { object.as_bytes() } else { &origin.path };
        notes.add(NoteKind::DecodeLimit, place, what);
    }
}

impl Sink for TextSink<'_> {
    fn piece(&self, piece: Piece<'_>) {
        let mut cuts = Cuts::default();
        let mut hits = self.scanner.scan(piece.bytes, &mut self.scratch.get(), &mut cuts);
        note_cuts(self.notes, piece.origin, cuts);
        place(&piece, &mut hits);
        self.collector.add(piece.origin, hits);
    }
}

/// Moves hits of a piece to their positions in the whole text, and drops those that another piece has whole.
fn place(piece: &Piece<'_>, hits: &mut Vec<Hit>) {
    if piece.overlaps {
        // The piece before saw these with all that stands before them.
        hits.retain(|hit| hit.span.start >= (OVERLAP / 2) as u64);
    }
    if piece.bytes.len() >= PIECE {
        // What reaches the edge may go on behind it; the next piece has it whole.
        hits.retain(|hit| hit.span.end < piece.bytes.len() as u64);
    }
    for hit in hits {
        let span = &mut hit.span;
        let moved = |line: u64, column: u64| if line == 1 { column + piece.column_before } else { column };
        (span.column, span.end_column) = (moved(span.line, span.column), moved(span.end_line, span.end_column));
        span.line += piece.lines_before;
        span.end_line += piece.lines_before;
        span.start += piece.offset;
        span.end += piece.offset;
    }
}
