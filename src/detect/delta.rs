//! A text known as a change of another: what lies in copied stretches is inherited, the rest is looked at.
//!
//! Contract: gives the very [`State`] that looking at the whole text gives. It rests on three facts: a literal depends on its
//! own bytes, a match on the window of its literal, a decoded run on its block.

use std::ops::Range;

use super::anchors::Anchor;
use super::candidate::{self, Scratch};
use super::decode;
use super::text::{self, TextKind};
use super::{Cuts, Inner, Scanner, State};
use crate::source::git::walk::Segment;

/// A shorter copy costs more to inherit than to look at; in any case longer than two literals.
const WORTH_COPYING: usize = 64;
const _: () = assert!(WORTH_COPYING >= 2 * super::anchors::CUT);

/// A stretch of the text that equals a stretch of the base.
#[derive(Clone, Copy, Debug)]
struct Copied {
    start: usize,
    end: usize,
    base: usize,
}

impl Copied {
    fn shift(&self) -> i64 {
        self.start as i64 - self.base as i64
    }
}

impl Scanner {
    /// Looks at `text`, which is made of `segments` of a base whose state is known.
    pub fn delta(
        &self,
        text: &[u8],
        base: &State,
        segments: &[Segment],
        scratch: &mut Scratch,
        cuts: &mut Cuts,
    ) -> State {
        let kind = match (segments.first(), base.kind) {
            (Some(Segment::Copy { base: 0, len, .. }), Some(kind)) if *len >= text::HEAD => kind,
            _ => text::kind(text),
        };
        let plain = matches!(kind, TextKind::Text | TextKind::Binary);
        let mut stretches = std::mem::take(&mut scratch.stretches);
        stretches.set(segments, WORTH_COPYING, text.len(), base.len);
        if !plain || base.kind != Some(kind) || stretches.copies.is_empty() {
            scratch.stretches = stretches;
            return self.root(text, scratch, cuts);
        }
        let mut state = State { kind: Some(kind), len: text.len(), ..State::default() };
        self.anchors_of(text, base, &stretches.copies, &stretches.gaps, &mut state);
        self.matches_of(text, base, &stretches.copies, kind == TextKind::Binary, &mut state, scratch);
        if kind == TextKind::Text {
            self.decoded_of(text, base, &mut stretches, &mut state, scratch, cuts);
        }
        scratch.stretches = stretches;
        state
    }

    fn anchors_of(&self, text: &[u8], base: &State, copies: &[Copied], gaps: &[Range<usize>], state: &mut State) {
        state.anchors.reserve(base.anchors.len() + 16);
        let reach = self.anchors.longest() - 1;
        let mut gaps = gaps.iter().peekable();
        // Copies mostly come in the order of the base.
        let mut first = 0;
        let look = |gap: &Range<usize>, out: &mut Vec<Anchor>| {
            let (from, limit) = (gap.start.saturating_sub(reach), (gap.end + reach).min(text.len()));
            let known = out.len();
            self.anchors.find(text, from..gap.end, limit, |anchor| {
                if anchor.at as usize + self.anchors.extent(anchor).len as usize > gap.start {
                    out.push(anchor);
                }
            });
            out[known..].sort_unstable();
        };
        for copy in copies {
            while let Some(gap) = gaps.next_if(|g| g.end <= copy.start) {
                look(gap, &mut state.anchors);
            }
            first = advance(&base.anchors, first, |anchor| (anchor.at as usize) < copy.base);
            let limit = copy.base + (copy.end - copy.start);
            for anchor in &base.anchors[first..] {
                let at = anchor.at as usize;
                if at >= limit {
                    break;
                }
                first += 1;
                if at + reach < limit || at + self.anchors.extent(*anchor).len as usize <= limit {
                    state.anchors.push(Anchor { at: (i64::from(anchor.at) + copy.shift()) as u32, ..*anchor });
                }
            }
        }
        gaps.for_each(|gap| look(gap, &mut state.anchors));
        if !state.anchors.is_sorted() {
            state.anchors.sort_unstable();
        }
    }

