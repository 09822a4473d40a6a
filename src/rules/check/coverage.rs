//! Whether a rule file tests what it says about calls.
//!
//! Contract: each way to ask has a test for active (with the account, if it gives one), inactive and unknown; each way to
//! act one that works and one that does not; each offline identity one. What is signed with a private key is left out: a made-up
//! key cannot sign, so `tests/real/signed_rules.rs` tests those with real ones.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use crate::rules::ask::Ask;
use crate::rules::schema::ask::{Scheme, Step};
use crate::rules::schema::{RuleFile, Test};
use crate::rules::{Fault, FileText};

/// What is not tested.
pub(super) fn check(text: &FileText, file: &RuleFile, asks: &BTreeMap<String, Ask>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let tests: Vec<&Test> = file.tests.iter().map(Spanned::get_ref).filter(|t| t.call.is_some()).collect();
    let mut ways_seen = BTreeSet::new();
    let mut verify: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for token in file.tokens.iter().map(Spanned::get_ref) {
        let id = token.id.get_ref().as_str();
        let Some(ask) = asks.get(id) else { continue };
        let of = |call: &str| tests.iter().filter(|t| t.token == id && t.call.as_deref() == Some(call)).count();
        if let Some(name) = &token.verify {
            let real = file.verify.get(name.get_ref()).is_some_and(|steps| keyed(steps));
            if !real {
                verify.entry(name.get_ref()).or_default().push(id);
            }
            let active = |t: &&&Test| t.token == id && validity(t) == Some("active");
            if !real && !tests.iter().any(|t| active(&t)) {
                faults.push(text.fault(name.span(), format!("token `{id}` has no test of `verify` that is active")));
            }
        }
        if !ask.offline.is_empty() && of("offline") == 0 {
            let span = token.offline.first().map_or(0..0, Spanned::span);
            faults.push(text.fault(span, format!("token `{id}` has no test with `call = \"offline\"`")));
        }
        ways_seen.extend(ask.revoke.iter().map(|w| w.name.clone()));
    }
    for (name, tokens) in verify {
        let ours: Vec<&&Test> = tests.iter().filter(|t| tokens.contains(&t.token.as_str())).collect();
        let any =
            |wanted: &str, more: &dyn Fn(&Test) -> bool| ours.iter().any(|t| validity(t) == Some(wanted) && more(t));
        let span = file.verify.get(name).and_then(|s| s.first()).map_or(0..0, Spanned::span);
        let steps = || file.verify.get(name).into_iter().flatten().map(Spanned::get_ref);
        let ends = steps().any(|s| !s.inactive.is_empty() || s.login.is_some());
        for wanted in ["inactive", "unknown"] {
            if !any(wanted, &|_| true) && (wanted != "inactive" || ends) {
                faults.push(text.fault(span.clone(), format!("verify.{name}: no test expects `{wanted}`")));
            }
        }
        let gives = file.verify.get(name).into_iter().flatten().any(|s| gives_facts(s.get_ref()));
        let principal = |t: &Test| t.expect.as_ref().is_some_and(|e| !e.principal.is_empty());
        if gives && !any("active", &principal) {
            faults.push(text.fault(span.clone(), format!("verify.{name}: no active test expects a `principal`")));
        }
        let login = file.verify.get(name).into_iter().flatten().all(|s| s.get_ref().login.is_some());
        if !login && !any("active", &|t| !t.sent.is_empty()) {
            faults.push(text.fault(span, format!("verify.{name}: no active test says what is `sent`")));
        }
    }
    for name in ways_seen {
        let of: Vec<&&Test> = tests.iter().filter(|t| t.call.as_deref() == Some(name.as_str())).collect();
        if file.revoke.get(&name).is_some_and(|way| keyed(&way.get_ref().steps)) {
            continue;
        }
        let outcome = |t: &Test| t.expect.as_ref().and_then(|e| e.outcome.clone()).unwrap_or_default();
        let span = file.revoke.get(&name).map_or(0..0, Spanned::span);
        let by_login =
            file.revoke.get(&name).is_some_and(|w| w.get_ref().steps.iter().all(|s| s.get_ref().login.is_some()));
        if !of.iter().any(|t| outcome(t) == "done" && (by_login || !t.sent.is_empty())) {
            let message = format!("revoke.{name}: no test expects `done` and says what is `sent`");
            faults.push(text.fault(span.clone(), message));
        }
        if !of.iter().any(|t| matches!(outcome(t).as_str(), "refused" | "unknown")) {
            faults.push(text.fault(span, format!("revoke.{name}: no test expects `refused` or `unknown`")));
        }
    }
    faults
}

/// Whether a step is signed with a private key.
fn keyed(steps: &[Spanned<Step>]) -> bool {
    let signs = steps.iter().filter_map(|s| s.get_ref().request.as_ref()?.sign.as_ref());
    signs.into_iter().any(|sign| matches!(sign.get_ref().with, Scheme::Jwt | Scheme::Oci | Scheme::Cdp))
}

fn validity(test: &Test) -> Option<&str> {
    if test.call.as_deref() != Some("verify") {
        return None;
    }
    test.expect.as_ref()?.validity.as_deref()
}

fn gives_facts(step: &crate::rules::schema::ask::Step) -> bool {
    let p = &step.principal;
    let own =
        [&p.kind, &p.id, &p.login, &p.name, &p.email, &p.organisation, &p.key_id, &p.scopes, &p.created, &p.expires];
    own.iter().any(|f| f.is_some()) || p.last_used.is_some() || !p.more.is_empty()
}
