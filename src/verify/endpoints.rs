//! Where a credential's requests go.
//!
//! Contract: what the user says counts, in this order: `--endpoint`, `UNSPRAWL_ENDPOINT_*`, the configuration file, the variables
//! and files of the issuer's own tools. A credential that names a host itself is asked about there if the user allows that
//! host, and otherwise nowhere: never at a host that it does not belong to. Only then comes the rule's public address.

mod tools;

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;

use super::render::ResolvedEndpoint;
use super::steps::{self, Credential, Endpoints};
use crate::rules::ask::{Ask, Endpoint, Values};

/// The longest host that is taken from a credential.
const MAX_HOST: usize = 253;

/// What the user and his environment say.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `--endpoint`: `issuer` or `issuer.name`, and its URLs: a credential is at home at one of them.
    pub flags: BTreeMap<String, Vec<String>>,
    /// The same from the configuration file.
    pub file: BTreeMap<String, String>,
    /// Hosts read from scanned text that may be asked: `host`, `host:port` or `*.domain`.
    pub allow_hosts: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The home folder, in which tools keep their configuration.
    pub home: Option<PathBuf>,
}

/// Takes an `--endpoint` or a line of configuration: an absolute http(s) URL without user, query and fragment.
///
/// # Errors
/// What it should be.
pub fn check_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|e| format!("`{text}` is no URL: {e}"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err("an endpoint is an http:// or https:// URL".into());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("an endpoint has no user, query or fragment".into());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl Settings {
    /// Where all endpoints of a rule are for one credential, or why there is none.
    pub fn resolve(&self, issuer: &str, ask: &Ask, credential: &Credential<'_>) -> Endpoints {
        let values = steps::values(ask, credential, 0);
        let one = |(name, endpoint)| (String::clone(name), self.one(issuer, name, endpoint, &values));
        ask.endpoints.iter().map(one).collect()
    }

    fn one(
        &self,
        issuer: &str,
        name: &str,
        endpoint: &Endpoint,
        values: &Values,
    ) -> Result<Vec<ResolvedEndpoint>, String> {
        if let Some(urls) = self.said(issuer, name) {
            return urls?.iter().map(|url| check_url(url).map(configured)).collect();
        }
        let own = own_host(endpoint, values)?;
        // What a tool is set to is no word on a credential that names another host.
        let of_tools = self.of_tools(endpoint);
        let fits = |e: &&ResolvedEndpoint| own.as_deref().is_none_or(|host| authority(&e.url).as_deref() == Some(host));
        let fitting: Vec<ResolvedEndpoint> = of_tools.iter().filter(fits).cloned().collect();
        if !fitting.is_empty() {
            return Ok(fitting);
        }
        let public = endpoint.public(values);
        if let Some(host) = own {
            let known = public.as_ref().is_ok_and(|urls| urls.iter().any(|u| authority(u).as_deref() == Some(&host)));
            if self.allows(&host) || belongs(&host, &endpoint.domains) {
                let url = check_url(&format!("https://{host}{}", endpoint.path))?;
                return Ok(vec![ResolvedEndpoint { url, configured: false }]);
            }
            if !known {
                return Err(format!("its host was read from scanned text: --allow-host {host} lets it be asked"));
            }
        }
        match public {
            Ok(urls) if urls.is_empty() => Err(no_endpoint(issuer, name, endpoint)),
            Ok(urls) => Ok(urls.into_iter().map(|url| ResolvedEndpoint { url, configured: false }).collect()),
            Err(unfilled) => Err(format!("{unfilled}; --endpoint {}=URL names its address", key(issuer, name))),
        }
    }

    /// What the user said for unsprawl.
    fn said(&self, issuer: &str, name: &str) -> Option<Result<Vec<String>, String>> {
        let key = key(issuer, name);
        let long = format!("{issuer}.{name}");
        let variable = format!("UNSPRAWL_ENDPOINT_{}", key.to_ascii_uppercase().replace(['-', '.'], "_"));
        let flag = self.flags.get(&key).or_else(|| self.flags.get(&long)).cloned().map(Ok);
        let env = || {
            let url = self.env.get(&variable).filter(|v| !v.is_empty())?;
            Some(check_url(url).map(|url| vec![url]).map_err(|e| format!("{variable}: {e}")))
        };
        let file = || self.file.get(&key).or_else(|| self.file.get(&long)).cloned().map(|url| Ok(vec![url]));
        flag.or_else(env).or_else(file)
    }

    /// What the issuer's own tools are set to.
    fn of_tools(&self, endpoint: &Endpoint) -> Vec<ResolvedEndpoint> {
        let variable = endpoint.env.iter().find_map(|name| self.env.get(name).filter(|v| !v.is_empty()));
        if let Some(value) = variable {
            let with_scheme = if value.contains("://") { value.clone() } else { format!("https://{value}") };
            let url = check_url(&with_scheme).ok();
            let url = url.map(|url| if has_path(&url) { url } else { format!("{url}{}", endpoint.path) });
            return url.map(configured).into_iter().collect();
        }
        let found = endpoint.tool.map(|tool| tools::registries(tool, self)).unwrap_or_default();
        found.iter().filter_map(|url| check_url(url).ok()).map(configured).collect()
    }

    /// Whether a host that was read from scanned text may be asked.
    pub fn allows(&self, host: &str) -> bool {
        allowed(&self.allow_hosts, host)
    }
}

/// Whether a host (in lower case) is one of these: `host`, `host:port` or `*.domain`.
pub fn allowed(hosts: &[String], host: &str) -> bool {
    let bare = host.split(':').next().unwrap_or(host);
    hosts.iter().any(|allowed| {
        let allowed = allowed.to_ascii_lowercase();
        match allowed.strip_prefix("*.") {
            Some(domain) => bare.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => allowed == host || allowed == bare,
        }
    })
}

/// Whether a host is one of these domains, or lies below one; at its usual port.
fn belongs(host: &str, domains: &[String]) -> bool {
    domains
        .iter()
        .any(|domain| host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// `issuer`, or `issuer.name` for further endpoints.
fn key(issuer: &str, name: &str) -> String {
    if name == "api" { issuer.to_owned() } else { format!("{issuer}.{name}") }
}

fn configured(url: String) -> ResolvedEndpoint {
    ResolvedEndpoint { url, configured: true }
}

fn has_path(url: &str) -> bool {
    Url::parse(url).is_ok_and(|u| u.path().len() > 1)
}

/// Host, with the port unless it is the scheme's own.
fn authority(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.to_owned();
    Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
}

/// The host that the credential's parts name: a host, with a port perhaps, or a URL. What cannot be a host is still a word
/// against the public address: an error.
fn own_host(endpoint: &Endpoint, values: &Values) -> Result<Option<String>, String> {
    let named = endpoint.parts.iter().find_map(|name| values.get(name).filter(|v| !v.is_empty()));
    let Some(value) = named else { return Ok(None) };
    let text = String::from_utf8_lossy(value);
    let after_scheme = text.trim().split_once("://").map_or(text.trim(), |(_, rest)| rest);
    let text = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let host =
        if text.len() <= MAX_HOST && text.chars().all(plain) { authority(&format!("https://{text}")) } else { None };
    host.map(Some).ok_or_else(|| "what stands beside it as its host is none".into())
}

fn no_endpoint(issuer: &str, name: &str, endpoint: &Endpoint) -> String {
    let key = key(issuer, name);
    match endpoint.tool {
        Some(tool) => {
            let tool = format!("{tool:?}").to_lowercase();
            format!("no registry is known: --endpoint {key}=URL or your {tool} configuration names it")
        }
        None => format!("where this issuer is, is not known: --endpoint {key}=URL names it"),
    }
}

#[cfg(test)]
mod tests;
