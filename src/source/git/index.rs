//! Pack indexes (`.idx`), versions 1 and 2, with SHA-1 or SHA-256 ids: which object stands where in the pack.
//!
//! Contract: [`Index::parse`] takes any bytes. What it accepts has a monotonic fan-out and room for all its tables, so
//! every question has an answer; whether ids are sorted and offsets sensible is for [`Index::check`] and the reader.

use std::ops::{Deref, Range};

use memmap2::Mmap;

use super::hash::Hasher;
use crate::model::ObjectId;

/// Bytes of a file, mapped or held.
#[derive(Debug)]
pub enum Bytes {
    /// A mapped file.
    Mapped(Mmap),
    /// In memory.
    Held(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Held(bytes) => bytes,
        }
    }
}

/// The first bytes of a version 2 index.
pub const MAGIC: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
/// Size of the fan-out table.
pub const FANOUT: usize = 256 * 4;

/// The index of a pack.
#[derive(Debug)]
pub struct Index {
    data: Bytes,
    hash_len: usize,
    count: u32,
    /// Where the fan-out table starts.
    fanout: usize,
    /// Where the first id stands, and how far it is to the next.
    ids: usize,
    stride: usize,
    /// Where checksums of entries start (version 2).
    crcs: Option<usize>,
    /// Where offsets start, and how far it is to the next.
    offsets: usize,
    offset_stride: usize,
    /// Offsets that need 64 bits (version 2).
    large: Range<usize>,
}

impl Index {
    /// Reads the head and finds the tables. `hash_len` is that of the repository.
    pub fn parse(data: Bytes, hash_len: usize) -> Result<Self, &'static str> {
        let v2 = data.starts_with(&MAGIC);
        if !v2 && data.starts_with(&MAGIC[..4]) {
            return Err("index of an unknown version");
        }
        let fanout = if v2 { MAGIC.len() } else { 0 };
        let tables = fanout + FANOUT;
        let Some(table) = data.get(fanout..tables) else {
            return Err("index is cut short");
        };
        let mut count = 0;
        for entry in table.chunks_exact(4) {
            let n = be32(entry);
            if n < count {
                return Err("fan-out of the index is not monotonic");
            }
            count = n;
        }
        let n = count as usize;
        // Everything below is at most 2^32 * 48, and checked against the length of the file.
        let body = data.len().checked_sub(tables + 2 * hash_len).ok_or("index is cut short")?;
        let per_object = if v2 { hash_len + 8 } else { hash_len + 4 };
        let large_len = body.checked_sub(n.checked_mul(per_object).ok_or("index is cut short")?);
        let large_len = large_len.ok_or("index is cut short")?;
        if !large_len.is_multiple_of(8) || (!v2 && large_len != 0) || large_len / 8 > n {
            return Err("index has an odd size");
        }
        Ok(if v2 {
            let (crcs, offsets) = (tables + n * hash_len, tables + n * (hash_len + 4));
            let large = offsets + 4 * n..offsets + 4 * n + large_len;
            let crcs = Some(crcs);
            Self {
                data,
                hash_len,
                count,
                fanout,
                ids: tables,
                stride: hash_len,
                crcs,
                offsets,
                offset_stride: 4,
                large,
            }
        } else {
            let stride = hash_len + 4;
            let (ids, offsets) = (tables + 4, tables);
            Self { data, hash_len, count, fanout, ids, stride, crcs: None, offsets, offset_stride: stride, large: 0..0 }
        })
    }

    /// How many objects the pack has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Raw id of the object at a position; empty if there is no such position.
    #[inline]
    pub fn id(&self, position: u32) -> &[u8] {
        if position >= self.count {
            return &[];
        }
        let at = self.ids + position as usize * self.stride;
        self.data.get(at..at + self.hash_len).unwrap_or_default()
    }

    /// Offset of an object in the pack; `None` if the index does not have it.
    #[inline]
    pub fn offset(&self, position: u32) -> Option<u64> {
        if position >= self.count {
            return None;
        }
        let at = self.offsets + position as usize * self.offset_stride;
        let short = be32(self.data.get(at..at + 4)?);
        if self.crcs.is_none() || short & 0x8000_0000 == 0 {
            return Some(u64::from(short));
        }
        let at = (short & 0x7fff_ffff) as usize * 8;
        let long = self.data.get(self.large.clone())?.get(at..at + 8)?;
        Some(u64::from_be_bytes(long.try_into().ok()?))
    }

    /// CRC-32 of the bytes of an entry as they stand in the pack; version 1 has none.
    #[inline]
    pub fn crc(&self, position: u32) -> Option<u32> {
        let at = self.crcs? + position as usize * 4;
        (position < self.count).then_some(())?;
        self.data.get(at..at + 4).map(be32)
    }

    /// Position of an object.
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        if id.len() != self.hash_len {
            return None;
        }
        let mut range = self.range(*id.first()?);
        while !range.is_empty() {
            let middle = range.start + (range.end - range.start) / 2;
            match self.id(middle).cmp(id) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => range.start = middle + 1,
                std::cmp::Ordering::Greater => range.end = middle,
            }
        }
        None
    }

    /// Positions of the objects whose id starts with a byte.
    pub fn range(&self, first: u8) -> Range<u32> {
        let entry = |i: usize| self.data.get(self.fanout + 4 * i..self.fanout + 4 * i + 4).map_or(0, be32);
        let start = if first == 0 { 0 } else { entry(usize::from(first) - 1) };
        start..entry(usize::from(first)).max(start)
    }

    /// Checksum of the pack that this index belongs to: the pack's last bytes.
    pub fn pack_checksum(&self) -> &[u8] {
        let end = self.data.len() - self.hash_len;
        &self.data[end - self.hash_len..end]
    }

    /// Whether the index is as git wrote it: its own checksum fits, and ids stand in order where the fan-out says.
    pub fn check(&self) -> bool {
        let (body, sum) = self.data.split_at(self.data.len() - self.hash_len);
        let mut hasher = Hasher::new(self.hash_len);
        hasher.add(body);
        hasher.end() == sum
            && (0..=255).all(|first| {
                let mut before: &[u8] = &[];
                self.range(first).all(|position| {
                    let id = self.id(position);
                    let right = id.first() == Some(&first) && before <= id;
                    before = id;
                    right
                })
            })
    }

    /// Writes a version 2 index. `entries` are id, CRC-32 and offset in any order.
    pub fn build(mut entries: Vec<(ObjectId, u32, u64)>, pack_checksum: &[u8]) -> Vec<u8> {
        entries.sort();
        let mut out = MAGIC.to_vec();
        for first in 0..=255u8 {
            let n = entries.partition_point(|(id, ..)| id.as_bytes().first().is_some_and(|b| *b <= first));
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        entries.iter().for_each(|(id, ..)| out.extend_from_slice(id.as_bytes()));
        entries.iter().for_each(|(_, crc, _)| out.extend_from_slice(&crc.to_be_bytes()));
        let mut large = Vec::new();
        for (.., offset) in &entries {
            let short = u32::try_from(*offset).ok().filter(|o| o & 0x8000_0000 == 0);
            let short = short.unwrap_or_else(|| {
                large.extend_from_slice(&offset.to_be_bytes());
                0x8000_0000 | (large.len() / 8 - 1) as u32
            });
            out.extend_from_slice(&short.to_be_bytes());
        }
        out.extend_from_slice(&large);
        out.extend_from_slice(pack_checksum);
        let mut hasher = Hasher::new(pack_checksum.len());
        hasher.add(&out);
        out.extend_from_slice(&hasher.end());
        out
    }
}

