//! The command line: one file a subcommand below this one.
//!
//! Contract: everything the user can say is defined here with clap; subcommands turn it into ready configuration and
//! call the library. Results go to stdout or `--output`, everything else to stderr.

pub mod apply;
pub mod approve;
mod asking;
pub mod generate;
mod inputs;
pub mod journal;
mod logging;
pub mod notify;
mod output;
pub mod owners;
mod owning;
pub mod plan;
mod progress;
pub mod rules;
pub mod scan;
mod terminal;
pub mod verify;

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::exit::ExitCode;
use crate::rules::{Fault, Selection, SharedCatalog};

/// Finds leaked credentials in files and in all of git history
///
/// Secrets are redacted in everything it writes. Scan only what you are authorised to look at, and have credentials checked only
/// if you are authorised to act on them: `scan` asks the issuers, read-only, whether what it finds still works, unless
/// --no-verify or --offline is given. Only `apply` revokes anything: it takes a plan, shows it and asks.
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
    /// Ask whether credentials still work, and whose they are
    ///
    /// Takes one from standard input or a file, or those of an earlier report. Asks the issuer, read-only, as `scan` does: check
    /// only credentials that you are authorised to act on. Exit codes as for `scan`.
    Verify(Box<verify::Args>),
    /// Show what a credential tells by itself, without asking anybody
    Whois(Box<verify::Whois>),
    /// Show credentials by the people they belong to: what is live, what is orphaned, what to do
    ///
    /// Exit codes: 0 done, 2 wrong usage or configuration, 3 incomplete.
    Owners(Box<owners::Owners>),
    /// Show all credentials of one person, and those that they brought in
    ///
    /// Exit codes: 0 none of them is active, 1 some are, 2 wrong usage or configuration, 3 incomplete.
    Offboard(Box<owners::Offboard>),
    /// Plan what to do about live credentials: what can be ended, by whom, what breaks, whether it can be undone
    ///
    /// Nothing is revoked. Exit codes: 0 done, 2 wrong usage or configuration, 3 incomplete: a finding may be missing in it.
    Plan(Box<plan::Args>),
    /// Sign a plan with your SSH key, or tell who signed it
    ///
    /// The signature is over exactly this plan: a change takes it away. Exit codes: 0 done, 1 with --verify: a signature does
    /// not count, or there is none; 2 wrong usage.
    Approve(approve::Args),
    /// Follow a plan: revoke or contain its credentials, and ask their issuers until they are refused
    ///
    /// Asks before it acts, unless --yes is given. Act only on credentials that you are authorised to act on. Exit codes: 0
    /// every step was confirmed by the issuer; else the worst: 13 it may have changed, 11 still active, 10 accepted but not
    /// yet seen inactive, 12 nothing changed, 14 not tried; 2 wrong usage or configuration.
    Apply(Box<apply::Args>),
    /// Tell owners what leaked, what was done and what to do now: mail, Slack, Teams, webhook, file, text for an issue
    ///
    /// Takes the outcomes from the journal; each is told once by each channel. Exit codes: 0 done, 2 wrong usage or
    /// configuration, 3 a channel did not take a message: the next run sends it.
    Notify(Box<notify::Args>),
    /// Verify and show the record of revocations
    Journal(journal::Args),
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
            Self::Verify(args) => verify::run(args),
            Self::Whois(args) => verify::whois(args),
            Self::Owners(args) => owners::owners(args),
            Self::Offboard(args) => owners::offboard(args),
            Self::Plan(args) => plan::run(args),
            Self::Approve(args) => approve::run(args),
            Self::Apply(args) => apply::run(args),
            Self::Notify(args) => notify::run(args),
            Self::Journal(args) => journal::run(args),
            Self::Rules(args) => rules::run(args),
            Self::Completions(args) => generate::completions(args),
            Self::Man(args) => generate::man(args),
        }
    }
}

/// The rules, embedded and from files; of several faults a line each. They stay until the process ends: taking so many patterns apart
/// is a twentieth of a scan of one small file.
fn catalog(files: &[PathBuf], selection: &Selection) -> Result<SharedCatalog, String> {
    let told = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: ");
    let catalog = crate::rules::load(files, selection).map_err(told)?;
    std::mem::forget(catalog.clone());
    Ok(catalog)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
