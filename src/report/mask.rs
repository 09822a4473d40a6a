//! Keeps secret bytes out of everything else a report shows.
//!
//! A commit message that holds a token has it in its subject line; a file may be named after one. Contract: unless the
//! user asked for secrets, no 8 bytes in a row of any found secret appear in free text (names, subjects, notes), and
//! no 16 in a row of one found with at least medium confidence appear in a path. Paths are treated more mildly because
//! a responder must be able to open them. The parts of a credential are not masked here: rules declare them public.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::model::{CommitInfo, Confidence, Finding, ObjectId, PlaceKind, Report};

/// Bytes of a secret that may not stand in a row in free text.
const WINDOW: usize = 8;
/// Bytes of a secret that may not stand in a row in a path.
const PATH_RUN: usize = 16;
/// What stands in place of secret bytes.
const MASKED: &[u8] = b"(redacted)";
/// What stands in place of a subject that holds a secret which cannot be cut out of it.
const WITHHELD: &str = "(withheld: the message holds a credential)";

/// All windows of all secrets of a report.
#[derive(Debug, Default)]
pub(crate) struct Mask {
    /// Windows of secrets that are probably credentials.
    strong: HashSet<[u8; WINDOW]>,
    /// Windows of values that may well be ordinary words.
    weak: HashSet<[u8; WINDOW]>,
    /// Commits whose message holds a secret in encoded form, or one too short to have a window.
    withheld: HashSet<ObjectId>,
}

impl Mask {
    /// For everything that `report` found; masks nothing if the user wants to see secrets.
    pub fn new(report: &Report, show_secrets: bool) -> Self {
        let mut mask = Self::default();
        if show_secrets {
            return mask;
        }
        // What comes from an earlier report was masked when it was written.
        for finding in report.findings.iter().filter(|f| !f.secret.is_withheld()) {
            let windows = if finding.confidence >= Confidence::Medium { &mut mask.strong } else { &mut mask.weak };
            finding.all_secrets().for_each(|secret| windows.extend(each_window(secret.expose())));
            mask.withheld.extend(messages_that_cannot_be_masked(finding));
        }
        mask
    }

    /// Free text: names, subjects, details.
    pub fn text<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        cut(text, WINDOW, |w| self.strong.contains(w) || self.weak.contains(w))
    }

    /// A path or the name of an archive member.
    pub fn path<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        cut(path, PATH_RUN, |w| self.strong.contains(w))
    }

    /// [`text`](Self::text) for text that is UTF-8.
    pub fn string(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.text(text.as_bytes())).into_owned()
    }

    /// The first line of a commit message.
    pub fn subject(&self, commit: &CommitInfo) -> String {
        if self.withheld.contains(&commit.id) { WITHHELD.to_owned() } else { self.string(&commit.subject) }
    }
}

/// Every run of [`WINDOW`] bytes, by where it starts.
fn each_window(bytes: &[u8]) -> impl Iterator<Item = &[u8; WINDOW]> {
    bytes.windows(WINDOW).filter_map(|w| w.try_into().ok())
}

/// Commits that hold this secret in their message in a form that windows do not match.
fn messages_that_cannot_be_masked(finding: &Finding) -> impl Iterator<Item = ObjectId> {
    let short = finding.secret.expose().len() < WINDOW;
    let messages = finding.locations.iter().filter(|l| l.kind == PlaceKind::Commit);
    messages.filter(move |l| short || !l.encoding.is_empty()).filter_map(|l| l.git.as_ref()).map(|g| g.object)
}

/// Replaces every run of at least `least` bytes that is covered by windows for which `secret` holds.
fn cut<'a>(text: &'a [u8], least: usize, secret: impl Fn(&[u8; WINDOW]) -> bool) -> Cow<'a, [u8]> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (start, window) in each_window(text).enumerate() {
        if secret(window) {
            match runs.last_mut() {
                Some((_, end)) if start <= *end => *end = start + WINDOW,
                _ => runs.push((start, start + WINDOW)),
            }
        }
    }
    runs.retain(|(start, end)| end - start >= least);
    if runs.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut done) = (Vec::with_capacity(text.len()), 0);
    for (start, end) in runs {
        out.extend_from_slice(&text[done..start]);
        out.extend_from_slice(MASKED);
        done = end;
    }
    out.extend_from_slice(&text[done..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mask(secrets: &[&[u8]], weak: &[&[u8]]) -> Mask {
        let windows = |all: &[&[u8]]| all.iter().flat_map(|s| each_window(s).copied()).collect();
        Mask { strong: windows(secrets), weak: windows(weak), ..Mask::default() }
    }

    #[test]
    fn whole_and_cut_secrets_leave_text() {
        let m = mask(&[b"0123456789abcdefghij"], &[]);
        assert_eq!(m.string("add 0123456789abcdefghij here"), "add (redacted) here");
        assert_eq!(m.string("ends in 0123456789"), "ends in (redacted)");
        assert_eq!(m.string("x9abcdefgh,9abcdefgh"), "x(redacted),(redacted)");
        assert_eq!(m.string("only 0123456 of it"), "only 0123456 of it");
        assert_eq!(Mask::default().string("0123456789abcdefghij"), "0123456789abcdefghij");
    }

    #[test]
    fn paths_lose_long_runs_of_likely_secrets_only() {
        let m = mask(&[b"0123456789abcdefghij"], &[b"config/production/app.yml"]);
        assert_eq!(&*m.path(b"keys/0123456789abcdefghij.txt"), b"keys/(redacted).txt");
        assert_eq!(&*m.path(b"keys/0123456789ab"), b"keys/0123456789ab");
        assert_eq!(&*m.path(b"config/production/app.yml"), b"config/production/app.yml");
        assert_eq!(&*m.text(b"see config/production/app.yml"), b"see (redacted)");
    }
}
