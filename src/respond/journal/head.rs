//! The head: number and hash of the last line, in a file beside the journal. Lines cut from the end show by it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub seq: u64,
    pub hash: String,
}

pub(super) fn path_of(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".head");
    PathBuf::from(name)
}

/// Reads it; `None` if there is none.
pub(super) fn read(journal: &Path) -> io::Result<Option<Head>> {
    match std::fs::read(path_of(journal)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| io::Error::other(format!("{} is not what was written there", path_of(journal).display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Replaces it, on disk when this returns.
pub(super) fn write(journal: &Path, seq: u64, hash: &str) -> io::Result<()> {
    let path = path_of(journal);
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(&Head { seq, hash: hash.to_owned() })?)?;
    file.sync_data()?;
    std::fs::rename(&new, &path)?;
    sync_folder(journal)
}

/// Makes the names in a journal's folder last.
pub(super) fn sync_folder(journal: &Path) -> io::Result<()> {
    let folder = journal.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
