//! Leaves a host alone that keeps failing.
//!
//! Contract: a host is left alone after so many failures in a row; after a pause one request goes through, and its outcome
//! decides. Pure: the time is given.

use std::time::Duration;

use tokio::time::Instant;

/// The state of one host.
#[derive(Debug)]
pub struct Breaker {
    most: u32,
    pause: Duration,
    failures: u32,
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Opens after `most` failures in a row, for `pause`.
    pub fn new(most: u32, pause: Duration) -> Self {
        Self { most, pause, failures: 0, closed_until: None }
    }

    /// Whether a request may go out now. After the pause it may once, and again after another pause: a probe that never ends
    /// does not block the host for ever.
    pub fn allow(&mut self, now: Instant) -> bool {
        match self.closed_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.closed_until = Some(now + self.pause);
                true
            }
            None => true,
        }
    }

    /// The host answered.
    pub fn success(&mut self) {
        self.failures = 0;
        self.closed_until = None;
    }

    /// The host failed.
    pub fn failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.most {
            self.closed_until = Some(now + self.pause);
        }
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
        assert!(breaker.allow(at(0)), "failures that are not in a row");
        breaker.failure(at(1));
        assert!(!breaker.allow(at(10)));
        assert!(breaker.allow(at(11)), "a probe");
        assert!(!breaker.allow(at(12)), "one probe only");
        breaker.failure(at(13));
        assert!(!breaker.allow(at(22)));
        assert!(breaker.allow(at(23)));
        breaker.success();
        assert!(breaker.allow(at(23)) && breaker.allow(at(23)));
    }
}
