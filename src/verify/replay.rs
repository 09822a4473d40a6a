//! A transport without a network: answers from a list, and keeps what was sent. For the tests in rule files.
//!
//! Contract: never sends anything. What it keeps is only ever made up by a test.

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::transport::{Answer, Failure, LogIn, Outgoing, Reply, Transport};
use crate::rules::schema::ask::Method;

/// A request as it would have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Played {
    /// A reply.
    Reply(Reply),
    /// None.
    Failure(Failure),
    /// The end of a log-in.
    Answer(Answer),
}

/// Answers from a list.
#[derive(Debug, Default)]
pub struct Replay {
    replies: Mutex<VecDeque<Played>>,
    sent: Mutex<Vec<Sent>>,
}

impl Replay {
    /// With what it answers, in order.
    pub fn new(replies: impl IntoIterator<Item = Played>) -> Self {
        Self { replies: Mutex::new(replies.into_iter().collect()), sent: Mutex::default() }
    }

    /// What was sent, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().map(|s| s.clone()).unwrap_or_default()
    }

    /// How many replies were not asked for.
    pub fn left(&self) -> usize {
        self.replies.lock().map(|r| r.len()).unwrap_or_default()
    }

    fn next(&self) -> Option<Played> {
        self.replies.lock().ok()?.pop_front()
    }
}

fn unasked() -> Failure {
    Failure::Broken("the test has no further reply".into())
}

impl Transport for Replay {
    fn send(&self, request: &Outgoing) -> impl Future<Output = Result<Reply, Failure>> + Send {
        let headers = request.headers.iter().map(|(n, v)| (n.clone(), v.to_string())).collect();
        let sent = Sent { method: request.method, url: request.url.to_string(), headers, body: request.body.to_vec() };
        if let Ok(mut list) = self.sent.lock() {
            list.push(sent);
        }
        ready(match self.next() {
            Some(Played::Reply(reply)) => Ok(reply),
            Some(Played::Failure(failure)) => Err(failure),
            Some(Played::Answer(_)) => Err(Failure::Broken("the test answers a request with a log-in".into())),
            None => Err(unasked()),
        })
    }

    fn log_in(&self, _request: &LogIn) -> impl Future<Output = Result<Answer, Failure>> + Send {
        ready(match self.next() {
            Some(Played::Answer(answer)) => Ok(answer),
            Some(Played::Failure(failure)) => Err(failure),
            Some(Played::Reply(_)) => Err(Failure::Broken("the test answers a log-in with a reply".into())),
            None => Err(unasked()),
        })
    }
}

/// Runs what never waits: steps over a [`Replay`]. `None` if it waits all the same.
pub fn run<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
