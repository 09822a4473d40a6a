//! Checksums inside tokens: a closed set of steps, named in rule files, that must reproduce one group from another.
//!
//! Contract: pure functions of bytes; an unknown step is an error when the rule is loaded, never at scan time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// One validated checksum recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// CRC-32/ISO-HDLC of the bytes, then an encoding.
    Crc32(Encoding),
    /// BIP-173 checksum over the whole string.
    Bech32,
}

/// How a CRC-32 is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Digits of `alphabet`, most significant first, left-padded to a width.
    Base {
        /// The digits.
        alphabet: &'static [u8],
        /// The width.
        width: usize,
        /// Least significant digit first.
        reversed: bool,
    },
    /// Eight lower-case hex digits; little-endian byte order if set.
    Hex {
        /// Bytes in little-endian order.
        little: bool,
    },
    /// Standard base64 without padding of the little-endian bytes.
    Base64Le,
}

const DUL: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DLU: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

impl Recipe {
    /// Reads the `steps` of a rule file.
    ///
    /// # Errors
    /// Says which step is not known, and which are.
    pub fn parse(steps: &[String]) -> Result<Self, String> {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        match steps.as_slice() {
            ["bech32"] => Ok(Self::Bech32),
            ["crc32", encoding] => parse_encoding(encoding).map(Self::Crc32),
            _ => Err(format!("checksum steps {steps:?} are not known; they are [\"bech32\"] or [\"crc32\", ENCODING]")),
        }
    }

    /// The checksum text of `bytes`; `None` for recipes that check the whole string.
    pub fn compute(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Crc32(encoding) => Some(encoding.encode(crc32fast::hash(bytes))),
            Self::Bech32 => None,
        }
    }

    /// Whether `found` is the checksum of `bytes`.
    pub fn fits(&self, bytes: &[u8], found: &[u8]) -> bool {
        match self {
            Self::Bech32 => bech32_fits(bytes),
            _ => self.compute(bytes).is_some_and(|want| want == found),
        }
    }
}

fn parse_encoding(name: &str) -> Result<Encoding, String> {
    let base = |alphabet, width: &str, reversed| match width.parse::<usize>() {
        Ok(width @ 1..=16) => Ok(Encoding::Base { alphabet, width, reversed }),
        _ => Err(format!("the width in `{name}` must be a number from 1 to 16")),
    };
    match name.split_once(':') {
        Some(("base62", width)) => base(DUL, width, false),
        Some(("base62-dlu", width)) => base(DLU, width, false),
        Some(("base62-lsb", width)) => base(DUL, width, true),
        Some(("base36", width)) => base(&DLU[..36], width, false),
        None if name == "hex" => Ok(Encoding::Hex { little: false }),
        None if name == "hex-le" => Ok(Encoding::Hex { little: true }),
        None if name == "base64-le" => Ok(Encoding::Base64Le),
        _ => Err(format!(
            "encoding `{name}` is not known; they are base62:N, base62-dlu:N, base62-lsb:N, base36:N, hex, hex-le, base64-le"
        )),
    }
}

impl Encoding {
    fn encode(self, crc: u32) -> Vec<u8> {
        match self {
            Self::Base { alphabet, width, reversed } => {
                let mut rest = crc as usize;
                let mut digits = Vec::with_capacity(width);
                while rest > 0 || digits.len() < width {
                    digits.push(alphabet[rest % alphabet.len()]);
                    rest /= alphabet.len();
                }
                if !reversed {
                    digits.reverse();
                }
                digits
            }
            Self::Hex { little } => {
                let bytes = if little { crc.to_le_bytes() } else { crc.to_be_bytes() };
                crate::secret::hex(&bytes).into_bytes()
            }
            Self::Base64Le => STANDARD_NO_PAD.encode(crc.to_le_bytes()).into_bytes(),
        }
    }
}

/// BIP-173: lower or upper case but not mixed, checksum constant 1.
fn bech32_fits(text: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    if text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase) {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let Some(split) = memchr::memrchr(b'1', &lower) else { return false };
    let (human, data) = (&lower[..split], &lower[split + 1..]);
    if human.is_empty() || data.len() < 6 {
        return false;
    }
    let Some(values) = data.iter().map(|c| memchr::memchr(*c, ALPHABET)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let expanded =
        human.iter().map(|c| usize::from(c >> 5)).chain([0]).chain(human.iter().map(|c| usize::from(c & 31)));
    bech32_polymod(expanded.chain(values)) == 1
}

fn bech32_polymod(values: impl Iterator<Item = usize>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |chk: u32, value| {
        let top = chk >> 25;
        let next = (chk & 0x01ff_ffff) << 5 ^ value as u32;
        GENERATOR.iter().enumerate().fold(next, |c, (i, g)| if top >> i & 1 == 1 { c ^ g } else { c })
    })
}

/// The six checksum characters that make `human1data` a valid bech32 string, for generated examples.
pub(crate) fn bech32_checksum(human: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let (human, data) = (human.to_ascii_lowercase(), data.to_ascii_lowercase());
    let values = data.iter().map(|c| memchr::memchr(*c, ALPHABET)).collect::<Option<Vec<_>>>()?;
    let expanded =
        human.iter().map(|c| usize::from(c >> 5)).chain([0]).chain(human.iter().map(|c| usize::from(c & 31)));
    let polymod = bech32_polymod(expanded.chain(values).chain([0; 6])) ^ 1;
    Some((0..6).map(|i| ALPHABET[(polymod >> (5 * (5 - i)) & 31) as usize]).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn recipe(steps: &[&str]) -> Recipe {
        Recipe::parse(&steps.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn crc32_encodings_of_the_check_value() {
        // CRC-32/ISO-HDLC of "123456789" is cbf43926.
        let text = b"123456789";
        assert_eq!(recipe(&["crc32", "hex"]).compute(text).unwrap(), b"cbf43926");
        assert_eq!(recipe(&["crc32", "hex-le"]).compute(text).unwrap(), b"2639f4cb");
        let value = recipe(&["crc32", "base62:6"]).compute(text).unwrap();
        let back = value.iter().fold(0usize, |n, c| n * 62 + memchr::memchr(*c, DUL).unwrap());
        assert_eq!(back, 0xcbf4_3926);
        let mut reversed = recipe(&["crc32", "base62-lsb:6"]).compute(text).unwrap();
        reversed.reverse();
        assert_eq!(reversed, value);
        assert!(recipe(&["crc32", "base36:7"]).fits(text, b"1kl8mjq"));
    }

    #[test]
    fn bech32_vectors_of_bip_173() {
        for good in ["A12UEL5L", "a12uel5l", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"] {
            assert!(Recipe::Bech32.fits(good.as_bytes(), b""), "{good}");
        }
        for bad in ["A12uEL5L", "a12uel5m", "1", "abc"] {
            assert!(!Recipe::Bech32.fits(bad.as_bytes(), b""), "{bad}");
        }
        assert_eq!(bech32_checksum(b"a", b"").unwrap(), b"2uel5l");
    }

    #[test]
    fn unknown_steps_are_errors() {
        assert!(Recipe::parse(&["crc32".into(), "base61:6".into()]).unwrap_err().contains("base61"));
        assert!(Recipe::parse(&["crc32".into()]).is_err());
    }
}
