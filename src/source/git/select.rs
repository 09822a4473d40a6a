//! Which objects belong to a part of history: what refs reach, one branch, or what is new since a date or a commit.
//!
//! Contract: blobs that the trees just outside the part already have are not new, wherever they stand there. For a few
//! commits of a large repository only trees that differ from those of their parents are read.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::discover::Repository;
use super::entries::{self, Known, RawEntry, Reader};
use super::graph::Graph;
use super::ids::IdTable;
use super::range::{self, Commits, Range};
use super::refs::{RefClass, Refs};
use super::rev;
use super::store::ObjectStore;
use super::tips::Tips;
use super::tree_builder::TreeBuilder;
use super::trees::{Target, Trees, Wanted};
use super::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};
use super::worktree::IndexEntry;
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;

/// Bytes of trees that are kept for the next commits.
const CACHE: usize = 64 << 20;

/// The beginning of a part of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Commits with a committer date of this second or later.
    Date(i64),
    /// Commits that this one does not reach.
    Commit(ObjectId),
}

/// A part of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it ends: commits that this one reaches. `None`: those that any ref reaches, and the index.
    pub branch: Option<ObjectId>,
    /// Where it begins. `None`: at the beginning.
    pub since: Option<Since>,
}

/// The blobs, commits and annotated tags of a part of history.
#[derive(Clone, Debug)]
pub struct Selection {
    ids: IdTable,
    /// How many commits belong to it.
    pub commits: u64,
}

impl Selection {
    /// Whether an object belongs to it.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.ids.contains(id)
    }

    /// How many objects belong to it.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Finds what belongs to a part of history.
pub fn select(
    repo: &Repository,
    store: &ObjectStore,
    refs: &Refs,
    index: &[IndexEntry],
    part: Part,
    notes: &Notes,
) -> Selection {
    let mut selection = match part.since {
        None => whole(repo, store, refs, part.branch, notes),
        Some(since) => {
            let tips = match part.branch {
                Some(commit) => vec![commit],
                None => commits_of_refs(store, refs),
            };
            let mut commits = Commits::new(store);
            let mut range = match since {
                Since::Date(time) => range::since_date(&mut commits, &tips, time),
                Since::Commit(id) => range::since_commit(&mut commits, &tips, &id),
            };
            let staged = if part.branch.is_none() { index } else { &[] };
            if !staged.is_empty() {
                // What was staged is new unless a HEAD that does not belong to the part has it.
                let heads = refs.all.iter().filter(|named| named.class == RefClass::Head);
                let heads = heads.filter_map(|named| rev::to_commit(store, named.target, "").ok());
                range.boundary.extend(heads.filter(|head| !range.selected.contains(head)));
            }
            Newcomers::new(store, &mut commits, notes).select(&range, staged)
        }
    };
    if part.since.is_none() && part.branch.is_none() {
        for entry in index {
            selection.ids.insert(entry.id.as_bytes());
        }
    }
    for named in refs.all.iter().filter(|named| named.class != RefClass::Reflog) {
        tags(store, named.target, &mut selection.ids);
    }
    selection
}

/// Annotated tags that lead to something selected are selected.
fn tags(store: &ObjectStore, mut id: ObjectId, ids: &mut IdTable) {
    let mut chain = Vec::new();
    while !ids.contains(&id) && chain.len() < 32 {
        match store.header(&id) {
            Ok(Some((Kind::Tag, _))) => {}
            _ => return,
        }
        chain.push(id);
        let Ok(Some((_, data))) = store.read(&id) else { return };
        let Some((target, _)) = super::commit::tag_target(&data) else { return };
        id = target;
    }
    for tag in chain {
        ids.insert(tag.as_bytes());
    }
}

/// The commits that refs name, except in reflogs.
fn commits_of_refs(store: &ObjectStore, refs: &Refs) -> Vec<ObjectId> {
    let named = refs.all.iter().filter(|named| named.class != RefClass::Reflog);
    let mut tips: Vec<ObjectId> = named.filter_map(|named| rev::to_commit(store, named.target, "").ok()).collect();
    tips.sort_unstable();
    tips.dedup();
    tips
}

