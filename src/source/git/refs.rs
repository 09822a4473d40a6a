//! All names a repository has for its objects: refs loose and packed, HEADs of all worktrees, stash, notes, reflogs.
//!
//! Contract: any bytes may stand in names and files; links and anything that is no regular file are not followed or
//! opened, symbolic refs are resolved a few steps at most, and what cannot be read is noted. Names come sorted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::discover::{Repository, read_small};
use super::ids::IdTable;
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;

/// Longest loose ref that is read.
const LOOSE: u64 = 16 << 10;
/// Longest `FETCH_HEAD` and the like.
const PSEUDO: u64 = 16 << 20;
/// Longest line of `packed-refs` and of a reflog that is looked at.
const LINE: u64 = 64 << 10;
/// Steps from symbolic ref to symbolic ref.
const SYMBOLIC: usize = 8;
/// How deep folders below `refs` and `logs` may nest.
const DEPTH: usize = 256;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefClass {
    /// HEAD, of this or another worktree.
    Head,
    /// `refs/heads/*`.
    Branch,
    /// `refs/remotes/*`.
    RemoteBranch,
    /// `refs/tags/*`.
    Tag,
    /// `refs/stash` and the older entries of the stash.
    Stash,
    /// `refs/notes/*`.
    Notes,
    /// Other refs, and `FETCH_HEAD`, `MERGE_HEAD` and the like.
    Other,
    /// Only named in a reflog, or in `ORIG_HEAD`, which keeps nothing alive either.
    Reflog,
}

/// A name and the object it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The full name, any bytes.
    pub name: Vec<u8>,
    /// What it names: a commit, an annotated tag, or any other object.
    pub target: ObjectId,
    /// What `packed-refs` says the tag stands for in the end.
    pub peeled: Option<ObjectId>,
    /// What kind of name it is.
    pub class: RefClass,
    /// The ref is a link to another ref.
    pub symbolic: bool,
}

impl Ref {
    /// Whether git keeps what it names: then it is here unless something went wrong.
    pub fn keeps(&self) -> bool {
        self.class == RefClass::Head || self.name.starts_with(b"refs/")
    }

    /// The name of the branch, without the remote it is from; `None` for what is no branch.
    pub fn branch(&self) -> Option<&[u8]> {
        match self.class {
            RefClass::Branch => self.name.strip_prefix(b"refs/heads/"),
            RefClass::RemoteBranch => {
                let name = self.name.strip_prefix(b"refs/remotes/")?;
                let short = &name[memchr::memchr(b'/', name)? + 1..];
                (short != b"HEAD" && !self.symbolic).then_some(short)
            }
            _ => None,
        }
    }
}

/// All names of a repository, sorted; the same name may stand for several objects in reflogs and `FETCH_HEAD`.
#[derive(Clone, Debug, Default)]
pub struct Refs {
    /// The names.
    pub all: Vec<Ref>,
}

/// What a ref says before links are resolved.
#[derive(Clone, Debug)]
enum Value {
    Id(ObjectId, Option<ObjectId>),
    Link(Vec<u8>),
}

impl Refs {
    /// Reads all names of a repository.
    pub fn load(repo: &Repository, notes: &Notes) -> Self {
        let mut reader = Reader { width: repo.hash_len, notes, values: BTreeMap::new(), many: Vec::new() };
        if repo.reftable {
            let place = repo.common_dir.join("reftable");
            let detail = "refs are stored as reftable, which is not read: all objects are scanned, none is attributed";
            notes.add(NoteKind::Other, place.as_os_str().as_encoded_bytes(), detail);
        } else {
            reader.packed(&repo.common_dir.join("packed-refs"));
        }
        let mut seen = IdTable::new(repo.hash_len);
        for dir in repo.worktree_git_dirs() {
            let prefix = worktree_prefix(repo, &dir);
            if !repo.reftable {
                reader.loose(&dir.join("refs"), join(&prefix, b"refs"));
                reader.heads(&dir, &prefix);
            }
            reader.logs(&dir.join("logs"), &join(&prefix, b"logs"), &mut seen);
        }
        let replaced = reader.values.keys().any(|name| name.starts_with(b"refs/replace/"));
        if replaced || repo.common_dir.join("info/grafts").exists() {
            let detail = "replaced objects and grafted parents are ignored: history counts as it is stored";
            notes.add(NoteKind::Other, place(&repo.common_dir), detail);
        }
        reader.finish()
    }

    /// The ref with this full name.
    pub fn get(&self, name: &[u8]) -> Option<&Ref> {
        let at = self.all.binary_search_by(|r| r.name.as_slice().cmp(name)).ok()?;
        self.all[..=at].iter().rev().take_while(|r| r.name == name).last()
    }

