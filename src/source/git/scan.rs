//! The index of a pack whose own is missing or damaged: entries are found one after another, ids by hashing.
//!
//! Contract: takes any bytes; memory is some tens of bytes for each entry that really inflates, and at most
//! [`MEMORY`] for contents. Behind the first entry that does not inflate nothing can be found.

use std::rc::Rc;

use super::budget::{Budget, Buffer};
use super::delta;
use super::hash::{Hasher, object_id};
use super::index::Index;
use super::inflate::{Inflater, SLACK, plausible};
use super::pack::{self, HEAD, Stored};
use super::walk::Kind;
use crate::model::ObjectId;

/// Bytes of objects that may be held while ids are found.
const MEMORY: u64 = 256 << 20;

/// What a scan found.
#[derive(Debug)]
pub struct Scan {
    /// A version 2 index of all objects whose id could be found.
    pub index: Vec<u8>,
    /// Offset of the first entry that is damaged, and what is wrong with it.
    pub damage: Option<(u64, &'static str)>,
    /// Entries without an id: they are built from what is damaged or not here, or are too large.
    pub lost: u32,
}

/// An entry found.
struct Found {
    offset: u64,
    crc: u32,
    id: Option<ObjectId>,
}

/// Reads an object that is not in the pack.
pub type Outside<'a> = &'a dyn Fn(&ObjectId) -> Option<(Kind, Vec<u8>)>;

/// Builds the index of a pack. `outside` reads bases that are not in it.
pub fn scan(pack: &[u8], hash_len: usize, outside: Outside<'_>) -> Scan {
    let bytes = pack::entries(pack, hash_len);
    let (found, damage) = find(bytes, hash_len);
    let budget = Budget::new(MEMORY);
    let mut resolver = Resolver::new(bytes, hash_len, found, &budget);
    resolver.resolve(outside);
    let found = resolver.found;
    let lost = found.iter().filter(|f| f.id.is_none()).count() as u32;
    let entries = found.into_iter().filter_map(|f| Some((f.id?, f.crc, f.offset))).collect();
    // An unknown checksum is as good as any: the pack is too short to have one.
    let checksum =
        pack.get(bytes.len()..).filter(|sum| sum.len() == hash_len).map_or(vec![0; hash_len], <[u8]>::to_vec);
    Scan { index: Index::build(entries, &checksum), damage, lost }
}

/// Whether every entry of a pack inflates and there are as many as it declares. Costs inflating all of it.
pub fn is_sound(pack: &[u8], hash_len: usize) -> bool {
    let (found, damage) = find(pack::entries(pack, hash_len), hash_len);
    damage.is_none() && pack::head(pack).is_ok_and(|n| n as usize == found.len())
}

/// Goes from entry to entry. Ids of objects stored whole are known at once.
fn find(bytes: &[u8], hash_len: usize) -> (Vec<Found>, Option<(u64, &'static str)>) {
    let mut found = Vec::new();
    let mut inflater = Inflater::default();
    let mut buffer = vec![0; 64 << 10];
    let mut offset = HEAD;
    while offset < bytes.len() as u64 {
        match next(bytes, offset, hash_len, &mut inflater, &mut buffer) {
            Ok((entry, end)) => {
                found.push(entry);
                offset = end;
            }
            Err(reason) => return (found, Some((offset, reason))),
        }
    }
    (found, None)
}

/// The entry at an offset and where it ends.
fn next(
    bytes: &[u8],
    offset: u64,
    hash_len: usize,
    inflater: &mut Inflater,
    buffer: &mut [u8],
) -> Result<(Found, u64), &'static str> {
    let entry = pack::entry(bytes, offset, hash_len)?;
    let mut hasher = match entry.stored {
        Stored::Whole(kind) => Some(Hasher::object(hash_len, kind, entry.size)),
        _ => None,
    };
    let packed = bytes.get(entry.data..).unwrap_or_default();
    let len = inflater.pieces(packed, entry.size, buffer, |part, _| {
        if let Some(hasher) = &mut hasher {
            hasher.add(part);
        }
        0
    })?;
    let end = entry.data + len;
    let crc = crc32fast::hash(bytes.get(offset as usize..end).unwrap_or_default());
    let id = hasher.and_then(|hasher| ObjectId::from_bytes(&hasher.end()));
    Ok((Found { offset, crc, id }, end as u64))
}

/// Finds the ids of deltas.
struct Resolver<'a> {
    bytes: &'a [u8],
    hash_len: usize,
    found: Vec<Found>,
    /// Base and child, for deltas that name their base by offset; sorted.
    by_offset: Vec<(u32, u32)>,
    /// Base and child, for deltas that name their base by id; sorted.
    by_id: Vec<(ObjectId, u32)>,
    budget: &'a Budget,
    inflater: Inflater,
}

