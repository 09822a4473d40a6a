//! Texts inside texts: base64, hex, percent-encoding, JSON and C escapes, compressed data inside base64.
//!
//! Contract: the unit of decoding is a *block*: one line, or neighbouring lines that are nothing but base64. What a block
//! decodes to depends on that block alone, so that unchanged blocks need not be looked at again. Every step is bounded: a
//! block to [`MAX_BLOCK`], an expansion to [`MAX_EXPANDED`], and both cuts are told to the caller.

use std::ops::Range;

use super::mask;
use super::run::{self, is_base64};

/// Longest run that is decoded, in bytes.
pub const MAX_BLOCK: usize = 16 << 20;
/// Most bytes that one compressed run may expand to.
pub const MAX_EXPANDED: u64 = 64 << 20;
/// Shortest base64 or hex run worth decoding, in characters.
const MIN_RUN: usize = 24;
/// A line of at least so many base64 characters and nothing else joins its neighbours.
const MIN_PURE: usize = 40;

/// A decoded run.
#[derive(Debug)]
pub struct Decoded {
    /// Where the encoded bytes lie.
    pub range: Range<usize>,
    /// What was undone, outermost first.
    pub layers: Vec<&'static str>,
    /// The plain bytes.
    pub bytes: Vec<u8>,
}

/// The blocks of what changed in a text.
pub fn blocks(text: &[u8], change: Range<usize>) -> Range<usize> {
    widen(text, line_start(text, change.start)..line_end(text, change.end))
}

/// Calls `found` for everything encoded in some blocks. `cut` is called when a limit left something out.
pub fn each(text: &[u8], blocks: Range<usize>, found: &mut dyn FnMut(Decoded), cut: &mut dyn FnMut(&'static str)) {
    base64_runs(text, blocks.clone(), found, cut);
    super::escapes::lines(text, blocks, found);
}

/// Widens a range of whole lines over lines that are, or were before the change, one block with them.
fn widen(text: &[u8], lines: Range<usize>) -> Range<usize> {
    let mut start = lines.start;
    // Not inside a group of pure lines, and not right behind one: its last line may be a short one.
    while start > 0 && may_end_pure(&text[..start - 1]) {
        let before = line_start(text, start - 1);
        if !is_pure(&text[before..start - 1]) {
            break;
        }
        start = before;
    }
    let mut end = lines.end;
    // The next line may have had its block's beginning in what changed.
    while end < text.len() {
        let pure = may_end_pure(&text[..end]) && is_pure(&text[line_start(text, end)..end]);
        if !pure && !begins_with_tail(&text[end + 1..]) {
            break;
        }
        end = line_end(text, end + 1);
    }
    start..end
}

/// Whether the last line may be pure, by its last characters.
fn may_end_pure(text: &[u8]) -> bool {
    let text = trim_end(text);
    text.last_chunk().is_some_and(|last| may_be_base64(*last))
}

/// Whether the first line is a tail: see [`is_tail`].
fn begins_with_tail(text: &[u8]) -> bool {
    let text = &text[text.iter().take_while(|b| is_blank(**b)).count()..];
    let characters = text.iter().take_while(|b| is_base64(**b) || **b == b'=').count();
    let rest = &text[characters..];
    let end = rest.iter().take_while(|b| is_blank(**b)).count();
    characters >= 4 && matches!(rest.get(end), None | Some(b'\n'))
}

/// White space inside a line.
fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | 0x0c)
}

fn trim_end(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|b| is_blank(**b)).count()]
}

/// Where the line of `at` begins.
pub fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at.min(text.len())]).map_or(0, |i| i + 1)
}

/// Where the line of `at` ends, before its newline.
pub fn line_end(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |i| at + i)
}

