//! Which of 64 bytes are base64 characters, one bit each. Without a branch, since in most texts that would be a toss of a coin at each
//! word.

use super::run::is_base64;

/// The 64 bytes of a text from `at` on by `of`; those behind its end are none.
#[inline(always)]
fn masked(text: &[u8], at: usize, of: impl Fn(&[u8; 64]) -> u64) -> u64 {
    let rest = &text[at..];
    if let Some(bytes) = rest.first_chunk() {
        return of(bytes);
    }
    // The last 64 bytes of the text if it has as many.
    if let Some(bytes) = text.last_chunk() {
        return of(bytes) >> (64 - rest.len());
    }
    let mut bytes = [0; 64];
    bytes[..rest.len()].copy_from_slice(rest);
    of(&bytes)
}

/// Shows the masks of a text from `at` on to `look`, 64 bytes each, until it has an answer.
pub(super) fn base64<T>(text: &[u8], at: usize, look: impl FnMut(usize, u64) -> Option<T>) -> Option<T> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code)]
        // SAFETY: The processor has AVX2.
        return unsafe { by_avx2(text, at, look) };
    }
    each(text, at, words, look)
}

#[inline(always)]
fn each<T>(
    text: &[u8],
    mut at: usize,
    of: impl Fn(&[u8; 64]) -> u64,
    mut look: impl FnMut(usize, u64) -> Option<T>,
) -> Option<T> {
    while at < text.len() {
        let answer = look(at, masked(text, at, &of));
        if answer.is_some() {
            return answer;
        }
        at += 64;
    }
    None
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn by_avx2<T>(text: &[u8], at: usize, look: impl FnMut(usize, u64) -> Option<T>) -> Option<T> {
    each(text, at, |bytes| avx2(bytes), look)
}

/// Thirty-two bytes at once: each half of a byte is looked up, and what both know is a character.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn avx2(bytes: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_set_epi64x, _mm256_set1_epi8,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };
    // Each half of a register has the sixteen of them.
    let table = |of: [u8; 16]| {
        let of = u128::from_le_bytes(of);
        let (low, high) = (of as i64, (of >> 64) as i64);
        _mm256_set_epi64x(high, low, high, low)
    };
    let (lower, upper) = (table(LOWER), table(UPPER));
    let mask = |part: &[u8; 32]| {
        let (words, _) = part.as_chunks::<8>();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| i64::from_le_bytes(words[i]));
        let part: __m256i = _mm256_set_epi64x(d, c, b, a);
        // A lookup by a byte above ASCII gives 0.
        let by_lower = _mm256_shuffle_epi8(lower, part);
        let half = _mm256_and_si256(_mm256_srli_epi16(part, 4), _mm256_set1_epi8(0x0f));
        let both = _mm256_and_si256(by_lower, _mm256_shuffle_epi8(upper, half));
        !_mm256_movemask_epi8(_mm256_cmpeq_epi8(both, _mm256_setzero_si256())) as u32
    };
    let (parts, _) = bytes.as_chunks::<32>();
    u64::from(mask(&parts[0])) | u64::from(mask(&parts[1])) << 32
}

/// By the lower half of a byte: which upper halves make a character with it, by their bits in [`UPPER`].
const LOWER: [u8; 16] = {
    let (mut table, mut b) = ([0; 16], 0);
    while b < 128 {
        if is_base64(b) {
            table[b as usize % 16] |= UPPER[b as usize / 16];
        }
        b += 1;
    }
    table
};

/// By the upper half of a byte: a bit for those in whose columns of the ASCII table the characters stand alike.
const UPPER: [u8; 16] = [0, 0, 1, 2, 4, 8, 4, 16, 0, 0, 0, 0, 0, 0, 0, 0];

/// Eight bytes at once, for other processors.
fn words(bytes: &[u8; 64]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let (words, _) = bytes.as_chunks::<8>();
    let mut mask = 0;
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let low = word & !HIGH;
        // The high bit of each byte that is one of these; no sum carries into the next byte.
        let within = |bytes: u64, first: u8, last: u8| {
            bytes.wrapping_add(ONES * u64::from(0x80 - first)) & !bytes.wrapping_add(ONES * u64::from(0x7f - last))
        };
        let letters = within(low | (0x20 * ONES), b'a', b'z');
        let others = within(low, b'/', b'9') | within(low, b'+', b'+') | within(low, b'-', b'-');
        let all = (letters | others | within(low, b'_', b'_')) & !word & HIGH;
        // Gathers the high bits of the bytes in the highest byte.
        mask |= ((all >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first mask, and the one that has no special instructions.
    fn both(bytes: &[u8; 64]) -> [u64; 2] {
        [base64(bytes, 0, |_, mask| Some(mask)).unwrap_or_default(), words(bytes)]
    }

    #[test]
    fn a_mask_tells_each_byte_apart() {
        for b in 0..=255u8 {
            for at in 0..64 {
                let mut bytes = [0xff; 64];
                bytes[at] = b;
                assert_eq!(both(&bytes), [u64::from(is_base64(b)) << at; 2], "{b:#x}");
                bytes = [b'a'; 64];
                bytes[at] = b;
                assert_eq!(both(&bytes), [!(u64::from(!is_base64(b)) << at); 2], "{b:#x}");
            }
        }
    }

    #[test]
    fn masks_cover_a_text_up_to_its_end() {
        for (len, at) in [(0, 0), (1, 0), (63, 5), (64, 0), (65, 0), (130, 1), (200, 150)] {
            let text: Vec<u8> = (0..len).map(|i| if i % 7 == 3 { b' ' } else { b'x' }).collect();
            let mut seen = Vec::new();
            let none = base64(&text, at, |from, mask| {
                seen.extend((0..64).filter(|i| mask >> i & 1 != 0).map(|i| from + i));
                None::<()>
            });
            let expected: Vec<usize> = (at..len).filter(|i| text[*i] == b'x').collect();
            assert_eq!((none, seen), (None, expected));
        }
    }
}
