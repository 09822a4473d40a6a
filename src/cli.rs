//! The command line: one file a subcommand below this one.
//!
//! Contract: everything the user can say is defined here with clap; subcommands turn it into ready configuration and
//! call the library. Results go to stdout or `--output`, everything else to stderr.

pub mod rules;

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
    /// List, show and check the rules that say what a credential looks like
    Rules(rules::Args),
}
