//! All trees of a repository as a compact table of what matters: their subtrees and the wanted blobs in them.
//!
//! Contract: numbers of trees and names depend on the order in which threads met them: they must not show in results.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::ids::{IdKey, IdTable};
use crate::model::ObjectId;
use crate::per_thread::SHARE;

/// Number of a tree in [`Trees`].
pub type TreeNumber = u32;

/// Marks an entry's target as a wanted blob.
pub(super) const BLOB: u32 = 1 << 31;
/// Parts that ids are divided into: see [`shard_of`].
pub(super) const SHARDS: usize = 64;

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
    pub(super) target: u32,
    /// Number of the name in [`Trees::names`].
    pub name: u32,
}

impl Entry {
    /// What it leads to.
    pub fn target(self) -> Target {
        if self.target & BLOB == 0 { Target::Tree(self.target) } else { Target::Blob(self.target & !BLOB) }
    }
}

/// The shard that an id with this hash belongs to: a part of all ids that is small enough for its table to stay in the cache while
/// they are numbered.
pub(super) fn shard_of(hash: u64) -> usize {
    (hash >> 58) as usize % SHARDS
}

/// Trees whose ids belong together.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) ids: IdTable,
    /// The number of the tree with each id.
    pub(super) numbers: Vec<TreeNumber>,
}

/// The finished table of trees. Those that were seen have the first numbers, in the order they were seen in.
#[derive(Debug)]
pub struct Trees {
    /// The blobs that were looked for.
    pub wanted: Wanted,
    pub(super) key: IdKey,
    pub(super) shards: Vec<Shard>,
    pub(super) seen: u32,
    pub(super) bound: u32,
    pub(super) lists: Vec<List>,
    pub(super) names: Vec<Arc<[u8]>>,
}

/// Some of the trees.
#[derive(Debug)]
pub struct Warm(Vec<AtomicU64>);

impl Warm {
    fn new(bound: u32) -> Self {
        Self((0..bound.div_ceil(u64::BITS)).map(|_| AtomicU64::new(0)).collect())
    }

    fn set(&self, tree: TreeNumber) {
        self.0[(tree / u64::BITS) as usize].fetch_or(1 << (tree % u64::BITS), Ordering::Relaxed);
    }

    /// Whether a tree is among them.
    pub fn has(&self, tree: TreeNumber) -> bool {
        self.0[(tree / u64::BITS) as usize].load(Ordering::Relaxed) >> (tree % u64::BITS) & 1 != 0
    }

    /// Whether an entry leads to one of them, or to something wanted.
    fn leads(&self, entry: Entry) -> bool {
        match entry.target() {
            Target::Blob(_) => true,
            Target::Tree(below) => self.has(below),
        }
    }
}

/// What one thread read.
#[derive(Debug)]
pub(super) struct List {
    /// The number of the first tree.
    pub(super) first: TreeNumber,
    /// Entries of its trees, and where those of each tree end.
    pub(super) entries: Vec<Entry>,
    pub(super) ends: Vec<usize>,
}

impl List {
    /// Warms the trees that lead to warm ones; how many there were.
    fn warm(&self, warm: &Warm) -> usize {
        let rows = self.ends.par_chunks(SHARE).enumerate().map(|(share, ends)| {
            let first = share * SHARE;
            let (mut start, mut turned) = (first.checked_sub(1).map_or(0, |before| self.ends[before]), 0);
            for (tree, end) in (self.first + first as u32..).zip(ends) {
                let entries = &self.entries[std::mem::replace(&mut start, *end)..*end];
                if !entries.is_empty() && !warm.has(tree) && entries.iter().any(|entry| warm.leads(*entry)) {
                    warm.set(tree);
                    turned += 1;
                }
            }
            turned
        });
        rows.with_max_len(1).sum()
    }

