//! Tokens with right checksums, made from a word: the same word gives the same token, another word another one.

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A small generator of numbers (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Begins from the bytes of a word (FNV-1a).
    pub fn of(word: &str) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Self(word.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn base62(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(BASE62[self.below(62)])).collect()
    }
}

/// A body of 30 characters and the CRC-32 of it in base62.
fn checked(prefix: &str, word: &str) -> String {
    let body = Random::of(&format!("{prefix}{word}")).base62(30);
    let mut sum = crc32fast::hash(body.as_bytes());
    let mut check = [b'0'; 6];
    for digit in check.iter_mut().rev() {
        *digit = BASE62[(sum % 62) as usize];
        sum /= 62;
    }
    format!("{prefix}{body}{}", std::str::from_utf8(&check).unwrap())
}

/// A GitHub personal access token (classic).
pub fn pat(word: &str) -> String {
    checked("ghp_", word)
}

/// An npm access token: of another issuer.
pub fn npm(word: &str) -> String {
    checked("npm_", word)
}
