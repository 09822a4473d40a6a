//! From findings to a plan.
//!
//! Contract: only credentials that their issuer accepts become items; everything else is counted as left out, with why.
//! Nothing is asked or sent here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::admin::Admin;
use crate::model::plan::{
    Action, LeftOut, PLAN_SCHEMA, PLAN_VERSION, Plan, PlanItem, PlanTarget, PlannedManual, PlannedWay, PolicyRef,
};
use crate::model::{Finding, PostureKind, Principal, Report, Severity, Validity};
use crate::pipeline::asking::Asking;
use crate::report;
use crate::respond::plan::choose;
use crate::respond::policy::Decision;
use crate::rules::Catalog;
use crate::rules::ask::{Ask, Call, Step, Way};
use crate::verify::steps::{Credential, Endpoints};

/// How a plan is made.
pub struct Planning<'a> {
    /// Who makes it.
    pub planner: String,
    /// The policy that `decide` follows.
    pub policy: Option<PolicyRef>,
    /// What is wanted for a finding.
    pub decide: &'a dyn Fn(&Finding) -> Decision,
    /// Ways asked for by name: an issuer or token type, and the way.
    pub ways: Vec<(String, String)>,
    /// Approvals that every item needs.
    pub require_approvals: u32,
    /// Only these issuers or token types; empty for all.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// An administrator's settings.
    pub admin: &'a Admin,
}

/// Makes a plan for the active credentials of a report.
///
/// # Errors
/// When no random number can be had, or a finding cannot be written.
pub fn plan(report: &Report, catalog: &Catalog, planning: &Planning<'_>, asking: &Asking) -> Result<Plan, String> {
    let shown = report::findings(report).map_err(|e| e.to_string())?;
    let mut items: Vec<(Severity, PlanItem)> = Vec::new();
    let mut left_out: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (finding, value) in report.findings.iter().zip(shown) {
        if let Some(why) = why_not(finding, planning) {
            *left_out.entry((finding.rule.clone(), why)).or_default() += 1;
            continue;
        }
        let severity = finding.owned.as_ref().map(|o| o.severity).unwrap_or_default();
        items.push((severity, item(finding, value, catalog, planning, asking)));
    }
    items.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let mut items: Vec<PlanItem> = items.into_iter().map(|(_, item)| item).collect();
    for (number, item) in (1..).zip(&mut items) {
        item.number = number;
    }
    Ok(Plan {
        schema: PLAN_SCHEMA.into(),
        version: PLAN_VERSION,
        id: crate::secret::random_hex::<16>()?,
        created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        planner: planning.planner.clone(),
        tool: concat!("unsprawl ", env!("CARGO_PKG_VERSION")).into(),
        policy: planning.policy.clone(),
        require_approvals: planning.require_approvals,
        targets: report.targets.iter().map(|t| PlanTarget { name: absolute(&t.name), kind: t.kind.into() }).collect(),
        items,
        left_out: left_out.into_iter().map(|((rule, why), count)| LeftOut { rule, why, count }).collect(),
        approvals: Vec::new(),
    })
}

/// A path on this machine from its root, so that `apply` finds it from any folder; anything else as it is.
fn absolute(name: &str) -> String {
    let path = Path::new(name);
    let there = name != "-" && path.exists();
    let absolute = there.then(|| std::path::absolute(path).ok()?.to_str().map(str::to_owned)).flatten();
    absolute.unwrap_or_else(|| name.to_owned())
}

fn fits(finding: &Finding, name: &str) -> bool {
    finding.rule == name || finding.rule.split('.').next() == Some(name)
}

fn why_not(finding: &Finding, planning: &Planning<'_>) -> Option<String> {
    let listed = |list: &[String]| list.iter().any(|name| fits(finding, name));
    if listed(&planning.skip) || !(planning.only.is_empty() || listed(&planning.only)) {
        return Some("not asked for (--only, --skip)".into());
    }
    match &finding.checked.validity {
        Validity::Active => None,
        Validity::Inactive => Some("inactive: its issuer does not accept it any more".into()),
        // A reason may name a value's length or a time: the kind is enough to count by.
        Validity::Unknown(reason) => Some(format!("it is not known whether it works: {reason}")),
    }
}

