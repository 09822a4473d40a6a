//! What conditions of a policy see of a finding: flat, and every field always there.
//!
//! Contract: no secret; what is not known is the empty text, the empty list or -1, so that a condition never fails
//! because something is missing. The names are part of the interface: `docs/policy.md` lists them.

use serde_json::{Value, json};

use crate::model::{Finding, Person, Principal};

const DAY: i64 = 86_400;

/// The facts of a finding; `targets` are the names of what was scanned, `now` is seconds since 1970-01-01 UTC.
pub fn facts(finding: &Finding, targets: &[String], now: i64) -> Value {
    let owned = finding.owned.clone().unwrap_or_default();
    let exposure = finding.exposure.clone().unwrap_or_default();
    let since = exposure.introduced.as_ref().map(|c| c.committer.time);
    let mut paths: Vec<String> =
        finding.locations.iter().map(|l| String::from_utf8_lossy(&l.path).into_owned()).collect();
    let mut names: Vec<&str> =
        finding.locations.iter().filter_map(|l| targets.get(l.target)).map(String::as_str).collect();
    paths.sort();
    paths.dedup();
    names.sort_unstable();
    names.dedup();
    let parts: serde_json::Map<String, Value> =
        finding.parts.iter().map(|(n, v)| (n.clone(), String::from_utf8_lossy(v).into())).collect();
    json!({
        "rule": finding.rule,
        "issuer": finding.rule.split('.').next().unwrap_or_default(),
        "name": finding.name,
        "confidence": finding.confidence.as_str(),
        "bound_to": finding.bound_to,
        "validity": finding.checked.validity.as_str(),
        "fingerprint": finding.fingerprint.to_string(),
        "severity": owned.severity.as_str(),
        "posture": owned.posture.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>(),
        "owner": person(owned.owner.person.as_ref()),
        "team": owned.owner.team.unwrap_or_default(),
        "introduced_by": owned.owner.introduced_by.iter().flat_map(|p| p.emails.clone()).collect::<Vec<_>>(),
        "contradictions": owned.owner.contradictions,
        "principal": account(finding.checked.principal.as_ref().or(finding.checked.identity.as_ref())),
        "parts": parts,
        "targets": names,
        "paths": paths,
        "places": finding.locations.len(),
        "at_head": exposure.at_head,
        "branches": exposure.branches,
        "exposed_days": since.map_or(-1, |since| (now - since).max(0) / DAY),
    })
}

fn person(person: Option<&Person>) -> Value {
    let none = Person::default();
    let p = person.unwrap_or(&none);
    json!({
        "known": person.is_some(),
        "id": p.id,
        "name": p.name.clone().unwrap_or_default(),
        "email": p.emails.first().cloned().unwrap_or_default(),
        "emails": p.emails,
        "logins": p.logins,
        "state": p.state.as_str(),
        "since": p.since.clone().unwrap_or_default(),
        "manager": p.manager.clone().unwrap_or_default(),
        "team": p.team.clone().unwrap_or_default(),
    })
}

fn account(account: Option<&Principal>) -> Value {
    let none = Principal::default();
    let a = account.unwrap_or(&none);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    json!({
        "kind": text(&a.kind),
        "id": text(&a.id),
        "login": text(&a.login),
        "name": text(&a.name),
        "email": text(&a.email),
        "organisation": text(&a.organisation),
        "key_id": text(&a.key_id),
        "scopes": a.scopes,
        "created": text(&a.created),
        "expires": text(&a.expires),
        "last_used": text(&a.last_used),
    })
}
