//! Text for the person who has to act: a block of lines for each finding.
//!
//! Contract: nothing at all when there are no findings; everything that comes from scanned content is printable. The
//! layout is for eyes and may change; scripts take a machine format.

use std::fmt::Display;
use std::io::{self, Write};

use super::style::{Style, count, date, rfc3339};
use super::view::owned::OwnedView;
use super::{Shown, newest, view};
use crate::model::{
    CommitInfo, Evidence, EvidenceSource, Exposure, Finding, How, Location, Person, PersonState, PlaceKind, Principal,
    Validity,
};
use crate::notes::printable;

/// Width of the labels on the left.
const LABEL: usize = 12;
/// Hex digits of an object id.
const SHORT_ID: usize = 12;
/// Hex digits of a fingerprint.
const SHORT_FINGERPRINT: usize = 16;

/// Writes a block for each finding.
pub(super) fn write(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    for (i, finding) in shown.findings.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        Block { shown, finding, style: Style::new(shown.options.color), out }.write()?;
    }
    Ok(())
}

/// An account in a few lines: who, then what the credential may do and when it was made, used and ends.
fn account_lines(account: &Principal) -> Vec<String> {
    let mut who: Vec<String> = [&account.login, &account.name].into_iter().flatten().cloned().collect();
    who.extend(account.email.as_ref().map(|e| format!("<{e}>")));
    who.extend(account.id.as_ref().map(|id| format!("id {id}")));
    who.extend(account.kind.as_ref().map(|kind| format!("({kind})")));
    let mut lines = Vec::new();
    let mut add = |label: &str, value: Option<&String>| lines.extend(value.map(|v| format!("{label}{v}")));
    add("", Some(&who.join(" ")).filter(|w| !w.is_empty()));
    add("of ", account.organisation.as_ref());
    add("key id ", account.key_id.as_ref());
    add("may ", Some(&account.scopes.join(", ")).filter(|s| !s.is_empty()));
    add("created ", account.created.as_ref());
    add("last used ", account.last_used.as_ref());
    add("expires ", account.expires.as_ref());
    lines.extend(account.more.iter().map(|(name, value)| format!("{name} {value}")));
    lines
}

/// A person on one line: who, and whether they are still there.
pub(super) fn person_line(person: &Person) -> String {
    let since = person.since.as_ref().map(|s| format!(" since {s}")).unwrap_or_default();
    let state = match person.state {
        PersonState::Unknown => String::new(),
        state => format!(" ({}{since} in {})", state.as_str(), person.directory),
    };
    printable(format!("{}{state}", person.title()).as_bytes())
}

/// One piece of evidence on one line.
fn evidence_line(evidence: &Evidence) -> String {
    let source = match evidence.source {
        EvidenceSource::Issuer => "the issuer",
        EvidenceSource::Token => "the token itself",
        EvidenceSource::AccountMap => "the account map",
        EvidenceSource::IntroducedBy => "introduced by",
        EvidenceSource::Codeowners => "code owners",
        EvidenceSource::PathMap => "path map",
    };
    let leads = evidence.person.as_ref().map(Person::title).or_else(|| evidence.team.clone());
    let leads = leads.map(|l| format!(" -> {l}")).unwrap_or_default();
    format!("{source}: {}{leads}", evidence.says)
}

/// One finding on its way out.
struct Block<'a> {
    shown: &'a Shown<'a>,
    finding: &'a Finding,
    style: Style,
    out: &'a mut dyn Write,
}

