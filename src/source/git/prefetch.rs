//! Asks for memory before it is needed: a miss of the cache costs as much as some hundred instructions.

/// Starts to fetch the cache line with the first of some bytes; it takes no time of its own. Does nothing on processors other than
/// x86-64.
#[inline(always)]
#[allow(unsafe_code)]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: It needs SSE, which every x86-64 has. It is a hint: it changes nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
