//! Tests of calls: what a rule would send, and what it makes of made-up replies.
//!
//! Contract: nothing goes over a network; the same code runs as in earnest, on another transport.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::expand::Expander;
use crate::detect::candidate::Scratch;
use crate::detect::{Cuts, Scanner};
use crate::model::{Checked, How, Principal, Validity};
use crate::rules::ask::{Ask, Values, template};
use crate::rules::make::Credential;
use crate::rules::schema::ask::{TestReply, TestSent};
use crate::rules::schema::{Expect, RuleFile, Test};
use crate::transport::{Answer, Reply};
use crate::verify::render::ResolvedEndpoint;
use crate::verify::replay::{self, Played, Replay, Sent};
use crate::verify::steps::{self, Endpoints};

/// Runs one test of a call.
///
/// # Errors
/// What differs.
pub(super) fn run(
    scanner: &Scanner,
    file: &RuleFile,
    asks: &BTreeMap<String, Ask>,
    test: &Test,
    call: &str,
    round: u64,
    scratch: &mut Scratch,
) -> Result<(), String> {
    let Some(ask) = asks.get(&test.token) else { return Ok(()) };
    let mut expander = Expander::new(scanner.catalog(), file, test, round);
    let credential = credential(scanner, file, test, &mut expander, scratch)?;
    expander.ask_about(credential.clone());
    let asked = steps::Credential { secret: &credential.secret, parts: &credential.parts, secrets: &[] };
    let now = jiff::Timestamp::now().as_second();
    let endpoints = endpoints(ask, test, &steps::values(ask, &asked, now), &mut expander)?;
    let replies =
        test.reply.iter().chain(&test.replies).map(|r| played(r, &mut expander)).collect::<Result<Vec<_>, _>>()?;
    let transport = Replay::new(replies);
    let expect = test.expect.clone().unwrap_or_default();
    let stuck = "the steps wait for something that a test does not have";
    match call {
        "verify" | "offline" => {
            let offline = Ask { offline: ask.offline.clone(), ..Ask::default() };
            let ask = if call == "offline" { &offline } else { ask };
            let verified = steps::verify(ask, &asked, &endpoints, &transport, now);
            compare_checked(&replay::run(verified).ok_or(stuck)?, call, &expect, &mut expander)?;
        }
        name => {
            let way = ask.way(name).ok_or_else(|| format!("the token has no way `{name}` to revoke"))?;
            let admin = test.admin.iter().map(|(n, v)| Ok((n.clone(), Zeroizing::new(expander.text(v)?))));
            let admin = admin.collect::<Result<BTreeMap<_, _>, String>>()?;
            let one = [asked];
            let mode = if test.dry_run { steps::Mode::Rehearse } else { steps::Mode::Act };
            let acting = steps::act(mode, ask, way, &one, &admin, &endpoints, &transport, now);
            let acted = replay::run(acting).ok_or(stuck)?;
            let wanted = expect.outcome.as_deref().ok_or("a test of a way to revoke expects an `outcome`")?;
            if acted.outcome.as_str() != wanted {
                let reason = acted.reason.unwrap_or_default();
                return Err(format!("the outcome is {} ({reason}), not {wanted}", acted.outcome.as_str()));
            }
            holds_reason(&expect, acted.reason.as_deref())?;
        }
    }
    compare_sent(&transport, test, &mut expander)
}

/// The credential of a test: found in its text, or made; with the parts that the test adds.
fn credential(
    scanner: &Scanner,
    file: &RuleFile,
    test: &Test,
    expander: &mut Expander<'_>,
    scratch: &mut Scratch,
) -> Result<Credential, String> {
    let rule = format!("{}.{}", file.issuer.id.get_ref(), test.token);
    let mut credential = match &test.text {
        None => expander.own().ok_or_else(|| format!("there is no token `{}`", test.token))?,
        Some(text) => {
            let text = expander.bytes(text)?;
            let hits = scanner.scan(&text, scratch, &mut Cuts::default());
            let ours = hits.into_iter().filter(|h| scanner.catalog().token(h.token).rule == rule);
            let mut ours: Vec<_> = ours.collect();
            if ours.len() != 1 {
                let shown = String::from_utf8_lossy(&text).into_owned();
                return Err(format!("a call needs one finding of `{}`, not {}: {shown}", test.token, ours.len()));
            }
            let hit = ours.remove(0);
            // Made values: what is secret about them need not be kept apart.
            let secrets = hit.secrets.into_iter().map(|(name, secret)| (name, secret.expose().to_vec()));
            let parts = hit.parts.into_iter().chain(secrets).collect();
            Credential { secret: hit.secret.expose().to_vec(), parts }
        }
    };
    for (name, value) in &test.parts {
        credential.parts.insert(name.clone(), expander.bytes(value)?);
    }
    Ok(credential)
}

