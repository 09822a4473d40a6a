//! One search for the anchors and near-words of all rules, behind a filter that most bytes never pass.
//!
//! Each literal is looked for by its rarest four bytes; where the filter says "maybe", the literals that have these bytes are
//! compared. That is several times faster than feeding every byte to an automaton, which a test holds it against, and is built
//! in a few milliseconds.
//!
//! Contract: every occurrence of every literal is found, overlapping ones too, wherever the text begins or ends, so that
//! what was found in a part of a text stays true when that part is copied into another. Literals are cut to
//! [`CUT`] bytes for the search; rules compare the rest themselves.

use std::collections::BTreeMap;
use std::ops::Range;

use super::filter::Filter;
use super::rare::Known;
use super::table::Table;
use crate::rules::Catalog;

/// Literals are cut to this length: a longer one would widen what has to be looked at again around a change.
pub const CUT: usize = 12;

/// One literal seen in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    /// Where it begins.
    pub at: u32,
    /// Which literal; see [`Anchors::uses`].
    pub literal: u16,
}

/// One rule that wants to look where a literal was seen.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Index of the rule in the catalog.
    pub token: u32,
    /// Which of its anchors or near-words.
    pub index: u16,
    /// A near-word rather than an anchor.
    pub near: bool,
}

/// What is known of one literal.
#[derive(Debug)]
pub struct Literal {
    /// Its bytes, lower-case, at most [`CUT`].
    pub folded: Vec<u8>,
    /// Exact spellings that anchors want; empty if any near-word takes every spelling.
    pub(super) exact: Vec<Vec<u8>>,
    /// The rules behind it.
    pub uses: Vec<Use>,
    /// How far before the literal any of its rules looks, counting context.
    pub before: usize,
    /// How far after the start of the literal any of its rules looks, counting context.
    pub after: usize,
    /// Whether any of its rules looks at binary files.
    pub binary: bool,
    /// Whether no rule looks further than one byte behind the next newline.
    pub line: bool,
}

/// The search and what its literals stand for.
#[derive(Debug)]
pub struct Anchors {
    filter: Filter,
    table: Table,
    literals: Vec<Literal>,
    /// Of each literal, what is needed for every sight of it: kept apart, and small.
    extents: Vec<Extent>,
    longest: usize,
    /// Furthest into a literal that the bytes stand which it is looked for by.
    deepest: usize,
}

/// How far a literal and what its rules look at extend, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Length of the literal.
    pub len: u32,
    /// How far before the literal any of its rules looks, counting context.
    pub before: u32,
    /// How far after the start of the literal any of its rules looks, counting context.
    pub after: u32,
    /// Whether no rule looks further than one byte behind the next newline.
    pub line: bool,
}

impl Anchors {
    /// Gathers the literals of a catalog.
    pub fn new(catalog: &Catalog) -> Self {
        let mut by_text: BTreeMap<Vec<u8>, Literal> = BTreeMap::new();
        for (i, rule) in catalog.tokens.iter().enumerate() {
            let anchors = rule.anchors.iter().enumerate().map(|(k, a)| (k, a, false));
            let words = rule.near.iter().enumerate().map(|(k, w)| (k, w, true));
            for (k, text, near) in anchors.chain(words) {
                let cut = &text[..text.len().min(CUT)];
                let folded = cut.to_ascii_lowercase();
                let literal = by_text.entry(folded.clone()).or_insert_with(|| Literal {
                    folded,
                    exact: Vec::new(),
                    uses: Vec::new(),
                    before: 0,
                    after: 0,
                    binary: false,
                    line: true,
                });
                if !near && !literal.exact.iter().any(|e| e == cut) {
                    literal.exact.push(cut.to_vec());
                }
                literal.uses.push(Use { token: i as u32, index: k as u16, near });
                // One byte of context on either side for `\b`.
                literal.before = literal.before.max(rule.before + 1);
                let reach = if near { text.len() + rule.reach } else { rule.reach.max(text.len()) };
                literal.after = literal.after.max(reach + 1);
                literal.binary |= rule.binary;
                literal.line &= rule.line;
            }
        }
        let mut literals: Vec<Literal> = by_text.into_values().collect();
        for literal in &mut literals {
            if literal.uses.iter().any(|u| u.near) {
                literal.exact.clear();
            }
        }
        let longest = literals.iter().map(|l| l.folded.len()).max().unwrap_or(1);
        let known = Known::new();
        let table = Table::new(&literals, &known);
        let extent = |l: &Literal| Extent {
            len: l.folded.len() as u32,
            before: l.before as u32,
            after: l.after as u32,
            line: l.line,
        };
        let extents = literals.iter().map(extent).collect();
        let deepest = table.all().map(|e| usize::from(e.back)).max().unwrap_or(0);
        let looked_for = table.all().map(|e| (literals[usize::from(e.literal)].folded.as_slice(), usize::from(e.back)));
        let filter = Filter::new(looked_for, &known);
        Self { filter, table, literals, extents, longest, deepest }
    }

