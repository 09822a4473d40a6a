//! Makes random text that a pattern matches, so that no token-shaped literal needs to stand in the repository.
//!
//! Contract: what is made fits the pattern (but for `\b`, `^`, `$`, which make nothing) and has a right checksum, or a wrong one
//! if asked. The same seed gives the same text.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use base64::Engine;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::TokenRule;
use super::checksum::{Recipe, bech32_checksum};
use super::schema::Structure;
use crate::detect::structure::{self, URL_SAFE};

/// A small generator of pseudo-random numbers (SplitMix64): good enough for examples, nothing secret comes from it.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// With a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n` (which must not be 0).
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A made match: its bytes and where its groups lie.
struct Made {
    text: Vec<u8>,
    groups: HashMap<usize, Range<usize>>,
}

/// A made credential.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// The value.
    pub secret: Vec<u8>,
    /// Parts that stand in its pattern and took part in the match.
    pub parts: BTreeMap<String, Vec<u8>>,
}

/// Makes the secret of a rule. `wrong` breaks the checksum, if the rule has one.
pub fn secret(rule: &TokenRule, random: &mut Random, wrong: bool) -> Vec<u8> {
    credential(rule, random, wrong).secret
}

/// Makes a credential of a rule.
pub fn credential(rule: &TokenRule, random: &mut Random, wrong: bool) -> Credential {
    let Ok(hir) = super::pattern::parse(&rule.pattern) else { return Credential::default() };
    let mut made = Made { text: Vec::new(), groups: HashMap::new() };
    made.grow(&hir, random);
    if let Some(checksum) = &rule.checksum {
        made.fix(checksum, wrong);
    }
    let span = made.groups.get(&rule.secret_group).cloned().unwrap_or(0..made.text.len());
    let body = made.groups.get(&rule.body_group).cloned().unwrap_or(span.clone());
    // What a structure rewrites is no part any more.
    let kept = |part: &Range<usize>| rule.structure.is_none() || part.end <= body.start || part.start >= body.end;
    let part = |(name, group): &(String, usize)| {
        let range = made.groups.get(group).filter(|r| kept(r))?;
        Some((name.clone(), made.text[range.clone()].to_vec()))
    };
    let parts = rule.part_groups.iter().filter_map(part).collect();
    let Some(structure) = rule.structure else { return Credential { secret: made.text[span].to_vec(), parts } };
    let shaped = shape(structure, &made.text[body.clone()]);
    let secret =
        [&made.text[span.start..body.start.max(span.start)], &shaped, &made.text[body.end.min(span.end)..span.end]];
    Credential { secret: secret.concat(), parts }
}

