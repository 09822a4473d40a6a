//! What is wrong about a credential beyond being leaked.
//!
//! Contract: each posture names what shows it, and nothing is concluded from what is not known: without a directory nobody is
//! orphaned, without the issuer's answer nothing is stale or without end.

use super::{Knowledge, authors, automation, owner};
use crate::model::{
    BoundTo, Finding, Location, Owner, Person, PersonState, PlaceKind, Posture, PostureKind, Principal, Validity,
};

const DAY: i64 = 86_400;

/// When something counts as old, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// `long-lived`: made longer ago.
    pub long_lived: u32,
    /// `stale`: last used longer ago.
    pub stale: u32,
    /// `exposed-for`: readable for at least so long.
    pub exposed: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { long_lived: 90, stale: 90, exposed: 0 }
    }
}

/// The posture of a finding, gravest first.
pub fn of(finding: &Finding, owner: &Owner, admin: &[String], knowledge: &Knowledge) -> Vec<Posture> {
    let subject = Subject { finding, owner, admin, knowledge };
    let mut all: Vec<Posture> = [
        subject.orphaned(),
        subject.shared(),
        subject.over_scoped(),
        subject.no_expiry(),
        subject.long_lived(),
        subject.stale(),
        subject.still_present(),
        subject.exposed_for(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|p| p.kind);
    all
}

struct Subject<'a> {
    finding: &'a Finding,
    owner: &'a Owner,
    admin: &'a [String],
    knowledge: &'a Knowledge,
}

fn posture(kind: PostureKind, evidence: Vec<String>, since: Option<String>) -> Posture {
    Posture { kind, evidence, since }
}

