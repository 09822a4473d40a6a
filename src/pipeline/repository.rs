//! One repository: its objects through the delta-tree walk, and the files of its work tree that differ from them.
//!
//! Contract: every wanted object is scanned once; commits are gathered on the way for attribution.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::sink::{TextSink, note_cuts};
use super::target::ResolvedRepository;
use super::{Context, Engine};
use crate::detect::candidate::Scratch;
use crate::detect::{Cuts, State};
use crate::model::{NoteKind, ObjectId, PlaceKind};
use crate::per_thread::PerThread;
use crate::source::files::{self, FileTarget, WorkTree};
use crate::source::git::graph::GraphBuilder;
use crate::source::git::select::{self, Selection};
use crate::source::git::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};
use crate::source::git::worktree::{self, IndexEntry};
use crate::source::{OVERLAP, Origin, Piece, Sink, archive};

/// What attribution needs of a scanned repository.
pub struct Scanned<'a> {
    /// The repository.
    pub target: &'a ResolvedRepository,
    /// All its commits, if the scan came by them.
    pub commits: Option<GraphBuilder>,
    /// Entries of its index and those of its other work trees.
    pub index: Vec<IndexEntry>,
}

impl Context<'_> {
    /// Scans a repository.
    pub(super) fn repository<'a>(&self, index: usize, target: &'a ResolvedRepository) -> Scanned<'a> {
        let mut entries = target.index.entries().to_vec();
        entries.extend(worktree::other_entries(&target.repository));
        let commits = self.objects(index, target, &entries);
        self.work_tree(index, target);
        Scanned { target, commits, index: entries }
    }

    fn objects(&self, index: usize, target: &ResolvedRepository, entries: &[IndexEntry]) -> Option<GraphBuilder> {
        let store = target.store.as_ref()?;
        let selection =
            target.part.map(|part| select::select(&target.repository, store, &target.refs, entries, part, &self.notes));
        let commits = selection.is_none().then(|| GraphBuilder::new(store.hash_len()));
        let expected = selection.as_ref().map_or(store.object_count(), |s| s.len() as u64);
        self.progress.objects_total.fetch_add(expected, Ordering::Relaxed);
        let visitor = ObjectVisitor {
            context: self,
            target: index,
            sink: self.sink(),
            desks: PerThread::default(),
            commits: commits.as_ref(),
            parts: Mutex::default(),
        };
        let want = |id: &ObjectId| selection.as_ref().is_none_or(|s: &Selection| s.contains(id));
        let options = WalkOptions { memory: self.request.memory, ..WalkOptions::default() };
        store.walk(
            Kinds::of(&[Kind::Blob, Kind::Commit, Kind::Tag]),
            selection.is_some().then_some(&want),
            &visitor,
            &options,
        );
        visitor.desks.into_all().iter_mut().for_each(|desk| desk.tell(self));
        if store.is_partial() || target.repository.partial {
            let place = target.repository.git_dir.as_os_str().as_bytes();
            self.notes.add(NoteKind::GitPartial, place, "a partial clone: what was never fetched was not scanned");
        }
        commits
    }

    /// The files that git does not have in this form.
    fn work_tree(&self, index: usize, target: &ResolvedRepository) {
        let repository = &target.repository;
        let options = |work_tree, always, skip| files::Options {
            limits: self.request.limits,
            filter: self.request.filter.clone(),
            no_ignore: self.request.no_ignore,
            work_tree,
            always,
            skip,
            counters: &self.progress.counters,
        };
        let Some(root) = &repository.work_dir else {
            let dir = FileTarget { index, path: repository.git_dir.clone() };
            files::scan_git_dir(&dir, b"", &options(None, None, None), &self.notes, &self.sink());
            return;
        };
        let size = |id: &ObjectId| match target.store.as_ref()?.header(id) {
            Ok(Some((Kind::Blob, size))) => Some(size),
            _ => None,
        };
        // With a part of history only, what is unchanged may not have been scanned: that is what was asked for.
        let skip =
            |path: &Path, meta: &std::fs::Metadata| target.index.unchanged(path.as_os_str().as_bytes(), meta, size);
        let entries = target.index.entries();
        let always = |path: &Path, folder: bool| {
            let path = path.as_os_str().as_bytes();
            let at = entries.partition_point(|e| e.path.as_slice() < path);
            let below = |e: &IndexEntry| e.path.starts_with(path) && e.path.get(path.len()) == Some(&b'/');
            // Names such as `a.b` sort between `a` and `a/`.
            match entries.get(at) {
                Some(e) if e.path == path => true,
                _ if folder => {
                    let slash = [path, b"/"].concat();
                    let at = entries.partition_point(|e| e.path.as_slice() < slash.as_slice());
                    entries.get(at).is_some_and(below)
                }
                _ => false,
            }
        };
        let work_tree = WorkTree { root: root.clone(), git_dir: repository.common_dir.clone() };
        let file_target = FileTarget { index, path: root.clone() };
        let options = options(Some(work_tree), Some(&always), target.store.is_some().then_some(&skip));
        files::scan(&file_target, &options, &self.notes, &self.sink());
        let inside = repository.git_dir.strip_prefix(root).is_ok();
        if !inside {
            // A linked work tree or a submodule: its git folder lies elsewhere, with a configuration of its own.
            let dir = FileTarget { index, path: repository.common_dir.clone() };
            files::scan_git_dir(&dir, b".git/", &options, &self.notes, &self.sink());
        }
    }
}

