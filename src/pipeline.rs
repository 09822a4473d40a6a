//! A scan from its targets to its report: the one place that knows all stages.
//!
//! Contract: whatever goes wrong with one target is a note in the report; only what makes the request itself meaningless
//! (a target that does not exist, a revision that names nothing) is an error, and then nothing was scanned.

pub mod asking;
mod clone;
mod findings;
pub mod gather;
pub mod owning;
mod repository;
pub mod reread;
pub mod responding;
pub mod single;
mod sink;
mod target;
pub mod telling;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use asking::Asking;

use crate::collect::Collector;
use crate::detect::Scanner;
use crate::model::{Confidence, NoteKind, PeopleFiles, Report, Target};
use crate::notes::Notes;
use crate::own::{authors, codeowners};
use crate::rules::SharedCatalog;
use crate::secret::Fingerprinter;
use crate::source::files::{self, Counters, FileTarget, Filter};
use crate::source::git::at_head;
use crate::source::git::refs::Refs;
use crate::source::git::store::ObjectStore;
use crate::source::{Limits, stdin};
use sink::TextSink;
use target::Resolved;

/// How much of a repository's history is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum History {
    /// The whole object database, with what nothing reaches any more
    #[default]
    Full,
    /// What refs, HEAD and the index reach
    Reachable,
    /// Only the files of the work tree
    None,
}

/// How texts that are changes of one another are matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// Look at every text as a whole
    Full,
    /// Inherit what a change leaves alone; the same results
    #[default]
    Delta,
}

/// Where a history begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// Commits of this second (since 1970-01-01 UTC) or later.
    Date(i64),
    /// Commits that this revision does not reach.
    Revision(String),
}

/// Everything a scan needs to know.
#[derive(Debug)]
pub struct Request {
    /// Files, folders, repositories, clone URLs, or `-`.
    pub targets: Vec<String>,
    /// How much history.
    pub history: History,
    /// Where history begins.
    pub since: Option<Since>,
    /// Only history that this revision reaches.
    pub branch: Option<String>,
    /// The rules.
    pub catalog: SharedCatalog,
    /// Least confidence reported.
    pub confidence: Confidence,
    /// Limits on what scanned content may make us do.
    pub limits: Limits,
    /// `--include` and `--exclude`.
    pub filter: Filter,
    /// Files that ignore files leave out are scanned, too.
    pub no_ignore: bool,
    /// Bytes that decoded git objects may take.
    pub memory: u64,
    /// How changes are matched.
    pub engine: Engine,
    /// Where clones are kept; a temporary folder otherwise.
    pub keep_clone: Option<PathBuf>,
    /// Makes the fingerprints.
    pub fingerprinter: Fingerprinter,
    /// Whether and how issuers are asked.
    pub asking: Asking,
    /// How owners are found; `None` to leave that for later.
    pub owning: Option<owning::Owning>,
    /// Only findings of these validities (`active`, `inactive`, `unknown`) are reported; empty for all.
    pub validities: Vec<String>,
}

/// Why a scan did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A target that cannot be looked at.
    #[error("{0}: {1}")]
    Target(String, String),
    /// `--since` or `--branch` names nothing.
    #[error("{target}: `{revision}`: {reason}")]
    Revision {
        /// The repository.
        target: String,
        /// As the user gave it.
        revision: String,
        /// Why not.
        reason: String,
    },
    /// A directory of people is wrong.
    #[error("{0}")]
    Directory(String),
    /// A clone failed.
    #[error("cannot clone {0}: {1}")]
    Clone(String, String),
}

/// Numbers that grow while a scan runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects of git repositories there are to look at, as far as known.
    pub objects_total: AtomicU64,
    /// Git objects looked at.
    pub objects: AtomicU64,
    /// Bytes of git objects looked at.
    pub object_bytes: AtomicU64,
    /// Files and archives.
    pub counters: Counters,
}

/// What all targets share.
struct Context<'a> {
    request: &'a Request,
    scanner: Scanner,
    collector: Collector,
    notes: Arc<Notes>,
    progress: &'a Progress,
}

