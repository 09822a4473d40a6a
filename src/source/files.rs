//! Files and folders on disk.
//!
//! Contract: every regular file below a target is handed to the sink once, hidden ones too, except what the caller or an
//! ignore rule of a git work tree leaves out, which is counted. Symbolic links below a target are never followed, nothing
//! but regular files is read, and no file can block or crash the scan. Work is spread over the current rayon pool.

pub mod filter;
mod git_dir;
mod ignored;
mod read;
mod walk;

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use crate::model::{NoteKind, PlaceKind};
use crate::notes::Notes;
use crate::source::spread::{Helpers, Spread};
use crate::source::{Limits, Origin, Sink};
pub use filter::Filter;

/// A file or folder to scan.
#[derive(Clone, Debug)]
pub struct FileTarget {
    /// Index of the target in the report.
    pub index: usize,
    /// Where it is. A target that is a symbolic link is followed.
    pub path: PathBuf,
}

/// The git work tree that a target is, or lies in.
#[derive(Clone, Debug)]
pub struct WorkTree {
    /// Its top folder.
    pub root: PathBuf,
    /// The git directory that holds `info/exclude`: the common one where there are several work trees.
    pub git_dir: PathBuf,
}

/// Numbers that grow while the scan runs; a progress bar may read them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files read.
    pub files: AtomicU64,
    /// Bytes read from disk.
    pub bytes: AtomicU64,
    /// Files that [`Options::skip`] left out.
    pub unchanged: AtomicU64,
    /// Members of archives looked at.
    pub members: AtomicU64,
    /// Bytes that came out of archives.
    pub expanded: AtomicU64,
}

/// Says of a path below the target whether ignore rules do not hold for it (because git tracks it), and of a folder (the
/// flag is set) whether there is such a path below it.
pub type Always<'a> = dyn Fn(&Path, bool) -> bool + Sync + 'a;

/// Says of a file below the target whether it need not be read (because it equals a committed blob).
pub type Skip<'a> = dyn Fn(&Path, &Metadata) -> bool + Sync + 'a;

/// How files are scanned.
pub struct Options<'a> {
    /// What scanned content may make us do.
    pub limits: Limits,
    /// `--include` and `--exclude`.
    pub filter: Filter,
    /// `--no-ignore`: no ignore file has any effect.
    pub no_ignore: bool,
    /// The work tree the target lies in. Work trees below the target are found by the walk itself.
    pub work_tree: Option<WorkTree>,
    /// Paths that ignore rules do not leave out.
    pub always: Option<&'a Always<'a>>,
    /// Files that need not be read.
    pub skip: Option<&'a Skip<'a>>,
    /// Where progress is counted.
    pub counters: &'a Counters,
}

/// Scans one target. Returns the tops of the work trees met below it (not the target itself): their plain
/// files were read, their history was not.
pub fn scan(target: &FileTarget, options: &Options<'_>, notes: &Notes, sink: &dyn Sink) -> Vec<PathBuf> {
    match std::fs::metadata(&target.path) {
        Ok(meta) if meta.is_dir() => return walk::folder(target, options, notes, sink),
        Ok(meta) if meta.is_file() => single(target, options, notes, sink),
        Ok(_) => notes.add(NoteKind::Unreadable, target.path.as_os_str().as_bytes(), "neither a file nor a folder"),
        Err(e) => notes.add(NoteKind::Unreadable, target.path.as_os_str().as_bytes(), e.to_string()),
    }
    Vec::new()
}

/// Scans the plain files of a git directory that no work tree of the target leads to: a bare repository, or the common
/// directory of a linked work tree. `prefix` is put before their paths.
pub fn scan_git_dir(dir: &FileTarget, prefix: &[u8], options: &Options<'_>, notes: &Notes, sink: &dyn Sink) {
    walk::git_dir(dir, prefix, options, notes, sink);
}

/// A target that is a file: its path is shown as the user gave it, and globs hold for that.
fn single(target: &FileTarget, options: &Options<'_>, notes: &Notes, sink: &dyn Sink) {
    let path = target.path.as_os_str().as_bytes();
    let shown = path.strip_prefix(b"./").unwrap_or(path);
    if !options.filter.wants(&shown[shown.iter().take_while(|b| **b == b'/').count()..]) {
        notes.count(NoteKind::Excluded, 1);
        return;
    }
    let origin =
        Origin { target: target.index, kind: PlaceKind::File, path: path.to_vec(), object: None, member: Vec::new() };
    let helpers = Helpers::new(sink, notes);
    rayon::scope(|scope| {
        let sink = &Spread { helpers: &helpers, scope };
        read::Reader { options, notes, sink }.file(&target.path, true, &mut Vec::new(), &origin);
    });
}

#[cfg(test)]
mod tests;
