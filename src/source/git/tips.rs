//! What the names of a repository reach: their commits, and the trees, blobs and tags that are named directly.

use std::collections::BTreeMap;

use super::commit;
use super::graph::Graph;
use super::ids::IdTable;
use super::refs::{Ref, RefClass, Refs};
use super::store::ObjectStore;
use super::walk::Kind;
use crate::model::{NoteKind, ObjectId};
use crate::notes::{Notes, printable};

/// Longest chain of tags that stand for tags.
const TAGS: usize = 32;

/// By what a commit or an object is reached, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// A ref, HEAD of a worktree, the stash or the index.
    Refs,
    /// Only an entry of a reflog.
    Reflog,
    /// Nothing: it was left behind and will be pruned some day.
    Nothing,
}

/// The ends of history.
#[derive(Clone, Debug)]
pub struct Tips {
    /// Commits that refs and HEADs name.
    pub commits: Vec<u32>,
    /// Those of them that are lines of work: not the stash, not notes.
    pub lines: Vec<u32>,
    /// Commits that reflogs name.
    pub reflog: Vec<u32>,
    /// The commit of HEAD.
    pub head: Option<u32>,
    /// Heads of branches by name; a branch that is here and at remotes is one.
    pub branches: BTreeMap<Vec<u8>, Vec<u32>>,
    /// Trees that refs name.
    pub trees: Vec<ObjectId>,
    /// Blobs that refs name.
    pub blobs: IdTable,
    /// Annotated tags that refs name.
    pub tags: IdTable,
}

impl Tips {
    /// Follows every name to its commit. Refs that lead nowhere are noted; reflogs, `FETCH_HEAD` and the like may.
    pub fn resolve(store: &ObjectStore, graph: &Graph, refs: &Refs, notes: &Notes) -> Self {
        let width = store.hash_len();
        let mut tips = Self {
            commits: Vec::new(),
            lines: Vec::new(),
            reflog: Vec::new(),
            head: None,
            branches: BTreeMap::new(),
            trees: Vec::new(),
            blobs: IdTable::new(width),
            tags: IdTable::new(width),
        };
        for named in &refs.all {
            match peel(store, graph, named.target, &mut tips.tags) {
                Some(Peeled::Commit(commit)) => tips.add(named, commit),
                Some(Peeled::Tree(id)) if named.class != RefClass::Reflog => tips.trees.push(id),
                Some(Peeled::Blob(id)) if named.class != RefClass::Reflog => {
                    tips.blobs.insert(id.as_bytes());
                }
                None if named.keeps() => {
                    let detail = format!("{} names an object that is not here or damaged", printable(&named.name));
                    notes.add(NoteKind::GitMissing, named.target.to_string(), detail);
                }
                _ => {}
            }
        }
        tips
    }

    fn add(&mut self, named: &Ref, commit: u32) {
        if named.class == RefClass::Reflog {
            return self.reflog.push(commit);
        }
        self.commits.push(commit);
        if !matches!(named.class, RefClass::Stash | RefClass::Notes) {
            self.lines.push(commit);
        }
        if named.name == b"HEAD" {
            self.head = Some(commit);
        }
        if let Some(branch) = named.branch() {
            let heads = self.branches.entry(branch.to_vec()).or_default();
            if !heads.contains(&commit) {
                heads.push(commit);
            }
        }
    }

    /// By what each commit is reached. If refs could not be read, all commits count as reached.
    pub fn reach(&self, graph: &Graph, unread: bool) -> Vec<Reach> {
        if unread {
            return vec![Reach::Refs; graph.len()];
        }
        let by_refs = graph.ancestors(self.commits.iter().copied());
        let by_reflog = graph.ancestors(self.reflog.iter().copied());
        let strongest = |(refs, reflog): (bool, bool)| match (refs, reflog) {
            (true, _) => Reach::Refs,
            (_, true) => Reach::Reflog,
            _ => Reach::Nothing,
        };
        by_refs.into_iter().zip(by_reflog).map(strongest).collect()
    }
}

/// What a name stands for in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peeled {
    /// A commit, by its position in the graph.
    Commit(u32),
    /// A tree.
    Tree(ObjectId),
    /// A blob.
    Blob(ObjectId),
}

/// Follows tags to what they stand for; the tags on the way go to `tags`. `None`: it is not here, or not readable.
pub fn peel(store: &ObjectStore, graph: &Graph, mut id: ObjectId, tags: &mut IdTable) -> Option<Peeled> {
    for _ in 0..TAGS {
        if let Some(commit) = graph.find(&id) {
            return Some(Peeled::Commit(commit));
        }
        match store.read(&id).ok().flatten()? {
            (Kind::Tag, data) => {
                tags.insert(id.as_bytes());
                id = commit::tag_target(&data)?.0;
            }
            (Kind::Tree, _) => return Some(Peeled::Tree(id)),
            (Kind::Blob, _) => return Some(Peeled::Blob(id)),
            (Kind::Commit, _) => return None, // the graph has all commits that can be read
        }
    }
    None
}
