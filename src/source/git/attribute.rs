//! Finds for each hot object (one that holds credentials) where it stands in history, without diffing commits.
//!
//! Contract: every distinct tree is decoded once; then only trees that hold something hot are entered, each once a path.
//! Results do not depend on threads or on the layout of packs. `replace` refs and grafts are ignored. What no ref reaches
//! is told apart from what only a reflog reaches, and content in no commit at all is `Dangling`, with a path if some
//! tree still names it.

use std::collections::HashMap;

use rayon::prelude::*;

use super::commit;
use super::discover::Repository;
use super::exposure;
use super::graph::Graph;
use super::ids::{IdTable, QuickState};
use super::paths::{Descent, PathNumber, Paths, ROOT};
use super::refs::Refs;
use super::sets::{EMPTY, SetNumber, Sets};
use super::store::ObjectStore;
use super::tips::{self, Peeled, Reach, Tips};
use super::tree_builder::TreeBuilder;
use super::trees::{Target, TreeNumber, Trees, Wanted, Warm};
use super::walk::{Kind, Kinds, WalkOptions};
use super::worktree::IndexEntry;
use crate::model::{CommitInfo, Exposure, NoteKind, ObjectId, PathBytes, PlaceKind};
use crate::notes::Notes;

/// Most places of one object that are kept.
const PLACES: u32 = 10_000;
/// Most places of all objects that are kept.
const ALL_PLACES: usize = 2 << 20;

/// What attribution works on.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// The repository.
    pub repo: &'a Repository,
    /// Its objects.
    pub store: &'a ObjectStore,
    /// Its commits, all of them.
    pub graph: &'a Graph,
    /// Its refs.
    pub refs: &'a Refs,
    /// Entries of its index.
    pub index: &'a [IndexEntry],
    /// Now, in seconds since 1970-01-01 UTC: dates after it are not plausible.
    pub now: i64,
}

/// An object that holds credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// Its id.
    pub id: ObjectId,
    /// What it is; trees hold nothing.
    pub kind: Kind,
    /// Numbers of the credentials in it.
    pub credentials: Vec<u32>,
}

/// One place where a hot object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `Blob`, `Index`, `Dangling`, `Commit` or `Tag`.
    pub kind: PlaceKind,
    /// The path; see [`Attribution::path`].
    pub path: PathNumber,
    /// The oldest commit that has the object at this path; see [`Attribution::commit`]. Commits that a ref reaches come
    /// before others. For a commit this is itself, for a tag what it stands for. `None` if no commit has the object.
    pub commit: Option<u32>,
    /// By what it is reached.
    pub reach: Reach,
    /// Whether the object stands at this path in the tree of HEAD or of a branch.
    pub present: bool,
}

/// Where everything stands.
#[derive(Debug)]
pub struct Attribution {
    places: Vec<Vec<Place>>,
    exposures: Vec<Exposure>,
    paths: Paths,
    trees: Trees,
    commits: HashMap<u32, CommitInfo>,
}

impl Attribution {
    /// The places of a hot object, by its index in the list that was asked for: reached ones first, oldest first, then by
    /// path. Never empty.
    pub fn places(&self, hot: usize) -> &[Place] {
        self.places.get(hot).map_or(&[], |p| p)
    }

    /// The path of a place.
    pub fn path(&self, place: &Place) -> PathBytes {
        self.paths.bytes(place.path, &self.trees)
    }

    /// A commit that a place or an exposure names.
    pub fn commit(&self, commit: u32) -> Option<&CommitInfo> {
        self.commits.get(&commit)
    }

    /// The history of a credential.
    pub fn exposure(&self, credential: u32) -> Option<&Exposure> {
        self.exposures.get(credential as usize)
    }
}

/// The trees of a repository, read for some hot objects. That needs no commits, which can be put in order meanwhile.
#[derive(Debug)]
pub struct HotTrees<'a>(TreeBuilder<'a>);

impl<'a> HotTrees<'a> {
    /// Decodes every tree once.
    pub fn read(store: &ObjectStore, hot: &[Hot], notes: &'a Notes) -> Self {
        let blobs = hot.iter().filter(|hot| hot.kind == Kind::Blob).map(|hot| &hot.id);
        let wanted = Wanted::new(store.hash_len(), blobs);
        // Otherwise there are credentials in messages only.
        let any = !wanted.is_empty();
        let builder = TreeBuilder::new(store.hash_len(), wanted, notes);
        if any {
            store.walk(Kinds::of(&[Kind::Tree]), None, &builder, &WalkOptions::default());
        }
        Self(builder)
    }
}

