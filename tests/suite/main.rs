//! Tests without servers: the real binary on real files and repositories, and the stages of the library by themselves.
//!
//! One binary for all of them: each further one would link the whole program again.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod git_repo;
mod report_samples;
mod repositories;

mod e2e_content;
mod e2e_damage;
mod e2e_engines;
mod e2e_files;
mod e2e_git;
mod e2e_hostile;
mod e2e_reports;
mod e2e_stores;
mod e2e_targets;
mod git_attribution;
mod git_damage;
mod git_discovery;
mod git_limits;
mod git_oracle;
mod git_walk;
mod own;
mod own_config;
mod own_directories;
mod report_schemas;
mod report_text;
mod respond_approve;
mod respond_journal;
mod rules_show;
mod verify_network;
mod verify_scan;