    /// Keeps the entries that lead to something.
    fn thin(&mut self, warm: &Warm) {
        let (mut kept, mut start) = (0, 0);
        for (tree, end) in (self.first..).zip(&mut self.ends) {
            // Nothing in a cold tree leads anywhere.
            let row = if warm.has(tree) { start..*end } else { 0..0 };
            for at in row {
                if warm.leads(self.entries[at]) {
                    self.entries[kept] = self.entries[at];
                    kept += 1;
                }
            }
            start = std::mem::replace(end, kept);
        }
        self.entries.truncate(kept);
    }
}

impl Trees {
    /// The number of a tree that was seen or named.
    pub fn find(&self, id: &[u8]) -> Option<TreeNumber> {
        let shard = self.shards.get(shard_of(self.key.hash(id)))?;
        shard.numbers.get(shard.ids.get(id)? as usize).copied()
    }

    /// Tells which trees may hold something wanted, or may lack something, themselves or below, and forgets all entries that lead to
    /// others.
    pub fn thin(&mut self) -> Warm {
        let warm = self.warm();
        self.lists.par_iter_mut().with_max_len(1).for_each(|list| list.thin(&warm));
        warm
    }

    fn warm(&self) -> Warm {
        let warm = Warm::new(self.bound);
        (self.seen..self.bound).for_each(|unseen| warm.set(unseen));
        // A round for each level of folders; no project has as many as forged trees can.
        for _ in 0..64 {
            if self.lists.par_iter().map(|list| list.warm(&warm)).sum::<usize>() == 0 {
                return warm;
            }
        }
        (0..self.seen).for_each(|tree| warm.set(tree));
        warm
    }

