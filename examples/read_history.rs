//! Reads every blob of a git repository and tells how fast that was.
//!
//! `cargo run --release --example read_history -- PATH [walk|floor|plan|verify] [--kinds all] [--memory MIB] [--threads N]`
//!
//! PATH is a repository or its objects folder. `walk` decodes every object and adds up its bytes; `floor` only inflates
//! every entry, which no reader can avoid; `plan` only reads the heads of entries; `verify` checks the hash of what is
//! decoded against its id.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use unsprawl::model::ObjectId;
use unsprawl::notes::Notes;
use unsprawl::source::git::hash::object_id;
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};

/// Adds up what it sees.
#[derive(Default)]
struct Sum {
    inserted: AtomicU64,
    segments: AtomicU64,
    parts: AtomicU64,
    verify: bool,
    wrong: AtomicU64,
}

impl Sum {
    fn check(&self, object: Object<'_>) {
        let hash_len = object.id.bytes().len();
        if self.verify && object_id(hash_len, object.kind, object.data) != Some(object.id.get()) {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Visitor for Sum {
    type State = ();

    fn whole(&self, object: Object<'_>, _: bool) {
        self.check(object);
        self.inserted.fetch_add(object.data.len() as u64, Ordering::Relaxed);
    }

    fn delta(&self, object: Object<'_>, (): &(), segments: &[Segment], _: bool) {
        self.check(object);
        let inserts = segments.iter().map(|s| if let Segment::Insert { len, .. } = s { *len as u64 } else { 0 });
        self.inserted.fetch_add(inserts.sum(), Ordering::Relaxed);
        self.segments.fetch_add(segments.len() as u64, Ordering::Relaxed);
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {
        self.parts.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut path, mut mode, mut options, mut kinds) =
        (None, "walk".to_owned(), WalkOptions::default(), Kinds::of(&[Kind::Blob]));
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--memory" => options.memory = value()?.parse::<u64>()? << 20,
            "--threads" => options.threads = value()?.parse()?,
            "--kinds" if value()? == "all" => kinds = Kinds::ALL,
            "walk" | "floor" | "plan" | "verify" => mode = arg,
            _ => path = Some(PathBuf::from(arg)),
        }
    }
    let path = path.ok_or("which repository?")?;
    let dir = [path.join(".git/objects"), path.join("objects"), path]
        .into_iter()
        .find(|dir| dir.join("pack").is_dir())
        .ok_or("no objects folder there")?;
    if options.threads > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    }

    let notes = Arc::new(Notes::default());
    let start = Instant::now();
    let store = [20, 32]
        .into_iter()
        .map(|hash_len| ObjectStore::open(&dir, hash_len, Arc::clone(&notes)))
        .find(|store| store.as_ref().is_ok_and(|s| s.object_count() > 0))
        .ok_or("no objects there")??;
    println!("open:  {:8.3} s, {} objects", start.elapsed().as_secs_f64(), store.object_count());
    let sum = Sum { verify: mode == "verify", ..Sum::default() };
    let start = Instant::now();
    // Wants nothing: what is left is the plan.
    store.walk(kinds, Some(&|_| false), &sum, &options);
    println!("plan:  {:8.3} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let seen = match mode.as_str() {
        "walk" | "verify" => store.walk(kinds, None, &sum, &options),
        "floor" => store.inflate_only(kinds),
        _ => Default::default(),
    };
    println!("{mode}: {:8.3} s, {} objects, {} bytes", start.elapsed().as_secs_f64(), seen.objects, seen.bytes);
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    if sum.verify {
        println!("wrong hashes: {}", sum.wrong.load(Ordering::Relaxed));
    }
    println!("new bytes {}, segments {}, parts {}", count(&sum.inserted), count(&sum.segments), count(&sum.parts));
    for (kind, n) in notes.take().1 {
        println!("note: {kind:?} x {n}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|l| ["VmHWM", "RssAnon", "RssFile"].iter().any(|p| l.starts_with(p))) {
        println!("{line}");
    }
    let ticks = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = ticks.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let seconds = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or_default() / 100.0;
    println!("CPU:   {:.2} s user, {:.2} s system", seconds(11), seconds(12));
    Ok(())
}
