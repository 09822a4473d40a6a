//! What the walk must know of git: where a work tree begins, and which files of a git directory are read as files.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::source::files::read;

/// What a directory is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// Ordinary files.
    Files,
    /// A git directory.
    GitDir,
    /// The reflogs of a git directory.
    Reflogs,
}

impl Inside {
    /// What the directory `name` in this one is part of. Whether `.git` is one more git directory is not asked here.
    pub(super) fn below(self, name: &[u8]) -> Self {
        match self {
            Self::GitDir if name == b"logs" => Self::Reflogs,
            same => same,
        }
    }

    /// Whether an entry is read as a file, or entered.
    ///
    /// Of a git directory much is, though its objects are read as objects: `config` and `FETCH_HEAD` may hold tokens in
    /// the URLs of remotes, reflogs the URLs that were pulled from, hooks and drafts of messages whatever was written
    /// into them, `credentials` what `git credential-store` was told to keep there. So the list is of what is left out:
    /// the databases, and the lists of names and ids.
    pub(super) fn reads(self, name: &[u8]) -> bool {
        self != Self::GitDir || !matches!(name, b"objects" | b"refs" | b"lfs" | b"index" | b"packed-refs")
    }
}

/// How a directory is the top of a work tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repository {
    /// `.git` is its git directory.
    Here,
    /// `.git` is a file that says where the git directory is: a submodule or a linked work tree.
    Elsewhere,
}

/// Whether a directory is the top of a work tree. Nothing that stands there is followed or obeyed.
pub(super) fn repository(dir: &Path) -> Option<Repository> {
    let dot_git = dir.join(".git");
    let meta = fs::symlink_metadata(&dot_git).ok()?;
    if meta.is_dir() {
        return fs::symlink_metadata(dot_git.join("HEAD")).ok().map(|_| Repository::Here);
    }
    if !meta.is_file() {
        return None;
    }
    let mut start = [0; 8];
    read::open(&dot_git, false).ok()?.read_exact(&mut start).ok()?;
    (start == *b"gitdir: ").then_some(Repository::Elsewhere)
}
