//! A JWT that proves possession of a private key: RFC 7519, RFC 7523.
//!
//! Contract: valid from a minute ago (clocks differ) for at most ten minutes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::key::PrivateKey;
use super::parts::{percent, set_header};
use super::{Unsigned, Values};
use crate::verify::transport::Outgoing;

/// Seconds that the token begins before now.
const SLACK: i64 = 30;

/// Makes the token and puts it into the header, or into the form.
pub fn sign(values: &Values, lifetime: u32, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let token = make(values, lifetime, now)?;
    match values.get("form") {
        "" => set_header(request, "authorization", format!("Bearer {}", token.as_str())),
        field => {
            let before = if request.body.is_empty() { "" } else { "&" };
            let added = Zeroizing::new(format!("{before}{}={}", percent(field), token.as_str()));
            let mut body = Zeroizing::new(Vec::with_capacity(request.body.len() + added.len()));
            body.extend_from_slice(&request.body);
            body.extend_from_slice(added.as_bytes());
            request.body = body;
            set_header(request, "content-type", "application/x-www-form-urlencoded".to_owned());
        }
    }
    Ok(())
}

/// The token.
fn make(values: &Values, lifetime: u32, now: i64) -> Result<Zeroizing<String>, Unsigned> {
    let key = PrivateKey::read(values.need("key")?)?;
    let mut head = head(&key);
    if !values.get("kid").is_empty() {
        head["kid"] = values.get("kid").into();
    }
    let mut claims = serde_json::Map::new();
    for (name, value) in values.below("claims.") {
        let value = match value.contains("%public%") {
            true => value.replace("%public%", &STANDARD.encode(Sha256::digest(key.public_der()?))),
            false => value.to_owned(),
        };
        claims.insert(name.to_owned(), value.into());
    }
    claims.insert("iat".into(), (now - SLACK).into());
    claims.insert("exp".into(), (now + i64::from(lifetime) - SLACK).into());
    sealed(&head, &claims.into(), &key)
}

/// The head of a token that this key signs.
pub(super) fn head(key: &PrivateKey) -> Value {
    serde_json::json!({ "alg": key.algorithm(), "typ": "JWT" })
}

/// Head and claims with their signature.
pub(super) fn sealed(head: &Value, claims: &Value, key: &PrivateKey) -> Result<Zeroizing<String>, Unsigned> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(head), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign_jwt(text.as_bytes())?);
    Ok(Zeroizing::new(format!("{text}.{signature}")))
}
