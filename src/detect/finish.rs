//! From matches to hits: doubles and overlaps resolved, parts paired, positions and inline comments looked up.
//!
//! Contract: a pure function of the text and its state, linear in the text but for sorting.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap};

use super::candidate::Match;
use super::{Inner, Scanner, State, comments, noise};
use crate::model::{Confidence, Hit, TextSpan, TokenIndex};
use crate::rules::TokenRule;
use crate::rules::schema::Alone;
use crate::secret::Secret;

/// A match on its way to be a hit.
struct Draft<'a> {
    found: &'a Match,
    rule: &'a TokenRule,
    confidence: Confidence,
    /// The parts it was paired with, and the ids of their token types.
    parts: Vec<(&'a Match, &'a str)>,
    /// The secrets that it only works with, and the names that its rule gives them.
    secrets: Vec<(&'a Match, &'a str)>,
}

impl<'a> Draft<'a> {
    fn alone(found: &'a Match, rule: &'a TokenRule, confidence: Confidence) -> Self {
        Self { found, rule, confidence, parts: Vec::new(), secrets: Vec::new() }
    }

    /// How far the anchor is from the secret: between equals, the nearest word names the issuer.
    fn distance(&self) -> u32 {
        self.found.anchor.at.abs_diff(self.found.start)
    }
}

impl Scanner {
    /// Turns a state into hits, by position.
    pub fn finish(&self, text: &[u8], state: &State) -> Vec<Hit> {
        if state.matches.is_empty() && state.decoded.is_empty() {
            return Vec::new();
        }
        let drafts = self.resolve(self.pair(&state.matches));
        let mut lines = Lines::new(text);
        let mut hits: Vec<Hit> = drafts.iter().map(|draft| hit(text, draft, &mut lines)).collect();
        self.add_decoded(text, &state.decoded, &mut hits);
        hits.retain(|hit| hit.confidence >= self.least);
        hits
    }

    /// Joins secrets with their parts, and drops what must not stand alone.
    fn pair<'a>(&'a self, matches: &'a [Match]) -> Vec<Draft<'a>> {
        let rule_of = |m: &Match| &self.catalog.tokens[m.token as usize];
        let mut parts: Vec<&Match> = matches.iter().filter(|m| rule_of(m).part).collect();
        parts.sort_by_key(|m| (m.start, m.end, m.token));
        parts.dedup_by_key(|m| (m.start, m.end, m.token));
        let mut used = vec![false; parts.len()];
        // Few rules have further secrets: most texts need no list of what could be one.
        let others = LazyCell::new(|| {
            let mut others: Vec<&Match> = matches.iter().filter(|m| !rule_of(m).part).collect();
            others.sort_by_key(|m| (m.start, m.end, m.token));
            others
        });
        let mut drafts = Vec::new();
        for found in matches.iter().filter(|m| !rule_of(m).part) {
            let rule = rule_of(found);
            let Some(pair) = &rule.pair else {
                drafts.push(Draft::alone(found, rule, found.confidence));
                continue;
            };
            let wanted = |m: &Match| pair.with.contains(&TokenIndex(m.token));
            let id = nearest(&parts, found, pair.within, wanted);
            if id.is_none() && !pair.with.is_empty() {
                if !pair.required {
                    drafts.push(Draft::alone(found, rule, found.confidence));
                }
                continue;
            }
            // An id beside it names the issuer.
            let named = id.is_some() && found.confidence == Confidence::Medium;
            let confidence = if named { Confidence::High } else { found.confidence };
            let also = pair
                .also
                .iter()
                .filter_map(|token| nearest(&parts, found, pair.within, |m| TokenIndex(m.token) == *token));
            let joined: Vec<usize> = id.into_iter().chain(also).collect();
            joined.iter().for_each(|i| used[*i] = true);
            let secrets = pair.secrets.iter().filter_map(|(name, tokens)| {
                let wanted = |m: &Match| tokens.contains(&TokenIndex(m.token));
                Some((others[nearest(&others, found, pair.within, wanted)?], name.as_str()))
            });
            drafts.push(Draft {
                found,
                rule,
                confidence,
                parts: joined.iter().map(|i| (parts[*i], rule_of(parts[*i]).id.as_str())).collect(),
                secrets: secrets.collect(),
            });
        }
        for (found, _) in parts.iter().zip(&used).filter(|(_, used)| !**used) {
            let rule = rule_of(found);
            let confidence = match rule.alone {
                Alone::Medium => Confidence::Medium,
                Alone::Low => Confidence::Low,
                Alone::Drop => continue,
            };
            drafts.push(Draft::alone(found, rule, confidence));
        }
        drafts
    }

