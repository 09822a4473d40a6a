//! Bytes that a walk may hold at once, and buffers that are counted against them.
//!
//! Contract: a [`Buffer`] is charged for its capacity from its allocation to its end; nothing is allocated when the
//! budget does not cover it. Buffers are kept for reuse, since fresh pages cost more than the bytes written to them.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

/// A number of bytes that may be held at once, shared between threads.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    /// Written by all threads, while all read the limit.
    used: CachePadded<AtomicU64>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: CachePadded::default() }
    }

    /// The bytes there are in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `n` bytes, or nothing if that many are not left.
    fn reserve(&self, n: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(n).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }

    /// Allocates an empty buffer for `n` bytes; `None` if the budget or the machine does not have them.
    pub fn allocate(&self, n: usize) -> Option<Buffer<'_>> {
        if !self.reserve(n as u64) {
            return None;
        }
        let mut buffer = Buffer { bytes: Vec::new(), charged: n as u64, budget: self };
        buffer.bytes.try_reserve_exact(n).ok()?;
        Some(buffer)
    }

    /// Takes bytes that are there already under the budget, even if it does not cover them.
    pub fn adopt(&self, bytes: Vec<u8>) -> Buffer<'_> {
        let charged = bytes.capacity() as u64;
        self.used.fetch_add(charged, Ordering::Relaxed);
        Buffer { bytes, charged, budget: self }
    }
}

/// Bytes under a budget. The length is that of the content, the capacity was fixed when it was allocated.
#[derive(Debug)]
pub struct Buffer<'b> {
    /// The content. Growing it past its capacity would escape the budget: who fills it stays below.
    pub bytes: Vec<u8>,
    charged: u64,
    budget: &'b Budget,
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

/// Buffers of one thread that wait for their next use.
#[derive(Debug)]
pub struct Spare<'b> {
    budget: &'b Budget,
    free: Vec<Buffer<'b>>,
}

impl<'b> Spare<'b> {
    /// How many buffers are kept.
    const KEPT: usize = 8;
    /// Larger buffers are given back at once.
    const LARGEST: usize = 4 << 20;

    /// No buffers yet.
    pub fn new(budget: &'b Budget) -> Self {
        Self { budget, free: Vec::new() }
    }

    /// A buffer with room for `n` bytes; its old content is still in it. `None` if the budget is exhausted.
    pub fn take(&mut self, n: usize) -> Option<Buffer<'b>> {
        let fits = |b: &Buffer<'b>| (n..=n.saturating_mul(4).max(64 << 10)).contains(&b.bytes.capacity());
        // The one given back last is still in the cache.
        if let Some(i) = self.free.iter().rposition(fits) {
            return Some(self.free.remove(i));
        }
        // A little more than asked for, so that the next version of the same file fits, too.
        let roomy = if n < Self::LARGEST { (n + n / 8).next_multiple_of(4096) } else { n };
        if let Some(buffer) = self.budget.allocate(roomy) {
            return Some(buffer);
        }
        self.free.clear();
        self.budget.allocate(n)
    }

    /// Keeps a buffer for its next use.
    pub fn give(&mut self, buffer: Buffer<'b>) {
        if buffer.bytes.capacity() > Self::LARGEST {
            return;
        }
        if self.free.len() >= Self::KEPT {
            // The oldest makes room: sizes drift along the walk.
            self.free.remove(0);
        }
        self.free.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_comes_back() {
        let budget = Budget::new(100 << 10);
        let mut spare = Spare::new(&budget);
        let a = spare.take(60 << 10).unwrap();
        assert!(a.bytes.capacity() >= 60 << 10);
        assert!(spare.take(60 << 10).is_none());
        spare.give(a);
        assert!(budget.used() >= 60 << 10, "kept buffers count");
        let b = spare.take(90 << 10).unwrap();
        assert!(budget.used() <= budget.limit(), "the spare one had to go");
        drop(b);
        drop(spare);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_spare_buffer_is_used_again() {
        let budget = Budget::new(1 << 20);
        let mut spare = Spare::new(&budget);
        let a = spare.take(50_000).unwrap();
        let at = a.bytes.as_ptr();
        spare.give(a);
        assert_eq!(spare.take(40_000).unwrap().bytes.as_ptr(), at);
    }
}
