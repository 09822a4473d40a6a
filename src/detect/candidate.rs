//! From an anchor to a match: run the rule's pattern in its window, then checksum, structure and noise.
//!
//! Contract: the outcome depends on nothing but the bytes in `[at - before, at + after)` of the literal (see
//! [`Literal`](super::anchors::Literal)), clipped at the edges of the text, and if all its rules are [`TokenRule::line`]s on none
//! behind the first newline but one. The delta-aware scan rests on that.

use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, meta};

use super::anchors::{Anchor, Anchors, Use};
use super::{noise, structure};
use crate::model::Confidence;
use crate::rules::schema::Mismatch;
use crate::rules::{Catalog, TokenRule};

/// One match in a text. Offsets are bytes in that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The anchor that led here.
    pub anchor: Anchor,
    /// Index of the rule.
    pub token: u32,
    /// Where the secret begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// Parts: index into the rule's part groups, begin, end.
    pub parts: Vec<(u16, u32, u32)>,
    /// How sure.
    pub confidence: Confidence,
    /// The key is protected by a passphrase.
    pub encrypted: bool,
}

impl Match {
    /// The same match in a text where everything lies `shift` bytes further.
    pub fn shifted(&self, shift: i64) -> Self {
        let move_ = |at: u32| (i64::from(at) + shift) as u32;
        Self {
            anchor: Anchor { at: move_(self.anchor.at), ..self.anchor },
            start: move_(self.start),
            end: move_(self.end),
            parts: self.parts.iter().map(|&(g, s, e)| (g, move_(s), move_(e))).collect(),
            ..*self
        }
    }
}

/// Working memory of one thread: caches of the patterns that were met, and lists.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) stretches: super::delta::Stretches,
    caches: Vec<Option<(meta::Cache, Captures)>>,
}

impl Scratch {
    fn of(&mut self, token: usize, regex: &meta::Regex) -> &mut (meta::Cache, Captures) {
        if self.caches.len() <= token {
            self.caches.resize_with(token + 1, || None);
        }
        self.caches[token].get_or_insert_with(|| (regex.create_cache(), regex.create_captures()))
    }
}

/// Everything that matches at one anchor, appended to `out`.
pub fn evaluate(
    catalog: &Catalog,
    anchors: &Anchors,
    text: &[u8],
    binary: bool,
    anchor: Anchor,
    scratch: &mut Scratch,
    out: &mut Vec<Match>,
) {
    for used in &anchors.literal(anchor).uses {
        let rule = &catalog.tokens[used.token as usize];
        if binary && !rule.binary {
            continue;
        }
        evaluate_rule(rule, *used, text, anchor, scratch, out);
    }
}

fn evaluate_rule(
    rule: &TokenRule,
    used: Use,
    text: &[u8],
    anchor: Anchor,
    scratch: &mut Scratch,
    out: &mut Vec<Match>,
) {
    let at = anchor.at as usize;
    let literal = if used.near { &rule.near } else { &rule.anchors }[usize::from(used.index)].as_slice();
    let Some(seen) = text.get(at..at + literal.len()) else { return };
    if used.near && !seen.eq_ignore_ascii_case(literal) || !used.near && seen != literal {
        return;
    }
    if used.near && rule.near_whole[usize::from(used.index)] && is_inside_word(text, at) {
        return;
    }
    let after_word = if used.near { at + literal.len() } else { at };
    let anchored = !used.near && rule.before == 0;
    if anchored && rule.boundary && !is_boundary(text, at) {
        return;
    }
    let from = at.saturating_sub(rule.before);
    let mut to = (after_word + rule.reach).min(text.len());
    if rule.line
        && let Some(line) = memchr::memchr(b'\n', &text[at..to])
    {
        to = at + line + 1;
    }
    if rule.needs.is_some_and(|b| memchr::memchr(b, &text[from..to]).is_none()) {
        return;
    }
    let regex = rule.regex();
    let (cache, captures) = scratch.of(used.token as usize, regex);
    // What lies outside of the window may be seen for `\b`, but one byte only: the delta-aware scan counts on it.
    let view = &text[from.saturating_sub(1)..(to + 1).min(text.len())];
    let base = from.saturating_sub(1);
    let mut from = from;
    while from < to {
        let mode = if anchored { Anchored::Yes } else { Anchored::No };
        let input = Input::new(view).span(from - base..to - base).anchored(mode);
        regex.search_captures_with(cache, &input, captures);
        let Some(whole) = captures.get_match() else { return };
        let (start, end) = (whole.start() + base, whole.end() + base);
        let covers = used.near || start <= at && at + literal.len() <= end;
        if covers && let Some(found) = accept(rule, used.token, view, base, captures, anchor) {
            out.push(found);
        }
        if anchored || !used.near && covers {
            return;
        }
        // After a near-word, look on behind the secret; a pattern's trailing context may open the next match.
        let secret_end = captures.get_group(rule.secret_group).map_or(end, |g| g.end + base);
        from = secret_end.max(from + 1);
    }
}