/// Sets of credentials by tree and by commit.
#[derive(Debug)]
pub(super) struct Presence {
    pub sets: Sets,
    /// What each tree holds, by its number.
    pub trees: Vec<SetNumber>,
    /// The tree of each commit.
    roots: Vec<TreeNumber>,
    /// What the tree of each commit holds.
    pub commits: Vec<SetNumber>,
    /// Part of the tree of this commit is not here.
    pub holes: Vec<bool>,
}

/// Finds where hot objects stand; `trees` were read for them, and `credentials` is one more than the largest number of a
/// credential.
pub fn attribute(
    history: &History<'_>,
    hot: &[Hot],
    trees: HotTrees<'_>,
    credentials: u32,
    notes: &Notes,
) -> Attribution {
    let tips = || {
        let tips = Tips::resolve(history.store, history.graph, history.refs, notes);
        let reach = tips.reach(history.graph, history.repo.reftable);
        (tips, reach)
    };
    let trees = || {
        let (mut trees, roots) = trees.0.finish(history.graph.trees());
        let warm = trees.thin();
        (trees, roots, warm)
    };
    let ((trees, roots, warm), (tips, reach)) = rayon::join(trees, tips);
    let wanted = &trees.wanted;
    let mut sets = Sets::default();
    // A repeated blob has one number; its sets are joined.
    let mut of_blob: Vec<SetNumber> = Vec::new();
    let mut numbers = vec![u32::MAX; hot.len()];
    for (hot, own_number) in hot.iter().zip(&mut numbers).filter(|(hot, _)| hot.kind == Kind::Blob) {
        if let Some(number) = wanted.get(hot.id.as_bytes()) {
            *own_number = number;
            of_blob.resize(of_blob.len().max(number as usize + 1), EMPTY);
            let own = sets.of(hot.credentials.iter().copied());
            of_blob[number as usize] = sets.union(&mut vec![own, of_blob[number as usize]]);
        }
    }
    let presence = presence(&trees, roots, &warm, sets, &of_blob);
    let lacking = (0..presence.holes.len()).filter(|c| presence.holes[*c] && reach[*c] == Reach::Refs).count();
    if lacking > 0 && !wanted.is_empty() {
        let kind = if history.repo.partial { NoteKind::GitPartial } else { NoteKind::GitMissing };
        let detail = format!("{lacking} commits have trees that are not here: not all places are known");
        notes.add(kind, history.repo.git_dir.as_os_str().as_encoded_bytes(), detail);
    }
    let mut finder = Finder::new(history, &trees, &presence, &reach, of_blob.len());
    finder.commits(&tips);
    finder.dangling();
    finder.index(wanted);
    finder.present(&tips);
    if finder.paths.cut {
        let detail = "too many or too long paths lead to credentials; some places are left out";
        notes.add(NoteKind::LocationLimit, history.repo.git_dir.as_os_str().as_encoded_bytes(), detail);
    }
    let Finder { mut paths, found, .. } = finder;
    paths.cut = false;
    let places: Vec<Vec<Place>> = hot
        .iter()
        .zip(&numbers)
        .map(|(hot, number)| match hot.kind {
            Kind::Commit => vec![commit_place(history.graph, &reach, &hot.id)],
            Kind::Tag => vec![tag_place(history, &tips, &hot.id)],
            _ => of_object(found.get(*number as usize).map_or(&[], |p| p), &paths, &trees, &tips.blobs, &hot.id),
        })
        .collect();
    let facts = exposure::facts(history.graph, &tips, &reach, &presence, hot, &places, credentials);
    let named = places.iter().flatten().filter_map(|p| p.commit).chain(facts.iter().flat_map(|f| f.commits()));
    let commits = read_commits(history, named);
    let exposures = facts.iter().map(|f| f.exposure(history, &commits)).collect();
    Attribution { places, exposures, paths, trees, commits }
}

/// Reads the commits with these positions.
fn read_commits(history: &History<'_>, named: impl Iterator<Item = u32>) -> HashMap<u32, CommitInfo> {
    let mut wanted: Vec<u32> = named.collect();
    wanted.sort_unstable();
    wanted.dedup();
    let read = |commit: &u32| {
        let id = history.graph.id(*commit)?;
        let (_, data) = history.store.read(&id).ok().flatten()?;
        Some((*commit, commit::info(id, &data)))
    };
    wanted.par_iter().filter_map(read).collect()
}

const UNKNOWN: SetNumber = u32::MAX;
const BUSY: SetNumber = u32::MAX - 1;

