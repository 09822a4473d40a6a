//! What one walk decodes, and in which order.
//!
//! Contract: a node is in the plan if it is wanted or something wanted is built from it. Children stand lightest first:
//! whoever goes down into the last one last, after giving up the base, holds at most log2(nodes) bases at once.

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
        let mut flags: Vec<u8> = (0..forest.nodes()).into_par_iter().with_max_len(SHARE).map(wanted).collect();
        for node in 0..forest.nodes() {
            if flags[node as usize] & WANTED != 0 && !forest.is_duplicate(node) {
                let mut at = node;
                while at != NONE && flags[at as usize] & NEEDED == 0 {
                    flags[at as usize] |= NEEDED;
                    at = forest.base(at);
                }
            }
        }
        let mut plan = Self { flags, starts: Vec::new(), children: Vec::new(), weight: Vec::new(), roots: Vec::new() };
        plan.link(forest);
        plan.weigh(forest);
        plan.order(forest);
        plan
    }

    /// Lists the needed children of each node.
    fn link(&mut self, forest: &Forest) {
        let nodes = forest.nodes();
        let mut starts = vec![0u32; nodes as usize + 1];
        for node in (0..nodes).filter(|n| self.is_needed(*n)) {
            let base = forest.base(node);
            if base != NONE {
                starts[base as usize] += 1;
            }
        }
        // First the end of each list, which the filling below turns into its start.
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut children = vec![NONE; sum as usize];
        for node in (0..nodes).rev().filter(|n| self.is_needed(*n)) {
            let base = forest.base(node);
            if base != NONE {
                starts[base as usize] -= 1;
                children[starts[base as usize] as usize] = node;
            }
        }
        (self.starts, self.children) = (starts, children);
    }

    /// Counts the nodes built from each, leaves first, and puts the heaviest child of each last.
    fn weigh(&mut self, forest: &Forest) {
        let nodes = forest.nodes();
        self.weight = vec![0; nodes as usize];
        let mut open: Vec<u32> = self.starts.windows(2).map(|w| w[1] - w[0]).collect();
        for leaf in 0..nodes {
            if !self.is_needed(leaf) || !self.children(leaf).is_empty() {
                continue;
            }
            let mut at = leaf;
            loop {
                self.weight[at as usize] += 1;
                let base = forest.base(at);
                if base == NONE {
                    break;
                }
                self.weight[base as usize] += self.weight[at as usize];
                open[base as usize] -= 1;
                if open[base as usize] > 0 {
                    break;
                }
                at = base;
            }
        }
        for node in 0..nodes as usize {
            let range = self.starts[node] as usize..self.starts[node + 1] as usize;
            if range.len() > 1 {
                self.children[range].sort_by_key(|child| self.weight[*child as usize]);
            }
        }
    }

    /// Lists the roots: big trees first, so that they do not keep one thread busy at the end.
    fn order(&mut self, forest: &Forest) {
        let (mut big, mut small) = (Vec::new(), Vec::new());
        for node in (0..forest.nodes()).filter(|n| self.is_needed(*n) && forest.base(*n) == NONE) {
            let many = Some(self.weight(node)).filter(|weight| *weight >= BIG_NODES);
            let packed = || forest.entry(node).map_or(0, |(_, start, end, _)| end.saturating_sub(start));
            let bytes = many.map(|weight| u64::from(weight).saturating_mul(packed()));
            match bytes.filter(|bytes| *bytes >= BIG_BYTES) {
                Some(bytes) => big.push((bytes, node)),
                None => small.push(node),
            }
        }
        big.sort_by_key(|(bytes, node)| (std::cmp::Reverse(*bytes), *node));
        self.roots = big.into_iter().map(|(_, node)| node).chain(small).collect();
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
