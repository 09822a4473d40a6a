//! Asks politely: a [`Transport`] around another one that keeps to limits, waits where it is told to, tries again where that
//! is safe, and leaves hosts alone that fail.
//!
//! Contract: every request passes the limits of its host and its issuer, retries included. A host that hangs, rests or fails
//! holds up nobody else. Once nothing at all can be reached, the rest ends as [`Failure::Offline`] at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::breaker::Allowed;
use super::limits::{Host, Limits, Pace};
use super::requests::RequestsLog;
use super::retry::{self, MOST_ATTEMPTS, Next};
use super::transport::{Answer, Failure, LogIn, Outgoing, Reply, Transport};

/// So many hosts that cannot be reached, and none that can, mean that there is no network.
const HOSTS_TELL: usize = 3;

/// The limits of a run, around a transport.
#[derive(Debug)]
pub struct Polite<T> {
    inner: T,
    limits: Limits,
    total: Semaphore,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    issuers: Mutex<HashMap<String, Arc<Pace>>>,
    reach: Mutex<Reach>,
    log: Option<RequestsLog>,
}

/// What is known of the network.
#[derive(Debug, Default)]
struct Reach {
    offline: bool,
    reached: bool,
    unreachable: HashSet<String>,
}

impl<T: Transport> Polite<T> {
    /// Around a transport.
    pub fn new(inner: T, limits: Limits, log: Option<RequestsLog>) -> Self {
        Self {
            inner,
            total: Semaphore::new(limits.total.max(1)),
            limits,
            hosts: Mutex::default(),
            issuers: Mutex::default(),
            reach: Mutex::default(),
            log,
        }
    }

    /// It is known that there is no network: only what the user configured is tried, which may be on this machine.
    pub fn without_network(self) -> Self {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner).offline = true;
        self
    }

    /// The transport for the requests of one issuer.
    pub fn of<'a>(&'a self, issuer: &'a str) -> Of<'a, T> {
        Of { polite: self, issuer }
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return host.clone();
        }
        hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(Host::new(&self.limits))).clone()
    }

    fn pace(&self, issuer: &str) -> Option<Arc<Pace>> {
        let rps = *self.limits.rps_issuer.get(issuer)?;
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        Some(issuers.entry(issuer.to_owned()).or_insert_with(|| Arc::new(Pace::new(rps))).clone())
    }

    fn is_offline(&self, request: &Outgoing) -> bool {
        !request.configured && self.reach.lock().unwrap_or_else(PoisonError::into_inner).offline
    }

    /// Learns from a result. Gives whether anything at all was reached so far.
    fn learn(&self, name: &str, request: &Outgoing, result: &Result<Reply, Failure>) -> bool {
        let mut reach = self.reach.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) | Err(Failure::Broken(_)) if !request.configured => reach.reached = true,
            Err(Failure::Unreachable(_)) if !request.configured && !reach.reached => {
                reach.unreachable.insert(name.to_owned());
                reach.offline = reach.unreachable.len() >= HOSTS_TELL;
            }
            _ => {}
        }
        reach.reached || request.configured
    }

    /// Waits for a turn within all limits; gives what must be held while the request is out.
    async fn turn<'a>(
        &'a self,
        host: &'a Host,
        name: &str,
        pace: Option<&Pace>,
    ) -> Result<[SemaphorePermit<'a>; 2], Failure> {
        let closed = |_| Failure::Interrupted;
        loop {
            // Before a slot is taken: who waits here keeps nobody from probing.
            host.recovered().await;
            let slot = host.slots.acquire().await.map_err(closed)?;
            host.turn(pace, self.limits.patience).await?;
            let one_of_all = match self.total.try_acquire() {
                Ok(permit) => permit,
                Err(_) => {
                    let permit = self.total.acquire().await.map_err(closed)?;
                    // That took a while: the interval counts from when it is really sent.
                    host.turn(pace, self.limits.patience).await?;
                    permit
                }
            };
            match host.allowed() {
                Allowed::Now => return Ok([slot, one_of_all]),
                Allowed::At(_) => {}
                Allowed::No => return Err(Failure::CircuitOpen(name.to_owned())),
            }
        }
    }

    /// One attempt within all limits.
    async fn attempt(
        &self,
        host: &Host,
        name: &str,
        pace: Option<&Pace>,
        request: &Outgoing,
    ) -> Result<Reply, Failure> {
        if self.is_offline(request) {
            return Err(Failure::Offline);
        }
        let _held = self.turn(host, name, pace).await?;
        if self.is_offline(request) {
            return Err(Failure::Offline);
        }
        tracing::debug!("{request:?}");
        let result = self.inner.send(request).await;
        match &result {
            Ok(reply) => tracing::debug!("{request:?}: {reply:?}"),
            Err(failure) => tracing::debug!("{request:?}: {failure}"),
        }
        result
    }
}

/// [`Polite`] on behalf of one issuer.
#[derive(Debug)]
pub struct Of<'a, T> {
    polite: &'a Polite<T>,
    issuer: &'a str,
}

impl<T> Clone for Of<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Of<'_, T> {}

impl<T: Transport> Transport for Of<'_, T> {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Failure> {
        let Of { polite, issuer } = *self;
        let name = origin(&request.url);
        let (host, pace) = (polite.host(&name), polite.pace(issuer));
        let (mut attempt, mut limited, mut failed) = (1, 0, 0);
        loop {
            let result = polite.attempt(&host, &name, pace.as_deref(), request).await;
            if let Some(log) = &polite.log {
                log.add(issuer, request, attempt, &result);
            }
            let reached = polite.learn(&name, request, &result);
            if matches!(result, Ok(_) | Err(Failure::TimedOut | Failure::Broken(_) | Failure::Unreachable(_))) {
                host.told(retry::is_sick(&result));
            }
            let unreachable_at_all = !reached && matches!(result, Err(Failure::Unreachable(_)));
            let now = SystemTime::now();
            let of_its_kind = if retry::is_limit(&result, now) { &mut limited } else { &mut failed };
            *of_its_kind += 1;
            let repeatable = request.repeatable && attempt < MOST_ATTEMPTS;
            match retry::next(&result, *of_its_kind, repeatable, now, fastrand::f64()) {
                Next::Done => return result,
                Next::Again(_) if unreachable_at_all => return result,
                Next::Again(pause) => tokio::time::sleep(pause).await,
                Next::Rest { pause, again } => {
                    tracing::debug!("{name} rests for {} ms", pause.as_millis());
                    host.rest(pause);
                    if !again {
                        return result;
                    }
                }
            }
            attempt += 1;
        }
    }

    /// Once: a second attempt might lock the account. What a server says of an account stays out of the logs.
    async fn log_in(&self, request: &LogIn) -> Result<Answer, Failure> {
        let Of { polite, issuer } = *self;
        let name = request.place();
        let (host, pace) = (polite.host(&name), polite.pace(issuer));
        let _held = polite.turn(&host, &name, pace.as_deref()).await?;
        tracing::debug!("{request:?} at {name}");
        let result = polite.inner.log_in(request).await;
        if let Some(log) = &polite.log {
            log.add_log_in(issuer, request, &result);
        }
        if matches!(result, Ok(_) | Err(Failure::TimedOut | Failure::Broken(_) | Failure::Unreachable(_))) {
            host.told(result.is_err());
        }
        result
    }
}

/// `host:port` of a URL: what limits count by. Never a user name that stands before it.
fn origin(url: &str) -> String {
    let parsed = reqwest::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|u| Some((u.host_str()?, u.port_or_known_default()?)));
    host.map_or_else(String::new, |(host, port)| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests;
