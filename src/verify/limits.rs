//! How much may be asked of whom.
//!
//! Contract: between two requests to one host (or for one issuer) lies at least the interval of its rate, measured where they
//! are sent; a host that asked for a pause gets it. Nothing here holds up another host.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::breaker::{Allowed, Breaker};
use super::transport::Failure;

/// Limits on asking.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second to one host.
    pub rps: f64,
    /// Requests a second for one issuer, over all its hosts; by its id.
    pub rps_issuer: BTreeMap<String, f64>,
    /// Requests to one host at the same time.
    pub per_host: usize,
    /// Requests at the same time in all.
    pub total: usize,
    /// The longest pause that is waited for; what asks for more ends as unknown.
    pub patience: Duration,
    /// Failures in a row after which a host is left alone,
    pub failures: u32,
    /// and for how long at first.
    pub leave_alone: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rps: 10.0,
            rps_issuer: BTreeMap::new(),
            per_host: 4,
            total: 128,
            patience: Duration::from_secs(60),
            failures: 5,
            leave_alone: Duration::from_secs(10),
        }
    }
}

/// Keeps the interval of a rate.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    last: tokio::sync::Mutex<Option<Instant>>,
}

impl Pace {
    /// For so many a second; none if that is no positive number.
    pub fn new(rps: f64) -> Self {
        let interval = if rps > 0.0 && rps.is_finite() {
            Duration::from_secs_f64((1.0 / rps).min(86_400.0))
        } else {
            Duration::ZERO
        };
        Self { interval, last: tokio::sync::Mutex::new(None) }
    }
}

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Its requests at the same time.
    pub slots: Semaphore,
    pace: Pace,
    rests_until: Mutex<Option<Instant>>,
    breaker: Mutex<Breaker>,
}

impl Host {
    /// With the limits of every host.
    pub fn new(limits: &Limits) -> Self {
        Self {
            slots: Semaphore::new(limits.per_host.max(1)),
            pace: Pace::new(limits.rps),
            rests_until: Mutex::new(None),
            breaker: Mutex::new(Breaker::new(limits.failures, limits.leave_alone)),
        }
    }

    /// Lets the whole host rest.
    pub fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        *rests = Some(rests.map_or(until, |known| known.max(until)));
    }

    /// Waits until a request may be sent, and counts it as sent now.
    ///
    /// # Errors
    /// [`Failure::RateLimited`] if the host wants to rest longer than `patience`.
    pub async fn turn(&self, issuer: Option<&Pace>, patience: Duration) -> Result<(), Failure> {
        let mut last = self.pace.last.lock().await;
        loop {
            let now = Instant::now();
            let rests_until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            if rest > patience {
                return Err(Failure::RateLimited(rest));
            }
            let own = last.map_or(now, |last| last + self.pace.interval);
            // The issuer's is held only to look and to count, never over a wait: its other hosts go on.
            let mut of_issuer = match issuer {
                Some(pace) => Some((pace.interval, pace.last.lock().await)),
                None => None,
            };
            let others = of_issuer.as_ref().and_then(|(interval, last)| Some((**last)? + *interval));
            let ready = own.max(others.unwrap_or(own)).max(now + rest);
            // The lock may have been waited for: time has passed.
            let now = Instant::now();
            if ready <= now {
                *last = Some(now);
                if let Some((_, last)) = &mut of_issuer {
                    **last = Some(now);
                }
                return Ok(());
            }
            drop(of_issuer);
            tokio::time::sleep_until(ready).await;
        }
    }

    /// Waits while the host is left alone, as long as there is hope.
    pub async fn recovered(&self) {
        let look = || self.breaker.lock().unwrap_or_else(PoisonError::into_inner).look(Instant::now());
        while let Allowed::At(until) = look() {
            // A probe may end it earlier.
            tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(250))).await;
        }
    }

    /// Whether the host may be asked at all, by a request that is about to go out.
    pub fn allowed(&self) -> Allowed {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).allow(Instant::now())
    }

    /// How a request ended.
    pub fn told(&self, sick: bool) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        if sick { breaker.failure(Instant::now()) } else { breaker.success() }
    }
}
