//! The command line: one file a subcommand below this one.
//!
//! Contract: everything the user can say is defined here with clap; subcommands turn it into ready configuration and
//! call the library. Results go to stdout or `--output`, everything else to stderr.

mod progress;
pub mod rules;
pub mod scan;

use clap::{Parser, Subcommand};

/// Finds leaked credentials in files and in all of git history.
///
/// Check and revoke only credentials that you are authorised to act on.
#[derive(Debug, Parser)]
#[command(name = "unsprawl", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find credentials in files, folders and whole git histories
    ///
    /// Exit codes: 0 nothing to act on, 1 findings (see --fail-on), 2 wrong usage or configuration, 3 incomplete: a
    /// limit, damage or a fault left something unread (the report holds what was found all the same).
    Scan(Box<scan::Args>),
    /// List, show and check the rules that say what a credential looks like
    Rules(rules::Args),
}
