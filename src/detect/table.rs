//! Literals by four of their bytes: what the search for anchors looks up where its filter says "maybe".
//!
//! Contract: [`Table::each`] gives every literal whose chosen bytes these are, and some that are spelt another way.

use super::anchors::Literal;
use super::rare::Known;

/// Sets the bit of case in eight bytes.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// Literals by their rarest four bytes, or by all three if they have no more.
#[derive(Debug)]
pub(super) struct Table {
    /// Where the entries of each hash begin, and where the last end.
    starts: Vec<u16>,
    entries: Vec<Entry>,
    /// Literals of one or two bytes, which no rule has.
    tiny: Vec<Entry>,
}

/// A literal and the bytes it is looked for by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The bytes as a number.
    value: u32,
    /// Bits to set before comparing: those of case, or none.
    fold: u32,
    /// Bits that count.
    keep: u32,
    /// The first eight bytes of the literal with case folded roughly, and which of them there are.
    head: u64,
    mask: u64,
    /// Where in the literal the bytes stand.
    pub(super) back: u16,
    /// Which literal.
    pub(super) literal: u16,
}

impl Entry {
    fn new(literal: &Literal, number: u16, back: usize) -> Self {
        let at = |text: &[u8]| {
            let mut four = [0; 4];
            four.iter_mut().zip(&text[back..]).for_each(|(to, from)| *to = *from);
            u32::from_le_bytes(four)
        };
        let keep = u32::MAX.checked_shr(32 - 8 * literal.folded.len().min(4) as u32).unwrap_or_default();
        let (value, fold) = match literal.exact.as_slice() {
            [only] => (at(only), 0),
            _ => (at(&literal.folded) | 0x2020_2020, 0x2020_2020),
        };
        let mut eight = [0; 8];
        eight.iter_mut().zip(&literal.folded).for_each(|(to, from)| *to = *from);
        let mask = u64::MAX.checked_shr(64 - 8 * literal.folded.len().min(8) as u32).unwrap_or_default();
        let head = (u64::from_le_bytes(eight) | FOLD) & mask;
        Self { value: value & keep, fold, keep, head, mask, back: back as u16, literal: number }
    }

    /// How many bytes count.
    pub(super) fn bytes(&self) -> u32 {
        self.keep.count_ones() / 8
    }

    /// Whether the literal may begin with these eight bytes.
    #[inline(always)]
    pub(super) fn may_begin(&self, eight: [u8; 8]) -> bool {
        (u64::from_le_bytes(eight) | FOLD) & self.mask == self.head
    }

    /// Whether the literal may stand here.
    #[inline(always)]
    fn fits(&self, four: u32) -> bool {
        ((four | self.fold) ^ self.value) & self.keep == 0
    }
}

impl Table {
    const BITS: u32 = 13;

    pub(super) fn new(literals: &[Literal], known: &Known) -> Self {
        let folded: Vec<&[u8]> = literals.iter().map(|literal| literal.folded.as_slice()).collect();
        let places = known.places(&folded).into_iter().enumerate();
        let entries = literals.iter().zip(places).map(|(literal, (i, back))| Entry::new(literal, i as u16, back));
        let (mut entries, tiny): (Vec<Entry>, Vec<Entry>) = entries.partition(|entry| entry.bytes() >= 3);
        entries.sort_by_key(|e| Self::slot(e.value));
        let starts = (0..=1 << Self::BITS).map(|s| entries.partition_point(|e| Self::slot(e.value) < s) as u16);
        Self { starts: starts.collect(), entries, tiny }
    }

    /// By the first three bytes, so that literals with no more are found, too.
    #[inline(always)]
    fn slot(four: u32) -> usize {
        (((four | 0x2020_2020) << 8).wrapping_mul(0x85eb_ca6b) >> (32 - Self::BITS)) as usize
    }

    /// All entries.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.entries.iter().chain(&self.tiny)
    }

    /// Calls `found` for what may stand where these bytes are.
    #[inline(always)]
    pub(super) fn each(&self, four: u32, mut found: impl FnMut(&Entry)) {
        let slot = Self::slot(four);
        let entries = &self.entries[usize::from(self.starts[slot])..usize::from(self.starts[slot + 1])];
        entries.iter().filter(|entry| entry.fits(four)).for_each(&mut found);
        self.tiny.iter().filter(|entry| entry.fits(four)).for_each(found);
    }
}
