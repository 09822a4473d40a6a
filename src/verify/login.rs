//! Log-ins that are not HTTP: databases, queues, mail and directories.
//!
//! Contract: one attempt, read-only unless it has a `change`, over TLS where the protocol has it; a password goes in clear only to loopback or to a
//! host for which the user said so. Whatever answers is hostile: each reply is read with bounds and parsed without panics.
//! `Denied` only where the server says that the credentials are wrong or the account locked, and `Accepted` only where it
//! asked for a password and took it: a server that lets anybody in tells nothing.

mod amqp;
mod bson;
mod change;
mod imap;
mod ldap;
mod mongodb;
mod mysql;
mod postgres;
mod redis;
mod scram;
mod smtp;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::transport::{Answer, Failure, LogIn};
use crate::rules::schema::ask::{Change, Protocol};
pub use wire::{Stream, Wire};

/// How long one log-in may take, from the first byte on.
pub const WITHIN: Duration = Duration::from_secs(15);

/// What a log-in needs of the network.
pub trait Dial: Send + Sync {
    /// Connects to an address of this host that may be connected to.
    ///
    /// # Errors
    /// [`Failure`]: refused by our own rules, or not reachable.
    fn dial(&self, host: &str, port: u16) -> impl Future<Output = Result<TcpStream, Failure>> + Send;
    /// How TLS is spoken.
    fn tls(&self) -> Arc<ClientConfig>;
    /// Whether the user allows a password in clear to this host.
    fn plain(&self, host: &str) -> bool;
}

/// Who logs in, and where.
pub struct Account {
    host: String,
    port: u16,
    secure: bool,
    user: Zeroizing<String>,
    password: Zeroizing<String>,
    database: String,
    source: String,
    change: Option<(Change, Zeroizing<String>)>,
}

/// What is known of an account after it logged in, by the names of a principal; others become further facts.
pub type Facts = Vec<(String, String)>;

/// Why a log-in did not come to its end.
#[derive(Debug)]
enum Trouble {
    /// Refused for its credentials.
    Denied(String),
    /// Anything else the server said.
    Unclear(String),
    /// There is no such account to change.
    Gone(String),
    /// A change was sent, and whether it was made is not known.
    Perhaps(String),
    /// The connection.
    Failed(Failure),
}

type Told<T> = Result<T, Trouble>;

fn unclear<T>(reason: impl Into<String>) -> Told<T> {
    Err(Trouble::Unclear(reason.into()))
}

fn denied<T>(reason: impl Into<String>) -> Told<T> {
    Err(Trouble::Denied(reason.into()))
}

/// The remark on accounts that are locked or disabled: the password may be right.
const LOCKED: &str = "the account is locked";

/// Tries a log-in.
///
/// # Errors
/// [`Failure`]: there was no answer.
pub async fn ask(dial: &impl Dial, request: &LogIn) -> Result<Answer, Failure> {
    ask_within(WITHIN, dial, request).await
}

