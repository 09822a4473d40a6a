//! The store of one machine: SQLite, one file.
//!
//! Contract: mode 0600; several runs may use it at the same time; a migration is one transaction.

use std::fs::File;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Keyed, Store, StoreError, TimeToLive, Verdict, make_folder};
use crate::model::Validity;

/// How long another run may hold the store: it is not worth waiting for.
const BUSY: Duration = Duration::from_millis(500);
/// The steps from nothing to the present form; `user_version` counts those that were done.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE verdict (
        keyed BLOB PRIMARY KEY, -- HMAC-SHA-256 under the key beside this file
        active INTEGER NOT NULL,
        remark TEXT,
        at INTEGER NOT NULL,    -- seconds since 1970-01-01 UTC
        ends INTEGER NOT NULL,
        principal TEXT          -- JSON
    ) WITHOUT ROWID;
    CREATE INDEX verdict_ends ON verdict (ends);
"];

/// An open store.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

impl Sqlite {
    /// Opens a store, and makes it if there is none.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged or locked, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_folder(path)?;
        let failed = |e: std::io::Error| StoreError::File(path.to_owned(), e);
        // SQLite would make it with the permissions of the user's mask.
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(failed)?;
        let permissions = file.metadata().map_err(failed)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            file.set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed)?;
        }
        drop(file);
        let error = |e| wrong(path, e);
        let mut connection = Connection::open(path).map_err(error)?;
        connection.busy_timeout(BUSY).map_err(error)?;
        // A file system without shared memory keeps the journal it has.
        let _mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(error)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(error)?;
        migrate(&mut connection, path)?;
        Ok(Self { path: path.to_owned(), connection })
    }
}

fn wrong(path: &Path, error: rusqlite::Error) -> StoreError {
    StoreError::Database(path.to_owned(), error.to_string())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let error = |e| wrong(path, e);
    let version = |c: &Connection| {
        c.query_row("PRAGMA user_version", [], |row| {
            row.get::<_, i64>(0).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        })
    };
    if version(connection).map_err(error)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
    // Another run may have been faster.
    let done = version(&transaction).map_err(error)?;
    if done > MIGRATIONS.len() {
        return Err(StoreError::Database(path.to_owned(), "written by a newer version of unsprawl".into()));
    }
    for step in &MIGRATIONS[done..] {
        transaction.execute_batch(step).map_err(error)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(error)?;
    transaction.commit().map_err(error)
}

impl Store for Sqlite {
    fn verdicts(&self, keys: &[Keyed], now: i64) -> Result<Vec<Option<Verdict>>, StoreError> {
        let error = |e| wrong(&self.path, e);
        let query = "SELECT active, remark, at, principal FROM verdict WHERE keyed = ?1 AND ends > ?2 AND at <= ?2";
        let mut query = self.connection.prepare(query).map_err(error)?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let verdict = query.query_row(params![key.as_slice(), now], |row| {
                let principal: Option<String> = row.get(3)?;
                Ok(Verdict {
                    validity: if row.get(0)? { Validity::Active } else { Validity::Inactive },
                    remark: row.get(1)?,
                    at: row.get(2)?,
                    principal: principal.and_then(|json| serde_json::from_str(&json).ok()),
                })
            });
            found.push(verdict.optional().map_err(error)?);
        }
        Ok(found)
    }

    fn remember(&mut self, verdicts: &[(Keyed, Verdict)], lives: &TimeToLive) -> Result<(), StoreError> {
        let path = &self.path;
        let error = |e| wrong(path, e);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
        {
            let insert = "INSERT OR REPLACE INTO verdict (keyed, active, remark, at, ends, principal) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut insert = transaction.prepare(insert).map_err(error)?;
            for (key, verdict) in verdicts {
                let Some(ends) = lives.end(verdict) else { continue };
                let active = verdict.validity == Validity::Active;
                let principal = verdict.principal.as_ref().and_then(|p| serde_json::to_string(p).ok());
                let row = params![key.as_slice(), active, verdict.remark, verdict.at, ends, principal];
                insert.execute(row).map_err(error)?;
            }
        }
        if let Some(now) = verdicts.iter().map(|(_, verdict)| verdict.at).max() {
            transaction.execute("DELETE FROM verdict WHERE ends <= ?1", [now]).map_err(error)?;
        }
        transaction.commit().map_err(error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::Principal;

    fn verdict(validity: Validity, at: i64) -> Verdict {
        let principal = Principal { login: Some("jane".into()), ..Principal::default() };
        Verdict { validity, remark: Some("limited".into()), at, principal: Some(principal) }
    }

    const LIVES: TimeToLive = TimeToLive { active: Duration::from_secs(10), inactive: Duration::from_secs(100) };

    #[test]
    fn verdicts_come_back_until_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/state.db");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let (active, inactive) = (verdict(Validity::Active, 1000), verdict(Validity::Inactive, 1000));
        let unknown = verdict(Validity::Unknown("time-out".into()), 1000);
        let keys = [[1; 32], [2; 32], [3; 32]];
        let mut store = Sqlite::open(&path).unwrap();
        let all = [(keys[0], active.clone()), (keys[1], inactive.clone()), (keys[2], unknown)];
        store.remember(&all, &LIVES).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        drop(store);
        let mut store = Sqlite::open(&path).unwrap();
        assert_eq!(store.verdicts(&keys, 1009).unwrap(), [Some(active), Some(inactive.clone()), None]);
        assert_eq!(store.verdicts(&keys, 1010).unwrap(), [None, Some(inactive.clone()), None]);
        assert_eq!(store.verdicts(&keys[1..2], 999).unwrap(), [None], "a clock that was set back");
        store.remember(&[(keys[0], verdict(Validity::Inactive, 1050))], &LIVES).unwrap();
        assert_eq!(store.verdicts(&keys, 1099).unwrap()[0].as_ref().unwrap().at, 1050);
        let rows: i64 = store.connection.query_row("SELECT count(*) FROM verdict", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 2);
    }

    #[test]
    fn what_does_not_serve_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert!(matches!(Sqlite::open(&path), Err(StoreError::Database(..))), "damaged");
        let other = folder.path().join("other.db");
        drop(Sqlite::open(&other).unwrap());
        let raw = Connection::open(&other).unwrap();
        raw.pragma_update(None, "user_version", 99).unwrap();
        assert!(Sqlite::open(&other).unwrap_err().to_string().contains("newer version"));
        let third = folder.path().join("third.db");
        let mut store = Sqlite::open(&third).unwrap();
        let holder = Connection::open(&third).unwrap();
        holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
        assert!(store.remember(&[([1; 32], verdict(Validity::Active, 1))], &LIVES).is_err(), "locked");
        assert!(matches!(Sqlite::open(Path::new("/proc/nothing/state.db")), Err(StoreError::File(..))));
    }
}