fn item(
    finding: &Finding,
    value: serde_json::Value,
    catalog: &Catalog,
    planning: &Planning<'_>,
    asking: &Asking,
) -> PlanItem {
    let issuer = finding.rule.split('.').next().unwrap_or_default();
    let ask = catalog.ask(&finding.rule).unwrap_or_default();
    let mut decided = (planning.decide)(finding);
    if let Some((name, way)) = planning.ways.iter().rev().find(|(name, _)| fits(finding, name)) {
        decided.way = Some(way.clone());
        decided.by = format!("--way {name}={way}");
    }
    let ready = |way: &Way| planning.admin.serves(issuer, way);
    let choice = choose(&ask, decided.wish, decided.way.as_deref(), ready);
    let shown = |way: &&Way| planned(way, issuer, planning.admin);
    let parts = finding.parts.iter().cloned().collect();
    let credential = Credential { secret: finding.secret.expose(), parts: &parts, secrets: &finding.secrets };
    let endpoints = asking.places.resolve(issuer, &ask, &credential);
    let mut decided_by = decided.by;
    if let Some(remark) = &choice.remark {
        let _ = write!(decided_by, "; {remark}");
    }
    let manual = ask.manual.as_ref();
    let by_hand = choice.action == Action::Manual || choice.ways.iter().all(|w| !ready(w));
    PlanItem {
        number: 0,
        action: choice.action,
        ways: choice.ways.iter().map(shown).collect(),
        alternatives: choice.alternatives.iter().map(shown).collect(),
        asked: asked_at(&ask, &endpoints, &parts),
        places: places(&choice.ways, &endpoints, &parts),
        manual: manual
            .filter(|_| by_hand && !matches!(choice.action, Action::Leave | Action::Notify))
            .map(|m| PlannedManual { page: m.page.clone(), steps: m.steps.clone() }),
        protected: decided.protected,
        approvals: decided.approvals.max(planning.require_approvals),
        breaks: breaks(finding, &choice.ways),
        decided_by,
        finding: value,
    }
}

fn planned(way: &Way, issuer: &str, admin: &Admin) -> PlannedWay {
    PlannedWay {
        name: way.name.clone(),
        title: way.title.clone(),
        by: way.by,
        effect: way.effect,
        docs: way.docs.clone(),
        side_effects: way.side_effects.clone(),
        undo: way.undo.clone(),
        needs: admin.needs(issuer, way),
        batch: way.batch,
        within: way.within.map(|w| w.as_secs()),
    }
}

/// Where the requests of these ways would go.
fn places(ways: &[&Way], endpoints: &Endpoints, parts: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for way in ways {
        for place in places_of(way, endpoints, parts) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// The addresses that are asked whether a credential works, in order.
pub(super) fn asked_at(ask: &Ask, endpoints: &Endpoints, parts: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut asked: Vec<String> = ask.verify.iter().flat_map(|step| places_of_step(step, endpoints, parts)).collect();
    asked.sort();
    asked.dedup();
    asked
}

/// The addresses that the last step of a way goes to.
pub(super) fn places_of(way: &Way, endpoints: &Endpoints, parts: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    way.steps.last().map(|step| places_of_step(step, endpoints, parts)).unwrap_or_default()
}

fn places_of_step(step: &Step, endpoints: &Endpoints, parts: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    match &step.call {
        Call::Http(request) => match endpoints.get(&request.endpoint) {
            Some(Ok(sites)) => sites.iter().map(|site| site.url.clone()).collect(),
            _ => Vec::new(),
        },
        Call::Login(_) => {
            let part = |name: &str| parts.get(name).map(|v| String::from_utf8_lossy(v).into_owned());
            let port = part("port").filter(|p| !p.is_empty()).map(|p| format!(":{p}")).unwrap_or_default();
            part("host").map(|host| format!("{host}{port}")).into_iter().collect()
        }
    }
}

/// What is known of what stops working.
fn breaks(finding: &Finding, ways: &[&Way]) -> Vec<String> {
    let mut breaks = Vec::new();
    let accounts = || finding.checked.principal.iter().chain(&finding.checked.identity);
    let fact = |pick: fn(&Principal) -> Option<&String>| accounts().find_map(pick);
    if let Some(used) = fact(|p| p.last_used.as_ref()) {
        breaks.push(format!("whatever uses it: it was last used {used}"));
    }
    let scopes = accounts().find(|p| !p.scopes.is_empty()).map(|p| p.scopes.join(", "));
    if let Some(scopes) = scopes {
        breaks.push(format!("what needs {scopes}"));
    }
    for posture in finding.owned.iter().flat_map(|o| &o.posture) {
        if matches!(posture.kind, PostureKind::Shared | PostureKind::StillPresent) {
            breaks.extend(posture.evidence.iter().map(|e| format!("whoever has it from there: {e}")));
        }
    }
    for effect in ways.first().iter().flat_map(|w| &w.side_effects) {
        breaks.push(effect.clone());
    }
    breaks
}