impl Subject<'_> {
    fn active(&self) -> bool {
        self.finding.checked.validity == Validity::Active
    }

    fn works_or_unknown(&self) -> bool {
        self.finding.checked.validity != Validity::Inactive
    }

    /// The accounts that are known, the issuer's word first.
    fn accounts(&self) -> impl Iterator<Item = &Principal> {
        self.finding.checked.principal.iter().chain(&self.finding.checked.identity)
    }

    fn fact(&self, pick: impl Fn(&Principal) -> Option<&String>) -> Option<&str> {
        self.accounts().find_map(pick).map(String::as_str)
    }

    fn orphaned(&self) -> Option<Posture> {
        let person = self.owner.person.as_ref().filter(|_| self.active())?;
        if !matches!(person.state, PersonState::Departed | PersonState::Suspended) {
            return None;
        }
        let since = person.since.as_ref().map(|s| format!(" since {s}")).unwrap_or_default();
        let evidence = format!("{} is {}{since} in {}", person.title(), person.state.as_str(), person.directory);
        Some(posture(PostureKind::Orphaned, vec![evidence], person.since.clone()))
    }

    /// Whether the credential is one person's.
    fn personal(&self) -> bool {
        match self.finding.bound_to {
            BoundTo::User => self.accounts().next().is_none_or(|p| owner::is_personal(self.finding, p)),
            BoundTo::Service | BoundTo::None => self.owner.person.is_some(),
            BoundTo::Org | BoundTo::App | BoundTo::Webhook => false,
        }
    }

    fn shared(&self) -> Option<Posture> {
        if !self.personal() || !self.works_or_unknown() {
            return None;
        }
        let mut evidence = Vec::new();
        let mut repositories: Vec<usize> = self.finding.locations.iter().map(|l| l.target).collect();
        repositories.sort_unstable();
        repositories.dedup();
        if repositories.len() > 1 {
            evidence.push(format!("stands in {} repositories", repositories.len()));
        }
        let people: Vec<&Person> = self.owner.introduced_by.iter().filter(|p| !authors::is_bot(p)).collect();
        if people.len() > 1 {
            let names: Vec<String> = people.iter().take(4).map(|p| p.title()).collect();
            evidence.push(format!("committed by {} people: {}", people.len(), names.join(", ")));
        }
        if let Some(person) = &self.owner.person {
            let others: Vec<&&Person> = people.iter().filter(|p| !p.is_same(person)).collect();
            if people.len() == 1 && !others.is_empty() {
                evidence.push(format!("the key of {}, committed by {}", person.title(), others[0].title()));
            }
        }
        let automated = self.finding.locations.iter().find_map(|l| Some((automation::kind(&l.path)?, l)));
        if let Some((kind, location)) = automated {
            evidence.push(format!("in {kind}: {}", crate::notes::printable(&location.path)));
        }
        (!evidence.is_empty()).then(|| posture(PostureKind::Shared, evidence, None))
    }

    fn over_scoped(&self) -> Option<Posture> {
        if self.admin.is_empty() || !self.works_or_unknown() {
            return None;
        }
        let shown: Vec<&str> = self.admin.iter().take(10).map(String::as_str).collect();
        Some(posture(PostureKind::OverScoped, vec![format!("may {}", shown.join(", "))], None))
    }

    fn no_expiry(&self) -> Option<Posture> {
        // Rule files say where an answer without an end means that there is none.
        let expires = self.fact(|p| p.expires.as_ref()).filter(|_| self.works_or_unknown())?;
        let never = expires.eq_ignore_ascii_case("never");
        never.then(|| posture(PostureKind::NoExpiry, vec!["the issuer gives it no end".into()], None))
    }

    fn long_lived(&self) -> Option<Posture> {
        if !self.works_or_unknown() {
            return None;
        }
        let (what, since) = match self.fact(|p| p.created.as_ref()).and_then(seconds) {
            Some(created) => ("made", created),
            None => ("committed", self.finding.exposure.as_ref()?.introduced.as_ref()?.committer.time),
        };
        let days = self.days_since(since)?;
        (days > i64::from(self.knowledge.thresholds.long_lived))
            .then(|| posture(PostureKind::LongLived, vec![format!("{what} {days} days ago")], moment(since)))
    }

    fn stale(&self) -> Option<Posture> {
        let used = self.fact(|p| p.last_used.as_ref()).filter(|_| self.active())?;
        let limit = i64::from(self.knowledge.thresholds.stale);
        if ["never", "none", "n/a"].contains(&used.to_ascii_lowercase().as_str()) {
            return Some(posture(PostureKind::Stale, vec!["the issuer has never seen it used".into()], None));
        }
        let since = seconds(used)?;
        let days = self.days_since(since)?;
        (days > limit).then(|| posture(PostureKind::Stale, vec![format!("last used {days} days ago")], moment(since)))
    }

    fn still_present(&self) -> Option<Posture> {
        let mut evidence = Vec::new();
        if let Some(exposure) = &self.finding.exposure {
            if exposure.at_head {
                evidence.push("stands at HEAD".into());
            }
            if exposure.branches > 0 {
                let s = if exposure.branches == 1 { "branch" } else { "branches" };
                evidence.push(format!("stands in {} {s}", exposure.branches));
            }
        }
        let file = |l: &&Location| matches!(l.kind, PlaceKind::File | PlaceKind::Index);
        if let Some(location) = self.finding.locations.iter().find(file) {
            evidence.push(format!("stands in {}", crate::notes::printable(&location.path)));
        }
        (!evidence.is_empty()).then(|| posture(PostureKind::StillPresent, evidence, None))
    }

    fn exposed_for(&self) -> Option<Posture> {
        let exposure = self.finding.exposure.as_ref()?;
        let from = exposure.introduced.as_ref()?.committer.time;
        let (until, open) = match &exposure.removed {
            Some(commit) => (commit.committer.time, false),
            None => (self.knowledge.now, true),
        };
        // History keeps it: removing a file does not close the window, it only ends its standing at a head.
        let days = (until - from).div_euclid(DAY);
        if until < from || days < i64::from(self.knowledge.thresholds.exposed) {
            return None;
        }
        let how = if open { "and still is" } else { "at a branch head, and in history since" };
        let mut evidence = vec![format!("readable for {days} days, {how}")];
        evidence.extend(exposure.warnings.iter().cloned());
        Some(posture(PostureKind::ExposedFor, evidence, moment(from)))
    }

    fn days_since(&self, moment: i64) -> Option<i64> {
        let seconds = self.knowledge.now.checked_sub(moment).filter(|s| *s >= 0)?;
        Some(seconds / DAY)
    }
}

fn seconds(moment: &str) -> Option<i64> {
    if let Ok(timestamp) = moment.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_second());
    }
    let date = moment.parse::<jiff::civil::DateTime>().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(date).ok().map(jiff::Timestamp::as_second)
}

fn moment(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|t| t.to_string())
}
