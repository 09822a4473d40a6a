//! Leaves a host alone that keeps failing.
//!
//! Contract: a host is left alone after so many failures in a row; after a pause one request goes through, and its outcome
//! decides; pauses grow. Pure: the time is given.

use std::time::Duration;

use tokio::time::Instant;

/// The longest pause, in first pauses.
const LONGEST: u32 = 8;

/// The state of one host.
#[derive(Debug)]
pub struct Breaker {
    most: u32,
    pause: Duration,
    failures: u32,
    answered: bool,
    /// How often it opened since the last answer.
    openings: u32,
    closed_until: Option<Instant>,
    /// A request is out that decides.
    probing: bool,
}

/// Whether a request may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Yes.
    Now,
    /// The host answered before and has just begun to fail: worth waiting for.
    At(Instant),
    /// It never answered, or still fails after a pause: no.
    No,
}

impl Breaker {
    /// Opens after `most` failures in a row, for `pause` at first.
    pub fn new(most: u32, pause: Duration) -> Self {
        Self { most, pause, failures: 0, answered: false, openings: 0, closed_until: None, probing: false }
    }

    /// Whether a request may go out now.
    pub fn look(&self, now: Instant) -> Allowed {
        match self.closed_until {
            Some(until) if now < until && self.answered && self.openings == 1 => Allowed::At(until),
            Some(until) if now < until => Allowed::No,
            _ => Allowed::Now,
        }
    }

    /// The same for one that is about to go out. After the pause that is one, and another one after another pause: a probe that
    /// never ends does not block the host for ever.
    pub fn allow(&mut self, now: Instant) -> Allowed {
        let allowed = self.look(now);
        if allowed == Allowed::Now && self.closed_until.is_some() {
            self.closed_until = Some(now + self.pause);
            self.probing = true;
        }
        allowed
    }

    /// The host answered.
    pub fn success(&mut self) {
        *self = Self { answered: true, ..Self::new(self.most, self.pause) };
    }

    /// The host failed. What was under way when it was closed closes it no further.
    pub fn failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let open = self.closed_until.is_some();
        if self.failures < self.most || (open && !self.probing) {
            return;
        }
        self.probing = false;
        self.openings = self.openings.saturating_add(1);
        self.closed_until = Some(now + self.pause * self.openings.min(LONGEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_probes_and_closes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::new(2, Duration::from_secs(10));
        breaker.failure(at(0));
        breaker.success();
        breaker.failure(at(0));
        assert_eq!(breaker.allow(at(0)), Allowed::Now, "failures that are not in a row");
        breaker.failure(at(1));
        breaker.failure(at(2));
        assert_eq!(breaker.allow(at(10)), Allowed::At(at(11)), "it answered before");
        assert_eq!(breaker.allow(at(11)), Allowed::Now, "a probe");
        assert_ne!(breaker.allow(at(12)), Allowed::Now, "one probe only");
        breaker.failure(at(13));
        assert_eq!(breaker.allow(at(14)), Allowed::No, "it still fails: not worth waiting for");
        assert_eq!(breaker.allow(at(33)), Allowed::Now, "after a longer pause");
        breaker.success();
        assert_eq!([breaker.allow(at(33)), breaker.allow(at(33))], [Allowed::Now; 2]);
        let mut never = Breaker::new(1, Duration::from_secs(10));
        never.failure(at(0));
        assert_eq!(never.allow(at(1)), Allowed::No, "it never answered");
    }
}