impl<'a> Resolver<'a> {
    fn new(bytes: &'a [u8], hash_len: usize, found: Vec<Found>, budget: &'a Budget) -> Self {
        let (mut by_offset, mut by_id) = (Vec::new(), Vec::new());
        for (i, child) in found.iter().enumerate() {
            match pack::entry(bytes, child.offset, hash_len).map(|entry| entry.stored) {
                Ok(Stored::Offset(base)) => {
                    let base = found.binary_search_by_key(&base, |f| f.offset);
                    by_offset.extend(base.map(|base| (base as u32, i as u32)));
                }
                Ok(Stored::Id(base)) => by_id.push((base, i as u32)),
                _ => {}
            }
        }
        by_offset.sort_unstable();
        by_id.sort_unstable();
        Self { bytes, hash_len, found, by_offset, by_id, budget, inflater: Inflater::default() }
    }

    fn resolve(&mut self, outside: Outside<'_>) {
        for root in 0..self.found.len() as u32 {
            let children = self.children(root);
            if !children.is_empty()
                && let Some((kind, data)) = self.whole(root)
            {
                self.descend(kind, data, children);
            }
        }
        let mut bases: Vec<ObjectId> = self.by_id.iter().map(|(base, _)| *base).collect();
        bases.dedup();
        for base in bases {
            let children = self.named(&base);
            if children.iter().any(|child| self.found[*child as usize].id.is_none())
                && let Some((kind, data)) = outside(&base)
            {
                self.descend(kind, self.budget.adopt(data), children);
            }
        }
    }

    /// Deltas of an entry that have no id yet.
    fn children(&self, base: u32) -> Vec<u32> {
        let start = self.by_offset.partition_point(|(b, _)| *b < base);
        let near = self.by_offset[start..].iter().take_while(|(b, _)| *b == base).map(|(_, child)| *child);
        let mut all: Vec<u32> = near.collect();
        if let Some(id) = &self.found[base as usize].id {
            all.extend(self.named(id));
        }
        all.retain(|child| self.found[*child as usize].id.is_none());
        all
    }

    /// Deltas of an object that name it by id.
    fn named(&self, id: &ObjectId) -> Vec<u32> {
        let start = self.by_id.partition_point(|(base, _)| base < id);
        self.by_id[start..].iter().take_while(|(base, _)| base == id).map(|(_, child)| *child).collect()
    }

    /// Decodes an entry that is stored whole.
    fn whole(&mut self, i: u32) -> Option<(Kind, Buffer<'a>)> {
        let entry = pack::entry(self.bytes, self.found[i as usize].offset, self.hash_len).ok()?;
        let Stored::Whole(kind) = entry.stored else { return None };
        Some((kind, self.inflate(entry.data, entry.size)?))
    }