/// Whether eight bytes may all be base64 characters or `=`: never no wrongly. Bytes from `+` to `=` pass, and letters with what
/// stands among them.
fn may_be_base64(bytes: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let word = u64::from_le_bytes(bytes);
    let at_least = |least: u8| word.wrapping_add(ONES * u64::from(0x80 - least));
    let letters = word << 1;
    let others = at_least(b'+') & !at_least(b'=' + 1);
    (letters | others) & !word & HIGH == HIGH
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// A line of nothing but base64 (and white space around it), long enough to be a wrapped one.
fn is_pure(line: &[u8]) -> bool {
    let line = trim(line);
    line.len() >= MIN_PURE && line.iter().all(|b| is_base64(*b) || *b == b'=')
}

/// A line that may be the last of a block, trimmed: it may be shorter than the others.
fn is_tail(line: &[u8]) -> bool {
    line.len() >= 4 && line.iter().all(|b| is_base64(*b) || *b == b'=')
}

/// Decodes maximal runs of base64 characters of [`MIN_RUN`] or more.
fn base64_runs(text: &[u8], range: Range<usize>, found: &mut dyn FnMut(Decoded), cut: &mut dyn FnMut(&'static str)) {
    let mut at = range.start;
    while let Some(mut run) = next_run(text, at..range.end) {
        let promising = run::is_promising(&text[run.clone()]);
        let mut joined = None;
        if let Some(line) = pure_line(text, run.clone(), &range) {
            (joined, run.end) = join_lines(text, line, range.end, promising);
        }
        at = run.end + 1;
        if run.len() > MAX_BLOCK {
            cut("base64 run");
        } else if promising {
            run::decode(joined.as_deref().unwrap_or(&text[run.clone()]), &run, found, cut);
        }
    }
}

/// The first maximal run of [`MIN_RUN`] or more base64 characters in a range.
fn next_run(text: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let text = text.get(..range.end)?;
    let mut before = [0; 4];
    mask::base64(text, range.start, |at, mask| {
        let long = long_runs(&mut before, mask);
        (long != 0).then(|| {
            // Where the first of them is as long as it has to be: it began so many before.
            let end = at + long.trailing_zeros() as usize + 1;
            let more = text[end..].iter().position(|b| !is_base64(*b));
            end - MIN_RUN..more.map_or(text.len(), |n| end + n)
        })
    })
}

/// Which of 64 bytes end [`MIN_RUN`] base64 characters in a row, given which of them are such; `before` has what is known of the 64
/// before them: which of those end one, two, four and eight in a row.
fn long_runs(before: &mut [u64; 4], mask: u64) -> u64 {
    const { assert!(MIN_RUN == 16 + 8) };
    let earlier = |now: u64, before: u64, by: u32| now << by | before >> (u64::BITS - by);
    let two = mask & earlier(mask, before[0], 1);
    let four = two & earlier(two, before[1], 2);
    let eight = four & earlier(four, before[2], 4);
    let sixteen = eight & earlier(eight, before[3], 8);
    let long = sixteen & earlier(eight, before[3], 16);
    *before = [mask, two, four, eight];
    long
}

/// The line of a run, if the run is all there is in it.
fn pure_line(text: &[u8], run: Range<usize>, limits: &Range<usize>) -> Option<Range<usize>> {
    if run.len() < MIN_PURE - 2 {
        return None;
    }
    let indent = text[limits.start..run.start].iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let start = run.start - indent;
    if start > limits.start && text[start - 1] != b'\n' {
        return None;
    }
    let tail = text[run.end..limits.end].iter().take_while(|b| matches!(b, b'=' | b' ' | b'\t' | b'\r')).count();
    let end = run.end + tail;
    let whole = end == limits.end || text[end] == b'\n';
    (whole && is_pure(&text[start..end])).then_some(start..end)
}

/// Joins pure lines from `line` on; gives the characters, if they are `wanted`, and where the last line ends.
fn join_lines(text: &[u8], line: Range<usize>, limit: usize, wanted: bool) -> (Option<Vec<u8>>, usize) {
    let first_end = line.start + text[line.clone()].trim_ascii_end().len();
    let mut end = first_end;
    let mut joined: Option<Vec<u8>> = None;
    let mut next = line.end + 1;
    while next < limit {
        let stop = line_end(text, next).min(limit);
        let more = trim(&text[next..stop]);
        if !is_tail(more) {
            break;
        }
        if wanted {
            joined.get_or_insert_with(|| trim(&text[line.clone()]).to_vec()).extend_from_slice(more);
        }
        end = next + text[next..stop].trim_ascii_end().len();
        if more.len() < MIN_PURE || more.ends_with(b"=") {
            break;
        }
        next = stop + 1;
    }
    (joined, end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_first_look_dismisses_no_base64() {
        for b in 0..=255u8 {
            let eight = [b'A', b'/', b, b'z', b, b'+', b'9', b];
            assert!(may_be_base64(eight) || !is_base64(b) && b != b'=', "{b:#x}");
            assert!(!may_be_base64(eight) || b.is_ascii_graphic() || b == 0x7f, "{b:#x}");
        }
    }

    /// All maximal runs, the obvious way.
    fn runs(text: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
        let (mut all, mut start) = (Vec::new(), range.start);
        for at in range.clone().chain([range.end]) {
            if at == range.end || !is_base64(text[at]) {
                all.extend((at - start >= MIN_RUN).then_some(start..at));
                start = at + 1;
            }
        }
        all
    }

    proptest! {
        #[test]
        fn every_run_is_found(
            pieces in prop::collection::vec(("[A-Za-z0-9+/_-]{0,60}", "[ .,=:{]|\n|\u{e9}"), 0..12),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let text: Vec<u8> = pieces.into_iter().flat_map(|(run, other)| (run + &other).into_bytes()).collect();
            let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
            for range in [0..text.len(), from.min(to)..from.max(to)] {
                let (mut found, mut at) = (Vec::new(), range.start);
                while let Some(run) = next_run(&text, at..range.end) {
                    at = run.end + 1;
                    found.push(run);
                }
                prop_assert_eq!(found, runs(&text, range));
            }
        }
    }
}
