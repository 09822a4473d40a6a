//! All trees of a repository as a compact table of what matters: their subtrees and the wanted blobs in them.
//!
//! Contract: [`TreeBuilder`] is a visitor of the delta-tree walk, fed from any thread in any order. A tree that is a delta
//! takes over the entries of its base that lie in copied segments, so the cost follows what changed, not what there is.
//! Any bytes are accepted: a damaged tree is noted and counts as far as it can be read. Numbers of trees and names depend
//! on the order of arrival: they must not show in results.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rayon::prelude::*;

use super::entries::{Known, RawEntry, Reader};
use super::ids::{IdKey, IdTable, QuickState};
use super::walk::{Kind, Object, Segment, Visitor};
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;
use crate::per_thread::PerThread;

/// Number of a tree in [`Trees`].
pub type TreeNumber = u32;

/// Marks an entry's target as a wanted blob.
const BLOB: u32 = 1 << 31;
/// Parts that ids are divided into: see [`shard_of`].
const SHARDS: usize = 64;
/// Tickets that a thread takes at once.
const BLOCK: u32 = 1 << 10;

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

/// The shard that an id with this hash belongs to: a part of all ids that is small enough for its table to stay in the cache while
/// they are numbered.
fn shard_of(hash: u64) -> usize {
    (hash >> 58) as usize % SHARDS
}

/// What one thread met. Nothing is looked up while trees are read, since each look would wait for memory: a subtree gets the next
/// free ticket, and all tickets are exchanged for numbers in the end, shard by shard.
#[derive(Debug, Default)]
struct Desk {
    shards: Vec<Met>,
    /// Entries of the trees it saw, and where those of each tree end.
    entries: Vec<Entry>,
    ends: Vec<usize>,
    /// Names of entries by their number among those of this desk.
    names: HashMap<Arc<[u8]>, u32, QuickState>,
    /// Tickets that are left of the last block.
    tickets: Range<u32>,
}

/// Ids of one shard that one thread met, `width` bytes each.
#[derive(Debug, Default)]
struct Met {
    /// Trees that were seen, each with its number among those of the desk.
    seen: Vec<u8>,
    rows: Vec<u32>,
    /// Subtrees that were named, each with its ticket.
    named: Vec<u8>,
    tickets: Vec<u32>,
}

/// Collects trees.
#[derive(Debug)]
pub struct TreeBuilder<'a> {
    width: usize,
    wanted: &'a Wanted,
    notes: &'a Notes,
    key: IdKey,
    desks: PerThread<Desk>,
    /// Where the next block of tickets starts.
    tickets: AtomicU32,
}

impl<'a> TreeBuilder<'a> {
    /// Looks for `wanted` blobs.
    pub fn new(width: usize, wanted: &'a Wanted, notes: &'a Notes) -> Self {
        let desk = || Desk { shards: (0..SHARDS).map(|_| Met::default()).collect(), ..Desk::default() };
        let desks = PerThread::new(desk);
        Self { width, wanted, notes, key: IdKey::default(), desks, tickets: AtomicU32::new(0) }
    }

    /// The finished table.
    pub fn finish(self) -> Trees {
        let mut desks = self.desks.into_all();
        let tickets: Vec<AtomicU32> = (0..self.tickets.into_inner()).map(|_| AtomicU32::new(0)).collect();
        let mut met: Vec<Vec<(u32, Met)>> = (0..SHARDS).map(|_| Vec::new()).collect();
        let mut seen = 0;
        for desk in &mut desks {
            met.iter_mut().zip(desk.shards.drain(..)).for_each(|(all, own)| all.push((seen, own)));
            seen += desk.ends.len() as u32;
        }
        let unseen = AtomicU32::new(seen);
        let number =
            |met: Vec<(u32, Met)>| Shard::number(IdTable::keyed(self.width, self.key), &met, &unseen, &tickets);
        let shards: Vec<Shard> = met.into_par_iter().map(number).collect();
        let mut trees = Trees { key: self.key, shards, seen, bound: unseen.into_inner(), ..Trees::default() };
        let (mut names, mut first) = (Names::default(), 0);
        for mut desk in desks {
            let renamed = names.merge(desk.names);
            let exchange = |entry: &mut Entry| {
                entry.name = renamed.get(entry.name as usize).copied().unwrap_or_default();
                if let Target::Tree(ticket) = entry.target() {
                    entry.target = tickets.get(ticket as usize).map_or(0, |number| number.load(Ordering::Relaxed));
                }
            };
            desk.entries.par_chunks_mut(1 << 12).for_each(|entries| entries.iter_mut().for_each(exchange));
            let next = first + desk.ends.len() as u32;
            trees.lists.push(List { first, entries: desk.entries, ends: desk.ends });
            first = next;
        }
        trees.names = names.list;
        trees
    }

