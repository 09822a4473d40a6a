//! What is kept between runs: so far the verdicts of issuers.
//!
//! Contract: never a secret. A verdict stands under a keyed hash of the credential, the rule and where it was asked; the key is
//! random, lies beside the store (mode 0600, like the store) and never leaves this machine, so that a stolen store confirms no
//! guess. A store that is locked, damaged or cannot be written costs time, never a run.

mod key;
mod sqlite;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use key::{Key, Keyed};
pub use sqlite::Sqlite;

use crate::model::{Principal, Validity};

/// What an issuer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Active or inactive: what is unknown is not kept.
    pub validity: Validity,
    /// More about it.
    pub remark: Option<String>,
    /// When the issuer was asked, seconds since 1970-01-01 UTC.
    pub at: i64,
    /// The account, without a byte of the secret.
    pub principal: Option<Principal>,
}

/// How long verdicts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// Of active ones.
    pub active: Duration,
    /// Of inactive ones: what has ended rarely comes back.
    pub inactive: Duration,
}

impl TimeToLive {
    /// How many times longer an inactive verdict counts than an active one.
    const INACTIVE: u32 = 24;

    /// From that of active ones.
    pub fn new(active: Duration) -> Self {
        Self { active, inactive: active.saturating_mul(Self::INACTIVE) }
    }

    /// When a verdict ends, seconds since 1970-01-01 UTC; `None` for one that is not kept.
    pub fn end(&self, verdict: &Verdict) -> Option<i64> {
        let lives = match verdict.validity {
            Validity::Active => self.active,
            Validity::Inactive => self.inactive,
            Validity::Unknown(_) => return None,
        };
        let seconds = i64::try_from(lives.as_secs()).ok().filter(|s| *s > 0)?;
        verdict.at.checked_add(seconds)
    }
}

impl Default for TimeToLive {
    fn default() -> Self {
        Self::new(Duration::from_secs(600))
    }
}

/// Why a store does not serve.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder, the file or the key.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The database: locked, damaged, of a newer version.
    #[error("{0}: {1}")]
    Database(PathBuf, String),
}

/// Keeps verdicts between runs: SQLite on one machine, later PostgreSQL for several.
pub trait Store {
    /// The verdicts under these keys that have not ended at `now`, in the same order.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn verdicts(&self, keys: &[Keyed], now: i64) -> Result<Vec<Option<Verdict>>, StoreError>;

    /// Keeps verdicts until they end, in one transaction; later ones replace earlier ones.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn remember(&mut self, verdicts: &[(Keyed, Verdict)], lives: &TimeToLive) -> Result<(), StoreError>;
}

/// `$XDG_STATE_HOME/unsprawl/state.db`, or below `~/.local/state`.
pub fn default_path(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("unsprawl/state.db"))
}

/// Makes the folder of a file, for its owner alone.
fn make_folder(file: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| StoreError::File(folder.to_owned(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_follows_xdg() {
        let at = |pairs: &'static [(&str, &str)]| {
            default_path(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(at(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), path("/s/unsprawl/state.db"));
        assert_eq!(at(&[("XDG_STATE_HOME", "rel"), ("HOME", "/h")]), path("/h/.local/state/unsprawl/state.db"));
        assert_eq!(at(&[]), None);
    }
}