    /// What HEAD of this worktree names; `None` while nothing was committed.
    pub fn head(&self) -> Option<ObjectId> {
        self.get(b"HEAD").map(|r| r.target)
    }
}

/// Names of another worktree's own refs get a prefix, as git itself writes them; those of this one and shared ones none.
fn worktree_prefix(repo: &Repository, dir: &Path) -> Vec<u8> {
    if dir == repo.git_dir {
        Vec::new()
    } else if dir == repo.common_dir {
        b"main-worktree".to_vec()
    } else {
        join(b"worktrees", dir.file_name().unwrap_or_default().as_encoded_bytes())
    }
}

fn join(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

fn classify(name: &[u8]) -> RefClass {
    let classes: [(&[u8], RefClass); 4] = [
        (b"refs/heads/", RefClass::Branch),
        (b"refs/remotes/", RefClass::RemoteBranch),
        (b"refs/tags/", RefClass::Tag),
        (b"refs/notes/", RefClass::Notes),
    ];
    if name == b"refs/stash" {
        return RefClass::Stash;
    }
    if name == b"HEAD" || name.ends_with(b"/HEAD") && !name.starts_with(b"refs/") {
        return RefClass::Head;
    }
    classes.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or(RefClass::Other, |(_, class)| *class)
}

struct Reader<'a> {
    width: usize,
    notes: &'a Notes,
    values: BTreeMap<Vec<u8>, Value>,
    /// Names that stand for more than one object.
    many: Vec<Ref>,
}

impl Reader<'_> {
    fn id(&self, hex: &[u8]) -> Option<ObjectId> {
        let hex = hex.get(..self.width * 2)?;
        ObjectId::from_hex(hex)
    }

    /// `packed-refs`: `HEX NAME`, followed by `^HEX` for what an annotated tag stands for.
    fn packed(&mut self, file: &Path) {
        let mut last: Option<Vec<u8>> = None;
        let width = self.width * 2;
        self.lines(file, |this, line| {
            if let Some(peeled) = line.strip_prefix(b"^") {
                let peeled = this.id(peeled);
                if let Some(Value::Id(_, slot)) = last.take().and_then(|name| this.values.get_mut(&name)) {
                    *slot = peeled;
                }
            } else if let (Some(id), Some(b' ')) = (this.id(line), line.get(width)) {
                let name = line[width + 1..].to_vec();
                this.values.insert(name.clone(), Value::Id(id, None));
                last = Some(name);
            } else if !line.starts_with(b"#") && !line.is_empty() {
                this.notes.add(NoteKind::GitDamaged, place(file), "a line of packed-refs cannot be read");
            }
        });
    }

    /// Loose refs below a folder. They hide packed ones of the same name.
    fn loose(&mut self, dir: &Path, name: Vec<u8>) {
        for (file, name) in files_below(dir, name, self.notes) {
            // Shared refs of the main worktree have no prefix, whichever worktree we look from.
            let name = match name.strip_prefix(b"main-worktree/") {
                Some(shared) if !is_per_worktree(shared) => shared.to_vec(),
                _ => name,
            };
            if !name.ends_with(b".lock") {
                self.single(&file, name);
            }
        }
    }

    /// One loose ref or HEAD: an id or `ref: NAME`, or a symbolic link to another ref as old versions of git made.
    fn single(&mut self, file: &Path, name: Vec<u8>) {
        if fs::symlink_metadata(file).is_ok_and(|m| m.is_symlink()) {
            match fs::read_link(file) {
                Ok(target) if target.starts_with("refs") => {
                    self.values.insert(name, Value::Link(target.as_os_str().as_encoded_bytes().to_vec()));
                }
                _ => self.notes.add(NoteKind::Link, place(file), "a ref that is a link out of refs is not followed"),
            }
            return;
        }
        let text = read_small(file, LOOSE).unwrap_or_default();
        let value = match text.strip_prefix(b"ref:") {
            Some(target) => Some(Value::Link(target.trim_ascii().to_vec())),
            None => self.id(&text).map(|id| Value::Id(id, None)),
        };
        match value {
            Some(value) => drop(self.values.insert(name, value)),
            None => self.notes.add(NoteKind::GitDamaged, place(file), "the ref cannot be read"),
        }
    }

    /// HEAD, ORIG_HEAD, FETCH_HEAD and the like: files in capitals in the git folder.
    fn heads(&mut self, dir: &Path, prefix: &[u8]) {
        let mut names: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
        names.sort();
        for name in names {
            let (file, short) = (dir.join(&name), name.as_encoded_bytes());
            if short == b"HEAD" {
                self.single(&file, join(prefix, short));
            } else if short.ends_with(b"_HEAD") && short.iter().all(|c| c.is_ascii_uppercase() || *c == b'_') {
                if fs::symlink_metadata(&file).is_ok_and(|m| !m.is_file()) {
                    continue;
                }
                let class = if short == b"ORIG_HEAD" { RefClass::Reflog } else { RefClass::Other };
                for line in read_small(&file, PSEUDO).unwrap_or_default().split(|c| *c == b'\n') {
                    if let Some(target) = self.id(line) {
                        self.push(join(prefix, short), target, class);
                    }
                }
            }
        }
    }

    /// Reflogs below a folder: `OLD NEW WHO\tWHAT` a line. The log of the stash is the stash.
    fn logs(&mut self, dir: &Path, name: &[u8], seen: &mut IdTable) {
        let width = self.width * 2;
        for (file, name) in files_below(dir, name.to_vec(), self.notes) {
            let class = if name.ends_with(b"logs/refs/stash") { RefClass::Stash } else { RefClass::Reflog };
            self.lines(&file, |this, line| {
                for hex in [line, line.get(width + 1..).unwrap_or_default()] {
                    if let Some(id) = this.id(hex)
                        && id.as_bytes().iter().any(|b| *b != 0)
                        && (class == RefClass::Stash || seen.insert(id.as_bytes()).1)
                    {
                        this.push(name.clone(), id, class);
                    }
                }
            });
        }
    }

    fn push(&mut self, name: Vec<u8>, target: ObjectId, class: RefClass) {
        self.many.push(Ref { name, target, peeled: None, class, symbolic: false });
    }

    /// Calls `f` for each line of a regular file; a line longer than [`LINE`] is cut.
    fn lines(&mut self, file: &Path, mut f: impl FnMut(&mut Self, &[u8])) {
        if !fs::symlink_metadata(file).is_ok_and(|m| m.is_file()) {
            return;
        }
        let result = File::open(file).and_then(|open| {
            let mut input = BufReader::with_capacity(64 << 10, open);
            let mut line = Vec::new();
            while input.by_ref().take(LINE).read_until(b'\n', &mut line)? > 0 {
                let whole = line.pop_if(|c| *c == b'\n').is_some();
                f(self, line.trim_ascii_end());
                if !whole {
                    input.skip_until(b'\n')?;
                }
                line.clear();
            }
            Ok(())
        });
        if let Err(e) = result {
            self.notes.add(NoteKind::Unreadable, place(file), e.to_string());
        }
    }

    /// Resolves links and sorts.
    fn finish(self) -> Refs {
        let mut all = self.many;
        for (name, value) in &self.values {
            let (mut value, mut steps) = (Some(value), 0);
            while let Some(Value::Link(target)) = value
                && steps < SYMBOLIC
            {
                value = self.values.get(target);
                steps += 1;
            }
            let (class, symbolic) = (classify(name), steps > 0);
            match value {
                Some(Value::Id(target, peeled)) => {
                    all.push(Ref { name: name.clone(), target: *target, peeled: *peeled, class, symbolic });
                }
                Some(Value::Link(_)) => {
                    self.notes.add(NoteKind::GitDamaged, name, "the symbolic ref leads in a circle")
                }
                None => {} // HEAD before the first commit, or a remote's HEAD whose branch is gone
            }
        }
        all.sort_by(|a, b| (&a.name, a.class, &a.target).cmp(&(&b.name, b.class, &b.target)));
        all.dedup();
        Refs { all }
    }
}