async fn ask_within(within: Duration, dial: &impl Dial, request: &LogIn) -> Result<Answer, Failure> {
    let (protocol, account) = match account(request) {
        Ok(found) => found,
        Err(reason) => return Ok(Answer::Unclear(reason)),
    };
    let attempt = async {
        let plain = dial.plain(&account.host);
        let stream = dial.dial(&account.host, account.port).await.map_err(Trouble::Failed)?;
        let loopback = stream.peer_addr().is_ok_and(|a| a.ip().to_canonical().is_loopback());
        let mut wire = Wire::new(stream, &account.host, dial.tls(), plain || loopback);
        // Without StartTLS, TLS is tried from the first byte, unless clear text is allowed here.
        let upgrades = matches!(protocol, Protocol::Postgres | Protocol::Mysql)
            || (!account.secure && matches!(protocol, Protocol::Smtp | Protocol::Imap | Protocol::Ldap));
        if !upgrades && (account.secure || !wire.plain_allowed()) {
            wire.secure().await?;
        }
        converse(protocol, &account, &mut wire).await
    };
    let told = tokio::time::timeout(within, attempt).await.unwrap_or(Err(Trouble::Failed(Failure::TimedOut)));
    match told {
        Ok(_) if account.change.is_some() => Ok(Answer::Changed),
        Ok(mut facts) => {
            facts.push(("server".to_owned(), format!("{}:{}", account.host, account.port)));
            Ok(Answer::Accepted(facts.into_iter().map(|(name, value)| (name, shown(&value))).collect()))
        }
        Err(Trouble::Denied(reason)) => Ok(Answer::Denied(shown(&reason))),
        Err(Trouble::Unclear(reason)) => Ok(Answer::Unclear(shown(&reason))),
        Err(Trouble::Gone(reason)) => Ok(Answer::Gone(shown(&reason))),
        Err(Trouble::Perhaps(reason)) => Ok(Answer::Perhaps(shown(&reason))),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

/// The whole conversation on an open connection; also what is fuzzed.
async fn converse(protocol: Protocol, account: &Account, wire: &mut Wire) -> Told<Facts> {
    match protocol {
        Protocol::Postgres => postgres::log_in(account, wire).await,
        Protocol::Mysql => mysql::log_in(account, wire).await,
        Protocol::Redis => redis::log_in(account, wire).await,
        Protocol::Mongodb => mongodb::log_in(account, wire).await,
        Protocol::Amqp => amqp::log_in(account, wire).await,
        Protocol::Smtp => smtp::log_in(account, wire).await,
        Protocol::Imap => imap::log_in(account, wire).await,
        Protocol::Ldap => ldap::log_in(account, wire).await,
    }
}

/// Lets bytes play the server: for fuzzing. Whatever they are, this returns.
#[doc(hidden)]
pub async fn replay(protocol: Protocol, stream: impl Stream + 'static) -> Result<Answer, Failure> {
    let account = Account {
        host: "h".into(),
        port: 1,
        secure: false,
        user: Zeroizing::new("u".into()),
        password: Zeroizing::new("p".into()),
        database: "d".into(),
        source: String::new(),
        change: None,
    };
    let mut wire = Wire::in_clear(stream);
    match converse(protocol, &account, &mut wire).await {
        Ok(facts) => Ok(Answer::Accepted(facts)),
        Err(Trouble::Denied(reason)) => Ok(Answer::Denied(reason)),
        Err(Trouble::Unclear(reason)) => Ok(Answer::Unclear(reason)),
        Err(Trouble::Gone(reason)) => Ok(Answer::Gone(reason)),
        Err(Trouble::Perhaps(reason)) => Ok(Answer::Perhaps(reason)),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

/// Reads a request: protocol and account, or what is missing.
fn account(request: &LogIn) -> Result<(Protocol, Account), String> {
    let get = |name: &str| request.value(name);
    let whole = get("scheme").to_ascii_lowercase();
    let scheme = whole.split('+').next().unwrap_or_default();
    if whole.starts_with("mongodb+srv") {
        return Err("its servers stand in a DNS record (mongodb+srv), which is not looked up".into());
    }
    let named = spoken(&whole).or_else(|| spoken(scheme));
    let Some(protocol) = request.protocol.or(named.map(|(p, _)| p)) else {
        return Err(match scheme {
            "" => "it is not told which protocol its server speaks".to_owned(),
            scheme => format!("log-ins over {scheme} are not made"),
        });
    };
    let secure = named.is_some_and(|(_, secure)| secure);
    let (host, password) = (get("host"), get("password"));
    if host.is_empty() {
        return Err("its host is not known".into());
    }
    // An LDAP bind without a password is anonymous, and always accepted.
    if password.is_empty() {
        return Err("its password is empty".into());
    }
    let port = match get("port") {
        "" => own_port(protocol, secure),
        given => given.parse().map_err(|_| "its port is none".to_owned())?,
    };
    let secure =
        secure || matches!((protocol, port), (Protocol::Smtp, 465) | (Protocol::Imap, 993) | (Protocol::Ldap, 636));
    let change = change::wanted(protocol, request)?;
    let account = Account {
        host: host.to_owned(),
        port,
        secure,
        user: Zeroizing::new(get("user").to_owned()),
        password: Zeroizing::new(password.to_owned()),
        database: get("database").to_owned(),
        source: get("source").to_owned(),
        change,
    };
    Ok((protocol, account))
}

/// What a URL's scheme speaks, and whether TLS comes first. (In mail URLs of Django `+ssl` is that, and `+tls` STARTTLS.)
fn spoken(scheme: &str) -> Option<(Protocol, bool)> {
    Some(match scheme {
        "postgres" | "postgresql" | "postgis" | "timescaledb" | "cockroachdb" | "redshift" => {
            (Protocol::Postgres, false)
        }
        "mysql" | "mysql2" | "mariadb" | "tidb" => (Protocol::Mysql, false),
        "redis" | "valkey" => (Protocol::Redis, false),
        "rediss" | "valkeys" => (Protocol::Redis, true),
        "mongodb" => (Protocol::Mongodb, false),
        "amqp" | "pyamqp" | "rabbitmq" => (Protocol::Amqp, false),
        "amqps" | "pyamqps" => (Protocol::Amqp, true),
        "smtp" | "submission" => (Protocol::Smtp, false),
        "smtps" | "smtp+ssl" | "submission+ssl" => (Protocol::Smtp, true),
        "imap" => (Protocol::Imap, false),
        "imaps" | "imap+ssl" => (Protocol::Imap, true),
        "ldap" => (Protocol::Ldap, false),
        "ldaps" => (Protocol::Ldap, true),
        _ => return None,
    })
}

/// The port that a protocol uses if none is given.
fn own_port(protocol: Protocol, secure: bool) -> u16 {
    match (protocol, secure) {
        (Protocol::Postgres, _) => 5432,
        (Protocol::Mysql, _) => 3306,
        (Protocol::Redis, _) => 6379,
        (Protocol::Mongodb, _) => 27017,
        (Protocol::Amqp, false) => 5672,
        (Protocol::Amqp, true) => 5671,
        (Protocol::Smtp, false) => 587,
        (Protocol::Smtp, true) => 465,
        (Protocol::Imap, false) => 143,
        (Protocol::Imap, true) => 993,
        (Protocol::Ldap, false) => 389,
        (Protocol::Ldap, true) => 636,
    }
}

/// A server's text, cut and without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
