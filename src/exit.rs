//! Exit codes: what a script learns from a run without reading its report.
//!
//! Contract: one code for each outcome, so that "found something" and "did not see everything" can never be mistaken for
//! each other or for a bad flag. The numbers are part of the interface and do not change.

use crate::model::plan::{Action, Applied, Outcome};
use crate::model::{Report, Validity};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything was scanned and there is nothing to act on.
    Clean = 0,
    /// Everything was scanned and there are findings that `--fail-on` asks for.
    Findings = 1,
    /// Wrong flags, or a configuration or rule file with an error: nothing was scanned.
    Usage = 2,
    /// A limit, damage or a fault left something unread. The report holds what was found all the same.
    Incomplete = 3,
    /// `apply`: an issuer said yes, and was not waited for to refuse the credential.
    Accepted = 10,
    /// `apply`: an issuer said yes, and accepts the credential still.
    StillActive = 11,
    /// `apply`: nothing has changed for a credential that was to be ended.
    Failed = 12,
    /// `apply`: whether something has changed is not known.
    Unknown = 13,
    /// `apply`: something of the plan was not tried.
    Skipped = 14,
}

/// Which findings make a run fail (`--fail-on`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum FailOn {
    /// Every finding.
    #[default]
    Any,
    /// Only credentials that their issuer still accepts.
    Active,
    /// No finding.
    None,
}

impl FailOn {
    /// Whether the findings of `report` are what the user wants to fail on.
    fn asks_for(self, report: &Report) -> bool {
        match self {
            Self::Any => !report.findings.is_empty(),
            Self::Active => report.findings.iter().any(|f| f.checked.validity == Validity::Active),
            Self::None => false,
        }
    }
}

impl ExitCode {
    /// The code for a finished scan.
    ///
    /// An incomplete scan is [`Incomplete`](Self::Incomplete) even if it has findings and whatever `fail_on` is: its
    /// findings stand in the report, but nobody may take that list for the whole.
    pub fn of(report: &Report, fail_on: FailOn) -> Self {
        if !report.complete() {
            Self::Incomplete
        } else if fail_on.asks_for(report) {
            Self::Findings
        } else {
            Self::Clean
        }
    }

    /// The code for a plan that was followed: clean only if every step of it was confirmed; otherwise what is worst, in this
    /// order: it may have changed, it is still active, it is not seen to be inactive yet, nothing changed, it was not tried.
    pub fn of_applied(applied: &[Applied]) -> Self {
        let order = [
            (Outcome::Unknown, Self::Unknown),
            (Outcome::StillActive, Self::StillActive),
            (Outcome::Accepted, Self::Accepted),
            (Outcome::Failed, Self::Failed),
            (Outcome::Skipped, Self::Skipped),
        ];
        // What the plan itself leaves alone is no step of it.
        let steps = || applied.iter().filter(|a| !matches!(a.action, Action::Leave | Action::Notify));
        let worst = order.into_iter().find(|(outcome, _)| steps().any(|a| a.outcome == *outcome));
        worst.map_or(Self::Clean, |(_, code)| code)
    }

    /// The number the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{BoundTo, Checked, Confidence, Finding, NoteKind};
    use crate::secret::{Fingerprinter, Secret};

    fn finding(validity: Validity) -> Finding {
        Finding {
            rule: "a.b".into(),
            name: "B".into(),
            issuer: "A".into(),
            docs: None,
            confidence: Confidence::High,
            fingerprint: Fingerprinter::default().of(b"x"),
            secret: Secret::new(b"x"),
            parts: vec![],
            secrets: Vec::new(),
            encrypted: false,
            bound_to: BoundTo::None,
            checked: Checked { validity, ..Checked::default() },
            owned: None,
            locations: vec![],
            exposure: None,
        }
    }

    #[test]
    fn the_numbers_are_fixed() {
        use ExitCode::{Accepted, Clean, Failed, Findings, Incomplete, Skipped, StillActive, Unknown, Usage};
        let codes = [Clean, Findings, Usage, Incomplete, Accepted, StillActive, Failed, Unknown, Skipped];
        assert_eq!(codes.map(ExitCode::code), [0, 1, 2, 3, 10, 11, 12, 13, 14]);
        for code in codes {
            let number = std::process::ExitCode::from(code.code());
            assert_eq!(format!("{:?}", std::process::ExitCode::from(code)), format!("{number:?}"));
        }
    }

    #[test]
    fn a_plan_is_only_done_if_every_step_was_seen() {
        let applied = |outcome, action| Applied {
            number: 1,
            rule: "a.b".into(),
            fingerprint: Fingerprinter::default().of(b"x"),
            action,
            way: None,
            outcome,
            reason: None,
            seen: None,
        };
        let code = |outcomes: &[Outcome]| {
            ExitCode::of_applied(&outcomes.iter().map(|o| applied(*o, Action::Revoke)).collect::<Vec<_>>())
        };
        assert_eq!(code(&[]), ExitCode::Clean);
        assert_eq!(code(&[Outcome::Revoked, Outcome::Contained, Outcome::Undone]), ExitCode::Clean);
        assert_eq!(code(&[Outcome::Revoked, Outcome::Skipped]), ExitCode::Skipped);
        assert_eq!(code(&[Outcome::Skipped, Outcome::Failed]), ExitCode::Failed);
        assert_eq!(code(&[Outcome::Failed, Outcome::Accepted]), ExitCode::Accepted);
        assert_eq!(code(&[Outcome::Accepted, Outcome::StillActive]), ExitCode::StillActive);
        assert_eq!(code(&[Outcome::StillActive, Outcome::Unknown]), ExitCode::Unknown);
        let left = [applied(Outcome::Skipped, Action::Leave), applied(Outcome::Skipped, Action::Notify)];
        assert_eq!(ExitCode::of_applied(&left), ExitCode::Clean);
        assert_eq!(ExitCode::of_applied(&[applied(Outcome::Skipped, Action::Manual)]), ExitCode::Skipped);
    }

    #[test]
    fn what_a_run_ends_with() {
        use ExitCode::{Clean, Findings, Incomplete};
        let unknown = || Validity::Unknown("not checked".into());
        let cut = vec![(NoteKind::TooLarge, 1)];
        let told = vec![(NoteKind::GitIgnored, 7), (NoteKind::TooLarge, 0)];
        for (validities, notes, any, active, none) in [
            (vec![], vec![], Clean, Clean, Clean),
            (vec![unknown()], told.clone(), Findings, Clean, Clean),
            (vec![Validity::Inactive], vec![], Findings, Clean, Clean),
            (vec![unknown(), Validity::Active], told, Findings, Findings, Clean),
            (vec![], cut.clone(), Incomplete, Incomplete, Incomplete),
            (vec![Validity::Active], cut, Incomplete, Incomplete, Incomplete),
        ] {
            let findings = validities.into_iter().map(finding).collect();
            let report = Report { findings, note_counts: notes, ..Report::default() };
            let got = [FailOn::Any, FailOn::Active, FailOn::None].map(|f| ExitCode::of(&report, f));
            assert_eq!(got, [any, active, none]);
        }
    }
}