impl Block<'_> {
    fn write(&mut self) -> io::Result<()> {
        self.head()?;
        self.owned()?;
        self.parts()?;
        if let Some(exposure) = &self.finding.exposure {
            self.exposure(exposure)?;
        }
        self.places()
    }

    fn line(&mut self, label: &str, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "  {} {text}", self.style.dim(format_args!("{label:<LABEL$}")))
    }

    /// A line that goes on with what the line before said.
    fn more(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "  {:LABEL$} {text}", "")
    }

    fn head(&mut self) -> io::Result<()> {
        let (f, style) = (self.finding, self.style);
        let name = printable(title(f).as_bytes());
        writeln!(self.out, "{}  {}", style.bold(name), style.dim(printable(f.rule.as_bytes())))?;
        let mark = if f.encrypted { " (encrypted: protected by a passphrase)" } else { "" };
        let label = if self.shown.shows(&f.secret) { "secret" } else { "value" };
        self.line(label, format_args!("{}{mark}", self.shown.value(&f.secret)))?;
        self.line("confidence", style.confidence(f.confidence))?;
        let reason = match &f.checked.validity {
            Validity::Unknown(reason) => self.safe(reason),
            Validity::Active | Validity::Inactive => String::new(),
        };
        self.line("validity", style.validity(&f.checked.validity, &reason))?;
        self.checked()?;
        self.line("fingerprint", short(&f.fingerprint, SHORT_FINGERPRINT))
    }

    fn checked(&mut self) -> io::Result<()> {
        let checked = &self.finding.checked;
        if let Some(remark) = &checked.remark {
            let text = self.safe(remark);
            self.more(text)?;
        }
        match checked.how {
            How::NotAsked | How::Asked => {}
            How::Cached => {
                self.more(format_args!("asked {}", checked.at.and_then(|at| rfc3339(at, 0)).unwrap_or_default()))?
            }
            How::Offline => self.more("by what the token itself says; nobody was asked")?,
            How::Canary => self.more("a known canary: asking would raise an alarm, so nobody was asked")?,
        }
        for (label, principal) in [("principal", &checked.principal), ("identity", &checked.identity)] {
            let Some(account) = view::account(self.shown, principal.as_ref()) else { continue };
            for (i, text) in account_lines(&account).into_iter().enumerate() {
                let text = printable(text.as_bytes());
                if i == 0 {
                    self.line(label, text)?
                } else {
                    self.more(text)?
                };
            }
        }
        Ok(())
    }

    fn owned(&mut self) -> io::Result<()> {
        let (shown, style) = (self.shown, self.style);
        let Some(view) = OwnedView::of(shown, self.finding) else { return Ok(()) };
        self.line("severity", style.severity(view.severity))?;
        if let Some(person) = &view.owner.person {
            self.line("owner", person_line(person))?;
        }
        if let Some(team) = &view.owner.team {
            self.line("team", printable(team.as_bytes()))?;
        }
        for (i, evidence) in view.owner.evidence.iter().enumerate() {
            let text = printable(evidence_line(evidence).as_bytes());
            self.line(if i == 0 { "evidence" } else { "" }, style.dim(text))?;
        }
        for contradiction in &view.owner.contradictions {
            self.line("but", style.warn(printable(contradiction.as_bytes())))?;
        }
        for posture in &view.posture {
            let text = format!("{}: {}", posture.kind.as_str(), posture.evidence.join("; "));
            self.line("posture", printable(text.as_bytes()))?;
        }
        Ok(())
    }

    fn parts(&mut self) -> io::Result<()> {
        let (shown, finding) = (self.shown, self.finding);
        for (name, value) in &finding.parts {
            self.line(&printable(name.as_bytes()), shown.part(finding, value))?;
        }
        for (name, secret) in &finding.secrets {
            self.line(&printable(name.as_bytes()), shown.value(secret))?;
        }
        if let Some(docs) = &finding.docs {
            self.line("docs", printable(docs.as_bytes()))?;
        }
        Ok(())
    }

    fn exposure(&mut self, exposure: &Exposure) -> io::Result<()> {
        if let Some(commit) = &exposure.introduced {
            let text = self.commit(commit);
            self.line("introduced", text)?;
        }
        if let Some(commit) = &exposure.removed {
            let text = self.commit(commit);
            self.line("removed", text)?;
        }
        let branches = count(exposure.branches.into(), "branch", "branches");
        let now = match (exposure.at_head, exposure.branches, exposure.unreachable) {
            (true, 0, _) => "at HEAD".to_owned(),
            (true, ..) => format!("at HEAD and in {branches}"),
            (false, 1.., _) => format!("in {branches}, not at HEAD"),
            (false, 0, true) => "only in objects that no ref reaches".to_owned(),
            (false, 0, false) => "only in history".to_owned(),
        };
        self.line("now", now)?;
        for warning in &exposure.warnings {
            let text = self.safe(warning);
            self.line("note", self.style.warn(text))?;
        }
        Ok(())
    }

    fn places(&mut self) -> io::Result<()> {
        let finding = self.finding;
        let all = &finding.locations;
        let newest = newest(all);
        let chosen = choose(all.len(), newest, self.shown.options.max_locations_text.max(1));
        if all.len() > 1 {
            self.line("places", all.len())?;
        }
        for &i in &chosen {
            let label = match i {
                0 if all.len() == 1 => "place",
                0 => "first",
                i if i == newest => "newest",
                _ => "also",
            };
            self.place(label, &all[i])?;
        }
        match all.len() - chosen.len() {
            0 => Ok(()),
            left => {
                let text = format!("and {}", count(left as u64, "more place", "more places"));
                self.line("", self.style.dim(text))
            }
        }
    }

    fn place(&mut self, label: &str, location: &Location) -> io::Result<()> {
        let address = address(self.shown, location);
        let target = match self.shown.report.targets.len() {
            0 | 1 => String::new(),
            _ => format!("  in {}", printable(self.shown.target(location).as_bytes())),
        };
        self.line(label, format_args!("{}{target}", self.style.bold(address)))?;
        if !location.encoding.is_empty() {
            self.more(format_args!("encoded as {}", location.encoding.join(" of ")))?;
        }
        let Some(git) = &location.git else { return Ok(()) };
        match &git.commit {
            Some(commit) => {
                let (text, subject) = (self.commit(commit), printable(self.shown.mask.subject(commit).as_bytes()));
                self.more(text)?;
                if !subject.is_empty() {
                    self.more(self.style.dim(subject))?;
                }
            }
            None => self.more(format_args!("object {}", short(&git.object, SHORT_ID)))?,
        }
        self.more(standing(location))
    }

    /// `0123456789ab  2024-05-01T10:00:00+02:00  Jane Doe <jane@example.org>`.
    fn commit(&self, commit: &CommitInfo) -> String {
        let author = &commit.author;
        let (id, date) = (short(&commit.id, SHORT_ID), date(author));
        format!("{id}  {date}  {} <{}>", self.safe(&author.name), self.safe(&author.email))
    }

    /// Free text from scanned content or elsewhere.
    fn safe(&self, text: &str) -> String {
        printable(&self.shown.mask.text(text.as_bytes()))
    }
}

