//! The walk through a folder: one task a directory, small batches of files a task.
//!
//! Contract: names are bytes and paths are never made canonical; symbolic links are counted and left alone; the virtual
//! file systems of the kernel are not entered from another one.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::Scope;

use crate::model::{NoteKind, PlaceKind};
use crate::notes::Notes;
use crate::source::files::filter::Verdict;
use crate::source::files::git_dir::{Inside, Repository, repository};
use crate::source::files::ignored::Rules;
use crate::source::files::{FileTarget, Options, read};
use crate::source::spread::{Helpers, Spread};
use crate::source::{Origin, Sink};

/// Files a task reads, at most.
const BATCH: usize = 48;

/// A directory that waits for its turn.
struct Folder {
    /// Path below the target, without a slash at its end; empty for the target.
    path: Vec<u8>,
    inside: Inside,
    /// Whether it is the top of a work tree; known once it is entered.
    repository: Option<Repository>,
    /// Whether it lies in a work tree: ignore files are obeyed.
    work_tree: bool,
    rules: Option<Arc<Rules>>,
    /// It is ignored, and entered only for the files that git tracks nevertheless.
    ignored: bool,
    /// An include covers it.
    covered: bool,
    /// The device of the directory that holds it, then its own.
    device: Option<u64>,
}

/// What a directory leaves out.
#[derive(Default)]
struct LeftOut {
    ignored: u64,
    excluded: u64,
    links: u64,
}

/// What holds for one walk.
struct Walk<'a> {
    target: &'a FileTarget,
    options: &'a Options<'a>,
    notes: &'a Notes,
    helpers: Helpers<'a>,
    /// Path of the target below its work tree, with a slash at its end, or empty: what ignore rules see before the path.
    tree: Vec<u8>,
    /// Put before the path of every file that is handed over.
    prefix: &'a [u8],
    buffers: Mutex<Vec<Vec<u8>>>,
    repositories: Mutex<Vec<PathBuf>>,
}

/// Walks the folder that is the target. Returns the tops of the work trees met below it.
pub(super) fn folder(target: &FileTarget, options: &Options<'_>, notes: &Notes, sink: &dyn Sink) -> Vec<PathBuf> {
    let (tree, rules) = enclosing(target, options, notes);
    let mut top = top(Inside::Files);
    top.rules = rules;
    top.work_tree = options.work_tree.is_some() && !options.no_ignore;
    let helpers = Helpers::new(sink, notes);
    let (buffers, repositories) = Default::default();
    run(Walk { target, options, notes, helpers, tree, prefix: b"", buffers, repositories }, top)
}

/// Walks the plain files of a git directory.
pub(super) fn git_dir(target: &FileTarget, prefix: &[u8], options: &Options<'_>, notes: &Notes, sink: &dyn Sink) {
    let helpers = Helpers::new(sink, notes);
    let (tree, buffers, repositories) = Default::default();
    run(Walk { target, options, notes, helpers, tree, prefix, buffers, repositories }, top(Inside::GitDir));
}

fn top(inside: Inside) -> Folder {
    let (path, repository, rules, device) = Default::default();
    Folder { path, inside, repository, work_tree: false, rules, ignored: false, covered: false, device }
}

fn run(walk: Walk<'_>, top: Folder) -> Vec<PathBuf> {
    rayon::scope(|scope| walk.folder(scope, top));
    let mut met = walk.repositories.into_inner().unwrap_or_else(PoisonError::into_inner);
    met.sort();
    met
}

/// Where the target lies in its work tree, and the rules that hold from above it.
fn enclosing(target: &FileTarget, options: &Options<'_>, notes: &Notes) -> (Vec<u8>, Option<Arc<Rules>>) {
    let Some(work_tree) = options.work_tree.as_ref().filter(|_| !options.no_ignore) else { return Default::default() };
    let mut rules = Rules::with(None, &work_tree.git_dir.join("info/exclude"), 0, notes);
    let below = match (fs::canonicalize(&target.path), fs::canonicalize(&work_tree.root)) {
        (Ok(target), Ok(root)) => target.strip_prefix(root).map(Path::to_path_buf).unwrap_or_default(),
        _ => PathBuf::new(),
    };
    let mut tree = Vec::new();
    for component in &below {
        let dir = work_tree.root.join(OsStr::from_bytes(&tree));
        rules = Rules::with(rules, &dir.join(".gitignore"), tree.len(), notes);
        tree.extend_from_slice(component.as_bytes());
        tree.push(b'/');
    }
    (tree, rules)
}