/// What each tree and each commit holds, given the trees of commits. Trees that are not warm hold nothing and lack nothing.
fn presence(trees: &Trees, roots: Vec<TreeNumber>, warm: &Warm, sets: Sets, of_blob: &[SetNumber]) -> Presence {
    let (sets, of_tree, holes) = holdings(trees, warm, sets, of_blob);
    let of_root = |root: &TreeNumber| (of_tree[*root as usize], holes[*root as usize]);
    let (commits, commit_holes) = roots.iter().map(of_root).unzip();
    Presence { sets, trees: of_tree, roots, commits, holes: commit_holes }
}

/// What each tree holds, and whether it lacks something.
fn holdings(trees: &Trees, warm: &Warm, mut sets: Sets, of_blob: &[SetNumber]) -> (Sets, Vec<SetNumber>, Vec<bool>) {
    let mut of_tree: Vec<SetNumber> =
        trees.numbers().map(|tree| if warm.has(tree) { UNKNOWN } else { EMPTY }).collect();
    let mut holes = vec![false; trees.bound()];
    let (mut todo, mut parts) = (Vec::new(), Vec::new());
    for root in trees.numbers() {
        // Most are known by now.
        todo.extend(Some(root).filter(|root| of_tree[*root as usize] == UNKNOWN));
        while let Some(tree) = todo.last().copied() {
            let at = tree as usize;
            let entries = trees.entries(tree);
            let below = || entries.unwrap_or_default().iter().map(|entry| entry.target());
            if of_tree[at] == UNKNOWN {
                of_tree[at] = BUSY;
                let before = todo.len();
                todo.extend(below().filter_map(|target| match target {
                    Target::Tree(t) if of_tree[t as usize] == UNKNOWN => Some(t),
                    _ => None,
                }));
                if todo.len() > before {
                    continue;
                }
            }
            todo.pop();
            if of_tree[at] == BUSY {
                parts.clear();
                holes[at] = entries.is_none();
                for target in below() {
                    match target {
                        Target::Blob(blob) => parts.extend(of_blob.get(blob as usize)),
                        // A tree below itself exists only in a forged index.
                        Target::Tree(t) if of_tree[t as usize] == BUSY => holes[at] = true,
                        Target::Tree(t) => {
                            let set = of_tree[t as usize];
                            if set != EMPTY && parts.last() != Some(&set) {
                                parts.push(set);
                            }
                            holes[at] |= holes[t as usize];
                        }
                    }
                }
                of_tree[at] = sets.union(&mut parts);
            }
        }
    }
    (sets, of_tree, holes)
}

/// Collects places while it descends from commits.
struct Finder<'a> {
    history: &'a History<'a>,
    trees: &'a Trees,
    presence: &'a Presence,
    reach: &'a [Reach],
    descent: Descent<'a>,
    paths: Paths,
    /// Places by number of the blob.
    found: Vec<Vec<Place>>,
    /// Which of them is at a path.
    at: HashMap<(u32, PathNumber), u32, QuickState>,
}

impl<'a> Finder<'a> {
    fn new(
        history: &'a History<'a>,
        trees: &'a Trees,
        presence: &'a Presence,
        reach: &'a [Reach],
        blobs: usize,
    ) -> Self {
        let descent = Descent::new(trees, &presence.trees);
        let found = vec![Vec::new(); blobs];
        Self { history, trees, presence, reach, descent, paths: Paths::default(), found, at: HashMap::default() }
    }

    /// Descends from one root; each new place gets the given commit.
    fn root(&mut self, tree: u32, kind: PlaceKind, commit: Option<u32>, reach: Reach) {
        let (found, at) = (&mut self.found, &mut self.at);
        self.descent.descend(tree, &mut self.paths, |blob, path, paths| {
            let list = &mut found[blob as usize];
            let next = list.len() as u32;
            if next >= PLACES || at.len() >= ALL_PLACES {
                paths.cut = true;
            } else if *at.entry((blob, path)).or_insert(next) == next {
                list.push(Place { kind, path, commit, reach, present: false });
            }
        });
    }

    /// All commits, those that refs reach first, each group from the oldest on.
    fn commits(&mut self, tips: &Tips) {
        let graph = self.history.graph;
        for reach in [Reach::Refs, Reach::Reflog, Reach::Nothing] {
            for commit in graph.commits().filter(|c| self.reach[*c as usize] == reach) {
                if self.presence.commits[commit as usize] != EMPTY {
                    let tree = self.presence.roots[commit as usize];
                    self.root(tree, PlaceKind::Blob, Some(commit), reach);
                }
            }
            if reach == Reach::Refs {
                for tree in tips.trees.iter().filter_map(|id| self.trees.find(id.as_bytes())) {
                    self.root(tree, PlaceKind::Blob, None, Reach::Refs);
                }
            }
        }
    }

