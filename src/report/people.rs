//! Findings by the people they belong to: what `unsprawl owners` and `unsprawl offboard` show.
//!
//! Contract: the same rules as every report: nothing of a secret but its redacted form, nothing of scanned content unescaped.
//! Everybody once, those with the most urgent credentials first; what has no owner comes last.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::text::person_line;
use super::view::owned;
use super::{Options, Shown, safe_json, style};
use crate::model::{Finding, Person, PersonState, PostureKind, Report, Severity, Validity};
use crate::notes::printable;
use crate::secret::Fingerprint;

/// A format of lists of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum PeopleFormat {
    /// For people.
    #[default]
    Text,
    /// One document, see `schemas/owners.v1.schema.json`.
    Json,
    /// A line for each credential of each person.
    Csv,
}

/// What a credential is to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// It acts as them.
    Owns,
    /// They brought it into git; it is somebody else's, or nobody knows whose.
    BroughtIn,
}

impl Relation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Owns => "owns",
            Self::BroughtIn => "brought-in",
        }
    }
}

/// One person (or nobody) and their credentials.
struct Entry<'a> {
    person: Option<Person>,
    findings: Vec<(Relation, &'a Finding)>,
}

/// Which people are listed.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Everybody who owns something, and what nobody owns.
    Owners,
    /// This person alone: what they own and what they brought in.
    One(Box<Person>),
}

/// Whether a credential of this list is still active.
pub fn any_active(report: &Report, whose: &Whose) -> bool {
    entries(report, whose).iter().flat_map(|e| &e.findings).any(|(_, f)| f.checked.validity == Validity::Active)
}

/// Writes the list and flushes `out`.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(
    format: PeopleFormat,
    report: &Report,
    whose: &Whose,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let shown = Shown::new(report, options);
    let entries = entries(report, whose);
    let mut out = BufWriter::new(out);
    match format {
        PeopleFormat::Text => text(&shown, &entries, &mut out)?,
        PeopleFormat::Json => json(&shown, &entries, whose, &mut out)?,
        PeopleFormat::Csv => csv(&shown, &entries, &mut out)?,
    }
    out.flush()
}

fn entries<'a>(report: &'a Report, whose: &Whose) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    if let Whose::One(person) = whose {
        let relation = |f: &&'a Finding| Some((relation(f, person)?, *f));
        let mut findings: Vec<_> = report.findings.iter().filter_map(|f| relation(&f)).collect();
        findings.sort_by_key(|(relation, f)| (*relation, std::cmp::Reverse(severity(f))));
        return vec![Entry { person: Some(person.as_ref().clone()), findings }];
    }
    // Thousands of findings of a thousand people: an index by every name, not a comparison with everybody.
    let mut index: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut nobody = Entry { person: None, findings: Vec::new() };
    for finding in &report.findings {
        let Some(person) = finding.owned.as_ref().and_then(|o| o.owner.person.as_ref()) else {
            nobody.findings.push((Relation::Owns, finding));
            continue;
        };
        let names: Vec<String> = names(person);
        let at = names.iter().find_map(|n| index.get(n).copied()).unwrap_or_else(|| {
            entries.push(Entry { person: Some(person.clone()), findings: Vec::new() });
            entries.len() - 1
        });
        for name in names {
            index.entry(name).or_insert(at);
        }
        entries[at].findings.push((Relation::Owns, finding));
    }
    for entry in &mut entries {
        entry.findings.sort_by_key(|(_, f)| std::cmp::Reverse(severity(f)));
    }
    entries.sort_by(|a, b| {
        let key = |e: &Entry<'_>| (std::cmp::Reverse(e.findings.first().map(|(_, f)| severity(f))), title(e));
        key(a).cmp(&key(b))
    });
    nobody.findings.sort_by_key(|(_, f)| std::cmp::Reverse(severity(f)));
    if !nobody.findings.is_empty() {
        entries.push(nobody);
    }
    entries
}

