//! The asking part of a token type, for people.

use std::io::{self, Write};

use crate::rules::ask::{Ask, Auth, Body, By, Call, Condition, Expected, Json, Proof, Request, Step, Way};

/// Prints it.
pub(super) fn show(out: &mut impl Write, ask: &Ask) -> io::Result<()> {
    for offline in &ask.offline {
        let facts: Vec<&str> = offline.principal.lists().map(|(name, _)| name).collect();
        let held: Vec<&str> = offline.capture.iter().map(|(name, _)| name.as_str()).collect();
        let all = [facts, held].concat().join(", ");
        writeln!(out, "  by itself:  {all} ({})", word(offline.decode))?;
    }
    for (name, endpoint) in &ask.endpoints {
        let default = endpoint.default.as_ref().map(|d| d.shown());
        let mut places: Vec<String> = default.into_iter().chain(endpoint.sites.clone()).collect();
        places.extend(endpoint.parts.iter().map(|part| format!("https://{{{part}}}{}", endpoint.path)));
        places.extend(endpoint.env.iter().map(|variable| format!("${variable}")));
        places.extend(endpoint.tool.map(|tool| format!("the configuration of {}", word(tool))));
        writeln!(out, "  endpoint:   {name}: {}", places.join(", "))?;
    }
    for step in &ask.verify {
        show_step(out, "ask", step)?;
    }
    if let Some(reason) = &ask.no_verify {
        writeln!(out, "  not asked:  {reason}")?;
    }
    for way in &ask.revoke {
        show_way(out, way)?;
    }
    if let Some(manual) = &ask.manual {
        writeln!(out, "  by hand:    {}", manual.page)?;
        for (i, step) in manual.steps.iter().enumerate() {
            writeln!(out, "              {}. {step}", i + 1)?;
        }
    }
    Ok(())
}

fn show_way(out: &mut impl Write, way: &Way) -> io::Result<()> {
    let by = match way.by {
        By::Holder => "whoever holds it".to_owned(),
        By::Admin => format!("an administrator ({})", way.admin.join(", ")),
    };
    writeln!(out, "  {:<11} {}: {}, by {by}", word(way.effect) + ":", way.name, way.title)?;
    match &way.docs {
        Some(docs) => writeln!(out, "              {docs}")?,
        None => writeln!(out, "              shown only: no page documents it")?,
    }
    for effect in &way.side_effects {
        writeln!(out, "              besides: {effect}")?;
    }
    let limits = limits(way);
    if !limits.is_empty() {
        writeln!(out, "              {}", limits.join("; "))?;
    }
    for step in &way.steps {
        show_step(out, "call", step)?;
    }
    way.dry_run.iter().try_for_each(|step| show_step(out, "dry run", step))
}

/// When a way is taken, how often, and how one knows that it worked.
fn limits(way: &Way) -> Vec<String> {
    let mut all = Vec::new();
    if way.only_if_asked {
        all.push("only if asked for by name".to_owned());
    }
    all.extend(way.batch.map(|n| format!("up to {n} in one call")));
    all.extend(way.limit.map(|(n, per)| format!("at most {n} calls in {} s", per.as_secs())));
    all.extend(way.within.map(|time| format!("refused after at most {} s", time.as_secs())));
    if way.proof == Proof::Listing {
        all.push("proved by the issuer's list, for it may work elsewhere".to_owned());
    }
    all.extend(way.undo.as_ref().map(|undo| format!("undone by {undo}")));
    all
}

fn show_step(out: &mut impl Write, what: &str, step: &Step) -> io::Result<()> {
    match &step.call {
        Call::Http(r) => {
            let method = format!("{:?}", r.method).to_uppercase();
            writeln!(out, "  {:<11} {method} {{{}}}{}{}", format!("{what}:"), r.endpoint, r.path.shown(), extras(r))?;
        }
        Call::Login(login) => {
            let protocol = login.protocol.map_or("the protocol of its URL".into(), word);
            let change = login.change.map(|c| format!(" and {} the account", word(c)));
            writeln!(out, "  {:<11} log in by {protocol}{}", format!("{what}:"), change.unwrap_or_default())?;
        }
    }
    if let Some(when) = &step.when {
        writeln!(out, "              if there is {}", when.shown())?;
    }
    let lists = [
        ("active", &step.active),
        ("inactive", &step.inactive),
        ("unknown", &step.unknown),
        ("done", &step.done),
        ("gone", &step.gone),
        ("refused", &step.refused),
    ];
    for (name, conditions) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        let texts: Vec<String> = conditions.iter().map(condition).collect();
        writeln!(out, "              {name}: {}", texts.join("; or "))?;
    }
    let facts: Vec<&str> = step.principal.lists().map(|(name, _)| name).collect();
    if !facts.is_empty() {
        writeln!(out, "              tells {}", facts.join(", "))?;
    }
    Ok(())
}

/// A word of a rule file as it stands there.
pub(super) fn word(variant: impl std::fmt::Debug) -> String {
    let name = format!("{variant:?}");
    let mut word = String::new();
    for (i, letter) in name.char_indices() {
        if i > 0 && letter.is_uppercase() {
            word.push('-');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// Query, and how the request shows who asks and what it carries.
fn extras(request: &Request) -> String {
    let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={}", value.shown())).collect();
    let mut text = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    match &request.auth {
        Auth::None => {}
        Auth::Bearer(token) => text += &format!(", bearer {}", token.shown()),
        Auth::Basic(user, password) => text += &format!(", basic {}:{}", user.shown(), password.shown()),
        Auth::Sign(sign) => text += &format!(", signed ({})", word(sign.spec.with)),
    }
    let others = request.headers.iter().filter(|(_, value)| value.literal().is_none());
    others.for_each(|(name, value)| text += &format!(", {name}: {}", value.shown()));
    match &request.body {
        Body::None => {}
        Body::Form(fields) => {
            let names: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", value.shown())).collect();
            text += &format!(", form {}", names.join("&"));
        }
        Body::Json(json) => text += &format!(", json {}", shown(json)),
        Body::Text(body) => text += &format!(", body {}", body.shown()),
    }
    text
}

fn shown(json: &Json) -> String {
    match json {
        Json::Plain(value) => value.to_string(),
        Json::Text(text) => format!("\"{}\"", text.shown().replace('\n', " ")),
        Json::Secrets => "{secrets}".into(),
        Json::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Json::Object(items) => {
            let pairs: Vec<String> =
                items.iter().map(|(name, value)| format!("\"{name}\": {}", shown(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

fn condition(condition: &Condition) -> String {
    let mut all: Vec<String> = Vec::new();
    if !condition.status.is_empty() {
        all.push(condition.status.iter().map(u16::to_string).collect::<Vec<_>>().join(" or "));
    }
    all.extend(condition.has.iter().map(|p| format!("with {}", p.as_str())));
    all.extend(condition.lacks.iter().map(|p| format!("without {}", p.as_str())));
    for (pointer, values) in &condition.json {
        let value = |e: &Expected| match e {
            Expected::Text(text) => format!("\"{text}\""),
            Expected::Number(n) => n.to_string(),
            Expected::Bool(b) => b.to_string(),
            Expected::Filled(template) => format!("\"{}\"", template.shown()),
        };
        all.push(format!("{} = {}", pointer.as_str(), values.iter().map(value).collect::<Vec<_>>().join(" or ")));
    }
    if !condition.text.is_empty() {
        all.push(format!("text \"{}\"", condition.text.join("\" or \"")));
    }
    all.extend(condition.header.iter().map(|(name, value)| format!("header {name}: {value}")));
    let reason = condition.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
    all.join(", ") + &reason
}
