//! All trees of a repository as a compact table of what matters: their subtrees and the wanted blobs in them.
//!
//! Contract: [`TreeBuilder`] is a visitor of the delta-tree walk, fed from any thread in any order. A tree that is a delta
//! takes over the entries of its base that lie in copied segments, so the cost follows what changed, not what there is.
//! Any bytes are accepted: a damaged tree is noted and counts as far as it can be read. Numbers of trees and names depend
//! on the order of arrival: they must not show in results.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::entries::{Known, RawEntry, Reader};
use super::ids::{IdKey, IdTable, QuickState};
use super::walk::{Kind, Object, Segment, Visitor};
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;

/// Number of a tree in [`Trees`].
pub type TreeNumber = u32;

/// Marks an entry's target as a wanted blob.
const BLOB: u32 = 1 << 31;
/// Tables that trees are spread over, so that threads seldom wait for each other.
const SHARDS: u32 = 64;
/// Span of a tree that is named but was not seen.
const UNSEEN: (u32, u32) = (u32::MAX, 0);

/// The blobs that are looked for, each with its number.
#[derive(Debug)]
pub struct Wanted {
    table: IdTable,
    /// One bit for the first 16 bits of each id: most ids are dismissed by it.
    filter: Vec<u64>,
}

impl Wanted {
    /// The ids get the numbers 0, 1, ... in order; a repeated id keeps its first number.
    pub fn new<'a>(width: usize, ids: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        let mut out = Self { table: IdTable::new(width), filter: vec![0; 1024] };
        for id in ids {
            out.table.insert(id.as_bytes());
            let bit = Self::bit(id.as_bytes());
            out.filter[bit / 64] |= 1 << (bit % 64);
        }
        out
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The number of a wanted blob.
    #[inline]
    pub fn get(&self, id: &[u8]) -> Option<u32> {
        let bit = Self::bit(id);
        if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
            return None;
        }
        self.table.get(id)
    }

    #[inline]
    fn bit(id: &[u8]) -> usize {
        id.first_chunk::<2>().map_or(0, |b| usize::from(u16::from_le_bytes(*b)))
    }
}

/// What an entry of a tree leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A subtree.
    Tree(TreeNumber),
    /// A wanted blob.
    Blob(u32),
}

/// An entry that matters: its target and the number of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    target: u32,
    /// Number of the name in [`Trees::names`].
    pub name: u32,
}

impl Entry {
    /// What it leads to.
    pub fn target(self) -> Target {
        if self.target & BLOB == 0 { Target::Tree(self.target) } else { Target::Blob(self.target & !BLOB) }
    }
}

#[derive(Debug)]
struct Shard {
    ids: IdTable,
    spans: Vec<(u32, u32)>,
    entries: Vec<Entry>,
}

/// The table that something with this hash belongs to.
fn shard_of(hash: u64) -> u32 {
    (hash >> 58) as u32 % SHARDS
}

/// The number of what is `local` in a table.
fn joined(local: u32, shard: u32) -> u32 {
    local.saturating_mul(SHARDS).saturating_add(shard)
}

/// Names of entries, each with its number among those of its table.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<[u8]>, u32, QuickState>,
    list: Vec<Arc<[u8]>>,
}

/// Collects trees.
#[derive(Debug)]
pub struct TreeBuilder<'a> {
    width: usize,
    wanted: &'a Wanted,
    notes: &'a Notes,
    key: IdKey,
    shards: Vec<Mutex<Shard>>,
    names: Vec<Mutex<Names>>,
}

impl<'a> TreeBuilder<'a> {
    /// Looks for `wanted` blobs.
    pub fn new(width: usize, wanted: &'a Wanted, notes: &'a Notes) -> Self {
        let key = IdKey::default();
        let shard = || Shard { ids: IdTable::keyed(width, key), spans: Vec::new(), entries: Vec::new() };
        let shards = (0..SHARDS).map(|_| Mutex::new(shard())).collect();
        let names = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { width, wanted, notes, key, shards, names }
    }

    /// Makes room for so many trees.
    pub fn reserve(&mut self, trees: usize) {
        // Ids are spread evenly, unless someone made them otherwise.
        let each = trees / SHARDS as usize * 9 / 8;
        for shard in &mut self.shards {
            let shard = shard.get_mut().unwrap_or_else(PoisonError::into_inner);
            shard.ids.reserve(each);
            shard.spans.reserve(each);
            shard.entries.reserve(each);
        }
    }

