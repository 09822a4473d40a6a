//! Reads the entries of tree objects, whole or as the difference to a tree that was read before.
//!
//! Contract: any bytes are accepted; reading stops at the first damaged entry and says so.

use super::walk::Segment;

/// An entry as a tree has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// File type and permissions.
    pub mode: u32,
    /// Its name, any bytes but NUL.
    pub name: &'a [u8],
    /// The raw id of what it leads to.
    pub id: &'a [u8],
    /// Where it begins in the tree.
    pub at: usize,
}

impl RawEntry<'_> {
    /// It leads to a subtree.
    pub fn is_tree(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// It leads to a commit of another repository (a submodule), not to an object of this one.
    pub fn is_module(&self) -> bool {
        self.mode & 0o170_000 == 0o160_000
    }
}

/// Reads the entry at `at`, and where it ends.
pub fn entry(data: &[u8], at: usize, width: usize) -> Option<(RawEntry<'_>, usize)> {
    let rest = data.get(at..)?;
    let mut mode = 0u32;
    let mut blank = 0;
    loop {
        match rest.get(blank)? {
            b' ' if blank > 0 => break,
            c @ b'0'..=b'7' if blank < 11 => mode = mode.checked_mul(8)? + u32::from(c - b'0'),
            _ => return None,
        }
        blank += 1;
    }
    let nul = blank + 1 + memchr::memchr(0, &rest[blank + 1..])?;
    let id = rest.get(nul + 1..nul + 1 + width)?;
    Some((RawEntry { mode, name: &rest[blank + 1..nul], id, at }, at + nul + 1 + width))
}

/// All entries of a tree; the last item is `None` if the tree is damaged there.
pub fn entries(data: &[u8], width: usize) -> impl Iterator<Item = Option<RawEntry<'_>>> {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let here = at.filter(|at| *at < data.len())?;
        let read = entry(data, here, width);
        at = read.map(|(_, end)| end);
        Some(read.map(|(entry, _)| entry))
    })
}

/// What a tree leaves to its deltas: where its entries begin, and those of them that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// Where entries begin, and where the last one ends. Empty if nothing was kept.
    pub bounds: Vec<u32>,
    /// Entries that matter, each with where it begins.
    pub items: Vec<(u32, T)>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { bounds: Vec::new(), items: Vec::new() }
    }
}

/// Reads trees of less than 4 GiB; `T` is what is kept of entries that matter.
#[derive(Debug)]
pub struct Reader<'a, T, F: FnMut(RawEntry<'_>, &mut Vec<(u32, T)>)> {
    data: &'a [u8],
    width: usize,
    known: Known<T>,
    /// Called for each entry that is not taken over from the base.
    new: F,
}

