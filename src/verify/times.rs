//! Times as issuers write them, made RFC 3339.
//!
//! Contract: what cannot be read stays as it is; what means "never" is nothing.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// The longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 64;
/// Above this a number counts milliseconds: as seconds it would lie in the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// A time as RFC 3339 in UTC where it can be read, else as it is. `None` for what says that there is no such time: an empty
/// text, `0`, `-1`, `never`, or the year 1 that some servers send.
pub fn normal(text: &str) -> Option<String> {
    let text = text.trim();
    let nothing = ["", "0", "-1", "never", "null", "none"].contains(&text.to_ascii_lowercase().as_str());
    if nothing || text.starts_with("0001-01-01") {
        return None;
    }
    Some(read(text).map_or_else(|| text.to_owned(), |t| t.to_string()))
}

/// Reads a time.
pub fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_LENGTH || !text.is_ascii() {
        return None;
    }
    number(text)
        .or_else(|| text.parse::<Timestamp>().ok())
        .or_else(|| rfc2822::parse(text).ok().map(|z| z.timestamp()))
        .or_else(|| with_zone(text))
        .or_else(|| utc(text.parse().ok()?))
        .or_else(|| utc(text.parse::<Date>().ok()?.into()))
}

fn utc(civil: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// Unix seconds, perhaps with a fraction, or milliseconds.
fn number(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    // Eight digits and less are a date (20260101) or a counter.
    if whole.len() < 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let n: i64 = whole.parse().ok()?;
    if n >= MILLISECONDS { Timestamp::from_millisecond(n).ok() } else { Timestamp::from_second(n).ok() }
}

/// `2026-01-01 00:00:00 UTC`, `... +0000`, `... GMT`, `2026-01-01T00:00:00+0000`.
fn with_zone(text: &str) -> Option<Timestamp> {
    let civil = [" UTC", " GMT", " Z"].iter().find_map(|zone| text.strip_suffix(zone));
    if let Some(civil) = civil {
        return utc(civil.trim().parse().ok()?);
    }
    let sign = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (civil, offset) = text.split_at(sign);
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rfc = format!("{}{}{}:{}", civil.trim().replacen(' ', "T", 1), &offset[..1], &digits[..2], &digits[2..]);
    rfc.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_moment() {
        let forms = [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T04:04:05+01:00",
            "2026-01-02 03:04:05 UTC",
            "2026-01-02 03:04:05 +0000",
            "2026-01-02T05:04:05+0200",
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05",
            "Fri, 02 Jan 2026 03:04:05 GMT",
            "1767323045",
            "1767323045000",
            " 2026-01-02T03:04:05Z ",
        ];
        for form in forms {
            assert_eq!(normal(form).as_deref(), Some("2026-01-02T03:04:05Z"), "{form}");
        }
        assert_eq!(normal("2026-01-02").as_deref(), Some("2026-01-02T00:00:00Z"));
        assert_eq!(normal("2026-01-02T03:04:05.250Z").as_deref(), Some("2026-01-02T03:04:05.25Z"));
    }

    #[test]
    fn what_is_none_or_cannot_be_read() {
        for never in ["", "  ", "0", "-1", "never", "Never", "0001-01-01T00:00:00Z"] {
            assert_eq!(normal(never), None, "{never}");
        }
        for odd in ["next Tuesday", "2026-13-45", "99999999999999999999", "12:00", "é", "2026-01-02T03:04:05+9"] {
            assert_eq!(normal(odd).as_deref(), Some(odd));
        }
    }
}
