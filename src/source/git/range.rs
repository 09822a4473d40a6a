//! Which commits a user asked for, found by reading as few commits as possible.
//!
//! Contract: what is reachable from the excluded commit is never selected. With clocks that went very wrong a commit may
//! be selected although the excluded one reaches it by another way: then more is scanned than asked for, not less.

use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::commit::{self, Header};
use super::ids::IdTable;
use super::store::ObjectStore;
use super::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};
use crate::model::ObjectId;

/// After so many single reads all commits are read at once.
const SINGLE_READS: usize = 20_000;
/// How many more commits are looked at when all that is left to look at is excluded.
const SLOP: usize = 256;

/// The selected commits and those just outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Commits that were asked for.
    pub selected: Vec<ObjectId>,
    /// Parents of selected commits that are not selected themselves.
    pub boundary: Vec<ObjectId>,
}

/// Headers of commits, read when asked for.
pub struct Commits<'a> {
    store: &'a ObjectStore,
    headers: HashMap<ObjectId, Option<Header>>,
    singles: usize,
}

impl<'a> Commits<'a> {
    /// Nothing is read yet.
    pub fn new(store: &'a ObjectStore) -> Self {
        Self { store, headers: HashMap::new(), singles: 0 }
    }

    /// The header of a commit, unless it is not here.
    pub fn get(&mut self, id: &ObjectId) -> Option<&Header> {
        if !self.headers.contains_key(id) {
            if self.singles == SINGLE_READS {
                self.headers.extend(all_headers(self.store));
            }
            self.singles += 1;
            let width = self.store.hash_len();
            let read = || match self.store.read(id) {
                Ok(Some((Kind::Commit, data))) => Some(commit::header(&data, width)),
                _ => None,
            };
            self.headers.entry(*id).or_insert_with(read);
        }
        self.headers.get(id)?.as_ref()
    }
}

/// Commits reachable from `tips` but not from `excluded`.
pub fn since_commit(commits: &mut Commits<'_>, tips: &[ObjectId], excluded: &ObjectId) -> Range {
    let mut walk = Walk::default();
    walk.meet(commits, *excluded, true);
    for tip in tips {
        walk.meet(commits, *tip, false);
    }
    let mut slop = SLOP;
    while walk.open > 0 || slop > 0 {
        if walk.open == 0 {
            slop -= 1;
        }
        let Some((_, id)) = walk.queue.pop() else { break };
        let Some(mark) = walk.marks.get_mut(&id) else { continue };
        mark.queued = false;
        let hidden = mark.hidden;
        walk.open -= usize::from(!hidden);
        walk.order.push(id);
        for parent in commits.get(&id).map(|h| h.parents.clone()).unwrap_or_default() {
            walk.meet(commits, parent, hidden);
        }
    }
    let selected: Vec<ObjectId> =
        walk.order.iter().filter(|id| walk.marks.get(*id).is_some_and(|m| !m.hidden)).copied().collect();
    with_boundary(commits, selected)
}

/// Commits reachable from `tips` with a committer date of `time` or later. Every commit is looked at, because dates need
/// not grow along history.
pub fn since_date(commits: &mut Commits<'_>, tips: &[ObjectId], time: i64) -> Range {
    let mut seen = IdTable::new(commits.store.hash_len());
    let mut todo: Vec<ObjectId> = tips.to_vec();
    let mut selected = Vec::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id.as_bytes()).1 {
            continue;
        }
        if let Some(header) = commits.get(&id) {
            if header.time >= time {
                selected.push(id);
            }
            todo.extend_from_slice(&header.parents);
        }
    }
    with_boundary(commits, selected)
}

fn with_boundary(commits: &mut Commits<'_>, selected: Vec<ObjectId>) -> Range {
    let mut inside = IdTable::new(commits.store.hash_len());
    for id in &selected {
        inside.insert(id.as_bytes());
    }
    let mut boundary = Vec::new();
    for id in &selected {
        for parent in commits.get(id).map(|h| h.parents.clone()).unwrap_or_default() {
            if inside.insert(parent.as_bytes()).1 && commits.get(&parent).is_some() {
                boundary.push(parent);
            }
        }
    }
    Range { selected, boundary }
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    hidden: bool,
    queued: bool,
}

/// A walk from new to old.
#[derive(Debug, Default)]
struct Walk {
    queue: BinaryHeap<(i64, ObjectId)>,
    marks: HashMap<ObjectId, Mark>,
    order: Vec<ObjectId>,
    /// How many in the queue are not hidden.
    open: usize,
}

impl Walk {
    fn meet(&mut self, commits: &mut Commits<'_>, id: ObjectId, hidden: bool) {
        let Some(mark) = self.marks.get_mut(&id) else {
            if let Some(header) = commits.get(&id) {
                self.marks.insert(id, Mark { hidden, queued: true });
                self.queue.push((header.time, id));
                self.open += usize::from(!hidden);
            }
            return;
        };
        if !hidden || mark.hidden {
            return;
        }
        // Known as selected until now: hide it and what was reached through it.
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let Some(mark) = self.marks.get_mut(&id).filter(|m| !m.hidden) else { continue };
            mark.hidden = true;
            if mark.queued {
                self.open -= 1;
            } else if let Some(header) = commits.get(&id) {
                todo.extend_from_slice(&header.parents);
            }
        }
    }
}

/// Headers of all commits of the store.
fn all_headers(store: &ObjectStore) -> HashMap<ObjectId, Option<Header>> {
    struct All(usize, Mutex<HashMap<ObjectId, Option<Header>>>);
    impl Visitor for All {
        type State = ();
        fn whole(&self, object: Object<'_>, _: bool) {
            let header = commit::header(object.data, self.0);
            self.1.lock().unwrap_or_else(PoisonError::into_inner).insert(object.id.get(), Some(header));
        }
        fn delta(&self, object: Object<'_>, (): &(), _: &[Segment], has_children: bool) {
            self.whole(object, has_children);
        }
        fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
    }
    let all = All(store.hash_len(), Mutex::default());
    store.walk(Kinds::of(&[Kind::Commit]), None, &all, &WalkOptions::default());
    all.1.into_inner().unwrap_or_else(PoisonError::into_inner)
}
