//! The respond stage: what is to be done about a live credential, who agreed, and the record of what was done.
//!
//! Contract: nothing here sends anything; `pipeline::responding` asks and acts. No module here ever holds a secret.

pub mod approve;
pub mod journal;
pub mod notify;
pub mod plan;
pub mod policy;