/// All by which two records are of one person, as in [`Person::is_same`].
fn names(person: &Person) -> Vec<String> {
    let record = (!person.directory.is_empty()).then(|| format!("\0{}\0{}", person.directory, person.id));
    let emails = person.emails.iter().map(|e| format!("e{e}"));
    record.into_iter().chain(emails).chain(person.logins.iter().map(|l| format!("l{l}"))).collect()
}

fn title(entry: &Entry<'_>) -> String {
    entry.person.as_ref().map(Person::title).unwrap_or_default()
}

fn relation(finding: &Finding, person: &Person) -> Option<Relation> {
    let owner = &finding.owned.as_ref()?.owner;
    if owner.person.as_ref().is_some_and(|p| p.is_same(person)) {
        return Some(Relation::Owns);
    }
    owner.introduced_by.iter().any(|p| p.is_same(person)).then_some(Relation::BroughtIn)
}

fn severity(finding: &Finding) -> Severity {
    finding.owned.as_ref().map(|o| o.severity).unwrap_or_default()
}

fn kinds(finding: &Finding) -> Vec<&'static str> {
    finding.owned.iter().flat_map(|o| &o.posture).map(|p| p.kind.as_str()).collect()
}

fn is(finding: &Finding, kind: PostureKind) -> bool {
    finding.owned.as_ref().is_some_and(|o| o.is(kind))
}

/// What to do about a credential.
fn action(finding: &Finding) -> &'static str {
    let present = is(finding, PostureKind::StillPresent);
    match &finding.checked.validity {
        Validity::Active if is(finding, PostureKind::Orphaned) => "revoke it now: its owner is gone",
        Validity::Active if is(finding, PostureKind::Shared) => {
            "revoke it, and give each user a credential of their own"
        }
        Validity::Active => "revoke it, and replace it where it is used",
        Validity::Unknown(_) => "treat it as active until its issuer says otherwise",
        Validity::Inactive if present => "remove it from the files",
        Validity::Inactive => "nothing",
    }
}

fn place(shown: &Shown<'_>, finding: &Finding) -> String {
    let at = super::newest(&finding.locations);
    let Some(location) = finding.locations.get(at) else { return String::new() };
    let path = String::from_utf8_lossy(&shown.mask.path(&location.path)).into_owned();
    let target = shown.target(location);
    let path = if path.is_empty() { format!("({:?})", location.kind).to_lowercase() } else { path };
    let more = match finding.locations.len() {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    printable(format!("{target}: {path}:{}{more}", location.span.line).as_bytes())
}

fn text(shown: &Shown<'_>, entries: &[Entry<'_>], out: &mut dyn Write) -> io::Result<()> {
    let style = style::Style::new(shown.options.color);
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        match &entry.person {
            Some(person) => {
                let person = owned::person(shown, person);
                let team = person.team.as_ref().map(|t| format!(", {t}")).unwrap_or_default();
                let manager = person.manager.as_ref().map(|m| format!(", manager {m}")).unwrap_or_default();
                let line = format!("{}{}", person_line(&person), printable(format!("{team}{manager}").as_bytes()));
                writeln!(out, "{}", style.bold(line))?;
            }
            None => writeln!(out, "{}", style.bold("No owner known"))?,
        }
        if entry.findings.is_empty() {
            writeln!(out, "  no credential")?;
        }
        let mut last = Relation::Owns;
        for (relation, finding) in &entry.findings {
            if *relation != last {
                writeln!(out, "  brought in by them:")?;
                last = *relation;
            }
            let kinds = kinds(finding).join(", ");
            let severity = style.severity(severity(finding));
            let (validity, redacted) = (finding.checked.validity.as_str(), finding.secret.redacted());
            let rule = printable(finding.rule.as_bytes());
            writeln!(out, "  {severity}  {validity}  {rule}  {}  {kinds}", printable(redacted.as_bytes()))?;
            writeln!(out, "      {}", place(shown, finding))?;
            writeln!(out, "      {}", action(finding))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    tool: super::view::Tool,
    started: Option<String>,
    complete: bool,
    people: Vec<PersonView<'a>>,
}

#[derive(Serialize)]
struct PersonView<'a> {
    /// `None` for what nobody owns.
    person: Option<Person>,
    active: usize,
    orphaned: usize,
    credentials: Vec<CredentialView<'a>>,
}

