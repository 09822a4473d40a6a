//! What one run of base64 or hex stands for.

use std::io::Read;
use std::ops::Range;

use base64::Engine;

use super::decode::{Decoded, MAX_EXPANDED};
use super::structure::{STANDARD, URL_SAFE};

/// A character of either base64 alphabet.
pub(super) const fn is_base64(b: u8) -> bool {
    VALUES[b as usize] < 64
}

/// Whether the first characters may be text or compressed data as hex. A path, an identifier or a hash is encoded by its characters;
/// such a look tells nearly all of them apart.
fn as_hex(characters: &[u8]) -> bool {
    first_of_hex(characters).is_some_and(|first| promising(&first))
}

/// The same as base64.
fn as_base64(characters: &[u8]) -> bool {
    first_bytes(characters).is_some_and(|first| promising(&first))
}

/// Whether the first characters may stand for text or compressed data, either way.
pub(super) fn is_promising(characters: &[u8]) -> bool {
    as_hex(characters) || as_base64(characters)
}

/// Calls `found` with what the characters of a run stand for, if that is text. `cut` is called when a limit left something out.
pub(super) fn decode(
    characters: &[u8],
    run: &Range<usize>,
    found: &mut dyn FnMut(Decoded),
    cut: &mut dyn FnMut(&'static str),
) {
    let mut emit = |layer: &'static str, bytes: Vec<u8>| {
        let mut layers = vec![layer];
        if let Some(bytes) = unpack(bytes, &mut layers, cut) {
            found(Decoded { range: run.clone(), layers, bytes });
        }
    };
    let characters = characters.trim_ascii_end();
    let characters = characters.strip_suffix(b"==").or(characters.strip_suffix(b"=")).unwrap_or(characters);
    if characters.len().is_multiple_of(2) && characters.iter().all(u8::is_ascii_hexdigit) {
        if let Some(bytes) = from_hex(characters).filter(|_| as_hex(characters)) {
            emit("hex", bytes);
        }
        return;
    }
    let url_safe = characters.iter().any(|b| matches!(b, b'-' | b'_'));
    if !as_base64(characters) || url_safe && characters.iter().any(|b| matches!(b, b'+' | b'/')) {
        return;
    }
    let usable = &characters[..characters.len() - usize::from(characters.len() % 4 == 1)];
    let engine = if url_safe { URL_SAFE } else { STANDARD };
    if let Ok(bytes) = engine.decode(usable) {
        emit("base64", bytes);
    }
}

/// What the first 16 characters stand for, in either alphabet.
fn first_bytes(characters: &[u8]) -> Option<[u8; 12]> {
    let mut bytes = [0; 12];
    let (fours, _) = characters.get(..16)?.as_chunks::<4>();
    let (threes, _) = bytes.as_chunks_mut::<3>();
    for (four, three) in fours.iter().zip(threes) {
        let value = four.map(|c| u32::from(VALUES[usize::from(c)]));
        let [a, b, c, d] = value;
        (a | b | c | d < 64).then_some(())?;
        three.copy_from_slice(&(a << 18 | b << 12 | c << 6 | d).to_be_bytes()[1..]);
    }
    Some(bytes)
}

/// What each character of both base64 alphabets stands for, 255 for others.
static VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut values, mut i) = ([255; 256], 0);
    while i < 64 {
        values[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};

/// Whether decoded bytes may be text or compressed data.
fn promising(head: &[u8]) -> bool {
    let text = |b: &u8| (0x20..0x7f).contains(b) || matches!(b, b'\n' | b'\r' | b'\t');
    head.starts_with(&[0x1f, 0x8b, 8])
        || zlib_header(head)
        || head.iter().all(text)
        || std::str::from_utf8(head).or_else(|e| if e.error_len().is_none() { Ok("") } else { Err(e) }).is_ok()
            && !head.iter().any(|b| *b < 0x20 && !text(b))
        // UTF-16 of ASCII, as PowerShell's -EncodedCommand has it.
        || head.chunks_exact(2).all(|p| text(&p[0]) && p[1] == 0)
}

fn zlib_header(head: &[u8]) -> bool {
    matches!(head, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..])
}

/// Undoes compression and UTF-16 below an encoding; `None` if what is left is no text.
fn unpack(bytes: Vec<u8>, layers: &mut Vec<&'static str>, cut: &mut dyn FnMut(&'static str)) -> Option<Vec<u8>> {
    let expanded = if bytes.starts_with(&[0x1f, 0x8b, 8]) {
        layers.push("gzip");
        expand(flate2::read::MultiGzDecoder::new(bytes.as_slice()), cut)
    } else if zlib_header(&bytes) {
        layers.push("zlib");
        expand(flate2::read::ZlibDecoder::new(bytes.as_slice()), cut)
    } else {
        if bytes.len() >= 16 && bytes[..16].chunks_exact(2).all(|p| p[0] != 0 && p[1] == 0) {
            layers.push("utf-16le");
            return Some(super::text::from_utf16(&bytes, false));
        }
        return promising(&bytes[..bytes.len().min(12)]).then_some(bytes);
    };
    (!expanded.is_empty()).then_some(expanded)
}

/// Reads what can be read, up to the limit; a damaged end loses only itself.
fn expand(mut reader: impl Read, cut: &mut dyn FnMut(&'static str)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buffer = [0; 16 << 10];
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        out.extend_from_slice(&buffer[..n]);
        if out.len() as u64 > MAX_EXPANDED {
            cut("compressed data inside base64");
            break;
        }
    }
    out
}

/// What the first 24 characters stand for as hex.
fn first_of_hex(characters: &[u8]) -> Option<[u8; 12]> {
    let (mut bytes, (pairs, _)) = ([0; 12], characters.get(..24)?.as_chunks());
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = from_pair(*pair)?;
    }
    Some(bytes)
}

fn from_hex(characters: &[u8]) -> Option<Vec<u8>> {
    characters.as_chunks().0.iter().map(|pair| from_pair(*pair)).collect()
}

/// The byte that two hex digits stand for.
fn from_pair(pair: [u8; 2]) -> Option<u8> {
    let [high, low] = pair.map(|c| (c as char).to_digit(16));
    Some((high? << 4 | low?) as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn first_bytes_are_those_of_the_decoder() {
        for (characters, alphabet) in [(b"+/09AZaz+/AbCdEf", STANDARD), (b"-_09AZaz-_AbCdEf", URL_SAFE)] {
            assert_eq!(first_bytes(characters).unwrap().as_slice(), alphabet.decode(characters).unwrap());
        }
        assert_eq!(first_bytes(b"+/09AZaz+/AbCdE="), None);
        assert_eq!(first_bytes(b"+/09AZaz+/AbCdE"), None);
    }
}
