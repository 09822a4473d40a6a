//! What a reply must be like, and what is taken from it: conditions, picks, items and facts, ready for use.
//!
//! Contract: data only; `verify::judge` looks at replies.

use super::{Pointer, Template};

/// Whether a status never is a verdict: redirects, time-outs, rate limits and faults of the issuer.
pub fn says_nothing(status: u16) -> bool {
    matches!(status, 0..=199 | 300..=399 | 408 | 429 | 500..)
}

/// What a reply must be like. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// One of these statuses; empty for any.
    pub status: Vec<u16>,
    /// Pointers that lead to something other than null.
    pub has: Vec<Pointer>,
    /// Pointers that lead to nothing, or to null.
    pub lacks: Vec<Pointer>,
    /// Pointers, and what may stand there.
    pub json: Vec<(Pointer, Vec<Expected>)>,
    /// Texts in lower case of which the body holds one; empty for any.
    pub text: Vec<String>,
    /// Headers (lower case) that hold this text (lower case).
    pub header: Vec<(String, String)>,
    /// Why, as reports show it.
    pub reason: Option<String>,
}

impl Condition {
    /// Whether it looks into JSON.
    pub fn needs_json(&self) -> bool {
        !(self.has.is_empty() && self.lacks.is_empty() && self.json.is_empty())
    }
}

/// A value that may stand at a pointer.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// Text, in lower case; compared without case.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Bool(bool),
    /// Text that is filled in; compared without case, and never equal where a value is missing.
    Filled(Template),
}

/// Where a value is taken from.
#[derive(Clone, Debug)]
pub struct Pick {
    /// The source.
    pub from: PickFrom,
    /// The value is a list, separated by this.
    pub split: Option<String>,
    /// Only values that begin with this count, and of them the rest.
    pub after: Option<Template>,
}

/// A source of values.
#[derive(Clone, Debug)]
pub enum PickFrom {
    /// The body as JSON.
    Json(Pointer),
    /// A header, name in lower case.
    Header(String),
    /// The body as text: the first group, or the whole match.
    Regex(regex::bytes::Regex),
    /// The credential, and what was captured.
    Text(Template),
}

/// The one item of a list that is the credential.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where the list is.
    pub each: Pointer,
    /// Pointers inside an item, and what must stand there.
    pub equals: Vec<(Pointer, Template)>,
    /// Pointers inside an item to a value shown in part, and whose beginning and end it must show.
    pub masked: Vec<(Pointer, Template)>,
    /// Captures: names, and pointers inside the item.
    pub capture: Vec<(String, Pointer)>,
}

/// Where the facts of an account are taken from; of several sources the first that has any.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Facts {
    pub kind: Vec<Pick>,
    pub id: Vec<Pick>,
    pub login: Vec<Pick>,
    pub name: Vec<Pick>,
    pub email: Vec<Pick>,
    pub organisation: Vec<Pick>,
    pub key_id: Vec<Pick>,
    pub scopes: Vec<Pick>,
    pub created: Vec<Pick>,
    pub expires: Vec<Pick>,
    pub last_used: Vec<Pick>,
    pub more: Vec<(String, Vec<Pick>)>,
}

impl Facts {
    /// All of its lists with their names.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &[Pick])> {
        let own = [
            ("kind", &self.kind),
            ("id", &self.id),
            ("login", &self.login),
            ("name", &self.name),
            ("email", &self.email),
            ("organisation", &self.organisation),
            ("key_id", &self.key_id),
            ("scopes", &self.scopes),
            ("created", &self.created),
            ("expires", &self.expires),
            ("last_used", &self.last_used),
        ];
        let more = self.more.iter().map(|(name, picks)| (name.as_str(), picks.as_slice()));
        own.into_iter().map(|(name, picks)| (name, picks.as_slice())).chain(more).filter(|(_, p)| !p.is_empty())
    }

    /// Whether nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.lists().next().is_none()
    }
}
