//! Zlib streams of objects: whole into a buffer of known size, the first bytes of one, or a long one in pieces.
//!
//! Contract: any input is safe; a stream counts only if its size is the declared one and its Adler-32 fits, unless the caller has a
//! better sum of it. Nothing is allocated here except the state of the decoders.

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};

/// Room behind a buffer that lets the decoder stay in its fast loop up to the end.
pub const SLACK: usize = 320;
/// Bytes behind the input that may be shown to the decoder for the same reason.
pub const SLACK_IN: usize = 64;

/// Whether `packed` bytes of deflate can be as many as `size` bytes at all (258 bytes from two bits is the best case).
pub fn plausible(size: u64, packed: u64) -> bool {
    size <= packed.saturating_mul(1032).saturating_add(64)
}

/// The decoders of one thread.
pub struct Inflater {
    whole: Decompressor,
    /// For streams that begin with the fixed codes, half of all: it keeps their tables from one stream to the next, where the other
    /// one would have to build them again after every stream with codes of its own.
    fixed: Decompressor,
    stream: Decompress,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { whole: Decompressor::new(), fixed: Decompressor::new(), stream: Decompress::new(true) }
    }
}

/// The deflate stream inside of a zlib stream (RFC 1950): behind a head that needs no dictionary.
fn inner(input: &[u8]) -> Option<&[u8]> {
    let (head, rest) = input.split_first_chunk()?;
    let [method, flags] = *head;
    (method & 0x0f == 8 && flags & 0x20 == 0 && u16::from_be_bytes(*head) % 31 == 0).then_some(rest)
}

/// Whether the first block of a stream has the fixed codes (RFC 1951, 3.2.3, behind the two bytes of RFC 1950).
fn begins_fixed(input: &[u8]) -> bool {
    input.get(2).is_some_and(|head| head >> 1 & 3 == 1)
}

