//! Escapes inside lines: percent-encoding, those of JSON, C and shells, and terminal colours.
//!
//! Contract: what a line decodes to depends on that line alone.

use std::ops::Range;

use super::decode::{Decoded, MAX_BLOCK, line_end, line_start};

/// Lines with escapes that hide something: `%41`, `\u0041`, `\x41`, `\/`, and `\n`, `\t`, `\r` or a terminal colour right
/// before a word.
pub(super) fn lines(text: &[u8], range: Range<usize>, found: &mut dyn FnMut(Decoded)) {
    let mut at = range.start;
    while let Some(hit) = memchr::memchr3(b'\\', b'%', 0x1b, &text[at..range.end]) {
        let here = at + hit;
        if !hides(&text[here..range.end]) {
            // Skip the escaped character too: `\\n` is a backslash and an n.
            at = (here + if text[here] == b'\\' { 2 } else { 1 }).min(range.end);
            continue;
        }
        let line = line_start(text, here).max(range.start)..line_end(text, here).min(range.end);
        let percent = text[here] == b'%';
        let content = &text[line.clone()];
        if content.len() <= MAX_BLOCK {
            let (layer, bytes) = if percent { ("percent", unpercent(content)) } else { ("escape", unescape(content)) };
            found(Decoded { range: line.clone(), layers: vec![layer], bytes });
            // The other kind of escape in the same line.
            let other = if percent { b'\\' } else { b'%' };
            let more = memchr::memchr_iter(other, content).any(|i| hides(&content[i..]));
            if more {
                let (layer, bytes) =
                    if percent { ("escape", unescape(content)) } else { ("percent", unpercent(content)) };
                found(Decoded { range: line.clone(), layers: vec![layer], bytes });
            }
        }
        at = line.end.max(here + 1);
    }
}

/// Whether the escape at the start of `text` can hide part of a token.
fn hides(text: &[u8]) -> bool {
    let hex = |range: Range<usize>| text.get(range).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit));
    let word = |at: usize| text.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    match (text[0], text.get(1)) {
        (0x1b, _) => colour(text).is_some_and(word),
        (b'%', _) => hex(1..3) && text.get(1).is_some_and(|b| (b'2'..=b'7').contains(b)),
        (b'\\', Some(b'u')) => text.get(2..4) == Some(b"00") && hex(4..6),
        (b'\\', Some(b'x')) => hex(2..4),
        (b'\\', Some(b'/')) => word(2),
        (b'\\', Some(b'n' | b't' | b'r')) => word(2),
        _ => false,
    }
}

/// Length of the terminal colour sequence at the start of `text`: logs have them right before a value.
fn colour(text: &[u8]) -> Option<usize> {
    let parameters =
        text.strip_prefix(b"\x1b[")?.iter().take(24).take_while(|b| b.is_ascii_digit() || **b == b';').count();
    (text.get(2 + parameters) == Some(&b'm')).then_some(parameters + 3)
}

/// `%41` to `A`; everything else stays.
pub fn unpercent(line: &[u8]) -> Vec<u8> {
    let nibble = |c: Option<&u8>| c.and_then(|c| (*c as char).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(line.len());
    let mut i = 0;
    while i < line.len() {
        match (line[i], nibble(line.get(i + 1)), nibble(line.get(i + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                i += 3;
            }
            (b, _, _) => {
                out.push(b);
                i += 1;
            }
        }
    }
    out
}

/// Backslash escapes of JSON, JavaScript, C and shells to what they mean; unknown ones stay.
fn unescape(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut i = 0;
    while i < line.len() {
        let rest = &line[i..];
        let hex = |range: Range<usize>| {
            let digits = std::str::from_utf8(rest.get(range)?).ok()?;
            u32::from_str_radix(digits, 16).ok()
        };
        if let Some(length) = colour(rest) {
            out.push(b' ');
            i += length;
            continue;
        }
        let (taken, plain) = match (rest[0], rest.get(1)) {
            (b'\\', Some(b'n')) => (2, Some(u32::from(b'\n'))),
            (b'\\', Some(b'r')) => (2, Some(u32::from(b'\r'))),
            (b'\\', Some(b't')) => (2, Some(u32::from(b'\t'))),
            (b'\\', Some(c @ (b'/' | b'"' | b'\'' | b'\\'))) => (2, Some(u32::from(*c))),
            (b'\\', Some(b'x')) => (4, hex(2..4)),
            (b'\\', Some(b'u')) => (6, hex(2..6)),
            _ => (1, None),
        };
        match plain.and_then(char::from_u32) {
            Some(c) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                i += taken;
            }
            None => {
                out.push(rest[0]);
                i += 1;
            }
        }
    }
    out
}
