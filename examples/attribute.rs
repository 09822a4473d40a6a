//! Measures attribution: `attribute REPOSITORY COUNT [SEED]` picks COUNT random blobs and finds their commits and paths.
//!
//! `attribute REPOSITORY since REVISION` finds the objects that are new since a commit instead.
//!
//! Prints wall time, CPU time and peak memory after each phase (CPU and memory on Linux only).
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use unsprawl::model::PlaceKind;
use unsprawl::notes::Notes;
use unsprawl::source::git::attribute::{History, Hot, HotTrees, attribute};
use unsprawl::source::git::discover::discover;
use unsprawl::source::git::graph::Graph;
use unsprawl::source::git::refs::Refs;
use unsprawl::source::git::rev::resolve;
use unsprawl::source::git::select::{Part, Since, select};
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::Kind;
use unsprawl::source::git::worktree::WorkTree;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, count, seed @ ..] = args.as_slice() else {
        return Err("usage: attribute REPOSITORY COUNT [SEED]".into());
    };
    if let ("since", [rev]) = (count.as_str(), seed) {
        return since(path, rev);
    }
    let (count, mut seed) = (count.parse::<usize>()?, seed.first().map_or(Ok(1), |s| s.parse::<u64>())?);
    let notes = Arc::new(Notes::default());
    let repo = discover(Path::new(path))?.ok_or("no repository")?;
    let mut clock = Clock::new();

    let store = ObjectStore::open(&repo.objects_dir, repo.hash_len, Arc::clone(&notes))?;
    let ids: Vec<_> = store.ids().collect();
    clock.lap("open");
    let mut hot = Vec::new();
    while hot.len() < count {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let id = ids[(seed >> 33) as usize % ids.len()];
        if let Some((Kind::Blob, _)) = store.header(&id)? {
            hot.push(Hot { id, kind: Kind::Blob, credentials: vec![hot.len() as u32] });
        }
    }
    clock.lap("choose blobs");
    let refs = Refs::load(&repo, &notes);
    clock.lap("refs");
    let graph = Graph::read(&store, &repo.shallow, &notes);
    clock.lap("commits");
    let trees = HotTrees::read(&store, &hot, &notes);
    clock.lap("trees");
    let tree = WorkTree::open(&repo, &notes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let history = History { repo: &repo, store: &store, graph: &graph, refs: &refs, index: tree.entries(), now };
    let found = attribute(&history, &hot, trees, hot.len() as u32, &notes);
    clock.lap("attribution");

    let places: usize = (0..hot.len()).map(|i| found.places(i).len()).sum();
    let dangling = (0..hot.len()).filter(|i| found.places(*i)[0].kind == PlaceKind::Dangling).count();
    let removed = (0..hot.len() as u32).filter_map(|c| found.exposure(c)).filter(|e| e.removed.is_some()).count();
    println!("{} commits, {} blobs, {places} places, {dangling} dangling, {removed} removed", graph.len(), hot.len());
    for (hot, i) in hot.iter().zip(0u32..3) {
        let (place, exposure) = (&found.places(i as usize)[0], found.exposure(i));
        println!("{} {} {exposure:?}", hot.id, String::from_utf8_lossy(&found.path(place)));
    }
    println!("{:?}", notes.take().1);
    Ok(())
}

fn since(path: &str, rev: &str) -> Result<(), Box<dyn std::error::Error>> {
    let notes = Arc::new(Notes::default());
    let mut clock = Clock::new();
    let repo = discover(Path::new(path))?.ok_or("no repository")?;
    let store = ObjectStore::open(&repo.objects_dir, repo.hash_len, Arc::clone(&notes))?;
    let refs = Refs::load(&repo, &notes);
    clock.lap("open");
    let part = Part { branch: refs.head(), since: Some(Since::Commit(resolve(&store, &refs, rev)?)) };
    clock.lap("resolve");
    let chosen = select(&repo, &store, &refs, &[], part, &notes);
    clock.lap("select");
    println!("{} commits, {} objects", chosen.commits, chosen.len());
    Ok(())
}

struct Clock(Instant, f64);

impl Clock {
    fn new() -> Self {
        Self(Instant::now(), cpu())
    }

    fn lap(&mut self, name: &str) {
        let (wall, used) = (self.0.elapsed().as_secs_f64(), cpu());
        println!("{name:14} wall {wall:6.3} s  CPU {:6.2} s  peak {:4} MiB", used - self.1, peak());
        *self = Self(Instant::now(), used);
    }
}

/// CPU seconds of all threads so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Most memory that was in use at once, mapped packs included, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}
