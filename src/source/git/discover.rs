//! Tells whether a path is a repository, lies inside a work tree, or neither, and where the objects are.
//!
//! Contract: reads a handful of small files (`HEAD`, `.git`, `commondir`, `config`, `shallow`), starts nothing, and obeys
//! no configuration beyond how objects are stored: `core.worktree`, includes and environment variables are ignored.
//! A `.git` file and a `commondir` file are followed once each, and [`Repository::link`] says so.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::config::{self, Storage};
use super::ids::IdTable;

/// Longest `.git` file, `commondir`, `HEAD` or single ref that is read.
const SMALL: u64 = 16 << 10;
/// Longest `config` or `shallow` file that is read.
const LARGE: u64 = 64 << 20;

/// Where the asked path stands in relation to the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// It is the root of a work tree: the target is the repository.
    Root,
    /// It lies inside a work tree, at this path below its root: the target is a folder or file, with the ignore rules
    /// of the work tree.
    Inside(PathBuf),
    /// It is a bare repository or a `.git` folder: the target is the repository, without work tree files.
    GitDir,
}

/// A repository on disk.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Where the asked path stands.
    pub position: Position,
    /// Root of the work tree, unless the asked path is a git folder.
    pub work_dir: Option<PathBuf>,
    /// The git folder of this work tree (for a linked worktree `.git/worktrees/NAME`).
    pub git_dir: PathBuf,
    /// The git folder that all worktrees share; the same as `git_dir` unless this is a linked worktree.
    pub common_dir: PathBuf,
    /// The object database.
    pub objects_dir: PathBuf,
    /// Bytes of an object id: 20 or 32.
    pub hash_len: usize,
    /// Commits whose parents were cut off by a shallow clone.
    pub shallow: IdTable,
    /// Blobs or trees may be absent because this is a partial clone.
    pub partial: bool,
    /// `core.bare`: only said of a git folder, a work tree is a work tree whatever the configuration says.
    pub bare: bool,
    /// Refs are stored in a way that is not read here (reftable).
    pub reftable: bool,
    /// The object format is not known; objects cannot be read.
    pub unknown_format: bool,
    /// `.git` is a file (submodule, linked worktree) or a link that leads here.
    pub link: Option<PathBuf>,
}

impl Repository {
    /// Whether the asked path is the repository itself, not merely something inside its work tree.
    pub fn is_target(&self) -> bool {
        !matches!(self.position, Position::Inside(_))
    }

    /// Git folders of all worktrees: `git_dir`, the main one, and every linked one.
    pub fn worktree_git_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.git_dir.clone()];
        if self.common_dir != self.git_dir {
            dirs.push(self.common_dir.clone());
        }
        let mut linked: Vec<PathBuf> = fs::read_dir(self.common_dir.join("worktrees"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
            .map(|e| e.path())
            .filter(|p| !same_folder(p, &self.git_dir))
            .collect();
        linked.sort();
        dirs.append(&mut linked);
        dirs
    }
}

/// Why something that looks like a repository is not usable as one.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The path itself cannot be looked at.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// A `.git` file leads to something that is no git folder (a moved worktree, a submodule that is not checked out).
    #[error("{file} names {target}, which is no git folder")]
    BrokenLink {
        /// The `.git` file.
        file: PathBuf,
        /// What it names.
        target: PathBuf,
    },
}

/// Finds the repository that `path` is or lies in. `Ok(None)`: there is none.
pub fn discover(path: &Path) -> Result<Option<Repository>, DiscoverError> {
    let path = fs::canonicalize(path).map_err(|e| DiscoverError::Unreadable(path.into(), e))?;
    if path.is_dir() && is_git_dir(&path) {
        return Ok(Some(open(Position::GitDir, None, path, None)));
    }
    for root in path.ancestors() {
        let dot_git = root.join(".git");
        let Ok(meta) = fs::metadata(&dot_git) else { continue };
        let (git_dir, link) = if meta.is_dir() {
            let link = fs::symlink_metadata(&dot_git).is_ok_and(|m| m.is_symlink()).then(|| lexical(&dot_git));
            (link.clone().unwrap_or(dot_git), link)
        } else if let Some(target) = meta.is_file().then(|| gitfile(&dot_git)).flatten() {
            if !is_git_dir(&target) {
                return Err(DiscoverError::BrokenLink { file: dot_git, target });
            }
            (target.clone(), Some(target))
        } else {
            continue;
        };
        if is_git_dir(&git_dir) {
            let position = match path.strip_prefix(root) {
                Ok(below) if !below.as_os_str().is_empty() => Position::Inside(below.to_path_buf()),
                _ => Position::Root,
            };
            // A path inside `.git` is a plain folder of files: the work tree's rules say nothing about it.
            if matches!(&position, Position::Inside(below) if below.starts_with(".git")) {
                return Ok(None);
            }
            return Ok(Some(open(position, Some(root.to_path_buf()), git_dir, link)));
        }
    }
    Ok(None)
}