    /// What a literal stands for.
    pub fn literal(&self, anchor: Anchor) -> &Literal {
        &self.literals[usize::from(anchor.literal)]
    }

    /// How far a literal and what its rules look at extend.
    pub fn extent(&self, anchor: Anchor) -> Extent {
        self.extents[usize::from(anchor.literal)]
    }

    /// Length of the longest literal as searched.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// How many literals there are.
    pub fn len(&self) -> usize {
        self.literals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty()
    }

    /// Finds every literal that begins in `starts` and ends at `limit` or before, nearly in order of where they begin.
    pub fn find(&self, text: &[u8], starts: Range<usize>, limit: usize, mut found: impl FnMut(Anchor)) {
        let limit = limit.min(text.len());
        let to = starts.end.saturating_add(self.deepest).min(limit);
        self.filter.each(text, starts.start..to, |at, four| self.at(text, at, four, &starts, limit, &mut found));
    }

    /// Every literal that is looked for by the bytes at one position.
    #[inline(never)]
    fn at(
        &self,
        text: &[u8],
        at: usize,
        four: u32,
        starts: &Range<usize>,
        limit: usize,
        found: &mut impl FnMut(Anchor),
    ) {
        self.table.each(four, |entry| {
            let Some(start) = at.checked_sub(usize::from(entry.back)).filter(|start| starts.contains(start)) else {
                return;
            };
            let eight = text.get(start..).and_then(|rest| rest.first_chunk());
            if eight.is_some_and(|eight| !entry.may_begin(*eight)) {
                return;
            }
            let literal = &self.literals[usize::from(entry.literal)];
            let end = start + literal.folded.len();
            let fits = match text.get(start..end).filter(|_| end <= limit) {
                Some(seen) if literal.exact.is_empty() => seen.eq_ignore_ascii_case(&literal.folded),
                Some(seen) => literal.exact.iter().any(|e| e == seen),
                None => false,
            };
            if fits {
                found(Anchor { at: start as u32, literal: entry.literal });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{Selection, load};
    use aho_corasick::automaton::Automaton;
    use aho_corasick::nfa::contiguous::NFA;
    use aho_corasick::{MatchKind, automaton::OverlappingState};
    use proptest::prelude::*;
    use std::sync::OnceLock;

    /// The literals of all rules, and the automaton that says what is right.
    fn both() -> &'static (Anchors, NFA) {
        static BOTH: OnceLock<(Anchors, NFA)> = OnceLock::new();
        BOTH.get_or_init(|| {
            let anchors = Anchors::new(&load(&[] as &[&str], &Selection::default()).unwrap());
            let literals = anchors.literals.iter().map(|l| &l.folded);
            let builder = NFA::builder().match_kind(MatchKind::Standard).ascii_case_insensitive(true).build(literals);
            (anchors, builder.unwrap())
        })
    }

    fn right(text: &[u8], starts: Range<usize>, limit: usize) -> Vec<Anchor> {
        let (anchors, automaton) = both();
        let input = aho_corasick::Input::new(&text[..limit]);
        let mut state = OverlappingState::start();
        let mut all = Vec::new();
        loop {
            automaton.try_find_overlapping(&input, &mut state).unwrap();
            let Some(found) = state.get_match() else { break };
            let literal = &anchors.literals[found.pattern().as_usize()];
            let fits = literal.exact.is_empty() || literal.exact.iter().any(|e| e == &text[found.range()]);
            if fits && starts.contains(&found.start()) {
                all.push(Anchor { at: found.start() as u32, literal: found.pattern().as_u32() as u16 });
            }
        }
        all.sort_unstable();
        all
    }

    /// A literal of a rule in some spelling, or other text.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let literals: Vec<(Vec<u8>, Vec<Vec<u8>>)> =
            both().0.literals.iter().map(|l| (l.folded.clone(), l.exact.clone())).collect();
        let literal = (prop::sample::select(literals), 0..3, any::<prop::sample::Index>(), any::<u16>());
        prop_oneof![
            4 => literal.prop_map(|((folded, exact), how, index, case)| match how {
                0 if !exact.is_empty() => exact[index.index(exact.len())].clone(),
                1 => folded,
                _ => folded
                    .iter()
                    .enumerate()
                    .map(|(i, b)| if case >> (i % 16) & 1 == 1 { b.to_ascii_uppercase() } else { *b })
                    .collect(),
            }),
            1 => prop::collection::vec(any::<u8>(), 0..9),
            1 => "[ -~]{0,9}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn it_finds_what_an_automaton_finds(
            pieces in prop::collection::vec(piece(), 0..12),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
            limit in any::<prop::sample::Index>(),
        ) {
            let text = pieces.concat();
            let place = |i: prop::sample::Index| i.index(text.len() + 1);
            for (from, to, limit) in [(0, text.len(), text.len()), (place(from), place(to), place(limit))] {
                let mut found = Vec::new();
                both().0.find(&text, from..to, limit, |a| found.push(a));
                found.sort_unstable();
                prop_assert_eq!(found, right(&text, from..to, limit));
            }
        }
    }
}
