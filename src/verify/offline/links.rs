//! URLs and query strings that are credentials, or hold one.
//!
//! Contract: lenient, because connection strings are: the last `@` before the path ends the user information. The password
//! is not among what comes out.

use serde_json::{Map, Value, json};

use crate::rules::ask::template::unquote;

/// The most parameters that are read.
const MAX_PARAMETERS: usize = 200;

/// Takes a URL apart.
pub fn url(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.split_once(':').map_or(user, |(user, _)| user)), host),
        None => (None, authority),
    };
    let bracket = host.rfind(']').map_or(0, |i| i + 1);
    let (host, port) = match host[bracket..].rfind(':') {
        Some(colon) => (&host[..bracket + colon], host[bracket + colon + 1..].parse::<u16>().ok()),
        None => (host, None),
    };
    let rest = &rest[..rest.find('#').unwrap_or(rest.len())];
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let plain = |text: &str| String::from_utf8_lossy(&unquote(text.as_bytes())).into_owned();
    Some(json!({
        "scheme": scheme.to_ascii_lowercase(),
        "user": user.map(plain),
        "host": host.to_ascii_lowercase(),
        "port": port,
        "path": plain(path),
        "query": pairs(parameters),
    }))
}

/// The parameters of a URL or of a query string by itself.
pub fn query(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let text = text.split_once('?').map_or(text, |(_, query)| query);
    let pairs = pairs(&text[..text.find('#').unwrap_or(text.len())]);
    (!pairs.is_empty()).then_some(Value::Object(pairs))
}

/// Of several of one name the first counts.
fn pairs(text: &str) -> Map<String, Value> {
    let plain = |text: &str| String::from_utf8_lossy(&unquote(text.replace('+', " ").as_bytes())).into_owned();
    let mut map = Map::new();
    for (name, value) in text.split(['&', ';']).take(MAX_PARAMETERS).filter_map(|pair| pair.split_once('=')) {
        map.entry(plain(name)).or_insert_with(|| plain(value).into());
    }
    map
}
