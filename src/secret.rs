//! Secret bytes, and what may be shown of them: a redacted form and a keyed fingerprint.
//!
//! Contract: the bytes of a [`Secret`] are wiped when it is dropped, its `Debug` never shows them, and nothing in this
//! crate prints them unless the user asked with `--show-secrets`.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The bytes of a credential. Wiped on drop, redacted in `Debug`; deliberately neither `Display` nor `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    /// What a report says of a value that is not here.
    withheld: Option<Box<str>>,
}

impl Secret {
    /// Takes over a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: Zeroizing::new(bytes.to_vec()), withheld: None }
    }

    /// Stands for a value that is known only by what a report shows of it: it has no bytes.
    pub fn withheld(redacted: &str) -> Self {
        Self { bytes: Zeroizing::default(), withheld: Some(redacted.into()) }
    }

    /// Whether the value itself is not here.
    pub fn is_withheld(&self) -> bool {
        self.withheld.is_some()
    }

    /// The bytes themselves. Every caller is a place to audit.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// What may be shown: a few leading characters that name the token type, and the length; see [`redact`].
    pub fn redacted(&self) -> String {
        self.withheld.as_deref().map_or_else(|| redact(&self.bytes), str::to_owned)
    }

    /// Plain SHA-256 in lower-case hex, only for interchange with the ignore files of other tools.
    pub fn sha256_hex(&self) -> String {
        hex(&Sha256::digest(&*self.bytes))
    }
}

impl std::hash::Hash for Secret {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.as_slice().hash(state);
        self.withheld.hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.bytes.len())
    }
}

/// Shows at most the first 4 bytes, and never more than a sixth of the value, then the length.
///
/// A value shorter than 24 bytes therefore shows fewer than 4 bytes, and one under 6 bytes shows none. Bytes that are
/// not printable ASCII are shown as `.`. The tail is never shown: some issuers keep a checksum or the owner there.
pub fn redact(value: &[u8]) -> String {
    let shown = (value.len() / 6).min(4);
    let head: String =
        value[..shown].iter().map(|&b| if (0x21..0x7f).contains(&b) { b as char } else { '.' }).collect();
    format!("{head}…({})", value.len())
}

/// HMAC-SHA-256 of a secret under a key: equal for equal values, useless for guessing them without the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex(&self.0[..6]))
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        unhex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("a fingerprint is 64 hex digits"))
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut out = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(out)
}

/// Makes fingerprints. Without a key of the user's own, a constant of this project is used: fingerprints are then
/// stable everywhere, but whoever can guess a value can confirm the guess.
#[derive(Clone)]
pub struct Fingerprinter(Hmac<Sha256>);

impl Fingerprinter {
    /// With the user's own key (any length).
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// Fingerprint of a value and its further parts (an id, a user name), in this order.
    pub fn of(&self, value: &[u8]) -> Fingerprint {
        let mut mac = self.0.clone();
        mac.update(value);
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

impl Default for Fingerprinter {
    fn default() -> Self {
        Self::new(b"unsprawl fingerprint v1")
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter")
    }
}

/// So many random bytes in lower-case hex: a name that nothing else has.
///
/// # Errors
/// The system has no random numbers.
pub fn random_hex<const N: usize>() -> Result<String, String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| format!("no random number can be had: {e}"))?;
    Ok(hex(&bytes))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let s = Secret::new(b"hunter2-hunter2-hunter2-hunter2");
        assert!(!format!("{s:?}").contains("hunter"));
        assert_eq!(s.redacted(), "hunt…(31)");
        assert_eq!(redact(b"short"), "…(5)");
    }

    #[test]
    fn fingerprint_depends_on_the_key() {
        let a = Fingerprinter::default().of(b"x");
        assert_eq!(a, Fingerprinter::default().of(b"x"));
        assert_ne!(a, Fingerprinter::new(b"mine").of(b"x"));
    }
}
