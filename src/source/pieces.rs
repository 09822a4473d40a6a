//! Cuts text of any length into the pieces that detection looks at.
//!
//! Contract: text of at most [`PIECE`] bytes comes as one piece; longer text as pieces of that size, each beginning
//! [`OVERLAP`] bytes before the end of the one before it. Line and column of every position are the same whether they are
//! counted in a piece or in the whole text. Empty text gives no piece. Memory is one buffer of [`PIECE`] bytes.

use std::io::{self, ErrorKind, Read};

use crate::source::{OVERLAP, Origin, PIECE, Piece, Sink};

/// First size of a buffer whose text has an unknown length.
const FIRST: usize = 16 << 10;

/// A position in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub offset: u64,
    /// Newlines before it.
    pub lines: u64,
    /// Bytes between the last newline and it.
    pub column: u64,
}

impl Position {
    /// Moves behind `bytes`.
    pub fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        match memchr::memrchr(b'\n', bytes) {
            None => self.column += bytes.len() as u64,
            Some(last) => {
                self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
                self.column = (bytes.len() - last - 1) as u64;
            }
        }
    }

    /// Moves behind `n` bytes that are known to hold no newline: the hole of a sparse file.
    pub fn skip(&mut self, n: u64) {
        self.offset += n;
        self.column += n;
    }

    /// The piece that begins here; `overlaps` if the one before ended with its first bytes.
    fn piece<'a>(&self, origin: &'a Origin, bytes: &'a [u8], overlaps: bool) -> Piece<'a> {
        Piece { origin, bytes, offset: self.offset, lines_before: self.lines, column_before: self.column, overlaps }
    }
}

/// How [`fill`] came to its end.
#[derive(Debug)]
pub enum Fill {
    /// The buffer holds as much as was asked for; the reader may have more.
    Full,
    /// The reader has no more.
    End,
    /// The reader failed; what it gave before is in the buffer.
    Failed(io::Error),
}

/// Reads on behind the first `filled` bytes of `buf` until `limit` bytes are there. Returns how many are.
///
/// `buf` is scratch memory: it grows in steps up to `limit` and its length says nothing about its content.
pub fn fill(reader: &mut dyn Read, buf: &mut Vec<u8>, mut filled: usize, limit: usize) -> (usize, Fill) {
    while filled < limit {
        if filled >= buf.len() {
            let len = (filled * 2).clamp(FIRST.min(limit), limit);
            if buf.is_empty() {
                *buf = vec![0; len]; // comes zeroed from the allocator
            } else {
                buf.resize(len, 0);
            }
        }
        let end = buf.len().min(limit);
        match reader.read(&mut buf[filled..end]) {
            Ok(0) => return (filled, Fill::End),
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (filled, Fill::Failed(e)),
        }
    }
    (filled, Fill::Full)
}

/// Hands text that is whole in memory to the sink.
pub fn whole(bytes: &[u8], origin: &Origin, sink: &dyn Sink) {
    if bytes.len() <= PIECE {
        if !bytes.is_empty() {
            sink.piece(Position::default().piece(origin, bytes, false));
        }
        return;
    }
    let mut at = Position::default();
    let mut rest = bytes;
    loop {
        sink.piece(at.piece(origin, &rest[..rest.len().min(PIECE)], at.offset > 0));
        if rest.len() <= PIECE {
            return;
        }
        at.advance(&rest[..PIECE - OVERLAP]);
        rest = &rest[PIECE - OVERLAP..];
    }
}

/// Hands the text of a reader to the sink, beginning at position `at` with the first `filled` bytes of `buf`, which were
/// read before. Afterwards `at` is the end of the text. What was read before an error is handed over.
pub fn stream(
    reader: &mut dyn Read,
    buf: &mut Vec<u8>,
    mut filled: usize,
    at: &mut Position,
    origin: &Origin,
    sink: &dyn Sink,
) -> io::Result<()> {
    let mut seen = 0; // bytes at the start of the buffer that the piece before ended with
    loop {
        let (n, end) = fill(reader, buf, filled, PIECE);
        if n > seen {
            sink.piece(at.piece(origin, &buf[..n], seen > 0));
        }
        match end {
            Fill::Full => {
                at.advance(&buf[..PIECE - OVERLAP]);
                buf.copy_within(PIECE - OVERLAP..PIECE, 0);
                (filled, seen) = (OVERLAP, OVERLAP);
            }
            Fill::End => {
                at.advance(&buf[..n]);
                return Ok(());
            }
            Fill::Failed(e) => {
                at.advance(&buf[..n]);
                return Err(e);
            }
        }
    }
}

