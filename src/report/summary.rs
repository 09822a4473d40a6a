//! A summary for stderr: what was found, what was looked at, what was left out and what to do about it.
//!
//! Contract: every kind of note is told with its exact count, and everything that cut the scan with examples.

use std::fmt::Write;

use super::style::{Style, bytes, count, duration};
use super::{Shown, json, kinds};
use crate::model::{Confidence, NoteKind, Report};
use crate::notes::printable;

/// How many single notes of one kind are shown.
const EXAMPLES: usize = 10;

/// Some lines about the run, each with a line end.
pub fn summary(report: &Report, style: Style) -> String {
    let options = super::Options::default();
    let shown = Shown::new(report, &options);
    let mut out = String::new();
    found(report, style, &mut out);
    scanned(report, &mut out);
    for &(kind, n) in report.note_counts.iter().filter(|(_, n)| *n > 0) {
        notes(&shown, kind, n, style, &mut out);
    }
    if !report.complete() {
        line(&mut out, style.warn("Not everything was scanned: the scan is incomplete (exit code 3)."));
    }
    out
}

/// Writing to a string does not fail.
fn line(out: &mut String, text: impl std::fmt::Display) {
    let _ = writeln!(out, "{text}");
}

fn found(report: &Report, style: Style, out: &mut String) {
    let n = report.findings.len() as u64;
    if n == 0 {
        return line(out, style.bold("No credentials found."));
    }
    use Confidence::{Certain, High, Low, Medium};
    let each: Vec<String> = [Certain, High, Medium, Low]
        .into_iter()
        .map(|c| (report.findings.iter().filter(|f| f.confidence == c).count(), c))
        .filter(|(n, _)| *n > 0)
        .map(|(n, c)| format!("{n} {}", style.confidence(c)))
        .collect();
    let places: usize = report.findings.iter().map(|f| f.locations.len()).sum();
    let found = format!("{} found", count(n, "credential", "credentials"));
    let places = count(places as u64, "place", "places");
    line(out, format_args!("{} ({}) in {places}.", style.bold(found), each.join(", ")));
}

fn scanned(report: &Report, out: &mut String) {
    let t = &report.totals;
    let numbers = [
        (t.files, count(t.files, "file", "files")),
        (t.objects, count(t.objects, "git object", "git objects")),
        (t.members, count(t.members, "archive member", "archive members")),
        (1, bytes(t.bytes)),
    ];
    let seen: Vec<String> = numbers.into_iter().filter(|(n, _)| *n > 0).map(|(_, text)| text).collect();
    line(out, format_args!("Scanned {} in {}.", seen.join(", "), duration(t.millis)));
    if t.ignored_inline > 0 {
        let hits = count(t.ignored_inline, "hit", "hits");
        line(out, format_args!("Left out {hits} because of a comment that asks to ignore the line."));
    }
}

fn notes(shown: &Shown<'_>, kind: NoteKind, n: u64, style: Style, out: &mut String) {
    let words = kinds::words(kind);
    let what = count(n, words.one, words.many);
    let advice = if words.advice.is_empty() { String::new() } else { format!(" ({})", words.advice) };
    let id = if kind.cuts() { style.warn(words.id) } else { style.dim(words.id) };
    line(out, format_args!("{id}: {what}{advice}"));
    if !kind.cuts() && !matches!(kind, NoteKind::Other | NoteKind::State) {
        return;
    }
    let mut told = 0;
    for note in shown.report.notes.iter().filter(|note| note.kind == kind).take(EXAMPLES) {
        let note = json::masked(shown, note);
        let (place, detail) = (printable(note.place.as_bytes()), printable(note.detail.as_bytes()));
        let between = if place.is_empty() || detail.is_empty() { "" } else { ": " };
        line(out, format_args!("  {place}{between}{detail}"));
        told += 1;
    }
    if told > 0 && n > told {
        line(out, style.dim(format_args!("  and {} more", super::style::thousands(n - told))));
    }
}
