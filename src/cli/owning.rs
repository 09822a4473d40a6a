//! Flags on owners, which several subcommands share.

use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::model::{Person, Report};
use crate::own::accounts::AccountMap;
use crate::own::directory::Source;
use crate::own::posture::Thresholds;
use crate::own::pseudonyms;
use crate::pipeline::owning::Owning;
use crate::secret::Fingerprinter;
use crate::store;

/// The flags.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Owners")]
pub struct OwnerFlags {
    /// A directory of people: a CSV or JSON file, scim+https://host/path#TOKEN_VARIABLE, or
    /// ldaps://host/base?bind=DN#PASSWORD_VARIABLE (may be repeated: the first that knows somebody decides); before it
    /// complete: if who is not in it has left
    #[arg(long, value_name = "DIRECTORY", env = "UNSPRAWL_DIRECTORY", value_delimiter = '\n')]
    directory: Vec<String>,
    /// How long answers of a directory are kept; 0 asks every time
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = config::duration)]
    directory_ttl: Duration,
    /// TOML file that says which account is whose, and which team looks after which path
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_ACCOUNTS")]
    accounts: Option<PathBuf>,
    /// A credential made longer ago than this is long-lived
    #[arg(long, value_name = "DAYS", default_value_t = Thresholds::default().long_lived)]
    long_lived_days: u32,
    /// A credential last used longer ago than this is stale
    #[arg(long, value_name = "DAYS", default_value_t = Thresholds::default().stale)]
    stale_days: u32,
    /// Mention for how long it has been readable from this on
    #[arg(long, value_name = "DAYS", default_value_t = Thresholds::default().exposed)]
    exposed_days: u32,
    /// Replace people by stable pseudonyms in every report
    #[arg(long)]
    pseudonymize: bool,
}

impl OwnerFlags {
    /// What is ready to be used.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn owning(&self) -> Result<Owning, String> {
        let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let named = self.directory.iter().filter(|d| !d.trim().is_empty());
        let sources: Result<Vec<Source>, String> = named.map(|d| Source::parse(d.trim(), &env)).collect();
        let accounts = self.accounts.as_deref().map(AccountMap::read).transpose().map_err(|e| e.to_string())?;
        let state = store::default_path(env);
        Ok(Owning {
            directories: sources?,
            accounts: accounts.unwrap_or_default(),
            thresholds: Thresholds {
                long_lived: self.long_lived_days,
                stale: self.stale_days,
                exposed: self.exposed_days,
            },
            cache: state.and_then(|s| Some(s.parent()?.join("directories"))).filter(|_| !self.directory_ttl.is_zero()),
            ttl: self.directory_ttl,
        })
    }

    /// Hides people if that was asked for.
    pub fn hide(&self, report: &mut Report, besides: &mut [Person], key: &Fingerprinter) {
        if self.pseudonymize {
            pseudonyms::pseudonymize(report, besides, key);
        }
    }
}
