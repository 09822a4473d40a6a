//! A proxy, as the user names it or as the environment has it for all programs.
//!
//! Contract: credentials in a proxy's URL are never shown; loopback is never asked through a proxy.

use std::fmt;

use reqwest::{NoProxy, Url};

/// Where no proxy is used, whatever the environment says.
const NEVER: &str = "localhost,127.0.0.0/8,::1";

/// An HTTP proxy.
#[derive(Clone)]
pub struct Proxy {
    url: Url,
    except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.host())
    }
}

impl Proxy {
    /// `http://host:port` or `https://user:password@host`; without a scheme it is http. `except`: hosts, domains and networks that
    /// are asked directly, as in `NO_PROXY`.
    ///
    /// # Errors
    /// When it is no URL of a host that speaks HTTP.
    pub fn new(text: &str, except: &str) -> Result<Self, String> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|e| format!("a proxy is given as http://host:port ({e})"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("a proxy is given as http://host:port or https://host:port".into());
        }
        let except = if except.is_empty() { NEVER.to_owned() } else { format!("{NEVER},{except}") };
        Ok(Self { url, except })
    }

    /// The one that the environment names: `HTTPS_PROXY`, `ALL_PROXY` (either case), except for `NO_PROXY`.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let get = |names: [&str; 2]| names.into_iter().find_map(&env).filter(|v| !v.trim().is_empty());
        let Some(url) = get(["HTTPS_PROXY", "https_proxy"]).or_else(|| get(["ALL_PROXY", "all_proxy"])) else {
            return Ok(None);
        };
        let except = get(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        if except.trim() == "*" {
            return Ok(None);
        }
        Self::new(url.trim(), &except).map(Some).map_err(|e| format!("HTTPS_PROXY: {e}"))
    }

    /// Its host.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// For https and, if the user has such endpoints, http.
    pub(super) fn both(&self) -> Option<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.url.clone()).ok()?;
        Some(proxy.no_proxy(NoProxy::from_string(&self.except)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn from_the_environment() {
        let env = |pairs: &'static [(&str, &str)]| {
            let get = move |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            Proxy::from_env(get)
        };
        assert!(env(&[]).unwrap().is_none());
        assert!(env(&[("HTTPS_PROXY", " ")]).unwrap().is_none());
        assert!(env(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "*")]).unwrap().is_none());
        let proxy = env(&[("https_proxy", "u:geheim@proxy.example:3128"), ("no_proxy", "a.example")]).unwrap().unwrap();
        assert_eq!((proxy.host(), proxy.except.as_str()), ("proxy.example", "localhost,127.0.0.0/8,::1,a.example"));
        assert!(!format!("{proxy:?}").contains("geheim"));
        assert!(env(&[("ALL_PROXY", "socks5://x")]).is_err());
    }
}
