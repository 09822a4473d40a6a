//! Texts with `{name}` in them, filled from a credential, from what earlier steps captured, and from settings.
//!
//! Contract: parsing tells every mistake that can be told; filling never panics, and a value that is not there is an
//! error that names it. What was filled in is wiped on drop and never part of an error.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::hex;

/// The longest value that is filled in, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// A parsed template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value { name: String, ops: Vec<Op> },
}

/// What is done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A range of bytes; negative ends count from the end.
    Range(i32, Option<i32>),
    /// ASCII lower case.
    Lower,
    /// ASCII upper case.
    Upper,
    /// Standard base64 with padding.
    Base64,
    /// URL-safe base64 without padding.
    Base64Url,
    /// SHA-256, lower-case hex.
    Sha256,
    /// SHA-256, standard base64.
    Sha256Base64,
    /// Percent-encoded but for unreserved characters.
    Url,
    /// Percent-encoded but for unreserved characters and `/`.
    Path,
    /// Percent-decoded.
    Unquote,
    /// What stands behind the last `/`.
    Last,
}

/// How values are put into the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encode {
    /// As they are.
    Plain,
    /// Percent-encoded, unless the template does so itself; the text around them stays.
    Percent,
    /// The same, and in the text around them what a query must not hold.
    All,
}

/// Why a template could not be filled. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// There is no such value.
    #[error("the credential's `{0}` is not known")]
    Missing(String),
    /// The value does not fit where it should stand.
    #[error("{0}")]
    Unfit(String),
}

/// Values by name, wiped on drop.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Values {
    /// Sets a value.
    pub fn set(&mut self, name: impl Into<String>, value: &[u8]) {
        self.0.insert(name.into(), Zeroizing::new(value.to_vec()));
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(|v| v.as_slice())
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Template {
    /// Parses a text. Only `{` directly before a name opens a value.
    ///
    /// # Errors
    /// A range or filter that does not exist, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            plain.push_str(&rest[..open]);
            let inside = &rest[open + 1..];
            let Some((name, more)) = name(inside) else {
                plain.push('{');
                rest = inside;
                continue;
            };
            let close = match (more.chars().next(), more.find('}')) {
                (Some('}' | ':' | '|'), Some(close)) => close,
                _ => {
                    plain.push('{');
                    rest = inside;
                    continue;
                }
            };
            let ops = more[..close].strip_prefix([':', '|']).map(ops).transpose()?.unwrap_or_default();
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Value { name: name.to_owned(), ops });
            rest = &more[close + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Names of the values it needs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|p| match p {
            Piece::Value { name, .. } => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text, if nothing is filled in.
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is one value and nothing else, and which.
    pub fn single(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Value { name, .. }] => Some(name),
            _ => None,
        }
    }

    /// The template with names in place of values, for logs and for `rules show`.
    pub fn shown(&self) -> String {
        let piece = |p: &Piece| match p {
            Piece::Text(text) => text.clone(),
            Piece::Value { name, .. } => format!("{{{name}}}"),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// Fills it.
    ///
    /// # Errors
    /// A value that is missing or is no text.
    pub fn fill(&self, values: &Values, encode: Encode) -> Result<Zeroizing<String>, Unfilled> {
        let mut out = Zeroizing::new(String::new());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) if encode == Encode::All => {
                    out.push_str(&percent_all_but(text.as_bytes(), b"/,:@!$'()*;?"))
                }
                Piece::Text(text) => out.push_str(text),
                Piece::Value { name, ops } => {
                    let value = values.get(name).ok_or_else(|| Unfilled::Missing(name.clone()))?;
                    let value = apply(ops, value);
                    if value.len() > MAX_VALUE {
                        return Err(Unfilled::Unfit(format!("the credential's `{name}` is too long")));
                    }
                    let encoded = ops.last().is_some_and(|op| matches!(op, Op::Url | Op::Path));
                    if encode != Encode::Plain && !encoded {
                        out.push_str(&percent(&value, false));
                    } else {
                        let text = std::str::from_utf8(&value);
                        let unfit = |_| Unfilled::Unfit(format!("the credential's `{name}` is no text"));
                        out.push_str(text.map_err(unfit)?);
                    }
                }
            }
        }
        Ok(out)
    }
}

/// A name at the start of a text, and what follows: letters, digits, `_`, `-` and `.`, beginning with a letter.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()).then_some((name, rest))
}

/// Parses `0..16|lower`.
///
/// # Errors
/// What is not known.
pub fn ops(text: &str) -> Result<Vec<Op>, String> {
    text.split('|').map(op).collect()
}

