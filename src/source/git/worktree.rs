//! What the index says about the files of a work tree: which of them are the same as blobs that git has.
//!
//! Contract: the index is only read, by libgit2 without a repository around it, so nothing that is configured runs (no
//! filter, hook, file system monitor or text conversion). When in doubt a file counts as changed: it is scanned.

use std::fs::{self, Metadata};
use std::path::Path;

use super::discover::Repository;
use crate::model::{NoteKind, ObjectId, PathBytes};
use crate::notes::Notes;

/// Largest index that is read.
const LARGEST: u64 = 2 << 30;

/// Seconds since 1970-01-01 UTC, and nanoseconds.
type Moment = (i64, u32);

/// An entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Path below the work tree's root.
    pub path: PathBytes,
    /// The blob, or the commit of a submodule.
    pub id: ObjectId,
    mode: u32,
    /// 0, or 1 to 3 in a merge conflict.
    stage: u16,
    modified: Moment,
    changed: Moment,
    /// The size modulo 2^32.
    size: u32,
}

/// The files that the index of a work tree knows.
#[derive(Clone, Debug, Default)]
pub struct WorkTree {
    /// Sorted by path.
    entries: Vec<IndexEntry>,
    written: Moment,
    known: bool,
}

impl WorkTree {
    /// Reads the index of a repository. An index that cannot be read is noted, and then every file counts as changed.
    pub fn open(repo: &Repository, notes: &Notes) -> Self {
        let file = repo.git_dir.join("index");
        match read(&file, repo.hash_len) {
            Ok(Some((entries, written))) => Self { entries, written, known: true },
            Ok(None) => Self::default(),
            Err(why) => {
                let detail = format!("{why}: all files of the work tree are scanned");
                notes.add(NoteKind::Other, file.as_os_str().as_encoded_bytes(), detail);
                Self::default()
            }
        }
    }

    /// Whether there is an index that could be read.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Its entries, sorted by path.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// Whether a file is the same as the blob that the index names for it. `path` is relative to the root of the work tree,
    /// with `/` between components; `file` is the file's own metadata, links not followed; `size_of` tells the size of
    /// a blob that is in the object database. A file whose blob has another size went through a filter on its way
    /// (large file storage, line endings, encodings): it does not count as unchanged.
    pub fn unchanged(&self, path: &[u8], file: &Metadata, size_of: impl FnOnce(&ObjectId) -> Option<u64>) -> bool {
        let Ok(at) = self.entries.binary_search_by(|e| e.path.as_slice().cmp(path)) else { return false };
        let entry = &self.entries[at];
        let (modified, changed) = times(file);
        file.is_file()
            && entry.stage == 0
            && entry.mode & 0o170_000 == 0o100_000
            && entry.size == file.len() as u32
            && same_time(entry.modified, modified)
            && changed.is_none_or(|c| same_time(entry.changed, c))
            // Written at the same time as the index or later: it may have changed after git looked.
            && entry.modified < self.written
            && (entry.modified.1 != 0 || entry.modified.0 < self.written.0)
            && size_of(&entry.id) == Some(file.len())
    }
}

/// Entries of the indexes of other worktrees of the repository; what cannot be read is left out.
pub fn other_entries(repo: &Repository) -> Vec<IndexEntry> {
    let dirs = repo.worktree_git_dirs().into_iter().filter(|dir| *dir != repo.git_dir);
    dirs.filter_map(|dir| read(&dir.join("index"), repo.hash_len).ok().flatten())
        .flat_map(|(entries, _)| entries)
        .collect()
}

/// Reads an index file: its entries sorted by path, and when it was written. `Ok(None)`: there is none.
fn read(file: &Path, hash_len: usize) -> Result<Option<(Vec<IndexEntry>, Moment)>, String> {
    let meta = match fs::symlink_metadata(file) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    if !meta.is_file() || meta.len() > LARGEST {
        return Err("the index is no regular file of a sensible size".into());
    }
    if hash_len != 20 {
        return Err("the index of a SHA-256 repository cannot be read".into());
    }
    let index = git2::Index::open(file).map_err(|e| format!("the index cannot be read ({})", e.message()))?;
    let time = |t: git2::IndexTime| (i64::from(t.seconds()), t.nanoseconds());
    let entry = |e: git2::IndexEntry| {
        Some(IndexEntry {
            id: ObjectId::from_bytes(e.id.as_bytes())?,
            mode: e.mode,
            stage: e.flags >> 12 & 3,
            modified: time(e.mtime),
            changed: time(e.ctime),
            size: e.file_size,
            path: e.path,
        })
    };
    let mut entries: Vec<IndexEntry> = index.iter().filter_map(entry).collect();
    entries.sort_by(|a, b| (&a.path, a.stage).cmp(&(&b.path, b.stage)));
    Ok(Some((entries, times(&meta).0)))
}

/// Equal as far as the index has them: it keeps 32 bits of the seconds, and not everywhere the rest.
fn same_time(index: Moment, file: Moment) -> bool {
    index.0 as u32 == file.0 as u32 && (index.1 == 0 || index.1 == file.1)
}

/// When the content and (where the system tells) the file as such were last changed.
fn times(meta: &Metadata) -> (Moment, Option<Moment>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let pair = |s: i64, n: i64| (s, u32::try_from(n).unwrap_or(0));
        (pair(meta.mtime(), meta.mtime_nsec()), Some(pair(meta.ctime(), meta.ctime_nsec())))
    }
    #[cfg(not(unix))]
    {
        let age = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        ((age.as_secs() as i64, age.subsec_nanos()), None)
    }
}
