//! SARIF 2.1.0 for code scanning services and editors. A result is a credential, not a line.
//!
//! Contract: valid against the official schema (`schemas/sarif-2.1.0.schema.json`) whatever was scanned; a result keeps
//! its fingerprint when lines, files or history move; one run, within the limits of GitHub code scanning, and every
//! cut to keep them is told inside the file. Columns are counted in bytes, which differs from SARIF's characters on
//! lines with more than ASCII; the byte offsets are exact.

mod place;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::style::{self, count};
use super::text::{address, title};
use super::view::{Head, TOOL};
use super::{Shown, json, kinds, safe_json};
use crate::model::{Confidence, Finding, Location, Note, Owned, PlaceKind, Report, Validity};
use crate::notes::printable;
use place::{location, uri, uri_bases};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Results that GitHub keeps of one run; it refuses a file with 25,000.
const MOST_RESULTS: usize = 5_000;
/// Locations that GitHub keeps of one result; it refuses a file where one has 1,000.
const MOST_LOCATIONS: usize = 100;
/// Our key among partial fingerprints. The number changes if the way of making fingerprints does.
const FINGERPRINT: &str = "unsprawlCredential/v1";

/// Writes the file.
pub(super) fn write(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    let findings = &shown.findings[..shown.findings.len().min(MOST_RESULTS)];
    let rules = Rules::of(findings);
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: json!({ "driver": {
                "name": TOOL.name,
                "semanticVersion": TOOL.version,
                "rules": rules.descriptors(),
                "notifications": notification_descriptors(),
            }}),
            automation_details: json!({ "id": automation_id(shown.report) }),
            invocations: [invocation(shown)],
            original_uri_base_ids: uri_bases(shown),
            version_control_provenance: provenance(shown),
            column_kind: "unicodeCodePoints",
            results: Results { shown, findings, rules: &rules },
        }],
    };
    safe_json::pretty(out, &log)
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Value,
    automation_details: Value,
    invocations: [Value; 1],
    #[serde(skip_serializing_if = "Map::is_empty")]
    original_uri_base_ids: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_control_provenance: Vec<Value>,
    column_kind: &'static str,
    results: Results<'a>,
}

/// Makes results while they are written, so that only one is in memory.
struct Results<'a> {
    shown: &'a Shown<'a>,
    findings: &'a [&'a Finding],
    rules: &'a Rules<'a>,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.findings.iter().map(|finding| result(self.shown, finding, self.rules)))
    }
}

/// The rules that have results, by id; each with a finding that speaks for it: the most certain one.
struct Rules<'a>(BTreeMap<&'a str, &'a Finding>);

impl<'a> Rules<'a> {
    fn of(findings: &[&'a Finding]) -> Self {
        let mut rules = BTreeMap::new();
        for &finding in findings {
            let speaker = rules.entry(finding.rule.as_str()).or_insert(finding);
            if finding.confidence > speaker.confidence {
                *speaker = finding;
            }
        }
        Self(rules)
    }

    fn index(&self, rule: &str) -> usize {
        self.0.range(..rule).count()
    }

    fn descriptors(&self) -> Vec<Value> {
        self.0.values().map(|finding| descriptor(finding)).collect()
    }
}

/// What a rule looks for. `security-severity` is what GitHub sorts by; it stands at the rule, so it follows the most
/// certain finding.
fn descriptor(finding: &Finding) -> Value {
    let name = title(finding);
    let (severity, precision) = match finding.confidence {
        Confidence::Certain => ("9.5", "very-high"),
        Confidence::High => ("8.5", "high"),
        Confidence::Medium => ("6.0", "medium"),
        Confidence::Low => ("3.0", "low"),
    };
    let help = "Treat the credential as known to others: revoke or rotate it at its issuer first, then remove it. \
                Taking it out of the newest version alone leaves it in history.";
    let mut rule = json!({
        "id": finding.rule,
        "name": finding.rule,
        "shortDescription": { "text": escape(&name) },
        "fullDescription": { "text": escape(&format!("{name} in plain sight.")) },
        "help": { "text": help },
        "defaultConfiguration": { "level": level_by_confidence(finding.confidence) },
        "properties": {
            "tags": ["security", "secret", "external/cwe/cwe-798"],
            "precision": precision,
            "security-severity": severity,
        },
    });
    if let Some(uri) = finding.docs.as_deref().and_then(uri) {
        rule["helpUri"] = uri.into();
    }
    rule
}

fn level_by_confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain | Confidence::High => "error",
        Confidence::Medium => "warning",
        Confidence::Low => "note",
    }
}

