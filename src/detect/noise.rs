//! Tells values that only look like credentials: placeholders, examples, sequences, words, keys known to be public.
//!
//! Contract: pure functions of the value's bytes, cheap enough to run on every match, and true to what they say: a
//! random value is dropped with a probability well under one in a thousand.

use std::collections::HashSet;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use sha2::{Digest, Sha256};

/// Why a match is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// It says that it is an example or a placeholder.
    Placeholder,
    /// Characters repeat or ascend.
    Sequence,
    /// Too little entropy for its length.
    Entropy,
    /// It reads like words, an identifier or a path.
    Words,
    /// A key published on purpose by its issuer or a standard.
    KnownPublic,
}

/// Words that give a placeholder away, in lower case. Each has at least five letters, or digits that make it as rare in
/// random text.
const PLACEHOLDERS: &[&[u8]] = &[
    b"example",
    b"placeholder",
    b"changeme",
    b"change_me",
    b"change-me",
    b"replaceme",
    b"replace_me",
    b"replace-me",
    b"redacted",
    b"insert",
    b"dummy",
    b"sample",
    b"notreal",
    b"not-real",
    b"not_real",
    b"yourkey",
    b"your_",
    b"your-",
    b"yourtoken",
    b"yourapi",
    b"mytoken",
    b"my_token",
    b"my-token",
    b"mysecret",
    b"my_secret",
    b"my-secret",
    b"fake_",
    b"fake-",
    b"fakekey",
    b"faketoken",
    b"test_token",
    b"testtoken",
    b"test-token",
    b"token_here",
    b"token-here",
    b"key_here",
    b"key-here",
    b"goes_here",
    b"goes-here",
    b"goeshere",
    b"secret_here",
    b"foobar",
    b"foo_bar",
    b"barbaz",
    b"12345678",
    b"87654321",
    b"abcdefgh",
    b"deadbeef",
    b"0123456",
    b"qwerty",
    b"asdfgh",
    b"invalid",
    b"undefined",
    b"censored",
    b"todo_",
    b"fixme",
    b"<your",
    b"<token",
    b"<secret",
];

/// Decides on one value. `body` is the part without prefix and checksum; `whole` the value. Armoured keys are only
/// compared with the known public ones: their structure is checked elsewhere.
pub fn check(whole: &[u8], body: &[u8], entropy: Option<f32>, words: bool) -> Option<Noise> {
    if whole.starts_with(b"-----BEGIN") {
        return known_public(whole).then_some(Noise::KnownPublic);
    }
    if is_placeholder(whole) || has_run(body) {
        return Some(Noise::Placeholder);
    }
    if is_sequence(body) {
        return Some(Noise::Sequence);
    }
    let least = entropy.unwrap_or(match body.len() {
        24.. => 3.0,
        12..=23 => 2.5,
        _ => 0.0,
    });
    if least > 0.0 && shannon(body) < least {
        return Some(Noise::Entropy);
    }
    if words && reads_like_words(body) {
        return Some(Noise::Words);
    }
    known_public(whole).then_some(Noise::KnownPublic)
}

/// Shannon entropy in bits per byte.
pub fn shannon(value: &[u8]) -> f32 {
    if value.is_empty() {
        return 0.0;
    }
    let mut counts = [0u32; 256];
    value.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let total = value.len() as f32;
    counts.iter().filter(|c| **c > 0).map(|c| *c as f32 / total).map(|p| -p * p.log2()).sum()
}

/// Whether it says of itself that it is no real value, or is a template to be filled in.
pub fn is_placeholder(value: &[u8]) -> bool {
    let template = |open: &[u8], close: u8| {
        memchr::memmem::find(value, open).is_some_and(|at| value[at + open.len()..].contains(&close))
    };
    if template(b"${", b'}')
        || template(b"{{", b'}')
        || template(b"$(", b')')
        || template(b"<%", b'>')
        || template(b"#{", b'}')
    {
        return true;
    }
    if value.first() == Some(&b'<') && value.last() == Some(&b'>') {
        return true;
    }
    static WORDS: OnceLock<AhoCorasick> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let builder = AhoCorasick::builder().ascii_case_insensitive(true).build(PLACEHOLDERS);
        builder.expect("a few dozen words fit an automaton")
    });
    words.is_match(value)
}

/// Whether a host is set aside for examples and tests (RFC 2606, RFC 6761), or is this very machine.
pub fn is_example_host(host: &[u8]) -> bool {
    let host = host.to_ascii_lowercase();
    let name = host.strip_suffix(b".").unwrap_or(&host);
    let under = |domain: &[u8]| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."));
    let reserved: [&[u8]; 8] =
        [b"example.com", b"example.org", b"example.net", b"example", b"test", b"invalid", b"localhost", b"localdomain"];
    reserved.into_iter().any(under) || name.starts_with(b"127.") || matches!(name, b"::1" | b"[::1]" | b"0.0.0.0")
}

