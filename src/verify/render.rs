//! From a step and a credential to what is sent.
//!
//! Contract: pure. Nothing is sent half filled: what is missing or does not fit is an error that names it and holds no
//! value. A credential never chooses the host, the method or a header, nor leaves the path that the rule gives it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use super::transport::{LogIn, Outgoing};
use crate::rules::ask::{Auth, Body, Encode, Json, Login, Method, Request, Template, Unfilled, Values, template};

/// The longest body that is sent, in bytes.
const MAX_BODY: usize = 8 << 20;

/// Where an endpoint of a rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedEndpoint {
    /// `https://host`, perhaps with a path.
    pub url: String,
    /// The user configured it himself.
    pub configured: bool,
}

/// Renders a request. `secrets` are those of a batch; `repeatable` says whether it may be sent twice.
///
/// # Errors
/// What the credential lacks.
pub fn request(
    request: &Request,
    endpoint: &ResolvedEndpoint,
    values: &Values,
    secrets: &[&[u8]],
    repeatable: bool,
) -> Result<Outgoing, Unfilled> {
    let base = endpoint.url.trim_end_matches('/');
    let path = request.path.fill(values, Encode::Percent)?;
    keeps_its_path(&path)?;
    let mut url = Zeroizing::new(format!("{base}{}", path.as_str()));
    for (i, (name, template)) in request.query.iter().enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        url.push_str(&template::percent(name.as_bytes(), false));
        url.push('=');
        url.push_str(&template.fill(values, Encode::All)?);
    }
    let mut headers: Vec<(String, Zeroizing<String>)> = Vec::new();
    for (name, template) in &request.headers {
        headers.push((name.clone(), header(name, template, values)?));
    }
    match &request.auth {
        Auth::None | Auth::Sign(_) => {}
        Auth::Bearer(token) => {
            let token = header("authorization", token, values)?;
            headers.push(("authorization".into(), Zeroizing::new(format!("Bearer {}", token.as_str()))));
        }
        Auth::Basic(user, password) => {
            let (user, password) = (user.fill(values, Encode::Plain)?, password.fill(values, Encode::Plain)?);
            if user.contains(':') {
                return Err(Unfilled::Unfit("a user name with a colon cannot be sent".into()));
            }
            let both = Zeroizing::new(format!("{}:{}", user.as_str(), password.as_str()));
            headers
                .push(("authorization".into(), Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())))));
        }
    }
    let (kind, body) = body(&request.body, values, secrets)?;
    if body.len() > MAX_BODY {
        return Err(Unfilled::Unfit("the request is too long".into()));
    }
    if let Some(kind) = kind
        && !headers.iter().any(|(n, _)| n == "content-type")
    {
        headers.push(("content-type".into(), Zeroizing::new(kind.into())));
    }
    let shown = format!("{base}{}", request.path.shown());
    let repeatable = repeatable || matches!(request.method, Method::Get | Method::Head);
    Ok(Outgoing { method: request.method, url, shown, headers, body, configured: endpoint.configured, repeatable })
}

/// Renders a log-in. A part that the credential lacks is the empty text.
///
/// # Errors
/// A value that is no text.
pub fn login(login: &Login, values: &Values) -> Result<LogIn, Unfilled> {
    let mut ready = Vec::new();
    for (name, template) in &login.templates {
        let value = match template.fill(values, Encode::Plain) {
            Err(Unfilled::Missing(_)) => Zeroizing::new(String::new()),
            other => other?,
        };
        ready.push((*name, value));
    }
    Ok(LogIn { protocol: login.protocol, values: ready, change: login.change })
}

/// A path whose values brought no `.` or `..` segment with them: URL parsers resolve those.
fn keeps_its_path(path: &str) -> Result<(), Unfilled> {
    let dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    let odd = path.contains(['\\', '?', '#']) || path.chars().any(|c| c.is_ascii_control() || c == ' ');
    if path.split('/').any(dots) || odd {
        return Err(Unfilled::Unfit("a value of the credential would leave the path".into()));
    }
    Ok(())
}

fn header(name: &str, template: &Template, values: &Values) -> Result<Zeroizing<String>, Unfilled> {
    let value = template.fill(values, Encode::Plain)?;
    if value.chars().any(|c| c.is_control()) || value.trim() != value.as_str() {
        return Err(Unfilled::Unfit(format!("the credential does not fit into the header `{name}`")));
    }
    Ok(value)
}

type Rendered = (Option<&'static str>, Zeroizing<Vec<u8>>);

fn body(body: &Body, values: &Values, secrets: &[&[u8]]) -> Result<Rendered, Unfilled> {
    Ok(match body {
        Body::None => (None, Zeroizing::new(Vec::new())),
        Body::Form(fields) => {
            let mut out = Zeroizing::new(String::new());
            for (name, template) in fields {
                if !out.is_empty() {
                    out.push('&');
                }
                out.push_str(&template::percent(name.as_bytes(), false));
                out.push('=');
                out.push_str(&template.fill(values, Encode::All)?);
            }
            (Some("application/x-www-form-urlencoded"), Zeroizing::new(out.as_bytes().to_vec()))
        }
        Body::Text(template) => (None, Zeroizing::new(template.fill(values, Encode::Plain)?.as_bytes().to_vec())),
        Body::Json(spec) => {
            let mut value = json(spec, values, secrets)?;
            let text = serde_json::to_vec(&value).map_err(|e| Unfilled::Unfit(e.to_string()))?;
            wipe(&mut value);
            (Some("application/json"), Zeroizing::new(text))
        }
    })
}

fn json(spec: &Json, values: &Values, secrets: &[&[u8]]) -> Result<serde_json::Value, Unfilled> {
    use serde_json::Value;
    Ok(match spec {
        Json::Plain(value) => value.clone(),
        Json::Text(template) => Value::String(template.fill(values, Encode::Plain)?.to_string()),
        Json::Secrets => Value::Array(all(secrets)?),
        Json::Array(items) => {
            let mut out = Vec::new();
            for item in items {
                match item {
                    Json::Secrets => out.extend(all(secrets)?),
                    item => out.push(json(item, values, secrets)?),
                }
            }
            Value::Array(out)
        }
        Json::Object(items) => {
            let pairs = items.iter().map(|(name, item)| Ok((name.clone(), json(item, values, secrets)?)));
            Value::Object(pairs.collect::<Result<_, Unfilled>>()?)
        }
    })
}

fn all(secrets: &[&[u8]]) -> Result<Vec<serde_json::Value>, Unfilled> {
    let text = |s: &&[u8]| std::str::from_utf8(s).map(|t| Cow::Borrowed(t).into_owned().into());
    let texts: Result<Vec<_>, _> = secrets.iter().map(text).collect();
    texts.map_err(|_| Unfilled::Unfit("a credential is no text".into()))
}

/// Overwrites every string of a JSON value.
fn wipe(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(map) => map.values_mut().for_each(wipe),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