    fn inflate(&mut self, at: usize, size: u64) -> Option<Buffer<'a>> {
        let packed = self.bytes.get(at..)?;
        plausible(size, packed.len() as u64).then_some(())?;
        let mut buffer = self.budget.allocate(usize::try_from(size).ok()?.checked_add(SLACK)?)?;
        self.inflater.whole(packed, &mut buffer.bytes, size as usize).ok()?;
        Some(buffer)
    }

    /// Finds the ids of everything that is built from an object. A base is freed with the last of its children.
    fn descend(&mut self, kind: Kind, data: Buffer<'a>, children: Vec<u32>) {
        let base = Rc::new(data);
        let mut stack: Vec<(u32, Rc<Buffer<'a>>)> = children.into_iter().map(|c| (c, Rc::clone(&base))).collect();
        drop(base);
        while let Some((i, base)) = stack.pop() {
            if self.found[i as usize].id.is_some() {
                continue;
            }
            let Some(data) = self.apply(i, &base) else { continue };
            drop(base);
            self.found[i as usize].id = object_id(self.hash_len, kind, &data);
            let data = Rc::new(data);
            stack.extend(self.children(i).into_iter().map(|child| (child, Rc::clone(&data))));
        }
    }

    /// Applies the delta of an entry.
    fn apply(&mut self, i: u32, base: &[u8]) -> Option<Buffer<'a>> {
        let entry = pack::entry(self.bytes, self.found[i as usize].offset, self.hash_len).ok()?;
        let delta = self.inflate(entry.data, entry.size)?;
        let header = delta::header(&delta)?;
        delta::fits(&delta, header).then_some(())?;
        let mut out = self.budget.allocate(usize::try_from(header.result).ok()?)?;
        delta::apply(&delta, header, base, &mut out.bytes, &mut Vec::new()).ok()?;
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    /// A pack of entries given by the bytes of their head (without the size) and their content.
    fn pack(entries: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
        let mut out = b"PACK\0\0\0\x02".to_vec();
        out.extend((entries.len() as u32).to_be_bytes());
        for (kind, base, content) in entries {
            assert!(content.len() < 16);
            out.push(kind << 4 | content.len() as u8);
            out.extend_from_slice(base);
            let mut zlib = flate2::write::ZlibEncoder::new(&mut out, flate2::Compression::fast());
            zlib.write_all(content).unwrap();
            zlib.finish().unwrap();
        }
        let mut hasher = Hasher::new(20);
        hasher.add(&out);
        out.extend(hasher.end());
        out
    }

    #[test]
    fn ids_of_whole_objects_and_deltas_are_found() {
        let base = object_id(20, Kind::Blob, b"hello world").unwrap();
        let middle = object_id(20, Kind::Blob, b"hello").unwrap();
        let far = object_id(20, Kind::Blob, b"elsewhere").unwrap();
        let bytes = pack(&[
            // Deltas that stand before their bases.
            (7, middle.as_bytes(), &[5, 3, 0x91, 2, 3]),
            (7, base.as_bytes(), &[11, 5, 0x90, 5]),
            (3, b"", b"hello world"),
            (7, far.as_bytes(), &[9, 4, 0x90, 4]),
        ]);
        let none = |_: &ObjectId| None;
        let scanned = scan(&bytes, 20, &none);
        assert_eq!((scanned.damage, scanned.lost), (None, 1));
        let index = Index::parse(super::super::index::Bytes::Held(scanned.index), 20).unwrap();
        assert!(index.check() && index.count() == 3);
        for content in [&b"llo"[..], b"hello", b"hello world"] {
            assert!(index.find(object_id(20, Kind::Blob, content).unwrap().as_bytes()).is_some());
        }
        let outside = |id: &ObjectId| (*id == far).then(|| (Kind::Blob, b"elsewhere".to_vec()));
        assert_eq!(scan(&bytes, 20, &outside).lost, 0);
        assert!(is_sound(&bytes, 20));
    }

    #[test]
    fn circles_and_damage_end() {
        let a = object_id(20, Kind::Blob, b"aaaa").unwrap();
        let bytes = pack(&[(7, a.as_bytes(), &[4, 4, 0x90, 4]), (3, b"", b"b")]);
        let none = |_: &ObjectId| None;
        assert_eq!(scan(&bytes, 20, &none).lost, 1);
        for cut in 0..bytes.len() {
            let _ = scan(&bytes[..cut], 20, &none);
            assert!(!is_sound(&bytes[..cut], 20));
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let scanned = scan(&bad, 20, &none);
            assert!(Index::parse(super::super::index::Bytes::Held(scanned.index), 20).unwrap().check());
        }
    }
}
