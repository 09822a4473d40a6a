//! Compact tables of object ids: numbered in the order of insertion, 20 or 32 bytes each plus about 16 for the look-up.
//!
//! Contract: no table trusts ids to be evenly spread. A forged pack index may name any id, so the hash is keyed.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::model::ObjectId;

/// Ids of one repository, each with its number (from 0, in order of insertion).
#[derive(Clone, Debug)]
pub struct IdTable {
    width: usize,
    key: IdKey,
    ids: Vec<u8>,
    /// Number + 1 below 32 bits of the hash, or 0 for an empty slot. The length is a power of two.
    slots: Vec<u64>,
}

/// Key of the hash over ids; one per table or group of tables.
#[derive(Clone, Copy, Debug)]
pub struct IdKey(u64, u64);

impl Default for IdKey {
    fn default() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(random() | 1, random())
    }
}

impl IdKey {
    /// Keyed hash of an id.
    #[inline]
    pub fn hash(self, id: &[u8]) -> u64 {
        let mut state = self.1;
        let mut rest = id;
        while let Some((word, tail)) = rest.split_first_chunk::<8>() {
            state = fold(state ^ u64::from_le_bytes(*word), self.0);
            rest = tail;
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            state = fold(state ^ u64::from_le_bytes(word), self.0);
        }
        state
    }
}

/// Both halves of the 128-bit product, folded.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl IdTable {
    /// An empty table for ids of `width` bytes (20 or 32).
    pub fn new(width: usize) -> Self {
        Self::keyed(width, IdKey::default())
    }

    /// An empty table with a given key.
    pub fn keyed(width: usize, key: IdKey) -> Self {
        Self { width, key, ids: Vec::new(), slots: Vec::new() }
    }

    /// Makes room for so many ids.
    pub fn reserve(&mut self, count: usize) {
        self.ids.reserve(count * self.width);
        while (self.len() + count + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    /// Bytes of an id.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.ids.len() / self.width.max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The raw id with this number; empty if there is none.
    pub fn bytes(&self, number: u32) -> &[u8] {
        let start = number as usize * self.width;
        self.ids.get(start..start + self.width).unwrap_or_default()
    }

    /// The number of an id.
    pub fn get(&self, id: &[u8]) -> Option<u32> {
        if self.slots.is_empty() || id.len() != self.width {
            return None;
        }
        self.find(self.key.hash(id), id).ok()
    }

    /// Whether the id is in the table.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.get(id.as_bytes()).is_some()
    }

    /// Adds an id unless it is there; its number, and whether it is new. Ids of another width are never in a table:
    /// they get the number of no entry.
    pub fn insert(&mut self, id: &[u8]) -> (u32, bool) {
        let hash = self.key.hash(id);
        if id.len() != self.width {
            return (u32::MAX, false);
        }
        if (self.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        match self.find(hash, id) {
            Ok(number) => (number, false),
            Err(slot) => {
                let number = self.len() as u32;
                self.ids.extend_from_slice(id);
                self.slots[slot] = hash << 32 | u64::from(number + 1);
                (number, true)
            }
        }
    }

    /// All ids in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ids.chunks_exact(self.width.max(1))
    }

    /// The number of the id, or the empty slot where it belongs. There is always an empty slot.
    #[inline]
    fn find(&self, hash: u64, id: &[u8]) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as u32 as usize & mask;
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return Err(slot);
            }
            let number = (found as u32).wrapping_sub(1);
            if (found >> 32) as u32 == hash as u32 && self.bytes(number) == id {
                return Ok(number);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let mut slots = vec![0; size];
        for found in self.slots.iter().filter(|found| **found != 0) {
            let mut slot = (found >> 32) as usize & (size - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = *found;
        }
        self.slots = slots;
    }
}

/// Hasher for numbers and names: multiplications, keyed as in [`IdKey`], since names are anybody's choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuickState(IdKey);

/// See [`QuickState`].
#[derive(Clone, Copy, Debug)]
pub struct QuickHasher(u64, u64);

impl BuildHasher for QuickState {
    type Hasher = QuickHasher;
    fn build_hasher(&self) -> QuickHasher {
        QuickHasher(self.0.1, self.0.0)
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = fold(self.0 ^ value, self.1);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_follow_insertion_and_survive_growth() {
        for width in [20, 32] {
            let mut table = IdTable::new(width);
            // Equal but for the last bytes, as a forged index could name them.
            let id = |i: u32| [vec![7; width - 4], i.to_be_bytes().to_vec()].concat();
            for i in 0..5000 {
                assert_eq!(table.insert(&id(i)), (i, true));
                assert_eq!(table.insert(&id(i / 2)), (i / 2, false));
            }
            assert_eq!(table.len(), 5000);
            assert_eq!(table.get(&id(4999)), Some(4999));
            assert_eq!(table.get(&id(5000)), None);
            assert_eq!(table.bytes(17), id(17));
            assert!(table.bytes(5000).is_empty());
        }
    }

    #[test]
    fn ids_of_another_width_are_never_there() {
        let mut table = IdTable::new(20);
        assert_eq!(table.get(&[0; 20]), None);
        assert!(!table.insert(&[0; 32]).1);
        assert!(table.is_empty());
    }
}