/// What one thread works with.
#[derive(Default)]
struct Desk {
    scratch: Scratch,
    /// Objects and bytes that are not in the sums of all threads yet.
    objects: u64,
    bytes: u64,
}

/// After so many objects, or bytes, a thread adds what it has seen to the sums.
const TELL: (u64, u64) = (256, 1 << 20);

impl Desk {
    fn count(&mut self, context: &Context<'_>, bytes: usize) {
        self.objects += 1;
        self.bytes += bytes as u64;
        if self.objects >= TELL.0 || self.bytes >= TELL.1 {
            self.tell(context);
        }
    }

    fn tell(&mut self, context: &Context<'_>) {
        context.progress.objects.fetch_add(std::mem::take(&mut self.objects), Ordering::Relaxed);
        context.progress.object_bytes.fetch_add(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

struct ObjectVisitor<'a> {
    context: &'a Context<'a>,
    target: usize,
    sink: TextSink<'a>,
    desks: PerThread<Desk>,
    commits: Option<&'a GraphBuilder>,
    /// Newlines before, and column at, the next part of a blob that comes in parts.
    parts: Mutex<HashMap<ObjectId, (u64, u64)>>,
}

impl ObjectVisitor<'_> {
    fn origin(&self, id: ObjectId, kind: Kind) -> Origin {
        let kind = match kind {
            Kind::Commit => PlaceKind::Commit,
            Kind::Tag => PlaceKind::Tag,
            Kind::Blob | Kind::Tree => PlaceKind::Blob,
        };
        Origin { target: self.target, kind, path: Vec::new(), object: Some(id), member: Vec::new() }
    }

    /// Scans with `look`, and gathers what it finds if the object is wanted and new.
    fn visit(&self, object: Object<'_>, look: impl FnOnce(&mut Scratch, &mut Cuts) -> State) -> State {
        let context = self.context;
        let gather = object.wanted && object.first;
        let mut desk = self.desks.get();
        if gather {
            desk.count(context, object.data.len());
        }
        if object.kind == Kind::Commit
            && let Some(commits) = self.commits
        {
            commits.add(object.id.bytes(), object.data);
        }
        if object.kind == Kind::Blob
            && let Some(format) = archive::sniff(object.data)
        {
            drop(desk);
            if gather {
                let origin = self.origin(object.id.get(), object.kind);
                let limits = &context.request.limits;
                let expanded = archive::expand(
                    archive::Data::Memory(object.data),
                    format,
                    &origin,
                    limits,
                    &context.notes,
                    &self.sink,
                );
                context.count_expanded(&expanded);
            }
            return State::default();
        }
        let mut cuts = Cuts::default();
        let state = look(&mut desk.scratch, &mut cuts);
        if gather {
            let hits = context.scanner.finish(object.data, &state);
            if !hits.is_empty() || !cuts.0.is_empty() {
                let origin = self.origin(object.id.get(), object.kind);
                note_cuts(&context.notes, &origin, cuts);
                context.collector.add(&origin, hits);
            }
        }
        state
    }
}

impl Visitor for ObjectVisitor<'_> {
    type State = State;

    fn whole(&self, object: Object<'_>, _has_children: bool) -> State {
        self.visit(object, |scratch, cuts| self.context.scanner.root(object.data, scratch, cuts))
    }

    fn delta(&self, object: Object<'_>, base: &State, segments: &[Segment], _has_children: bool) -> State {
        self.visit(object, |scratch, cuts| match self.context.request.engine {
            Engine::Delta => self.context.scanner.delta(object.data, base, segments, scratch, cuts),
            Engine::Full => self.context.scanner.root(object.data, scratch, cuts),
        })
    }

    fn part(&self, id: ObjectId, part: &[u8], offset: u64, last: bool) {
        let origin = self.origin(id, Kind::Blob);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines_before, column_before) = parts.remove(&id).unwrap_or_default();
        let progress = &self.context.progress;
        let fresh = if last { part } else { &part[..part.len().saturating_sub(OVERLAP)] };
        progress.object_bytes.fetch_add(fresh.len() as u64, Ordering::Relaxed);
        if last {
            progress.objects.fetch_add(1, Ordering::Relaxed);
        } else {
            let lines = memchr::memchr_iter(b'\n', fresh).count() as u64;
            let column = match memchr::memrchr(b'\n', fresh) {
                Some(at) => (fresh.len() - at - 1) as u64,
                None => column_before + fresh.len() as u64,
            };
            parts.insert(id, (lines_before + lines, column));
        }
        drop(parts);
        let overlaps = offset > 0;
        self.sink.piece(Piece { origin: &origin, bytes: part, offset, lines_before, column_before, overlaps });
    }
}
