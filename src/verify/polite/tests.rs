//! In made-up time: the clock runs only while everybody waits.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::*;
use crate::rules::schema::ask::Method;

/// Answers as a function says, after the time that it says; remembers what was sent when.
struct Fake<F> {
    answer: F,
    sent: Mutex<Vec<(String, Instant)>>,
    now: Mutex<HashMap<String, (usize, usize)>>,
}

type Answer = (Duration, Result<Reply, Failure>);

impl<F: Fn(&str, usize) -> Answer + Send + Sync> Fake<F> {
    /// `answer`: of a host, and how often it was asked before.
    fn new(answer: F) -> Self {
        Self { answer, sent: Mutex::default(), now: Mutex::default() }
    }

    fn times(&self, host: &str) -> Vec<Instant> {
        self.sent.lock().unwrap().iter().filter(|(h, _)| host.is_empty() || h == host).map(|(_, t)| *t).collect()
    }

    fn most_at_once(&self, host: &str) -> usize {
        self.now.lock().unwrap()[host].1
    }
}

impl<F: Fn(&str, usize) -> Answer + Send + Sync> Transport for Fake<F> {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Failure> {
        let host = request.url.trim_start_matches("https://").to_owned();
        let before = self.times(&host).len();
        self.sent.lock().unwrap().push((host.clone(), Instant::now()));
        {
            let mut now = self.now.lock().unwrap();
            let (running, most) = now.entry(host.clone()).or_default();
            *running += 1;
            *most = (*most).max(*running);
        }
        let (takes, result) = (self.answer)(&host, before);
        tokio::time::sleep(takes).await;
        self.now.lock().unwrap().get_mut(&host).unwrap().0 -= 1;
        result
    }
}

fn to(host: &str) -> Outgoing {
    Outgoing {
        method: Method::Get,
        url: Zeroizing::new(format!("https://{host}")),
        shown: host.into(),
        headers: vec![],
        body: Zeroizing::default(),
        configured: false,
        repeatable: true,
    }
}

fn reply(status: u16, headers: &[(&str, &str)]) -> Result<Reply, Failure> {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Ok(Reply { status, headers, ..Reply::default() })
}