    /// The finished table.
    pub fn finish(self) -> Trees {
        let shards = self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner));
        let names = self.names.into_iter().map(|n| n.into_inner().unwrap_or_else(PoisonError::into_inner).list);
        Trees { key: self.key, shards: shards.collect(), names: names.collect() }
    }

    fn shard(&self, number: u32) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[(number % SHARDS) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self, id: &[u8]) -> TreeNumber {
        let hash = self.key.hash(id);
        let shard = shard_of(hash);
        let mut table = self.shard(shard);
        let (local, new) = table.ids.insert_hashed(hash, id);
        if new {
            table.spans.push(UNSEEN);
        }
        joined(local, shard)
    }

    fn name(&self, name: &[u8]) -> u32 {
        let shard = shard_of(self.key.hash(name));
        let mut names = self.names[shard as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let local = names.numbers.get(name).copied().unwrap_or_else(|| {
            let (shared, number): (Arc<[u8]>, u32) = (name.into(), names.list.len() as u32);
            names.list.push(Arc::clone(&shared));
            names.numbers.insert(shared, number);
            number
        });
        joined(local, shard)
    }

    /// Keeps an entry if it matters.
    fn new_entry(&self, entry: RawEntry<'_>, items: &mut Vec<(u32, Entry)>) {
        let wanted = if entry.is_module() { None } else { self.wanted.get(entry.id) };
        let targets = [wanted.map(|n| n | BLOB), entry.is_tree().then(|| self.number(entry.id))];
        for target in targets.into_iter().flatten() {
            items.push((entry.at as u32, Entry { target, name: self.name(entry.name) }));
        }
    }

    /// Stores what was read of a tree.
    fn store(&self, object: &Object<'_>, (known, whole): (Known<Entry>, bool)) -> Known<Entry> {
        if !object.first {
            return known;
        }
        if !whole {
            self.notes.add(NoteKind::GitDamaged, object.id.get().to_string(), "the tree cannot be read to its end");
        }
        let number = self.number(object.id.bytes());
        let mut shard = self.shard(number);
        let start = shard.entries.len() as u32;
        if let Some(span) = shard.spans.get_mut((number / SHARDS) as usize)
            && *span == UNSEEN
        {
            *span = (start, known.items.len() as u32);
            shard.entries.extend(known.items.iter().map(|(_, entry)| *entry));
        }
        known
    }
}

impl Visitor for TreeBuilder<'_> {
    type State = Known<Entry>;

    fn whole(&self, object: Object<'_>, has_children: bool) -> Known<Entry> {
        if object.kind != Kind::Tree {
            return Known::default();
        }
        let reader = Reader::new(object.data, self.width, |entry, items: &mut _| self.new_entry(entry, items));
        let known = self.store(&object, reader.whole());
        if has_children { known } else { Known::default() }
    }

    fn delta(&self, object: Object<'_>, base: &Known<Entry>, segments: &[Segment], has_children: bool) -> Known<Entry> {
        if object.kind != Kind::Tree {
            return Known::default();
        }
        let reader = Reader::new(object.data, self.width, |entry, items: &mut _| self.new_entry(entry, items));
        let known = self.store(&object, reader.delta(base, segments));
        if has_children { known } else { Known::default() }
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
}

/// The finished table of trees.
#[derive(Debug)]
pub struct Trees {
    key: IdKey,
    shards: Vec<Shard>,
    names: Vec<Vec<Arc<[u8]>>>,
}

impl Trees {
    /// The number of a tree that was seen or named.
    pub fn find(&self, id: &[u8]) -> Option<TreeNumber> {
        let hash = self.key.hash(id);
        let shard = shard_of(hash);
        let local = self.shards[shard as usize].ids.get(id)?;
        Some(joined(local, shard))
    }

    /// Which trees may hold something wanted, or may lack something, themselves or below: all others need not be looked at.
    pub fn warm(&self) -> Vec<bool> {
        let warm: Vec<AtomicBool> = (0..self.bound()).map(|_| AtomicBool::new(false)).collect();
        let is = |tree: TreeNumber| warm[tree as usize].load(Ordering::Relaxed);
        let turns_warm = |tree: TreeNumber| {
            let here = |entry: &Entry| match entry.target() {
                Target::Blob(_) => true,
                Target::Tree(below) => is(below),
            };
            let turns = !is(tree) && self.entries(tree).is_none_or(|entries| entries.iter().any(here));
            if turns {
                warm[tree as usize].store(true, Ordering::Relaxed);
            }
            turns
        };
        // A round for each level of folders; no project has as many as forged trees can.
        let mut rounds = 0..64;
        loop {
            let in_shard = |i: u32| -> usize {
                let all = self.shards[i as usize].spans.len() as u32;
                (0..all).filter(|local| turns_warm(local * SHARDS + i)).count()
            };
            let turned: usize = (0..SHARDS).into_par_iter().map(in_shard).sum();
            if turned == 0 {
                return warm.into_iter().map(AtomicBool::into_inner).collect();
            }
            if rounds.next().is_none() {
                return vec![true; self.bound()];
            }
        }
    }

    /// The id of a tree.
    pub fn id(&self, tree: TreeNumber) -> Option<ObjectId> {
        self.shards[(tree % SHARDS) as usize].ids.id(tree / SHARDS)
    }

    /// The entries that matter, in the order of the tree; `None` if the tree is named but not here.
    pub fn entries(&self, tree: TreeNumber) -> Option<&[Entry]> {
        let shard = &self.shards[(tree % SHARDS) as usize];
        let (start, len) = *shard.spans.get((tree / SHARDS) as usize).filter(|span| **span != UNSEEN)?;
        shard.entries.get(start as usize..)?.get(..len as usize)
    }