impl<'a, T: Copy, F: FnMut(RawEntry<'_>, &mut Vec<(u32, T)>)> Reader<'a, T, F> {
    /// Reads `data`; `new` looks at entries and keeps what matters.
    pub fn new(data: &'a [u8], width: usize, new: F) -> Self {
        Self::reusing(Known::default(), data, width, new)
    }

    /// The same, with the memory of something that was known.
    pub fn reusing(mut known: Known<T>, data: &'a [u8], width: usize, new: F) -> Self {
        known.bounds.clear();
        known.bounds.push(0);
        known.items.clear();
        Self { data, width, known, new }
    }

    /// Reads all entries one by one; what is known of the tree, and whether it could be read to its end.
    pub fn whole(mut self) -> (Known<T>, bool) {
        self.known.bounds.reserve(self.data.len() / (self.width + 16));
        let whole = self.until(0, self.data.len()).is_some();
        (self.known, whole)
    }

    /// Reads a tree that is a delta of another one, whose entries are taken over where they were copied.
    pub fn delta(mut self, base: &Known<T>, segments: &[Segment]) -> (Known<T>, bool) {
        self.known.bounds.reserve(base.bounds.len() + 4);
        self.known.items.reserve(base.items.len() + 4);
        let whole = self.segments(base, segments).is_some();
        (self.known, whole)
    }

    fn one(&mut self, at: usize) -> Option<usize> {
        let (entry, end) = entry(self.data, at, self.width)?;
        (self.new)(entry, &mut self.known.items);
        self.known.bounds.push(u32::try_from(end).ok()?);
        Some(end)
    }

    /// Reads entries from `at` on until one ends at or after `end`.
    fn until(&mut self, mut at: usize, end: usize) -> Option<usize> {
        while at < end {
            at = self.one(at)?;
        }
        Some(at)
    }

    fn segments(&mut self, base: &Known<T>, segments: &[Segment]) -> Option<()> {
        let mut at = 0;
        for segment in segments {
            match *segment {
                Segment::Copy { start, base: from, len } => {
                    let end = start.checked_add(len)?;
                    // An entry that began before this segment may end in it: read on until we stand where one begins.
                    while at < end {
                        at = match self.take_over(base, at, start, from, end) {
                            Some(next) => next,
                            None => self.one(at)?,
                        };
                    }
                }
                Segment::Insert { start, len } => at = self.until(at, start.checked_add(len)?)?,
            }
        }
        self.until(at, self.data.len()).map(drop)
    }

    /// Takes over the base's entries that lie wholly in a copied segment, from `at` on: bytes `start..end` of this tree
    /// are bytes from `from` on of the base. Where the last one ends; `None` if there is none.
    fn take_over(&mut self, base: &Known<T>, at: usize, start: usize, from: usize, end: usize) -> Option<usize> {
        let in_base = |here: usize| u32::try_from(here.checked_sub(start)?.checked_add(from)?).ok();
        let (first, limit) = (in_base(at)?, in_base(end)?);
        let i = base.bounds.binary_search(&first).ok()?;
        let j = base.bounds.partition_point(|b| *b <= limit).checked_sub(1)?;
        if j <= i {
            return None;
        }
        let last = base.bounds[j];
        let here = |there: u32| (there - first) + at as u32;
        self.known.bounds.extend(base.bounds[i + 1..=j].iter().map(|b| here(*b)));
        let below = |limit: u32| base.items.partition_point(|(b, _)| *b < limit);
        self.known.items.extend(base.items[below(first)..below(last)].iter().map(|(b, item)| (here(*b), *item)));
        Some(here(last) as usize)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn tree(names: &[(String, u8)]) -> Vec<u8> {
        names.iter().flat_map(|(n, i)| [b"100644 ", n.as_bytes(), &[0], &[*i; 20]].concat()).collect()
    }

    /// Makes something from random pieces of a base and of a pool of bytes.
    fn apply(base: &[u8], steps: &[(bool, usize, usize)], pool: &[u8]) -> (Vec<u8>, Vec<Segment>) {
        let (mut out, mut segments) = (Vec::new(), Vec::new());
        for (copy, at, len) in steps {
            let source = if *copy { base } else { pool };
            let at = at % (source.len() + 1);
            let len = (*len).min(source.len() - at);
            let start = out.len();
            out.extend_from_slice(&source[at..at + len]);
            segments.push(if *copy { Segment::Copy { start, base: at, len } } else { Segment::Insert { start, len } });
        }
        (out, segments)
    }

    fn keep_some(entry: RawEntry<'_>, items: &mut Vec<(u32, u8)>) {
        if entry.id[0].is_multiple_of(2) {
            items.push((entry.at as u32, entry.id[0]));
        }
    }

    proptest! {
        /// A tree read as a delta equals the same bytes read whole, also where the delta cuts entries anywhere.
        #[test]
        fn deltas_read_like_whole_trees(
            names in prop::collection::vec(("[a-c]{1,3}", 0u8..6), 0..12),
            steps in prop::collection::vec((prop::bool::weighted(0.8), 0usize..400, 0usize..200), 0..8),
        ) {
            let base = tree(&names);
            let (data, segments) = apply(&base, &steps, &tree(&[("new".into(), 1), ("newer".into(), 2)]));
            let known = Reader::new(&base, 20, keep_some).whole().0;
            let by_delta = Reader::new(&data, 20, keep_some).delta(&known, &segments);
            prop_assert_eq!(by_delta, Reader::new(&data, 20, keep_some).whole());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(data in prop::collection::vec(prop_oneof![Just(b' '), Just(0), Just(b'4'), any::<u8>()], 0..200)) {
            let (known, whole) = Reader::new(&data, 20, keep_some).whole();
            prop_assert_eq!(known.bounds.last() == Some(&(data.len() as u32)), whole);
        }
    }

    #[test]
    fn what_was_copied_is_not_read_again() {
        let names: Vec<(String, u8)> = (0..100).map(|i| (format!("f{i}"), i)).collect();
        let base = tree(&names);
        let known = Reader::new(&base, 20, keep_some).whole().0;
        let mut data = base.clone();
        let at = base.len() / 2;
        data[at] ^= 1;
        let rest = base.len() - at - 1;
        let segments = [
            Segment::Copy { start: 0, base: 0, len: at },
            Segment::Insert { start: at, len: 1 },
            Segment::Copy { start: at + 1, base: at + 1, len: rest },
        ];
        let mut read = 0;
        let reader = Reader::new(&data, 20, |entry, items: &mut Vec<(u32, u8)>| {
            read += 1;
            keep_some(entry, items);
        });
        assert!(reader.delta(&known, &segments).1);
        assert_eq!(read, 1);
    }

    #[test]
    fn damage_ends_reading() {
        let good = tree(&[("a".into(), 2), ("b".into(), 4)]);
        for cut in 0..=good.len() {
            let (known, whole) = Reader::new(&good[..cut], 20, keep_some).whole();
            assert_eq!(whole, cut % (good.len() / 2) == 0);
            assert_eq!(known.items.len(), cut / (good.len() / 2));
            assert_eq!(entries(&good[..cut], 20).flatten().count(), known.items.len());
            assert_eq!(entries(&good[..cut], 20).any(|e| e.is_none()), !whole);
        }
        for bad in [
            &b"100644x\0aaaaaaaaaaaaaaaaaaaaaaaaa"[..],
            b" x\0aaaaaaaaaaaaaaaaaaaaaaaaa",
            b"777777777777 x\0aaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(entry(bad, 0, 20).is_none());
        }
    }
}
