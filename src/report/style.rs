//! How values look to people: colours, counts, sizes, moments, addresses.
//!
//! Contract: pure functions; what comes from scanned content leaves here printable or does not leave.

use std::borrow::Cow;
use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style as Ansi};
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::model::{Confidence, Severity, Signature, Validity};
use crate::notes::printable;

/// Whether to use colours; the caller decides by flag, `NO_COLOR` and terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    color: bool,
}

impl Style {
    /// With or without colours.
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    /// What a reader must see first.
    pub(crate) fn bold<T: Display>(self, text: T) -> Painted<T> {
        self.paint(Ansi::new().bold(), text)
    }

    /// Labels and other help for the eye.
    pub(crate) fn dim<T: Display>(self, text: T) -> Painted<T> {
        self.paint(Ansi::new().dimmed(), text)
    }

    /// Something that needs attention.
    pub(crate) fn warn<T: Display>(self, text: T) -> Painted<T> {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// The more certain, the louder.
    pub(crate) fn confidence(self, confidence: Confidence) -> Painted<Confidence> {
        let style = match confidence {
            Confidence::Certain => AnsiColor::Red.on_default().bold(),
            Confidence::High => AnsiColor::Red.on_default(),
            Confidence::Medium => AnsiColor::Yellow.on_default(),
            Confidence::Low => Ansi::new().dimmed(),
        };
        self.paint(style, confidence)
    }

    /// The more urgent, the louder.
    pub(crate) fn severity(self, severity: Severity) -> Painted<&'static str> {
        let style = match severity {
            Severity::Critical => AnsiColor::Red.on_default().bold(),
            Severity::High => AnsiColor::Red.on_default(),
            Severity::Medium => AnsiColor::Yellow.on_default(),
            Severity::Low | Severity::Info => Ansi::new().dimmed(),
        };
        self.paint(style, severity.as_str())
    }

    /// `active`, `inactive (reason)`, `unknown (reason)`.
    pub(crate) fn validity(self, validity: &Validity, reason: &str) -> Painted<String> {
        let style = match validity {
            Validity::Active => AnsiColor::Red.on_default().bold(),
            Validity::Inactive => AnsiColor::Green.on_default(),
            Validity::Unknown(_) => Ansi::new(),
        };
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        self.paint(style, format!("{}{reason}", validity.as_str()))
    }

    fn paint<T>(self, style: Ansi, text: T) -> Painted<T> {
        Painted { style: if self.color { style } else { Ansi::new() }, text }
    }
}

/// Text with a colour around it, or none.
pub(crate) struct Painted<T> {
    style: Ansi,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.style.render(), self.text, self.style.render_reset())
    }
}

/// `1 file`, `2 files`, `12,345 files`; `many` is the plural.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// `12345` as `12,345`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `999 B`, `1.5 KiB`, `120 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // At 1023.5 and above, no decimals would show as "1024".
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `12 ms`, `1.2 s`, `3 min 20 s`.
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}

/// RFC 3339 with the offset of the place where it was written. `None` if the year does not have four digits: git
/// objects may claim anything. An offset of a day or more is not believed and the moment given in UTC.
pub(crate) fn rfc3339(seconds: i64, offset_minutes: i32) -> Option<String> {
    const DAY: i32 = 24 * 60;
    let moment = Timestamp::from_second(seconds).ok()?;
    let text = if offset_minutes == 0 || !(1 - DAY..DAY).contains(&offset_minutes) {
        moment.to_string()
    } else {
        moment.display_with_offset(Offset::from_seconds(offset_minutes * 60).ok()?).to_string()
    };
    text.as_bytes().first().is_some_and(u8::is_ascii_digit).then_some(text)
}

/// The moment of a signature for people: ISO 8601, or what it claims.
pub(crate) fn date(signature: &Signature) -> String {
    rfc3339(signature.time, signature.offset)
        .unwrap_or_else(|| format!("impossible date ({} s since 1970)", signature.time))
}

