//! The head: number and hash of the last line, in a file beside the journal. Lines cut from the end show by it.
//!
//! Contract: a new head is written in full and synced under another name before the line that it is of, so that a disk that
//! is full refuses both; it takes its place after the line is on disk. Whoever reads finds the old head or the new one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The head. One of number 0 is that of a journal without lines.
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

fn new_of(journal: &Path) -> PathBuf {
    let mut name = path_of(journal).into_os_string();
    name.push(".new");
    PathBuf::from(name)
}

/// What stands in the file of the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A head.
    Head(Head),
    /// There is no such file.
    Nothing,
    /// Something else.
    Strange,
}

/// Reads it.
pub(super) fn read(journal: &Path) -> io::Result<Found> {
    match std::fs::read(path_of(journal)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Found::Strange, Found::Head)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(e) => Err(e),
    }
}

/// Writes a head beside the one that holds; [`take`] makes it hold.
pub(super) fn prepare(journal: &Path, seq: u64, hash: &str) -> io::Result<()> {
    let new = new_of(journal);
    // What a crash left there, or somebody laid there as a link, is not written to.
    match std::fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(&Head { seq, hash: hash.to_owned() })?)?;
    file.sync_data()
}

/// Makes the head that was prepared the one that holds, on disk when this returns.
pub(super) fn take(journal: &Path) -> io::Result<()> {
    std::fs::rename(new_of(journal), path_of(journal))?;
    sync_folder(journal)
}

/// Makes the names in a file's folder last.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