    /// A ticket for a subtree. `None` when there are too many, which no repository that can be read in time has.
    fn ticket(&self, desk: &mut Desk, id: &[u8]) -> Option<u32> {
        if desk.tickets.is_empty() {
            let next = |at: u32| at.checked_add(BLOCK).filter(|end| *end <= BLOB);
            let start = self.tickets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
            desk.tickets = start..start + BLOCK;
        }
        let ticket = desk.tickets.next()?;
        let met = &mut desk.shards[shard_of(self.key.hash(id))];
        met.named.extend_from_slice(id);
        met.tickets.push(ticket);
        Some(ticket)
    }

    /// Keeps an entry if it matters.
    fn new_entry(&self, desk: &mut Desk, entry: RawEntry<'_>, items: &mut Vec<(u32, Entry)>) {
        let wanted = if entry.is_module() { None } else { self.wanted.get(entry.id) };
        let tree = if entry.is_tree() { self.ticket(desk, entry.id) } else { None };
        for target in [wanted.map(|n| n | BLOB), tree].into_iter().flatten() {
            items.push((entry.at as u32, Entry { target, name: desk.name(entry.name) }));
        }
    }

    /// Reads a tree with `read`, and stores what was read.
    fn tree(&self, object: &Object<'_>, base: Option<(&Known<Entry>, &[Segment])>) -> Known<Entry> {
        object.id.prefetch();
        let desk = &mut *self.desks.get();
        let reader = Reader::new(object.data, self.width, |entry, items: &mut _| self.new_entry(desk, entry, items));
        let (known, whole) = match base {
            Some((base, segments)) => reader.delta(base, segments),
            None => reader.whole(),
        };
        if !object.first {
            return known;
        }
        if !whole {
            self.notes.add(NoteKind::GitDamaged, object.id.get().to_string(), "the tree cannot be read to its end");
        }
        let id = object.id.bytes();
        let met = &mut desk.shards[shard_of(self.key.hash(id))];
        met.seen.extend_from_slice(id);
        met.rows.push(desk.ends.len() as u32);
        desk.entries.extend(known.items.iter().map(|(_, entry)| *entry));
        desk.ends.push(desk.entries.len());
        known
    }
}

impl Desk {
    fn name(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.insert(name.into(), number);
        number
    }
}

/// Trees whose ids belong together.
#[derive(Debug)]
struct Shard {
    ids: IdTable,
    /// The number of the tree with each id.
    numbers: Vec<TreeNumber>,
}

impl Shard {
    /// Numbers everything that was met, given the number of each desk's first tree, and exchanges tickets. Trees that were named
    /// but not seen get the next free numbers.
    fn number(ids: IdTable, met: &[(u32, Met)], unseen: &AtomicU32, tickets: &[AtomicU32]) -> Self {
        let (width, mut shard) = (ids.width(), Self { ids, numbers: Vec::new() });
        shard.ids.reserve(met.iter().map(|(_, met)| met.rows.len()).sum());
        for (first, met) in met {
            for (id, row) in met.seen.chunks_exact(width).zip(&met.rows) {
                if shard.ids.insert(id).1 {
                    shard.numbers.push(first + row);
                }
            }
        }
        for (_, met) in met {
            for (id, ticket) in met.named.chunks_exact(width).zip(&met.tickets) {
                let (local, new) = shard.ids.insert(id);
                if new {
                    shard.numbers.push(unseen.fetch_add(1, Ordering::Relaxed));
                }
                if let Some(known) = tickets.get(*ticket as usize) {
                    known.store(shard.numbers[local as usize], Ordering::Relaxed);
                }
            }
        }
        shard
    }
}

