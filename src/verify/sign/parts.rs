//! What all signatures are made from: digests, dates, and a request taken apart.
//!
//! Contract: sees only URLs that this program built (absolute, percent-encoded); an odd one is an error, not a panic.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Unsigned;
use crate::rules::ask::template;
use crate::rules::schema::ask::Method;
use crate::secret::hex;
use crate::verify::transport::Outgoing;

/// HMAC-SHA-256.
pub fn hmac256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `now` in UTC, as `strftime` would write it.
pub fn date(now: i64, format: &str) -> Result<String, Unsigned> {
    let time = Timestamp::from_second(now).map_err(|_| Unsigned::Request("the clock is wrong"))?;
    Ok(time.strftime(format).to_string())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(now: i64) -> Result<String, Unsigned> {
    date(now, "%a, %d %b %Y %H:%M:%S GMT")
}

/// A request's address.
pub struct Target<'a> {
    /// Host, with the port if it is not the scheme's own: the `Host` header.
    pub host: &'a str,
    /// Path, percent-encoded; `/` if empty.
    pub path: &'a str,
    /// Query without `?`, percent-encoded.
    pub query: &'a str,
}

impl<'a> Target<'a> {
    /// Takes a URL apart.
    pub fn of(url: &'a str) -> Result<Self, Unsigned> {
        let bad = Unsigned::Request("the address is not one that can be signed");
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad.clone())?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = address.find('/').map_or((address, "/"), |at| address.split_at(at));
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(own_port).unwrap_or(host);
        if host.is_empty() || host.contains('@') { Err(bad) } else { Ok(Self { host, path, query }) }
    }

    /// The host without a port.
    pub fn name(&self) -> &'a str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => self.host,
        }
    }

    /// Query parameters, still percent-encoded, sorted.
    pub fn sorted_query(&self) -> Vec<(&'a str, &'a str)> {
        let mut pairs: Vec<_> =
            self.query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))).collect();
        pairs.sort_unstable();
        pairs
    }

    /// `a=1&b=2`, sorted.
    pub fn canonical_query(&self) -> String {
        let pairs: Vec<String> = self.sorted_query().iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// The method as it stands in a request.
pub fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// A header's value, or the empty text.
pub fn header<'a>(request: &'a Outgoing, name: &str) -> &'a str {
    request.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
}

/// Sets a header (lower-case name), instead of one of this name.
pub fn set_header(request: &mut Outgoing, name: &str, value: String) {
    request.headers.retain(|(n, _)| n != name);
    request.headers.push((name.to_owned(), value.into()));
}

/// Headers for signing: those of the request that `wanted` picks and the host, sorted: `name:value\n` each, and the names
/// joined by `;`.
pub fn signed_headers(request: &Outgoing, host: &str, wanted: impl Fn(&str) -> bool) -> (String, String) {
    let mut list: Vec<(&str, &str)> =
        request.headers.iter().filter(|(n, _)| wanted(n)).map(|(n, v)| (n.as_str(), v.trim())).collect();
    list.push(("host", host));
    list.sort_unstable();
    let lines = list.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
    (lines, names.join(";"))
}

/// Percent-encodes all but unreserved characters.
pub fn percent(text: &str) -> String {
    template::percent(text.as_bytes(), false)
}
