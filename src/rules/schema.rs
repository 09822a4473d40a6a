//! The shape of a rule file, as TOML says it: see `rules/README.md`.
//!
//! Contract: data only. What a value means, and whether it makes sense, is told by `catalog`.

pub mod ask;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::model::Confidence;
use ask::{Endpoint, Manual, Offline, Revoke, Step, TestReply, TestSent};

/// One rule file: one issuer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Who issues these tokens.
    pub issuer: Issuer,
    /// Its token types.
    #[serde(default, rename = "token")]
    pub tokens: Vec<Spanned<Token>>,
    /// Where requests go, by name.
    #[serde(default, rename = "endpoint")]
    pub endpoints: BTreeMap<String, Spanned<Endpoint>>,
    /// Ways to ask whether a credential works, by name: one to five steps each.
    #[serde(default)]
    pub verify: BTreeMap<String, Vec<Spanned<Step>>>,
    /// Ways to end a credential, by name.
    #[serde(default)]
    pub revoke: BTreeMap<String, Spanned<Revoke>>,
    /// What a human does where no call exists, by name.
    #[serde(default)]
    pub manual: BTreeMap<String, Spanned<Manual>>,
    /// The file's own tests.
    #[serde(default, rename = "test")]
    pub tests: Vec<Spanned<Test>>,
}

/// The service that issued a credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Slug, equal to the file's name.
    pub id: Spanned<String>,
    /// The issuer's own spelling of its name.
    pub name: String,
    /// Its page on these tokens.
    pub docs: Option<String>,
    /// Scopes, roles or groups that give an administrator's power, without case; a `*` at the end stands for anything.
    #[serde(default)]
    pub admin_scopes: Vec<String>,
}

/// Whose authority a token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundTo {
    /// One person.
    User,
    /// A service account.
    Service,
    /// A whole organisation.
    Org,
    /// An application.
    App,
    /// One incoming hook.
    Webhook,
    /// Nobody in particular.
    None,
}

/// One format of one issuer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Slug, unique in the file.
    pub id: Spanned<String>,
    /// Human name.
    pub name: String,
    /// Whose authority it carries.
    pub bound_to: BoundTo,
    /// Literals inside the token, with case.
    #[serde(default)]
    pub anchors: Vec<Spanned<String>>,
    /// Words beside the token, without case.
    #[serde(default)]
    pub near: Vec<Spanned<String>>,
    /// How far after a near-word the token may end, in bytes.
    pub within: Option<usize>,
    /// How far before an anchor or word the match may begin, in bytes.
    #[serde(default)]
    pub before: usize,
    /// How far after an anchor's start an unbounded match may reach, in bytes.
    pub window: Option<usize>,
    /// The pattern.
    pub regex: Spanned<String>,
    /// A checksum inside the token.
    pub checksum: Option<Spanned<Checksum>>,
    /// What the value must be.
    pub structure: Option<Structure>,
    /// Least Shannon entropy in bits per character.
    pub entropy: Option<f32>,
    /// Confidence without a checksum.
    pub confidence: Option<Confidence>,
    /// An id rather than a secret.
    #[serde(default)]
    pub part: bool,
    /// What a part without its secret is worth.
    pub alone: Option<Alone>,
    /// The part that belongs to this secret.
    pub pair: Option<Spanned<Pair>>,
    /// Made to be public.
    #[serde(default)]
    pub public: bool,
    /// Knows no issuer: loses against a rule that does, between equals.
    #[serde(default)]
    pub fallback: bool,
    /// Whether values that read like words are dropped.
    pub words: Option<bool>,
    /// Secrets of these shapes are no credentials.
    #[serde(default)]
    pub allow: Vec<Spanned<String>>,
    /// Whether binary files are searched.
    pub binary: Option<bool>,
    /// What its value tells without asking.
    #[serde(default)]
    pub offline: Vec<Spanned<Offline>>,
    /// How it is asked about: a name below `verify`.
    pub verify: Option<Spanned<String>>,
    /// Why nobody can be asked (exchanging it would use it up, its server is not known, ...).
    pub no_verify: Option<String>,
    /// The page that says that a credential of this type has no end where the issuer's answer tells none.
    pub endless: Option<Spanned<String>>,
    /// Ways to end it, best first: names below `revoke`.
    #[serde(default)]
    pub revoke: Vec<Spanned<String>>,
    /// What a human does: a name below `manual`.
    pub manual: Option<Spanned<String>>,
}

