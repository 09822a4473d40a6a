//! Every entry and loose object as a numbered node, with its kind and the node it is a delta of.
//!
//! Contract: built once for a store, from heads of entries only, in time near linear in the number of nodes and 17 bytes
//! a node. Links never form a circle: a node whose base is nowhere, or that is its own base, is [`LOST`].
//!
//! Nodes are numbered pack by pack in the order of offsets, then loose objects folder by folder in the order of ids.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use rayon::prelude::*;

use super::inflate::Inflater;
use super::loose;
use super::pack::{Pack, Stored};
use super::prefetch::prefetch;
use super::store::{Fault, ObjectStore, Place};
use super::walk::{Kind, RawId};
use crate::model::ObjectId;
use crate::per_thread::SHARE;

/// No node.
pub const NONE: u32 = u32::MAX;

/// Kind not known: a loose object that was not opened, or a node above a lost one.
pub const UNKNOWN: u8 = 0;
/// A node that cannot be decoded: its head is damaged, or its base is not here.
pub const LOST: u8 = 5;
/// While building: the kind is that of the base.
const PENDING: u8 = 6;
/// While building: its bases are being looked at.
const ON_PATH: u8 = 7;
/// The bits with the kind.
const KIND: u8 = 0x0f;
/// The id stands in an earlier node, too.
const DUPLICATE: u8 = 0x80;

/// Nodes of one pack.
#[derive(Debug)]
struct Packed {
    /// Offset and position in the index, packed so that they sort by offset: 8 bytes a node.
    keys: Vec<u64>,
    /// CRC-32 of each entry, in the same order, if the index has them: looked up in the index one by one, they would each cost
    /// a miss of the cache.
    crcs: Option<Vec<u32>>,
    /// Low bits of a key that hold the position.
    bits: u32,
    /// Where entries end.
    end: u64,
}

impl Packed {
    fn new(pack: &Pack) -> Result<Self, &'static str> {
        let count = pack.index.count();
        let bits = u32::BITS - count.leading_zeros();
        let end = pack.entries().len() as u64;
        if end.leading_zeros() < bits {
            return Err("pack is too large");
        }
        // An offset outside of the pack becomes its end, where reading an entry fails.
        let key = |i: u32| pack.index.offset(i).map_or(end, |offset| offset.min(end)) << bits | u64::from(i);
        let keys: Vec<u64> = (0..count).into_par_iter().with_max_len(SHARE).map(key).collect();
        let keys = sorted(keys, bits, u64::BITS - end.leading_zeros());
        // An index that was built here has the sums of what was read.
        let crc = |key: &u64| pack.index.crc((*key & ((1 << bits) - 1)) as u32);
        let known = !pack.built && keys.first().is_some_and(|key| crc(key).is_some());
        let crcs = keys.par_iter().with_max_len(SHARE).map(|key| crc(key).unwrap_or_default());
        let crcs = known.then(|| crcs.collect());
        Ok(Self { keys, crcs, bits, end })
    }

    fn offset(&self, i: usize) -> u64 {
        self.keys[i] >> self.bits
    }

    fn position(&self, i: usize) -> u32 {
        (self.keys[i] & ((1 << self.bits) - 1)) as u32
    }

    /// Where the entry ends at the latest: where the next one starts.
    fn end(&self, i: usize) -> u64 {
        let own = self.offset(i);
        let next = self.keys.get(i + 1).map_or(self.end, |key| key >> self.bits);
        if next > own {
            return next;
        }
        let after = self.keys.partition_point(|key| key >> self.bits <= own);
        self.keys.get(after).map_or(self.end, |key| key >> self.bits)
    }

    /// Whether the node before stands at the same offset.
    fn repeated(&self, i: usize) -> bool {
        i > 0 && self.offset(i - 1) == self.offset(i)
    }

    /// The node at an offset below that of node `near`, looked for from there downwards: bases are mostly close.
    fn find_below(&self, near: usize, offset: u64) -> Option<usize> {
        let (mut low, mut step) = (near, 8);
        while low > 0 && self.offset(low) > offset {
            low = low.saturating_sub(step);
            step *= 4;
        }
        self.find_in(low..near, offset)
    }

    /// The first node at an offset.
    fn find(&self, offset: u64) -> Option<usize> {
        self.find_in(0..self.keys.len(), offset)
    }

    fn find_in(&self, range: Range<usize>, offset: u64) -> Option<usize> {
        let i = range.start + self.keys[range].partition_point(|key| key >> self.bits < offset);
        (i < self.keys.len() && self.offset(i) == offset).then_some(i)
    }
}