    /// Trees that no commit has: from the topmost ones on, for the sake of a name.
    fn dangling(&mut self) {
        let left = |tree: TreeNumber| self.descent.is_hot(tree) && !self.descent.entered(tree);
        if !self.trees.numbers().any(left) {
            return;
        }
        let mut left: Vec<(&[u8], TreeNumber)> =
            self.trees.ids().filter(|(tree, _)| left(*tree)).map(|(tree, id)| (id, tree)).collect();
        left.sort_unstable(); // numbers differ from run to run
        let left: Vec<TreeNumber> = left.into_iter().map(|(_, tree)| tree).collect();
        let mut inner = std::collections::HashSet::<u32, QuickState>::default();
        for tree in &left {
            inner.extend(self.trees.entries(*tree).unwrap_or_default().iter().filter_map(|e| match e.target() {
                Target::Tree(below) => Some(below),
                Target::Blob(_) => None,
            }));
        }
        for tree in left.into_iter().filter(|t| !inner.contains(t)) {
            self.root(tree, PlaceKind::Dangling, None, Reach::Nothing);
        }
    }

    /// Blobs that are in the index and in no commit that refs reach.
    fn index(&mut self, wanted: &Wanted) {
        for entry in self.history.index {
            let Some(blob) = wanted.get(entry.id.as_bytes()) else { continue };
            let list = &mut self.found[blob as usize];
            if list.iter().all(|p| p.reach != Reach::Refs || p.kind == PlaceKind::Index) && list.len() < PLACES as usize
            {
                let path = self.paths.add(&entry.path);
                list.push(Place { kind: PlaceKind::Index, path, commit: None, reach: Reach::Refs, present: false });
            }
        }
    }

    /// Marks what stands in the trees of HEAD and of branches.
    fn present(&mut self, tips: &Tips) {
        let mut descent = Descent::new(self.trees, &self.presence.trees);
        let mut heads: Vec<u32> = tips.head.into_iter().chain(tips.branches.values().flatten().copied()).collect();
        heads.sort_unstable();
        heads.dedup();
        for tree in heads.iter().map(|c| self.presence.roots[*c as usize]) {
            let (found, at) = (&mut self.found, &self.at);
            descent.descend(tree, &mut self.paths, |blob, path, _| {
                let place = at.get(&(blob, path)).and_then(|i| found[blob as usize].get_mut(*i as usize));
                if let Some(place) = place {
                    place.present = true;
                }
            });
        }
    }
}

/// The places of a blob in order; dangling ones only if there is nothing better.
fn of_object(found: &[Place], paths: &Paths, trees: &Trees, named: &IdTable, id: &ObjectId) -> Vec<Place> {
    let mut places = found.to_vec();
    let bare = |kind, reach| Place { kind, path: ROOT, commit: None, reach, present: false };
    if named.contains(id) && places.iter().all(|p| p.reach != Reach::Refs) {
        places.push(bare(PlaceKind::Blob, Reach::Refs));
    }
    if places.iter().any(|p| p.kind != PlaceKind::Dangling) {
        places.retain(|p| p.kind != PlaceKind::Dangling);
    }
    if places.is_empty() {
        places.push(bare(PlaceKind::Dangling, Reach::Nothing));
    }
    places.sort_by_cached_key(|p| (p.reach, p.commit.unwrap_or(u32::MAX), paths.bytes(p.path, trees)));
    places
}

fn commit_place(graph: &Graph, reach: &[Reach], id: &ObjectId) -> Place {
    let commit = graph.find(id);
    let reach = commit.and_then(|c| reach.get(c as usize).copied()).unwrap_or(Reach::Nothing);
    Place { kind: PlaceKind::Commit, path: ROOT, commit, reach, present: false }
}

fn tag_place(history: &History<'_>, tips: &Tips, id: &ObjectId) -> Place {
    let reach = if tips.tags.contains(id) { Reach::Refs } else { Reach::Nothing };
    let commit = match tips::peel(history.store, history.graph, *id, &mut IdTable::new(history.store.hash_len())) {
        Some(Peeled::Commit(commit)) => Some(commit),
        _ => None,
    };
    Place { kind: PlaceKind::Tag, path: ROOT, commit, reach, present: false }
}
