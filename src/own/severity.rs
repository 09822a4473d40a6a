//! How urgent a finding is.
//!
//! Contract: the table below and nothing else; it stands in the README, too, and a test compares them.
//!
//! | validity | and | severity |
//! |---|---|---|
//! | active | orphaned, over-scoped, or acts for a whole organisation | critical |
//! | active | otherwise | high |
//! | unknown | certain or high confidence, and still present | high |
//! | unknown | certain or high confidence, only in history | medium |
//! | unknown | medium confidence | low |
//! | unknown | low confidence | info |
//! | inactive | | info |
//!
//! A canary is info: it is there to be found.

use crate::model::{BoundTo, Confidence, Finding, How, Posture, PostureKind, Severity, Validity};

/// The severity of a finding with this posture.
pub fn of(finding: &Finding, posture: &[Posture]) -> Severity {
    let is = |kind| posture.iter().any(|p| p.kind == kind);
    if finding.checked.how == How::Canary {
        return Severity::Info;
    }
    match finding.checked.validity {
        Validity::Active
            if is(PostureKind::Orphaned) || is(PostureKind::OverScoped) || finding.bound_to == BoundTo::Org =>
        {
            Severity::Critical
        }
        Validity::Active => Severity::High,
        Validity::Inactive => Severity::Info,
        Validity::Unknown(_) => match finding.confidence {
            Confidence::Certain | Confidence::High if is(PostureKind::StillPresent) => Severity::High,
            Confidence::Certain | Confidence::High => Severity::Medium,
            Confidence::Medium => Severity::Low,
            Confidence::Low => Severity::Info,
        },
    }
}