/// Scans all targets of a request. Runs on the current rayon pool.
///
/// # Errors
/// See [`ScanError`]; nothing was scanned then.
pub fn scan(request: &Request, progress: &Progress) -> Result<Report, ScanError> {
    let begun = Instant::now();
    let started = jiff::Timestamp::now().as_second();
    let notes = Arc::new(Notes::default());
    let scanner = || Scanner::new(request.catalog.clone(), request.confidence);
    let (resolved, scanner) = rayon::join(|| target::resolve(request, &notes), scanner);
    let resolved = resolved?;
    let context = Context { request, scanner, collector: Collector::default(), notes, progress };
    let mut report = Report { started, ..Report::default() };
    let mut repositories = Vec::new();
    for (index, target) in resolved.iter().enumerate() {
        report.targets.push(target.describe());
        match target {
            Resolved::Stdin => context.stdin(index),
            Resolved::Files { path, work_tree, .. } => context.files(index, path, work_tree.clone()),
            Resolved::Repository(repository) => repositories.push((index, context.repository(index, repository))),
        }
    }
    let mut collected = context.collector.take();
    findings::build(&context, repositories, &mut collected, &mut report);
    asking::check(&mut report.findings, context.scanner.catalog(), &request.asking, &context.notes);
    if let Some(owning) = &request.owning {
        owning::own(&mut report, context.scanner.catalog(), owning, &request.asking, &context.notes)
            .map_err(ScanError::Directory)?;
    }
    if !request.validities.is_empty() {
        let before = report.findings.len();
        report.findings.retain(|f| request.validities.iter().any(|v| v == f.checked.validity.as_str()));
        context.notes.count(NoteKind::Filtered, (before - report.findings.len()) as u64);
    }
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &progress.counters;
    report.totals.files = load(&counters.files);
    report.totals.members = load(&counters.members);
    report.totals.objects = load(&progress.objects);
    report.totals.bytes = load(&counters.bytes) + load(&counters.expanded) + load(&progress.object_bytes);
    report.totals.ignored_inline = collected.ignored_inline;
    report.totals.millis = begun.elapsed().as_millis() as u64;
    (report.notes, report.note_counts) = context.notes.take();
    Ok(report)
}

impl Context<'_> {
    fn sink(&self) -> TextSink<'_> {
        TextSink::new(&self.scanner, &self.collector, &self.notes)
    }

    fn stdin(&self, index: usize) {
        let limits = &self.request.limits;
        let expanded = stdin::scan(&mut std::io::stdin().lock(), index, limits, &self.notes, &self.sink());
        self.count_expanded(&expanded);
    }

    fn count_expanded(&self, expanded: &crate::source::archive::Expanded) {
        self.progress.counters.members.fetch_add(expanded.members, Ordering::Relaxed);
        self.progress.counters.expanded.fetch_add(expanded.bytes, Ordering::Relaxed);
    }

    fn files(&self, index: usize, path: &std::path::Path, work_tree: Option<files::WorkTree>) {
        let options = files::Options {
            limits: self.request.limits,
            filter: self.request.filter.clone(),
            no_ignore: self.request.no_ignore,
            work_tree,
            always: None,
            skip: None,
            counters: &self.progress.counters,
        };
        files::scan(&FileTarget { index, path: path.to_owned() }, &options, &self.notes, &self.sink());
    }
}

/// What the commit at HEAD says of people.
fn people_files(store: &ObjectStore, refs: &Refs) -> PeopleFiles {
    let read = |path: &str, limit: usize| at_head::read(store, refs, path, limit as u64);
    let codeowners = codeowners::PATHS.iter().find_map(|path| read(path, codeowners::LARGEST));
    PeopleFiles {
        mailmap: read(".mailmap", authors::LARGEST).unwrap_or_default(),
        codeowners: codeowners.unwrap_or_default(),
    }
}

impl Resolved {
    fn describe(&self) -> Target {
        let (name, kind, root) = match self {
            Self::Stdin => ("-".to_owned(), "stdin", None),
            Self::Files { name, path, .. } if path.is_dir() => (name.clone(), "folder", Some(path.clone())),
            Self::Files { name, path, .. } => (name.clone(), "file", path.parent().map(PathBuf::from)),
            Self::Repository(r) => match &r.repository.work_dir {
                Some(dir) => (r.name.clone(), "repository", Some(dir.clone())),
                None => (r.name.clone(), "bare-repository", None),
            },
        };
        let people = match self {
            Self::Repository(r) => r.store.as_ref().map(|store| people_files(store, &r.refs)).unwrap_or_default(),
            Self::Stdin | Self::Files { .. } => PeopleFiles::default(),
        };
        Target { name, kind, root, people }
    }
}
