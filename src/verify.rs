//! The verify stage: asks the issuing service whether a credential still works, and whose it is.
//!
//! Contract: read-only, at most one question per credential and purpose, only to hosts that the rule or the user names,
//! and never a verdict that the reply does not carry: what is not known is `unknown`, with the reason.

pub mod breaker;
pub mod canary;
pub mod echo;
pub mod endpoints;
pub mod flight;
pub mod guard;
pub mod judge;
pub mod limits;
pub mod login;
pub mod network;
pub mod offline;
pub mod polite;
pub mod render;
pub mod replay;
pub mod requests;
pub mod retry;
pub mod sign;
pub mod steps;
pub mod times;

pub use crate::transport;
