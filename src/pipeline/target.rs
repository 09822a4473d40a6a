//! Tells what each target is: standard input, a file, a folder, a repository, a clone URL.
//!
//! Contract: nothing is scanned before every target and every revision was found to exist.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{History, Request, ScanError, Since, clone};
use crate::model::NoteKind;
use crate::notes::Notes;
use crate::source::files::WorkTree;
use crate::source::git::discover::{DiscoverError, Repository, discover};
use crate::source::git::refs::Refs;
use crate::source::git::select::{Part, Since as From};
use crate::source::git::store::ObjectStore;
use crate::source::git::{rev, worktree};

/// A target that exists.
pub enum Resolved {
    /// Standard input.
    Stdin,
    /// A file or folder.
    Files {
        /// As the user named it.
        name: String,
        /// Where it is.
        path: PathBuf,
        /// The work tree it lies in.
        work_tree: Option<WorkTree>,
    },
    /// A repository.
    Repository(Box<ResolvedRepository>),
}

/// A repository, opened.
pub struct ResolvedRepository {
    /// As the user named it, without credentials.
    pub name: String,
    /// Where everything is.
    pub repository: Repository,
    /// Its objects; `None` if history is not wanted or cannot be read.
    pub store: Option<ObjectStore>,
    /// Its refs.
    pub refs: Refs,
    /// Its index.
    pub index: worktree::WorkTree,
    /// The part of history that is wanted; `None` for all of it.
    pub part: Option<Part>,
    /// A temporary clone, removed when this is dropped.
    pub _clone: Option<tempfile::TempDir>,
}

/// Looks at every target of a request.
pub fn resolve(request: &Request, notes: &Arc<Notes>) -> Result<Vec<Resolved>, ScanError> {
    request.targets.iter().map(|target| one(request, target, notes)).collect()
}

fn one(request: &Request, target: &str, notes: &Arc<Notes>) -> Result<Resolved, ScanError> {
    if target == "-" {
        return Ok(Resolved::Stdin);
    }
    if let Some(url) = clone::Url::parse(target) {
        let url = url.map_err(|reason| ScanError::Target(clone::without_credentials(target), reason))?;
        let (path, temporary) = clone::clone(&url, request.keep_clone.as_deref())?;
        return open_repository(request, url.shown, &path, temporary, notes);
    }
    let path = match clone::file_url(target) {
        Some(path) => path.map_err(|reason| ScanError::Target(target.to_owned(), reason))?,
        None => PathBuf::from(target),
    };
    if let Err(e) = std::fs::metadata(&path) {
        return Err(ScanError::Target(crate::notes::printable(target.as_bytes()), e.to_string()));
    }
    match discover(&path) {
        Ok(Some(repository)) if repository.is_target() && request.history != History::None => {
            open_repository(request, target.to_owned(), &path, None, notes)
        }
        Ok(found) => {
            let work_tree = found.and_then(|r| Some(WorkTree { root: r.work_dir?, git_dir: r.common_dir }));
            Ok(Resolved::Files { name: target.to_owned(), path, work_tree })
        }
        Err(error @ DiscoverError::BrokenLink { .. }) => {
            notes.add(
                NoteKind::GitMissing,
                path.as_os_str().as_encoded_bytes(),
                format!("{error}: only its files are scanned"),
            );
            Ok(Resolved::Files { name: target.to_owned(), path, work_tree: None })
        }
        Err(error) => Err(ScanError::Target(target.to_owned(), error.to_string())),
    }
}

fn open_repository(
    request: &Request,
    name: String,
    path: &Path,
    temporary: Option<tempfile::TempDir>,
    notes: &Arc<Notes>,
) -> Result<Resolved, ScanError> {
    let wrong = |reason: String| ScanError::Target(name.clone(), reason);
    let repository =
        discover(path).map_err(|e| wrong(e.to_string()))?.ok_or_else(|| wrong("there is no git repository".into()))?;
    let place = repository.git_dir.as_os_str().as_encoded_bytes().to_vec();
    let store = || {
        if repository.unknown_format {
            notes.add(NoteKind::GitDamaged, &place, "the object format is not known: history is not scanned");
            return None;
        }
        let store = ObjectStore::open(&repository.objects_dir, repository.hash_len, notes.clone());
        let told = |error: &_| notes.add(NoteKind::GitDamaged, &place, format!("{error}: history is not scanned"));
        store.inspect_err(told).ok()
    };
    let files = || (Refs::load(&repository, notes), worktree::WorkTree::open(&repository, notes));
    let (store, (refs, index)) = rayon::join(store, files);
    if !repository.shallow.is_empty() {
        notes.add(NoteKind::GitShallow, &place, format!("history ends at {} commits", repository.shallow.len()));
    }
    let part = match &store {
        Some(store) => part(request, &name, store, &refs)?,
        None => None,
    };
    Ok(Resolved::Repository(Box::new(ResolvedRepository {
        name,
        repository,
        store,
        refs,
        index,
        part,
        _clone: temporary,
    })))
}

/// The part of history that is asked for.
fn part(request: &Request, target: &str, store: &ObjectStore, refs: &Refs) -> Result<Option<Part>, ScanError> {
    let find = |revision: &str| {
        rev::resolve(store, refs, revision).map_err(|error| ScanError::Revision {
            target: target.to_owned(),
            revision: revision.to_owned(),
            reason: error.to_string(),
        })
    };
    let branch = request.branch.as_deref().map(find).transpose()?;
    let since = match &request.since {
        None => None,
        Some(Since::Date(time)) => Some(From::Date(*time)),
        Some(Since::Revision(revision)) => Some(From::Commit(find(revision)?)),
    };
    let whole = request.history == History::Full && branch.is_none() && since.is_none();
    Ok((!whole).then_some(Part { branch, since }))
}
