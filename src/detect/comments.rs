//! Inline comments that ask a scanner to look away, as users of other scanners already have them in their files.
//!
//! Contract: the comment stands in the line of the finding; `nextline` ones in the line before.

use memchr::memmem;

use super::decode::{line_end, line_start};

const SAME_LINE: &[&[u8]] = &[
    b"unsprawl:allow",
    b"gitleaks:allow",
    b"betterleaks:allow",
    b"trufflehog:ignore",
    b"kingfisher:ignore",
    b"pragma: allowlist secret",
    b"pragma: whitelist secret",
];
const NEXT_LINE: &[&[u8]] =
    &[b"unsprawl:allow-next-line", b"pragma: allowlist nextline secret", b"pragma: whitelist nextline secret"];
/// A comment further away than this is not looked for (lines of minified files).
const FAR: usize = 4096;

/// Whether a comment asks to ignore what stands in `text[start..end]`.
pub fn ignores(text: &[u8], start: usize, end: usize) -> bool {
    let first = line_start(text, start).max(start.saturating_sub(FAR));
    let last = line_end(text, end).min(end + FAR);
    // A comment may stand at either end of a value of several lines (a private key).
    let head = &text[first..line_end(text, start).min(last)];
    let tail = &text[line_start(text, end).max(first)..last];
    let same = |line: &[u8]| {
        SAME_LINE.iter().any(|c| {
            let seen = memmem::find(line, c);
            seen.is_some_and(|at| !line[at..].starts_with(b"unsprawl:allow-next-line"))
        })
    };
    if same(head) || same(tail) {
        return true;
    }
    if first == 0 || text[first - 1] != b'\n' {
        return false;
    }
    let before = line_start(text, first - 1).max(first.saturating_sub(FAR))..first;
    NEXT_LINE.iter().any(|c| memmem::find(&text[before.clone()], c).is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn comments_count_in_their_own_line() {
        let at = |text: &str| text.find("KEY").unwrap();
        for (text, want) in [
            ("KEY # gitleaks:allow\n", true),
            ("# gitleaks:allow\nKEY\n", false),
            ("# pragma: allowlist nextline secret\nKEY\n", true),
            ("# unsprawl:allow-next-line\nKEY\n", true),
            ("KEY # unsprawl:allow-next-line\nKEX\n", false),
            ("KEY // kingfisher:ignore", true),
            ("KEY\n# trufflehog:ignore", false),
        ] {
            assert_eq!(ignores(text.as_bytes(), at(text), at(text) + 3), want, "{text:?}");
        }
    }
}
