//! What goes to an issuer or a directory and what comes back, apart from how it gets there: what the stages that ask share.
//!
//! Contract: an [`Outgoing`] holds the secret and is wiped on drop; neither it nor a [`Failure`] shows a secret, a query
//! string or a body in its `Debug` or `Display`.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::rules::schema::ask::{Change, Method, Protocol};

/// One request, ready to be sent.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Absolute URL. It may hold the secret.
    pub url: Zeroizing<String>,
    /// The same without query and without what a template filled in: for logs and errors.
    pub shown: String,
    /// Headers, names in lower case. Values may hold the secret.
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// The body; empty for none.
    pub body: Zeroizing<Vec<u8>>,
    /// The user configured this endpoint himself: plain `http://` is as he wants it.
    pub configured: bool,
    /// It may be sent again after a failure (a read, or a call that does no harm twice).
    pub repeatable: bool,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.method, self.shown)
    }
}

/// A log-in that is not HTTP, ready to be tried. Wiped on drop; its `Debug` shows nothing but the protocol.
pub struct LogIn {
    /// What is spoken; if not given, what the value `scheme` says.
    pub protocol: Option<Protocol>,
    /// `scheme`, `host`, `port`, `user`, `password`, `database`, `source`, `account`; empty where not known.
    pub values: Vec<(&'static str, Zeroizing<String>)>,
    /// What is done to `account` once logged in.
    pub change: Option<Change>,
}

impl LogIn {
    /// A value, or the empty text.
    pub fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v.as_str())
    }

    /// Host and port, for logs and limits.
    pub fn place(&self) -> String {
        match self.value("port") {
            "" => self.value("host").to_owned(),
            port => format!("{}:{port}", self.value("host")),
        }
    }
}

impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log-in {:?}", self.protocol)
    }
}

/// How a log-in ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Logged in; with facts about the account by the names of a principal.
    Accepted(Vec<(String, String)>),
    /// Refused for its credentials; with the reason.
    Denied(String),
    /// Neither; with the reason. Nothing was changed.
    Unclear(String),
    /// The change was made, so the server says.
    Changed,
    /// There is no such account to change; with the reason.
    Gone(String),
    /// The change was sent, and whether it was made is not known; with the reason.
    Perhaps(String),
}

/// What an issuer answered.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers in order, names in lower case, values lossily decoded.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// The body is longer than the limit: this is its beginning.
    pub cut: bool,
}

impl Reply {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, {} bytes", self.status, self.body.len())
    }
}

/// Why there is no answer. Nothing here holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Our own rules forbid the request: a private address, a host that nobody allowed, plain http.
    #[error("not asked: {0}")]
    Refused(String),
    /// The network is off, by `--offline` or in fact.
    #[error("offline")]
    Offline,
    /// Nothing came within the time.
    #[error("no answer in time")]
    TimedOut,
    /// The host has no address or lets nobody connect: nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// Connection, TLS or protocol failed; something may have been sent.
    #[error("{0}")]
    Broken(String),
    /// Too many failures of this host: it is left alone for a while.
    #[error("{0} fails too often and is left alone for now")]
    CircuitOpen(String),
    /// The issuer asks to wait longer than this run may take.
    #[error("rate limited for another {} s", .0.as_secs())]
    RateLimited(Duration),
    /// The run was interrupted, or its time is over.
    #[error("interrupted")]
    Interrupted,
}

/// Sends requests: over the network, or from a list of replies in a test.
pub trait Transport: Send + Sync {
    /// Sends one request and waits for the whole reply.
    ///
    /// # Errors
    /// See [`Failure`]. A status of any kind is a reply, not an error.
    fn send(&self, request: &Outgoing) -> impl Future<Output = Result<Reply, Failure>> + Send;

    /// Tries a log-in.
    ///
    /// # Errors
    /// See [`Failure`]; by default log-ins are refused.
    fn log_in(&self, _request: &LogIn) -> impl Future<Output = Result<Answer, Failure>> + Send {
        std::future::ready(Err(Failure::Refused("log-ins are off".into())))
    }
}
