//! Structures that a pattern cannot tell: JSON Web Tokens, macaroons, armoured keys.
//!
//! Contract: bounded by the size of the value; wrong bytes are "no", never an error.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::noise;
use crate::rules::schema::Structure;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
/// Standard base64, padding optional.
pub const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
/// URL-safe base64, padding optional.
pub const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Whether `value` has the structure.
pub fn fits(structure: Structure, value: &[u8]) -> bool {
    match structure {
        Structure::Jwt => is_jwt(value),
        Structure::Base64Json => decode(value).is_some_and(|json| is_json_container(&json)),
        Structure::Macaroon => decode(value).is_some_and(|bytes| is_macaroon(&bytes)),
        Structure::Pem => is_armoured_key(value),
    }
}

fn decode(value: &[u8]) -> Option<Vec<u8>> {
    let url_safe = value.iter().any(|b| matches!(b, b'-' | b'_'));
    if url_safe { URL_SAFE.decode(value).ok() } else { STANDARD.decode(value).ok() }
}

fn is_json_container(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|v| v.is_object() || v.is_array())
}

/// Two or more base64url parts; the header is a JSON object that names an algorithm; the payload, if it is not encrypted,
/// is a JSON object.
fn is_jwt(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|b| *b == b'.').collect();
    let object = |part: &[u8]| {
        let json = URL_SAFE.decode(part).ok()?;
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&json).ok()
    };
    let Some(header) = parts.first().and_then(|p| object(p)) else { return false };
    if !header.contains_key("alg") {
        return false;
    }
    match parts.as_slice() {
        [_, payload] | [_, payload, _] => object(payload).is_some(),
        [_, _, _, _, _] => header.contains_key("enc"),
        _ => false,
    }
}

/// Version 2 (binary, starts 0x02 then a field) or version 1 (packets with a 4-digit hex length, the first `location`).
fn is_macaroon(bytes: &[u8]) -> bool {
    match bytes {
        [2, field, ..] => matches!(field, 1 | 2) && bytes.len() > 32,
        _ => {
            let length = bytes.get(..4).filter(|h| h.iter().all(u8::is_ascii_hexdigit));
            length.is_some() && bytes.get(4..12) == Some(b"location") || bytes.get(4..14) == Some(b"identifier")
        }
    }
}

/// A private key between armour lines: enough base64, which decodes to DER (a SEQUENCE that fits its length), to an OpenSSH or
/// PGP body, or which is marked as encrypted by headers.
fn is_armoured_key(value: &[u8]) -> bool {
    let body = noise::armour_body(value);
    if body.len() < 40 {
        return false;
    }
    if value.starts_with(b"-----BEGIN PGP") {
        return starts_with_secret_key_packet(&body);
    }
    let usable = body.len() - body.len() % 4;
    let Ok(bytes) = STANDARD.decode(&body[..usable]) else {
        // Damaged somewhere: the first line must still decode.
        return STANDARD.decode(&body[..40]).is_ok();
    };
    if noise::shannon(&bytes[..bytes.len().min(512)]) < 3.0 {
        return false;
    }
    if memchr::memmem::find(value, b"ENCRYPTED").is_some() {
        return true;
    }
    if bytes.starts_with(b"openssh-key-v1\0") {
        return true;
    }
    if memchr::memmem::find(&value[..value.len().min(64)], b"OPENSSH").is_some() {
        return false;
    }
    // DER: SEQUENCE; the declared length may exceed what is there by little (a cut paste is still a leak), not by much.
    match bytes.as_slice() {
        [0x30, n @ 0..=0x7f, ..] => usize::from(*n) <= bytes.len() + 8,
        [0x30, 0x81, n, ..] => usize::from(*n) <= bytes.len() + 16,
        [0x30, 0x82, a, b, ..] => usize::from(*a) << 8 | usize::from(*b) <= bytes.len() + 64,
        // ssh.com and other proprietary bodies
        [0x3f, 0x6f, ..] => true,
        _ => false,
    }
}

/// A secret key packet of OpenPGP, old or new form, comes first: RFC 9580, sections 4.2 and 5.5.1. The armour's checksum makes
/// the whole undecodable, so only the first line is looked at.
fn starts_with_secret_key_packet(body: &[u8]) -> bool {
    let first = STANDARD.decode(&body[..40]);
    first.is_ok_and(|bytes| matches!(bytes[0], 0x94..=0x97 | 0xc5) && noise::shannon(&bytes) >= 3.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn jwt_needs_json_parts() {
        let header = URL_SAFE.encode(br#"{"alg":"HS256"}"#);
        let payload = URL_SAFE.encode(br#"{"sub":"1"}"#);
        let (header, payload) = (header.trim_end_matches('='), payload.trim_end_matches('='));
        assert!(fits(Structure::Jwt, format!("{header}.{payload}.c2lnbmF0dXJl").as_bytes()));
        assert!(!fits(Structure::Jwt, format!("{payload}.{payload}.c2ln").as_bytes()));
        assert!(!fits(Structure::Jwt, b"eyJhbGciOi.x.y"));
    }

    #[test]
    fn macaroons_of_both_versions() {
        let v2 = URL_SAFE.encode([&[2u8, 1, 8][..], &[7; 40]].concat());
        assert!(fits(Structure::Macaroon, v2.as_bytes()));
        let v1 = URL_SAFE.encode(b"0015location service\n");
        assert!(fits(Structure::Macaroon, v1.as_bytes()));
        assert!(!fits(Structure::Macaroon, b"aGVsbG8gd29ybGQgdGhpcyBpcyBub3Q"));
    }
}
