//! How one token type is asked about and ended: the asking part of a rule file, checked and ready for use.
//!
//! Contract: an [`Ask`] is made for one token type, because templates may use its parts; nothing in it can fail later for
//! a reason that could have been told here. It holds no secret.

pub mod compile;
mod facts;
pub mod lint;
pub mod pointer;
pub mod template;

use std::collections::BTreeMap;
use std::time::Duration;

pub use super::schema::ask::{By, Change, Decoder, Effect, Method, Proof, Protocol, Sign as SignSpec, Tool};
pub use compile::{compile, compile_all};
pub use facts::{Condition, Expected, Facts, Item, Pick, PickFrom, says_nothing};
pub use pointer::Pointer;
pub use template::{Encode, Template, Unfilled, Values};

/// Everything a rule file says about one token type besides how it is found.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Where requests go, by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// The steps of asking whether it works; empty if nobody can be asked.
    pub verify: Vec<Step>,
    /// Why nobody can be asked.
    pub no_verify: Option<String>,
    /// It has no end where an answer that would tell its end does not.
    pub endless: bool,
    /// What the value tells by itself.
    pub offline: Vec<Offline>,
    /// Ways to end it, best first, then the ways that undo one of them.
    pub revoke: Vec<Way>,
    /// What a human does.
    pub manual: Option<Manual>,
}

impl Ask {
    /// The way of a name.
    pub fn way(&self, name: &str) -> Option<&Way> {
        self.revoke.iter().find(|w| w.name == name)
    }
}

/// A place that requests go to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the issuer is for everybody; a label of the host may be filled in.
    pub default: Option<Template>,
    /// Further public sites: the credential is at home at one of them.
    pub sites: Vec<String>,
    /// Parts of the credential that name its host, tried in order; only if the user allows that host.
    pub parts: Vec<String>,
    /// Domains of the issuer: a host from `parts` below one of these needs no allowance.
    pub domains: Vec<String>,
    /// Environment variables that name it.
    pub env: Vec<String>,
    /// The tool whose configuration names it.
    pub tool: Option<Tool>,
    /// Path behind a host that the credential or the environment names.
    pub path: String,
}

impl Endpoint {
    /// The addresses that need no configuration: the default, filled in, and the further sites.
    ///
    /// # Errors
    /// The label's value is missing, or is no plain label.
    pub fn public(&self, values: &Values) -> Result<Vec<String>, Unfilled> {
        let Some(default) = &self.default else { return Ok(self.sites.clone()) };
        for name in default.names() {
            let value = values.get(name).ok_or_else(|| Unfilled::Missing(name.to_owned()))?;
            let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
            let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            let label = value.len() <= 63 && value.iter().all(plain) && edge(value.first()) && edge(value.last());
            if !label {
                return Err(Unfilled::Unfit(format!("the credential's `{name}` is no plain label of a host name")));
            }
        }
        let default = default.fill(values, Encode::Plain)?.to_string();
        Ok(std::iter::once(default).chain(self.sites.iter().cloned()).collect())
    }
}

impl Endpoint {
    /// The address that a part of the credential names: its host, over https, with this endpoint's path. Whether a
    /// credential may go there is not for the credential to say.
    pub fn named(&self, values: &Values) -> Option<String> {
        let value = self.parts.iter().find_map(|name| values.get(name))?;
        let value = std::str::from_utf8(value).ok()?;
        let host = value.split_once("://").map_or(value, |(_, rest)| rest);
        let host = &host[..host.find(['/', '?', '#']).unwrap_or(host.len())];
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        (!host.is_empty() && host.chars().all(plain)).then(|| format!("https://{host}{}", self.path))
    }
}

/// One step of asking or acting.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is sent.
    pub call: Call,
    /// Only where this gives something.
    pub when: Option<Template>,
    /// Verify: it works.
    pub active: Vec<Condition>,
    /// Verify: it does not work (any more).
    pub inactive: Vec<Condition>,
    /// Verify: the reply does not tell.
    pub unknown: Vec<Condition>,
    /// Revoke: done, or accepted.
    pub done: Vec<Condition>,
    /// Revoke: it was gone before.
    pub gone: Vec<Condition>,
    /// Revoke: refused, nothing has changed.
    pub refused: Vec<Condition>,
    /// Values for later steps.
    pub capture: Vec<(String, Pick)>,
    /// The item of a list that is the credential.
    pub item: Option<Item>,
    /// The account.
    pub principal: Facts,
}