/// All of the history of one commit or of all refs: two walks over all trees.
fn whole(repo: &Repository, store: &ObjectStore, refs: &Refs, branch: Option<ObjectId>, notes: &Notes) -> Selection {
    let quiet = Notes::default(); // damage is told by the scan itself
    let graph = Graph::read(store, &repo.shallow, &quiet);
    let mut tips = Tips::resolve(store, &graph, refs, &quiet);
    if let Some(branch) = branch {
        tips.commits = graph.find(&branch).into_iter().collect();
        (tips.trees, tips.blobs) = (Vec::new(), IdTable::new(store.hash_len()));
    }
    let reached = graph.ancestors(tips.commits.iter().copied());
    let none = Wanted::new(store.hash_len(), []);
    let builder = TreeBuilder::new(store.hash_len(), none, notes);
    let only_trees = Kinds::of(&[Kind::Tree]);
    store.walk(only_trees, None, &builder, &WalkOptions::default());
    let (trees, of_commits) = builder.finish(graph.trees());
    let mut ids = std::mem::replace(&mut tips.blobs, IdTable::new(store.hash_len()));
    let mut commits = 0;
    let mut roots: Vec<u32> = tips.trees.iter().filter_map(|id| trees.find(id.as_bytes())).collect();
    for commit in graph.commits().filter(|c| reached[*c as usize]) {
        commits += 1;
        ids.insert(graph.id(commit).as_ref().map_or(&[], |id| id.as_bytes()));
        roots.push(of_commits[commit as usize]);
    }
    let collector =
        Collector { width: store.hash_len(), trees: &trees, reached: below(&trees, roots), ids: Mutex::new(ids) };
    store.walk(only_trees, Some(&|id| collector.wants(id.as_bytes())), &collector, &WalkOptions::default());
    Selection { ids: collector.ids.into_inner().unwrap_or_else(PoisonError::into_inner), commits }
}

/// The trees below some roots.
fn below(trees: &Trees, mut todo: Vec<u32>) -> Vec<bool> {
    let mut seen = vec![false; trees.bound()];
    while let Some(tree) = todo.pop() {
        if !std::mem::replace(&mut seen[tree as usize], true) {
            todo.extend(trees.entries(tree).unwrap_or_default().iter().filter_map(|entry| match entry.target() {
                Target::Tree(below) => Some(below),
                Target::Blob(_) => None,
            }));
        }
    }
    seen
}

/// Collects the blobs of some trees. Entries that were copied from a collected base are collected already.
struct Collector<'a> {
    width: usize,
    trees: &'a Trees,
    reached: Vec<bool>,
    ids: Mutex<IdTable>,
}

impl Collector<'_> {
    fn wants(&self, id: &[u8]) -> bool {
        self.trees.find(id).is_some_and(|tree| self.reached[tree as usize])
    }

    fn collect(&self, object: &Object<'_>, base: Option<(&Known<()>, &[Segment])>) -> Known<()> {
        if object.kind != Kind::Tree || !self.wants(object.id.bytes()) {
            return Known::default(); // without bounds: a delta of it is read in whole
        }
        let mut new: Vec<u8> = Vec::new();
        let take = |entry: RawEntry<'_>, _: &mut Vec<(u32, ())>| {
            if !entry.is_tree() && !entry.is_module() {
                new.extend_from_slice(entry.id);
            }
        };
        let reader = Reader::new(object.data, self.width, take);
        let (known, _) = match base {
            Some((base, segments)) => reader.delta(base, segments),
            None => reader.whole(),
        };
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        for id in new.chunks_exact(self.width) {
            ids.insert(id);
        }
        known
    }
}

impl Visitor for Collector<'_> {
    type State = Known<()>;

    fn whole(&self, object: Object<'_>, _: bool) -> Known<()> {
        self.collect(&object, None)
    }

    fn delta(&self, object: Object<'_>, base: &Known<()>, segments: &[Segment], _: bool) -> Known<()> {
        self.collect(&object, Some((base, segments)))
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
}

/// Finds the blobs that some commits have and the commits just outside do not.
struct Newcomers<'a, 'c> {
    store: &'a ObjectStore,
    commits: &'c mut Commits<'a>,
    notes: &'a Notes,
    cache: HashMap<ObjectId, Option<Arc<[u8]>>>,
    cached: usize,
}

impl<'a, 'c> Newcomers<'a, 'c> {
    fn new(store: &'a ObjectStore, commits: &'c mut Commits<'a>, notes: &'a Notes) -> Self {
        Self { store, commits, notes, cache: HashMap::new(), cached: 0 }
    }

