//! One flat JSON object a line for each place of each finding, and a last one that sums up:
//! `schemas/location.v1.schema.json`.
//!
//! Contract: a line stands for itself, so that `grep`, `jq` and `head` do something useful with it; the last line has
//! `"type":"summary"`, and a file without it was cut off.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::view::owned::OwnedView;
use super::view::{self, Bytes, CheckedView, Commit, SecretView, TOOL, ValidityView, note_counts};
use super::{Shown, safe_json, style};
use crate::model::{
    Confidence, Finding, How, Location, ObjectId, Person, PersonState, PlaceKind, Principal, Severity, Totals,
};
use crate::secret::Fingerprint;

/// What names the schema in the summary line.
const SCHEMA: &str = "unsprawl/location";
const VERSION: u32 = 1;

/// Writes all lines.
pub(super) fn write(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    for finding in &shown.findings {
        for location in &finding.locations {
            safe_json::compact(out, &Line::new(shown, finding, location))?;
            out.write_all(b"\n")?;
        }
    }
    safe_json::compact(out, &Summary::new(shown))?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    line: u64,
    column: u64,
    end_line: u64,
    end_column: u64,
    offset: u64,
    rule: &'a str,
    name: &'a str,
    confidence: Confidence,
    validity: &'static str,
    validity_reason: Option<String>,
    checked_how: How,
    checked_at: Option<String>,
    remark: Option<String>,
    #[serde(flatten)]
    account: Option<Account>,
    fingerprint: Fingerprint,
    redacted: String,
    #[serde(flatten)]
    secret: SecretView,
    encrypted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    /// Name or address of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// `active`, `suspended`, `departed` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_state: Option<PersonState>,
    /// Kinds of posture joined by a comma.
    #[serde(skip_serializing_if = "Option::is_none")]
    posture: Option<String>,
    target: String,
    kind: PlaceKind,
    /// Nested members joined by `!`; `None` outside of archives.
    member: Option<String>,
    /// Encodings joined by `+`, outermost first; `None` for plain text.
    encoding: Option<String>,
    #[serde(flatten)]
    git: Option<Git>,
}

impl<'a> Line<'a> {
    fn new(shown: &Shown<'_>, finding: &'a Finding, location: &Location) -> Self {
        let Bytes { text: path, base64: path_base64 } = Bytes::new(&shown.mask.path(&location.path));
        let validity = ValidityView::new(shown, &finding.checked.validity);
        let checked = CheckedView::new(shown, finding);
        let span = location.span;
        let owned = OwnedView::of(shown, finding);
        let owner = owned.as_ref().and_then(|o| o.owner.person.as_ref());
        Self {
            r#type: "location",
            path,
            path_base64,
            line: span.line,
            column: span.column,
            end_line: span.end_line,
            end_column: span.end_column,
            offset: span.start,
            rule: &finding.rule,
            name: &finding.name,
            confidence: finding.confidence,
            validity: validity.state,
            validity_reason: validity.reason,
            checked_how: checked.how,
            checked_at: checked.at,
            remark: checked.remark,
            account: Account::of(shown, finding),
            fingerprint: finding.fingerprint,
            redacted: finding.secret.redacted(),
            secret: SecretView::new(shown, &finding.secret),
            encrypted: finding.encrypted,
            severity: owned.as_ref().map(|o| o.severity),
            owner: owner.map(Person::title),
            owner_state: owner.map(|p| p.state),
            posture: owned.as_ref().map(|o| o.posture.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>().join(",")),
            target: shown.target(location),
            kind: location.kind,
            member: (!location.member.is_empty()).then(|| shown.members(location).join("!")),
            encoding: (!location.encoding.is_empty()).then(|| location.encoding.join("+")),
            git: view::Git::of(shown, location).map(Git::new),
        }
    }
}

/// The account behind a credential, flat: as its issuer says, or else as the credential itself does.
#[derive(Serialize)]
struct Account {
    account_from: &'static str,
    account_id: Option<String>,
    account_login: Option<String>,
    account_name: Option<String>,
    account_email: Option<String>,
    account_organisation: Option<String>,
    /// Joined by spaces.
    account_scopes: Option<String>,
    account_expires: Option<String>,
}

impl Account {
    fn of(shown: &Shown<'_>, finding: &Finding) -> Option<Self> {
        let from = |from, principal: &Option<Principal>| Some((from, view::account(shown, principal.as_ref())?));
        let checked = &finding.checked;
        let (account_from, account) =
            from("issuer", &checked.principal).or_else(|| from("credential", &checked.identity))?;
        Some(Self {
            account_from,
            account_id: account.id,
            account_login: account.login,
            account_name: account.name,
            account_email: account.email,
            account_organisation: account.organisation,
            account_scopes: (!account.scopes.is_empty()).then(|| account.scopes.join(" ")),
            account_expires: account.expires,
        })
    }
}

/// The fields of a place in git, flat. Those of the commit are `None` where no commit has it.
#[derive(Serialize)]
struct Git {
    object: ObjectId,
    commit: Option<ObjectId>,
    author: Option<String>,
    email: Option<String>,
    date: Option<String>,
    commit_date: Option<String>,
    subject: Option<String>,
    versions: u32,
    reachable: bool,
    present: bool,
}

impl Git {
    fn new(git: view::Git) -> Self {
        let (versions, reachable, present) = (git.versions, git.reachable, git.present);
        let (commit, author, email, date, commit_date, subject) = match git.commit {
            None => (None, None, None, None, None, None),
            Some(Commit { id, author, committer, subject }) => {
                (Some(id), Some(author.name), Some(author.email), author.date, committer.date, Some(subject))
            }
        };
        Self { object: git.object, commit, author, email, date, commit_date, subject, versions, reachable, present }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    r#type: &'static str,
    schema: &'static str,
    version: u32,
    tool: String,
    started: Option<String>,
    complete: bool,
    findings: usize,
    locations: usize,
    totals: &'a Totals,
    note_counts: BTreeMap<&'static str, u64>,
}

impl<'a> Summary<'a> {
    fn new(shown: &Shown<'a>) -> Self {
        let report = shown.report;
        Self {
            r#type: "summary",
            schema: SCHEMA,
            version: VERSION,
            tool: format!("{} {}", TOOL.name, TOOL.version),
            started: style::rfc3339(report.started, 0),
            complete: report.complete(),
            findings: report.findings.len(),
            locations: report.findings.iter().map(|f| f.locations.len()).sum(),
            totals: &report.totals,
            note_counts: note_counts(report),
        }
    }
}
