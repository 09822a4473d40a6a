//! Private keys as they leak: PEM with line ends, with `\n` escapes, or run together.
//!
//! Contract: reads RSA (PKCS #1 and #8, 2048 to 4096 bits) and P-256 (SEC 1 and PKCS #8) keys that no passphrase protects, and
//! Ed25519 keys as 64 bytes in base64. The key is never shown; what is told is its public half.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::Unsigned;

/// Base64 with or without padding.
const LAX: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// AlgorithmIdentifier of id-ecPublicKey with prime256v1.
const P256: &[u8] = &[48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7];

/// AlgorithmIdentifier of id-Ed25519 (RFC 8410).
const ED25519: &[u8] = &[48, 5, 6, 3, 43, 101, 112];

/// Most characters of a key that is looked at: a key of 16,384 bits has 13,000.
const MOST: usize = 32 * 1024;

/// A key that can sign.
pub enum PrivateKey {
    /// RSA.
    Rsa(Box<RsaKeyPair>),
    /// P-256.
    P256(Box<EcdsaKeyPair>),
    /// Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
}

impl PrivateKey {
    /// Reads a PEM, however its line ends were written.
    ///
    /// # Errors
    /// [`Unsigned::Key`] tells why it is none, without a byte of it.
    pub fn read(pem: &str) -> Result<Self, Unsigned> {
        if pem.len() > MOST {
            return Err(Unsigned::Key("the private key is too long"));
        }
        if pem.contains("ENCRYPTED") {
            return Err(Unsigned::Key("the private key is protected by a passphrase"));
        }
        let (label, body) = body(pem).ok_or(Unsigned::Key("the private key is not PEM"))?;
        let der = LAX.decode(&*body).map(Zeroizing::new).map_err(|_| Unsigned::Key("the private key is damaged"))?;
        let rsa = |made: Result<RsaKeyPair, _>| made.map(|pair| Self::Rsa(Box::new(pair))).ok();
        let p256 = |der: &[u8]| {
            let made = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
            made.map(|pair| Self::P256(Box::new(pair))).ok()
        };
        let read = match label {
            "RSA PRIVATE KEY" => rsa(RsaKeyPair::from_der(&der)),
            "PRIVATE KEY" => rsa(RsaKeyPair::from_pkcs8(&der)).or_else(|| p256(&der)),
            "EC PRIVATE KEY" => p256(&in_pkcs8(&der)),
            _ => None,
        };
        read.ok_or(Unsigned::Key("the private key is damaged, or of a kind that is not used here"))
    }

    /// Reads an Ed25519 key of 64 bytes in base64: the seed, then the public half.
    ///
    /// # Errors
    /// [`Unsigned::Key`]: it is none, or its halves do not belong together.
    pub fn read_ed25519(text: &str) -> Result<Self, Unsigned> {
        if text.len() > MOST {
            return Err(Unsigned::Key("the private key is too long"));
        }
        let bytes = LAX.decode(text.trim()).map(Zeroizing::new).unwrap_or_default();
        if bytes.len() != 64 {
            return Err(Unsigned::Key("the private key is not 64 bytes in base64"));
        }
        let (seed, public) = bytes.split_at(32);
        let made = Ed25519KeyPair::from_seed_and_public_key(seed, public);
        made.map(|pair| Self::Ed25519(Box::new(pair))).map_err(|_| Unsigned::Key("the private key is damaged"))
    }

    /// `RSA`, `EC` or `OKP`, as in a JSON Web Key.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::P256(_) => "EC",
            Self::Ed25519(_) => "OKP",
        }
    }

    /// `RS256`, `ES256` or `EdDSA`.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// Signature as JWTs have it.
    pub(super) fn sign_jwt(&self, text: &[u8]) -> Result<Vec<u8>, Unsigned> {
        match self {
            Self::Rsa(_) => self.sign_rs256(text),
            Self::P256(pair) => {
                let made = pair.sign(&SystemRandom::new(), text).map_err(|_| Unsigned::Key("the key does not sign"))?;
                Ok(made.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        }
    }

    /// RSA PKCS #1 v1.5 over SHA-256.
    pub(super) fn sign_rs256(&self, text: &[u8]) -> Result<Vec<u8>, Unsigned> {
        let Self::Rsa(pair) = self else { return Err(Unsigned::Key("an RSA key is needed")) };
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature)
            .map_err(|_| Unsigned::Key("the key does not sign"))?;
        Ok(signature)
    }

    /// Modulus of an RSA key as in a JSON Web Key (`n`).
    ///
    /// # Errors
    /// It is not an RSA key.
    pub fn modulus(&self) -> Result<String, Unsigned> {
        Ok(URL_SAFE_NO_PAD.encode(self.components()?.n))
    }

    fn components(&self) -> Result<PublicKeyComponents<Vec<u8>>, Unsigned> {
        match self {
            Self::Rsa(pair) => Ok(PublicKeyComponents::from(pair.public())),
            Self::P256(_) | Self::Ed25519(_) => Err(Unsigned::Key("an RSA key is needed")),
        }
    }

    /// The public half as DER (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// None for keys that were read.
    pub fn public_der(&self) -> Result<Vec<u8>, Unsigned> {
        // AlgorithmIdentifier of rsaEncryption with NULL.
        const RSA: &[u8] = &[48, 13, 6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0];
        let (algorithm, key) = match self {
            Self::Rsa(_) => {
                let parts = self.components()?;
                (RSA, der(48, &[integer(&parts.n), integer(&parts.e)].concat()))
            }
            Self::P256(pair) => (P256, pair.public_key().as_ref().to_vec()),
            Self::Ed25519(pair) => (ED25519, pair.public_key().as_ref().to_vec()),
        };
        let bits = der(3, &[&[0], key.as_slice()].concat());
        Ok(der(48, &[algorithm, bits.as_slice()].concat()))
    }

    /// MD5 of the public half, `aa:bb:...`: how Oracle Cloud names a key.
    ///
    /// # Errors
    /// None for keys that were read.
    pub fn md5_fingerprint(&self) -> Result<String, Unsigned> {
        let digest = Md5::digest(self.public_der()?);
        let pairs: Vec<String> = digest.iter().map(|b| format!("{b:02x}")).collect();
        Ok(pairs.join(":"))
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm())
    }
}

/// Label and base64 of a PEM. Escapes (`\n`, `\r`, `\\n`), quotes and blanks between its characters are dropped.
fn body(pem: &str) -> Option<(&str, Zeroizing<String>)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (inside, _) = rest.split_once("-----END ")?;
    let mut out = Zeroizing::new(String::with_capacity(inside.len()));
    let mut escaped = false;
    for c in inside.chars() {
        match c {
            '\\' => escaped = true,
            'n' | 'r' | 't' if escaped => escaped = false,
            c => {
                escaped = false;
                if c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=') {
                    out.push(c);
                }
            }
        }
    }
    Some((label, out))
}

/// A P-256 key of RFC 5915 (`EC PRIVATE KEY`) as PKCS #8 has it. Another curve inside is for the reader to refuse.
fn in_pkcs8(key: &[u8]) -> Zeroizing<Vec<u8>> {
    let inner = Zeroizing::new(der(4, key));
    let content = Zeroizing::new([&[2, 1, 0], P256, inner.as_slice()].concat());
    Zeroizing::new(der(48, &content))
}

/// One DER value.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=127 => out.push(length as u8),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | bytes.len() as u8);
            out.extend(bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A positive INTEGER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zero = bytes.first().is_none_or(|b| *b >= 0x80);
    der(2, &[if zero { &[0][..] } else { &[] }, bytes].concat())
}
