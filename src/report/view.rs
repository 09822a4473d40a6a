//! Findings and places in the shape that JSON shows them.
//!
//! Contract: a view borrows from the report, holds no secret bytes unless the user asked for them, and says the same
//! things under the same names in every machine format.

pub(super) mod owned;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use super::{Shown, kinds, style};
use crate::model::{
    BoundTo, CommitInfo, Confidence, Finding, How, Location, ObjectId, PlaceKind, Principal, Report, Signature,
    Validity,
};
use crate::secret::{Fingerprint, Secret};
use owned::OwnedView;

/// Name and version of this program.
#[derive(Serialize)]
pub(super) struct Tool {
    pub name: &'static str,
    pub version: &'static str,
}

pub(super) const TOOL: Tool = Tool { name: "unsprawl", version: env!("CARGO_PKG_VERSION") };

/// Bytes as text where they are UTF-8, and besides in base64 where they are not.
pub(super) struct Bytes {
    pub text: String,
    pub base64: Option<String>,
}

impl Bytes {
    pub fn new(raw: &[u8]) -> Self {
        match std::str::from_utf8(raw) {
            Ok(text) => Self { text: text.to_owned(), base64: None },
            Err(_) => Self { text: String::from_utf8_lossy(raw).into_owned(), base64: Some(BASE64.encode(raw)) },
        }
    }
}

/// The secret, only with `--show-secrets`: as text, or in base64 if it is not UTF-8.
#[derive(Serialize)]
pub(super) struct SecretView {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_base64: Option<String>,
}

impl SecretView {
    pub fn new(shown: &Shown<'_>, secret: &Secret) -> Self {
        if !shown.shows(secret) {
            return Self { secret: None, secret_base64: None };
        }
        let Bytes { text, base64 } = Bytes::new(secret.expose());
        Self { secret: base64.is_none().then_some(text), secret_base64: base64 }
    }
}

/// A secret that another one only works with.
#[derive(Serialize)]
pub(super) struct FurtherSecret {
    redacted: String,
    #[serde(flatten)]
    secret: SecretView,
}

impl FurtherSecret {
    fn new(shown: &Shown<'_>, secret: &Secret) -> Self {
        Self { redacted: secret.redacted(), secret: SecretView::new(shown, secret) }
    }
}

/// A person and a moment.
#[derive(Serialize)]
pub(super) struct Person {
    pub name: String,
    pub email: String,
    /// RFC 3339; `None` if the object claims an impossible moment.
    pub date: Option<String>,
    /// What the object claims.
    pub seconds: i64,
}

impl Person {
    fn new(shown: &Shown<'_>, signature: &Signature) -> Self {
        Self {
            name: shown.mask.string(&signature.name),
            email: shown.mask.string(&signature.email),
            date: style::rfc3339(signature.time, signature.offset),
            seconds: signature.time,
        }
    }
}

/// A commit.
#[derive(Serialize)]
pub(super) struct Commit {
    pub id: ObjectId,
    pub author: Person,
    pub committer: Person,
    pub subject: String,
}

impl Commit {
    pub fn new(shown: &Shown<'_>, commit: &CommitInfo) -> Self {
        Self {
            id: commit.id,
            author: Person::new(shown, &commit.author),
            committer: Person::new(shown, &commit.committer),
            subject: shown.mask.subject(commit),
        }
    }
}

/// The git side of a place.
#[derive(Serialize)]
pub(super) struct Git {
    pub object: ObjectId,
    pub commit: Option<Commit>,
    pub versions: u32,
    pub reachable: bool,
    pub present: bool,
}

impl Git {
    pub fn of(shown: &Shown<'_>, location: &Location) -> Option<Self> {
        location.git.as_ref().map(|g| Self {
            object: g.object,
            commit: g.commit.as_ref().map(|c| Commit::new(shown, c)),
            versions: g.versions,
            reachable: g.reachable,
            present: g.present,
        })
    }
}

/// One place.
#[derive(Serialize)]
pub(super) struct Place<'a> {
    target: usize,
    kind: PlaceKind,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    member: Vec<String>,
    line: u64,
    column: u64,
    end_line: u64,
    end_column: u64,
    offset: u64,
    encoding: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<Git>,
}

impl<'a> Place<'a> {
    pub fn new(shown: &Shown<'_>, location: &'a Location) -> Self {
        let Bytes { text: path, base64: path_base64 } = Bytes::new(&shown.mask.path(&location.path));
        let span = location.span;
        Self {
            target: location.target,
            kind: location.kind,
            path,
            path_base64,
            member: shown.members(location),
            line: span.line,
            column: span.column,
            end_line: span.end_line,
            end_column: span.end_column,
            offset: span.start,
            encoding: &location.encoding,
            git: Git::of(shown, location),
        }
    }
}

