//! How common four bytes are in source code and prose, roughly.
//!
//! A search for literals looks for four bytes of each first, and those should be the ones that stand seldom elsewhere: of
//! `mailgun`, `lgun` and not `mail`.

/// The commonest groups of four bytes, in lower case, by how common they are: a line has a power of 1/2, which is the share of a text
/// that each group in it makes up, and the groups without anything between them. Counted by `bench/common_fours`.
const COMMON: &str = include_str!("common.txt");

/// Bytes are told apart by so many classes.
pub(super) const CLASSES: usize = 64;

/// A share of pairs that is spread evenly over all: for what is not among the commonest.
const OTHERS: f32 = 0.3;

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

    /// Where in a literal the four bytes begin that cost the search least; 0 if it has no more.
    pub(super) fn rarest(&self, literal: &[u8]) -> usize {
        let costs = literal.windows(4).enumerate().map(|(at, four)| (at, self.cost(literal, at, four)));
        costs.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at)
    }

    /// How common two bytes of these classes are, as a share of all pairs.
    pub(super) fn pair(&self, first: usize, second: usize) -> f32 {
        self.pairs[first * CLASSES + second]
    }

    /// How often these four bytes of a literal are looked at for nothing: all of them, and the pairs by which the filter knows them at
    /// either alignment.
    fn cost(&self, literal: &[u8], at: usize, four: &[u8]) -> f32 {
        let pair = |i: usize| match literal.get(i..i + 2) {
            Some(&[a, b]) => self.pair(class(a), class(b)),
            _ => 1.0,
        };
        let before = at.checked_sub(1).map_or_else(|| self.ending(four[0]), pair);
        self.share(four) + pair(at) * pair(at + 2) + before * pair(at + 1)
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
            let at = Known::new().rarest(literal.as_bytes());
            assert_eq!(literal.get(at..at + 4).unwrap_or_default(), rare, "{literal}");
        }
    }
}
