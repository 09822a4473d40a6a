//! The command line: one file a subcommand below this one.
//!
//! Contract: everything the user can say is defined here with clap; subcommands turn it into ready configuration and
//! call the library. Results go to stdout or `--output`, everything else to stderr.

pub mod generate;
mod progress;
pub mod rules;
pub mod scan;

use std::io;

use clap::{Parser, Subcommand};

use crate::exit::ExitCode;

/// Finds leaked credentials in files and in all of git history
///
/// Secrets are redacted in everything it writes. Scan only what you are authorised to look at. Nothing is sent to any
/// issuer: whether a credential still works is not checked yet, and nothing is revoked.
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
    /// Print a completion script for a shell
    Completions(generate::Completions),
    /// Print the manual page
    Man(generate::Man),
}

impl Command {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// When its output cannot be written.
    pub fn run(&self) -> io::Result<ExitCode> {
        match self {
            Self::Scan(args) => scan::run(args),
            Self::Rules(args) => rules::run(args),
            Self::Completions(args) => generate::completions(args),
            Self::Man(args) => generate::man(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