/// Random text that fits the pattern but has no structure, with the structure; what the pattern fixed is left alone.
fn shape(structure: Structure, body: &[u8]) -> Vec<u8> {
    let words: String = body.iter().filter(|b| b.is_ascii_alphanumeric()).map(|b| char::from(*b)).collect();
    let words = &words[words.len() / 2..];
    let base64 = |json: String| URL_SAFE.encode(json).trim_end_matches('=').as_bytes().to_vec();
    match structure {
        _ if structure::fits(structure, body) => body.to_vec(),
        Structure::Jwt => {
            let mut parts: Vec<Vec<u8>> = body.split(|b| *b == b'.').map(<[u8]>::to_vec).collect();
            match parts.as_mut_slice() {
                [header, payload, _] => {
                    *header = base64(r#"{"alg":"HS256"}"#.into());
                    *payload = base64(format!(r#"{{"iss":"https://id.corp.example","sub":"{words}"}}"#));
                }
                [header, .., _] => *header = base64(r#"{"alg":"dir","enc":"A128GCM"}"#.into()),
                _ => {}
            }
            parts.join(&b'.')
        }
        // A string as long as the made body, so that the pattern's length still holds.
        Structure::Base64Json => base64(format!(r#"{{"k":"{words}{words}"}}"#)),
        // The head of a short DER sequence; headers and bodies of other kinds stand as the pattern made them.
        Structure::Pem => match body {
            [b'M', _, _, _, rest @ ..] => [b"MCAC", rest].concat(),
            _ => body.to_vec(),
        },
        Structure::Macaroon => body.to_vec(),
    }
}

impl Made {
    fn grow(&mut self, hir: &Hir, random: &mut Random) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.extend_from_slice(&literal.0),
            HirKind::Class(class) => self.text.extend(pick(class, random)),
            HirKind::Repetition(r) => {
                let most = r.max.unwrap_or(r.min.max(1) + 8).max(r.min) as usize;
                let least = r.min as usize;
                // Lean to the low end: optional context is mostly absent in real text, too.
                let times = least + random.below((most - least).min(24) + 1);
                (0..times).for_each(|_| self.grow(&r.sub, random));
            }
            HirKind::Capture(capture) => {
                let start = self.text.len();
                self.grow(&capture.sub, random);
                self.groups.insert(capture.index as usize, start..self.text.len());
            }
            HirKind::Concat(subs) => subs.iter().for_each(|s| self.grow(s, random)),
            HirKind::Alternation(subs) => {
                let at = random.below(subs.len());
                self.grow(&subs[at], random);
            }
        }
    }

    fn fix(&mut self, checksum: &super::catalog::ChecksumRule, wrong: bool) {
        let Some(of) = self.groups.get(&checksum.of).cloned() else { return };
        let (span, mut sum) = if checksum.recipe == Recipe::Bech32 {
            let whole = self.text[of.clone()].to_vec();
            let Some(split) = memchr::memrchr(b'1', &whole) else { return };
            if whole.len() < split + 7 {
                return;
            }
            let Some(sum) = bech32_checksum(&whole[..split], &whole[split + 1..whole.len() - 6]) else { return };
            let upper = whole.iter().any(u8::is_ascii_uppercase);
            (of.end - 6..of.end, if upper { sum.to_ascii_uppercase() } else { sum })
        } else {
            let Some(equals) = self.groups.get(&checksum.equals).cloned() else { return };
            let bytes = [checksum.prefix.as_slice(), &self.text[of]].concat();
            (equals, checksum.recipe.compute(&bytes).unwrap_or_default())
        };
        if span.len() != sum.len() {
            return;
        }
        if wrong && let Some(last) = sum.last_mut() {
            *last = match *last {
                b'0'..=b'8' | b'a'..=b'e' | b'g'..=b'y' => *last + 1,
                b'Q' => b'P',
                b'A'..=b'Y' => *last + 1,
                _ => b'0',
            };
        }
        self.text[span].copy_from_slice(&sum);
    }
}

/// One character of a class, printable if the class has any.
fn pick(class: &Class, random: &mut Random) -> Vec<u8> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Bytes(c) => c.ranges().iter().map(|r| (u32::from(r.start()), u32::from(r.end()))).collect(),
        Class::Unicode(c) => c.ranges().iter().map(|r| (r.start() as u32, r.end() as u32)).collect(),
    };
    let within = |low: u32, high: u32| -> Vec<(u32, u32)> {
        ranges.iter().map(|&(a, b)| (a.max(low), b.min(high))).filter(|(a, b)| a <= b).collect()
    };
    let alphanumeric = [within(0x30, 0x39), within(0x41, 0x5a), within(0x61, 0x7a)].concat();
    let printable = if alphanumeric.is_empty() { within(0x21, 0x7e) } else { alphanumeric };
    let ranges = if printable.is_empty() { ranges } else { printable };
    let total: u32 = ranges.iter().map(|(a, b)| b - a + 1).sum();
    if total == 0 {
        return Vec::new();
    }
    let mut at = random.below(total as usize) as u32;
    for (a, b) in ranges {
        if at <= b - a {
            let c = a + at;
            return if matches!(class, Class::Bytes(_)) || c < 128 {
                vec![c as u8]
            } else {
                char::from_u32(c).map(|c| c.to_string().into_bytes()).unwrap_or_default()
            };
        }
        at -= b - a + 1;
    }
    Vec::new()
}