    fn matches_of(
        &self,
        text: &[u8],
        base: &State,
        copies: &[Copied],
        binary: bool,
        state: &mut State,
        scratch: &mut Scratch,
    ) {
        let mut next = 0;
        for i in 0..state.anchors.len() {
            let anchor = state.anchors[i];
            let at = anchor.at as usize;
            while next < copies.len() && copies[next].end <= at {
                next += 1;
            }
            let extent = self.anchors.extent(anchor);
            let inherited = copies.get(next).filter(|copy| {
                let left =
                    at >= copy.start + extent.before as usize || copy.start == 0 && copy.base == 0 && at >= copy.start;
                let to_the_end = copy.end == text.len() && copy.base + (copy.end - copy.start) == base.len;
                // The newline, and one byte of context behind it.
                let line = || extent.line && memchr::memchr(b'\n', &text[at..copy.end - 1]).is_some();
                left && (at + extent.after as usize <= copy.end || to_the_end || line())
            });
            let Some(copy) = inherited else {
                candidate::evaluate(&self.catalog, &self.anchors, text, binary, anchor, scratch, &mut state.matches);
                continue;
            };
            if base.matches.is_empty() {
                continue;
            }
            let there = Anchor { at: (i64::from(anchor.at) - copy.shift()) as u32, ..anchor };
            let first = base.matches.partition_point(|m| m.anchor < there);
            let same = base.matches[first..].iter().take_while(|m| m.anchor == there);
            state.matches.extend(same.map(|m| m.shifted(copy.shift())));
        }
    }

    fn decoded_of(
        &self,
        text: &[u8],
        base: &State,
        stretches: &mut Stretches,
        state: &mut State,
        scratch: &mut Scratch,
        cuts: &mut Cuts,
    ) {
        let Stretches { copies, gaps, again } = stretches;
        again.clear();
        for gap in gaps.iter() {
            // Blocks end at the end of a line, and looked at the next one.
            if again.last().is_some_and(|last| gap.end <= last.end) {
                continue;
            }
            let mut new = decode::blocks(text, gap.clone());
            while let Some(last) = again.pop_if(|last| new.start <= last.end) {
                new = last.start.min(new.start)..last.end.max(new.end);
            }
            again.push(new);
        }
        for blocks in again.iter() {
            self.decode(text, blocks.clone(), 0, &mut state.decoded, scratch, cuts);
        }
        for copy in copies.iter().filter(|_| !base.decoded.is_empty()) {
            let limit = copy.base + (copy.end - copy.start);
            let first = base.decoded.partition_point(|d| (d.start as usize) < copy.base);
            for inner in base.decoded[first..].iter().take_while(|d| (d.start as usize) < limit) {
                let move_ = |at: u32| (i64::from(at) + copy.shift()) as u32;
                let (start, end) = (move_(inner.start), move_(inner.end));
                let redone = again.iter().any(|blocks| (start as usize) < blocks.end && blocks.start <= end as usize);
                if inner.end as usize <= limit && !redone {
                    state.decoded.push(Inner { start, end, hits: inner.hits.clone() });
                }
            }
        }
        state.decoded.sort_by_key(|d| (d.start, d.end));
    }
}

/// How many of some sorted items come before a place, given that it was `from` for the place before: seldom far from there.
fn advance<T>(items: &[T], from: usize, before: impl Fn(&T) -> bool) -> usize {
    if from > 0 && !before(&items[from - 1]) {
        return items[..from].partition_point(before);
    }
    let near = items[from..].iter().take(NEAR).take_while(|item| before(item)).count();
    let from = from + near;
    if near < NEAR { from } else { from + items[from..].partition_point(before) }
}

/// So many items are looked at one by one before the search takes larger steps.
const NEAR: usize = 8;

/// What a text is made of, for the search: kept from one text to the next for its memory.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    /// Copies long enough that something can be inherited.
    copies: Vec<Copied>,
    /// What the copies do not cover; a seam between two copies is an empty range.
    gaps: Vec<Range<usize>>,
    /// What has to be decoded again.
    again: Vec<Range<usize>>,
}

