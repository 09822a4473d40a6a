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
pub fn decode(decoder: Decoder, _text: &[u8]) -> Option<Value> {
    match decoder {
        Decoder::None => Some(Value::Object(serde_json::Map::new())),
        _ => None,
    }
}
