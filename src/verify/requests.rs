//! `--requests-log`: every request that was made, one JSON object a line.
//!
//! Contract: time, issuer, method, host, path with what a template filled in left out, attempt, and the status or why there is
//! none. Never a query, a header, a body or a secret. A log that cannot be written is a warning, once.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::transport::{Answer, Failure, LogIn, Outgoing, Reply};
use crate::rules::schema::ask::Change;

/// A log in a file of mode 0600, to which lines are appended.
#[derive(Clone, Debug)]
pub struct RequestsLog(Arc<Mutex<Option<File>>>);

impl RequestsLog {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self(Arc::new(Mutex::new(Some(file)))))
    }

    /// Adds one attempt. What was refused before anything was sent is no request.
    pub fn add(&self, issuer: &str, request: &Outgoing, attempt: u32, result: &Result<Reply, Failure>) {
        let (status, error) = match result {
            Ok(reply) => (Some(reply.status), None),
            Err(Failure::TimedOut | Failure::Unreachable(_) | Failure::Broken(_)) => {
                (None, result.as_ref().err().map(ToString::to_string))
            }
            Err(_) => return,
        };
        let (host, path) = host_and_path(&request.shown);
        self.write(serde_json::json!({
            "time": jiff::Timestamp::now().to_string(),
            "issuer": issuer,
            "method": format!("{:?}", request.method).to_uppercase(),
            "host": host,
            "path": path,
            "attempt": attempt,
            "status": status,
            "error": error,
        }));
    }

    /// Adds a log-in that was tried.
    pub fn add_log_in(&self, issuer: &str, request: &LogIn, result: &Result<Answer, Failure>) {
        let error = match result {
            Ok(_) => None,
            Err(Failure::TimedOut | Failure::Unreachable(_) | Failure::Broken(_)) => {
                result.as_ref().err().map(ToString::to_string)
            }
            Err(_) => return,
        };
        self.write(serde_json::json!({
            "time": jiff::Timestamp::now().to_string(),
            "issuer": issuer,
            "method": request.change.map_or("LOGIN", |change| match change {
                Change::Lock => "LOCK",
                Change::Unlock => "UNLOCK",
            }),
            "host": request.place(),
            "path": "/",
            "attempt": 1,
            "status": null,
            "error": error,
        }));
    }

    /// Adds the search of a directory.
    pub fn add_search(&self, issuer: &str, server: &str, error: Option<&str>) {
        let (host, path) = host_and_path(server);
        self.write(serde_json::json!({
            "time": jiff::Timestamp::now().to_string(),
            "issuer": issuer,
            "method": "SEARCH",
            "host": host,
            "path": path,
            "attempt": 1,
            "status": null,
            "error": error,
        }));
    }

    fn write(&self, line: serde_json::Value) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else { return };
        if let Err(e) = writeln!(open, "{line}") {
            tracing::warn!("the log of requests cannot be written any more: {e}");
            *file = None;
        }
    }
}

/// `host:port` and path of a URL as it is shown.
fn host_and_path(shown: &str) -> (&str, &str) {
    let rest = shown.split_once("://").map_or(shown, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_paths() {
        assert_eq!(host_and_path("https://a.example:8/b/…?c"), ("a.example:8", "/b/…"));
        assert_eq!(host_and_path("https://a.example"), ("a.example", "/"));
    }
}
