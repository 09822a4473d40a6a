//! The verify stage: asks the issuing service whether a credential still works, and whose it is.
//!
//! Contract: read-only, at most one question per credential and purpose, only to hosts that the rule or the user names,
//! and never a verdict that the reply does not carry: what is not known is `unknown`, with the reason.

pub mod judge;
pub mod offline;
pub mod render;
pub mod replay;
pub mod sign;
pub mod steps;
pub mod times;
pub mod transport;