impl Walk<'_> {
    /// Lists one directory and hands its parts on.
    fn folder<'s>(&'s self, scope: &Scope<'s>, mut folder: Folder) {
        let full = self.target.path.join(OsStr::from_bytes(&folder.path));
        let listing = match self.enter(&full, &mut folder) {
            Ok(true) => fs::read_dir(&full),
            Ok(false) => return,
            Err(e) => Err(e),
        };
        let listing = match listing {
            Ok(listing) => listing,
            Err(e) => return self.unreadable(&folder.path, &e),
        };
        let folder = Arc::new(folder);
        let mut left_out = LeftOut::default();
        let (mut names, mut count) = (Vec::new(), 0);
        for entry in listing {
            let (name, kind) = match entry.and_then(|e| Ok((e.file_name(), e.file_type()?))) {
                Ok(entry) => entry,
                Err(e) => {
                    self.unreadable(&folder.path, &e);
                    break;
                }
            };
            let name = name.as_bytes();
            match self.judge(&folder, name, kind, &mut left_out) {
                Some(child) if kind.is_dir() => scope.spawn(move |scope| self.folder(scope, child)),
                Some(_) => {
                    names.extend_from_slice(name);
                    names.push(0);
                    count += 1;
                }
                None => {}
            }
            if count == BATCH {
                let (batch, folder) = (std::mem::take(&mut names), folder.clone());
                count = 0;
                scope.spawn(move |scope| self.batch(scope, &folder.path, &batch));
            }
        }
        self.notes.count(NoteKind::GitIgnored, left_out.ignored);
        self.notes.count(NoteKind::Excluded, left_out.excluded);
        self.notes.count(NoteKind::Link, left_out.links);
        self.batch(scope, &folder.path, &names);
    }

    /// Looks at a directory before it is listed: whether to enter it, and which rules hold in it.
    fn enter(&self, full: &Path, folder: &mut Folder) -> io::Result<bool> {
        let top = folder.path.is_empty();
        let device = if top { fs::metadata(full) } else { fs::symlink_metadata(full) }?.dev();
        if folder.device.is_some_and(|above| above != device) && made_by_kernel(full) {
            self.notes.add(NoteKind::NotAFile, &folder.path, "a file system that the kernel makes up");
            return Ok(false);
        }
        folder.device = Some(device);
        if folder.inside != Inside::Files {
            return Ok(true);
        }
        folder.repository = repository(full);
        if folder.repository.is_some() && !top {
            self.repositories.lock().unwrap_or_else(PoisonError::into_inner).push(full.to_path_buf());
        }
        if self.options.no_ignore {
            return Ok(true);
        }
        let prefix = self.tree.len() + if top { 0 } else { folder.path.len() + 1 };
        if folder.repository.is_some() && !(top && self.options.work_tree.is_some()) {
            // A repository of its own: what is ignored around it says nothing about what is in it.
            folder.work_tree = true;
            folder.rules = match folder.repository {
                Some(Repository::Here) => Rules::with(None, &full.join(".git/info/exclude"), prefix, self.notes),
                _ => None,
            };
        }
        if folder.work_tree {
            folder.rules = Rules::with(folder.rules.take(), &full.join(".gitignore"), prefix, self.notes);
        }
        Ok(true)
    }

    /// Whether an entry is wanted; if so, what it would be as a directory.
    fn judge(&self, folder: &Folder, name: &[u8], kind: FileType, left_out: &mut LeftOut) -> Option<Folder> {
        if !folder.inside.reads(name) {
            return None;
        }
        let path = below(&folder.path, name);
        if kind.is_symlink() {
            left_out.links += 1;
            return None;
        }
        if !kind.is_dir() && !kind.is_file() {
            self.notes.add(NoteKind::NotAFile, &path, "a FIFO, socket or device");
            return None;
        }
        let verdict = self.options.filter.judge(&path, kind.is_dir(), folder.covered);
        if verdict == Verdict::Excluded || (verdict == Verdict::Uncovered && !kind.is_dir()) {
            left_out.excluded += 1;
            return None;
        }
        let git_dir = kind.is_dir() && name == b".git" && folder.repository == Some(Repository::Here);
        let ignored = !git_dir && folder.inside == Inside::Files && self.ignores(folder, &path, kind.is_dir());
        if ignored && !self.options.always.is_some_and(|always| always(as_path(&path), kind.is_dir())) {
            left_out.ignored += 1;
            return None;
        }
        Some(Folder {
            path,
            inside: if git_dir { Inside::GitDir } else { folder.inside.below(name) },
            repository: None,
            work_tree: folder.work_tree && !git_dir,
            rules: folder.rules.clone(),
            ignored,
            covered: verdict == Verdict::Covered,
            device: folder.device,
        })
    }

    fn ignores(&self, folder: &Folder, path: &[u8], is_dir: bool) -> bool {
        folder.ignored
            || folder.rules.as_ref().is_some_and(|rules| {
                if self.tree.is_empty() {
                    rules.ignore(path, is_dir)
                } else {
                    rules.ignore(&[&self.tree, path].concat(), is_dir)
                }
            })
    }

    /// Reads files of one directory: `names`, each with a NUL after it.
    fn batch<'s>(&'s self, scope: &Scope<'s>, dir: &[u8], names: &[u8]) {
        let mut buf = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let spread = Spread { helpers: &self.helpers, scope };
        let reader = read::Reader { options: self.options, notes: self.notes, sink: &spread };
        let dir = below(dir, b"");
        let mut full = below(self.target.path.as_os_str().as_bytes(), &dir);
        let path = [self.prefix, &dir].concat();
        let (full_len, path_len) = (full.len(), path.len());
        let kind = PlaceKind::File;
        let mut origin = Origin { target: self.target.index, kind, path, object: None, member: Vec::new() };
        for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
            full.truncate(full_len);
            full.extend_from_slice(name);
            origin.path.truncate(path_len);
            origin.path.extend_from_slice(name);
            if self.unchanged(as_path(&full), &origin.path[self.prefix.len()..]) {
                self.options.counters.unchanged.fetch_add(1, Relaxed);
            } else {
                reader.file(as_path(&full), false, &mut buf, &origin);
            }
        }
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buf);
    }

    fn unchanged(&self, full: &Path, path: &[u8]) -> bool {
        let Some(skip) = self.options.skip else { return false };
        fs::symlink_metadata(full).is_ok_and(|meta| meta.is_file() && skip(as_path(path), &meta))
    }

    fn unreadable(&self, path: &[u8], e: &io::Error) {
        let place = if path.is_empty() { self.target.path.as_os_str().as_bytes() } else { path };
        self.notes.add(NoteKind::Unreadable, place, e.to_string());
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// `name` below `dir`; with an empty name, the directory with a slash at its end. Nothing is put before a first name.
fn below(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() && !dir.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Whether a directory lies in a file system without end or sense to a scan: `/proc`, `/sys` and the like.
#[cfg(target_os = "linux")]
fn made_by_kernel(dir: &Path) -> bool {
    // proc, sysfs, debugfs, tracefs, securityfs, cgroup, cgroup2, bpf, pstore, configfs, selinuxfs, efivarfs, devpts
    const KINDS: [u64; 13] = [
        0x9fa0,
        0x6265_6572,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0x0027_e0eb,
        0x6367_7270,
        0xcafe_4a11,
        0x6165_676c,
        0x6265_6570,
        0xf97c_ff8c,
        0xde5e_81e4,
        0x1cd1,
    ];
    rustix::fs::statfs(dir).is_ok_and(|fs| KINDS.contains(&(fs.f_type as u64 & 0xffff_ffff)))
}

/// Whether a directory lies in a file system without end or sense to a scan: known of Linux only.
#[cfg(not(target_os = "linux"))]
fn made_by_kernel(_: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_the_kernel_are_told() {
        assert!(made_by_kernel(Path::new("/proc")) && made_by_kernel(Path::new("/sys")));
        assert!(!made_by_kernel(&std::env::temp_dir()));
    }
}
