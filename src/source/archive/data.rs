//! Bytes that can be read at any place: memory, or a file without reading it whole.
//!
//! Contract: never reads outside of its range, never maps a file (one that shrinks would kill the process), and holds at
//! most [`BUFFER`] bytes of a file.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

/// How much of a file a [`DataReader`] reads ahead.
const BUFFER: usize = 64 << 10;

/// A range of bytes in memory or in a file.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// In memory.
    Memory(&'a [u8]),
    /// Bytes `start..start + len` of a file.
    File {
        /// The file; its own position is neither used nor moved.
        file: &'a File,
        /// First byte.
        start: u64,
        /// Number of bytes; the file may turn out to be shorter.
        len: u64,
    },
}

impl<'a> Data<'a> {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part `at..at + len`, cut to what there is.
    pub fn part(&self, at: u64, len: u64) -> Data<'a> {
        let at = at.min(self.len());
        let len = len.min(self.len() - at);
        match *self {
            Self::Memory(bytes) => Self::Memory(&bytes[at as usize..(at + len) as usize]),
            Self::File { file, start, .. } => Self::File { file, start: start + at, len },
        }
    }

    /// Reads at `at` until `buf` is full or the range ends; returns how much.
    pub fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self.part(at, buf.len() as u64) {
            Self::Memory(bytes) => {
                buf[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::File { file, start, len } => {
                let mut n = 0;
                while n < len as usize {
                    match file.read_at(&mut buf[n..len as usize], start + n as u64) {
                        Ok(0) => break,
                        Ok(k) => n += k,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok(n)
            }
        }
    }

    /// The `N` bytes at `at`, if all are there.
    pub fn array<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        if self.read_at(at, &mut bytes)? < N {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    /// Reads from the start on.
    pub fn reader(self) -> DataReader<'a> {
        DataReader { rest: self, buf: Vec::new(), used: 0, filled: 0 }
    }
}

/// Reads a [`Data`] from its start to its end.
#[derive(Debug)]
pub struct DataReader<'a> {
    rest: Data<'a>,
    buf: Vec<u8>,
    used: usize,
    filled: usize,
}

impl DataReader<'_> {
    /// Bytes not yet read.
    pub fn left(&self) -> u64 {
        self.rest.len() + (self.filled - self.used) as u64
    }

    fn step(&mut self, n: u64) {
        self.rest = self.rest.part(n, u64::MAX);
    }
}

impl Read for DataReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.filled && (out.len() >= BUFFER || matches!(self.rest, Data::Memory(_))) {
            let n = match self.rest {
                Data::Memory(_) => self.rest.read_at(0, out)?,
                Data::File { file, start, len } => {
                    let most = out.len().min(usize::try_from(len).unwrap_or(usize::MAX));
                    file.read_at(&mut out[..most], start)?
                }
            };
            self.step(n as u64);
            return Ok(n);
        }
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for DataReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Data::Memory(bytes) = self.rest {
            return Ok(bytes);
        }
        if self.used == self.filled {
            self.buf.resize(BUFFER, 0);
            (self.used, self.filled) = (0, 0);
            self.filled = self.rest.read_at(0, &mut self.buf)?;
            self.step(self.filled as u64);
        }
        Ok(&self.buf[self.used..self.filled])
    }

    fn consume(&mut self, n: usize) {
        match self.rest {
            Data::Memory(_) => self.step(n as u64),
            Data::File { .. } => self.used = (self.used + n).min(self.filled),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_reads_as_the_same_bytes_in_memory_do() {
        let bytes: Vec<u8> = (0..3 * BUFFER as u32 + 77).map(|i| (i.wrapping_mul(i) / 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let whole = Data::File { file: &file, start: 0, len: bytes.len() as u64 };
        for (at, len) in [(0, u64::MAX), (5, 70_000), (200_000, 9), (200_001, 9), (u64::MAX, 4), (100, 0)] {
            let (a, b) = (whole.part(at, len), Data::Memory(&bytes).part(at, len));
            assert_eq!(a.len(), b.len());
            let (mut from_file, mut from_memory) = (Vec::new(), Vec::new());
            a.reader().read_to_end(&mut from_file).unwrap();
            b.reader().read_to_end(&mut from_memory).unwrap();
            assert_eq!(from_file, from_memory);
            let (mut a, mut b) = (a.reader(), b.reader());
            loop {
                let n = b.fill_buf().unwrap().len().min(a.fill_buf().unwrap().len()).min(1013);
                assert_eq!(a.fill_buf().unwrap()[..n], b.fill_buf().unwrap()[..n]);
                assert_eq!(a.left(), b.left());
                if n == 0 {
                    break;
                }
                a.consume(n);
                b.consume(n);
            }
        }
        assert_eq!(whole.array::<4>(7).unwrap(), bytes[7..11]);
        assert!(whole.array::<4>(bytes.len() as u64 - 3).is_err());
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_ends_early() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let data = Data::File { file: &file, start: 0, len: 1000 };
        let mut out = Vec::new();
        data.reader().read_to_end(&mut out).unwrap();
        assert_eq!(out, b"short");
    }
}
