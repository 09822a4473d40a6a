//! What one walk decodes, and in which order.
//!
//! Contract: a node is in the plan if it is wanted or something wanted is built from it. Children stand lightest first:
//! whoever goes down into the last one last, after giving up the base, holds at most log2(nodes) bases at once.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::forest::{Forest, LOST, NONE, UNKNOWN, code};
use super::store::ObjectStore;
use super::walk::{Kind, Kinds};
use crate::model::ObjectId;
use crate::per_thread::SHARE;

/// The caller asked for it.
const WANTED: u8 = 1;
/// It is decoded.
const NEEDED: u8 = 2;
/// Trees of at least this many nodes may count as big.
const BIG_NODES: u32 = 32;
/// Trees that make about this many bytes count as big, by the compressed size of their roots, which is known without reading them.
const BIG_BYTES: u64 = 1 << 20;

/// Which nodes are decoded, with their children.
#[derive(Debug)]
pub struct Plan {
    flags: Vec<u8>,
    /// Where the children of each node start in `children`.
    starts: Vec<u32>,
    children: Vec<u32>,
    /// How many nodes are built from each, itself included.
    weight: Vec<u32>,
    /// Nodes without a base: big trees first, then in pack order.
    pub roots: Vec<u32>,
}

impl Plan {
    /// Plans a walk over the objects of some kinds for which `want` holds.
    pub fn new(
        store: &ObjectStore,
        forest: &Forest,
        kinds: Kinds,
        want: Option<&(dyn Fn(&ObjectId) -> bool + Sync)>,
    ) -> Self {
        let wanted = |node: u32| {
            let kind = forest.kind(node);
            let right = matches!(kind, UNKNOWN | LOST)
                || [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag].iter().any(|k| code(*k) == kind && kinds.has(*k));
            let asked = || want.is_none_or(|want| forest.id(store, node).is_some_and(|id| want(&id)));
            if right && asked() { WANTED } else { 0 }
        };
        let flags = (0..forest.nodes()).into_par_iter().with_max_len(SHARE).map(wanted).collect();
        let mut plan = Self { flags, starts: Vec::new(), children: Vec::new(), weight: Vec::new(), roots: Vec::new() };
        plan.need(forest);
        plan.link(forest);
        plan.sort();
        plan
    }

    /// Marks what is wanted and what that is built from, and counts the children of each node: `starts` has the end of each list.
    fn need(&mut self, forest: &Forest) {
        self.starts = vec![0; forest.nodes() as usize + 1];
        for node in 0..forest.nodes() {
            let mut at = if self.is_wanted(node) && !forest.is_duplicate(node) { node } else { NONE };
            while at != NONE && !self.is_needed(at) {
                self.flags[at as usize] |= NEEDED;
                at = forest.base(at);
                if at != NONE {
                    self.starts[at as usize] += 1;
                }
            }
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
    }

    /// Lists the children of each node and counts the nodes built from it. Lists the roots: big trees first, so that they do not keep
    /// one thread busy at the end.
    fn link(&mut self, forest: &Forest) {
        self.children = vec![NONE; self.starts.last().map_or(0, |sum| *sum as usize)];
        self.weight = vec![0; forest.nodes() as usize];
        let (mut big, mut small) = (Vec::new(), Vec::new());
        forest.bases_last(|node| {
            if !self.is_needed(node) {
                return;
            }
            let weight = self.weight[node as usize] + 1;
            self.weight[node as usize] = weight;
            let base = forest.base(node) as usize;
            if let Some(start) = self.starts.get_mut(base) {
                *start -= 1;
                self.children[*start as usize] = node;
                self.weight[base] += weight;
                return;
            }
            let packed = || forest.entry(node).map_or(0, |(_, start, end, _)| end.saturating_sub(start));
            let bytes = if weight < BIG_NODES { 0 } else { u64::from(weight).saturating_mul(packed()) };
            if bytes < BIG_BYTES { small.push(node) } else { big.push((Reverse(bytes), node)) }
        });
        big.sort_unstable();
        small.sort_unstable();
        self.roots = big.into_iter().map(|(_, node)| node).chain(small).collect();
    }

    /// Puts the heaviest child of each node last.
    fn sort(&mut self) {
        for bounds in self.starts.windows(2) {
            if bounds[1] - bounds[0] > 1 {
                let children = &mut self.children[bounds[0] as usize..bounds[1] as usize];
                children.sort_unstable_by_key(|child| (self.weight[*child as usize], *child));
            }
        }
    }

    fn is_needed(&self, node: u32) -> bool {
        self.flags[node as usize] & NEEDED != 0
    }

    /// Whether the caller asked for this node.
    pub fn is_wanted(&self, node: u32) -> bool {
        self.flags[node as usize] & WANTED != 0
    }

    /// How many nodes are built from this one, itself included.
    pub fn weight(&self, node: u32) -> u32 {
        self.weight[node as usize]
    }

    /// Where the children of a node stand, for [`Plan::child`].
    pub fn children(&self, node: u32) -> std::ops::Range<u32> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    /// A child.
    pub fn child(&self, at: u32) -> u32 {
        self.children[at as usize]
    }
}
