//! What makes an asking part wrong although it can be read.
//!
//! Contract: each check says what to do instead; none of them looks at the network.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::compile::Compiler;
use super::{Auth, Body, By, Call, Condition, Decoder, Json, Offline, PickFrom, Step, Template, Way};
use crate::rules::schema::RuleFile;
use crate::rules::{Fault, FileText};

type Span = Range<usize>;

/// Entries that no token uses, file-wide.
pub fn unused(text: &FileText, file: &RuleFile) -> Vec<Fault> {
    let tokens = || file.tokens.iter().map(Spanned::get_ref);
    let verify: BTreeSet<&str> = tokens().filter_map(|t| Some(t.verify.as_ref()?.get_ref().as_str())).collect();
    let mut revoke: BTreeSet<&str> = tokens().flat_map(|t| &t.revoke).map(|n| n.get_ref().as_str()).collect();
    let undone = file.revoke.iter().filter(|(name, _)| revoke.contains(name.as_str()));
    let undo: Vec<&str> = undone.filter_map(|(_, w)| Some(w.get_ref().undo.as_ref()?.get_ref().as_str())).collect();
    revoke.extend(undo);
    let manual: BTreeSet<&str> = tokens().filter_map(|t| Some(t.manual.as_ref()?.get_ref().as_str())).collect();
    let mut faults = Vec::new();
    for (name, steps) in &file.verify {
        if !verify.contains(name.as_str()) {
            let span = steps.first().map_or(0..0, Spanned::span);
            faults.push(text.fault(span, format!("no token says `verify = \"{name}\"`")));
        }
    }
    for (name, way) in file.revoke.iter().filter(|(name, _)| !revoke.contains(name.as_str())) {
        faults.push(text.fault(way.span(), format!("no token names the way `{name}` in its `revoke`")));
    }
    for (name, manual) in file.manual.iter().filter(|(name, _)| !manual.contains(name.as_str())) {
        faults.push(text.fault(manual.span(), format!("no token says `manual = \"{name}\"`")));
    }
    for (name, endpoint) in &file.endpoints {
        let steps = file.verify.values().flatten().chain(file.revoke.values().flat_map(|w| &w.get_ref().steps));
        let requests = steps.filter_map(|s| s.get_ref().request.as_ref());
        let mut names = requests.map(|r| r.endpoint.as_ref().map_or("api", |e| e.get_ref()));
        if !names.any(|n| n == name) {
            faults.push(text.fault(endpoint.span(), format!("no request goes to the endpoint `{name}`")));
        }
    }
    faults
}

