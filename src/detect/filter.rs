//! Where a literal may stand: what the search for anchors asks before it compares anything.
//!
//! Each literal is looked for by four of its bytes. At every second position of a text, two pairs of bytes that follow each other
//! are looked up: a literal whose four bytes begin there is known by both, one whose four bytes begin one further on by the byte
//! before them (any, if it is not part of the literal) and the first three. The pairs of a literal are those of one of 32
//! *buckets*; where no bucket has both pairs, nothing can stand. That look has no branch, and its table of 32 KiB fits the
//! first-level cache. What is left, about one position in twenty, is held against a bitmap of the four bytes (16 KiB).
//!
//! Contract: never no wrongly, for any alignment, at the ends of a text too.

use std::ops::Range;

use super::rare::{CLASSES, Known, class};

/// The first look and the second.
#[derive(Debug)]
pub(super) struct Filter {
    /// By pair of classes: the buckets that have it as a first pair, and above them those that have it as a second.
    pairs: Box<[u64; PAIRS]>,
    /// Four bytes, hashed, with case folded roughly: two bits of a word, since one would be set by chance too often.
    fours: Box<[u64; WORDS]>,
}

const PAIRS: usize = CLASSES * CLASSES;
const BUCKETS: u32 = 32;
const WORDS: usize = 1 << 11;

/// A byte of a literal by its class, or any byte.
type Class = Option<usize>;
type Pair = (Class, Class);

/// The classes of the four pairs of bytes in a word, each in two bytes: see [`class`].
#[inline(always)]
fn pairs(word: u64) -> u64 {
    let classes = word >> 1 & (0x20 * ONES) | word & (0x1f * ONES);
    classes & 0x003f_003f_003f_003f | classes >> 2 & 0x0fc0_0fc0_0fc0_0fc0
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight bytes of a text; behind its end there are zeros.
#[inline(always)]
fn eight(text: &[u8], at: usize) -> u64 {
    match text.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => last(text, at),
    }
}

#[cold]
fn last(text: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.iter_mut().zip(text.get(at..).unwrap_or_default()).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(eight)
}

impl Filter {
    /// For literals in lower case, each with the place of the four bytes it is looked for by.
    pub(super) fn new<'a>(literals: impl Iterator<Item = (&'a [u8], usize)> + Clone, known: &Known) -> Self {
        Self { pairs: buckets(literals.clone(), known), fours: fours(literals) }
    }

    /// Calls `seen` for every position in `range` where a literal's four bytes may begin, and some others, with the four bytes that
    /// are there; nearly in order.
    #[inline(always)]
    pub(super) fn each(&self, text: &[u8], range: Range<usize>, mut seen: impl FnMut(usize, u32)) {
        let mut at = range.start;
        // What is known of the pair before the word.
        let mut before = 0;
        // The last position is told by the pair behind it.
        while at < range.end + 2 {
            let (from, mut maybe, mut bits) = (at, 0u64, 0);
            while bits < u64::BITS && at < range.end + 2 {
                let pairs = pairs(eight(text, at));
                let of = |i: u32| self.pairs[(pairs >> (16 * i)) as usize % PAIRS];
                let (a, b, c, d) = (of(0), of(1), of(2), of(3));
                let both = |first: u64, second: u64| u64::from(first as u32 & (second >> BUCKETS) as u32 != 0);
                maybe |= (both(before, a) | both(a, b) << 1 | both(b, c) << 2 | both(c, d) << 3) << bits;
                before = d;
                bits += 4;
                at += 8;
            }
            while maybe != 0 {
                // Never below the start: there is no pair before the first.
                let here = (from + 2 * maybe.trailing_zeros() as usize).saturating_sub(2);
                maybe &= maybe - 1;
                let word = eight(text, here);
                for (at, four) in [(here, word as u32), (here + 1, (word >> 8) as u32)] {
                    if self.may_be(four) {
                        seen(at, four);
                    }
                }
            }
        }
    }

    /// Whether a literal may have these four bytes, whatever their case.
    #[inline(always)]
    fn may_be(&self, four: u32) -> bool {
        let (word, bits) = slot(four);
        let word = self.fours[word];
        word >> (bits & 63) & word >> (bits >> 6 & 63) & 1 != 0
    }
}

/// A word, and two bits in it.
#[inline(always)]
fn slot(four: u32) -> (usize, u32) {
    // The best of eight factors that were tried: by it the fewest common groups of bytes hash like those of literals.
    let hash = (four | 0x2020_2020).wrapping_mul(0xc2b2_ae35);
    ((hash >> 21) as usize % WORDS, hash >> 8)
}

fn fours<'a>(literals: impl Iterator<Item = (&'a [u8], usize)>) -> Box<[u64; WORDS]> {
    let mut words = Box::new([0; WORDS]);
    let mut insert = |four: u32| {
        let (word, bits) = slot(four);
        words[word] |= 1 << (bits & 63) | 1 << (bits >> 6 & 63);
    };
    let mut any = false;
    for (literal, back) in literals {
        match literal.get(back..).unwrap_or_default() {
            [a, b, c, d, ..] => insert(u32::from_le_bytes([*a, *b, *c, *d])),
            // Whatever follows a literal of three bytes.
            [a, b, c] => (0..=255).for_each(|d| insert(u32::from_le_bytes([*a, *b, *c, d]))),
            _ => any = true,
        }
    }
    if any {
        words.fill(u64::MAX);
    }
    words
}

