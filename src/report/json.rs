//! The whole report as one JSON document, `schemas/report.v1.schema.json`.
//!
//! Contract: within one version of the schema, fields are only ever added. Places are written one by one, so that
//! memory does not grow with their number.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::view::{Head, Place, TOOL, Tool, note_counts};
use super::{Shown, safe_json, style};
use crate::model::{Finding, Location, Note, Target, Totals};

/// What names the schema inside a document.
const SCHEMA: &str = "unsprawl/report";
const VERSION: u32 = 1;

/// Writes the document.
pub(super) fn write(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    let report = shown.report;
    let document = Document {
        schema: SCHEMA,
        version: VERSION,
        tool: TOOL,
        started: style::rfc3339(report.started, 0),
        complete: report.complete(),
        targets: report.targets.iter().map(|t| Target { name: shown.target_name(&t.name), ..t.clone() }).collect(),
        findings: Findings(shown),
        notes: report.notes.iter().map(|note| masked(shown, note)).collect(),
        note_counts: note_counts(report),
        totals: &report.totals,
    };
    safe_json::pretty(out, &document)
}

/// Every finding as the document shows it, in the order of the report. No secret is shown, whatever the report holds.
///
/// # Errors
/// Never in practice: everything in a finding can be written.
pub fn findings(report: &super::Report) -> io::Result<Vec<serde_json::Value>> {
    let options = super::Options::default();
    let shown = Shown::new(report, &options);
    let view = |finding| FindingView { head: Head::new(&shown, finding), locations: Locations(&shown, finding) };
    report.findings.iter().map(|f| serde_json::to_value(view(f)).map_err(io::Error::from)).collect()
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    tool: Tool,
    started: Option<String>,
    complete: bool,
    targets: Vec<Target>,
    findings: Findings<'a>,
    notes: Vec<Note>,
    note_counts: std::collections::BTreeMap<&'static str, u64>,
    totals: &'a Totals,
}

struct Findings<'a>(&'a Shown<'a>);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(
            self.0
                .findings
                .iter()
                .map(|finding| FindingView { head: Head::new(self.0, finding), locations: Locations(self.0, finding) }),
        )
    }
}

#[derive(Serialize)]
struct FindingView<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    locations: Locations<'a>,
}

struct Locations<'a>(&'a Shown<'a>, &'a Finding);

impl Serialize for Locations<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.1.locations.iter().map(|location: &Location| Place::new(self.0, location)))
    }
}

/// A note with secrets cut out.
pub(super) fn masked(shown: &Shown<'_>, note: &Note) -> Note {
    Note {
        kind: note.kind,
        place: String::from_utf8_lossy(&shown.mask.path(note.place.as_bytes())).into_owned(),
        detail: shown.mask.string(&note.detail),
    }
}
