//! SCRAM (RFC 5802, RFC 7677) with SHA-1 and SHA-256, without channel binding.
//!
//! Contract: the server must prove that it knows the password, too; a demand for more work than [`MOST_ROUNDS`] is
//! refused. Passwords are used as they are: for other than ASCII, SASLprep may change them, which is not done here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::{SecureRandom, SystemRandom};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

use super::{Told, unclear};

/// Most rounds of key stretching that a server can ask for: some ten times of what servers use.
const MOST_ROUNDS: u32 = 600_000;

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-1
    Sha1,
    /// SCRAM-SHA-256
    Sha256,
}

impl Hash {
    /// Name of the mechanism.
    pub fn mechanism(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
        fn with<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
            let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
            mac.update(text);
            Zeroizing::new(mac.finalize().into_bytes().to_vec())
        }
        match self {
            Self::Sha1 => with::<Hmac<Sha1>>(key, text),
            Self::Sha256 => with::<Hmac<Sha256>>(key, text),
        }
    }

    fn digest(self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Sha1 => Sha1::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        })
    }

    fn stretch(self, password: &[u8], salt: &[u8], rounds: NonZeroU32) -> Zeroizing<Vec<u8>> {
        let (algorithm, length) = match self {
            Self::Sha1 => (ring::pbkdf2::PBKDF2_HMAC_SHA1, 20),
            Self::Sha256 => (ring::pbkdf2::PBKDF2_HMAC_SHA256, 32),
        };
        let mut out = Zeroizing::new(vec![0; length]);
        ring::pbkdf2::derive(algorithm, rounds, salt, password, &mut out);
        out
    }
}

/// A client half-way through.
pub struct Scram {
    hash: Hash,
    bare: String,
    nonce: String,
}

impl Scram {
    /// Begins; `user` as the protocol wants it (PostgreSQL: empty).
    pub fn begin(hash: Hash, user: &str) -> Told<Self> {
        let mut random = [0; 18];
        if SystemRandom::new().fill(&mut random).is_err() {
            return unclear("there is no randomness");
        }
        Ok(Self::with_nonce(hash, user, STANDARD.encode(random)))
    }

    fn with_nonce(hash: Hash, user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, bare: format!("n={user},r={nonce}"), nonce }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The answer to the server's first message, and what its last one must say.
    pub fn answer(&self, password: &str, server: &str) -> Told<(String, String)> {
        let field = |name: &str| server.split(',').find_map(|f| f.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(rounds)) = (field("r="), field("s="), field("i=")) else {
            return unclear("the server's SCRAM challenge makes no sense");
        };
        let rounds = rounds.parse().ok().filter(|n| *n <= MOST_ROUNDS).and_then(NonZeroU32::new);
        let (Some(rounds), Ok(salt), true) = (rounds, STANDARD.decode(salt), nonce.starts_with(&self.nonce)) else {
            return unclear("the server's SCRAM challenge is refused");
        };
        let stretched = self.hash.stretch(password.as_bytes(), &salt, rounds);
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server},{without_proof}", self.bare);
        let client_key = self.hash.hmac(&stretched, b"Client Key");
        let signature = self.hash.hmac(&self.hash.digest(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect();
        let server_key = self.hash.hmac(&stretched, b"Server Key");
        let expected = format!("v={}", STANDARD.encode(&*self.hash.hmac(&server_key, message.as_bytes())));
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), expected))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The exchanges of RFC 5802, section 5, and RFC 7677, section 3.
    #[test]
    fn exchanges_of_the_standards() {
        let scram = Scram::with_nonce(Hash::Sha1, "user", "fyko+d2lbbFgONRv9qkxdawL".into());
        assert_eq!(scram.first(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let server = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let (answer, last) = scram.answer("pencil", server).unwrap();
        assert_eq!(answer, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        assert_eq!(last, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
        let scram = Scram::with_nonce(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (answer, last) = scram.answer("pencil", server).unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn hostile_challenges_are_refused() {
        let scram = Scram::with_nonce(Hash::Sha256, "a=b,c", "abc".into());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=abc");
        for server in ["", "r=abcd,s=AAAA,i=4294967295", "r=abcd,s=AAAA,i=0", "r=xabc,s=AAAA,i=1", "r=abcd,s=?,i=1"] {
            assert!(scram.answer("p", server).is_err(), "{server}");
        }
    }
}
