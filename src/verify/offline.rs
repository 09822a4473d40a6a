//! What a credential tells by itself.
//!
//! Contract: nobody is asked, and the bytes are hostile: bounded by the size of the value, no panics, wrong bytes are
//! nothing.

mod keys;
mod links;
mod macaroon;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::judge::{self, Source, strict};
use super::steps::{Credential, plain};
use crate::model::Principal;
use crate::rules::ask::{Ask, Decoder, Encode, Values};

/// The longest value that is decoded, in bytes.
const MAX_TEXT: usize = 256 << 10;
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The account, as the value says; `None` if it says nothing. Of several decoders the first that gives a fact decides it.
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

/// Decodes a value into JSON; `None` if it is not what the decoder reads.
pub fn decode(decoder: Decoder, text: &[u8]) -> Option<Value> {
    if text.len() > MAX_TEXT {
        return None;
    }
    match decoder {
        Decoder::None => Some(json!({})),
        Decoder::Jwt => jwt(text),
        Decoder::Json => strict(text),
        Decoder::Base64Json => strict(&base64(text)?),
        Decoder::Base64Text => Some(String::from_utf8(base64(text)?).ok()?.into()),
        Decoder::AwsAccount => aws_account(text).map(|account| json!({ "account": account })),
        Decoder::Macaroon => macaroon::decode(&base64(text)?),
        Decoder::GitlabRoutable => gitlab_routable(text),
        Decoder::Url => links::url(text),
        Decoder::Query => links::query(text),
        Decoder::SshKey => keys::ssh(text),
        Decoder::PgpKey => keys::pgp(text),
        Decoder::PrivateKey => super::sign::public_half(std::str::from_utf8(text).ok()?),
    }
}

/// Base64 of either alphabet, with or without padding and line breaks.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let plain: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let url_safe = plain.iter().any(|b| matches!(b, b'-' | b'_'));
    (if url_safe { &URL_SAFE } else { &STANDARD }).decode(plain).ok()
}

/// The payload of a token in compact form (RFC 7519); encrypted ones (five parts) tell nothing.
fn jwt(text: &[u8]) -> Option<Value> {
    let parts: Vec<&[u8]> = text.split(|b| *b == b'.').collect();
    let payload = match parts.as_slice() {
        [_, payload] | [_, payload, _] => payload,
        _ => return None,
    };
    strict(&URL_SAFE.decode(payload).ok()?).filter(Value::is_object)
}

/// The account number in an access key id (`AKIA...`, `ASIA...`): 40 bits after one in the base32 behind the prefix. Right for
/// ids made since about 2019; older ones have letters outside of base32 or give a number that is no account.
fn aws_account(id: &[u8]) -> Option<String> {
    let digits = id.get(4..14)?;
    let bits = digits.iter().try_fold(0u64, |bits, digit| {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        Some(bits << 5 | u64::from(value))
    })?;
    // Ten digits are 50 bits; the account is in the 40 after the first.
    let account = bits >> 9 & 0xff_ffff_ffff;
    (account < 1_000_000_000_000).then(|| format!("{account:012}"))
}

/// What routes a GitLab token: 16 random bytes, lines `key:value` with numbers in base 36, and their length; the base64 of it
/// stands before the first dot, its own length in two digits after the version
/// (<https://github.com/gitlabhq/gitlabhq/blob/master/lib/authn/token_field/generator/routable_token.rb>). Older tokens have no version.
fn gitlab_routable(text: &[u8]) -> Option<Value> {
    const RANDOM: usize = 16;
    let text = std::str::from_utf8(text).ok()?;
    let (head, tail) = text.split_once('.')?;
    let tail = tail.rsplit_once('.').map_or(tail, |(_, tail)| tail);
    let length = usize::from_str_radix(tail.get(..2)?, 36).ok()?;
    let payload = URL_SAFE.decode(head.get(head.len().checked_sub(length)?..)?).ok()?;
    let (length, rest) = payload.split_last()?;
    let lines = rest.get(RANDOM..).filter(|lines| lines.len() == usize::from(*length))?;
    let mut object = serde_json::Map::new();
    for line in std::str::from_utf8(lines).ok()?.lines() {
        let (key, value) = line.split_once(':')?;
        let number = u64::from_str_radix(value, 36).map_or_else(|_| Value::from(value), Value::from);
        object.insert(key.to_owned(), number);
    }
    (!object.is_empty()).then_some(Value::Object(object))
}

#[cfg(test)]
mod tests;