/// The name of the token type, with the issuer before it where it does not name the issuer itself.
pub(super) fn title(finding: &Finding) -> String {
    let (name, issuer) = (&finding.name, &finding.issuer);
    if issuer.is_empty() || name.to_lowercase().contains(&issuer.to_lowercase()) {
        name.clone()
    } else {
        format!("{issuer}: {name}")
    }
}

/// The first digits of an id.
fn short(id: &impl Display, digits: usize) -> String {
    let mut text = id.to_string();
    text.truncate(digits);
    text
}

/// Which of `n` places to show: the first, the newest, then the following ones, `most` in all, in their order.
fn choose(n: usize, newest: usize, most: usize) -> Vec<usize> {
    let rest = (1..n).filter(|&i| i != newest);
    let mut chosen: Vec<usize> =
        [0].into_iter().chain((newest != 0).then_some(newest)).chain(rest).take(most.min(n)).collect();
    chosen.sort_unstable();
    chosen
}

/// `path!member:line:column`, or what the place is called where it has no path.
pub(super) fn address(shown: &Shown<'_>, location: &Location) -> String {
    let mut text = printable(&place_name(shown, location));
    for member in shown.members(location) {
        text.push('!');
        text.push_str(&printable(member.as_bytes()));
    }
    format!("{text}:{}:{}", location.span.line, location.span.column)
}

/// The path as the user can open it from where the program was started, or a name for a place without a path.
fn place_name(shown: &Shown<'_>, location: &Location) -> Vec<u8> {
    if !location.path.is_empty() {
        let mut path = Vec::new();
        if location.kind == PlaceKind::File {
            path.extend_from_slice(folder_as_named(shown, location).as_bytes());
        }
        path.extend_from_slice(&shown.mask.path(&location.path));
        return path;
    }
    let object = location.git.as_ref().map(|g| short(&g.object, SHORT_ID)).unwrap_or_default();
    match location.kind {
        PlaceKind::Commit => format!("commit {object}"),
        PlaceKind::Tag => format!("tag {object}"),
        PlaceKind::Stdin => "<stdin>".to_owned(),
        PlaceKind::Blob | PlaceKind::Index | PlaceKind::Dangling => format!("blob {object}"),
        PlaceKind::File => shown.target(location),
    }
    .into_bytes()
}

/// `dir/` if paths are below a folder that the user named so, otherwise nothing.
fn folder_as_named(shown: &Shown<'_>, location: &Location) -> String {
    let named = shown.report.targets.get(location.target).filter(|t| {
        t.root.as_ref().is_some_and(|root| root.as_os_str() == t.name.as_str()) && !matches!(t.name.as_str(), "." | "")
    });
    match named {
        Some(target) => format!("{}/", shown.target_name(&target.name).trim_end_matches('/')),
        None => String::new(),
    }
}

/// Whether a place in git is still there.
fn standing(location: &Location) -> String {
    let Some(git) = &location.git else { return String::new() };
    let versions = match git.versions {
        0 | 1 => String::new(),
        n => format!("in {} of the file, ", count(n.into(), "version", "versions")),
    };
    let now = match (location.kind, git.reachable, git.present) {
        (PlaceKind::Index, ..) => "staged, in no commit",
        (_, _, true) => "still there at HEAD or in a branch",
        (PlaceKind::Commit | PlaceKind::Tag, true, _) => "reachable from a ref",
        (_, true, false) => "no longer at HEAD or in a branch",
        (_, false, false) => "reachable from no ref",
    };
    format!("{versions}{now}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_and_the_newest_come_before_others() {
        assert_eq!(choose(1, 0, 5), [0]);
        assert_eq!(choose(0, 0, 5), [] as [usize; 0]);
        assert_eq!(choose(9, 7, 1), [0]);
        assert_eq!(choose(9, 7, 2), [0, 7]);
        assert_eq!(choose(9, 7, 4), [0, 1, 2, 7]);
        assert_eq!(choose(9, 0, 2), [0, 1]);
        assert_eq!(choose(3, 2, 9), [0, 1, 2]);
    }
}
