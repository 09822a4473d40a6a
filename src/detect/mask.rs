//! Which of 64 bytes are base64 characters, one bit each. Without a branch, since in most texts that would be a toss of a coin at each
//! word.

/// The 64 bytes of a text from `at` on; those behind its end are none.
pub(super) fn base64(text: &[u8], at: usize) -> u64 {
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

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
fn of(bytes: &[u8; 64]) -> u64 {
    // SAFETY: It needs SSE2, which every x86-64 has.
    unsafe { sse2(bytes) }
}

#[cfg(not(target_arch = "x86_64"))]
use words as of;

/// Sixteen bytes at once.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2(bytes: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };
    let (parts, _) = bytes.as_chunks::<16>();
    let mut mask = 0;
    for (i, part) in parts.iter().enumerate() {
        let part = u128::from_le_bytes(*part);
        let part = _mm_set_epi64x((part >> 64) as i64, part as i64);
        let is = |byte: u8| _mm_cmpeq_epi8(part, _mm_set1_epi8(byte as i8));
        let within = |bytes: __m128i, first: u8, last: u8| {
            let above = _mm_sub_epi8(bytes, _mm_set1_epi8(first as i8));
            _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((last - first) as i8)), above)
        };
        let letters = within(_mm_or_si128(part, _mm_set1_epi8(0x20)), b'a', b'z');
        let digits = _mm_or_si128(within(part, b'/', b'9'), is(b'+'));
        let all = _mm_or_si128(_mm_or_si128(letters, digits), _mm_or_si128(is(b'-'), is(b'_')));
        mask |= u64::from(_mm_movemask_epi8(all) as u16) << (16 * i);
    }
    mask
}

/// Eight bytes at once, for other processors.
#[cfg(any(test, not(target_arch = "x86_64")))]
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
    use super::super::decode::is_base64;
    use super::*;

    #[test]
    fn a_mask_tells_each_byte_apart() {
        for b in 0..=255u8 {
            for at in 0..64 {
                let mut bytes = [0xff; 64];
                bytes[at] = b;
                assert_eq!([of(&bytes), words(&bytes)], [u64::from(is_base64(b)) << at; 2], "{b:#x}");
                bytes = [b'a'; 64];
                bytes[at] = b;
                assert_eq!([of(&bytes), words(&bytes)], [!(u64::from(!is_base64(b)) << at); 2], "{b:#x}");
            }
        }
    }
}
