//! Private keys: whose they say they are, and how their issuer names them.
//!
//! Contract: only public parts come out: type, fingerprint, comment, user ids. Formats: OpenSSH's PROTOCOL.key,
//! PuTTY's documentation (appendix C), RFC 9580.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::base64;
use crate::secret::hex;

/// The most packets that are read of an OpenPGP key.
const MAX_PACKETS: usize = 500;

/// An OpenSSH or PuTTY key.
pub fn ssh(text: &[u8]) -> Option<Value> {
    if text.starts_with(b"PuTTY-User-Key-File-") {
        return putty(text);
    }
    let bytes = base64(armoured(text)?)?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let (cipher, _kdf, _options) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let count = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
    let public = string(&mut rest)?;
    let comment = if cipher == b"none" && count == 1 { comment(string(&mut rest)?) } else { None };
    public_facts(public, comment)
}

fn public_facts(public: &[u8], comment: Option<String>) -> Option<Value> {
    let kind = String::from_utf8(string(&mut &*public)?.to_vec()).ok()?;
    let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(public)));
    Some(json!({ "type": kind, "fingerprint": fingerprint, "comment": comment.filter(|c| !c.is_empty()) }))
}

/// The comment behind the private fields: two equal check numbers, the type, its fields, the comment, padding 1, 2, 3, ...
fn comment(mut rest: &[u8]) -> Option<String> {
    if take(&mut rest, 4)? != take(&mut rest, 4)? {
        return None;
    }
    let fields = match string(&mut rest)? {
        b"ssh-ed25519" => 2,
        b"ssh-rsa" => 6,
        b"ssh-dss" => 5,
        kind if kind.starts_with(b"ecdsa-sha2-") => 3,
        _ => return None,
    };
    for _ in 0..fields {
        string(&mut rest)?;
    }
    String::from_utf8(string(&mut rest)?.to_vec()).ok()
}

fn putty(text: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let mut comment = None;
    let mut count = 0;
    for line in lines.by_ref() {
        match line.split_once(':') {
            Some(("Comment", value)) => comment = Some(value.trim().to_owned()),
            Some(("Public-Lines", value)) => {
                count = value.trim().parse::<usize>().ok()?;
                break;
            }
            _ => {}
        }
    }
    let public: String = lines.take(count.min(1000)).map(str::trim).collect();
    public_facts(&base64(public.as_bytes())?, comment)
}

/// An OpenPGP key: its user ids, when it was made, and its fingerprint (version 4).
pub fn pgp(text: &[u8]) -> Option<Value> {
    let body = armoured(text)?;
    // Armour headers end at an empty line; the checksum line begins with `=`.
    let body = std::str::from_utf8(body).ok()?;
    let lines = body.lines().map(str::trim).filter(|l| !l.contains(": "));
    let data: String = lines.take_while(|l| !l.starts_with('=')).collect();
    let bytes = base64(data.as_bytes())?;
    let mut rest = bytes.as_slice();
    let (mut user_ids, mut created, mut fingerprint) = (Vec::new(), None, None);
    for _ in 0..MAX_PACKETS {
        let Some((tag, packet)) = packet(&mut rest) else { break };
        match tag {
            13 => user_ids.push(String::from_utf8_lossy(packet).into_owned()),
            5 | 6 if created.is_none() && packet.first() == Some(&4) => {
                created = packet.get(1..5).and_then(|t| Some(u32::from_be_bytes(t.try_into().ok()?)));
                fingerprint = public_part(packet).map(version4_fingerprint);
            }
            _ => {}
        }
    }
    (!user_ids.is_empty() || created.is_some())
        .then(|| json!({ "user_ids": user_ids, "created": created, "fingerprint": fingerprint }))
}

fn version4_fingerprint(public: &[u8]) -> String {
    let length = public.len() as u16;
    let mut hash = Sha1::new();
    hash.update([0x99]);
    hash.update(length.to_be_bytes());
    hash.update(public);
    hex(&hash.finalize()).to_ascii_uppercase()
}

/// The beginning of a version 4 secret key packet that its public key packet would be: version, time, algorithm, numbers.
fn public_part(packet: &[u8]) -> Option<&[u8]> {
    let mut rest = packet.get(6..)?;
    let number = |rest: &mut &[u8]| {
        let bits = u16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
        take(rest, usize::from(bits).div_ceil(8)).map(drop)
    };
    let curve = |rest: &mut &[u8]| {
        let length = *take(rest, 1)?.first()?;
        take(rest, usize::from(length)).map(drop)
    };
    match packet.get(5)? {
        1..=3 => (0..2).try_for_each(|_| number(&mut rest))?,
        16 => (0..3).try_for_each(|_| number(&mut rest))?,
        17 => (0..4).try_for_each(|_| number(&mut rest))?,
        19 | 22 => curve(&mut rest).and_then(|()| number(&mut rest))?,
        18 => curve(&mut rest).and_then(|()| number(&mut rest)).and_then(|()| curve(&mut rest))?,
        25 | 27 => take(&mut rest, 32).map(drop)?,
        _ => return None,
    }
    Some(&packet[..packet.len() - rest.len()])
}

/// One packet of either header format; lengths in pieces and open ends are not read.
fn packet<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let head = *take(rest, 1)?.first()?;
    if head & 0x80 == 0 {
        return None;
    }
    let mut number = |bytes: usize| Some(take(rest, bytes)?.iter().fold(0usize, |n, b| n << 8 | usize::from(*b)));
    let (tag, length) = if head & 0x40 == 0 {
        let length = match head & 3 {
            0 => number(1)?,
            1 => number(2)?,
            2 => number(4)?,
            _ => return None,
        };
        (head >> 2 & 15, length)
    } else {
        let length = match number(1)? {
            short @ 0..=191 => short,
            long @ 192..=223 => ((long - 192) << 8) + number(1)? + 192,
            255 => number(4)?,
            _ => return None,
        };
        (head & 63, length)
    };
    Some((tag, take(rest, length)?))
}

/// What stands between the armour lines; the whole text if there are none.
fn armoured(text: &[u8]) -> Option<&[u8]> {
    let Some(begin) = memchr::memmem::find(text, b"-----BEGIN ") else { return Some(text) };
    let start = begin + memchr::memmem::find(&text[begin + 11..], b"-----")? + 16;
    let end = memchr::memmem::find(&text[start..], b"-----END").map_or(text.len(), |end| start + end);
    Some(&text[start..end])
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let taken = rest.get(..length)?;
    *rest = &rest[length..];
    Some(taken)
}

/// An SSH string: four bytes of length, then as many bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, length as usize)
}