    /// All numbers, in no meaningful order.
    pub fn numbers(&self) -> impl Iterator<Item = TreeNumber> {
        let shards = self.shards.iter().zip(0u32..);
        shards.flat_map(|(shard, i)| (0..shard.spans.len() as u32).map(move |local| local * SHARDS + i))
    }

    /// One more than the largest number: the length of a table by number.
    pub fn bound(&self) -> usize {
        self.shards.iter().map(|s| s.spans.len()).max().unwrap_or(0) * SHARDS as usize
    }

    /// The name with a number.
    pub fn name(&self, number: u32) -> &[u8] {
        let names = &self.names[(number % SHARDS) as usize];
        names.get((number / SHARDS) as usize).map_or(&[], |name| name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::walk::RawId;
    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes(&[n; 20]).unwrap()
    }

    static IDS: [[u8; 20]; 256] = {
        let (mut ids, mut n) = ([[0; 20]; 256], 0);
        while n < 256 {
            ids[n] = [n as u8; 20];
            n += 1;
        }
        ids
    };

    fn tree(entries: &[(&str, &str, u8)]) -> Vec<u8> {
        entries.iter().flat_map(|(m, n, i)| [m.as_bytes(), b" ", n.as_bytes(), &[0], &[*i; 20]].concat()).collect()
    }

    fn object(n: u8, data: &[u8]) -> Object<'_> {
        Object { id: RawId::new(&IDS[usize::from(n)]).unwrap(), kind: Kind::Tree, data, first: true, wanted: true }
    }

    /// Entries of a tree as (name, target), with trees as their id's byte.
    fn shown(trees: &Trees, n: u8) -> Option<Vec<(String, String)>> {
        let entries = trees.entries(trees.find(&[n; 20])?)?;
        Some(
            entries
                .iter()
                .map(|e| {
                    let target = match e.target() {
                        Target::Tree(t) => format!("tree {}", trees.id(t).unwrap().as_bytes()[0]),
                        Target::Blob(b) => format!("blob {b}"),
                    };
                    (String::from_utf8_lossy(trees.name(e.name)).into_owned(), target)
                })
                .collect(),
        )
    }

    #[test]
    fn only_subtrees_and_wanted_blobs_are_kept() {
        let (notes, wanted) = (Notes::default(), Wanted::new(20, &[id(1), id(2)]));
        let builder = TreeBuilder::new(20, &wanted, &notes);
        let data = tree(&[
            ("100644", "a b", 1),
            ("100755", "c", 9),
            ("120000", "link", 2),
            ("160000", "module", 1),
            ("40000", "sub", 8),
        ]);
        builder.whole(object(100, &data), false);
        let trees = builder.finish();
        let expected = [("a b", "blob 0"), ("link", "blob 1"), ("sub", "tree 8")];
        assert_eq!(shown(&trees, 100).unwrap(), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(shown(&trees, 8), None);
        assert!(trees.find(&[8; 20]).is_some());
        assert!(notes.take().1.is_empty());
    }

    #[test]
    fn damaged_trees_count_as_far_as_they_go() {
        let (notes, wanted) = (Notes::default(), Wanted::new(20, &[id(1)]));
        let good = tree(&[("100644", "a", 1), ("100644", "b", 1)]);
        let builder = TreeBuilder::new(20, &wanted, &notes);
        for (n, cut) in (0..good.len()).enumerate() {
            builder.whole(object(n as u8, &good[..cut]), true);
        }
        let trees = builder.finish();
        assert_eq!(shown(&trees, (good.len() - 1) as u8).unwrap().len(), 1);
        // Two cuts fall between entries.
        assert_eq!(notes.take().1, [(NoteKind::GitDamaged, good.len() as u64 - 2)]);
    }

    #[test]
    fn warm_is_what_leads_to_something_wanted_or_lacking() {
        let (notes, wanted) = (Notes::default(), Wanted::new(20, &[id(200)]));
        let builder = TreeBuilder::new(20, &wanted, &notes);
        // 1 holds 2, and so on, deeper than there are rounds; 150 holds the blob, 160 and 162 nothing, 170 a tree that is not here.
        let chain = (1..150).map(|n| (n, "40000", n + 1));
        let others = [(150, "100644", 200), (160, "40000", 162), (162, "100644", 9), (170, "40000", 171)];
        for (n, mode, below) in chain.chain(others) {
            builder.whole(object(n, &tree(&[(mode, "x", below)])), false);
        }
        let trees = builder.finish();
        let warm = trees.warm();
        let is = |n: u8| warm[trees.find(&[n; 20]).unwrap() as usize];
        assert!((1..=150).all(is) && is(170) && is(171));
        let (cold, shallow) = (TreeBuilder::new(20, &wanted, &notes), [(160, "40000", 162), (162, "100644", 9)]);
        for (n, mode, below) in shallow {
            cold.whole(object(n, &tree(&[(mode, "x", below)])), false);
        }
        assert!(cold.finish().warm().iter().all(|warm| !warm));
    }
}
