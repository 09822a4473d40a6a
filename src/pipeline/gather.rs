//! Findings of several runs as one: for commands that take reports as well as targets.
//!
//! Contract: a credential (by its fingerprint) is one finding however many reports have it, and so is a target whose name stands for
//! the same everywhere; places keep their targets. Where reports disagree on a verdict, the one that was asked last counts.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use crate::model::{Checked, Finding, Report, Target, Validity};
use crate::secret::Fingerprint;

/// Whether a file is a report of ours, by its beginning.
pub fn is_report(path: &Path) -> bool {
    is_document(path, "unsprawl/report")
}

/// Whether a file is a JSON document of ours of this schema, by its beginning.
pub fn is_document(path: &Path, schema: &str) -> bool {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).map(|f| f.take(200).read_to_end(&mut head));
    read.is_ok_and(|r| r.is_ok()) && path.is_file() && {
        let text = String::from_utf8_lossy(&head);
        text.trim_start().starts_with('{') && text.contains("\"schema\"") && text.contains(&format!("\"{schema}\""))
    }
}

/// Joins reports.
pub fn merge(reports: Vec<Report>) -> Report {
    let mut all = Report::default();
    let mut known: HashMap<(String, Fingerprint), usize> = HashMap::new();
    for mut report in reports {
        all.started = if all.started == 0 { report.started } else { all.started.min(report.started) };
        let targets: Vec<usize> = report.targets.drain(..).map(|t| add(&mut all.targets, t)).collect();
        for mut finding in report.findings.drain(..) {
            // A place without a target has none here, either.
            finding.locations.iter_mut().for_each(|l| l.target = targets.get(l.target).copied().unwrap_or(usize::MAX));
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

/// Where a target is among those that are known. `.` of two reports may be two repositories, a URL and a whole path are one.
fn add(targets: &mut Vec<Target>, target: Target) -> usize {
    let everywhere = target.name.contains("://") || Path::new(&target.name).is_absolute();
    let same = |known: &Target| known.name == target.name && known.kind == target.kind;
    let known = targets.iter().position(same).filter(|_| everywhere && target.kind != "stdin");
    known.unwrap_or_else(|| {
        targets.push(target);
        targets.len() - 1
    })
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
    fn a_target_of_two_reports_is_one_if_its_name_says_so() {
        let report = |name: &str| Report {
            targets: vec![Target { name: name.into(), kind: "repository", root: None, people: Default::default() }],
            ..Report::default()
        };
        for (name, count) in [("https://git.example.org/shop", 1), ("/srv/git/shop", 1), (".", 2), ("shop", 2)] {
            assert_eq!(merge(vec![report(name), report(name)]).targets.len(), count, "{name}");
        }
    }

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
