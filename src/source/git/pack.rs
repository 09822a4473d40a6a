//! Pack files: mapped into memory, and the heads of their entries.
//!
//! Contract: [`entry`] takes any bytes. An entry's compressed data ends before the next entry starts, which the caller
//! knows from the index; nothing here trusts a declared size.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, UncheckedAdvice};

use super::index::{Bytes, Index};
use super::walk::Kind;
use crate::model::ObjectId;

/// Bytes before the first entry: `PACK`, version, number of entries.
pub const HEAD: u64 = 12;

/// How an entry is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Whole.
    Whole(Kind),
    /// As a delta of the entry at this offset.
    Offset(u64),
    /// As a delta of the object with this id.
    Id(ObjectId),
}

/// The head of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How it is stored.
    pub stored: Stored,
    /// Declared size of what its zlib stream holds: the object or the delta.
    pub size: u64,
    /// Where the zlib stream starts.
    pub data: usize,
}

/// Reads the head of the entry at an offset of a pack.
#[inline]
pub fn entry(pack: &[u8], offset: u64, hash_len: usize) -> Result<Entry, &'static str> {
    const CUT: &str = "entry is cut short";
    let mut at = usize::try_from(offset).map_err(|_| CUT)?;
    let mut next = || -> Result<u8, &'static str> {
        let byte = *pack.get(at).ok_or(CUT)?;
        at += 1;
        Ok(byte)
    };
    let first = next()?;
    let (mut size, mut shift, mut byte) = (u64::from(first & 0x0f), 4, first);
    while byte & 0x80 != 0 {
        byte = next()?;
        let part = u64::from(byte & 0x7f);
        if shift >= 64 || part << shift >> shift != part {
            return Err("declared size does not fit 64 bits");
        }
        size |= part << shift;
        shift += 7;
    }
    let stored = match first >> 4 & 7 {
        1 => Stored::Whole(Kind::Commit),
        2 => Stored::Whole(Kind::Tree),
        3 => Stored::Whole(Kind::Blob),
        4 => Stored::Whole(Kind::Tag),
        6 => {
            let mut byte = next()?;
            let mut distance = u64::from(byte & 0x7f);
            while byte & 0x80 != 0 {
                byte = next()?;
                let above = distance.checked_add(1).filter(|d| *d < 1 << 57).ok_or("delta base is out of the pack")?;
                distance = above << 7 | u64::from(byte & 0x7f);
            }
            let base = offset.checked_sub(distance).filter(|base| distance > 0 && *base >= HEAD);
            Stored::Offset(base.ok_or("delta base is out of the pack")?)
        }
        7 => {
            let id = pack.get(at..at.saturating_add(hash_len)).and_then(ObjectId::from_bytes);
            at += hash_len;
            Stored::Id(id.ok_or(CUT)?)
        }
        _ => return Err("entry of an unknown type"),
    };
    Ok(Entry { stored, size, data: at })
}

/// Number of entries that the head of a pack declares.
pub fn head(pack: &[u8]) -> Result<u32, &'static str> {
    let Some((head, _)) = pack.split_first_chunk::<12>() else {
        return Err("pack is cut short");
    };
    let word = |i: usize| u32::from_be_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
    if &head[..4] != b"PACK" {
        return Err("not a pack");
    }
    if !matches!(word(4), 2 | 3) {
        return Err("pack of an unknown version");
    }
    Ok(word(8))
}

/// A pack with its index.
#[derive(Debug)]
pub struct Pack {
    /// File name, for notes.
    pub name: String,
    /// The whole file.
    pub data: Bytes,
    /// Its index, from disk or built.
    pub index: Index,
    /// Length of an object id.
    pub hash_len: usize,
    /// The index was built from the pack: there may be entries that it does not have.
    pub built: bool,
    /// How much of it was read.
    pub touched: AtomicU64,
}

/// After so many bytes read, the pages of a pack are let go.
const HELD: u64 = 32 << 20;

impl Pack {
    /// Tells that so many bytes are read. What was read before is seldom read again, so that its pages need not count as
    /// this process's memory: every now and then all are let go. Those in use come back by themselves.
    #[inline]
    pub fn touch(&self, bytes: usize) {
        let before = self.touched.fetch_add(bytes as u64, Ordering::Relaxed);
        if before / HELD != (before + bytes as u64) / HELD {
            self.let_go();
        }
    }