/// Endpoints as the test configures them. A host that the credential names counts as allowed.
fn endpoints(ask: &Ask, test: &Test, values: &Values, expander: &mut Expander<'_>) -> Result<Endpoints, String> {
    let mut endpoints = Endpoints::new();
    for (name, url) in &test.endpoint {
        if !ask.endpoints.contains_key(name) {
            return Err(format!("there is no [endpoint.{name}]"));
        }
        endpoints.insert(name.clone(), Ok(vec![ResolvedEndpoint { url: expander.text(url)?, configured: true }]));
    }
    for (name, endpoint) in ask.endpoints.iter().filter(|(name, _)| !test.endpoint.contains_key(*name)) {
        let resolved =
            |urls: Vec<String>| urls.into_iter().map(|url| ResolvedEndpoint { url, configured: false }).collect();
        let found = match (endpoint.named(values), endpoint.public(values)) {
            (_, Ok(urls)) if !urls.is_empty() => Ok(resolved(urls)),
            (Some(url), _) => Ok(resolved(vec![url])),
            (None, Err(unfilled)) => Err(unfilled.to_string()),
            (None, Ok(_)) => Err("its server is not known".into()),
        };
        endpoints.insert(name.clone(), found);
    }
    Ok(endpoints)
}

fn played(reply: &TestReply, expander: &mut Expander<'_>) -> Result<Played, String> {
    if let Some(login) = &reply.login {
        let reason = reply.body.clone().unwrap_or_default();
        return Ok(Played::Answer(match login.as_str() {
            "accepted" => Answer::Accepted(reply.headers.clone().into_iter().collect()),
            "denied" => Answer::Denied(reason),
            "unclear" => Answer::Unclear(reason),
            "changed" => Answer::Changed,
            "gone" => Answer::Gone(reason),
            "perhaps" => Answer::Perhaps(reason),
            other => {
                let all = "`accepted`, `denied` or `unclear`, and one that changes `changed`, `gone` or `perhaps`";
                return Err(format!("a log-in ends {all}, not `{other}`"));
            }
        }));
    }
    if !(100..600).contains(&reply.status) {
        return Err("a reply has a `status`".into());
    }
    let mut headers = Vec::new();
    for (name, value) in &reply.headers {
        headers.push((name.to_ascii_lowercase(), expander.text(value)?));
    }
    let body = match (&reply.json, &reply.body) {
        (Some(json), None) => {
            if !headers.iter().any(|(n, _)| n == "content-type") {
                headers.push(("content-type".into(), "application/json".into()));
            }
            json_of(json, expander)?.to_string().into_bytes()
        }
        (None, Some(body)) => expander.bytes(body)?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => return Err("a reply has either `json` or `body`".into()),
    };
    Ok(Played::Reply(Reply { status: reply.status, headers, body, cut: false }))
}