impl Inflater {
    /// Inflates a whole stream of `size` bytes into `out`, which becomes exactly as long. Bytes behind the stream are
    /// not looked at. `out` should have room for `size + SLACK` bytes; less is slower.
    pub fn whole(&mut self, input: &[u8], out: &mut Vec<u8>, size: usize) -> Result<(), &'static str> {
        self.entry(input, false, out, size)
    }

    /// The same for an entry of a pack. If its compressed bytes were `summed`, held against their CRC-32, the Adler-32 of its content is
    /// not looked at.
    pub fn entry(&mut self, input: &[u8], summed: bool, out: &mut Vec<u8>, size: usize) -> Result<(), &'static str> {
        let room = (size + SLACK).min(out.capacity()).max(size);
        out.resize(room, 0);
        let decoder = if begins_fixed(input) { &mut self.fixed } else { &mut self.whole };
        let done = match inner(input).filter(|_| summed) {
            Some(stream) => decoder.deflate_decompress(stream, out),
            None => decoder.zlib_decompress(input, out),
        };
        let result = match done {
            Ok(n) if n == size => Ok(()),
            Ok(_) => Err("size is not the declared one"),
            Err(DecompressionError::InsufficientSpace) => Err("longer than declared"),
            Err(DecompressionError::BadData) => Err("compressed data is damaged"),
        };
        out.truncate(if result.is_ok() { size } else { 0 });
        result
    }

    /// Inflates as many first bytes as fit into `out`; how many there were.
    pub fn first(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, &'static str> {
        self.stream.reset(true);
        let mut done = 0;
        while done < out.len() {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let rest = input.get(read as usize..).unwrap_or_default();
            let status = self.stream.decompress(rest, &mut out[done..], FlushDecompress::None);
            done = self.stream.total_out() as usize;
            match status {
                Err(_) => return Err("compressed data is damaged"),
                Ok(Status::StreamEnd) => break,
                // No step forward: the input is cut short.
                Ok(_) if (self.stream.total_in(), self.stream.total_out()) == (read, written) => break,
                Ok(_) => {}
            }
        }
        Ok(done)
    }

    /// Inflates a stream that must have `size` bytes through `buffer`, which is filled over and over. After each
    /// filling `show(bytes, end)` gets the bytes in the buffer and says how many of the last ones it wants to see
    /// again at the front. Returns how many bytes of `input` the stream took.
    pub fn pieces(
        &mut self,
        input: &[u8],
        size: u64,
        buffer: &mut [u8],
        mut show: impl FnMut(&[u8], bool) -> usize,
    ) -> Result<usize, &'static str> {
        self.stream.reset(true);
        let mut filled = 0;
        loop {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let rest = input.get(read as usize..).unwrap_or_default();
            let status = self.stream.decompress(rest, &mut buffer[filled..], FlushDecompress::None);
            filled += (self.stream.total_out() - written) as usize;
            let stuck = (self.stream.total_in(), self.stream.total_out()) == (read, written);
            let result = match status {
                Err(_) => Some(Err("compressed data is damaged")),
                Ok(Status::StreamEnd) if self.stream.total_out() == size => Some(Ok(self.stream.total_in() as usize)),
                Ok(Status::StreamEnd) => Some(Err("size is not the declared one")),
                Ok(_) if self.stream.total_out() > size => Some(Err("longer than declared")),
                Ok(_) if stuck => Some(Err("compressed data is cut short")),
                Ok(_) => None,
            };
            if let Some(result) = result {
                show(&buffer[..filled], true);
                return result;
            }
            if filled == buffer.len() {
                let kept = show(buffer, false).min(filled.saturating_sub(1));
                buffer.copy_within(filled - kept.., 0);
                filled = kept;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn text(n: usize) -> Vec<u8> {
        (0..n as u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(n).collect()
    }

    #[test]
    fn an_entry_needs_the_exact_size_and_a_checksum() {
        let content = text(5000);
        let good = deflate(&content);
        for summed in [false, true] {
            let (mut inflater, mut out) = (Inflater::default(), Vec::new());
            let mut inflate =
                |packed: &[u8], size| inflater.entry(packed, summed, &mut out, size).map(|()| out.clone());
            assert_eq!(inflate(&good, 5000).as_ref(), Ok(&content));
            assert!(inflate(&good, 4999).is_err() && inflate(&good, 5001).is_err());
            assert!(inflate(&good[..good.len() - 5], 5000).is_err());
            let (mut head, mut sum) = (good.clone(), good.clone());
            head[1] ^= 1;
            *sum.last_mut().unwrap() ^= 1;
            assert!(inflate(&head, 5000).is_err());
            assert_eq!(inflate(&sum, 5000).is_ok(), summed);
            assert_eq!(inflate(&good[..good.len() - 1], 5000).is_ok(), summed);
            assert_eq!(out.is_empty(), !summed, "nothing is left of a damaged object");
        }
    }

    #[test]
    fn streams_of_all_kinds_follow_each_other() {
        let mut inflater = Inflater::default();
        let mut kinds = [0; 2];
        for round in 0..50 {
            // Short ones get the fixed codes, text in long ones codes of their own, noise is stored.
            let content =
                [text(round), vec![b'a'; round], text(round * 40), text(round * 30).iter().map(|b| b & 7).collect()];
            for content in content {
                let packed = deflate(&content);
                kinds[usize::from(begins_fixed(&packed))] += 1;
                let mut out = Vec::new();
                inflater.whole(&packed, &mut out, content.len()).unwrap();
                assert_eq!(out, content);
            }
        }
        assert!(kinds.iter().all(|n| *n > 20), "{kinds:?}");
    }

    #[test]
    fn pieces_overlap_and_cover_everything() {
        let content = text(100_000);
        let mut packed = deflate(&content);
        let used = packed.len();
        packed.extend_from_slice(b"what follows");
        let mut inflater = Inflater::default();
        let (mut seen, mut kept, mut ends) = (Vec::new(), 0, 0);
        let n = inflater.pieces(&packed, 100_000, &mut [0; 4096], |bytes, end| {
            seen.extend_from_slice(&bytes[kept..]);
            kept = 100;
            ends += usize::from(end);
            kept
        });
        assert_eq!((n, ends), (Ok(used), 1));
        assert_eq!(seen, content);
        assert!(inflater.pieces(&packed, 99_999, &mut [0; 4096], |_, _| 0).is_err());
        assert!(inflater.pieces(&packed[..used - 1], 100_000, &mut [0; 4096], |_, _| 0).is_err());
    }

    #[test]
    fn first_bytes_of_a_cut_stream() {
        let content = text(1000);
        let packed = deflate(&content);
        let mut out = [0; 32];
        assert_eq!(Inflater::default().first(&packed[..100], &mut out), Ok(32));
        assert_eq!(out, content[..32]);
        assert_eq!(Inflater::default().first(&deflate(b"ab"), &mut out), Ok(2));
        assert!(Inflater::default().first(b"no zlib here", &mut out).is_err());
    }

    #[test]
    fn sizes_no_stream_can_have_are_not_plausible() {
        assert!(plausible(1032 * 1000, 1000));
        assert!(!plausible(u64::MAX, 1 << 40));
        let zeros = deflate(&vec![0; 10 << 20]);
        assert!(plausible(10 << 20, zeros.len() as u64));
    }
}
