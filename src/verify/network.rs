//! The network as a [`Transport`]: HTTP/1.1 over TLS to addresses that were looked at first.
//!
//! Contract: follows no redirect, keeps no cookie, sends nothing over plain http unless the user configured that endpoint so,
//! connects to no address that [`Guard`] forbids, reads no more than it was told and waits no longer. An error names
//! hosts at most, never a URL, a header or a body. Behind a proxy the proxy resolves: names that are internal by their look
//! and literal addresses are still refused, what a name resolves to is the proxy's matter.

mod body;
mod logins;
mod proxy;

use std::error::Error;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use super::guard::{Denied, Guard};
use super::transport::{Answer, Failure, LogIn, Outgoing, Reply, Transport};
use crate::rules::schema::ask::Method;

pub use logins::LogIns;
pub use proxy::Proxy;

/// How requests say who is asking.
pub const USER_AGENT: &str = concat!("unsprawl/", env!("CARGO_PKG_VERSION"));
/// Most headers of a reply; it also may not have more than some 400 KiB of them.
const MOST_HEADERS: usize = 100;

/// What the network is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Resolves and refuses.
    pub guard: Guard,
    /// Private, loopback and link-local addresses are permitted for all hosts.
    pub allow_internal: bool,
    /// A proxy.
    pub proxy: Option<Proxy>,
    /// Certificate authorities besides the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// How long a connection may take, name and TLS included.
    pub connect_within: Duration,
    /// How long a request may take, from its first byte to the last one of the reply.
    pub within: Duration,
    /// Bytes of a body, before and after decompression.
    pub body: usize,
    /// Log-ins that are not HTTP.
    pub log_ins: LogIns,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            allow_internal: false,
            proxy: None,
            authorities: Vec::new(),
            connect_within: Duration::from_secs(5),
            within: Duration::from_secs(15),
            body: 1 << 20,
            log_ins: LogIns::default(),
        }
    }
}

/// Sends requests over the network. Needs a tokio runtime.
#[derive(Debug)]
pub struct Network {
    /// For everybody: public addresses only.
    guarded: Client,
    /// For endpoints that the user configured.
    open: Client,
    /// For log-ins.
    tls: Arc<rustls::ClientConfig>,
    options: Options,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub struct SetUpError(String);

impl Network {
    /// With options; reads the system's certificates.
    ///
    /// # Errors
    /// When TLS cannot be set up: a certificate authority that is none.
    pub fn new(options: Options) -> Result<Self, SetUpError> {
        let tls = tls(&options.authorities)?;
        let build = |permitted: bool| {
            let resolver = Guarded {
                guard: options.guard.clone(),
                permitted,
                proxy: options.proxy.as_ref().map(|p| p.host().to_owned()),
            };
            let mut builder = Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .no_proxy()
                .http1_only()
                .http1_max_headers(MOST_HEADERS)
                .user_agent(USER_AGENT)
                .connect_timeout(options.connect_within)
                .timeout(options.within)
                .pool_max_idle_per_host(4)
                .pool_idle_timeout(Duration::from_secs(20))
                .dns_resolver(Arc::new(resolver));
            for proxy in options.proxy.iter().filter_map(Proxy::both) {
                builder = builder.proxy(proxy);
            }
            builder.build().map_err(|e| SetUpError(deepest(&e.without_url())))
        };
        let (guarded, open) = (build(options.allow_internal)?, build(true)?);
        Ok(Self { guarded, open, tls: Arc::new(tls), options })
    }

    /// How TLS is spoken: with the system's authorities and those that the user added.
    pub fn tls_config(&self) -> Arc<rustls::ClientConfig> {
        self.tls.clone()
    }

