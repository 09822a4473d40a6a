//! Owner, posture and severity in the shape that JSON shows them.

use serde::Serialize;

use super::Shown;
use crate::model::{Evidence, Finding, Owned, Owner, Person, PostureKind, Severity};

/// What the own stage says of a finding.
#[derive(Serialize)]
pub(in crate::report) struct OwnedView {
    pub severity: Severity,
    pub owner: Owner,
    pub posture: Vec<PostureView>,
}

/// One thing that is wrong, with what shows it and where standards speak of it.
#[derive(Serialize)]
pub(in crate::report) struct PostureView {
    pub kind: PostureKind,
    pub evidence: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    pub references: &'static [&'static str],
}

impl OwnedView {
    /// With secrets cut out: an account, a path or a commit may hold one.
    pub fn of(shown: &Shown<'_>, finding: &Finding) -> Option<Self> {
        let Owned { owner, posture, severity } = finding.owned.as_ref()?;
        let posture = posture.iter().map(|p| PostureView {
            kind: p.kind,
            evidence: p.evidence.iter().map(|e| shown.mask.string(e)).collect(),
            since: p.since.as_ref().map(|s| shown.mask.string(s)),
            references: p.kind.references(),
        });
        Some(Self { severity: *severity, owner: masked(shown, owner), posture: posture.collect() })
    }
}

/// An owner with secrets cut out.
pub(in crate::report) fn masked(shown: &Shown<'_>, owner: &Owner) -> Owner {
    let text = |value: &String| shown.mask.string(value);
    Owner {
        person: owner.person.as_ref().map(|p| person(shown, p)),
        team: owner.team.as_ref().map(text),
        introduced_by: owner.introduced_by.iter().map(|p| person(shown, p)).collect(),
        evidence: owner
            .evidence
            .iter()
            .map(|e| Evidence {
                source: e.source,
                weight: e.weight,
                says: text(&e.says),
                person: e.person.as_ref().map(|p| person(shown, p)),
                team: e.team.as_ref().map(text),
            })
            .collect(),
        contradictions: owner.contradictions.iter().map(text).collect(),
    }
}

pub(in crate::report) fn person(shown: &Shown<'_>, person: &Person) -> Person {
    let text = |value: &String| shown.mask.string(value);
    let option = |value: &Option<String>| value.as_ref().map(text);
    Person {
        id: text(&person.id),
        name: option(&person.name),
        emails: person.emails.iter().map(text).collect(),
        logins: person.logins.iter().map(text).collect(),
        state: person.state,
        since: option(&person.since),
        start: option(&person.start),
        manager: option(&person.manager),
        team: option(&person.team),
        directory: text(&person.directory),
    }
}