fn result(shown: &Shown<'_>, finding: &Finding, rules: &Rules<'_>) -> Value {
    let level = match finding.checked.validity {
        Validity::Inactive => "note",
        Validity::Active => "error",
        Validity::Unknown(_) => level_by_confidence(finding.confidence),
    };
    let rank = match finding.confidence {
        Confidence::Certain => 95.0,
        Confidence::High => 80.0,
        Confidence::Medium => 50.0,
        Confidence::Low => 20.0,
    };
    let primary = primary(&finding.locations);
    let others = (0..finding.locations.len()).filter(|i| *i != primary).take(MOST_LOCATIONS - 1);
    let locations: Vec<Value> = finding.locations.get(primary).map(|l| location(shown, l)).into_iter().collect();
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.index(&finding.rule),
        "kind": "fail",
        "level": level,
        "rank": rank,
        "message": { "text": message(finding) },
        "locations": locations,
        "partialFingerprints": { FINGERPRINT: finding.fingerprint },
        "properties": properties(shown, finding),
    });
    if !finding.locations.is_empty() {
        result["occurrenceCount"] = finding.locations.len().into();
    }
    let related: Vec<Value> = others
        .enumerate()
        .map(|(id, i)| {
            let place = &finding.locations[i];
            let mut related = location(shown, place);
            related["id"] = (id + 1).into();
            related["message"] = json!({ "text": escape(&format!("Also at {}", address(shown, place))) });
            related
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    result
}

/// The place a code scanning service shows: one that is there now if there is one, and has a path if any has.
fn primary(locations: &[Location]) -> usize {
    let now = |l: &Location| l.kind == PlaceKind::File || l.git.as_ref().is_some_and(|g| g.present);
    let first = |good: &dyn Fn(&Location) -> bool| locations.iter().position(good);
    first(&|l| !l.path.is_empty() && now(l)).or_else(|| first(&|l| !l.path.is_empty())).unwrap_or(0)
}

fn message(finding: &Finding) -> String {
    let validity = match &finding.checked.validity {
        Validity::Active => ", which its issuer still accepts",
        Validity::Inactive => ", which its issuer does not accept any more",
        Validity::Unknown(_) => "",
    };
    let places = match finding.locations.len() {
        n if n > MOST_LOCATIONS => format!(" Found in {n} places, of which {MOST_LOCATIONS} are listed."),
        n if n > 1 => format!(" Found in {n} places."),
        _ => String::new(),
    };
    let (title, redacted) = (title(finding), finding.secret.redacted());
    escape(&format!("{title} {redacted}{validity}, confidence {}.{places}", finding.confidence))
}

/// What SARIF has no field for; the same names as in JSON.
fn properties(shown: &Shown<'_>, finding: &Finding) -> Value {
    let head = serde_json::to_value(Head::new(shown, finding)).unwrap_or_default();
    let Value::Object(mut head) = head else { return json!({}) };
    for said_elsewhere in ["rule", "name", "docs"] {
        head.shift_remove(said_elsewhere);
    }
    let tags: Vec<&str> = finding.owned.iter().flat_map(tags).collect();
    if !tags.is_empty() {
        head.insert("tags".into(), tags.into());
    }
    head.into()
}

/// Severity, posture and the standards that speak of it, each once.
fn tags(owned: &Owned) -> Vec<&'static str> {
    let mut tags = vec![owned.severity.as_str()];
    for posture in &owned.posture {
        tags.push(posture.kind.as_str());
        tags.extend(posture.kind.references());
    }
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(*tag));
    tags
}

