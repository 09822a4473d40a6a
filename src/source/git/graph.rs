//! All commits of a repository as a compact table in topological order: parents before children, older first.
//!
//! Contract: commits arrive in any order from any thread; the result does not depend on it. Missing parents are noted
//! unless a shallow clone explains them. `replace` refs and grafts are ignored: objects count as they are stored.
//! A forged index can make commits their own ancestors; that costs order, never termination.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use rayon::prelude::*;

use super::commit;
use super::ids::IdTable;
use super::store::ObjectStore;
use super::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;
use crate::per_thread::{PerThread, SHARE};

/// Collects commits.
#[derive(Debug)]
pub struct GraphBuilder {
    width: usize,
    /// Of each thread: raw ids in the order of arrival, the same one perhaps several times, and what those commits say.
    met: PerThread<(Vec<u8>, Rows)>,
}

/// What commits say, flat.
#[derive(Debug, Default)]
struct Rows {
    /// Root trees, `width` bytes each; zeros where the header is broken.
    trees: Vec<u8>,
    times: Vec<i64>,
    /// Raw ids of parents; those of row `i` end at `parent_ends[i]` (counted in ids).
    parents: Vec<u8>,
    parent_ends: Vec<u32>,
}

impl Rows {
    fn push(&mut self, width: usize, tree: &[u8], time: i64) {
        self.trees.extend_from_slice(tree);
        self.times.push(time);
        self.parent_ends.push((self.parents.len() / width) as u32);
    }

    /// Where the parents of a row stand, in ids.
    fn parents(&self, row: u32) -> Range<usize> {
        let end = |row: u32| self.parent_ends[row as usize] as usize;
        row.checked_sub(1).map_or(0, end)..end(row)
    }
}

impl GraphBuilder {
    /// For ids of `width` bytes (20 or 32).
    pub fn new(width: usize) -> Self {
        Self { width, met: PerThread::default() }
    }

    /// Adds a commit; the same one may come several times. Ids of another width are passed over.
    pub fn add(&self, id: &[u8], data: &[u8]) {
        if id.len() != self.width {
            return;
        }
        let header = commit::header(data, self.width);
        let (ids, rows) = &mut *self.met.get();
        ids.extend_from_slice(id);
        for parent in &header.parents {
            rows.parents.extend_from_slice(parent.as_bytes());
        }
        let none = [0; 32];
        rows.push(self.width, header.tree.as_ref().map_or(&none[..self.width], ObjectId::as_bytes), header.time);
    }

    /// Puts everything in order.
    pub fn finish(self, shallow: &IdTable, notes: &Notes) -> Graph {
        let (width, met) = (self.width, self.met.into_all());
        let (mut ids, mut all) = (IdTable::new(width), Rows::default());
        ids.reserve(met.iter().map(|(_, rows)| rows.times.len()).sum());
        for (own, rows) in met {
            for (row, _) in own.chunks_exact(width).enumerate().filter(|(_, id)| ids.insert(id).1) {
                let parents = rows.parents(row as u32);
                all.parents.extend_from_slice(&rows.parents[parents.start * width..parents.end * width]);
                all.push(width, &rows.trees[row * width..][..width], rows.times[row]);
            }
        }
        Graph::from_rows(ids, &all, shallow, notes)
    }
}

/// Feeds commits of a walk to the builder; other kinds are passed over.
impl Visitor for GraphBuilder {
    type State = ();

    fn whole(&self, object: Object<'_>, _: bool) {
        if object.kind == Kind::Commit {
            self.add(object.id.bytes(), object.data);
        }
    }

    fn delta(&self, object: Object<'_>, (): &(), _: &[Segment], has_children: bool) {
        self.whole(object, has_children);
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
}

/// Commits in topological order; a commit is named by its position, and its parents stand before it.
#[derive(Clone, Debug)]
pub struct Graph {
    /// In the order of arrival: the rows.
    ids: IdTable,
    /// The row of each position, and the position of each row.
    rows: Vec<u32>,
    positions: Vec<u32>,
    trees: Vec<u8>,
    times: Vec<i64>,
    parents: Vec<u32>,
    parent_ends: Vec<u32>,
    /// Some parent is not here: beyond a shallow boundary, or lost.
    cut: Vec<bool>,
}

impl Graph {
    /// Reads all commits of an object database.
    pub fn read(store: &ObjectStore, shallow: &IdTable, notes: &Notes) -> Self {
        let builder = GraphBuilder::new(store.hash_len());
        store.walk(Kinds::of(&[Kind::Commit]), None, &builder, &WalkOptions::default());
        builder.finish(shallow, notes)
    }