/// Refs that every worktree has for itself.
fn is_per_worktree(name: &[u8]) -> bool {
    let own: [&[u8]; 3] = [b"refs/bisect/", b"refs/worktree/", b"refs/rewritten/"];
    own.iter().any(|prefix| name.starts_with(prefix)) || !name.starts_with(b"refs/")
}

/// Files below a folder with their names, sorted; linked folders are not entered.
fn files_below(dir: &Path, name: Vec<u8>, notes: &Notes) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let (mut files, mut todo) = (Vec::new(), vec![(dir.to_path_buf(), name, 0)]);
    while let Some((dir, name, depth)) = todo.pop() {
        if !fs::symlink_metadata(&dir).is_ok_and(|m| m.is_dir()) {
            continue;
        }
        let entries = match fs::read_dir(&dir) {
            Ok(entries) if depth < DEPTH => entries,
            Ok(_) => {
                notes.add(NoteKind::Other, place(&dir), "refs nest too deep, the rest is not read");
                continue;
            }
            Err(e) => {
                notes.add(NoteKind::Unreadable, place(&dir), e.to_string());
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = join(&name, entry.file_name().as_encoded_bytes());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push((entry.path(), name, depth + 1)),
                Ok(kind) if kind.is_file() || kind.is_symlink() => files.push((entry.path(), name)),
                _ => notes.add(NoteKind::NotAFile, place(&entry.path()), "not a ref"),
            }
        }
    }
    files.sort();
    files
}

fn place(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
