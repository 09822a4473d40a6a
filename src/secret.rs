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
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes themselves. Every caller is a place to audit.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What may be shown: a few leading characters that name the token type, and the length; see [`redact`].
    pub fn redacted(&self) -> String {
        redact(&self.0)
    }

    /// Plain SHA-256 in lower-case hex, only for interchange with the ignore files of other tools.
    pub fn sha256_hex(&self) -> String {
        hex(&Sha256::digest(&*self.0))
    }
}

impl std::hash::Hash for Secret {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.as_slice().hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
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
