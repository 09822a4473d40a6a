//! From text to hits: anchors, matches, decoded texts inside, then pairing and positions.
//!
//! Contract: [`Scanner::scan`] (everything), and [`Scanner::root`] / [`Scanner::delta`] / [`Scanner::finish`] (a text known as a
//! change of another) give the same hits for the same bytes. A property test holds them to it.

pub mod anchors;
pub mod candidate;
pub mod comments;
pub mod decode;
pub mod delta;
pub mod escapes;
mod filter;
pub mod finish;
mod mask;
pub mod noise;
mod rare;
mod run;
pub mod structure;
mod table;
pub mod text;

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Confidence, Hit};
use crate::rules::SharedCatalog;
use anchors::{Anchor, Anchors};
use candidate::{Match, Scratch};
use text::TextKind;

/// How deep encodings may nest.
const MAX_LAYERS: usize = 4;

/// Finds credentials in bytes. Built once, shared by all threads.
#[derive(Debug)]
pub struct Scanner {
    catalog: SharedCatalog,
    anchors: Anchors,
    least: Confidence,
}

/// What was found in a text, before pairing: what a delta inherits from its base.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    kind: Option<TextKind>,
    len: usize,
    /// Every literal seen, by position.
    anchors: Vec<Anchor>,
    /// Every match, in the order of its anchors.
    matches: Vec<Match>,
    /// What decoded blocks hold, by position.
    decoded: Vec<Inner>,
}

/// Hits inside one encoded run.
#[derive(Clone, Debug, PartialEq)]
pub struct Inner {
    start: u32,
    end: u32,
    hits: Arc<[Hit]>,
}

/// What [`Scanner::scan`] could not do in full.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cuts(pub Vec<&'static str>);

/// Longest text that is scanned in one go: offsets are 32 bits wide.
pub const MAX_TEXT: usize = u32::MAX as usize - (1 << 20);

impl Scanner {
    /// For a catalog; hits below `least` are not returned.
    pub fn new(catalog: SharedCatalog, least: Confidence) -> Self {
        let anchors = Anchors::new(&catalog);
        Self { catalog, anchors, least }
    }

    /// The rules in use.
    pub fn catalog(&self) -> &SharedCatalog {
        &self.catalog
    }

    /// Every hit in a text. Positions count from the start of `text`. Texts over [`MAX_TEXT`] are cut there.
    pub fn scan(&self, text: &[u8], scratch: &mut Scratch, cuts: &mut Cuts) -> Vec<Hit> {
        let text = &text[..text.len().min(MAX_TEXT)];
        let state = self.root(text, scratch, cuts);
        self.finish(text, &state)
    }

    /// Looks at a whole text.
    pub fn root(&self, text: &[u8], scratch: &mut Scratch, cuts: &mut Cuts) -> State {
        self.whole(text, 0, scratch, cuts)
    }

    fn whole(&self, text: &[u8], depth: usize, scratch: &mut Scratch, cuts: &mut Cuts) -> State {
        let kind = text::kind(text);
        let mut state = State { kind: Some(kind), len: text.len(), ..State::default() };
        if let TextKind::Utf16Le | TextKind::Utf16Be = kind {
            self.utf16(text, kind, depth, &mut state, scratch, cuts);
            return state;
        }
        let binary = kind == TextKind::Binary;
        self.anchors.find(text, 0..text.len(), text.len(), |anchor| state.anchors.push(anchor));
        state.anchors.sort_unstable();
        for anchor in &state.anchors {
            candidate::evaluate(&self.catalog, &self.anchors, text, binary, *anchor, scratch, &mut state.matches);
        }
        if !binary {
            self.decode(text, 0..text.len(), depth, &mut state.decoded, scratch, cuts);
            state.decoded.sort_by_key(|d| (d.start, d.end));
        }
        state
    }

    /// UTF-16 is one run that covers the text; its hits are given positions by line.
    fn utf16(
        &self,
        text: &[u8],
        kind: TextKind,
        depth: usize,
        state: &mut State,
        scratch: &mut Scratch,
        cuts: &mut Cuts,
    ) {
        let plain = text::from_utf16(text, kind == TextKind::Utf16Be);
        let inner = self.whole(&plain, depth, scratch, cuts);
        let layer = if kind == TextKind::Utf16Be { "utf-16be" } else { "utf-16le" };
        let mut hits = self.finish(&plain, &inner);
        hits.iter_mut().for_each(|h| h.encoding.insert(0, layer));
        if !hits.is_empty() {
            state.decoded.push(Inner { start: 0, end: text.len() as u32, hits: hits.into() });
        }
    }

    /// Decodes blocks and looks inside.
    fn decode(
        &self,
        text: &[u8],
        blocks: Range<usize>,
        depth: usize,
        out: &mut Vec<Inner>,
        scratch: &mut Scratch,
        cuts: &mut Cuts,
    ) {
        if depth >= MAX_LAYERS {
            return;
        }
        let mut cut_here = Vec::new();
        let mut found = |decoded: decode::Decoded| {
            let inner = self.whole(&decoded.bytes, depth + 1, scratch, cuts);
            let mut hits = self.finish(&decoded.bytes, &inner);
            if hits.is_empty() {
                return;
            }
            for hit in &mut hits {
                let layers = decoded.layers.iter().copied().chain(hit.encoding.iter().copied());
                hit.encoding = layers.collect();
            }
            out.push(Inner { start: decoded.range.start as u32, end: decoded.range.end as u32, hits: hits.into() });
        };
        decode::each(text, blocks, &mut found, &mut |what| cut_here.push(what));
        cuts.0.extend(cut_here);
    }
}
