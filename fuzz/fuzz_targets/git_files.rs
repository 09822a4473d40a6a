//! The small files of a repository: config, HEAD, refs, packed-refs, reflogs, alternates, shallow, index, `.git` links.
#![no_main]

use std::fs;

use common::{Input, folder};
use libfuzzer_sys::fuzz_target;
use unsprawl::notes::Notes;
use unsprawl::source::git::alternates;
use unsprawl::source::git::discover::discover;
use unsprawl::source::git::refs::Refs;
use unsprawl::source::git::worktree::{self, WorkTree};

/// The first byte of the input chooses which of them the rest is.
const FILES: [&str; 11] = [
    "config",
    "HEAD",
    "packed-refs",
    "refs/heads/main",
    "logs/HEAD",
    "shallow",
    "index",
    "FETCH_HEAD",
    "objects/info/alternates",
    "commondir",
    "worktrees/w/HEAD",
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let name = FILES[usize::from(input.byte()) % FILES.len()];
    let root = folder().join("work");
    let git = root.join(".git");
    for dir in ["objects/info", "objects/pack", "refs/heads", "logs", "worktrees/w"] {
        fs::create_dir_all(git.join(dir)).expect("writable");
    }
    fs::write(git.join("HEAD"), "ref: refs/heads/main\n").expect("writable");
    fs::write(git.join(name), input.0).expect("writable");

    let paths = alternates::parse(input.0);
    assert!(paths.len() <= input.0.len() + 1);
    let notes = Notes::default();
    if let Ok(Some(repository)) = discover(&root) {
        let refs = Refs::load(&repository, &notes);
        assert!(refs.all.is_sorted_by(|a, b| a.name <= b.name));
        let _ = (refs.head(), refs.get(b"refs/heads/main"));
        let _ = WorkTree::open(&repository, &notes).entries().len();
        let _ = worktree::other_entries(&repository);
    }
    fs::remove_file(git.join(name)).expect("writable");
});
