//! One automaton over the anchors and near-words of all rules.
//!
//! Contract: every occurrence of every literal is found, overlapping ones too, wherever the text begins or ends, so that
//! what was found in a part of a text stays true when that part is copied into another. Literals are cut to
//! [`CUT`] bytes for the search; rules compare the rest themselves.

use std::collections::BTreeMap;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

use crate::rules::Catalog;

/// Literals are cut to this length: a longer one would widen what has to be looked at again around a change.
pub const CUT: usize = 8;

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
    exact: Vec<Vec<u8>>,
    /// The rules behind it.
    pub uses: Vec<Use>,
    /// How far before the literal any of its rules looks, counting context.
    pub before: usize,
    /// How far after the start of the literal any of its rules looks, counting context.
    pub after: usize,
    /// Whether any of its rules looks at binary files.
    pub binary: bool,
}

/// The automaton and what its literals stand for.
#[derive(Debug)]
pub struct Anchors {
    dfa: Option<DFA>,
    literals: Vec<Literal>,
    longest: usize,
}

impl Anchors {
    /// Builds the automaton of a catalog.
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
            }
        }
        let mut literals: Vec<Literal> = by_text.into_values().collect();
        for literal in &mut literals {
            if literal.uses.iter().any(|u| u.near) {
                literal.exact.clear();
            }
        }
        let longest = literals.iter().map(|l| l.folded.len()).max().unwrap_or(1);
        let dfa = (!literals.is_empty()).then(|| {
            DFA::builder()
                .match_kind(MatchKind::Standard)
                .ascii_case_insensitive(true)
                .start_kind(aho_corasick::StartKind::Unanchored)
                .build(literals.iter().map(|l| &l.folded))
                .expect("a few thousand short literals fit an automaton")
        });
        Self { dfa, literals, longest }
    }

    /// What a literal stands for.
    pub fn literal(&self, anchor: Anchor) -> &Literal {
        &self.literals[usize::from(anchor.literal)]
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

    /// Finds every literal in `text[from..to]`, in order of where they end.
    pub fn find(&self, text: &[u8], from: usize, to: usize, mut found: impl FnMut(Anchor)) {
        let Some(dfa) = &self.dfa else { return };
        let Ok(start) = dfa.start_state(Anchored::No) else { return };
        let mut state = start;
        for (i, &byte) in text[from..to].iter().enumerate() {
            state = dfa.next_state(Anchored::No, state, byte);
            if dfa.is_special(state) && dfa.is_match(state) {
                let end = from + i + 1;
                for k in 0..dfa.match_len(state) {
                    let id = dfa.match_pattern(state, k).as_usize();
                    let literal = &self.literals[id];
                    let at = end - literal.folded.len();
                    if literal.exact.is_empty() || literal.exact.iter().any(|e| e == &text[at..end]) {
                        found(Anchor { at: at as u32, literal: id as u16 });
                    }
                }
            }
        }
    }
}
