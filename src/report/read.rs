//! Reads a report back that `--format json` wrote: for commands that work on the findings of an earlier run.
//!
//! Contract: takes every document that `schemas/report.v1.schema.json` allows, of later programs of that version, too
//! (fields it does not know are passed over). Values of secrets are not in a report: findings come back with their
//! fingerprint and what is shown of the value ([`Secret::withheld`]), unless the report was written with
//! `--show-secrets`.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::model::{
    BoundTo, Checked, CommitInfo, Confidence, ENCODINGS, Exposure, Finding, GitPlace, How, Location, Note, NoteKind,
    ObjectId, Owned, Owner, PeopleFiles, PlaceKind, Posture, Principal, Report, Severity, Signature, Target, TextSpan,
    Totals, Validity,
};
use crate::secret::{Fingerprint, Secret};

/// The largest report that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read at all.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no JSON document of this kind.
    #[error("is no report of ours (`scan --format json` writes them): line {line}, column {column}: {message}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there; says nothing of values.
        message: String,
    },
    /// A finding stands nowhere.
    #[error("has a finding without any place: it was not written by this program")]
    NoPlace,
    /// It is of a version that this program does not know.
    #[error("is a report of version {0}; this program reads version 1")]
    Version(u64),
}

/// Reads one report.
///
/// # Errors
/// See [`ReadError`].
pub fn read(input: impl Read) -> Result<Report, ReadError> {
    let mut text = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(ReadError::Io(std::io::Error::other("it is larger than 1 GiB")));
    }
    let document: Document = serde_json::from_slice(&text).map_err(|e| ReadError::Form {
        line: e.line(),
        column: e.column(),
        message: kind_of(&e).to_owned(),
    })?;
    if document.version != 1 {
        return Err(ReadError::Version(document.version));
    }
    if document.findings.iter().any(|f| f.locations.is_empty()) {
        return Err(ReadError::NoPlace);
    }
    Ok(document.into_report())
}

/// Reads one finding, as a report shows it.
///
/// # Errors
/// It is none; see [`ReadError`].
pub fn finding(value: &serde_json::Value) -> Result<Finding, ReadError> {
    let document = FindingDoc::deserialize(value).map_err(|e| ReadError::Form {
        line: e.line(),
        column: e.column(),
        message: kind_of(&e).to_owned(),
    })?;
    if document.locations.is_empty() {
        return Err(ReadError::NoPlace);
    }
    Ok(document.into_finding())
}

/// What is wrong, without quoting what stands there.
fn kind_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the document ends too early",
        serde_json::error::Category::Data => "a field is missing or of another type than in the schema",
        _ => "this is not JSON",
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "schema")]
    _schema: SchemaName,
    version: u64,
    started: Option<String>,
    targets: Vec<TargetDoc>,
    findings: Vec<FindingDoc>,
    notes: Vec<Note>,
    note_counts: BTreeMap<NoteKind, u64>,
    totals: Totals,
}

#[derive(Deserialize)]
enum SchemaName {
    #[serde(rename = "unsprawl/report")]
    Report,
}