    /// Checks a URL before anything is resolved or sent.
    fn permitted(&self, request: &Outgoing) -> Result<Url, Failure> {
        let url = Url::parse(&request.url).map_err(|_| Failure::Refused(format!("no URL: {}", request.shown)))?;
        let host = url.host_str().ok_or_else(|| Failure::Refused("a URL without a host".into()))?;
        match url.scheme() {
            "https" => {}
            "http" if request.configured => {}
            "http" => return Err(Failure::Refused(format!("{host} over plain http, which nobody configured"))),
            other => return Err(Failure::Refused(format!("{other} is not http"))),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::Refused(format!("{host}: a URL with a user in it")));
        }
        self.options.guard.name(host, self.free(request))?;
        Ok(url)
    }

    /// Whether internal addresses are permitted for this request.
    fn free(&self, request: &Outgoing) -> bool {
        request.configured || self.options.allow_internal
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(denied) = sources(&error).find_map(|e| e.downcast_ref::<Denied>()) {
            return denied.clone().into();
        }
        if error.is_timeout() && !error.is_connect() {
            return Self::TimedOut;
        }
        let what = deepest(&error);
        if error.is_connect() { Self::Unreachable(format!("cannot connect: {what}")) } else { Self::Broken(what) }
    }
}

impl Transport for Network {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Failure> {
        let url = self.permitted(request)?;
        let mut out = reqwest::Request::new(method(request.method), url);
        *out.headers_mut() = headers(request)?;
        if !request.body.is_empty() {
            *out.body_mut() = Some(request.body.to_vec().into());
        }
        let client = if self.free(request) { &self.open } else { &self.guarded };
        // The client's own time-out covers the same; this one is ours to rely on.
        let exchange = async {
            let response = client.execute(out).await?;
            body::read(response, self.options.body).await
        };
        tokio::time::timeout(self.options.within, exchange).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn log_in(&self, request: &LogIn) -> Result<Answer, Failure> {
        self.log_in(request).await
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn headers(request: &Outgoing) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::new();
    for (name, value) in &request.headers {
        let refused = |what: &str| Failure::Refused(format!("header {name}: {what}"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("no name of a header"))?;
        let mut value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused("the value cannot stand in a header"))?;
        value.set_sensitive(true);
        map.append(key, value);
    }
    // The one encoding that `body` undoes besides none at all.
    map.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(map)
}

/// TLS with the system's authorities and further ones. A system without any still reaches what the user configured as http.
fn tls(authorities: &[CertificateDer<'static>]) -> Result<rustls::ClientConfig, SetUpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failed = |e: rustls::Error| SetUpError(e.to_string());
    let mut own = rustls::RootCertStore::empty();
    for authority in authorities {
        own.add(authority.clone()).map_err(failed)?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    let config = match Verifier::new_with_extra_roots(authorities.iter().cloned(), provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        Err(error) => {
            tracing::warn!("no certificate authorities: {error}");
            builder.with_root_certificates(own).with_no_client_auth()
        }
    };
    Ok(config)
}

/// The guard as the HTTP client's resolver.
struct Guarded {
    guard: Guard,
    permitted: bool,
    /// The user named it: wherever it is, it is meant.
    proxy: Option<String>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        let permitted = self.permitted || self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found = guard.sockets(name.as_str(), 0, permitted).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source())
}

/// The innermost reason, cut and printable: outer ones repeat it.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let text = sources(error).last().map(ToString::to_string).unwrap_or_default();
    let cut = &text[..text.floor_char_boundary(200)];
    crate::notes::printable(cut.as_bytes())
}

/// Reads certificate authorities from a PEM file.
///
/// # Errors
/// A file that cannot be read, or has no certificate in it.
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| failed(&e))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|e| failed(&e))?;
    if certificates.is_empty() { Err(failed(&"there is no certificate in it")) } else { Ok(certificates) }
}

/// Whether this machine has a way to anywhere: asks its routing table and sends nothing.
pub fn has_route() -> bool {
    let to = |own: &str, other: &str| UdpSocket::bind(own).and_then(|socket| socket.connect(other)).is_ok();
    // Addresses of documentation: they belong to nobody.
    to("0.0.0.0:0", "192.0.2.1:9") || to("[::]:0", "[2001:db8::1]:9")
}
