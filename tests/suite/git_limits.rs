//! Attribution where objects are missing, and where trees are made to exhaust whoever reads them.
#![allow(clippy::unwrap_used)]

use crate::git_repo::{Repo, START};
use unsprawl::model::{NoteKind, PlaceKind};

#[test]
fn partial_clones_are_no_error() {
    let mut repo = Repo::new();
    repo.put("dir/key", "text");
    let added = repo.commit("message with KEY-0");
    repo.put("dir/key", "KEY-1");
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", repo.dir.display());
    for filter in ["blob:none", "tree:0"] {
        repo.git(&["clone", "-q", "--no-checkout", "--filter", filter, &url, &format!("../{}", &filter[..4])]);
        let found = repo.beside(&filter[..4]).find();
        assert!(found.loaded.repo.partial);
        assert_eq!((found.introduced(0), found.notes.as_slice()), (Some(added.clone()), &[][..]));
    }
    // Some blobs are here, their neighbours are not.
    let part = repo.beside("tree");
    part.git(&["fetch", "-q", "origin", &repo.git(&["rev-parse", "HEAD:dir/key"])]);
    let found = part.find();
    assert_eq!((found.place(1).0.kind, found.notes.as_slice()), (PlaceKind::Blob, &[(NoteKind::GitPartial, 1)][..]));
}

/// Makes a tree from lines of `git ls-tree`.
fn mktree(repo: &Repo, lines: &str) -> String {
    String::from_utf8(repo.run(&["mktree", "--missing"], lines.as_bytes())).unwrap().trim().to_owned()
}

#[test]
fn trees_that_spell_countless_paths() {
    let repo = Repo::new();
    let blob = String::from_utf8(repo.run(&["hash-object", "-w", "--stdin"], b"KEY-0")).unwrap();
    let mut tree = mktree(&repo, &format!("100644 blob {}\tkey\n", blob.trim()));
    for _ in 0..12 {
        tree = mktree(&repo, &(0..10).map(|n| format!("040000 tree {tree}\td{n}\n")).collect::<String>());
    }
    let commit = repo.git(&["commit-tree", "-m", "bomb", &tree]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
    let found = repo.find();
    assert_eq!(found.notes, [(NoteKind::LocationLimit, 1)]);
    assert_eq!((found.introduced(0), found.exposure(0).at_head), (Some(commit), true));
    assert!(!found.places(0).is_empty() && found.places(0).len() <= 10_000);
}

#[test]
fn trees_deeper_than_any_limit() {
    let repo = Repo::new();
    let blob = String::from_utf8(repo.run(&["hash-object", "-w", "--stdin"], b"KEY-0")).unwrap();
    let mut script = format!("commit refs/heads/main\ncommitter A <a@b> {START} +0000\ndata 0\n");
    script += &format!("M 100644 {} {}key\n", blob.trim(), "d/".repeat(3000));
    repo.run(&["fast-import", "--quiet"], script.as_bytes());
    let found = repo.find();
    assert_eq!(found.notes, [(NoteKind::LocationLimit, 1)]);
    assert!(found.exposure(0).at_head && found.introduced(0).is_some());
}

#[test]
fn missing_trees_are_told_and_nothing_is_guessed() {
    let mut repo = Repo::new();
    let added = repo.put("dir/key", "KEY-0");
    repo.put("dir/other", "text");
    let lost = repo.git(&["rev-parse", "HEAD:dir"]);
    repo.remove("dir/key");
    let removed = repo.commit("remove");
    repo.remove(&format!(".git/objects/{}/{}", &lost[..2], &lost[2..]));
    let found = repo.find();
    assert_eq!(found.notes, [(NoteKind::GitMissing, 1)]);
    assert_eq!(found.introduced(0), Some(added));
    assert!(found.exposure(0).warnings.iter().any(|w| w.contains("trees are missing")));
    // The commit that removed it cannot be told from the one whose tree is lost.
    assert_ne!(found.removed(0), Some(removed));
}