/// Repositories that were named by a URL.
fn provenance(shown: &Shown<'_>) -> Vec<Value> {
    let uris = shown.report.targets.iter().filter_map(|t| uri(&shown.target_name(&t.name)));
    uris.map(|uri| json!({ "repositoryUri": uri })).collect()
}

/// Makes text inert where SARIF would see links or placeholders.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text.as_bytes()).chars() {
        match c {
            '\\' | '[' | ']' => out.extend(['\\', c]),
            '{' | '}' => out.extend([c, c]),
            c => out.push(c),
        }
    }
    out
}

/// Category (the part before the last slash) and moment, by which GitHub tells series of runs apart.
fn automation_id(report: &Report) -> String {
    format!("unsprawl/{}", style::rfc3339(report.started, 0).unwrap_or_default())
}

fn invocation(shown: &Shown<'_>) -> Value {
    let report = shown.report;
    let mut notifications: Vec<Value> = cuts_of_this_file(shown);
    for &(kind, n) in report.note_counts.iter().filter(|(_, n)| *n > 0) {
        let words = kinds::words(kind);
        let level = if kind.cuts() { "warning" } else { "note" };
        let text = count(n, words.one, words.many);
        let details = report.notes.iter().filter(|note| note.kind == kind).map(|note| detail(shown, note));
        notifications.push(notification(words.id, level, &text));
        notifications.extend(details.map(|text| notification(words.id, level, &text)));
    }
    let mut invocation = json!({
        "executionSuccessful": report.complete(),
        "toolExecutionNotifications": notifications,
    });
    let millis = i64::try_from(report.totals.millis / 1000).unwrap_or(i64::MAX);
    let moments = [("startTimeUtc", Some(report.started)), ("endTimeUtc", report.started.checked_add(millis))];
    for (name, moment) in moments {
        if let Some(text) = moment.and_then(|seconds| style::rfc3339(seconds, 0)) {
            invocation[name] = text.into();
        }
    }
    invocation
}

fn detail(shown: &Shown<'_>, note: &Note) -> String {
    let note = json::masked(shown, note);
    if note.place.is_empty() { note.detail } else { format!("{}: {}", note.place, note.detail) }
}

fn notification(id: &str, level: &str, text: &str) -> Value {
    json!({ "descriptor": { "id": id }, "level": level, "message": { "text": escape(text) } })
}

/// What the limits of code scanning services keep out of this file.
fn cuts_of_this_file(shown: &Shown<'_>) -> Vec<Value> {
    let mut cuts = Vec::new();
    let all = shown.findings.len();
    if all > MOST_RESULTS {
        let text = format!("This file lists the {MOST_RESULTS} most certain of {all} credentials; JSON has them all.");
        cuts.push(notification(LIMIT, "warning", &text));
    }
    let long = shown.findings.iter().filter(|f| f.locations.len() > MOST_LOCATIONS).count();
    if long > 0 {
        let who = count(long as u64, "credential stands", "credentials stand");
        let text = format!("{who} in more than {MOST_LOCATIONS} places, which are not all listed; JSON has them all.");
        cuts.push(notification(LIMIT, "warning", &text));
    }
    cuts
}

/// Id of notifications that exist in SARIF only.
const LIMIT: &str = "sarif-limit";

fn notification_descriptors() -> Vec<Value> {
    let kinds = kinds::ALL.iter().map(|kind| kinds::words(*kind)).map(|words| (words.id, words.one));
    let all = kinds.chain([(LIMIT, "results or places left out of this file")]);
    all.map(|(id, text)| json!({ "id": id, "shortDescription": { "text": text } })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_links_or_placeholders() {
        assert_eq!(escape("[a](https://b) {0} \u{1b}"), "\\[a\\](https://b) {{0}} \\\\u{{1b}}");
    }
}
