//! What kind of bytes a text is, and UTF-16 made readable.
//!
//! Contract: the kind depends on the first [`HEAD`] bytes alone.

/// How many leading bytes decide.
pub const HEAD: usize = 8000;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Text in an encoding that keeps ASCII.
    Text,
    /// NUL bytes among the first: only anchored tokens are searched, no decoders run.
    Binary,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
}

/// Tells the kind of a text.
pub fn kind(text: &[u8]) -> TextKind {
    let head = &text[..text.len().min(HEAD)];
    if head.starts_with(&[0xff, 0xfe]) && !head.starts_with(&[0xff, 0xfe, 0, 0]) {
        return TextKind::Utf16Le;
    }
    if head.starts_with(&[0xfe, 0xff]) {
        return TextKind::Utf16Be;
    }
    if memchr::memchr(0, head).is_none() {
        return TextKind::Text;
    }
    // UTF-16 without a mark: ASCII text has NUL in every second byte, always on the same side.
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    if head.len() >= 16 && odd * 10 >= half * 7 && even * 20 <= half {
        TextKind::Utf16Le
    } else if head.len() >= 16 && even * 10 >= half * 7 && odd * 20 <= half {
        TextKind::Utf16Be
    } else {
        TextKind::Binary
    }
}

/// UTF-16 as UTF-8; what is no character becomes U+FFFD.
pub fn from_utf16(text: &[u8], big_endian: bool) -> Vec<u8> {
    let units = text
        .chunks_exact(2)
        .map(|p| if big_endian { u16::from_be_bytes([p[0], p[1]]) } else { u16::from_le_bytes([p[0], p[1]]) });
    let chars = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    chars.filter(|c| *c != '\u{feff}').collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    }

    #[test]
    fn kinds() {
        assert_eq!(kind(b"plain"), TextKind::Text);
        assert_eq!(kind(b"\x7fELF\0\0\0\x01\0\0data"), TextKind::Binary);
        for big in [false, true] {
            let want = if big { TextKind::Utf16Be } else { TextKind::Utf16Le };
            assert_eq!(kind(&utf16("password = hunter2 and more", big)), want);
            assert_eq!(kind(&utf16("\u{feff}a", big)), want);
            assert_eq!(from_utf16(&utf16("\u{feff}caf\u{e9}", big), big), "caf\u{e9}".as_bytes());
        }
    }
}
