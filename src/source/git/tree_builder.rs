//! Collects all trees of a repository, for [`Trees`].
//!
//! Contract: [`TreeBuilder`] is a visitor of the delta-tree walk, fed from any thread in any order. A tree that is a delta
//! takes over the entries of its base that lie in copied segments, so the cost follows what changed, not what there is.
//! Any bytes are accepted: a damaged tree is noted and counts as far as it can be read. Numbers of trees and names depend
//! on the order of arrival: they must not show in results.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::entries::{Known, RawEntry, Reader};
use super::ids::{IdKey, IdTable, QuickState};
use super::trees::{BLOB, Entry, List, SHARDS, Shard, Target, TreeNumber, Trees, Wanted, shard_of};
use super::walk::{Kind, Object, Segment, Visitor};
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;
use crate::per_thread::{PerThread, SHARE};

/// Tickets that a thread takes at once.
const BLOCK: u32 = 1 << 10;
/// Subtrees that a thread remembers: so many stay in the cache.
const RECENT: usize = 1 << 11;

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
    /// Memory for what is known of a tree that nothing is built from.
    spare: Known<Entry>,
    /// Subtrees named lately, by their hash: where trees are not stored as deltas, each names those of the one before again.
    recent: Vec<Recent>,
}

/// A subtree and its ticket.
#[derive(Clone, Copy, Debug)]
struct Recent {
    id: [u8; 32],
    ticket: Option<u32>,
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
    wanted: Wanted,
    notes: &'a Notes,
    key: IdKey,
    desks: PerThread<Desk>,
    /// Where the next block of tickets starts.
    tickets: AtomicU32,
}

impl<'a> TreeBuilder<'a> {
    /// Looks for `wanted` blobs.
    pub fn new(width: usize, wanted: Wanted, notes: &'a Notes) -> Self {
        let desk = || Desk {
            shards: (0..SHARDS).map(|_| Met::default()).collect(),
            recent: vec![Recent { id: [0; 32], ticket: None }; RECENT],
            ..Desk::default()
        };
        let desks = PerThread::new(desk);
        Self { width, wanted, notes, key: IdKey::default(), desks, tickets: AtomicU32::new(0) }
    }

    /// The finished table, and the numbers of the trees with some ids (one after another) whether they were seen or not.
    pub fn finish(self, roots: &[u8]) -> (Trees, Vec<TreeNumber>) {
        let given = self.tickets.load(Ordering::Relaxed);
        roots.par_chunks(SHARE * self.width).enumerate().for_each(|(share, ids)| {
            let desk = &mut *self.desks.get();
            for (id, ticket) in ids.chunks_exact(self.width).zip(given + (share * SHARE) as u32..) {
                desk.shards[shard_of(self.key.hash(id))].name(id, ticket);
            }
        });
        let mut desks = self.desks.into_all();
        let tickets = given as usize + roots.len() / self.width;
        let tickets: Vec<AtomicU32> = (0..tickets).map(|_| AtomicU32::new(0)).collect();
        let mut met: Vec<Vec<(u32, Met)>> = (0..SHARDS).map(|_| Vec::new()).collect();
        let mut seen = 0;
        for desk in &mut desks {
            met.iter_mut().zip(desk.shards.drain(..)).for_each(|(all, own)| all.push((seen, own)));
            seen += desk.ends.len() as u32;
        }
        let unseen = AtomicU32::new(seen);
        let number =
            |met: Vec<(u32, Met)>| Shard::number(IdTable::keyed(self.width, self.key), &met, &unseen, &tickets);
        let shards: Vec<Shard> = met.into_par_iter().with_max_len(1).map(number).collect();
        let (mut lists, mut names, mut first) = (Vec::new(), Names::default(), 0);
        for mut desk in desks {
            let renamed = names.merge(desk.names);
            let exchange = |entry: &mut Entry| {
                entry.name = renamed.get(entry.name as usize).copied().unwrap_or_default();
                if let Target::Tree(ticket) = entry.target() {
                    entry.target = tickets.get(ticket as usize).map_or(0, |number| number.load(Ordering::Relaxed));
                }
            };
            desk.entries
                .par_chunks_mut(1 << 12)
                .with_max_len(4)
                .for_each(|entries| entries.iter_mut().for_each(exchange));
            let next = first + desk.ends.len() as u32;
            lists.push(List { first, entries: desk.entries, ends: desk.ends });
            first = next;
        }
        let (bound, names) = (unseen.into_inner(), names.list);
        let trees = Trees { wanted: self.wanted, key: self.key, shards, seen, bound, lists, names };
        (trees, tickets.into_iter().skip(given as usize).map(AtomicU32::into_inner).collect())
    }

