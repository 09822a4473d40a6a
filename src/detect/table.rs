//! Literals by their first bytes: what the search for anchors looks up where its filter says "maybe".
//!
//! Contract: [`Table::of`] gives every literal that may begin with some bytes, whatever their case, and others.

use super::anchors::Literal;

/// The first eight bytes as a number, zeros if there are fewer, with case folded roughly: fit for a first look only.
pub(super) fn folded_head(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let n = bytes.len().min(8);
    eight[..n].copy_from_slice(&bytes[..n]);
    u64::from_le_bytes(eight) | 0x2020_2020_2020_2020
}

/// Literals by their first four bytes, or three if they have no more.
#[derive(Debug)]
pub(super) struct Table {
    four: Buckets,
    three: Buckets,
    /// Literals of one or two bytes, which no rule has.
    tiny: Vec<Entry>,
}

/// A literal and its first bytes as [`folded_head`] gives them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) head: u64,
    pub(super) mask: u64,
    pub(super) literal: u16,
}

/// Entries by a hash of their first bytes.
#[derive(Debug)]
struct Buckets {
    /// Where the entries of each hash begin, and where the last end.
    starts: Vec<u16>,
    entries: Vec<Entry>,
}

impl Table {
    pub(super) fn new(literals: &[Literal]) -> Self {
        let (mut four, mut three, mut tiny) = (Vec::new(), Vec::new(), Vec::new());
        for (i, literal) in literals.iter().enumerate() {
            let len = literal.folded.len();
            let mask = u64::MAX.checked_shr(64 - 8 * len.min(8) as u32).unwrap_or_default();
            let entry = Entry { head: folded_head(&literal.folded) & mask, mask, literal: i as u16 };
            match len {
                0..=2 => tiny.push(entry),
                3 => three.push(entry),
                _ => four.push(entry),
            }
        }
        Self { four: Buckets::new(four, 4), three: Buckets::new(three, 3), tiny }
    }

    /// What may begin like this, and more.
    #[inline(always)]
    pub(super) fn of(&self, head: u64) -> impl Iterator<Item = &Entry> {
        self.four.of(head, 4).iter().chain(self.three.of(head, 3)).chain(&self.tiny)
    }
}

impl Buckets {
    const BITS: u32 = 12;

    fn new(mut entries: Vec<Entry>, bytes: u32) -> Self {
        entries.sort_by_key(|e| Self::slot(e.head, bytes));
        let starts = (0..=1 << Self::BITS).map(|s| entries.partition_point(|e| Self::slot(e.head, bytes) < s) as u16);
        Self { starts: starts.collect(), entries }
    }

    #[inline(always)]
    fn slot(head: u64, bytes: u32) -> usize {
        let first = head << (64 - 8 * bytes);
        (first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS)) as usize
    }

    #[inline(always)]
    fn of(&self, head: u64, bytes: u32) -> &[Entry] {
        let slot = Self::slot(head, bytes);
        &self.entries[usize::from(self.starts[slot])..usize::from(self.starts[slot + 1])]
    }
}