/// All nodes of a store.
#[derive(Debug)]
pub struct Forest {
    packs: Vec<Packed>,
    /// First node of each pack, of each folder of loose objects, and the number of nodes.
    starts: Vec<u32>,
    /// The node each one is a delta of, or [`NONE`].
    base: Vec<u32>,
    /// Kind and flags of each node.
    kind: Vec<u8>,
}

impl Forest {
    /// Numbers all nodes and links them.
    pub fn new(store: &ObjectStore) -> Result<Self, &'static str> {
        let packs = store.packs.iter().map(Packed::new).collect::<Result<Vec<_>, _>>()?;
        let mut starts = vec![0u32];
        let counts = packs.iter().map(|p| p.keys.len()).chain(store.loose.iter().map(|l| l.count()));
        for count in counts {
            let last = starts[starts.len() - 1] as usize;
            let next = last.checked_add(count).filter(|n| *n < NONE as usize).ok_or("too many objects")?;
            starts.push(next as u32);
        }
        let nodes = starts[starts.len() - 1] as usize;
        let mut forest = Self { packs, starts, base: vec![NONE; nodes], kind: vec![UNKNOWN; nodes] };
        forest.read_heads(store);
        forest.spread_kinds(store);
        forest.mark_duplicates(store);
        Ok(forest)
    }

    /// Reads the heads of all entries.
    fn read_heads(&mut self, store: &ObjectStore) {
        const CHUNK: usize = 1 << 14;
        /// So many entries are read while memory answers.
        const AHEAD: usize = 16;
        let (mut base, mut kind) = (std::mem::take(&mut self.base), std::mem::take(&mut self.kind));
        for (number, packed) in self.packs.iter().enumerate() {
            let range = self.starts[number] as usize..self.starts[number + 1] as usize;
            let bases = base[range.clone()].par_chunks_mut(CHUNK);
            let kinds = kind[range].par_chunks_mut(CHUNK);
            bases.zip(kinds).enumerate().with_max_len(1).for_each(|(chunk, (bases, kinds))| {
                let entries = store.packs[number].entries();
                for (i, (base, kind)) in bases.iter_mut().zip(kinds).enumerate() {
                    let i = chunk * CHUNK + i;
                    if let Some(later) = packed.keys.get(i + AHEAD) {
                        prefetch(entries.get((later >> packed.bits) as usize..).unwrap_or_default());
                    }
                    (*base, *kind) = self.read_head(store, number, packed, i);
                }
            });
        }
        (self.base, self.kind) = (base, kind);
    }

    /// Base and kind of one entry.
    fn read_head(&self, store: &ObjectStore, number: usize, packed: &Packed, i: usize) -> (u32, u8) {
        let Ok(entry) = store.packs[number].entry(packed.offset(i)) else {
            return (NONE, LOST);
        };
        if packed.repeated(i) {
            return (NONE, LOST);
        }
        let base = match entry.stored {
            Stored::Whole(kind) => return (NONE, code(kind)),
            Stored::Offset(offset) => packed.find_below(i, offset).map(|base| self.starts[number] + base as u32),
            Stored::Id(id) => store.base_place(number, &id).and_then(|place| self.node(place)),
        };
        base.map_or((NONE, LOST), |base| (base, PENDING))
    }

    /// Gives each delta the kind of the whole object it is built from, and breaks circles.
    fn spread_kinds(&mut self, store: &ObjectStore) {
        let first_loose = self.starts[self.packs.len()] as usize;
        let mut inflater = Inflater::default();
        let mut path = Vec::new();
        for node in 0..first_loose {
            let mut at = node;
            let found = loop {
                match self.kind[at] {
                    PENDING => {
                        self.kind[at] = ON_PATH;
                        path.push(at);
                        at = self.base[at] as usize;
                    }
                    UNKNOWN if at >= first_loose => {
                        self.kind[at] = self.loose_kind(store, at as u32, &mut inflater);
                        if self.kind[at] == LOST {
                            break UNKNOWN;
                        }
                    }
                    ON_PATH | LOST => break UNKNOWN,
                    kind => break kind,
                }
            };
            let circle = self.kind[at] == ON_PATH;
            for node in path.drain(..) {
                self.kind[node] = found;
            }
            if circle {
                (self.kind[at], self.base[at]) = (LOST, NONE);
            }
        }
    }

    /// Kind of a loose object that is the base of something.
    fn loose_kind(&self, store: &ObjectStore, node: u32, inflater: &mut Inflater) -> u8 {
        let Place::Loose(dir, position) = self.place(node) else { return LOST };
        let packed = store.loose[dir].open(position).ok();
        packed.and_then(|packed| loose::packed_head(&packed, inflater).ok()).map_or(LOST, |head| code(head.kind))
    }

    /// Marks nodes whose id stands in an earlier pack or folder, too.
    fn mark_duplicates(&mut self, store: &ObjectStore) {
        let lists = self.starts.windows(2).filter(|w| w[0] < w[1]).count();
        if lists < 2 {
            return;
        }
        let found: Vec<(usize, u32)> =
            (0..=255u8).into_par_iter().with_max_len(4).flat_map_iter(|first| duplicates(store, first)).collect();
        for (list, position) in found {
            let node = if list < self.packs.len() {
                let offset = store.packs[list].index.offset(position).unwrap_or(u64::MAX).min(self.packs[list].end);
                let key = offset << self.packs[list].bits | u64::from(position);
                self.packs[list].keys.binary_search(&key).unwrap_or_default() as u32
            } else {
                position
            };
            self.kind[(self.starts[list] + node) as usize] |= DUPLICATE;
        }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> u32 {
        self.kind.len() as u32
    }

    /// Calls `each` for every node, always before the node that it is a delta of.
    pub fn bases_last(&self, each: impl FnMut(u32)) {
        // In nearly all packs bases stand before what is built from them.
        let in_order = |(node, base): (u32, &u32)| *base == NONE || *base < node;
        if (0..).zip(&self.base).all(in_order) {
            return (0..self.nodes()).rev().for_each(each);
        }
        let (mut order, mut path, mut done) = (Vec::new(), Vec::new(), vec![false; self.base.len()]);
        for node in 0..self.nodes() {
            let mut at = node;
            while at != NONE && !std::mem::replace(&mut done[at as usize], true) {
                path.push(at);
                at = self.base(at);
            }
            order.extend(path.drain(..).rev());
        }
        order.into_iter().rev().for_each(each);
    }

    /// Kind of a node, [`UNKNOWN`] or [`LOST`].
    pub fn kind(&self, node: u32) -> u8 {
        self.kind[node as usize] & KIND
    }

    /// Whether the id of a node stands in an earlier one, too.
    pub fn is_duplicate(&self, node: u32) -> bool {
        self.kind[node as usize] & DUPLICATE != 0
    }

    /// The node that a node is a delta of, or [`NONE`].
    pub fn base(&self, node: u32) -> u32 {
        self.base[node as usize]
    }

    /// Number of the pack or folder of a node, and which one it is in there.
    fn locate(&self, node: u32) -> (usize, usize) {
        let list = self.starts.partition_point(|start| *start <= node) - 1;
        (list, (node - self.starts[list]) as usize)
    }

    /// Where a node stands.
    pub fn place(&self, node: u32) -> Place {
        let (list, i) = self.locate(node);
        match self.packs.get(list) {
            Some(packed) => Place::Pack(list, packed.offset(i)),
            None => Place::Loose(list - self.packs.len(), i),
        }
    }

    /// The node at a place.
    fn node(&self, place: Place) -> Option<u32> {
        match place {
            Place::Pack(number, offset) => self.packs[number].find(offset).map(|i| self.starts[number] + i as u32),
            Place::Loose(dir, i) => Some(self.starts[self.packs.len() + dir] + i as u32),
        }
    }

    /// Where an entry of a pack lies: number of the pack, offset, end, and the CRC-32 it should have, if that is known. `None`
    /// if it is loose.
    pub fn entry(&self, node: u32) -> Option<(usize, u64, u64, Option<u32>)> {
        let (list, i) = self.locate(node);
        let packed = self.packs.get(list)?;
        let crc = packed.crcs.as_ref().and_then(|crcs| crcs.get(i)).copied();
        Some((list, packed.offset(i), packed.end(i), crc))
    }

    /// Id of a node.
    pub fn id(&self, store: &ObjectStore, node: u32) -> Option<ObjectId> {
        self.raw_id(store, node).map(RawId::get)
    }

    /// Id of a node, where it stands.
    pub fn raw_id<'a>(&self, store: &'a ObjectStore, node: u32) -> Option<RawId<'a>> {
        let (list, i) = self.locate(node);
        RawId::new(match self.packs.get(list) {
            Some(packed) => store.packs[list].index.id(packed.position(i)),
            None => store.loose[list - self.packs.len()].id(i),
        })
    }

    /// Why a node is lost.
    pub fn why_lost(&self, store: &ObjectStore, node: u32) -> Fault {
        let (list, i) = self.locate(node);
        let Some(packed) = self.packs.get(list) else {
            return "loose object has no valid head".into();
        };
        let entry = match store.packs[list].entry(packed.offset(i)) {
            Ok(entry) => entry,
            Err(reason) => return reason.into(),
        };
        match entry.stored {
            _ if packed.repeated(i) => "another object stands at the same offset".into(),
            Stored::Offset(base) if packed.find(base).is_none() => "delta base is no entry of the pack".into(),
            Stored::Id(id) if store.base_place(list, &id).is_none() => Fault::Missing(id),
            _ => "delta chain is circular".into(),
        }
    }
}

