//! unsprawl finds leaked credentials in files and in all of git history.
//!
//! The flow is one way, a stage a module: [`source`] hands text to [`detect`], hits are grouped into the findings of
//! [`model`], and [`report`] shows them. [`pipeline`] alone knows all stages.

pub mod cli;
pub mod collect;
pub mod config;
pub mod detect;
pub mod exit;
pub mod model;
pub mod notes;
pub mod own;
pub mod per_thread;
pub mod pipeline;
pub mod report;
pub mod respond;
pub mod rules;
pub mod secret;
pub mod source;
pub mod store;
pub mod strict_json;
pub mod transport;
pub mod verify;
