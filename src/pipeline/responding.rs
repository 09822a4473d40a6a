//! From findings to dead credentials: plan, act, and ask again.
//!
//! Contract: nothing is sent that changes something unless a plan names it, its value was read again and fits the plan's
//! fingerprint, its issuer accepts it at that moment and says that it is still the same account, and the journal holds the
//! intent. Nothing counts as done until the issuer was seen to refuse it.

mod acting;
pub mod admin;
pub mod applying;
mod confirming;
mod earlier;
pub mod planning;
mod sending;
mod work;