/// Whether one character stands so often in a row that somebody leant on the key. Base64 of zeros is a run of `A`.
fn has_run(value: &[u8]) -> bool {
    let limit = |b: u8| match b {
        b'x' | b'X' | b'*' | b'.' => 4,
        b'A' | b'/' => 12,
        _ => 6,
    };
    value.chunk_by(|a, b| a == b).any(|run| run.len() >= limit(run[0]))
}

/// Whether most of it is one character, a run that ascends or descends, or a short pattern over and over.
pub fn is_sequence(value: &[u8]) -> bool {
    if value.len() < 8 {
        return false;
    }
    let mut counts = [0u32; 256];
    value.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let distinct = counts.iter().filter(|c| **c > 0).count();
    if distinct <= 2 || distinct * 6 <= value.len().min(32) {
        return true;
    }
    let steps = value.windows(2).map(|w| i16::from(w[1]) - i16::from(w[0]));
    let (mut run, mut longest, mut before) = (0usize, 0usize, 0i16);
    for step in steps {
        run = if step == before && step.abs() <= 1 { run + 1 } else { usize::from(step.abs() <= 1) };
        before = step;
        longest = longest.max(run);
    }
    if longest >= 7 || longest * 2 >= value.len() {
        return true;
    }
    // Two sequences interlaced: a1b2c3d4e5f6.
    let half = |odd: usize| {
        let picked: Vec<u8> = value.iter().skip(odd).step_by(2).copied().collect();
        let steps = picked.windows(2).map(|w| w[1].wrapping_sub(w[0]) == 1);
        steps
            .fold((0, 0), |(run, most): (usize, usize), up| if up { (run + 1, most.max(run + 1)) } else { (0, most) })
            .1
    };
    if half(0) >= 4 && half(1) >= 4 {
        return true;
    }
    // A pattern of period p covers the value: abcabcabc, 0a1b0a1b.
    (1..=value.len() / 3).take(12).any(|p| value[p..].iter().zip(value).all(|(a, b)| a == b))
}

/// Whether it reads like natural language, an identifier or a path rather than random characters.
pub fn reads_like_words(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if letters * 2 < value.len() || digits * 8 > value.len() {
        return false;
    }
    let mut wordlike = 0;
    for word in words(value) {
        if word.len() >= 3 && pronounceable(word) {
            wordlike += word.len();
        }
    }
    wordlike * 10 >= letters * 7
}

/// Splits at anything that is no letter, and between `aB`.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| !b.is_ascii_alphabetic())
        .flat_map(|run| run.chunk_by(|a, b| !(a.is_ascii_lowercase() && b.is_ascii_uppercase())))
}

/// Whether a run of letters alternates vowels and consonants the way words do, in one case or capitalised.
fn pronounceable(word: &[u8]) -> bool {
    let rest_upper = word[1..].iter().filter(|b| b.is_ascii_uppercase()).count();
    if rest_upper != 0 && rest_upper != word.len() - 1 {
        return false;
    }
    let vowel = |b: &u8| matches!(b.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let vowels = word.iter().filter(|b| vowel(b)).count();
    let longest =
        word.chunk_by(|a, b| vowel(a) == vowel(b)).map(|run| if vowel(&run[0]) { run.len() + 1 } else { run.len() });
    let rare = word
        .iter()
        .filter(|b| matches!(b.to_ascii_lowercase(), b'q' | b'x' | b'z' | b'j' | b'k' | b'v' | b'w'))
        .count();
    vowels * 5 >= word.len()
        && vowels * 10 <= word.len() * 7
        && longest.max().unwrap_or(0) <= 4
        && rare * 4 <= word.len()
}

/// Whether this exact value is on the list of keys known to be public.
pub fn known_public(value: &[u8]) -> bool {
    static KNOWN: OnceLock<HashSet<[u8; 32]>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        include_str!("../../rules/known-public.txt").lines().filter_map(|line| parse_sha256(line.trim())).collect()
    });
    if known.is_empty() {
        return false;
    }
    let digest: [u8; 32] = if value.starts_with(b"-----BEGIN") {
        Sha256::digest(armour_body(value)).into()
    } else {
        Sha256::digest(value).into()
    };
    known.contains(&digest)
}

fn parse_sha256(line: &str) -> Option<[u8; 32]> {
    let id = crate::model::ObjectId::from_hex(line.as_bytes())?;
    id.as_bytes().try_into().ok()
}

