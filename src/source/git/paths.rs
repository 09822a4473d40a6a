//! Descends from root trees to the wanted blobs, each tree at each path once.
//!
//! Contract: trees that hold no wanted blob are not entered. Depth, length and number of paths are bounded, because a
//! handful of forged trees can spell more paths than there are atoms; what is cut shows in [`Paths::cut`].

use std::collections::{HashMap, HashSet};

use super::ids::QuickState;
use super::sets::{EMPTY, SetNumber};
use super::trees::{Target, TreeNumber, Trees};
use crate::model::PathBytes;

/// Number of a path in [`Paths`].
pub type PathNumber = u32;
/// The path of a root tree.
pub const ROOT: PathNumber = 0;
/// Git itself refuses deeper trees.
const DEPTH: u16 = 2048;
/// Longest path in bytes.
const LENGTH: u32 = 64 << 10;
/// Most paths; only those that lead to something wanted count.
const COUNT: usize = 1 << 20;
/// Most trees at paths that are entered.
const VISITS: u64 = 32 << 20;
/// Marks a path that is stored whole.
const WHOLE: u32 = 1 << 31;
/// No path yet.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: PathNumber,
    name: u32,
    length: u32,
    depth: u16,
}

/// All paths that were met, as a tree of names.
#[derive(Debug)]
pub struct Paths {
    nodes: Vec<Node>,
    numbers: HashMap<(PathNumber, u32), PathNumber, QuickState>,
    whole: Vec<PathBytes>,
    /// Whether a limit left something out.
    pub cut: bool,
}

impl Default for Paths {
    fn default() -> Self {
        let root = Node { parent: ROOT, name: 0, length: 0, depth: 0 };
        Self { nodes: vec![root], numbers: HashMap::default(), whole: Vec::new(), cut: false }
    }
}

impl Paths {
    /// The path of an entry of a tree at `parent`, unless a limit forbids it.
    fn child(&mut self, parent: PathNumber, name: u32, trees: &Trees) -> Option<PathNumber> {
        if let Some(number) = self.numbers.get(&(parent, name)) {
            return Some(*number);
        }
        let above = *self.nodes.get(parent as usize)?;
        let length = u32::try_from(trees.name(name).len()).unwrap_or(LENGTH).saturating_add(above.length + 1);
        if above.depth >= DEPTH || length > LENGTH || self.nodes.len() >= COUNT {
            self.cut = true;
            return None;
        }
        let number = self.nodes.len() as PathNumber;
        self.nodes.push(Node { parent, name, length, depth: above.depth + 1 });
        self.numbers.insert((parent, name), number);
        Some(number)
    }

    /// A number for a path that is known as a whole.
    pub fn add(&mut self, path: &[u8]) -> PathNumber {
        self.whole.push(path.to_vec());
        (self.whole.len() - 1) as u32 | WHOLE
    }

    /// The bytes of a path, with `/` between components.
    pub fn bytes(&self, path: PathNumber, trees: &Trees) -> PathBytes {
        if path & WHOLE != 0 {
            return self.whole.get((path & !WHOLE) as usize).cloned().unwrap_or_default();
        }
        let mut names = Vec::new();
        let mut at = path;
        while at != ROOT
            && let Some(node) = self.nodes.get(at as usize)
        {
            names.push(trees.name(node.name));
            at = node.parent;
        }
        names.reverse();
        names.join(&b'/')
    }
}

/// Remembers which tree was entered at which path.
#[derive(Debug)]
pub struct Descent<'a> {
    trees: &'a Trees,
    /// What each tree holds.
    sets: &'a [SetNumber],
    /// The first path of each tree; most have only one.
    first: Vec<PathNumber>,
    more: HashSet<(TreeNumber, PathNumber), QuickState>,
    visits: u64,
    todo: Vec<(TreeNumber, PathNumber)>,
}

impl<'a> Descent<'a> {
    /// `sets` tells for each tree what it holds; empty ones are not entered.
    pub fn new(trees: &'a Trees, sets: &'a [SetNumber]) -> Self {
        let first = vec![NONE; trees.bound()];
        Self { trees, sets, first, more: HashSet::default(), visits: 0, todo: Vec::new() }
    }

    /// Whether a tree was entered at some path.
    pub fn entered(&self, tree: TreeNumber) -> bool {
        self.first.get(tree as usize).is_some_and(|p| *p != NONE)
    }

    /// Whether a tree holds something.
    pub fn is_hot(&self, tree: TreeNumber) -> bool {
        self.sets.get(tree as usize).is_some_and(|set| *set != EMPTY)
    }

    /// Calls `found(blob, path)` for each wanted blob below a tree at the root path, except in trees that were entered
    /// at the same path before.
    pub fn descend(&mut self, root: TreeNumber, paths: &mut Paths, mut found: impl FnMut(u32, PathNumber, &mut Paths)) {
        self.todo.push((root, ROOT));
        while let Some((tree, path)) = self.todo.pop() {
            if !self.is_hot(tree) || !self.enter(tree, path) {
                continue;
            }
            if self.visits >= VISITS {
                paths.cut = true;
                self.todo.clear();
                return;
            }
            self.visits += 1;
            for entry in self.trees.entries(tree).unwrap_or_default() {
                match entry.target() {
                    Target::Tree(below) if !self.is_hot(below) => {}
                    target => {
                        let Some(path) = paths.child(path, entry.name, self.trees) else { continue };
                        match target {
                            Target::Tree(below) => self.todo.push((below, path)),
                            Target::Blob(blob) => found(blob, path, paths),
                        }
                    }
                }
            }
        }
    }

    fn enter(&mut self, tree: TreeNumber, path: PathNumber) -> bool {
        let Some(first) = self.first.get_mut(tree as usize) else { return false };
        if *first == NONE {
            *first = path;
            return true;
        }
        *first != path && self.more.insert((tree, path))
    }
}