    fn from_rows(ids: IdTable, rows: &Rows, shallow: &IdTable, notes: &Notes) -> Self {
        let (count, width) = (rows.times.len(), ids.width());
        // Each look waits for memory: all at once.
        let known: Vec<Option<u32>> =
            rows.parents.par_chunks_exact(width).with_max_len(SHARE).map(|id| ids.get(id)).collect();
        let order = topological(&ids, &rows.times, |row| known[rows.parents(row)].iter().flatten().copied());
        let mut position = vec![0u32; count];
        for (at, row) in order.iter().enumerate() {
            position[*row as usize] = at as u32;
        }
        let mut graph = Self {
            ids: IdTable::new(width),
            rows: Vec::new(),
            positions: Vec::new(),
            trees: Vec::with_capacity(count * width),
            times: Vec::with_capacity(count),
            parents: Vec::with_capacity(rows.parents.len() / width),
            parent_ends: Vec::with_capacity(count),
            cut: Vec::with_capacity(count),
        };
        for row in order.iter().copied() {
            graph.trees.extend_from_slice(&rows.trees[row as usize * width..][..width]);
            graph.times.push(rows.times[row as usize]);
            let is_shallow = shallow.get(ids.bytes(row)).is_some();
            let mut cut = is_shallow;
            for at in rows.parents(row) {
                match known[at] {
                    Some(parent) => graph.parents.push(position[parent as usize]),
                    None => {
                        cut = true;
                        if !is_shallow {
                            let parent = &rows.parents[at * width..][..width];
                            let detail = format!("the parent commit of {} is not here", hex(ids.bytes(row)));
                            notes.add(NoteKind::GitMissing, hex(parent), detail);
                        }
                    }
                }
            }
            graph.parent_ends.push(graph.parents.len() as u32);
            graph.cut.push(cut);
        }
        (graph.ids, graph.rows, graph.positions) = (ids, order, position);
        graph
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is no commit.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// All commits, oldest first.
    pub fn commits(&self) -> std::ops::Range<u32> {
        0..self.len() as u32
    }

    /// The position of a commit.
    pub fn find(&self, id: &ObjectId) -> Option<u32> {
        self.positions.get(self.ids.get(id.as_bytes())? as usize).copied()
    }

    /// The id of the commit at a position.
    pub fn id(&self, commit: u32) -> Option<ObjectId> {
        ObjectId::from_bytes(self.raw_id(commit))
    }

    /// Its raw id; empty if there is no such commit.
    fn raw_id(&self, commit: u32) -> &[u8] {
        self.rows.get(commit as usize).map_or(&[], |row| self.ids.bytes(*row))
    }

    /// The raw ids of the root trees of all commits, one after another.
    pub fn trees(&self) -> &[u8] {
        &self.trees
    }

    /// Positions of its parents that are here.
    pub fn parents(&self, commit: u32) -> &[u32] {
        let at = commit as usize;
        let end = self.parent_ends.get(at).map_or(0, |e| *e as usize);
        let start = if at == 0 { 0 } else { self.parent_ends.get(at - 1).map_or(0, |e| *e as usize) };
        self.parents.get(start..end).unwrap_or_default()
    }

    /// Its committer date, seconds since 1970-01-01 UTC.
    pub fn time(&self, commit: u32) -> i64 {
        self.times.get(commit as usize).copied().unwrap_or(0)
    }

    /// Whether some parent of it is not here.
    pub fn is_cut(&self, commit: u32) -> bool {
        self.cut.get(commit as usize).copied().unwrap_or(false)
    }

    /// Commits whose id starts with these hex digits, at most `limit`.
    pub fn with_prefix(&self, digits: &[u8], limit: usize) -> Vec<u32> {
        let wanted = digits.to_ascii_lowercase();
        self.commits().filter(|c| hex(self.raw_id(*c)).as_bytes().starts_with(&wanted)).take(limit).collect()
    }

    /// The given commits and all their ancestors.
    pub fn ancestors(&self, from: impl IntoIterator<Item = u32>) -> Vec<bool> {
        let mut seen = vec![false; self.len()];
        let mut todo: Vec<u32> = Vec::new();
        let mut visit = |commit: u32, todo: &mut Vec<u32>| {
            if let Some(flag) = seen.get_mut(commit as usize)
                && !*flag
            {
                *flag = true;
                todo.push(commit);
            }
        };
        for commit in from {
            visit(commit, &mut todo);
            while let Some(next) = todo.pop() {
                for parent in self.parents(next) {
                    visit(*parent, &mut todo);
                }
            }
        }
        seen
    }
}

/// Rows in topological order: of those whose parents are placed always the oldest next, equal dates by id.
fn topological<P: Iterator<Item = u32>>(ids: &IdTable, times: &[i64], parents: impl Fn(u32) -> P) -> Vec<u32> {
    let count = times.len();
    let mut by_date: Vec<u32> = (0..count as u32).collect();
    by_date.sort_unstable_by_key(|row| (times[*row as usize], ids.bytes(*row)));
    let mut rank = vec![0u32; count];
    for (at, row) in by_date.iter().enumerate() {
        rank[*row as usize] = at as u32;
    }
    // Children by parent, as a table of spans.
    let mut waiting = vec![0u32; count];
    let mut ends = vec![0u32; count + 1];
    let edges = || (0..count as u32).flat_map(|c| parents(c).map(move |p| (p, c)));
    for (parent, child) in edges() {
        waiting[child as usize] += 1;
        ends[parent as usize + 1] += 1;
    }
    for i in 0..count {
        ends[i + 1] += ends[i];
    }
    let mut fill = ends.clone();
    let mut children = vec![0u32; ends[count] as usize];
    for (parent, child) in edges() {
        children[fill[parent as usize] as usize] = child;
        fill[parent as usize] += 1;
    }
    let mut ready: BinaryHeap<Reverse<u32>> =
        by_date.iter().filter(|row| waiting[**row as usize] == 0).map(|row| Reverse(rank[*row as usize])).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(next)) = ready.pop() {
        let row = by_date[next as usize];
        order.push(row);
        for child in &children[ends[row as usize] as usize..ends[row as usize + 1] as usize] {
            waiting[*child as usize] -= 1;
            if waiting[*child as usize] == 0 {
                ready.push(Reverse(rank[*child as usize]));
            }
        }
    }
    // Only a forged index leaves circles; they follow by date.
    order.extend(by_date.iter().filter(|row| waiting[**row as usize] > 0));
    order
}

fn hex(id: &[u8]) -> String {
    crate::secret::hex(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(n: u32) -> ObjectId {
        ObjectId::from_bytes(&[&n.to_be_bytes()[..], &[9; 16]].concat()).unwrap()
    }

    fn graph(commits: &[(u32, &[u32], i64)], shallow: &[u32]) -> (Graph, Vec<(NoteKind, u64)>) {
        let (builder, notes) = (GraphBuilder::new(20), Notes::default());
        for (n, parents, time) in commits {
            let parents: String = parents.iter().map(|p| format!("parent {}\n", id(*p))).collect();
            let data =
                format!("tree {}\n{parents}author x <y> 1 +0000\ncommitter x <y> {time} +0000\n\nm", id(n + 1000));
            builder.add(id(*n).as_bytes(), data.as_bytes());
            builder.add(id(*n).as_bytes(), data.as_bytes());
        }
        let mut cut = IdTable::new(20);
        for n in shallow {
            cut.insert(id(*n).as_bytes());
        }
        let graph = builder.finish(&cut, &notes);
        (graph, notes.take().1)
    }

    fn order(graph: &Graph) -> Vec<u32> {
        graph.commits().map(|c| u32::from_be_bytes(graph.id(c).unwrap().as_bytes()[..4].try_into().unwrap())).collect()
    }

    #[test]
    fn parents_first_then_dates_then_ids() {
        // 4 is a merge of 2 and 3; 3 has an absurd date in the past; 5 and 6 are roots of the same date.
        let rows: [(u32, &[u32], i64); 6] =
            [(4, &[2, 3], 50), (3, &[1], 0), (2, &[1], 20), (1, &[], 10), (6, &[], 5), (5, &[], 5)];
        let (seen, notes) = graph(&rows, &[]);
        assert_eq!(order(&seen), [5, 6, 1, 3, 2, 4]);
        assert!(notes.is_empty());
        assert_eq!(seen.parents(5), [4, 3]);
        assert_eq!(seen.trees().chunks_exact(20).nth(5), Some(id(1004).as_bytes()));
        assert_eq!(seen.ancestors([seen.find(&id(3)).unwrap()]), [false, false, true, true, false, false]);
        let mut reversed = rows;
        reversed.reverse();
        assert_eq!(order(&graph(&reversed, &[]).0), order(&seen));
    }

    #[test]
    fn missing_parents_are_noted_unless_shallow() {
        let (seen, notes) = graph(&[(2, &[1], 1), (3, &[7, 8], 2)], &[2]);
        assert_eq!(notes, [(NoteKind::GitMissing, 2)]);
        assert!(seen.is_cut(0) && seen.is_cut(1));
        assert!(seen.parents(0).is_empty());
    }

    #[test]
    fn circles_end() {
        let (seen, _) = graph(&[(1, &[2], 1), (2, &[1], 2), (3, &[3], 3), (4, &[], 9)], &[]);
        assert_eq!(order(&seen), [4, 1, 2, 3]);
        assert_eq!(seen.ancestors([1]), [false, true, true, false]);
        assert!(graph(&[], &[]).0.is_empty());
    }

    #[test]
    fn abbreviations() {
        let (seen, _) = graph(&[(0x1234_5678, &[], 1), (0x1234_0000, &[], 2)], &[]);
        assert_eq!(seen.with_prefix(b"1234", 9), [0, 1]);
        assert_eq!(seen.with_prefix(b"12345", 9), [0]);
        assert!(seen.with_prefix(b"x", 9).is_empty());
    }
}
