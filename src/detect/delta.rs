//! A text known as a change of another: what lies in copied stretches is inherited, the rest is looked at.
//!
//! Contract: gives the very [`State`] that looking at the whole text gives. It rests on three facts: a literal depends on its
//! own bytes, a match on the window of its literal, a decoded run on its block.

use std::ops::Range;

use super::anchors::Anchor;
use super::candidate::{self, Scratch};
use super::text::{self, TextKind};
use super::{Cuts, Inner, Scanner, State, decode};
use crate::source::git::walk::Segment;

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
        let kind = text::kind(text);
        let plain = matches!(kind, TextKind::Text | TextKind::Binary);
        let copies = self.worth_copying(segments);
        if !plain || base.kind != Some(kind) || copies.is_empty() {
            return self.root(text, scratch, cuts);
        }
        let mut state = State { kind: Some(kind), len: text.len(), ..State::default() };
        let gaps = gaps(&copies, text.len(), base.len);
        self.anchors_of(text, base, &copies, &gaps, &mut state);
        self.matches_of(text, base, &copies, kind == TextKind::Binary, &mut state, scratch);
        if kind == TextKind::Text {
            self.decoded_of(text, base, &copies, &gaps, &mut state, scratch, cuts);
        }
        state
    }

    /// Copies long enough that something can be inherited.
    fn worth_copying(&self, segments: &[Segment]) -> Vec<Copied> {
        let least = 4 * self.anchors.longest();
        let copied = segments.iter().filter_map(|s| match *s {
            Segment::Copy { start, base, len } if len >= least => Some(Copied { start, end: start + len, base }),
            _ => None,
        });
        copied.collect()
    }

    fn anchors_of(&self, text: &[u8], base: &State, copies: &[Copied], gaps: &[Range<usize>], state: &mut State) {
        let reach = self.anchors.longest() - 1;
        let mut gaps = gaps.iter().peekable();
        let look = |gap: &Range<usize>, out: &mut Vec<Anchor>| {
            let (from, to) = (gap.start.saturating_sub(reach), (gap.end + reach).min(text.len()));
            self.anchors.find(text, from, to, |anchor| {
                let (at, end) = (anchor.at as usize, anchor.at as usize + self.anchors.literal(anchor).folded.len());
                if end > gap.start && at < gap.end {
                    out.push(anchor);
                }
            });
        };
        for copy in copies {
            while let Some(gap) = gaps.next_if(|g| g.end <= copy.start) {
                look(gap, &mut state.anchors);
            }
            let first = base.anchors.partition_point(|a| (a.at as usize) < copy.base);
            let limit = copy.base + (copy.end - copy.start);
            for anchor in &base.anchors[first..] {
                let at = anchor.at as usize;
                if at >= limit {
                    break;
                }
                if at + self.anchors.literal(*anchor).folded.len() <= limit {
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
            let literal = self.anchors.literal(anchor);
            let inherited = copies.get(next).filter(|copy| {
                let left = at >= copy.start + literal.before || copy.start == 0 && copy.base == 0 && at >= copy.start;
                let to_the_end = copy.end == text.len() && copy.base + (copy.end - copy.start) == base.len;
                left && (at + literal.after <= copy.end || to_the_end)
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
        copies: &[Copied],
        gaps: &[Range<usize>],
        state: &mut State,
        scratch: &mut Scratch,
        cuts: &mut Cuts,
    ) {
        let mut again: Vec<Range<usize>> = Vec::new();
        for gap in gaps {
            if again.last().is_some_and(|last| decode::line_end(text, gap.end) < last.end) {
                continue;
            }
            let wide = decode::widen(text, gap.clone());
            match again.last_mut() {
                Some(last) if wide.start <= last.end => last.end = last.end.max(wide.end),
                _ => again.push(wide),
            }
        }
        for range in &again {
            self.decode(text, range.clone(), 0, &mut state.decoded, scratch, cuts);
        }
        for copy in copies {
            let limit = copy.base + (copy.end - copy.start);
            let first = base.decoded.partition_point(|d| (d.start as usize) < copy.base);
            for inner in base.decoded[first..].iter().take_while(|d| (d.start as usize) < limit) {
                let move_ = |at: u32| (i64::from(at) + copy.shift()) as u32;
                let (start, end) = (move_(inner.start), move_(inner.end));
                let redone = again.iter().any(|r| (start as usize) < r.end && r.start <= end as usize);
                if inner.end as usize <= limit && !redone {
                    state.decoded.push(Inner { start, end, hits: inner.hits.clone() });
                }
            }
        }
        state.decoded.sort_by_key(|d| (d.start, d.end));
    }
}

/// What the copies do not cover; a seam between two copies is an empty range.
fn gaps(copies: &[Copied], len: usize, base_len: usize) -> Vec<Range<usize>> {
    let mut gaps = Vec::with_capacity(copies.len() + 1);
    let mut at = 0;
    for copy in copies {
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
    gaps
}
