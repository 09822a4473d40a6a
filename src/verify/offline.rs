//! What a credential tells by itself.
//!
//! Contract: nobody is asked, and the bytes are hostile: bounded by the size of the value, no panics, wrong bytes are
//! nothing.

use serde_json::Value;

use super::judge::{self, Source};
use super::steps::{Credential, plain};
use crate::model::Principal;
use crate::rules::ask::{Ask, Decoder, Encode, Values};

/// The account, as the value says; `None` if it says nothing. The first decoder that gives a fact decides it.
pub fn identity(ask: &Ask, credential: &Credential<'_>) -> Option<Principal> {
    read(ask, &mut plain(credential, 0))
}

/// The same; what the value holds for templates joins `known`.
pub(super) fn read(ask: &Ask, known: &mut Values) -> Option<Principal> {
    let mut principal = Principal::default();
    for offline in &ask.offline {
        let Ok(text) = offline.of.fill(known, Encode::Plain) else { continue };
        let Some(json) = decode(offline.decode, text.as_bytes()) else { continue };
        let source = Source::Decoded(&json, text.as_bytes());
        for (name, pick) in &offline.capture {
            if known.get(name).is_none()
                && let Some(value) = judge::take(pick, source, known)
            {
                known.set(name.clone(), value.as_bytes());
            }
        }
        judge::principal(&offline.principal, source, known, &mut principal);
    }
    (!principal.is_empty()).then_some(principal)
}

/// Decodes a value into JSON.
pub fn decode(decoder: Decoder, text: &[u8]) -> Option<Value> {
    match decoder {
        Decoder::None => Some(Value::Object(serde_json::Map::new())),
        Decoder::Json => serde_json::from_slice(text).ok(),
        Decoder::Base64Json => serde_json::from_slice(&base64(text)?).ok(),
        Decoder::Base64Text => String::from_utf8(base64(text)?).ok().map(Value::String),
        Decoder::Jwt => serde_json::from_slice(&base64(text.split(|b| *b == b'.').nth(1)?)?).ok(),
        Decoder::PrivateKey => super::sign::public_half(std::str::from_utf8(text).ok()?),
        _ => None,
    }
}

/// Base64 of either alphabet, with or without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = |b: &u8| match b {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let text: Vec<u8> = text.trim_ascii().iter().map(standard).collect();
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_in_base64_and_in_tokens() {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let json = serde_json::json!({"org": "\u{ff}?>"});
        let (padded, bare) = (STANDARD.encode(json.to_string()), URL_SAFE_NO_PAD.encode(json.to_string()));
        assert_eq!(decode(Decoder::Json, json.to_string().as_bytes()), Some(json.clone()));
        assert_eq!(decode(Decoder::Base64Json, padded.as_bytes()), Some(json.clone()));
        assert_eq!(decode(Decoder::Base64Json, bare.as_bytes()), Some(json.clone()));
        assert_eq!(decode(Decoder::Base64Text, bare.as_bytes()), Some(json.to_string().into()));
        assert_eq!(decode(Decoder::Jwt, format!("e30.{bare}.c2ln").as_bytes()), Some(json));
        for wrong in ["", ".", "a.b", "e30", "*", "e30.*.x"] {
            assert_eq!(decode(Decoder::Jwt, wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(decode(Decoder::Base64Json, b"bm90IGpzb24"), None);
    }
}