/// A big-endian 32-bit number; 0 if there are not four bytes.
#[inline(always)]
fn be32(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entries() -> Vec<(ObjectId, u32, u64)> {
        let id = |a: u8, b: u8| ObjectId::from_bytes(&[vec![a, b], vec![0; 18]].concat()).unwrap();
        vec![(id(9, 9), 1, 12), (id(0, 1), 2, 1 << 33), (id(255, 0), 3, 0x8000_0000), (id(9, 1), 4, 77)]
    }

    fn sha1(bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(20);
        hasher.add(bytes);
        hasher.end()
    }

    #[test]
    fn what_is_built_is_read() {
        let index = Index::parse(Bytes::Held(Index::build(entries(), &[5; 20])), 20).unwrap();
        assert!(index.check());
        assert_eq!(index.count(), 4);
        assert_eq!(index.pack_checksum(), [5; 20]);
        for (id, crc, offset) in entries() {
            let at = index.find(id.as_bytes()).unwrap();
            assert_eq!((index.id(at), index.crc(at), index.offset(at)), (id.as_bytes(), Some(crc), Some(offset)));
        }
        assert_eq!(index.find(&[9; 20]), None);
        assert_eq!(index.find(&[9; 32]), None);
        assert_eq!((index.offset(4), index.crc(4), index.id(4)), (None, None, &[][..]));
    }

    #[test]
    fn version_1_is_read() {
        let mut raw = Vec::new();
        let mut sorted = entries();
        sorted.retain(|e| e.2 < 1 << 32);
        sorted.sort();
        for first in 0..=255u8 {
            raw.extend((sorted.iter().filter(|e| e.0.as_bytes()[0] <= first).count() as u32).to_be_bytes());
        }
        for (id, _, offset) in &sorted {
            raw.extend((*offset as u32).to_be_bytes());
            raw.extend(id.as_bytes());
        }
        raw.extend([5; 20]);
        let sum = sha1(&raw);
        raw.extend_from_slice(&sum);
        let index = Index::parse(Bytes::Held(raw), 20).unwrap();
        assert!(index.check());
        for (id, _, offset) in sorted {
            let at = index.find(id.as_bytes()).unwrap();
            assert_eq!((index.crc(at), index.offset(at)), (None, Some(offset)));
        }
    }

    #[test]
    fn cut_and_flipped_indexes_are_refused_or_fail_the_check() {
        let good = Index::build(entries(), &[5; 20]);
        for cut in 0..good.len() {
            if let Ok(index) = Index::parse(Bytes::Held(good[..cut].to_vec()), 20) {
                assert!(!index.check(), "cut at {cut}");
            }
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(index) = Index::parse(Bytes::Held(bad), 20) {
                assert!(!index.check(), "bit {bit}");
                for position in 0..index.count().min(100) {
                    let _ = (index.id(position), index.offset(position), index.crc(position));
                }
                let _ = (index.find(&[9; 20]), index.find(&[0; 20]), index.find(&[255; 20]));
            }
        }
        let _ = Index::parse(Bytes::Held(good), 32);
    }

    #[test]
    fn unsorted_ids_fail_the_check() {
        let mut raw = Index::build(entries(), &[5; 20]);
        let ids = MAGIC.len() + FANOUT;
        let (a, b) = (ids + 20, ids + 40);
        for i in 0..20 {
            raw.swap(a + i, b + i);
        }
        let end = raw.len() - 20;
        let sum = sha1(&raw[..end]);
        raw[end..].copy_from_slice(&sum);
        assert!(!Index::parse(Bytes::Held(raw), 20).unwrap().check());
    }
}