    /// Of overlapping matches keeps the most certain, then one that knows the issuer, then the longer, then the one whose
    /// word is nearer.
    fn resolve<'a>(&self, mut drafts: Vec<Draft<'a>>) -> Vec<Draft<'a>> {
        drafts.sort_by(|a, b| {
            let rank = |d: &Draft<'_>| {
                (std::cmp::Reverse(d.confidence), d.rule.fallback, std::cmp::Reverse(d.found.end - d.found.start))
            };
            rank(a).cmp(&rank(b)).then(a.distance().cmp(&b.distance())).then_with(|| {
                (a.found.start, a.found.token, a.found.anchor).cmp(&(b.found.start, b.found.token, b.found.anchor))
            })
        });
        let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
        drafts.retain(|d| {
            let overlaps = taken.range(..d.found.end).next_back().is_some_and(|(_, end)| *end > d.found.start);
            if !overlaps {
                taken.insert(d.found.start, d.found.end);
            }
            !overlaps
        });
        drafts.sort_by_key(|d| d.found.start);
        drafts
    }

    /// Adds what was found inside encoded runs, unless the plain text shows the same there.
    fn add_decoded(&self, text: &[u8], decoded: &[Inner], hits: &mut Vec<Hit>) {
        if decoded.is_empty() {
            return;
        }
        let mut lines = Lines::new(text);
        // By value alone: what the plain text shows as one type may look like a wider one once it is decoded.
        let mut seen: HashMap<Secret, Vec<(u64, u64)>> = HashMap::new();
        for hit in hits.iter() {
            seen.entry(hit.secret.clone()).or_default().push((hit.span.start, hit.span.end));
        }
        for inner in decoded {
            let (start, end) = (inner.start as usize, inner.end as usize);
            let span = lines.span(start, end);
            let whole = start == 0 && end == text.len();
            for hit in inner.hits.iter() {
                let places = seen.entry(hit.secret.clone()).or_default();
                if places.iter().any(|(s, e)| *s < span.end && span.start < *e) {
                    continue;
                }
                let mut hit = hit.clone();
                // A text that is encoded as a whole (UTF-16) has lines of its own.
                let keep = whole && hit.encoding.first().is_some_and(|e| e.starts_with("utf-16"));
                if !keep {
                    places.push((span.start, span.end));
                    hit.span = span;
                    hit.ignored |= comments::ignores(text, start, end);
                }
                hits.push(hit);
            }
        }
        hits.sort_by_key(|h| h.span.start);
    }
}

/// The nearest wanted part within so many bytes; `parts` are sorted by their start.
fn nearest(parts: &[&Match], found: &Match, within: usize, wanted: impl Fn(&Match) -> bool) -> Option<usize> {
    let gap = |m: &Match| {
        if m.end <= found.start { found.start - m.end } else { m.start.saturating_sub(found.end) }
    };
    let near = |i: &usize| wanted(parts[*i]) && gap(parts[*i]) as usize <= within;
    let split = parts.partition_point(|m| m.start < found.start);
    // Parts are short: one that starts further away than this cannot be near.
    let far = within + 4096;
    let before = (0..split).rev().take_while(|i| (found.start - parts[*i].start) as usize <= far).find(near);
    let after = (split..parts.len())
        .take_while(|i| (parts[*i].start - found.start) as usize <= far + (found.end - found.start) as usize)
        .find(near);
    match (before, after) {
        (Some(b), Some(a)) => Some(if gap(parts[a]) < gap(parts[b]) { a } else { b }),
        (b, a) => b.or(a),
    }
}

fn hit(text: &[u8], draft: &Draft<'_>, lines: &mut Lines<'_>) -> Hit {
    let found = draft.found;
    let bytes = |start: u32, end: u32| text[start as usize..end as usize].to_vec();
    let mut parts: Vec<(String, Vec<u8>)> = found
        .parts
        .iter()
        .map(|&(group, start, end)| (draft.rule.part_groups[usize::from(group)].0.clone(), bytes(start, end)))
        .collect();
    parts.extend(draft.parts.iter().map(|(part, name)| ((*name).to_owned(), bytes(part.start, part.end))));
    let (start, end) = (found.start as usize, found.end as usize);
    Hit {
        token: TokenIndex(found.token),
        secret: match noise::normal_armour(&text[start..end]) {
            Some(key) => Secret::new(&key),
            None => Secret::new(&text[start..end]),
        },
        parts,
        secrets: draft
            .secrets
            .iter()
            .map(|(m, name)| ((*name).to_owned(), Secret::new(&text[m.start as usize..m.end as usize])))
            .collect(),
        confidence: draft.confidence,
        span: lines.span(start, end),
        encoding: Vec::new(),
        encrypted: found.encrypted,
        ignored: comments::ignores(text, start, end),
    }
}

/// Turns offsets into lines and columns; cheap when asked in ascending order.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, line: 1 }
    }

    fn span(&mut self, start: usize, end: usize) -> TextSpan {
        if start < self.at {
            (self.at, self.line) = (0, 1);
        }
        let count = |from: usize, to: usize| memchr::memchr_iter(b'\n', &self.text[from..to]).count() as u64;
        self.line += count(self.at, start);
        self.at = start;
        let column = |at: usize| (at - super::decode::line_start(self.text, at)) as u64 + 1;
        let last = end.max(start + 1) - 1;
        TextSpan {
            start: start as u64,
            end: end as u64,
            line: self.line,
            column: column(start),
            end_line: self.line + count(start, last.max(start)),
            end_column: column(last.min(self.text.len().saturating_sub(1))) + 1,
        }
    }
}
