//! The least work a reader of a history can do: to inflate every entry once. Measured against it, a walk shows what
//! its deltas, its order and its memory cost.

use rayon::prelude::*;

use super::forest::code;
use super::inflate::{Inflater, SLACK, SLACK_IN, plausible};
use super::store::ObjectStore;
use super::walk::{Kind, Kinds, Walked};
use crate::per_thread::SHARE;

impl ObjectStore {
    /// Inflates the entries of all packed objects of some kinds and throws the bytes away. Deltas are not applied:
    /// the bytes counted are those of entries.
    pub fn inflate_only(&self, kinds: Kinds) -> Walked {
        let Some(forest) = self.forest() else { return Walked::default() };
        let all = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
        let codes: Vec<u8> = all.into_iter().filter(|k| kinds.has(*k)).map(code).collect();
        let desk = || (Inflater::default(), Vec::new());
        let inflate = |(inflater, out): &mut (Inflater, Vec<u8>), node: u32| {
            let (number, offset, end, _) = forest.entry(node).filter(|_| codes.contains(&forest.kind(node)))?;
            let entry = self.packs[number].entry(offset).ok()?;
            let entries = self.packs[number].entries();
            let packed = entries.get(entry.data..(end as usize + SLACK_IN).min(entries.len()))?;
            let size = plausible(entry.size, packed.len() as u64).then_some(entry.size as usize)?;
            out.reserve((size + SLACK).saturating_sub(out.len()));
            inflater.whole(packed, out, size).ok()?;
            Some(entry.size)
        };
        let nodes = (0..forest.nodes()).into_par_iter().with_max_len(SHARE).map_init(desk, inflate);
        let add = |a: Walked, b: Walked| Walked { objects: a.objects + b.objects, bytes: a.bytes + b.bytes };
        nodes.flatten().map(|bytes| Walked { objects: 1, bytes }).reduce(Walked::default, add)
    }
}