impl Stretches {
    /// Copies of at least `least` bytes, and what is between them.
    fn set(&mut self, segments: &[Segment], least: usize, len: usize, base_len: usize) {
        let Self { copies, gaps, .. } = self;
        copies.clear();
        copies.extend(segments.iter().filter_map(|s| match *s {
            Segment::Copy { start, base, len } if len >= least => Some(Copied { start, end: start + len, base }),
            _ => None,
        }));
        gaps.clear();
        let mut at = 0;
        for copy in copies.iter() {
            // The edges of the base are seams, too: what was the start of a line or word there need not be one here.
            if copy.start > 0 || copy.base > 0 {
                gaps.push(at..copy.start);
            }
            at = copy.end;
        }
        let both_end = copies.last().is_some_and(|c| c.end == len && c.base + (c.end - c.start) == base_len);
        if !both_end {
            gaps.push(at..len);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::detect::structure::{STANDARD, URL_SAFE};
    use crate::model::Confidence;
    use crate::rules::check::decent;
    use crate::rules::{Catalog, Selection};
    use base64::Engine;
    use proptest::prelude::*;
    use std::sync::{Arc, OnceLock};

    const RULES: &str = r#"
[issuer]
id = "t"
name = "T"
[[token]]
id = "anchored"
name = "a"
bound_to = "none"
anchors = ["tok_"]
regex = '\b(?<secret>tok_[0-9A-Za-z]{20})\b'
[[token]]
id = "inside"
name = "i"
bound_to = "none"
anchors = ["MARK"]
before = 12
regex = '\b(?<secret>[0-9a-z]{10,12}MARK[0-9a-z]{10})\b'
[[token]]
id = "word"
name = "w"
bound_to = "none"
near = ["acme_key"]
regex = '''['"\s=:](?<secret>[0-9a-f]{32})\b'''
[[token]]
id = "id"
name = "id"
bound_to = "none"
anchors = ["ACID"]
regex = '\bACID[0-9]{8}\b'
part = true
alone = "low"
[[token]]
id = "block"
name = "b"
bound_to = "none"
anchors = ["<<KEY"]
regex = '<<KEY(?<secret>[\sA-Za-z0-9]{40,400})KEY>>'
"#;

    fn scanner() -> &'static Scanner {
        static SCANNER: OnceLock<Scanner> = OnceLock::new();
        SCANNER.get_or_init(|| {
            let parsed = crate::rules::parse("t.toml", RULES).unwrap();
            Scanner::new(Arc::new(Catalog::build(&[parsed], &Selection::default()).unwrap()), Confidence::Low)
        })
    }

    /// Pieces of text: tokens, encoded tokens, lines, and what may join or split them.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let made = |rule: &'static str, seed: u64| {
            let (_, rule) = scanner().catalog().find(rule).unwrap();
            decent(rule, seed, false)
        };
        prop_oneof![
            (0..4u64).prop_map(move |s| made("t.anchored", s)),
            (0..4u64).prop_map(move |s| made("t.inside", s)),
            (0..4u64).prop_map(move |s| [b"acme_key = ".as_slice(), &made("t.word", s)].concat()),
            (0..4u64).prop_map(move |s| made("t.id", s)),
            (0..4u64).prop_map(move |s| made("t.block", s)),
            (0..4u64).prop_map(move |s| STANDARD
                .encode([b"key: ".as_slice(), &made("t.anchored", s)].concat())
                .into_bytes()),
            (0..4u64, prop::sample::select(vec!["\n", "\n  ", " \n", "=\n"])).prop_map(move |(s, between)| {
                let long =
                    [b"some text before the key ".repeat(4).as_slice(), &made("t.anchored", s), b" and text behind it"]
                        .concat();
                let encoded = URL_SAFE.encode(long);
                encoded.as_bytes().chunks(if s > 1 { 76 } else { 44 }).collect::<Vec<_>>().join(between.as_bytes())
            }),
            (0..4u64).prop_map(move |s| [b"\\n".as_slice(), &made("t.anchored", s)].concat()),
            (0..4u64).prop_map(move |s| crate::secret::hex(&made("t.anchored", s)).into_bytes()),
            (0..4u64).prop_map(move |s| made("t.anchored", s)
                .iter()
                .flat_map(|b| format!("%{b:02x}").into_bytes())
                .collect()),
            Just(b"\n".to_vec()),
            Just(b"acme_key".to_vec()),
            Just(b"tok_".to_vec()),
            Just(b" ".to_vec()),
            Just(b"=".to_vec()),
            Just(b"\0".to_vec()),
            "[a-z0-9]{1,9}".prop_map(String::into_bytes),
            "[A-Za-z0-9+/]{30,90}".prop_map(String::into_bytes),
            "([a-z ]{20}\n){1,9}".prop_map(String::into_bytes),
        ]
    }

    /// A step that makes a text from a base.
    #[derive(Clone, Debug)]
    enum Step {
        Copy(f64, f64),
        Insert(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0.0..1.0f64, 0.0..1.0f64).prop_map(|(a, b)| Step::Copy(a, b)),
            1 => (0.0..1.0f64).prop_map(|a| Step::Copy(0.0, a)),
            1 => (0.0..1.0f64).prop_map(|a| Step::Copy(a, 1.0)),
            2 => piece().prop_map(Step::Insert),
        ]
    }

    fn apply(base: &[u8], steps: &[Step]) -> (Vec<u8>, Vec<Segment>) {
        let (mut text, mut segments) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Copy(a, b) => {
                    let at = |f: f64| (f * base.len() as f64).round() as usize;
                    let (from, to) = (at(a.min(*b)), at(a.max(*b)));
                    if from < to {
                        segments.push(Segment::Copy { start: text.len(), base: from, len: to - from });
                        text.extend_from_slice(&base[from..to]);
                    }
                }
                Step::Insert(bytes) => {
                    segments.push(Segment::Insert { start: text.len(), len: bytes.len() });
                    text.extend_from_slice(bytes);
                }
            }
        }
        (text, segments)
    }

    #[test]
    fn a_run_in_a_line_that_leaves_its_block_is_looked_at() {
        let (scanner, mut scratch, mut cuts) = (scanner(), Scratch::default(), Cuts::default());
        let (_, rule) = scanner.catalog().find("t.anchored").unwrap();
        let line = [b"abcdefghijklmnop=".as_slice(), crate::secret::hex(&decent(rule, 1, false)).as_bytes()].concat();
        let base = [STANDARD.encode([b'x'; 33]).as_bytes(), b"\n", &line].concat();
        let known = scanner.root(&base, &mut scratch, &mut cuts);
        assert!(known.decoded.is_empty(), "joined with the line before, it is no base64");
        let copy = [Segment::Copy { start: 0, base: base.len() - line.len(), len: line.len() }];
        let state = scanner.delta(&line, &known, &copy, &mut scratch, &mut cuts);
        assert_eq!(state.decoded.len(), 1);
        assert_eq!(state, scanner.root(&line, &mut scratch, &mut cuts));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
        #[test]
        fn delta_gives_what_the_whole_gives(
            base in prop::collection::vec(piece(), 0..24),
            first in prop::collection::vec(step(), 0..8),
            second in prop::collection::vec(step(), 0..8),
        ) {
            let (scanner, mut scratch, mut cuts) = (scanner(), Scratch::default(), Cuts::default());
            let mut text = base.concat();
            let mut state = scanner.root(&text, &mut scratch, &mut cuts);
            for steps in [first, second] {
                let (next, segments) = apply(&text, &steps);
                let delta = scanner.delta(&next, &state, &segments, &mut scratch, &mut cuts);
                let whole = scanner.root(&next, &mut scratch, &mut cuts);
                prop_assert_eq!(&delta, &whole);
                prop_assert_eq!(scanner.finish(&next, &delta), scanner.finish(&next, &whole));
                (text, state) = (next, delta);
            }
        }
    }
}