/// History of a credential in git.
#[derive(Serialize)]
pub(super) struct ExposureView {
    introduced: Option<Commit>,
    removed: Option<Commit>,
    at_head: bool,
    branches: u32,
    unreachable: bool,
    warnings: Vec<String>,
}

impl ExposureView {
    pub fn of(shown: &Shown<'_>, finding: &Finding) -> Option<Self> {
        finding.exposure.as_ref().map(|e| Self {
            introduced: e.introduced.as_ref().map(|c| Commit::new(shown, c)),
            removed: e.removed.as_ref().map(|c| Commit::new(shown, c)),
            at_head: e.at_head,
            branches: e.branches,
            unreachable: e.unreachable,
            warnings: e.warnings.iter().map(|w| shown.mask.string(w)).collect(),
        })
    }
}

/// Whether the issuer still accepts a credential.
#[derive(Serialize)]
pub(super) struct ValidityView {
    pub state: &'static str,
    pub reason: Option<String>,
}

impl ValidityView {
    pub fn new(shown: &Shown<'_>, validity: &Validity) -> Self {
        let reason = match validity {
            Validity::Unknown(reason) => Some(shown.mask.string(reason)),
            Validity::Active | Validity::Inactive => None,
        };
        Self { state: validity.as_str(), reason }
    }
}

/// How a verdict was come by.
#[derive(Serialize)]
pub(super) struct CheckedView {
    pub how: How,
    /// RFC 3339, UTC; `None` if nobody was asked.
    pub at: Option<String>,
    pub remark: Option<String>,
}

impl CheckedView {
    pub fn new(shown: &Shown<'_>, finding: &Finding) -> Self {
        let checked = &finding.checked;
        Self {
            how: checked.how,
            at: checked.at.and_then(|at| style::rfc3339(at, 0)),
            remark: checked.remark.as_ref().map(|r| shown.mask.string(r)),
        }
    }
}

/// An account with secrets cut out: an issuer may echo what it was sent.
pub(super) fn account(shown: &Shown<'_>, principal: Option<&Principal>) -> Option<Principal> {
    let text = |value: &Option<String>| value.as_ref().map(|v| shown.mask.string(v));
    principal.filter(|p| !p.is_empty()).map(|p| Principal {
        kind: text(&p.kind),
        id: text(&p.id),
        login: text(&p.login),
        name: text(&p.name),
        email: text(&p.email),
        organisation: text(&p.organisation),
        key_id: text(&p.key_id),
        scopes: p.scopes.iter().map(|s| shown.mask.string(s)).collect(),
        created: text(&p.created),
        expires: text(&p.expires),
        last_used: text(&p.last_used),
        more: p.more.iter().map(|(name, value)| (shown.mask.string(name), shown.mask.string(value))).collect(),
    })
}

/// What a finding says of itself, without its places.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    rule: &'a str,
    name: &'a str,
    issuer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    docs: Option<&'a str>,
    bound_to: BoundTo,
    confidence: Confidence,
    validity: ValidityView,
    checked: CheckedView,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Principal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Principal>,
    fingerprint: Fingerprint,
    redacted: String,
    #[serde(flatten)]
    secret: SecretView,
    parts: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<&'a str, FurtherSecret>,
    encrypted: bool,
    #[serde(flatten)]
    owned: Option<OwnedView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposure: Option<ExposureView>,
}

impl<'a> Head<'a> {
    pub fn new(shown: &Shown<'_>, finding: &'a Finding) -> Self {
        Self {
            rule: &finding.rule,
            name: &finding.name,
            issuer: &finding.issuer,
            docs: finding.docs.as_deref(),
            bound_to: finding.bound_to,
            confidence: finding.confidence,
            checked: CheckedView::new(shown, finding),
            principal: account(shown, finding.checked.principal.as_ref()),
            identity: account(shown, finding.checked.identity.as_ref()),
            validity: ValidityView::new(shown, &finding.checked.validity),
            fingerprint: finding.fingerprint,
            redacted: finding.secret.redacted(),
            secret: SecretView::new(shown, &finding.secret),
            secrets: finding.secrets.iter().map(|(n, s)| (n.as_str(), FurtherSecret::new(shown, s))).collect(),
            parts: finding.parts.iter().map(|(name, value)| (name.as_str(), shown.part(finding, value))).collect(),
            encrypted: finding.encrypted,
            owned: OwnedView::of(shown, finding),
            exposure: ExposureView::of(shown, finding),
        }
    }
}

/// How many notes of each kind there were, by the id of the kind.
pub(super) fn note_counts(report: &Report) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for (kind, n) in &report.note_counts {
        *counts.entry(kinds::words(*kind).id).or_default() += n;
    }
    counts
}
