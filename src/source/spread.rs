//! Spreads the pieces of long texts over the threads of the rayon pool.
//!
//! Contract: a source reads a text from start to end on one thread, and detection takes longer than reading; so while
//! other threads are free, long pieces are copied and looked at there. At most one such copy a thread exists. A fault in
//! detection costs that piece, and is noted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rayon::Scope;

use crate::model::NoteKind;
use crate::notes::Notes;
use crate::source::{Piece, Sink};

/// Pieces shorter than this are not worth the way.
const LONG: usize = 256 << 10;

/// What the threads of one scan share.
pub struct Helpers<'a> {
    sink: &'a dyn Sink,
    notes: &'a Notes,
    /// How many copies may still be made.
    free: AtomicUsize,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl<'a> Helpers<'a> {
    /// For the pool of the current thread. Pieces go to `sink` in the end.
    pub fn new(sink: &'a dyn Sink, notes: &'a Notes) -> Self {
        Self { sink, notes, free: AtomicUsize::new(rayon::current_num_threads() - 1), buffers: Mutex::default() }
    }

    fn look(&self, piece: Piece<'_>) {
        if catch_unwind(AssertUnwindSafe(|| self.sink.piece(piece))).is_err() {
            let from = format!("an internal error stopped the scan of what follows byte {}", piece.offset);
            self.notes.add(NoteKind::Unreadable, &piece.origin.path, from);
        }
    }
}

/// The sink that hands long pieces to other threads, and looks at all others at once.
pub struct Spread<'r, 's> {
    /// What the threads share.
    pub helpers: &'s Helpers<'s>,
    /// Waits for them.
    pub scope: &'r Scope<'s>,
}

impl Sink for Spread<'_, '_> {
    fn piece(&self, piece: Piece<'_>) {
        let helpers = self.helpers;
        let take = |free: usize| free.checked_sub(1);
        if piece.bytes.len() < LONG || helpers.free.fetch_update(Relaxed, Relaxed, take).is_err() {
            return helpers.look(piece);
        }
        let mut buf = helpers.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buf.clear();
        buf.extend_from_slice(piece.bytes);
        let origin = piece.origin.clone();
        let Piece { offset, lines_before, column_before, overlaps, .. } = piece;
        self.scope.spawn(move |_| {
            helpers.look(Piece { origin: &origin, bytes: &buf, offset, lines_before, column_before, overlaps });
            helpers.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buf);
            helpers.free.fetch_add(1, Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::PIECE;
    use crate::source::pieces::testing::*;
    use crate::source::pieces::{self, Position};

    /// Counts how many pieces are looked at side by side, and has a fault.
    #[derive(Default)]
    struct Slow(Collect, AtomicUsize, AtomicUsize);

    impl Sink for Slow {
        fn piece(&self, piece: Piece<'_>) {
            self.2.fetch_max(self.1.fetch_add(1, Relaxed) + 1, Relaxed);
            std::thread::sleep(std::time::Duration::from_millis(30));
            self.1.fetch_sub(1, Relaxed);
            self.0.piece(piece);
            assert!(piece.offset == 0 || piece.origin.path != b"bad", "a fault");
        }
    }

    #[test]
    fn all_pieces_come_and_several_at_a_time() {
        let text: Vec<u8> = b"some text\n".iter().copied().cycle().take(6 * PIECE).collect();
        let plain = Collect::default();
        pieces::whole(&text, &origin("x"), &plain);
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (slow, notes) = (Slow::default(), Notes::default());
            pool.install(|| {
                let helpers = Helpers::new(&slow, &notes);
                rayon::scope(|scope| {
                    let spread = Spread { helpers: &helpers, scope };
                    let mut at = Position::default();
                    pieces::stream(&mut &text[..], &mut Vec::new(), 0, &mut at, &origin("x"), &spread).unwrap();
                });
                assert!(helpers.buffers.lock().unwrap().len() < threads);
            });
            assert!(slow.0.pieces() == plain.pieces());
            assert_eq!(slow.2.load(Relaxed) > 1, threads > 1);
        }
    }

    #[test]
    fn a_fault_costs_one_piece() {
        let text = vec![b'x'; 3 * PIECE];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
        let (slow, notes) = (Slow::default(), Notes::default());
        pool.install(|| {
            let helpers = Helpers::new(&slow, &notes);
            rayon::scope(|scope| pieces::whole(&text, &origin("bad"), &Spread { helpers: &helpers, scope }));
        });
        assert_eq!(slow.0.pieces().len(), 4);
        assert_eq!(notes.take().1, [(NoteKind::Unreadable, 3)]);
    }
}
