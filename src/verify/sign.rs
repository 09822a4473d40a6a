//! Signatures of requests that need code: what a header template cannot say.
//!
//! Contract: pure functions of the request, the values and the time; nothing here speaks to anybody. Secrets stay in
//! wiped buffers, and an [`Unsigned`] never holds one. What goes out is the request as it was, with the headers (for a JWT
//! in a form, the body) that its issuer's documentation asks for.

mod acs3;
mod aws;
mod azure;
mod cdp;
mod duo;
mod exo2;
mod key;
mod oauth1;
mod oci;
mod ovh;
mod parts;
mod tc3;
mod token;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::transport::Outgoing;
use crate::rules::schema::ask::{Scheme, Sign};

pub use key::PrivateKey;

/// What the templates of a [`Sign`] gave, by their names ([`Sign::templates`]).
#[derive(Default)]
pub struct Values(BTreeMap<String, Zeroizing<String>>);

impl Values {
    /// Adds one.
    pub fn set(&mut self, name: impl Into<String>, value: Zeroizing<String>) {
        self.0.insert(name.into(), value);
    }

    /// A value that must be there and not be empty.
    fn need(&self, name: &'static str) -> Result<&str, Unsigned> {
        match self.get(name) {
            "" => Err(Unsigned::Missing(name)),
            value => Ok(value),
        }
    }

    /// A value, or the empty text.
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |v| v.as_str())
    }

    /// Names and values that begin with this.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

impl FromIterator<(String, Zeroizing<String>)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, Zeroizing<String>)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a request could not be signed. Nothing here holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// A value is empty.
    #[error("the signature needs {0}, which is not known")]
    Missing(&'static str),
    /// The key is none, or of a kind that cannot sign this.
    #[error("{0}")]
    Key(&'static str),
    /// The request does not fit.
    #[error("{0}")]
    Request(&'static str),
}

/// What the public half of a PEM private key is called, as JSON: `type`, for RSA `modulus` as in a JSON Web Key, `sha256`
/// (base64) and `md5` (`aa:bb:...`) of its DER form. `None` if the key cannot be read.
pub fn public_half(pem: &str) -> Option<serde_json::Value> {
    let key = PrivateKey::read(pem).ok()?;
    let sha256 = STANDARD.encode(Sha256::digest(key.public_der().ok()?));
    let mut told = serde_json::json!({ "type": key.kind(), "sha256": sha256, "md5": key.md5_fingerprint().ok()? });
    if let Ok(modulus) = key.modulus() {
        told["modulus"] = modulus.into();
    }
    Some(told)
}

/// Signs a request that is otherwise ready, at `now` (Unix seconds).
///
/// # Errors
/// [`Unsigned`]: the request is then as it was before, and must not be sent.
pub fn apply(sign: &Sign, values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    match sign.with {
        Scheme::AwsSigv4 => aws::sign(values, request, now),
        Scheme::AzureSharedKey => azure::shared_key(values, request, now),
        Scheme::AzureCosmos => azure::cosmos(values, request, now),
        Scheme::AzureSas => azure::sas(values, request, now),
        Scheme::Jwt => token::sign(values, sign.lifetime.unwrap_or(60), request, now),
        Scheme::Acs3 => acs3::sign(values, request, now),
        Scheme::Tc3 => tc3::sign(values, request, now),
        Scheme::Oci => oci::sign(values, request, now),
        Scheme::Duo => duo::sign(values, request, now),
        Scheme::Exo2 => exo2::sign(values, request, now),
        Scheme::Oauth1 => oauth1::sign(values, request, now),
        Scheme::Cdp => cdp::sign(values, request, now),
        Scheme::Ovh => ovh::sign(values, request, now),
    }
}

#[cfg(test)]
mod tests;
