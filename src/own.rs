//! The own stage: whose a credential is, what is wrong about it beyond being leaked, and how urgent that makes it.
//!
//! Contract: pure. What directories say was fetched before ([`people::People`]); every conclusion keeps the evidence it
//! rests on; evidence that does not agree is shown and not averaged; who brought a credential into git is never taken
//! for its owner by that; and no outage turns anybody into somebody who has left.

pub mod accounts;
pub mod authors;
pub mod automation;
pub mod codeowners;
pub mod directory;
mod owner;
pub mod people;
pub mod posture;
pub mod pseudonyms;
pub mod severity;

use crate::model::{Finding, Owned, Report};
use crate::rules::Catalog;
use accounts::AccountMap;
use authors::Authors;
use codeowners::Codeowners;
use people::People;
use posture::Thresholds;

/// Everything that is known besides the findings.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// What directories say.
    pub people: People,
    /// The user's own map from accounts to people, and from paths to teams.
    pub accounts: AccountMap,
    /// When something counts as old.
    pub thresholds: Thresholds,
    /// Files of the repositories that say who is who, by target; may be shorter than the list of targets.
    pub repositories: Vec<RepositoryFiles>,
    /// Now, seconds since 1970-01-01 UTC.
    pub now: i64,
}

/// What a repository itself says of people: hints, as it is scanned content.
#[derive(Debug, Default)]
pub struct RepositoryFiles {
    /// Its `.mailmap`.
    pub authors: Authors,
    /// Its CODEOWNERS.
    pub codeowners: Codeowners,
}

/// Fills in the owner, posture and severity of every finding.
pub fn own(report: &mut Report, catalog: &Catalog, knowledge: &Knowledge) {
    let targets: Vec<String> = report.targets.iter().map(|t| t.name.clone()).collect();
    for finding in &mut report.findings {
        finding.owned = Some(of(finding, &targets, catalog, knowledge));
    }
}

fn of(finding: &Finding, targets: &[String], catalog: &Catalog, knowledge: &Knowledge) -> Owned {
    let owner = owner::of(finding, targets, knowledge);
    let admin = admin_scopes(finding, catalog);
    let posture = posture::of(finding, &owner, &admin, knowledge);
    let severity = severity::of(finding, &posture);
    Owned { owner, posture, severity }
}

/// Scopes of a finding's account that its issuer's rule file calls an administrator's.
fn admin_scopes(finding: &Finding, catalog: &Catalog) -> Vec<String> {
    let issuer = finding.rule.split('.').next().unwrap_or_default();
    let Some(info) = catalog.issuers.get(issuer) else { return Vec::new() };
    let scopes = finding.checked.principal.iter().chain(&finding.checked.identity).flat_map(|p| &p.scopes);
    let mut admin: Vec<String> = scopes.filter(|s| info.is_admin(s)).cloned().collect();
    admin.sort();
    admin.dedup();
    admin
}
