//! Shows a [`Report`]: text for people, JSON, JSONL and SARIF for machines, and a summary for stderr.
//!
//! Contract: no format shows a byte of a secret beyond [`Secret::redacted`](crate::secret::Secret::redacted) unless
//! [`Options::show_secrets`] is set, and none lets a control character of scanned content through. Output depends on
//! the report and the options alone. The machine formats keep to the schemas in `schemas/`.

mod json;
mod jsonl;
mod kinds;
mod mask;
mod people;
mod plan;
mod read;
mod safe_json;
mod sarif;
mod style;
mod summary;
mod text;
mod view;

use std::cmp::Reverse;
use std::io::{self, BufWriter, Write};

use crate::model::{Finding, Location, PlaceKind, Report};
use crate::notes::printable;
use crate::secret::Secret;
use mask::Mask;

pub use json::findings;
pub use kinds::NoteWords;
pub use kinds::words as note_words;
pub use people::{PeopleFormat, Relation, Whose, any_active, write as write_people};
pub use plan::{write_applied, write_applied_json, write_plan, write_plan_json};
pub use read::{ReadError, finding, read, target};
pub use style::Style;
pub use summary::summary;

/// A format of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Format {
    /// A block of lines for each finding, for people.
    #[default]
    Text,
    /// One document, see `schemas/report.v1.schema.json`.
    Json,
    /// One flat object a line for each place, see `schemas/location.v1.schema.json`.
    Jsonl,
    /// SARIF 2.1.0, for code scanning services and editors.
    Sarif,
}

/// What a report shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Show secrets in full. Only the user can ask for this.
    pub show_secrets: bool,
    /// Colours in text; machine formats never have any.
    pub color: bool,
    /// Most urgent findings first, not the most certain ones.
    pub by_severity: bool,
    /// How many places of one finding text shows: 1 is the first only, 2 the first and the newest.
    pub max_locations_text: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { show_secrets: false, color: false, by_severity: false, max_locations_text: 2 }
    }
}

/// Writes the whole report and flushes `out`. A clean report as text is nothing at all.
pub fn write(format: Format, report: &Report, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let shown = Shown::new(report, options);
    let mut out = BufWriter::new(out);
    match format {
        Format::Text => text::write(&shown, &mut out)?,
        Format::Json => json::write(&shown, &mut out)?,
        Format::Jsonl => jsonl::write(&shown, &mut out)?,
        Format::Sarif => sarif::write(&shown, &mut out)?,
    }
    out.flush()
}

/// A report with what every format needs besides.
struct Shown<'a> {
    report: &'a Report,
    options: &'a Options,
    mask: Mask,
    /// Most certain first, otherwise in the order of the report.
    findings: Vec<&'a Finding>,
}

impl<'a> Shown<'a> {
    fn new(report: &'a Report, options: &'a Options) -> Self {
        let mut findings: Vec<&Finding> = report.findings.iter().collect();
        if options.by_severity {
            findings.sort_by_key(|f| Reverse((f.owned.as_ref().map(|o| o.severity), f.confidence)));
        } else {
            findings.sort_by_key(|f| Reverse(f.confidence));
        }
        Self { report, options, mask: Mask::new(report, options.show_secrets), findings }
    }

    /// The name of a target without the credentials it may hold.
    fn target(&self, location: &Location) -> String {
        self.report.targets.get(location.target).map(|t| self.target_name(&t.name)).unwrap_or_default()
    }

    fn target_name(&self, name: &str) -> String {
        let name = style::without_passwords(name);
        String::from_utf8_lossy(&self.mask.path(name.as_bytes())).into_owned()
    }

    /// A part of a credential as text.
    fn part(&self, finding: &Finding, value: &[u8]) -> String {
        let hidden: Vec<&[u8]> =
            if self.options.show_secrets { Vec::new() } else { finding.all_secrets().map(Secret::expose).collect() };
        style::part(value, &hidden)
    }

    /// Whether a secret is shown itself: the user wants to see it, and it is here.
    fn shows(&self, secret: &Secret) -> bool {
        self.options.show_secrets && !secret.is_withheld()
    }

    /// A secret as text.
    fn value(&self, secret: &Secret) -> String {
        if self.shows(secret) { printable(secret.expose()) } else { secret.redacted() }
    }

    /// Members of archives with secrets cut out of their names.
    fn members(&self, location: &Location) -> Vec<String> {
        let masked = |m: &String| String::from_utf8_lossy(&self.mask.path(m.as_bytes())).into_owned();
        location.member.iter().map(masked).collect()
    }
}

/// The place that tells how things are now: one outside of history if there is one, otherwise the one whose commit is
/// the youngest. Index into `locations`.
fn newest(locations: &[Location]) -> usize {
    let age = |l: &Location| match l.kind {
        PlaceKind::File | PlaceKind::Stdin | PlaceKind::Index => (1, 0),
        _ => (0, l.git.as_ref().and_then(|g| g.commit.as_ref()).map_or(i64::MIN, |c| c.committer.time)),
    };
    (0..locations.len()).max_by_key(|&i| age(&locations[i])).unwrap_or(0)
}