/// Sorts keys that are in order below bit `low`, by the `bits` from there on: a digit at a time, the lowest first. On one thread that
/// takes two thirds of what rayon's sort takes on two.
fn sorted(mut keys: Vec<u64>, low: u32, bits: u32) -> Vec<u64> {
    const DIGIT: u32 = 10;
    let mut next = vec![0; keys.len()];
    for low in (low..low + bits).step_by(DIGIT as usize) {
        let digit = |key: u64| (key >> low) as usize % (1 << DIGIT);
        let mut places = [0u32; 1 << DIGIT];
        keys.iter().for_each(|key| places[digit(*key)] += 1);
        let mut sum = 0;
        for place in &mut places {
            sum += std::mem::replace(place, sum);
        }
        for key in &keys {
            let place = &mut places[digit(*key)];
            next[*place as usize] = *key;
            *place += 1;
        }
        std::mem::swap(&mut keys, &mut next);
    }
    keys
}

/// The number a kind is stored as.
pub fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}

/// Objects whose id starts with a byte and that stand in an earlier list, too: list and position, by merging the lists.
fn duplicates(store: &ObjectStore, first: u8) -> Vec<(usize, u32)> {
    let packs = store.packs.len();
    let id = |list: usize, i: u32| match store.packs.get(list) {
        Some(pack) => pack.index.id(i),
        None => store.loose[list - packs].id(i as usize),
    };
    let ranges = store.packs.iter().map(|p| p.index.range(first)).chain(store.loose.iter().map(|l| l.range(first)));
    let mut ranges: Vec<Range<u32>> = ranges.collect();
    let mut heap = BinaryHeap::new();
    for (list, range) in ranges.iter_mut().enumerate() {
        heap.extend(range.next().map(|i| Reverse((id(list, i), list, i))));
    }
    let (mut found, mut before): (_, &[u8]) = (Vec::new(), &[]);
    while let Some(Reverse((raw, list, i))) = heap.pop() {
        if raw == before {
            found.push((list, i));
        }
        before = raw;
        heap.extend(ranges[list].next().map(|i| Reverse((id(list, i), list, i))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In any order of nodes; each is built from one of those that come before it in some other order.
        #[test]
        fn every_node_comes_once_and_before_its_base(
            order in (1..40u32).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
            shuffled in any::<bool>(),
            bases in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 40),
        ) {
            let place = |i: usize| if shuffled { order[i] } else { i as u32 };
            let mut base = vec![NONE; order.len()];
            for i in 1..order.len() {
                base[place(i) as usize] = bases[i].map_or(NONE, |below| place(below.index(i)));
            }
            let kind = vec![code(Kind::Blob); base.len()];
            let forest = Forest { packs: Vec::new(), starts: vec![0], base, kind };
            let mut seen = Vec::new();
            forest.bases_last(|node| seen.push(node));
            for (i, node) in seen.iter().enumerate() {
                prop_assert!(!seen[..=i].contains(&forest.base(*node)));
            }
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..forest.nodes()));
        }

        #[test]
        fn keys_are_sorted(offsets in prop::collection::vec(0..1u64 << 40, 0..300), bits in 9..12u32) {
            let mut keys: Vec<u64> = offsets.iter().zip(0..).map(|(offset, i)| offset << bits | i).collect();
            let sorted = sorted(keys.clone(), bits, 40);
            keys.sort_unstable();
            prop_assert_eq!(sorted, keys);
        }
    }
}