    fn select(mut self, range: &Range, staged: &[IndexEntry]) -> Selection {
        let width = self.store.hash_len();
        let (mut new, mut seen) = (IdTable::new(width), HashSet::new());
        for commit in &range.selected {
            let Some(header) = self.commits.get(commit).cloned() else { continue };
            let mut before: Vec<ObjectId> =
                header.parents.iter().filter_map(|p| self.commits.get(p).and_then(|h| h.tree)).collect();
            before.sort_unstable();
            before.dedup();
            if let Some(tree) = header.tree {
                self.changed(tree, before, &mut seen, &mut new);
            }
        }
        for entry in staged {
            new.insert(entry.id.as_bytes());
        }
        let mut old = IdTable::new(width);
        if !new.is_empty() {
            let trees = range.boundary.iter().filter_map(|c| self.commits.get(c).and_then(|h| h.tree)).collect();
            self.blobs(trees, &mut old);
        }
        let mut ids = IdTable::new(width);
        for id in new.iter().filter(|id| old.get(id).is_none()) {
            ids.insert(id);
        }
        for commit in &range.selected {
            ids.insert(commit.as_bytes());
        }
        Selection { ids, commits: range.selected.len() as u64 }
    }

    /// Blobs of a tree that none of the trees before it has under the same name.
    fn changed(
        &mut self,
        tree: ObjectId,
        before: Vec<ObjectId>,
        seen: &mut HashSet<(ObjectId, Vec<ObjectId>)>,
        new: &mut IdTable,
    ) {
        let width = self.store.hash_len();
        let mut todo = vec![(tree, before)];
        while let Some((tree, before)) = todo.pop() {
            if before.contains(&tree) || !seen.insert((tree, before.clone())) {
                continue;
            }
            let Some(data) = self.tree(&tree) else { continue };
            let old: Vec<Arc<[u8]>> = before.iter().filter_map(|id| self.tree(id)).collect();
            let old: Vec<HashMap<&[u8], RawEntry<'_>>> = old
                .iter()
                .map(|data| entries::entries(data, width).flatten().map(|entry| (entry.name, entry)).collect())
                .collect();
            for entry in entries::entries(&data, width).flatten().filter(|entry| !entry.is_module()) {
                let same: Vec<&RawEntry<'_>> = old.iter().filter_map(|names| names.get(entry.name)).collect();
                if same.iter().any(|other| other.id == entry.id && other.is_tree() == entry.is_tree()) {
                    continue;
                }
                if entry.is_tree() {
                    let mut below: Vec<ObjectId> =
                        same.iter().filter(|e| e.is_tree()).filter_map(|e| ObjectId::from_bytes(e.id)).collect();
                    below.sort_unstable();
                    below.dedup();
                    todo.extend(ObjectId::from_bytes(entry.id).map(|id| (id, below)));
                } else {
                    new.insert(entry.id);
                }
            }
        }
    }

    /// All blobs of some trees.
    fn blobs(&mut self, mut todo: Vec<ObjectId>, ids: &mut IdTable) {
        let width = self.store.hash_len();
        let mut seen = IdTable::new(width);
        while let Some(tree) = todo.pop() {
            if !seen.insert(tree.as_bytes()).1 {
                continue;
            }
            let Some(data) = self.tree(&tree) else { continue };
            for entry in entries::entries(&data, width).flatten().filter(|entry| !entry.is_module()) {
                if entry.is_tree() {
                    todo.extend(ObjectId::from_bytes(entry.id));
                } else {
                    ids.insert(entry.id);
                }
            }
        }
    }

    /// The bytes of a tree; one that is not here is noted once.
    fn tree(&mut self, id: &ObjectId) -> Option<Arc<[u8]>> {
        if let Some(data) = self.cache.get(id) {
            return data.clone();
        }
        let data: Option<Arc<[u8]>> = match self.store.read(id) {
            Ok(Some((Kind::Tree, data))) => Some(data.into()),
            Ok(found) => {
                let kind = if self.store.is_partial() { NoteKind::GitPartial } else { NoteKind::GitMissing };
                let detail = if found.is_some() { "not a tree" } else { "the tree is not here" };
                self.notes.add(kind, id.to_string(), detail);
                None
            }
            Err(e) => {
                self.notes.add(NoteKind::GitDamaged, id.to_string(), e.to_string());
                None
            }
        };
        if self.cached > CACHE {
            self.cache.clear();
            self.cached = 0;
        }
        self.cached += data.as_ref().map_or(0, |d| d.len()) + 64;
        self.cache.insert(*id, data.clone());
        data
    }
}