/// Names of all desks.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<[u8]>, u32, QuickState>,
    list: Vec<Arc<[u8]>>,
}

impl Names {
    /// Adds the names of a desk; the number of each, by its number there.
    fn merge(&mut self, names: HashMap<Arc<[u8]>, u32, QuickState>) -> Vec<u32> {
        let mut renamed = vec![0; names.len()];
        for (name, number) in names {
            renamed[number as usize] = *self.numbers.entry(name).or_insert_with_key(|name| {
                self.list.push(Arc::clone(name));
                self.list.len() as u32 - 1
            });
        }
        renamed
    }
}

impl Visitor for TreeBuilder<'_> {
    type State = Known<Entry>;

    fn whole(&self, object: Object<'_>, has_children: bool) -> Known<Entry> {
        let known = if object.kind == Kind::Tree { self.tree(&object, None) } else { Known::default() };
        if has_children { known } else { Known::default() }
    }

    fn delta(&self, object: Object<'_>, base: &Known<Entry>, segments: &[Segment], has_children: bool) -> Known<Entry> {
        let base = Some((base, segments));
        let known = if object.kind == Kind::Tree { self.tree(&object, base) } else { Known::default() };
        if has_children { known } else { Known::default() }
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
}

/// The finished table of trees. Those that were seen have the first numbers, in the order they were seen in.
#[derive(Debug, Default)]
pub struct Trees {
    key: IdKey,
    shards: Vec<Shard>,
    seen: u32,
    bound: u32,
    lists: Vec<List>,
    names: Vec<Arc<[u8]>>,
}

/// What one thread read.
#[derive(Debug)]
struct List {
    /// The number of the first tree.
    first: TreeNumber,
    /// Entries of its trees, and where those of each tree end.
    entries: Vec<Entry>,
    ends: Vec<usize>,
}

impl Trees {
    /// The number of a tree that was seen or named.
    pub fn find(&self, id: &[u8]) -> Option<TreeNumber> {
        let shard = self.shards.get(shard_of(self.key.hash(id)))?;
        shard.numbers.get(shard.ids.get(id)? as usize).copied()
    }

    /// Which trees may hold something wanted, or may lack something, themselves or below: all others need not be looked at.
    pub fn warm(&self) -> Vec<bool> {
        let bits: Vec<AtomicU64> = (0..self.bound.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let is = |tree: TreeNumber| bits[tree as usize / 64].load(Ordering::Relaxed) >> (tree % 64) & 1 != 0;
        let set = |tree: TreeNumber| bits[tree as usize / 64].fetch_or(1 << (tree % 64), Ordering::Relaxed);
        (self.seen..self.bound).for_each(|unseen| {
            set(unseen);
        });
        let turns_warm = |tree: TreeNumber| {
            let here = |entry: &Entry| match entry.target() {
                Target::Blob(_) => true,
                Target::Tree(below) => is(below),
            };
            let turns = !is(tree) && self.entries(tree).is_some_and(|entries| entries.iter().any(here));
            if turns {
                set(tree);
            }
            turns
        };
        let all = |warm: &dyn Fn(TreeNumber) -> bool| (0..self.bound).map(warm).collect();
        // A round for each level of folders; no project has as many as forged trees can.
        for _ in 0..64 {
            let turned = (0..self.seen).into_par_iter().with_min_len(1 << 12).filter(|tree| turns_warm(*tree)).count();
            if turned == 0 {
                return all(&is);
            }
        }
        all(&|_| true)
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