/// A part of a credential as text: printable, at most 200 characters, without the password of a URL.
pub(crate) fn part(value: &[u8], secrets: &[&[u8]]) -> String {
    const LONGEST: usize = 200;
    let value =
        secrets.iter().fold(Cow::Borrowed(value), |value, secret| Cow::Owned(without(&value, secret).into_owned()));
    let text = printable(without_passwords(&String::from_utf8_lossy(&value)).as_bytes());
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Replaces a whole secret inside a part.
fn without<'a>(value: &'a [u8], secret: &[u8]) -> Cow<'a, [u8]> {
    if secret.is_empty() || memchr::memmem::find(value, secret).is_none() {
        return Cow::Borrowed(value);
    }
    let (mut out, mut done) = (Vec::new(), 0);
    for at in memchr::memmem::find_iter(value, secret) {
        out.extend_from_slice(&value[done..at]);
        out.extend_from_slice(b"(redacted)");
        done = at + secret.len();
    }
    out.extend_from_slice(&value[done..]);
    Cow::Owned(out)
}

/// Replaces `password` in every `scheme://user:password@host`. In doubt too much: a password may hold `/`, `?`, `#`.
pub(crate) fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(after.len());
        out.push_str(before);
        let (url, next) = after.split_at(end);
        match (url.find(':'), url.rfind('@')) {
            (Some(colon), Some(host)) if colon < host => {
                out.push_str(&url[..=colon]);
                out.push_str("(redacted)");
                out.push_str(&url[host..]);
            }
            _ => out.push_str(url),
        }
        rest = next;
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([0, 7, 999, 1000, 1_234_567].map(thousands), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "file", "files") + &count(2, "file", "files"), "1 file2 files");
        assert_eq!(
            [0, 1023, 1024, 10_188, 10_240, 1_048_575, 1 << 20, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "9.9 KiB", "10 KiB", "1.0 MiB", "1.0 MiB", "16 EiB"]
        );
        assert_eq!([0, 999, 1250, 59_999, 200_000].map(duration), ["0 ms", "999 ms", "1.2 s", "59.9 s", "3 min 20 s"]);
    }

    #[test]
    fn moments() {
        assert_eq!(rfc3339(0, 0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_700_000_000, 330).unwrap(), "2023-11-15T03:43:20+05:30");
        assert_eq!(rfc3339(1_700_000_000, -60).unwrap(), "2023-11-14T21:13:20-01:00");
        assert_eq!(rfc3339(1_700_000_000, 24 * 60).unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(1_700_000_000, i32::MIN).unwrap(), "2023-11-14T22:13:20Z");
        for (hostile, offset) in [(i64::MIN, 0), (i64::MAX, 1439), (253_402_300_800, -1439), (-62_167_219_201, 0)] {
            assert_eq!(rfc3339(hostile, offset), None, "{hostile}");
        }
    }

    #[test]
    fn passwords_leave_urls() {
        for (text, shown) in [
            ("plain", "plain"),
            ("https://host/path", "https://host/path"),
            ("https://user@host", "https://user@host"),
            ("x://u:p@h y://v:q/r@s@i:1/z", "x://u:(redacted)@h y://v:(redacted)@i:1/z"),
            ("x://host:80/a", "x://host:80/a"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }

    #[test]
    fn parts_are_printable_short_and_without_the_secret() {
        assert_eq!(part(b"a\x1b[2Jb", &[]), "a\\u{1b}[2Jb");
        assert_eq!(part(b"u=hunter2-swordfish;", &[b"hunter2", b"swordfish"]), "u=(redacted)-(redacted);");
        assert_eq!(part("\u{e9}".repeat(300).as_bytes(), &[]).chars().count(), 201);
    }

    #[test]
    fn colours_only_when_asked() {
        assert_eq!(Style::new(false).bold("x").to_string(), "x");
        assert_eq!(Style::new(true).bold("x").to_string(), "\u{1b}[1mx\u{1b}[0m");
        assert_eq!(Style::default().validity(&Validity::Unknown(String::new()), "why").to_string(), "unknown (why)");
    }
}