/// A public address: https, a host, no query; a template only as a whole label of the host.
pub(super) fn address(c: &mut Compiler<'_>, text: &Spanned<String>) {
    let span = text.span();
    let Some(rest) = text.get_ref().strip_prefix("https://") else {
        return c.fault(span, "an address of an issuer begins with https://");
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() || host.contains(['@', '?', '#', ' ']) || path.contains(['?', '#', '{', ' ']) {
        return c.fault(span, "an address is https://host or https://host/path, with templates in the host alone");
    }
    let templates = host.split('.').filter(|label| label.contains(['{', '}']));
    let whole = |label: &str| Template::parse(label).is_ok_and(|t| t.single().is_some());
    if templates.clone().count() > 1 || !templates.clone().all(whole) {
        c.fault(span.clone(), "one label of the host may be a template, as a whole: https://{name}.example.com");
    }
    let fixed = host.split('.').rev().take(2);
    if host.contains('{') && fixed.clone().any(|label| label.contains('{')) {
        c.fault(span, "the last two labels of a host are never filled in: the credential would say where it is sent");
    }
}

/// A path below an endpoint.
pub(super) fn path(c: &mut Compiler<'_>, path: &Spanned<String>) {
    let text = path.get_ref();
    if !text.is_empty() && !text.starts_with('/') {
        c.fault(path.span(), "a path begins with `/`");
    }
    if text.contains(['?', '#', ' ']) {
        c.fault(path.span(), "a path has no query, fragment or space: use `query`");
    }
}

/// Statuses that never are a verdict.
pub(super) fn statuses(c: &mut Compiler<'_>, step: &Step, span: Span) {
    let verdicts = [&step.active, &step.inactive, &step.done, &step.gone, &step.refused];
    for status in verdicts.into_iter().flatten().flat_map(|c| &c.status) {
        if super::says_nothing(*status) {
            c.fault(span.clone(), format!("{status} is never a verdict: redirects, 408, 429 and 5xx are unknown"));
        }
    }
    if let Call::Login(_) = step.call
        && (!step.active.is_empty() || !step.inactive.is_empty())
    {
        c.fault(span, "a login has its verdicts by itself");
    }
}

/// The steps of one way to ask.
pub(super) fn verify(c: &mut Compiler<'_>, steps: &[Step], spans: &[Span]) {
    let Some(first) = spans.first() else { return };
    if !steps.iter().any(Step::decides) {
        c.fault(first.clone(), "no step has `active` or `inactive`");
    }
    for (step, span) in steps.iter().zip(spans) {
        if step.changes_by_login() {
            c.fault(span.clone(), "asking changes nothing: `change` is for revoking");
        }
        let refusal = !step.inactive.is_empty() || !step.unknown.is_empty();
        if matches!(step.call, Call::Http(_)) && step.decides() && (step.active.is_empty() || !refusal) {
            let message =
                "a step that decides says both when it is `active` and when `inactive` (or what refusal is `unknown`)";
            c.fault(span.clone(), message);
        }
        if !step.done.is_empty() || !step.gone.is_empty() || !step.refused.is_empty() {
            c.fault(span.clone(), "`done`, `gone` and `refused` are for revoking");
        }
        let only_status = |c: &Condition| c.status.is_empty() && !c.needs_json() && c.header.is_empty();
        if step.active.iter().any(only_status) {
            c.fault(span.clone(), "`active` by a text alone: give a status, too");
        }
        if step
            .inactive
            .iter()
            .any(|c| c.status == [403] && !c.needs_json() && c.text.is_empty() && c.header.is_empty())
        {
            c.fault(span.clone(), "403 alone is no proof of a dead credential: say what else the reply must hold");
        }
    }
}

/// What is taken offline comes from the decoded value or from templates.
pub(super) fn offline(c: &mut Compiler<'_>, offline: &Offline, span: Span) {
    if offline.principal.is_empty() && offline.capture.is_empty() {
        c.fault(span.clone(), "an offline identity without a `principal` or a `capture` tells nothing");
    }
    let facts = offline.principal.lists().flat_map(|(name, picks)| picks.iter().map(move |p| (name, p)));
    let captures = offline.capture.iter().map(|(name, pick)| (name.as_str(), pick));
    for (name, pick) in facts.chain(captures) {
        match (&pick.from, offline.decode) {
            (PickFrom::Header(_), _) => c.fault(span.clone(), format!("`{name}`: there is no header offline")),
            (PickFrom::Json(_), Decoder::None) => {
                c.fault(span.clone(), format!("`{name}`: decoder `none` gives no JSON; use `text`"));
            }
            _ => {}
        }
    }
}

/// A domain of the issuer: at least two labels, and no public registry of domains by oversight.
pub(super) fn domain(c: &mut Compiler<'_>, domain: &Spanned<String>) {
    let text = domain.get_ref();
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if text.split('.').count() < 2 || !text.split('.').all(label) {
        c.fault(domain.span(), "a domain is written example.com, in lower case");
    }
}

/// One way to end a credential.
pub(super) fn way(c: &mut Compiler<'_>, way: &Way, span: Span) {
    let Some(last) = way.steps.last() else { return };
    if last.done.is_empty() && matches!(last.call, Call::Http(_)) {
        c.fault(span.clone(), "the last step says when it is `done`");
    }
    let changing: Vec<bool> = way.steps.iter().map(Step::changes_by_login).collect();
    if changing.iter().rev().skip(1).any(|c| *c) {
        c.fault(span.clone(), "only the last step changes something");
    }
    if matches!(last.call, Call::Login(_)) && (!last.changes_by_login() || way.by != By::Admin) {
        c.fault(span.clone(), "a way that ends with a log-in is an administrator's, and has a `change`");
    }
    for step in &way.steps {
        if !step.active.is_empty() || !step.inactive.is_empty() || !step.unknown.is_empty() {
            c.fault(span.clone(), "`active`, `inactive` and `unknown` are for asking");
        }
    }
    if (way.by == By::Admin) == way.admin.is_empty() {
        c.fault(span.clone(), "a way has `by = \"admin\"` and the names of its settings in `admin`, or neither");
    }
    let mut names: Vec<&str> = Vec::new();
    way.steps.iter().for_each(|step| each_template(step, &mut |t| names.extend(t.names())));
    for setting in way.admin.iter().filter(|s| !names.contains(&format!("admin.{s}").as_str())) {
        c.fault(span.clone(), format!("the setting `{setting}` is not used"));
    }
    let batches = way.steps.iter().filter(|s| matches!(&s.call, Call::Http(r) if secrets(&r.body))).count();
    match (way.batch, batches) {
        (None, 0) => {}
        (Some(1..), 1) if way.steps.len() == 1 => {
            if names.iter().any(|n| !n.starts_with("admin.") && *n != "now") {
                c.fault(span, "a batch has many credentials: only `{secrets}` may stand in its request");
            }
        }
        _ => c.fault(span, "`batch` and one step whose `json` has `[\"{secrets}\"]` belong together"),
    }
}

fn secrets(body: &Body) -> bool {
    fn inside(json: &Json) -> bool {
        match json {
            Json::Secrets => true,
            Json::Array(items) => items.iter().any(inside),
            Json::Object(items) => items.iter().any(|(_, v)| inside(v)),
            Json::Plain(_) | Json::Text(_) => false,
        }
    }
    matches!(body, Body::Json(json) if inside(json))
}

/// Calls `f` with every template of what a step sends.
pub(super) fn each_template<'a>(step: &'a Step, f: &mut dyn FnMut(&'a Template)) {
    step.when.iter().for_each(&mut *f);
    step.item.iter().flat_map(|i| i.equals.iter().chain(&i.masked)).for_each(|(_, t)| f(t));
    let request = match &step.call {
        Call::Http(request) => request,
        Call::Login(login) => return login.templates.iter().for_each(|(_, t)| f(t)),
    };
    f(&request.path);
    request.query.iter().chain(&request.headers).for_each(|(_, t)| f(t));
    match &request.auth {
        Auth::None => {}
        Auth::Bearer(token) => f(token),
        Auth::Basic(user, password) => [user, password].into_iter().for_each(&mut *f),
        Auth::Sign(sign) => sign.templates.iter().for_each(|(_, t)| f(t)),
    }
    match &request.body {
        Body::None => {}
        Body::Form(fields) => fields.iter().for_each(|(_, t)| f(t)),
        Body::Text(text) => f(text),
        Body::Json(json) => json_templates(json, f),
    }
}

fn json_templates<'a>(json: &'a Json, f: &mut dyn FnMut(&'a Template)) {
    match json {
        Json::Text(text) => f(text),
        Json::Array(items) => items.iter().for_each(|i| json_templates(i, f)),
        Json::Object(items) => items.iter().for_each(|(_, v)| json_templates(v, f)),
        Json::Plain(_) | Json::Secrets => {}
    }
}
