//! End to end at the issuers: a credential is made there, leaks into a repository made by git, `unsprawl scan` finds it,
//! asks, and tells whose it is; then it is ended by hand with the issuer's own means, and the next scan says so.
//!
//! Contract: real issuers are those that `tests/servers/run` starts on loopback; without them a test says that it is
//! skipped, and where they are required it fails. GitHub is a fake whose every request and reply is held against GitHub's
//! own OpenAPI description.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod acting;
mod github;
mod incident;
mod relay;
mod servers;
mod story;

mod accounts;
mod aws;
mod directories;
mod login_servers;
mod mail;
mod over_tls;
mod owner_story;
mod respond_accounts;
mod respond_approvals;
mod respond_faults;
mod respond_github;
mod respond_issuers;
mod respond_notify;
mod respond_policy;
mod revoke_accounts;
mod revoke_tokens;
mod signed_rules;
mod tokens;