impl Step {
    /// Whether its reply gives a verdict.
    pub fn decides(&self) -> bool {
        matches!(self.call, Call::Login(_)) || !self.active.is_empty() || !self.inactive.is_empty()
    }

    /// Whether it is a log-in that changes something.
    pub fn changes_by_login(&self) -> bool {
        matches!(&self.call, Call::Login(login) if login.change.is_some())
    }
}

/// What is sent in a step.
#[derive(Clone, Debug)]
pub enum Call {
    /// An HTTP request.
    Http(Box<Request>),
    /// A log-in that is not HTTP.
    Login(Box<Login>),
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of its endpoint.
    pub endpoint: String,
    /// The method.
    pub method: Method,
    /// Path below the endpoint; values are percent-encoded.
    pub path: Template,
    /// Query; values are percent-encoded.
    pub query: Vec<(String, Template)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// How it shows who asks.
    pub auth: Auth,
    /// Its body.
    pub body: Body,
}

/// How a request shows who asks.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not, or by a header or parameter of its own.
    None,
    /// `Authorization: Bearer`.
    Bearer(Template),
    /// `Authorization: Basic`: user and password.
    Basic(Template, Template),
    /// A signature.
    Sign(Box<Sign>),
}

/// A signature.
#[derive(Clone, Debug)]
pub struct Sign {
    /// How it is made.
    pub spec: SignSpec,
    /// What from: names as `verify::sign` expects them.
    pub templates: Vec<(String, Template)>,
}

/// A request's body.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    None,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, Template)>),
    /// JSON.
    Json(Json),
    /// Any other.
    Text(Template),
}

/// JSON with templates in its strings.
#[derive(Clone, Debug)]
pub enum Json {
    /// Something without templates.
    Plain(serde_json::Value),
    /// A string.
    Text(Template),
    /// All secrets of a batch, in place of one item of an array.
    Secrets,
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

/// A log-in that is not HTTP.
#[derive(Clone, Debug)]
pub struct Login {
    /// What is spoken; if not given, what the scheme says.
    pub protocol: Option<Protocol>,
    /// Names as `verify::login` expects them. A part that the credential does not have is the empty text.
    pub templates: Vec<(&'static str, Template)>,
    /// What is changed once logged in; only in the last step of a way to revoke.
    pub change: Option<Change>,
}

/// What a credential tells by itself.
#[derive(Clone, Debug)]
pub struct Offline {
    /// How it is decoded.
    pub decode: Decoder,
    /// What is decoded.
    pub of: Template,
    /// Values that join the credential's parts.
    pub capture: Vec<(String, Pick)>,
    /// The account.
    pub principal: Facts,
}

/// A way to end a credential or take its power away.
#[derive(Clone, Debug)]
pub struct Way {
    /// Its name in the rule file.
    pub name: String,
    /// What it does, in a few words.
    pub title: String,
    /// Who can do it.
    pub by: By,
    /// What it does to the credential.
    pub effect: Effect,
    /// The issuer's page that documents it; without one it is only shown.
    pub docs: Option<String>,
    /// What else dies or changes.
    pub side_effects: Vec<String>,
    /// The way that undoes it.
    pub undo: Option<String>,
    /// Only when asked for by name.
    pub only_if_asked: bool,
    /// What shows that it is done.
    pub proof: Proof,
    /// How many credentials one call takes.
    pub batch: Option<usize>,
    /// How many calls in how long.
    pub limit: Option<(u32, Duration)>,
    /// How long until the issuer refuses the credential.
    pub within: Option<Duration>,
    /// Settings of an administrator that it needs.
    pub admin: Vec<String>,
    /// Its steps; the last changes something.
    pub steps: Vec<Step>,
    /// The issuer's own dry run, in place of the last.
    pub dry_run: Option<Step>,
}

/// What a human does.
#[derive(Clone, Debug)]
pub struct Manual {
    /// The issuer's page.
    pub page: String,
    /// Steps, in order.
    pub steps: Vec<String>,
}

#[cfg(test)]
mod tests;