/// Armour with one line a line, whatever a string literal, an indented block or a single long line made of it.
fn armour_lines(value: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(value).replace("\\r", "\n").replace("\\n", "\n");
    let ends = text.find("-----BEGIN ").and_then(|at| Some(at + 11 + text[at + 11..].find("-----")? + 5));
    if let Some(end) = ends {
        text.insert(end, '\n');
    }
    text.replace("-----END ", "\n-----END ")
}

/// An armoured key as a file of its own would have it, so that the same key is the same credential in JSON, in YAML and in a
/// file: armour lines, headers, and the body wrapped at 64. `None` for what is no armour.
pub fn normal_armour(value: &[u8]) -> Option<Vec<u8>> {
    const DASHES: &str = "-----";
    let text = armour_lines(value);
    let begin = text.strip_prefix("-----BEGIN ")?.split(DASHES).next()?.to_owned();
    let mut out = format!("-----BEGIN {begin}-----\n").into_bytes();
    for header in text.lines().filter(|l| !l.contains(DASHES) && l.contains(':')) {
        out.extend_from_slice(header.trim().as_bytes());
        out.push(b'\n');
    }
    let body = armour_body(value);
    // Not in lines that could be told apart: as it stands there, rather than without its body.
    if body.is_empty() {
        return None;
    }
    for line in body.chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    if text.contains("-----END ") {
        out.extend_from_slice(format!("-----END {begin}-----\n").as_bytes());
    }
    Some(out)
}

/// The base64 body of PEM-like armour, without white space and escaped line ends.
pub fn armour_body(value: &[u8]) -> Vec<u8> {
    let text = armour_lines(value);
    let inside = text.lines().filter(|l| !l.contains("-----") && !l.contains(':'));
    inside.flat_map(str::bytes).filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::make::Random;

    fn random(alphabet: &[u8], len: usize, r: &mut Random) -> Vec<u8> {
        (0..len).map(|_| alphabet[r.below(alphabet.len())]).collect()
    }

    #[test]
    fn random_values_are_kept() {
        let mut r = Random::new(7);
        let base62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for (alphabet, len) in
            [(&base62[..], 20), (base62, 32), (base62, 40), (&base62[..10], 35), (b"0123456789abcdef", 32)]
        {
            let dropped = (0..20_000).filter(|_| {
                let v = random(alphabet, len, &mut r);
                check(&v, &v, Some(2.6), true).is_some()
            });
            let n = dropped.count();
            assert!(n <= 20, "{n} of 20000 random values of {len} were dropped");
        }
    }

    #[test]
    fn a_key_is_the_same_however_it_is_quoted() {
        let body = format!("{}\n{}", "MIIB".repeat(16), "q83v".repeat(5));
        let file = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let json = file.replace('\n', "\\n");
        let yaml = file.replace('\n', "\n    ");
        let want = normal_armour(file.as_bytes()).unwrap();
        assert_eq!(want, file.as_bytes());
        assert_eq!(normal_armour(json.trim_end_matches("\\n").as_bytes()).unwrap(), want);
        assert_eq!(normal_armour(yaml.trim_end().as_bytes()).unwrap(), want);
        for between in ["", " "] {
            let one_line = file.trim_end().replace('\n', between);
            assert_eq!(normal_armour(one_line.as_bytes()).unwrap(), want);
        }
        assert_eq!(normal_armour(b"-----BEGIN PRIVATE KEY-----: MIIB-----END PRIVATE KEY-----"), None);
        assert_eq!(normal_armour(b"token"), None);
    }

    #[test]
    fn example_hosts() {
        for host in ["example.com", "db.Example.org.", "localhost", "a.test", "127.0.0.1", "[::1]"] {
            assert!(is_example_host(host.as_bytes()), "{host}");
        }
        for host in ["myexample.com", "test.com", "contest", "db.internal", "10.0.0.1"] {
            assert!(!is_example_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn placeholders_and_words_are_dropped() {
        for (value, why) in [
            ("AKIAIOSFODNN7EXAMPLE", Noise::Placeholder),
            ("xxxxxxxxxxxxxxxxxxxxxxxx", Noise::Placeholder),
            ("your-api-key-goes-in-here", Noise::Placeholder),
            ("${GITHUB_TOKEN_FROM_ENV}", Noise::Placeholder),
            ("klmnopqrstuvwx", Noise::Sequence),
            ("a1b2a1b2a1b2a1b2a1b2", Noise::Sequence),
            ("a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6", Noise::Sequence),
            ("getDatadogApplicationKeyFromEnvironment", Noise::Words),
            ("some/module/path/that/is/long/enough", Noise::Words),
            ("correct horse battery staple", Noise::Words),
        ] {
            assert_eq!(check(value.as_bytes(), value.as_bytes(), None, true), Some(why), "{value}");
        }
    }
}