/// A checksum: `steps` applied to group `of` must give group `equals`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksum {
    /// Group whose bytes are summed.
    pub of: String,
    /// Bytes put before them.
    #[serde(default)]
    pub prefix: String,
    /// What is done, in order.
    pub steps: Vec<String>,
    /// Group that holds the result; not needed for `bech32`.
    #[serde(default)]
    pub equals: String,
    /// What a wrong checksum means.
    #[serde(default)]
    pub mismatch: Mismatch,
}

/// What a wrong checksum means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mismatch {
    /// Reported at low confidence.
    #[default]
    Low,
    /// Not reported.
    Drop,
    /// Reported at the rule's own confidence: not every token is sure to use the checksum.
    Keep,
}

/// Structures that need code to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// JSON Web Token.
    Jwt,
    /// Base64 of a JSON document.
    Base64Json,
    /// Macaroon, version 1 or 2.
    Macaroon,
    /// PEM-like armour around base64.
    Pem,
}

/// What a part without its secret is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alone {
    /// Reported at medium confidence.
    Medium,
    /// Reported at low confidence.
    Low,
    /// Not reported.
    Drop,
}

/// The part that belongs to a secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Token ids of this file, each with `part = true`. None: there are only `secrets`.
    #[serde(default)]
    pub with: Vec<String>,
    /// Further ones: where one of `with` is there, the nearest of each of these joins, too.
    #[serde(default)]
    pub also: Vec<String>,
    /// Further secrets that it only works with (a session token): names, and token ids of this file that are findings of
    /// their own. Where one of `with` is there (or none is named), the nearest of each list joins by that name; it is shown redacted.
    #[serde(default)]
    pub secrets: BTreeMap<String, Vec<String>>,
    /// How many bytes may lie between them.
    pub within: usize,
    /// Whether there is no finding without it.
    #[serde(default)]
    pub required: bool,
}

/// One test of a rule file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Token id of this file.
    pub token: String,
    /// Text to scan, with `{make}` and the like. A test of a call scans it, too, and asks about the one finding;
    /// without a text it makes a credential of the token type.
    pub text: Option<String>,
    /// How many findings of the token type there must be.
    pub hits: Option<usize>,
    /// Least confidence counted; medium if not given.
    pub confidence: Option<Confidence>,
    /// More to check on each finding.
    pub expect: Option<Expect>,
    /// `verify`, `offline`, or the name of a way to revoke.
    pub call: Option<String>,
    /// Of a way to revoke only the dry run: everything but what changes something.
    #[serde(default)]
    pub dry_run: bool,
    /// The endpoint that the user configured: name and URL.
    #[serde(default)]
    pub endpoint: BTreeMap<String, String>,
    /// Texts that placeholders `{given.NAME}` stand for: what a token holds in base64 need not stand in a file that way.
    #[serde(default)]
    pub given: BTreeMap<String, String>,
    /// Parts that the credential of a call has, besides those of its text.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
    /// Settings of an administrator, for templates `{admin.NAME}`.
    #[serde(default)]
    pub admin: BTreeMap<String, String>,
    /// What the issuer answers.
    pub reply: Option<TestReply>,
    /// Or what it answers to each step.
    #[serde(default)]
    pub replies: Vec<TestReply>,
    /// What must have been sent, step by step.
    #[serde(default)]
    pub sent: Vec<TestSent>,
}

/// What a finding of a test must look like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Its confidence.
    pub confidence: Option<Confidence>,
    /// Parts it must have.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
    /// Whether it is marked as encrypted.
    pub encrypted: Option<bool>,
    /// A call: `active`, `inactive` or `unknown`.
    pub validity: Option<String>,
    /// A call: text that the reason must hold.
    pub reason: Option<String>,
    /// A call: facts about the account; `scopes` joined by a space, `more` by their own names.
    #[serde(default)]
    pub principal: BTreeMap<String, String>,
    /// A way to revoke: `done`, `gone`, `refused` or `unknown`.
    pub outcome: Option<String>,
}