    /// A ticket for a subtree. `None` when there are too many: more than 2,147,483,648.
    fn ticket(&self, desk: &mut Desk, id: &[u8]) -> Option<u32> {
        let hash = self.key.hash(id);
        let recent = &mut desk.recent[hash as usize % RECENT];
        if recent.ticket.is_some() && recent.id.get(..id.len()) == Some(id) {
            return recent.ticket;
        }
        if desk.tickets.is_empty() {
            let next = |at: u32| at.checked_add(BLOCK).filter(|end| *end <= BLOB);
            let start = self.tickets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
            desk.tickets = start..start + BLOCK;
        }
        let ticket = desk.tickets.next()?;
        let met = &mut desk.shards[shard_of(hash)];
        met.name(id, ticket);
        recent.ticket = Some(ticket);
        recent.id.get_mut(..id.len())?.copy_from_slice(id);
        Some(ticket)
    }

    /// Keeps an entry if it matters.
    fn new_entry(&self, desk: &mut Desk, entry: RawEntry<'_>, items: &mut Vec<(u32, Entry)>) {
        let wanted = if entry.is_module() { None } else { self.wanted.get(entry.id) };
        let tree = if entry.is_tree() { self.ticket(desk, entry.id) } else { None };
        if entry.is_tree() && tree.is_none() {
            self.notes.add(NoteKind::LocationLimit, entry.name, "too many subtrees: what lies below is not attributed");
        }
        for target in [wanted.map(|n| n | BLOB), tree].into_iter().flatten() {
            items.push((entry.at as u32, Entry { target, name: desk.name(entry.name) }));
        }
    }

    /// Reads a tree, given the one that it is a delta of and what is known of that, and stores what was read. What is known of it is
    /// returned if something is built from it.
    fn tree(&self, object: &Object<'_>, base: Option<(&Known<Entry>, &[Segment])>, has_children: bool) -> Known<Entry> {
        if object.kind != Kind::Tree {
            return Known::default();
        }
        object.id.prefetch();
        let desk = &mut *self.desks.get();
        let memory = if has_children { Known::default() } else { std::mem::take(&mut desk.spare) };
        let new = |entry: RawEntry<'_>, items: &mut _| self.new_entry(desk, entry, items);
        let reader = Reader::reusing(memory, object.data, self.width, new);
        let (known, whole) = match base {
            Some((base, segments)) => reader.delta(base, segments),
            None => reader.whole(),
        };
        if object.first {
            self.store(desk, object, &known, whole);
        }
        if has_children {
            return known;
        }
        desk.spare = known;
        Known::default()
    }

    /// Stores what was read of a tree.
    fn store(&self, desk: &mut Desk, object: &Object<'_>, known: &Known<Entry>, whole: bool) {
        if !whole {
            self.notes.add(NoteKind::GitDamaged, object.id.get().to_string(), "the tree cannot be read to its end");
        }
        let id = object.id.bytes();
        let met = &mut desk.shards[shard_of(self.key.hash(id))];
        met.seen.extend_from_slice(id);
        met.rows.push(desk.ends.len() as u32);
        desk.entries.extend(known.items.iter().map(|(_, entry)| *entry));
        desk.ends.push(desk.entries.len());
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

impl Met {
    fn name(&mut self, id: &[u8], ticket: u32) {
        self.named.extend_from_slice(id);
        self.tickets.push(ticket);
    }
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
        self.tree(&object, None, has_children)
    }

    fn delta(&self, object: Object<'_>, base: &Known<Entry>, segments: &[Segment], has_children: bool) -> Known<Entry> {
        self.tree(&object, Some((base, segments)), has_children)
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
}