#[derive(Deserialize)]
struct TargetDoc {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct FurtherDoc {
    redacted: String,
    secret: Option<String>,
    secret_base64: Option<String>,
}

#[derive(Deserialize)]
struct FindingDoc {
    rule: String,
    name: String,
    issuer: String,
    docs: Option<String>,
    #[serde(default = "nobody")]
    bound_to: BoundTo,
    confidence: Confidence,
    validity: ValidityDoc,
    checked: Option<CheckedDoc>,
    principal: Option<Principal>,
    identity: Option<Principal>,
    fingerprint: Fingerprint,
    redacted: String,
    secret: Option<String>,
    secret_base64: Option<String>,
    parts: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeMap<String, FurtherDoc>,
    encrypted: bool,
    severity: Option<Severity>,
    owner: Option<Owner>,
    posture: Option<Vec<Posture>>,
    exposure: Option<ExposureDoc>,
    locations: Vec<PlaceDoc>,
}

fn nobody() -> BoundTo {
    BoundTo::None
}

#[derive(Deserialize)]
struct ValidityDoc {
    state: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct CheckedDoc {
    how: How,
    at: Option<String>,
    remark: Option<String>,
}

#[derive(Deserialize)]
struct PersonDoc {
    name: String,
    email: String,
    date: Option<String>,
    seconds: i64,
}

#[derive(Deserialize)]
struct CommitDoc {
    id: ObjectId,
    author: PersonDoc,
    committer: PersonDoc,
    subject: String,
}

#[derive(Deserialize)]
struct ExposureDoc {
    introduced: Option<CommitDoc>,
    removed: Option<CommitDoc>,
    at_head: bool,
    branches: u32,
    unreachable: bool,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct GitDoc {
    object: ObjectId,
    commit: Option<CommitDoc>,
    versions: u32,
    reachable: bool,
    present: bool,
}

#[derive(Deserialize)]
struct PlaceDoc {
    target: usize,
    kind: PlaceKind,
    path: String,
    path_base64: Option<String>,
    member: Vec<String>,
    line: u64,
    column: u64,
    end_line: u64,
    end_column: u64,
    offset: u64,
    encoding: Vec<String>,
    git: Option<GitDoc>,
}

impl Document {
    fn into_report(self) -> Report {
        let targets: Vec<Target> = self.targets.into_iter().map(TargetDoc::into_target).collect();
        Report {
            started: self.started.as_deref().and_then(seconds).unwrap_or_default(),
            findings: self.findings.into_iter().map(FindingDoc::into_finding).collect(),
            targets,
            notes: self.notes,
            note_counts: self.note_counts.into_iter().collect(),
            totals: self.totals,
        }
    }
}

impl TargetDoc {
    fn into_target(self) -> Target {
        target(self.name, &self.kind)
    }
}

/// A target of an earlier run.
pub fn target(name: String, kind: &str) -> Target {
    const KINDS: [&str; 5] = ["file", "folder", "repository", "bare-repository", "stdin"];
    let kind = KINDS.into_iter().find(|k| *k == kind).unwrap_or("other");
    Target { name, kind, root: None, people: PeopleFiles::default() }
}

/// A value if the report has it, else what it shows of it.
fn secret(redacted: &str, text: Option<String>, base64: Option<String>) -> Secret {
    let value = text.map(String::into_bytes).or_else(|| BASE64.decode(base64?).ok());
    value.map_or_else(|| Secret::withheld(redacted), |v| Secret::new(&v))
}

impl FindingDoc {
    fn into_finding(self) -> Finding {
        let owned = self.owner.map(|owner| Owned {
            owner,
            posture: self.posture.unwrap_or_default(),
            severity: self.severity.unwrap_or_default(),
        });
        let checked = self.checked.unwrap_or(CheckedDoc { how: How::NotAsked, at: None, remark: None });
        Finding {
            rule: self.rule,
            name: self.name,
            issuer: self.issuer,
            docs: self.docs,
            confidence: self.confidence,
            fingerprint: self.fingerprint,
            secret: secret(&self.redacted, self.secret, self.secret_base64),
            parts: self.parts.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
            secrets: self
                .secrets
                .into_iter()
                .map(|(n, s)| (n, secret(&s.redacted, s.secret, s.secret_base64)))
                .collect(),
            encrypted: self.encrypted,
            bound_to: self.bound_to,
            checked: Checked {
                validity: match self.validity.state.as_str() {
                    "active" => Validity::Active,
                    "inactive" => Validity::Inactive,
                    _ => Validity::Unknown(self.validity.reason.unwrap_or_default()),
                },
                remark: checked.remark,
                how: checked.how,
                at: checked.at.as_deref().and_then(seconds),
                principal: self.principal,
                identity: self.identity,
            },
            owned,
            locations: self.locations.into_iter().map(PlaceDoc::into_location).collect(),
            exposure: self.exposure.map(ExposureDoc::into_exposure),
        }
    }
}

impl PersonDoc {
    fn into_signature(self) -> Signature {
        let offset = self.date.as_deref().and_then(offset_minutes).unwrap_or_default();
        Signature { name: self.name, email: self.email, time: self.seconds, offset }
    }
}

impl CommitDoc {
    fn into_commit(self) -> CommitInfo {
        CommitInfo {
            id: self.id,
            author: self.author.into_signature(),
            committer: self.committer.into_signature(),
            subject: self.subject,
        }
    }
}

impl ExposureDoc {
    fn into_exposure(self) -> Exposure {
        Exposure {
            introduced: self.introduced.map(CommitDoc::into_commit),
            removed: self.removed.map(CommitDoc::into_commit),
            at_head: self.at_head,
            branches: self.branches,
            unreachable: self.unreachable,
            warnings: self.warnings,
        }
    }
}

impl PlaceDoc {
    fn into_location(self) -> Location {
        let length = if self.line == self.end_line { self.end_column.saturating_sub(self.column) } else { 0 };
        Location {
            target: self.target,
            kind: self.kind,
            path: self.path_base64.and_then(|p| BASE64.decode(p).ok()).unwrap_or_else(|| self.path.into_bytes()),
            member: self.member,
            span: TextSpan {
                start: self.offset,
                end: self.offset.saturating_add(length),
                line: self.line,
                column: self.column,
                end_line: self.end_line,
                end_column: self.end_column,
            },
            encoding: self.encoding.iter().map(|name| encoding(name)).collect(),
            git: self.git.map(|git| GitPlace {
                object: git.object,
                commit: git.commit.map(CommitDoc::into_commit),
                versions: git.versions,
                reachable: git.reachable,
                present: git.present,
            }),
        }
    }
}

/// The name of an encoding as decoders spell it.
fn encoding(name: &str) -> &'static str {
    ENCODINGS.into_iter().find(|known| *known == name).unwrap_or("other")
}

fn seconds(date: &str) -> Option<i64> {
    date.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// Offset of an RFC 3339 date from UTC.
fn offset_minutes(date: &str) -> Option<i32> {
    let (sign, tail) = match date.get(date.len().checked_sub(6)?..)? {
        tail if tail.starts_with('+') => (1, &tail[1..]),
        tail if tail.starts_with('-') => (-1, &tail[1..]),
        _ => return None,
    };
    let (hours, minutes) = tail.split_once(':')?;
    Some(sign * (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?))
}
