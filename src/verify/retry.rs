//! Whether and when a request is sent again.
//!
//! Contract: only requests that do no harm twice; what an issuer says about waiting is done; waits of our own grow and are
//! jittered, so that many runs do not come back at the same moment.

use std::time::{Duration, SystemTime};

use super::transport::{Failure, Reply};

/// How often a request is sent at most, whatever happens.
pub const MOST_ATTEMPTS: u32 = 6;
/// How often at most because of rate limits alone, and because of failures alone.
const LIMITED_ATTEMPTS: u32 = 5;
const FAILED_ATTEMPTS: u32 = 3;
/// How often at most where each attempt may have cost a whole time-out.
const SLOW_ATTEMPTS: u32 = 2;

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This is the result.
    Done,
    /// Again, after a pause of this request alone.
    Again(Duration),
    /// The issuer limits us: the whole host rests so long, then again if attempts are left.
    Rest {
        /// How long.
        pause: Duration,
        /// Whether this request may be sent again.
        again: bool,
    },
}

/// Whether an issuer limits us: such attempts are counted apart from those that fail.
pub fn is_limit(result: &Result<Reply, Failure>, now: SystemTime) -> bool {
    let status = result.as_ref().map_or(0, |reply| reply.status);
    status == 429 || (matches!(status, 403 | 503) && result.as_ref().is_ok_and(|r| asked_to_wait(r, now).is_some()))
}

/// What follows the attempt of its kind number `attempt` (from 1). `jitter` is between 0 and 1.
pub fn next(result: &Result<Reply, Failure>, attempt: u32, repeatable: bool, now: SystemTime, jitter: f64) -> Next {
    let wait =
        |base: f64| Duration::from_secs_f64(base * f64::from(1 << attempt.min(6).saturating_sub(1)) * (0.5 + jitter));
    let again = |most: u32, base: f64| match repeatable && attempt < most {
        true => Next::Again(wait(base)),
        false => Next::Done,
    };
    match result {
        Ok(reply) => match reply.status {
            403 | 429 | 503 if asked_to_wait(reply, now).is_some() => {
                let asked = asked_to_wait(reply, now).unwrap_or_default();
                let pause = asked + Duration::from_secs_f64(jitter / 4.0);
                Next::Rest { pause, again: repeatable && attempt < LIMITED_ATTEMPTS }
            }
            429 => Next::Rest { pause: wait(0.5), again: repeatable && attempt < LIMITED_ATTEMPTS },
            408 | 425 | 500 | 502..=504 | 520..=527 => again(FAILED_ATTEMPTS, 0.25),
            _ => Next::Done,
        },
        Err(Failure::Broken(_)) => again(FAILED_ATTEMPTS, 0.25),
        Err(Failure::TimedOut | Failure::Unreachable(_)) => again(SLOW_ATTEMPTS, 0.25),
        Err(_) => Next::Done,
    }
}

/// Whether a reply or failure says something about the health of the host.
pub fn is_sick(result: &Result<Reply, Failure>) -> bool {
    match result {
        Ok(reply) => matches!(reply.status, 502..=504) && reply.header("retry-after").is_none(),
        Err(failure) => matches!(failure, Failure::TimedOut | Failure::Broken(_) | Failure::Unreachable(_)),
    }
}

/// How long the issuer asks to wait: `Retry-After` in seconds or as a date, else the end of a limit that is used up.
pub fn asked_to_wait(reply: &Reply, now: SystemTime) -> Option<Duration> {
    if let Some(text) = reply.header("retry-after") {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            // Hours beyond any run, but no overflow.
            return seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        return Some(date.duration_since(now).unwrap_or_default());
    }
    if reply.header("x-ratelimit-remaining")?.trim() != "0" {
        return None;
    }
    let reset: u64 = reply.header("x-ratelimit-reset")?.trim().parse().ok()?;
    // Some issuers give the moment, some the seconds until then.
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
    if reset < 1_000_000_000 {
        return Some(Duration::from_secs(reset));
    }
    Some(moment.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn reply(status: u16, headers: &[(&str, &str)]) -> Reply {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Reply { status, headers, ..Reply::default() }
    }

    fn asked(headers: &[(&str, &str)], now: SystemTime) -> Option<u64> {
        asked_to_wait(&reply(429, headers), now).map(|d| d.as_secs())
    }

    #[test]
    fn what_issuers_ask_for() {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(asked(&[("retry-after", " 7 ")], then), Some(7));
        assert_eq!(asked(&[("retry-after", "-3")], then), Some(0));
        assert_eq!(asked(&[("retry-after", "1e300")], then), Some(1_000_000_000));
        assert_eq!(asked(&[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT")], then), Some(30));
        assert_eq!(asked(&[("retry-after", "Tue, 14 Nov 2023 22:00:00 GMT")], then), Some(0));
        assert_eq!(asked(&[("retry-after", "soon")], then), None);
        assert_eq!(asked(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060")], then), Some(60));
        assert_eq!(asked(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")], then), Some(20));
        assert_eq!(asked(&[("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "1700000060")], then), None);
        assert_eq!(asked(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "18446744073709551615")], then), None);
    }

    #[test]
    fn what_follows_what() {
        let next = |result: Result<Reply, Failure>, attempt, repeatable| next(&result, attempt, repeatable, NOW, 0.5);
        let rest = |seconds: f64, again| Next::Rest { pause: Duration::from_secs_f64(seconds), again };
        let again = |seconds: f64| Next::Again(Duration::from_secs_f64(seconds));
        let later = [("retry-after", "2")];
        assert_eq!(next(Ok(reply(200, &later)), 1, true), Next::Done);
        assert_eq!(next(Ok(reply(429, &later)), 1, true), rest(2.125, true));
        assert_eq!(next(Ok(reply(403, &later)), 1, true), rest(2.125, true));
        assert_eq!(next(Ok(reply(403, &[])), 1, true), Next::Done);
        assert_eq!(next(Ok(reply(429, &[])), 2, true), rest(1.0, true));
        assert_eq!(next(Ok(reply(429, &[])), 5, true), rest(8.0, false));
        assert_eq!(next(Ok(reply(429, &[])), 1, false), rest(0.5, false));
        assert_eq!(next(Ok(reply(500, &[])), 2, true), again(0.5));
        assert_eq!(next(Ok(reply(500, &[])), 3, true), Next::Done);
        assert_eq!(next(Ok(reply(500, &[])), 1, false), Next::Done);
        assert_eq!(next(Err(Failure::TimedOut), 1, true), again(0.25));
        assert_eq!(next(Err(Failure::TimedOut), 2, true), Next::Done);
        assert_eq!(next(Err(Failure::Refused(String::new())), 1, true), Next::Done);
    }
}