/// Spreads literals over buckets so that few positions of common text pass by chance: those with the same first pair go together,
/// the most common ones first, each to where it adds least.
fn buckets<'a>(literals: impl Iterator<Item = (&'a [u8], usize)>, known: &Known) -> Box<[u64; PAIRS]> {
    let mut patterns: Vec<(Pair, Pair)> = Vec::new();
    for (literal, back) in literals {
        for odd in 0..2 {
            let at = |i: usize| (back + i).checked_sub(odd).and_then(|i| literal.get(i)).map(|b| class(*b));
            patterns.push(((at(0), at(1)), (at(2), at(3))));
        }
    }
    patterns.sort_unstable();
    let common: Vec<f32> = (0..PAIRS).map(|pair| known.pair(pair % CLASSES, pair / CLASSES)).collect();
    let sum = |pairs: &[u16]| pairs.iter().map(|pair| common[usize::from(*pair)]).sum::<f32>();
    let group = |same: &[(Pair, Pair)]| {
        let first: Vec<u16> = same.first().into_iter().flat_map(|(first, _)| all(*first)).collect();
        let mut second: Vec<u16> = same.iter().flat_map(|(_, second)| all(*second)).collect();
        second.sort_unstable();
        second.dedup();
        (sum(&first) * sum(&second), first, second)
    };
    let mut groups: Vec<(f32, Vec<u16>, Vec<u16>)> = patterns.chunk_by(|a, b| a.0 == b.0).map(group).collect();
    groups.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut table = Box::new([0u64; PAIRS]);
    // How common the first pairs of each bucket are, and its second ones.
    let mut buckets = [(0f32, 0f32); BUCKETS as usize];
    for (_, first, second) in groups {
        // How common they would be with these.
        let with = |bucket: u32| {
            let more = |pairs: &[u16], bit: u32| -> f32 {
                let new = pairs.iter().map(|pair| usize::from(*pair)).filter(|pair| table[*pair] >> bit & 1 == 0);
                new.map(|pair| common[pair]).sum()
            };
            let (firsts, seconds) = buckets[bucket as usize];
            (firsts + more(&first, bucket), seconds + more(&second, bucket + BUCKETS))
        };
        let costs = (0..BUCKETS).map(|bucket| {
            let (old, new) = (buckets[bucket as usize], with(bucket));
            (bucket, new, new.0 * new.1 - old.0 * old.1)
        });
        if let Some((bucket, new, _)) = costs.min_by(|a, b| a.2.total_cmp(&b.2)) {
            buckets[bucket as usize] = new;
            first.iter().for_each(|pair| table[usize::from(*pair)] |= 1 << bucket);
            second.iter().for_each(|pair| table[usize::from(*pair)] |= 1 << (bucket + BUCKETS));
        }
    }
    table
}

/// The pairs of classes that a pair stands for.
fn all((first, second): Pair) -> impl Iterator<Item = u16> {
    let each = |class: Class| class.map_or(0..CLASSES, |class| class..class + 1);
    each(second).flat_map(move |second| each(first).map(move |first| (second * CLASSES + first) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_of_a_word_are_those_of_its_bytes() {
        for byte in 0..=255u8 {
            let bytes = [byte, b'a', b'/', byte, b'Z', b'9', byte, byte];
            let halves = pairs(u64::from_le_bytes(bytes));
            for i in 0..4 {
                let pair = class(bytes[2 * i]) + CLASSES * class(bytes[2 * i + 1]);
                assert_eq!((halves >> (16 * i)) & 0xffff, pair as u64, "{byte:#x} {i}");
            }
        }
    }

    proptest! {
        /// Literals of any length and place of their four bytes, at any alignment, up to both ends of a text.
        #[test]
        fn never_no_wrongly(
            literals in prop::collection::vec(("[a-z0-9_.:\\x00\u{e9}-]{1,12}", any::<prop::sample::Index>()), 1..8),
            before in prop::collection::vec(any::<u8>(), 0..40),
            after in prop::collection::vec(any::<u8>(), 0..40),
            start in any::<prop::sample::Index>(),
            upper in any::<bool>(),
        ) {
            let place = |literal: &[u8], at: prop::sample::Index| at.index(literal.len().saturating_sub(3).max(1));
            let all: Vec<(&[u8], usize)> =
                literals.iter().map(|(text, at)| (text.as_bytes(), place(text.as_bytes(), *at))).collect();
            let filter = Filter::new(all.iter().copied(), &Known::new());
            for (literal, back) in all {
                let literal = if upper { literal.to_ascii_uppercase() } else { literal.to_vec() };
                let text = [before.as_slice(), &literal, &after].concat();
                let (from, here) = (start.index(before.len() + 1), before.len() + back);
                for to in [here + 1, text.len()] {
                    let mut seen = Vec::new();
                    filter.each(&text, from..to, |at, four| seen.push((at, four)));
                    let four = eight(&text, here) as u32;
                    prop_assert_eq!(seen.iter().filter(|(at, _)| *at == here).collect::<Vec<_>>(), [&(here, four)]);
                }
            }
        }
    }
}
