//! Something for each thread of the current pool, apart from that of the others in memory.
//!
//! Contract: a thread never waits for another one of the pool that it was made in; threads from elsewhere share the first. A cache
//! line that two threads write to moves between them each time, which costs as much as some hundred instructions: so each has
//! lines of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;

/// Items of a long loop that a thread takes at once. Left to itself, rayon makes about two pieces of a loop for each thread, and in the
/// end one thread waits while another works through the last of them.
pub const SHARE: usize = 1 << 12;

/// One `T` for each thread.
#[derive(Debug)]
pub struct PerThread<T>(Box<[CachePadded<Mutex<T>>]>);

impl<T: Default> Default for PerThread<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T> PerThread<T> {
    /// One for each thread of the current rayon pool.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self((0..rayon::current_num_threads()).map(|_| CachePadded::new(Mutex::new(make()))).collect())
    }

    /// That of the current thread. Who holds it must not ask again, nor let rayon do other work meanwhile.
    pub fn get(&self) -> MutexGuard<'_, T> {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        self.0[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub fn into_all(self) -> Vec<T> {
        let inner = |own: CachePadded<Mutex<T>>| own.into_inner().into_inner().unwrap_or_else(PoisonError::into_inner);
        self.0.into_iter().map(inner).collect()
    }
}