fn json_of(value: &toml::Value, expander: &mut Expander<'_>) -> Result<serde_json::Value, String> {
    Ok(match value {
        toml::Value::String(text) => expander.text(text)?.into(),
        toml::Value::Integer(n) => (*n).into(),
        toml::Value::Float(n) => (*n).into(),
        toml::Value::Boolean(b) => (*b).into(),
        toml::Value::Datetime(d) => d.to_string().into(),
        toml::Value::Array(items) => {
            serde_json::Value::Array(items.iter().map(|i| json_of(i, expander)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let pairs = table.iter().map(|(n, v)| Ok((expander.text(n)?, json_of(v, expander)?)));
            serde_json::Value::Object(pairs.collect::<Result<_, String>>()?)
        }
    })
}

fn compare_checked(checked: &Checked, call: &str, expect: &Expect, expander: &mut Expander<'_>) -> Result<(), String> {
    let reason = match &checked.validity {
        Validity::Unknown(reason) => Some(reason.as_str()),
        _ => checked.remark.as_deref(),
    };
    if let Some(wanted) = &expect.validity
        && checked.validity.as_str() != wanted
    {
        let got = checked.validity.as_str();
        return Err(format!("the validity is {got} ({}), not {wanted}", reason.unwrap_or("no reason given")));
    }
    if expect.validity.is_none() && (call == "verify" || expect.principal.is_empty()) {
        return Err("a test of a call expects a `validity` (or, offline, a `principal`)".into());
    }
    holds_reason(expect, reason)?;
    let from_token = call == "offline" || checked.how == How::Offline;
    let principal = if from_token { &checked.identity } else { &checked.principal };
    let principal = principal.clone().unwrap_or_default();
    for (name, wanted) in &expect.principal {
        let (got, wanted) = (fact(&principal, name), expander.text(wanted)?);
        if got.as_deref() != Some(wanted.as_str()) {
            return Err(format!("principal: `{name}` is {got:?}, not {wanted:?}"));
        }
    }
    Ok(())
}

fn holds_reason(expect: &Expect, reason: Option<&str>) -> Result<(), String> {
    match &expect.reason {
        Some(wanted) if !reason.unwrap_or_default().contains(wanted.as_str()) => {
            Err(format!("the reason is {reason:?} and does not hold {wanted:?}"))
        }
        _ => Ok(()),
    }
}

fn fact(principal: &Principal, name: &str) -> Option<String> {
    match name {
        "kind" => principal.kind.clone(),
        "id" => principal.id.clone(),
        "login" => principal.login.clone(),
        "name" => principal.name.clone(),
        "email" => principal.email.clone(),
        "organisation" => principal.organisation.clone(),
        "key_id" => principal.key_id.clone(),
        "created" => principal.created.clone(),
        "expires" => principal.expires.clone(),
        "last_used" => principal.last_used.clone(),
        "scopes" => (!principal.scopes.is_empty()).then(|| principal.scopes.join(" ")),
        other => principal.more.get(other.strip_prefix("more.").unwrap_or(other)).cloned(),
    }
}

fn compare_sent(transport: &Replay, test: &Test, expander: &mut Expander<'_>) -> Result<(), String> {
    let sent = transport.sent();
    let urls = || sent.iter().map(|s| format!("{:?} {}", s.method, s.url)).collect::<Vec<_>>().join(", ");
    if transport.left() > 0 {
        return Err(format!("{} replies were not asked for; sent were: [{}]", transport.left(), urls()));
    }
    if !test.sent.is_empty() && sent.len() != test.sent.len() {
        return Err(format!("{} requests were sent, not {}: [{}]", sent.len(), test.sent.len(), urls()));
    }
    for (i, (sent, wanted)) in sent.iter().zip(&test.sent).enumerate() {
        compare_request(sent, wanted, expander).map_err(|message| format!("request {}: {message}", i + 1))?;
    }
    Ok(())
}

fn compare_request(sent: &Sent, wanted: &TestSent, expander: &mut Expander<'_>) -> Result<(), String> {
    let same = |what: &str, got: &str, wanted: &str| {
        if got == wanted { Ok(()) } else { Err(format!("{what} is {got:?}, not {wanted:?}")) }
    };
    if let Some(method) = &wanted.method {
        same("the method", &format!("{:?}", sent.method).to_ascii_uppercase(), &method.to_ascii_uppercase())?;
    }
    if let Some(url) = &wanted.url {
        same("the URL", &sent.url, &expander.text(url)?)?;
    }
    let header =
        |name: &str| sent.headers.iter().find(|(n, _)| *n == name.to_ascii_lowercase()).map(|(_, v)| v.as_str());
    for (name, value) in &wanted.headers {
        let got = header(name).ok_or_else(|| format!("there is no header `{name}`"))?;
        same(&format!("the header `{name}`"), got, &expander.text(value)?)?;
    }
    if let Some(name) = wanted.without.iter().find(|name| header(name).is_some()) {
        return Err(format!("there is a header `{name}`"));
    }
    if let Some([user, password]) = &wanted.basic {
        use base64::Engine;
        let both = format!("{}:{}", expander.text(user)?, expander.text(password)?);
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both));
        same("the header `authorization`", header("authorization").unwrap_or_default(), &value)?;
    }
    let body = String::from_utf8_lossy(&sent.body).into_owned();
    if let Some(wanted) = &wanted.body {
        same("the body", &body, &expander.text(wanted)?)?;
    }
    if let Some(json) = &wanted.json {
        let got: serde_json::Value =
            serde_json::from_slice(&sent.body).map_err(|_| format!("the body is no JSON: {body}"))?;
        let wanted = json_of(json, expander)?;
        if got != wanted {
            return Err(format!("the body is {got}, not {wanted}"));
        }
    }
    if let Some(form) = &wanted.form {
        let decode = |text: &str| String::from_utf8_lossy(&template::unquote(text.as_bytes())).into_owned();
        let fields = body.split('&').filter_map(|f| f.split_once('=')).map(|(n, v)| (decode(n), decode(v)));
        let got: BTreeMap<String, String> = fields.collect();
        let wanted = form.iter().map(|(n, v)| Ok((n.clone(), expander.text(v)?)));
        let wanted = wanted.collect::<Result<BTreeMap<_, _>, String>>()?;
        if got != wanted {
            return Err(format!("the form is {got:?}, not {wanted:?}"));
        }
    }
    Ok(())
}
