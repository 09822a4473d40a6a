//! Who is one person, and whose word counts for a credential.
//!
//! Contract: where names leave it open whether two are one person, they are: a signature too few is asked for again, one too
//! many ends a credential.

use crate::model::{Evidence, EvidenceSource, Finding};

/// The names of one signer.
pub(super) fn names(signer: &str) -> impl Iterator<Item = &str> {
    signer.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Adds a signer to those that are known; who has a name in common with several shows that they are one.
pub(super) fn add(known: &mut Vec<String>, signer: &str) {
    let one = |known: &String| names(known).any(|n| names(signer).any(|m| same_person(n, m)));
    let Some(first) = known.iter().position(one) else {
        known.push(signer.to_owned());
        return;
    };
    let (same, others): (Vec<String>, Vec<String>) = std::mem::take(known).into_iter().partition(one);
    let mut all: Vec<&str> = Vec::new();
    for name in same.iter().flat_map(|s| names(s)).chain(names(signer)) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    *known = others;
    known.insert(first, all.join(","));
}

/// Whether two names may be one person's: the same, or the same before an `@` where one has none. Of `Jane <jane@…>` the
/// address counts.
pub fn same_person(a: &str, b: &str) -> bool {
    let (a, b) = (address(a), address(b));
    let local = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let one_is_short = !a.contains('@') || !b.contains('@');
    a == b || (one_is_short && !local(&a).is_empty() && local(&a) == local(&b))
}

fn address(name: &str) -> String {
    let name = name.trim();
    let inner = name.strip_suffix('>').and_then(|n| n.rsplit_once('<')).map(|(_, address)| address);
    inner.unwrap_or(name).trim().to_lowercase()
}

/// Names of whoever a credential belongs to, or may: where the evidence does not agree, of all whom it names. Who only brought
/// it into git does not own it.
pub fn owners(finding: &Finding) -> Vec<String> {
    let owner = finding.owned.as_ref().map(|o| &o.owner);
    let says_whose =
        |e: &&Evidence| matches!(e.source, EvidenceSource::Issuer | EvidenceSource::Token | EvidenceSource::AccountMap);
    let evidence = owner.into_iter().flat_map(|o| o.evidence.iter().filter(says_whose));
    let people = owner.and_then(|o| o.person.as_ref()).into_iter().chain(evidence.filter_map(|e| e.person.as_ref()));
    let known = people.flat_map(|p| p.emails.iter().chain(&p.logins).chain(&p.name).chain([&p.id]));
    let accounts = finding.checked.principal.iter().chain(&finding.checked.identity);
    let named = accounts.flat_map(|a| [&a.email, &a.login, &a.name, &a.id].into_iter().flatten());
    known.chain(named).filter(|name| !name.is_empty()).cloned().collect()
}

/// Who of those that signed counts for one item: neither who made the plan nor whose credential it is. Gives those that count,
/// and why others do not.
pub fn counting(by: &[String], planner: &str, owners: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut counting, mut not) = (Vec::new(), Vec::new());
    for name in by {
        let is = |other: &str| names(name).any(|n| same_person(n, other));
        if is(planner) {
            not.push(format!("{name} made the plan"));
        } else if owners.iter().any(|owner| is(owner)) {
            not.push(format!("{name} owns the credential"));
        } else {
            counting.push(name.clone());
        }
    }
    (counting, not)
}