/// What tests of the sources look at: a sink that keeps everything.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Mutex;

    use super::*;
    use crate::model::PlaceKind;

    /// One piece with the end of what borrowed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Kept {
        pub(crate) origin: Origin,
        pub(crate) bytes: Vec<u8>,
        pub(crate) at: Position,
    }

    /// Keeps all pieces.
    #[derive(Default)]
    pub(crate) struct Collect(pub(crate) Mutex<Vec<Kept>>);

    impl Sink for Collect {
        fn piece(&self, p: Piece<'_>) {
            let at = Position { offset: p.offset, lines: p.lines_before, column: p.column_before };
            let kept = Kept { origin: p.origin.clone(), bytes: p.bytes.to_vec(), at };
            self.0.lock().unwrap_or_else(|e| e.into_inner()).push(kept);
        }
    }

    impl Collect {
        /// All pieces, sorted by place and offset.
        pub(crate) fn pieces(&self) -> Vec<Kept> {
            let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner()).clone();
            all.sort_by(|a, b| {
                (&a.origin.path, &a.origin.member, a.at.offset).cmp(&(&b.origin.path, &b.origin.member, b.at.offset))
            });
            all
        }

        /// `path!member!member` of every piece, sorted.
        pub(crate) fn names(&self) -> Vec<String> {
            self.pieces()
                .iter()
                .map(|k| {
                    let mut name = String::from_utf8_lossy(&k.origin.path).into_owned();
                    for member in &k.origin.member {
                        name.push('!');
                        name.push_str(member);
                    }
                    name
                })
                .collect()
        }

        /// Whether some piece holds `needle`.
        pub(crate) fn has(&self, needle: &[u8]) -> bool {
            let all = self.0.lock().unwrap_or_else(|e| e.into_inner());
            all.iter().any(|k| memchr::memmem::find(&k.bytes, needle).is_some())
        }
    }

    /// An origin with this path.
    pub(crate) fn origin(path: &str) -> Origin {
        Origin { target: 0, kind: PlaceKind::File, path: path.into(), object: None, member: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::testing::*;
    use super::*;

    /// Gives at most so many bytes a read, in turn, and an interruption now and then.
    struct Choppy<'a>(&'a [u8], Vec<usize>, usize);

    impl Read for Choppy<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.2 += 1;
            if self.2.is_multiple_of(7) {
                return Err(ErrorKind::Interrupted.into());
            }
            let n = self.1[self.2 % self.1.len()].min(buf.len()).min(self.0.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// Checks that the pieces cover `data`, overlap as promised, and count as the whole text counts.
    fn check(data: &[u8], pieces: &[Kept]) {
        let mut expected = 0;
        for (i, k) in pieces.iter().enumerate() {
            assert_eq!(k.at.offset, expected);
            let start = expected as usize;
            assert_eq!(k.bytes, data[start..start + k.bytes.len()]);
            let mut at = Position::default();
            at.advance(&data[..start]);
            assert_eq!(k.at, at);
            if i + 1 < pieces.len() {
                assert_eq!(k.bytes.len(), PIECE);
            }
            expected += (PIECE - OVERLAP) as u64;
        }
        let end = pieces.last().map_or(0, |k| k.at.offset as usize + k.bytes.len());
        assert_eq!(end, data.len());
    }

    #[test]
    fn lengths_around_the_size_of_a_piece() {
        let data: Vec<u8> = (0..2 * PIECE + 9).map(|i| if i % 61 == 0 { b'\n' } else { (i % 251) as u8 }).collect();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - OVERLAP, 2 * PIECE - OVERLAP + 1, 2 * PIECE + 9] {
            let (streamed, at_once) = (Collect::default(), Collect::default());
            let mut at = Position::default();
            stream(&mut &data[..len], &mut Vec::new(), 0, &mut at, &origin("x"), &streamed).unwrap();
            whole(&data[..len], &origin("x"), &at_once);
            check(&data[..len], &streamed.pieces());
            assert!(streamed.pieces() == at_once.pieces(), "length {len}");
            let mut end = Position::default();
            end.advance(&data[..len]);
            assert_eq!(at, end);
        }
    }

    #[test]
    fn what_was_read_before_an_error_is_handed_over() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no"))
            }
        }
        let sink = Collect::default();
        let mut reader = (&b"one\ntwo"[..]).chain(Fails);
        let mut at = Position::default();
        assert!(stream(&mut reader, &mut Vec::new(), 0, &mut at, &origin("x"), &sink).is_err());
        assert_eq!(sink.pieces()[0].bytes, b"one\ntwo");
        assert_eq!(at, Position { offset: 7, lines: 1, column: 3 });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_text_in_any_chunks_keeps_its_lines_and_columns(
            seed in prop::collection::vec(prop::sample::select(b"\n\r\0ab\xff".to_vec()), 1..5000),
            len in 0usize..2 * PIECE + PIECE / 2,
            chunks in prop::collection::vec(1usize..9 * FIRST, 1..9),
            held in 0usize..2 * FIRST,
            hole in 0u64..1 << 40,
        ) {
            let data: Vec<u8> = seed.iter().copied().cycle().take(len).collect();
            let held = held.min(len);
            let sink = Collect::default();
            let mut buf = data[..held].to_vec();
            let mut at = Position::default();
            stream(&mut Choppy(&data[held..], chunks, 0), &mut buf, held, &mut at, &origin("x"), &sink).unwrap();
            check(&data, &sink.pieces());
            let before = at;
            at.skip(hole);
            prop_assert_eq!(at, Position { offset: before.offset + hole, lines: before.lines, column: before.column + hole });
        }
    }
}