fn op(text: &str) -> Result<Op, String> {
    if let Some((from, to)) = text.split_once("..") {
        let number = |t: &str| t.parse::<i32>().map_err(|_| format!("`{text}` is no range: write 0..16, 4.. or -4.."));
        let from = if from.is_empty() { 0 } else { number(from)? };
        return Ok(Op::Range(from, if to.is_empty() { None } else { Some(number(to)?) }));
    }
    Ok(match text {
        "lower" => Op::Lower,
        "upper" => Op::Upper,
        "base64" => Op::Base64,
        "base64url" => Op::Base64Url,
        "sha256" => Op::Sha256,
        "sha256-base64" => Op::Sha256Base64,
        "url" => Op::Url,
        "path" => Op::Path,
        "unquote" => Op::Unquote,
        "last" => Op::Last,
        _ => return Err(format!("there is no filter `{text}`")),
    })
}

/// Does all of it to a value.
pub fn apply(ops: &[Op], value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut value = Zeroizing::new(value.to_vec());
    for op in ops {
        value = Zeroizing::new(match op {
            Op::Range(from, to) => {
                let len = value.len() as i64;
                let at = |i: i32| if i < 0 { len + i64::from(i) } else { i64::from(i) }.clamp(0, len) as usize;
                let (from, to) = (at(*from), to.map_or(value.len(), at));
                value[from..to.max(from)].to_vec()
            }
            Op::Lower => value.to_ascii_lowercase(),
            Op::Upper => value.to_ascii_uppercase(),
            Op::Base64 => STANDARD.encode(&*value).into_bytes(),
            Op::Base64Url => URL_SAFE_NO_PAD.encode(&*value).into_bytes(),
            Op::Sha256 => hex(&Sha256::digest(&*value)).into_bytes(),
            Op::Sha256Base64 => STANDARD.encode(Sha256::digest(&*value)).into_bytes(),
            Op::Url => percent(&value, false).into_bytes(),
            Op::Path => percent(&value, true).into_bytes(),
            Op::Unquote => unquote(&value),
            Op::Last => value.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec(),
        });
    }
    value
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3), and `/` if it is kept.
pub fn percent(value: &[u8], keep_slash: bool) -> String {
    percent_all_but(value, if keep_slash { b"/" } else { b"" })
}

fn percent_all_but(value: &[u8], kept: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    for &byte in value {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    out
}

/// [`unquote`] of a text; bytes that are no UTF-8 then become replacement characters.
pub fn unquoted(text: &str) -> String {
    String::from_utf8_lossy(&unquote(text.as_bytes())).into_owned()
}

/// Undoes percent-encoding; what is not encoded stays.
pub fn unquote(value: &[u8]) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(value.len());
    let mut i = 0;
    while i < value.len() {
        match (value[i], digit(value.get(i + 1)), digit(value.get(i + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            (byte, ..) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn filled(text: &str, encode: Encode) -> Result<String, Unfilled> {
        let mut values = Values::default();
        values.set("secret", b"abc/DEF+\xc3\xa9");
        values.set("admin.token", b"t");
        values.set("raw", b"\xff");
        Template::parse(text).unwrap().fill(&values, encode).map(|t| t.to_string())
    }

    #[test]
    fn values_ranges_and_filters() {
        let cases = [
            ("x{secret:0..3}y", "xabcy"),
            ("{secret:4..7|lower}", "def"),
            ("{secret:-3..|url}", "%2B%C3%A9"),
            ("{secret:2..1}{secret:99..}", ""),
            ("{secret:..3|base64}.{secret:..3|base64url}", "YWJj.YWJj"),
            ("{secret:..3|sha256}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("{secret|sha256|0..0}{secret|0..3}", "abc"),
            ("{secret:..3|sha256-base64}", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
            ("{admin.token}", "t"),
            ("{secret|last|..3}.{admin.token|last}", "DEF.t"),
            (r#"{ viewer { id } } {"a":{"b":1}} {viewer{ id }}"#, r#"{ viewer { id } } {"a":{"b":1}} {viewer{ id }}"#),
        ];
        for (text, want) in cases {
            assert_eq!(filled(text, Encode::Plain).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn percent_encoding_is_done_once() {
        assert_eq!(filled("/a/{secret}", Encode::Percent).unwrap(), "/a/abc%2FDEF%2B%C3%A9");
        assert_eq!(filled("/a/{secret|url}", Encode::Percent).unwrap(), "/a/abc%2FDEF%2B%C3%A9");
        assert_eq!(filled("/a/{secret|path}", Encode::Percent).unwrap(), "/a/abc/DEF%2B%C3%A9");
        assert_eq!(filled("{raw}", Encode::Percent).unwrap(), "%FF");
        assert_eq!(unquote(b"a%2Fb%zz%4"), b"a/b%zz%4");
    }

    #[test]
    fn what_is_missing_or_no_text_is_named() {
        assert_eq!(filled("{host}", Encode::Plain), Err(Unfilled::Missing("host".into())));
        assert!(matches!(filled("{raw}", Encode::Plain), Err(Unfilled::Unfit(_))));
        assert!(Template::parse("{secret|shout}").unwrap_err().contains("shout"));
        assert!(Template::parse("{secret:a..b}").is_err());
    }
}