fn soon(result: Result<Reply, Failure>) -> Answer {
    (millis(1), result)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Sends `n` requests to each host at once; the results in order.
async fn ask<F>(polite: &Polite<Fake<F>>, hosts: &[&str], n: usize) -> Vec<Result<Reply, Failure>>
where
    F: Fn(&str, usize) -> Answer + Send + Sync,
{
    let requests: Vec<Outgoing> = hosts.iter().flat_map(|h| (0..n).map(|_| to(h))).collect();
    let of = polite.of("acme");
    join_all(requests.iter().map(|r| of.send(r))).await
}

fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|w| w[1] - w[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_host_and_its_slots_are_kept() {
    let polite = Polite::new(Fake::new(|_, _| (millis(700), reply(200, &[]))), Limits::default(), None);
    ask(&polite, &["a", "b"], 30).await;
    for host in ["a", "b"] {
        let times = polite.inner.times(host);
        assert_eq!(times.len(), 30);
        assert!(gaps(&times).iter().all(|gap| *gap >= millis(100)), "{:?}", gaps(&times));
        assert_eq!(polite.inner.most_at_once(host), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_an_issuer_counts_over_its_hosts_and_a_resting_host_does_not_hold_it_up() {
    let rest = |host: &str, before| match (host, before) {
        ("a", 0) => soon(reply(429, &[("retry-after", "20")])),
        _ => soon(reply(200, &[])),
    };
    let limits = Limits { rps_issuer: BTreeMap::from([("acme".into(), 2.0)]), ..Limits::default() };
    let polite = Polite::new(Fake::new(rest), limits, None);
    let results = ask(&polite, &["a", "b"], 10).await;
    assert!(results.iter().all(|r| r.as_ref().is_ok_and(|r| r.status == 200)));
    let all = polite.inner.times("");
    assert!(gaps(&all).iter().all(|gap| *gap >= millis(500)), "{:?}", gaps(&all));
    let a = polite.inner.times("a");
    // Those that were under way when it asked for its pause are through already.
    assert!(a[a.len() - 7] - a[0] >= Duration::from_secs(20), "{a:?}");
    assert!(polite.inner.times("b")[9] - all[0] < Duration::from_secs(15), "b did not wait for a");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_delays_no_other() {
    let hang = |host: &str, _| match host {
        "hung" => (Duration::from_secs(15), Err(Failure::TimedOut)),
        _ => soon(reply(200, &[])),
    };
    let polite = Polite::new(Fake::new(hang), Limits { total: 8, ..Limits::default() }, None);
    let begun = Instant::now();
    let of = polite.of("acme");
    let slow = async {
        let results = ask(&polite, &["hung"], 50).await;
        (results, begun.elapsed())
    };
    let quick = async {
        let request = to("quick");
        for _ in 0..20 {
            of.send(&request).await.unwrap();
        }
        begun.elapsed()
    };
    let ((results, slow), quick) = tokio::join!(slow, quick);
    assert!(quick < Duration::from_secs(3), "{quick:?}");
    assert!(results.iter().all(|r| matches!(r, Err(Failure::TimedOut | Failure::CircuitOpen(_)))));
    let asked = polite.inner.times("hung").len();
    assert!(asked <= 12, "left alone after some failures, not {asked} times asked");
    assert!(slow < Duration::from_secs(60), "{slow:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_kept_by_all_and_one_that_is_too_long_ends_at_once() {
    let rest = |host: &str, before| match (host, before) {
        ("short", 0) => soon(reply(429, &[("retry-after", "7")])),
        ("long", 0) => soon(reply(429, &[("retry-after", "3600")])),
        _ => soon(reply(200, &[])),
    };
    let polite = Polite::new(Fake::new(rest), Limits { per_host: 1, ..Limits::default() }, None);
    assert_eq!(ask(&polite, &["short"], 3).await.len(), 3);
    let times = polite.inner.times("short");
    assert_eq!(times.len(), 4);
    assert!(times[1] - times[0] >= Duration::from_secs(7));
    let begun = Instant::now();
    let results = ask(&polite, &["long"], 3).await;
    assert!(results.iter().all(|r| matches!(r, Err(Failure::RateLimited(d)) if d.as_secs() > 3590)), "{results:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(polite.inner.times("long").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_are_few_and_only_for_what_may_be_repeated() {
    let polite = Polite::new(Fake::new(|_, _| soon(reply(500, &[]))), Limits::default(), None);
    assert_eq!(ask(&polite, &["a"], 1).await[0].as_ref().unwrap().status, 500);
    assert_eq!(polite.inner.times("a").len(), 3);
    let once = Outgoing { repeatable: false, ..to("b") };
    assert_eq!(polite.of("acme").send(&once).await.unwrap().status, 500);
    assert_eq!(polite.inner.times("b").len(), 1);
    let busy = Polite::new(
        Fake::new(|_, before| soon(reply(if before < 3 { 429 } else { 200 }, &[]))),
        Limits::default(),
        None,
    );
    assert_eq!(ask(&busy, &["a"], 1).await[0].as_ref().unwrap().status, 200);
    assert_eq!(busy.inner.times("a").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_is_left_alone_and_asked_again_later() {
    let sick = |_: &str, before| soon(if before < 6 { Err(Failure::Broken("reset".into())) } else { reply(200, &[]) });
    let polite = Polite::new(Fake::new(sick), Limits { per_host: 1, ..Limits::default() }, None);
    let results = ask(&polite, &["a"], 4).await;
    assert!(matches!(&results[3], Err(Failure::CircuitOpen(host)) if host == "a:443"), "{results:?}");
    assert_eq!(polite.inner.times("a").len(), 5);
    tokio::time::sleep(Duration::from_secs(11)).await;
    // The probe fails: alone for another while.
    assert!(ask(&polite, &["a"], 1).await[0].is_err());
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(ask(&polite, &["a"], 3).await.iter().all(Result::is_ok));
    // One that answered before and fails for a moment is waited for: nothing is lost.
    let moment = |_: &str, before| match before {
        5..10 => soon(Err(Failure::Broken("reset".into()))),
        _ => soon(reply(200, &[])),
    };
    let polite = Polite::new(Fake::new(moment), Limits::default(), None);
    assert!(ask(&polite, &["a"], 50).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn without_a_network_it_ends_at_once() {
    let nowhere = |host: &str, _| match host {
        "local" => soon(reply(200, &[])),
        _ => (Duration::from_secs(5), Err(Failure::Unreachable("cannot resolve".into()))),
    };
    let polite = Polite::new(Fake::new(nowhere), Limits::default(), None);
    let begun = Instant::now();
    let results = ask(&polite, &["a", "b", "c", "d", "e"], 40).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(results.iter().filter(|r| **r == Err(Failure::Offline)).count() >= 180, "{results:?}");
    let own = Outgoing { configured: true, ..to("local") };
    assert!(polite.of("acme").send(&own).await.is_ok(), "what the user configured may be on this machine");

    let known = Polite::new(Fake::new(nowhere), Limits::default(), None).without_network();
    assert_eq!(ask(&known, &["a"], 1).await, [Err(Failure::Offline)]);
    assert!(known.inner.times("").is_empty());
}
