//! Flags on owners, which several subcommands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{self, Loaded};
use crate::model::{Person, Report};
use crate::own::accounts::AccountMap;
use crate::own::directory::Source;
use crate::own::posture::Thresholds;
use crate::own::pseudonyms;
use crate::pipeline::owning::Owning;
use crate::secret::Fingerprinter;

/// The flags.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Owners")]
pub struct OwnerFlags {
    /// A directory of people: a CSV or JSON file, scim+https://host/path#TOKEN_VARIABLE, or
    /// ldaps://host/base?bind=DN#PASSWORD_VARIABLE (may be repeated: the first that knows somebody decides); before it
    /// complete: if who is not in it has left
    #[arg(long, value_name = "DIRECTORY", env = "UNSPRAWL_DIRECTORY", value_delimiter = '\n')]
    directory: Vec<String>,
    /// How long answers of a directory are kept; 0 asks every time [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    directory_ttl: Option<Duration>,
    /// TOML file that says which account is whose, and which team looks after which path
    #[arg(long, value_name = "FILE", env = "UNSPRAWL_ACCOUNTS")]
    accounts: Option<PathBuf>,
    /// A credential made longer ago than this is long-lived [default: 90]
    #[arg(long, value_name = "DAYS")]
    long_lived_days: Option<u32>,
    /// A credential last used longer ago than this is stale [default: 90]
    #[arg(long, value_name = "DAYS")]
    stale_days: Option<u32>,
    /// Mention for how long it has been readable from this on [default: 0]
    #[arg(long, value_name = "DAYS")]
    exposed_days: Option<u32>,
    /// Replace people by stable pseudonyms in every report
    #[arg(long)]
    pseudonymize: bool,
}

impl OwnerFlags {
    /// What is ready to be used, with the configuration file and the file that keeps state, if any.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn owning(&self, loaded: &Loaded, state: Option<&Path>) -> Result<Owning, String> {
        let file = &loaded.config.owners;
        let accounts = self.accounts.clone().or_else(|| Some(loaded.beside(file.accounts.as_deref()?)));
        let accounts = accounts.as_deref().map(AccountMap::read).transpose().map_err(|e| e.to_string())?;
        let ttl = match self.directory_ttl {
            Some(ttl) => ttl,
            None => loaded.duration(&file.directory_ttl).map_err(|e| e.to_string())?.unwrap_or(TTL),
        };
        let days = |flag: Option<u32>, file: Option<u32>, default| flag.or(file).unwrap_or(default);
        let default = Thresholds::default();
        Ok(Owning {
            directories: self.directories(loaded)?,
            accounts: accounts.unwrap_or_default(),
            thresholds: Thresholds {
                long_lived: days(self.long_lived_days, file.long_lived_days, default.long_lived),
                stale: days(self.stale_days, file.stale_days, default.stale),
                exposed: days(self.exposed_days, file.exposed_days, default.exposed),
            },
            cache: state.map(|s| s.with_extension("directories")).filter(|_| !ttl.is_zero()),
            ttl,
        })
    }

    /// Those of the command line or the environment; else those of the configuration file.
    fn directories(&self, loaded: &Loaded) -> Result<Vec<Source>, String> {
        let named: Vec<&str> = self.directory.iter().map(|d| d.trim()).filter(|d| !d.is_empty()).collect();
        if !named.is_empty() {
            return named.into_iter().map(|d| Source::parse(d, &env)).collect();
        }
        let of_file = loaded.config.directories.iter();
        of_file.map(|d| source(d.get_ref(), loaded).map_err(|e| loaded.fault(d, e).to_string())).collect()
    }

    /// Whether people are to be hidden.
    pub fn hides(&self) -> bool {
        self.pseudonymize
    }

    /// Hides people if that was asked for.
    pub fn hide(&self, report: &mut Report, besides: &mut [Person], key: &Fingerprinter) {
        if self.pseudonymize {
            pseudonyms::pseudonymize(report, besides, key);
        }
    }
}

/// How long answers of a directory are kept.
const TTL: Duration = Duration::from_secs(3600);

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// A directory of the configuration file.
fn source(directory: &config::Directory, loaded: &Loaded) -> Result<Source, String> {
    let config::Directory { file, scim, token, ldap, bind, password, complete } = directory;
    let secret = |from: &config::From| loaded.secret(from, env);
    let source = match (file, scim, token, ldap, bind, password) {
        (Some(path), None, None, None, None, None) => Source::file(loaded.beside(path)),
        (None, Some(base), Some(token), None, None, None) => Source::scim(base, secret(token)?)?,
        (None, None, None, Some(address), None, None) => Source::ldap(address, None)?,
        (None, None, None, Some(address), Some(bind), Some(password)) => {
            Source::ldap(address, Some((bind.clone(), secret(password)?)))?
        }
        _ => {
            return Err(
                "give `file`; or `scim` and `token`; or `ldap`, with `bind` and `password` or without both".into()
            );
        }
    };
    Ok(source.complete(*complete))
}
