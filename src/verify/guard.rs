//! Which addresses a request may go to.
//!
//! Contract: a name is resolved here, every address it has is looked at, and only addresses that were looked at are
//! connected to: a name that changes its mind afterwards gains nothing. One forbidden address condemns the whole name.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::transport::Failure;

/// How long a name may take to resolve.
pub const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Addresses of a name, some time later.
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Resolves names: the system's resolver, or a made-up one in tests.
pub trait Lookup: Send + Sync + fmt::Debug {
    /// All addresses of a name.
    fn lookup(&self, name: &str) -> Looking;
}

/// The resolver of the system (`getaddrinfo`, in a thread of its own).
#[derive(Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> Looking {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|a| a.ip()).collect()) })
    }
}

/// Says why an address is not for everybody; `None` for public ones.
pub type Classify = fn(IpAddr) -> Option<&'static str>;

/// Resolves and refuses.
#[derive(Clone, Debug)]
pub struct Guard {
    lookup: Arc<dyn Lookup>,
    classify: Classify,
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(Arc::new(SystemLookup), internal)
    }
}

/// Why a name cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// One of its addresses is not public.
    #[error("{host} is {what}; --allow-internal permits that")]
    Internal {
        /// The host as asked.
        host: String,
        /// What kind of address it has.
        what: &'static str,
    },
    /// It has no address, or the resolver failed.
    #[error("cannot resolve {0}")]
    NoAddress(String),
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Internal { .. } => Self::Refused(denied.to_string()),
            Denied::NoAddress(_) => Self::Unreachable(denied.to_string()),
        }
    }
}

impl Guard {
    /// With a resolver and a notion of what is internal.
    pub fn new(lookup: Arc<dyn Lookup>, classify: Classify) -> Self {
        Self { lookup, classify }
    }

    /// The addresses of a host (a name, or a literal address with or without brackets), all of which may be connected to.
    /// `permitted`: the user permits internal addresses for this host.
    ///
    /// # Errors
    /// See [`Denied`].
    pub async fn addresses(&self, host: &str, permitted: bool) -> Result<Vec<IpAddr>, Denied> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                self.name(bare, permitted)?;
                let looking = self.lookup.lookup(bare);
                let looked = tokio::time::timeout(RESOLVE_WITHIN, looking).await;
                looked.ok().and_then(Result::ok).unwrap_or_default()
            }
        };
        if found.is_empty() {
            return Err(Denied::NoAddress(host.to_owned()));
        }
        let forbidden = found.iter().find_map(|address| (self.classify)(*address));
        match forbidden {
            Some(what) if !permitted => Err(Denied::Internal { host: host.to_owned(), what }),
            _ => Ok(found),
        }
    }

    /// The same with a port, for what does not speak HTTP.
    ///
    /// # Errors
    /// See [`Denied`].
    pub async fn sockets(&self, host: &str, port: u16, permitted: bool) -> Result<Vec<SocketAddr>, Denied> {
        Ok(self.addresses(host, permitted).await?.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// What can be told of a host without resolving it: all there is when a proxy resolves.
    ///
    /// # Errors
    /// [`Denied::Internal`].
    pub fn name(&self, host: &str, permitted: bool) -> Result<(), Denied> {
        if permitted {
            return Ok(());
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let what = match bare.parse::<IpAddr>() {
            Ok(address) => (self.classify)(address),
            Err(_) if bare == "localhost" || bare.ends_with(".localhost") => Some("a loopback name"),
            Err(_) if [".internal", ".local", ".home.arpa"].iter().any(|end| bare.ends_with(end)) => {
                Some("a name of private networks")
            }
            Err(_) => None,
        };
        what.map_or(Ok(()), |what| Err(Denied::Internal { host: host.to_owned(), what }))
    }
}

/// Says why an address is not a public one.
pub fn internal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => internal_v4(v4),
        IpAddr::V6(v6) => internal_v6(v6),
    }
}

/// After the special-purpose registry of RFC 6890 and its updates, and the metadata services of clouds.
fn internal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let o = address.octets();
    Some(match o {
        // AWS, Google, Azure and others; Azure's agent; Alibaba.
        [169, 254, 169, 254] | [168, 63, 129, 16] | [100, 100, 100, 200] => "a cloud's metadata address",
        [0, ..] => "an unspecified address",
        [127, ..] => "a loopback address",
        [169, 254, ..] => "a link-local address",
        [10, ..] | [192, 168, ..] => "a private address",
        [172, b, ..] if b & 0xf0 == 16 => "a private address",
        [100, b, ..] if b & 0xc0 == 64 => "a carrier's private address",
        [192, 0, 0, _] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            "a reserved address"
        }
        [198, b, ..] if b & 0xfe == 18 => "a reserved address",
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "a reserved address",
        _ => return None,
    })
}

fn internal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    Some(match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        // Mapped and compatible forms, and translation of a private range: nobody public is addressed so.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0, 0, ..] => "an IPv4 address in disguise",
        [0x64, 0xff9b, 1, ..] => "a private translation address",
        // NAT64 and 6to4 lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return internal_v4(inner(high, low)),
        [0x2002, high, low, ..] => return internal_v4(inner(high, low)),
        [0x2001, 0, ..] => "a tunnel address",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x100, 0, 0, 0, ..] | [0x5f00, ..] => "a reserved address",
        [a, ..] if a & 0xfe00 == 0xfc00 => "a private address",
        [a, ..] if a & 0xffc0 == 0xfe80 => "a link-local address",
        [a, ..] if a & 0xffc0 == 0xfec0 => "a private address",
        [a, ..] if a & 0xff00 == 0xff00 => "a multicast address",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn public_addresses_are_told_from_others() {
        let kind = |text: &str| internal(text.parse().unwrap());
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert_eq!(kind(public), None, "{public}");
        }
        for (address, word) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("fd00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fec0::1", "private"),
            ("100.64.0.1", "carrier"),
            ("100.127.255.255", "carrier"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("168.63.129.16", "metadata"),
            ("100.100.100.200", "metadata"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("198.18.0.1", "reserved"),
            ("192.0.2.1", "reserved"),
            ("2001:db8::1", "reserved"),
            ("::ffff:127.0.0.1", "disguise"),
            ("::ffff:8.8.8.8", "disguise"),
            ("::127.0.0.1", "disguise"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("64:ff9b:1::1", "translation"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:1::1", "tunnel"),
        ] {
            assert!(kind(address).is_some_and(|k| k.contains(word)), "{address}: {:?}", kind(address));
        }
    }

    #[test]
    fn names_that_need_no_resolver_are_refused() {
        let guard = Guard::default();
        for name in ["localhost", "LOCALHOST.", "a.localhost", "metadata.google.internal", "printer.local", "[::1]"] {
            assert!(guard.name(name, false).is_err(), "{name}");
            assert!(guard.name(name, true).is_ok(), "{name}");
        }
        assert!(guard.name("localhost.example.org", false).is_ok());
    }
}
