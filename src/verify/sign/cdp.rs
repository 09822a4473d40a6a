//! Coinbase Developer Platform: a JWT that is good for one request and two minutes:
//! <https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication>.
//!
//! Contract: ES256 for a key in PEM, EdDSA for one in base64, with the same claims:
//! <https://github.com/coinbase/coinbase-advanced-py/blob/master/coinbase/jwt_generator.py>.

use serde_json::json;

use super::key::PrivateKey;
use super::parts::{Target, method, set_header};
use super::{Unsigned, Values, token};
use crate::secret::random_hex;
use crate::verify::transport::Outgoing;

/// Seconds that a token is good for; Coinbase takes no longer ones.
const LIFE: i64 = 120;

/// Signs with the header `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let name = values.need("name")?;
    let key = match values.need("key")? {
        pem if pem.contains("-----BEGIN ") => PrivateKey::read(pem)?,
        base64 => PrivateKey::read_ed25519(base64)?,
    };
    let nonce = random_hex::<16>().map_err(|_| Unsigned::Request("no random number can be had"))?;
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let mut head = token::head(&key);
    (head["kid"], head["nonce"]) = (name.into(), nonce.into());
    let uri = format!("{} {}{}", method(request.method), target.host, target.path);
    let claims = json!({ "sub": name, "iss": "cdp", "nbf": now, "exp": now + LIFE, "uri": uri });
    let token = token::sealed(&head, &claims, &key)?;
    set_header(request, "authorization", format!("Bearer {}", token.as_str()));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::super::parts::header;
    use super::super::tests::{NOW, new_key, openssl, quoted, request, signed};
    use super::super::{PrivateKey, Unsigned};
    use crate::rules::schema::ask::Method;

    #[test]
    fn coinbase_signs_one_request_with_a_key_as_openssl_writes_it() {
        use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        // `openssl ecparam -genkey` writes SEC 1, with its curve before it unless told not to.
        let Some(pem) = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"") else { return };
        let pem = String::from_utf8(pem).unwrap();
        assert!(pem.starts_with(&format!("-----BEGIN {} PRIVATE KEY-----", "EC")));
        let public = openssl(&["ec", "-pubout", "-outform", "DER"], pem.as_bytes()).unwrap();
        assert_eq!(PrivateKey::read(&pem).unwrap().public_der().unwrap(), public);
        let rule = format!("with = 'cdp'\nname = 'organizations/o/apiKeys/k'\nkey = {}", quoted(&pem));
        let url = "https://api.coinbase.com/api/v3/brokerage/key_permissions";
        let out = signed(&rule, request(Method::Get, url, &[], ""), NOW);
        let token = header(&out, "authorization").strip_prefix("Bearer ").unwrap().to_owned();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let point = &public[public.len() - 65..];
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text.as_bytes(), &signature).unwrap();
        let json =
            |part: &str| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let (head, claims) = text.split_once('.').map(|(head, claims)| (json(head), json(claims))).unwrap();
        assert_eq!((&head["alg"], &head["kid"]), (&"ES256".into(), &"organizations/o/apiKeys/k".into()));
        assert_eq!(head["nonce"].as_str().unwrap().len(), 32);
        assert_eq!(claims["uri"], "GET api.coinbase.com/api/v3/brokerage/key_permissions");
        assert_eq!((claims["nbf"].as_i64(), claims["exp"].as_i64()), (Some(NOW), Some(NOW + 120)));
        let other = openssl(&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], b"").unwrap();
        assert!(PrivateKey::read(&String::from_utf8(other).unwrap()).is_err());
    }

    #[test]
    fn coinbase_signs_with_an_edwards_key_of_64_bytes() {
        use ring::signature::{ED25519, UnparsedPublicKey};
        let Some((file, _)) = new_key(&["genpkey", "-algorithm", "ED25519"]) else { return };
        let path = file.path().to_str().unwrap();
        let public = openssl(&["pkey", "-in", path, "-pubout", "-outform", "DER"], b"").unwrap();
        let private = openssl(&["pkey", "-in", path, "-outform", "DER"], b"").unwrap();
        let last = |der: &[u8]| der[der.len() - 32..].to_vec();
        let text = STANDARD.encode([last(&private), last(&public)].concat());
        let key = PrivateKey::read_ed25519(&format!("{text}\n")).unwrap();
        assert_eq!((key.kind(), key.public_der().unwrap()), ("OKP", public.clone()));
        assert!(key.modulus().is_err() && !format!("{key:?}").contains(&text[..8]));
        let rule = format!("with = 'cdp'\nname = 'k'\nkey = {}", quoted(&text));
        let url = "https://api.coinbase.com/api/v3/brokerage/key_permissions";
        let out = signed(&rule, request(Method::Get, url, &[], ""), NOW);
        let token = header(&out, "authorization").strip_prefix("Bearer ").unwrap().to_owned();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ED25519, last(&public)).verify(signed.as_bytes(), &signature).unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        let json = |part| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!((&json(head)["alg"], &json(head)["kid"]), (&"EdDSA".into(), &"k".into()));
        assert_eq!(json(claims)["uri"], "GET api.coinbase.com/api/v3/brokerage/key_permissions");
        // Halves of two keys, half a key, and no key.
        let mixed = STANDARD.encode([last(&private), vec![7; 32]].concat());
        assert_eq!(PrivateKey::read_ed25519(&mixed).unwrap_err(), Unsigned::Key("the private key is damaged"));
        for text in [STANDARD.encode(last(&private)), "?".repeat(88), "A".repeat(40_000)] {
            assert!(PrivateKey::read_ed25519(&text).is_err());
        }
    }
}