/// Whether a word begins or ends here.
fn is_boundary(text: &[u8], at: usize) -> bool {
    let is_word =
        |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    is_word(at.checked_sub(1)) != is_word(Some(at))
}

/// Whether a letter stands right before, and case does not set it apart: `elastIC_API`, but not `myIcApi`.
fn is_inside_word(text: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|i| text[i]) else { return false };
    before.is_ascii_alphabetic() && !(before.is_ascii_lowercase() && text[at].is_ascii_uppercase())
}

/// Checksum, structure and noise of one match; `base` is where `view` lies in the text.
fn accept(
    rule: &TokenRule,
    token: u32,
    view: &[u8],
    base: usize,
    captures: &Captures,
    anchor: Anchor,
) -> Option<Match> {
    let group = |i: usize| captures.get_group(i);
    let secret = group(rule.secret_group)?;
    let whole = &view[secret.range()];
    if whole.is_empty() {
        return None;
    }
    let body = group(rule.body_group).map_or(whole, |g| &view[g.range()]);
    let mut confidence = rule.confidence;
    if let Some(checksum) = &rule.checksum
        && let Some(of) = group(checksum.of)
    {
        let bytes = [checksum.prefix.as_slice(), &view[of.range()]].concat();
        let found = group(checksum.equals).map_or(&[][..], |g| &view[g.range()]);
        confidence = match (checksum.recipe.fits(&bytes, found), checksum.mismatch) {
            (true, _) => Confidence::Certain,
            (false, Mismatch::Keep) => confidence,
            (false, Mismatch::Low) => Confidence::Low,
            (false, Mismatch::Drop) => return None,
        };
    }
    if rule
        .structure
        .is_some_and(|s| !structure::fits(s, if rule.body_group == rule.secret_group { whole } else { body }))
    {
        return None;
    }
    // A checksum that fits leaves no doubt but for keys that are public on purpose.
    let entropy = if rule.part { Some(rule.entropy.unwrap_or(0.0)) } else { rule.entropy };
    let noise = noise::check(whole, body, entropy, rule.words);
    if noise.is_some() || rule.allows(whole) {
        return None;
    }
    let example = |(name, g): &(String, usize)| {
        name == "host" && group(*g).is_some_and(|h| noise::is_example_host(&view[h.range()]))
    };
    if rule.part_groups.iter().any(example) {
        confidence = Confidence::Low;
    }
    let offset = |at: usize| (at + base) as u32;
    let parts = rule.part_groups.iter().enumerate().filter_map(|(i, (_, g))| {
        let span = group(*g).filter(|s| !s.range().is_empty())?;
        Some((i as u16, offset(span.start), offset(span.end)))
    });
    Some(Match {
        anchor,
        token,
        start: offset(secret.start),
        end: offset(secret.end),
        parts: parts.collect(),
        confidence,
        encrypted: rule.encrypted_group.is_some_and(|g| group(g).is_some()),
    })
}
