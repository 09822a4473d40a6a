//! Findings of several runs as one: for commands that take reports as well as targets.
//!
//! Contract: a credential (by its fingerprint) is one finding however many reports have it; its places keep their targets. Where
//! reports disagree on a verdict, the one that was asked last counts.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use crate::model::{Checked, Finding, Report, Validity};
use crate::secret::Fingerprint;

/// Whether a file is a report of ours, by its beginning.
pub fn is_report(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).map(|f| f.take(200).read_to_end(&mut head));
    read.is_ok_and(|r| r.is_ok()) && path.is_file() && {
        let text = String::from_utf8_lossy(&head);
        text.trim_start().starts_with('{') && text.contains("\"schema\"") && text.contains("\"unsprawl/report\"")
    }
}

/// Joins reports.
pub fn merge(reports: Vec<Report>) -> Report {
    let mut all = Report::default();
    let mut known: HashMap<(String, Fingerprint), usize> = HashMap::new();
    for mut report in reports {
        let base = all.targets.len();
        all.started = if all.started == 0 { report.started } else { all.started.min(report.started) };
        all.targets.append(&mut report.targets);
        for mut finding in report.findings.drain(..) {
            finding.locations.iter_mut().for_each(|l| l.target = l.target.saturating_add(base));
            match known.get(&(finding.rule.clone(), finding.fingerprint)) {
                Some(at) => join(&mut all.findings[*at], finding),
                None => {
                    known.insert((finding.rule.clone(), finding.fingerprint), all.findings.len());
                    all.findings.push(finding);
                }
            }
        }
        all.notes.append(&mut report.notes);
        all.add_counts(report.note_counts);
        let (totals, more) = (&mut all.totals, report.totals);
        totals.files += more.files;
        totals.objects += more.objects;
        totals.bytes += more.bytes;
        totals.members += more.members;
        totals.ignored_inline += more.ignored_inline;
        totals.millis += more.millis;
    }
    all
}

fn join(known: &mut Finding, other: Finding) {
    if better(&other.checked, &known.checked) {
        known.checked = other.checked;
    }
    if known.secret.is_withheld() && !other.secret.is_withheld() {
        known.secret = other.secret;
    }
    known.confidence = known.confidence.max(other.confidence);
    for location in other.locations {
        if !known.locations.contains(&location) {
            known.locations.push(location);
        }
    }
    known.exposure = match (known.exposure.take(), other.exposure) {
        (Some(a), Some(b)) => Some(super::findings::merge(a, &b)),
        (a, b) => a.or(b),
    };
    known.owned = None;
}

/// Whether a verdict says more than another: any over none, then the later one.
fn better(new: &Checked, old: &Checked) -> bool {
    let rank = |c: &Checked| (!matches!(c.validity, Validity::Unknown(_)), c.at.unwrap_or(i64::MIN));
    rank(new) > rank(old)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reports_are_told_by_their_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        std::fs::write(&path, "{\n \"schema\": \"unsprawl/report\",").unwrap();
        assert!(is_report(&path));
        std::fs::write(&path, "{\"name\": \"package\"}").unwrap();
        assert!(!is_report(&path) && !is_report(dir.path()) && !is_report(Path::new("/nonexistent")));
    }
}