#[derive(Serialize)]
struct CredentialView<'a> {
    relation: Relation,
    rule: &'a str,
    name: &'a str,
    fingerprint: Fingerprint,
    redacted: String,
    validity: &'static str,
    severity: Severity,
    posture: Vec<&'static str>,
    places: usize,
    place: String,
    action: &'static str,
}

fn json(shown: &Shown<'_>, entries: &[Entry<'_>], whose: &Whose, out: &mut dyn Write) -> io::Result<()> {
    let schema = match whose {
        Whose::Owners => "unsprawl/owners",
        Whose::One(_) => "unsprawl/offboard",
    };
    let count = |e: &Entry<'_>, fits: &dyn Fn(&Finding) -> bool| e.findings.iter().filter(|(_, f)| fits(f)).count();
    let people = entries.iter().map(|entry| PersonView {
        person: entry.person.as_ref().map(|p| owned::person(shown, p)),
        active: count(entry, &|f| f.checked.validity == Validity::Active),
        orphaned: count(entry, &|f| is(f, PostureKind::Orphaned)),
        credentials: entry.findings.iter().map(|(relation, f)| credential(shown, *relation, f)).collect(),
    });
    let document = Document {
        schema,
        version: 1,
        tool: super::view::TOOL,
        started: style::rfc3339(shown.report.started, 0),
        complete: shown.report.complete(),
        people: people.collect(),
    };
    safe_json::pretty(out, &document)
}

fn credential<'a>(shown: &Shown<'_>, relation: Relation, finding: &'a Finding) -> CredentialView<'a> {
    CredentialView {
        relation,
        rule: &finding.rule,
        name: &finding.name,
        fingerprint: finding.fingerprint,
        redacted: finding.secret.redacted(),
        validity: finding.checked.validity.as_str(),
        severity: severity(finding),
        posture: kinds(finding),
        places: finding.locations.len(),
        place: place(shown, finding),
        action: action(finding),
    }
}

const COLUMNS: [&str; 15] = [
    "person",
    "email",
    "state",
    "since",
    "team",
    "manager",
    "relation",
    "severity",
    "validity",
    "rule",
    "posture",
    "fingerprint",
    "value",
    "place",
    "action",
];

fn csv(shown: &Shown<'_>, entries: &[Entry<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS).map_err(io::Error::other)?;
    for entry in entries {
        let person = entry.person.as_ref().map(|p| owned::person(shown, p)).unwrap_or_default();
        let state = if entry.person.is_some() { person.state } else { PersonState::Unknown };
        for (relation, finding) in &entry.findings {
            let row = [
                person.name.clone().unwrap_or_else(|| person.id.clone()),
                person.emails.first().cloned().unwrap_or_default(),
                state.as_str().to_owned(),
                person.since.clone().unwrap_or_default(),
                person.team.clone().unwrap_or_default(),
                person.manager.clone().unwrap_or_default(),
                relation.as_str().to_owned(),
                severity(finding).as_str().to_owned(),
                finding.checked.validity.as_str().to_owned(),
                finding.rule.clone(),
                kinds(finding).join(" "),
                finding.fingerprint.to_string(),
                finding.secret.redacted(),
                place(shown, finding),
                action(finding).to_owned(),
            ];
            csv.write_record(row.iter().map(|field| inert(field))).map_err(io::Error::other)?;
        }
    }
    csv.flush()
}

/// Spreadsheets run what begins like a formula.
fn inert(field: &str) -> String {
    let field = printable(field.as_bytes());
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}