    /// The entries that matter, in the order of the tree; `None` if the tree is named but not here.
    pub fn entries(&self, tree: TreeNumber) -> Option<&[Entry]> {
        let list = &self.lists[self.lists.partition_point(|list| list.first <= tree).checked_sub(1)?];
        let row = (tree - list.first) as usize;
        let end = *list.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| list.ends[before]);
        list.entries.get(start..end)
    }

    /// All numbers, in no meaningful order.
    pub fn numbers(&self) -> Range<TreeNumber> {
        0..self.bound
    }

    /// All numbers with their ids, in no meaningful order.
    pub fn ids(&self) -> impl Iterator<Item = (TreeNumber, &[u8])> {
        self.shards.iter().flat_map(|shard| shard.numbers.iter().copied().zip(shard.ids.iter()))
    }

    /// One more than the largest number: the length of a table by number.
    pub fn bound(&self) -> usize {
        self.bound as usize
    }

    /// The name with a number.
    pub fn name(&self, number: u32) -> &[u8] {
        self.names.get(number as usize).map_or(&[], |name| name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tree_builder::TreeBuilder;
    use super::super::walk::{Kind, Object, RawId, Visitor};
    use super::*;
    use crate::model::NoteKind;
    use crate::notes::Notes;

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
                        Target::Tree(t) => format!("tree {}", trees.ids().find(|(n, _)| *n == t).unwrap().1[0]),
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
        let builder = TreeBuilder::new(20, wanted, &notes);
        let data = tree(&[
            ("100644", "a b", 1),
            ("100755", "c", 9),
            ("120000", "link", 2),
            ("160000", "module", 1),
            ("40000", "sub", 8),
        ]);
        builder.whole(object(100, &data), false);
        let trees = builder.finish(&[]).0;
        let expected = [("a b", "blob 0"), ("link", "blob 1"), ("sub", "tree 8")];
        assert_eq!(shown(&trees, 100).unwrap(), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(shown(&trees, 8), None);
        assert!(trees.find(&[8; 20]).is_some());
        assert!(notes.take().1.is_empty());
    }

    #[test]
    fn threads_agree_on_numbers() {
        let (notes, wanted) = (Notes::default(), Wanted::new(20, &[id(250)]));
        let builder = TreeBuilder::new(20, wanted, &notes);
        // Each tree names three others; those from 150 on are not here, and the last is named by all.
        let below = |n: u8| [u16::from(n) * 7 % 190, u16::from(n) * 13 % 190, 199].map(|n| n as u8);
        (0..150u8).into_par_iter().for_each(|n| {
            let [a, b, c] = below(n);
            builder.whole(object(n, &tree(&[("40000", "a", a), ("40000", "b", b), ("40000", "c", c)])), false);
        });
        let (trees, roots) = builder.finish(&[[3; 20], [199; 20], [201; 20]].concat());
        let found = [3u8, 199, 201].map(|n| trees.find(&[n; 20]).unwrap());
        assert!(roots == found && trees.entries(roots[0]).is_some() && trees.entries(roots[2]).is_none());
        for n in 0..150 {
            let expected = below(n).map(|n| format!("tree {n}"));
            let (names, targets): (Vec<_>, Vec<_>) = shown(&trees, n).unwrap().into_iter().unzip();
            assert_eq!((names.concat(), targets.as_slice()), ("abc".to_owned(), expected.as_slice()));
        }
        assert!((150..200).all(|n| shown(&trees, n).is_none()));
        let mut numbers: Vec<TreeNumber> = trees.ids().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(trees.numbers()), "each number is that of one tree");
    }

    #[test]
    fn damaged_trees_count_as_far_as_they_go() {
        let (notes, wanted) = (Notes::default(), Wanted::new(20, &[id(1)]));
        let good = tree(&[("100644", "a", 1), ("100644", "b", 1)]);
        let builder = TreeBuilder::new(20, wanted, &notes);
        for (n, cut) in (0..good.len()).enumerate() {
            builder.whole(object(n as u8, &good[..cut]), true);
        }
        let trees = builder.finish(&[]).0;
        assert_eq!(shown(&trees, (good.len() - 1) as u8).unwrap().len(), 1);
        // Two cuts fall between entries.
        assert_eq!(notes.take().1, [(NoteKind::GitDamaged, good.len() as u64 - 2)]);
    }

    #[test]
    fn what_leads_to_something_wanted_or_lacking_is_warm_and_the_rest_forgotten() {
        let notes = Notes::default();
        type Row<'a> = (u8, &'a [(&'a str, &'a str, u8)]);
        let thinned = |all: &[Row<'_>]| {
            let builder = TreeBuilder::new(20, Wanted::new(20, &[id(200)]), &notes);
            all.iter().for_each(|(n, entries)| drop(builder.whole(object(*n, &tree(entries)), false)));
            let mut trees = builder.finish(&[]).0;
            let warm = trees.thin();
            (trees, warm)
        };
        let cold: [Row<'_>; 2] = [(160, &[("40000", "x", 162)]), (162, &[("100644", "x", 9)])];
        let lacking: [Row<'_>; 2] =
            [(180, &[("40000", "a", 160), ("40000", "b", 170), ("40000", "c", 162)]), (170, &[("40000", "x", 171)])];
        let (trees, warm) = thinned(&cold);
        assert!(trees.numbers().all(|tree| !warm.has(tree) && trees.entries(tree).is_some_and(<[Entry]>::is_empty)));
        let (trees, warm) = thinned(&[cold, lacking].concat());
        let is = |n: u8| warm.has(trees.find(&[n; 20]).unwrap());
        assert_eq!([160, 162, 170, 171, 180].map(is), [false, false, true, true, true]);
        let names = |n: u8| shown(&trees, n).map(|all| all.into_iter().map(|(name, _)| name).collect::<String>());
        assert_eq!([160, 162, 170, 180].map(names), ["", "", "x", "b"].map(|names| Some(names.to_owned())));
        assert_eq!(names(171), None);
        // 1 holds 2, and so on, deeper than there are rounds; 150 holds the blob.
        let chain: Vec<_> = (1..150).map(|n| [("40000", "x", n + 1)]).chain([[("100644", "x", 200)]]).collect();
        let chain: Vec<Row<'_>> = (1..).zip(chain.iter().map(|entry| entry.as_slice())).collect();
        let (trees, warm) = thinned(&chain);
        assert!((1..=150).all(|n| warm.has(trees.find(&[n; 20]).unwrap()) && shown(&trees, n).unwrap().len() == 1));
    }
}
