//! Macaroons, binary versions 1 and 2.
//!
//! Contract: location, identifier and first-party caveats as text; no signature is checked. Formats:
//! <https://github.com/rescrv/libmacaroons/blob/master/doc/format.txt>.

use serde_json::{Map, Value, json};

use crate::secret::hex;
use crate::verify::judge::strict;

/// The most caveats that are read.
const MAX_CAVEATS: usize = 200;

#[derive(Default)]
struct Parts {
    location: Option<Vec<u8>>,
    identifier: Option<Vec<u8>>,
    caveats: Vec<Vec<u8>>,
}

/// Decodes either version.
pub fn decode(bytes: &[u8]) -> Option<Value> {
    let parts = if bytes.first() == Some(&2) { version2(&bytes[1..])? } else { version1(bytes)? };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|e| hex(e.as_bytes()));
    let mut tags = Map::new();
    for caveat in &parts.caveats {
        if let Some(Value::Array(mut items)) = strict(caveat)
            && let Some(tag) = items.first().and_then(Value::as_u64)
        {
            items.remove(0);
            tags.entry(tag.to_string()).or_insert(Value::Array(items));
        }
    }
    Some(json!({
        "location": parts.location.map(text),
        "identifier": text(parts.identifier?),
        "caveats": parts.caveats.into_iter().map(text).collect::<Vec<_>>(),
        "tags": tags,
    }))
}

/// Packets: four hex digits of length (their own included), key, space, value, line feed.
fn version1(mut bytes: &[u8]) -> Option<Parts> {
    let mut parts = Parts::default();
    while !bytes.is_empty() {
        let length = usize::from_str_radix(std::str::from_utf8(bytes.get(..4)?).ok()?, 16).ok()?;
        let packet = bytes.get(4..length)?;
        bytes = bytes.get(length..)?;
        let packet = packet.strip_suffix(b"\n").unwrap_or(packet);
        let space = memchr::memchr(b' ', packet)?;
        let (key, value) = (&packet[..space], packet[space + 1..].to_vec());
        match key {
            b"location" => parts.location = Some(value),
            b"identifier" => parts.identifier = Some(value),
            b"cid" if parts.caveats.len() < MAX_CAVEATS => parts.caveats.push(value),
            // A verification id marks the caveat before as one of a third party: its text is encrypted.
            b"vid" => drop(parts.caveats.pop()),
            b"signature" => return Some(parts),
            _ => {}
        }
    }
    None
}

/// Fields of type, length and data; a zero type ends a section: head, then each caveat, then an empty one.
fn version2(mut bytes: &[u8]) -> Option<Parts> {
    let mut parts = Parts::default();
    let head = section(&mut bytes)?;
    for (kind, data) in head {
        match kind {
            1 => parts.location = Some(data),
            2 => parts.identifier = Some(data),
            _ => {}
        }
    }
    loop {
        let caveat = section(&mut bytes)?;
        if caveat.is_empty() {
            return Some(parts);
        }
        let third_party = caveat.iter().any(|(kind, _)| *kind == 4);
        let identifier = caveat.into_iter().find(|(kind, _)| *kind == 2);
        if !third_party && parts.caveats.len() < MAX_CAVEATS {
            parts.caveats.extend(identifier.map(|(_, data)| data));
        }
    }
}

fn section(bytes: &mut &[u8]) -> Option<Vec<(u64, Vec<u8>)>> {
    let mut fields = Vec::new();
    loop {
        let kind = varint(bytes)?;
        if kind == 0 {
            return Some(fields);
        }
        let length = usize::try_from(varint(bytes)?).ok()?;
        let data = bytes.get(..length)?;
        *bytes = &bytes[length..];
        if fields.len() == 8 {
            return None;
        }
        fields.push((kind, data.to_vec()));
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
