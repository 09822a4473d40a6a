//! Sets of small numbers (credentials), each stored once and named by a number of its own, so that equal sets are equal
//! numbers and the union of known sets is looked up, not computed.

use std::collections::HashMap;
use std::sync::Arc;

use super::ids::QuickState;

/// Number of a set in [`Sets`].
pub type SetNumber = u32;
/// The empty set.
pub const EMPTY: SetNumber = 0;

/// 64 neighbouring members: the block's number and a bit for each.
type Block = (u32, u64);

/// All sets.
#[derive(Debug)]
pub struct Sets {
    sets: Vec<Arc<[Block]>>,
    numbers: HashMap<Arc<[Block]>, SetNumber, QuickState>,
    unions: HashMap<Box<[SetNumber]>, SetNumber, QuickState>,
}

impl Default for Sets {
    fn default() -> Self {
        let mut out = Self { sets: Vec::new(), numbers: HashMap::default(), unions: HashMap::default() };
        out.intern(Vec::new());
        out
    }
}

impl Sets {
    fn intern(&mut self, blocks: Vec<Block>) -> SetNumber {
        let blocks: Arc<[Block]> = blocks.into();
        if let Some(number) = self.numbers.get(&blocks) {
            return *number;
        }
        let number = self.sets.len() as SetNumber;
        self.sets.push(Arc::clone(&blocks));
        self.numbers.insert(blocks, number);
        number
    }

    /// The set with these members.
    pub fn of(&mut self, members: impl IntoIterator<Item = u32>) -> SetNumber {
        let mut blocks: Vec<Block> = Vec::new();
        for member in members {
            let (block, bit) = (member / 64, 1 << (member % 64));
            match blocks.binary_search_by_key(&block, |b| b.0) {
                Ok(at) => blocks[at].1 |= bit,
                Err(at) => blocks.insert(at, (block, bit)),
            }
        }
        self.intern(blocks)
    }

    /// The union of sets; the list is put in order on the way.
    pub fn union(&mut self, parts: &mut Vec<SetNumber>) -> SetNumber {
        if let [only] = parts.as_slice() {
            return *only;
        }
        parts.sort_unstable();
        parts.dedup();
        if parts.first() == Some(&EMPTY) {
            parts.remove(0);
        }
        match parts.as_slice() {
            [] => EMPTY,
            [one] => *one,
            many => {
                if let Some(number) = self.unions.get(many) {
                    return *number;
                }
                let mut blocks: Vec<Block> = many.iter().flat_map(|n| self.sets[*n as usize].iter().copied()).collect();
                blocks.sort_unstable_by_key(|b| b.0);
                blocks.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.1 |= next.1;
                    }
                    same
                });
                let key: Box<[SetNumber]> = many.into();
                let number = self.intern(blocks);
                self.unions.insert(key, number);
                number
            }
        }
    }

    /// The members of a set, ascending.
    pub fn members(&self, set: SetNumber) -> impl Iterator<Item = u32> {
        self.sets[set as usize].iter().flat_map(|(block, bits)| bits_of(*block, *bits))
    }

    /// The members of `set` that are not in `other`, ascending.
    pub fn without(&self, set: SetNumber, other: SetNumber) -> impl Iterator<Item = u32> {
        let other = &self.sets[other as usize];
        self.sets[set as usize].iter().flat_map(move |(block, bits)| {
            let gone = other.binary_search_by_key(block, |b| b.0).map_or(0, |at| other[at].1);
            bits_of(*block, bits & !gone)
        })
    }

    /// Whether a set has a member.
    pub fn contains(&self, set: SetNumber, member: u32) -> bool {
        let blocks = &self.sets[set as usize];
        blocks.binary_search_by_key(&(member / 64), |b| b.0).is_ok_and(|at| blocks[at].1 >> (member % 64) & 1 == 1)
    }
}

fn bits_of(block: u32, mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (bit < 64).then(|| block * 64 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn sets_behave_like_sets(lists in prop::collection::vec(prop::collection::vec(0u32..300, 0..20), 2..6)) {
            let mut sets = Sets::default();
            let plain: Vec<BTreeSet<u32>> = lists.iter().map(|l| l.iter().copied().collect()).collect();
            let numbers: Vec<SetNumber> = lists.iter().map(|l| sets.of(l.iter().copied())).collect();
            let all = sets.union(&mut numbers.clone());
            let expected: BTreeSet<u32> = plain.iter().flatten().copied().collect();
            prop_assert_eq!(sets.members(all).collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(sets.of(expected.iter().copied()), all);
            prop_assert_eq!(sets.union(&mut numbers.iter().rev().copied().collect()), all);
            let gone: Vec<u32> = plain[0].difference(&plain[1]).copied().collect();
            prop_assert_eq!(sets.without(numbers[0], numbers[1]).collect::<Vec<_>>(), gone);
            for member in 0..300 {
                prop_assert_eq!(sets.contains(numbers[0], member), plain[0].contains(&member));
            }
        }
    }

    #[test]
    fn nothing_is_the_empty_set() {
        let mut sets = Sets::default();
        assert_eq!(sets.of([]), EMPTY);
        assert_eq!(sets.union(&mut vec![EMPTY, EMPTY]), EMPTY);
    }
}