    /// Lets go of the pages of the mapping: the file keeps the bytes.
    #[allow(unsafe_code)]
    pub fn let_go(&self) {
        if let Bytes::Mapped(map) = &self.data {
            // SAFETY: Advice that loses what was written to private or anonymous pages. This mapping is of a file and for
            // reading only: the pages are read from the file again, the same bytes (see `map`).
            let _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
    }

    /// The bytes entries can lie in: everything before the checksum at the end.
    pub fn entries(&self) -> &[u8] {
        entries(&self.data, self.hash_len)
    }

    /// The head of the entry at an offset.
    #[inline]
    pub fn entry(&self, offset: u64) -> Result<Entry, &'static str> {
        entry(self.entries(), offset, self.hash_len)
    }
}

/// The bytes of a pack file before its checksum.
pub fn entries(data: &[u8], hash_len: usize) -> &[u8] {
    &data[..data.len().saturating_sub(hash_len)]
}

/// Maps a regular file. An empty one is held, since it cannot be mapped.
pub fn open(path: &Path) -> io::Result<Bytes> {
    // Asked before opening: opening a FIFO would wait for its other end.
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::Held(Vec::new()));
    }
    map(&file).map(Bytes::Mapped)
}

/// Maps a file for reading.
#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: A mapping is unsound only if its bytes change while a `&[u8]` to them lives. Packs, indexes and loose
    // objects are write-once: git writes them under a temporary name, renames them into place, makes them read-only and
    // afterwards only unlinks them, which leaves a mapping intact. Should someone change one in place all the same, we
    // read other bytes than before, but each check-and-use here is of a copied number, every access is bounds-checked,
    // and the mapping never is written through; should someone truncate one, the kernel ends the process (SIGBUS)
    // instead of showing it foreign memory. This is the same trust git itself and every other reader of packs have.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_of_entries() {
        let mut pack = vec![0u8; 300];
        pack[12] = 0x30 | 5;
        assert_eq!(entry(&pack, 12, 20), Ok(Entry { stored: Stored::Whole(Kind::Blob), size: 5, data: 13 }));
        pack[20..23].copy_from_slice(&[0x80 | 0x20 | 1, 0x82, 0x01]);
        let size = 1 | 2 << 4 | 1 << 11;
        assert_eq!(entry(&pack, 20, 20), Ok(Entry { stored: Stored::Whole(Kind::Tree), size, data: 23 }));
        pack[200..203].copy_from_slice(&[0x61, 0x80, 0x3c]);
        assert_eq!(entry(&pack, 200, 20), Ok(Entry { stored: Stored::Offset(200 - 188), size: 1, data: 203 }));
        pack[202] = 0x3d;
        assert!(entry(&pack, 200, 20).is_err(), "base in the head of the pack");
        pack[200] = 0x71;
        pack[201..221].fill(7);
        let id = ObjectId::from_bytes(&[7; 20]).unwrap();
        assert_eq!(entry(&pack, 200, 20), Ok(Entry { stored: Stored::Id(id), size: 1, data: 221 }));
        assert!(entry(&pack[..215], 200, 20).is_err());
        pack[30..32].copy_from_slice(&[0x60, 0]);
        assert!(entry(&pack, 30, 20).is_err(), "a delta of itself");
        for kind in [0x00, 0x50] {
            pack[30] = kind;
            assert!(entry(&pack, 30, 20).is_err());
        }
        pack[30..50].fill(0xff);
        assert!(entry(&pack, 30, 20).is_err(), "endless size");
        assert!(entry(&pack, u64::MAX, 20).is_err());
    }

    #[test]
    fn heads_of_packs() {
        assert_eq!(head(b"PACK\0\0\0\x02\0\0\x01\x02"), Ok(258));
        assert!(head(b"PACK\0\0\0\x02\0\0\x01").is_err());
        assert!(head(b"PACK\0\0\0\x09\0\0\x01\x02").is_err());
        assert!(head(b"KCAP\0\0\0\x02\0\0\x01\x02").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..64), offset in 0u64..70) {
            let _ = head(&bytes);
            if let Ok(found) = entry(&bytes, offset, 20) {
                prop_assert!(found.data <= bytes.len());
                if let Stored::Offset(base) = found.stored {
                    prop_assert!(base < offset);
                }
            }
        }
    }
}
