//! How common four bytes are in source code and prose, roughly.
//!
//! A search for literals looks for four bytes of each first, and those should be the ones that stand seldom elsewhere: of
//! `mailgun`, `lgun` and not `mail`.

use std::collections::HashSet;

use crate::source::git::ids::QuickState;

/// The commonest groups of four bytes, in lower case, by how common they are: a line has a power of 1/2, which is the share of a text
/// that each group in it makes up, and the groups without anything between them. Counted by `bench/common_fours`.
const COMMON: &str = include_str!("common.txt");

/// Bytes are told apart by so many classes.
pub(super) const CLASSES: usize = 64;

/// A share of pairs that is spread evenly over all: for what is not among the commonest.
const OTHERS: f32 = 0.3;

/// What looking for four more bytes costs, however rare they are, as a share of all.
const ANY: f32 = 1e-6;

/// What a look costs that is taken anyway for another literal, as a part of its cost: for four bytes because there is one literal more
/// to compare, for pairs because their bucket has more of others. Tried on texts: less makes long lists of literals.
const AGAIN: [f32; 3] = [0.5, 0.1, 0.1];

/// What is learnt of [`COMMON`].
pub(super) struct Known {
    /// Groups of four bytes as numbers, sorted, each with its share.
    fours: Vec<(u32, f32)>,
    /// The share of each pair of classes: the row is the first one's.
    pairs: Vec<f32>,
}

impl Known {
    pub(super) fn new() -> Self {
        let mut fours = Vec::new();
        for line in COMMON.lines() {
            let (power, groups) = line.trim_start().split_once(' ').unwrap_or_default();
            let share = power.parse().map_or(0.0, |power: i32| 0.5f32.powi(power));
            fours.extend(groups.as_bytes().as_chunks::<4>().0.iter().map(|four| (number(four), share)));
        }
        fours.sort_unstable_by_key(|(four, _)| *four);
        let mut pairs = vec![0.0; CLASSES * CLASSES];
        for (four, share) in &fours {
            let four = four.to_le_bytes();
            for i in 0..3 {
                pairs[class(four[i]) * CLASSES + class(four[i + 1])] += share;
            }
        }
        let sum: f32 = pairs.iter().sum();
        let even = OTHERS / pairs.len() as f32;
        pairs.iter_mut().for_each(|pair| *pair = *pair / sum * (1.0 - OTHERS) + even);
        Self { fours, pairs }
    }

    /// Where in each literal the four bytes begin that it is looked for by; 0 if it has no more. They are those that cost the search
    /// least, given what it looks for anyway.
    pub(super) fn places(&self, literals: &[&[u8]]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..literals.len()).collect();
        // Those with the least choice first.
        order.sort_by_key(|i| literals[*i].len());
        let mut looks = HashSet::<u64, QuickState>::default();
        let mut places = vec![0; literals.len()];
        for i in order {
            let cost = |at: usize| -> f32 {
                let each = self.looks(literals[i], at).into_iter().zip(AGAIN);
                each.map(|((look, cost), again)| if looks.contains(&look) { cost * again } else { cost }).sum()
            };
            let costs = (0..literals[i].len().saturating_sub(3)).map(|at| (at, cost(at)));
            if let Some((at, _)) = costs.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
                places[i] = at;
                looks.extend(self.looks(literals[i], at).map(|look| look.0));
            }
        }
        places
    }

    /// How common two bytes of these classes are, as a share of all pairs.
    pub(super) fn pair(&self, first: usize, second: usize) -> f32 {
        self.pairs[first * CLASSES + second]
    }

    /// What a search looks at when it looks for four bytes of a literal: these, and the pairs by which the filter knows them at either
    /// alignment. Each by a number of its own, with how often it is seen for nothing.
    fn looks(&self, literal: &[u8], at: usize) -> [(u64, f32); 3] {
        let pair = |i: usize| match literal.get(i..i + 2) {
            Some(&[a, b]) => (class(a) * CLASSES + class(b), self.pair(class(a), class(b))),
            _ => (0, 1.0),
        };
        let four = literal.get(at..at + 4).unwrap_or_default();
        // Any byte, and the first one.
        let edge = || literal.first().map_or((0, 1.0), |b| (CLASSES * CLASSES + class(*b), self.ending(*b)));
        let both = |kind: u64, a: (usize, f32), b: (usize, f32)| (kind << 32 | (a.0 << 16 | b.0) as u64, a.1 * b.1);
        let before = at.checked_sub(1).map_or_else(edge, pair);
        [(number(four).into(), self.share(four) + ANY), both(1, pair(at), pair(at + 2)), both(2, before, pair(at + 1))]
    }

    /// The share of pairs with this second byte.
    fn ending(&self, second: u8) -> f32 {
        (0..CLASSES).map(|first| self.pair(first, class(second))).sum()
    }

    /// The share of four bytes; 0 if they are not among the commonest.
    fn share(&self, four: &[u8]) -> f32 {
        let number = number(four);
        let from = self.fours.partition_point(|(known, _)| *known < number);
        self.fours[from..].iter().take_while(|(known, _)| *known == number).map(|(_, share)| share).sum()
    }
}

/// The class of a byte: case is folded, and control characters and bytes above ASCII share the classes of others.
pub(super) fn class(byte: u8) -> usize {
    usize::from(byte >> 1 & 0x20 | byte & 0x1f)
}

/// Four bytes as a number, with case folded roughly.
fn number(four: &[u8]) -> u32 {
    four.first_chunk().map_or(0, |four| u32::from_le_bytes(*four)) | 0x2020_2020
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_bytes_are_preferred() {
        for (literal, rare) in
            [("mailgun", "lgun"), ("password=x", "rd=x"), ("key", ""), ("abcd", "abcd"), ("http_qj", "p_qj")]
        {
            let at = Known::new().places(&[literal.as_bytes()])[0];
            assert_eq!(literal.get(at..at + 4).unwrap_or_default(), rare, "{literal}");
        }
    }

    #[test]
    fn bytes_that_are_looked_for_anyway_are_preferred() {
        let places = |literals: &[&[u8]]| Known::new().places(literals);
        let literal = b"zqkvwjxz".as_slice();
        let alone = places(&[literal])[0];
        let others = (1..5).map(|at| places(&[literal, &literal[at..at + 4], b"zq"]));
        assert!(others.enumerate().all(|(i, places)| places == [i + 1, 0, 0]), "{alone} alone");
    }
}