/// Reads what is to know about a git folder.
fn open(position: Position, work_dir: Option<PathBuf>, git_dir: PathBuf, link: Option<PathBuf>) -> Repository {
    let common_dir = common_dir(&git_dir);
    let objects_dir = common_dir.join("objects");
    let storage = read_small(&common_dir.join("config"), LARGE).map_or_else(Storage::default, |t| config::storage(&t));
    let hash_len = if storage.sha256 { 32 } else { 20 };
    let shallow = shallow(&common_dir.join("shallow"), hash_len);
    Repository {
        position,
        work_dir,
        partial: storage.partial || has_promisor_pack(&objects_dir),
        bare: storage.bare,
        reftable: storage.reftable,
        unknown_format: storage.unknown_format,
        git_dir,
        common_dir,
        objects_dir,
        hash_len,
        shallow,
        link,
    }
}

/// Whether a folder is a git folder: an object database, and a `HEAD` that reads like one. A folder that is named `.git`
/// or `*.git` and has `objects` and `refs` is one even if its `HEAD` is damaged, so that damage hides nothing.
pub fn is_git_dir(dir: &Path) -> bool {
    let common = common_dir(dir);
    if !common.join("objects").is_dir() {
        return false;
    }
    let named = dir.as_os_str().as_encoded_bytes().ends_with(b".git") && common.join("refs").is_dir();
    named || (common.join("refs").is_dir() && is_head(&dir.join("HEAD")))
}

fn is_head(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => fs::read_link(path).is_ok_and(|t| t.starts_with("refs")),
        Ok(_) => read_small(path, SMALL).is_some_and(|text| {
            let text = text.trim_ascii();
            text.starts_with(b"ref:") || crate::model::ObjectId::from_hex(text).is_some()
        }),
        Err(_) => false,
    }
}

/// The folder that a git folder shares objects and refs with.
fn common_dir(git_dir: &Path) -> PathBuf {
    match read_small(&git_dir.join("commondir"), SMALL) {
        Some(text) if !text.trim_ascii().is_empty() => lexical(&git_dir.join(to_path(text.trim_ascii_end()))),
        _ => git_dir.to_path_buf(),
    }
}

/// The target of a `.git` file, or `None` if it is not one.
fn gitfile(file: &Path) -> Option<PathBuf> {
    let text = read_small(file, SMALL)?;
    let target = text.strip_prefix(b"gitdir:")?.trim_ascii();
    let base = file.parent()?;
    (!target.is_empty()).then(|| lexical(&base.join(to_path(target))))
}

/// Ids of a `shallow` file; lines that are no ids are skipped.
fn shallow(file: &Path, hash_len: usize) -> IdTable {
    let mut ids = IdTable::new(hash_len);
    for line in read_small(file, LARGE).unwrap_or_default().split(|c| *c == b'\n') {
        if let Some(id) = crate::model::ObjectId::from_hex(line.trim_ascii()) {
            ids.insert(id.as_bytes());
        }
    }
    ids
}

fn has_promisor_pack(objects_dir: &Path) -> bool {
    let packs = fs::read_dir(objects_dir.join("pack")).into_iter().flatten().flatten();
    packs.into_iter().any(|e| e.path().extension().is_some_and(|x| x == "promisor"))
}

/// Reads a regular file of at most `limit` bytes; anything else (FIFO, device, folder, larger) is `None`.
pub(super) fn read_small(path: &Path, limit: u64) -> Option<Vec<u8>> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    File::open(path).ok()?.take(limit + 1).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= limit).then_some(text)
}

/// Bytes of a file as a path.
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
    }
    #[cfg(not(unix))]
    {
        PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Resolves `..` and links where that works, and by the text where not.
fn lexical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let mut out = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(out.pop()),
                Component::CurDir => {}
                other => out.push(other),
            }
        }
        out
    })
}

fn same_folder(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
