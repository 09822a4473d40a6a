//! Who brought a credential, who removed it and where it stands, for every way git can hold it.
#![allow(clippy::unwrap_used)]

use crate::git_repo::{Repo, START};
use unsprawl::model::PlaceKind;
use unsprawl::source::git::tips::Reach;

#[test]
fn an_ordinary_commit() {
    let mut repo = Repo::new();
    repo.put("a", "nothing");
    let added = repo.put("dir/sub/file", "x KEY-0 y");
    repo.put("a", "something");
    let found = repo.find();
    let (place, path) = found.place(0);
    assert_eq!(
        (place.kind, place.reach, place.present, path.as_str()),
        (PlaceKind::Blob, Reach::Refs, true, "dir/sub/file")
    );
    assert_eq!(found.commit(&place), Some(added.clone()));
    let exposure = found.exposure(0);
    assert_eq!((found.introduced(0), found.removed(0)), (Some(added), None));
    assert_eq!((exposure.at_head, exposure.branches, exposure.unreachable), (true, 1, false));
    assert!(exposure.warnings.is_empty() && found.notes.is_empty());
    let info = exposure.introduced.as_ref().unwrap();
    assert_eq!((info.author.name.as_str(), info.author.email.as_str()), ("A B", "a@example.org"));
    assert_eq!(
        (info.committer.time, info.committer.offset, info.subject.as_str()),
        (START + 120, 60, "write dir/sub/file")
    );
}

#[test]
fn a_deleted_file_and_a_changed_one() {
    let mut repo = Repo::new();
    let added = repo.put("a", "KEY-0");
    repo.put("b", "KEY-1");
    repo.remove("a");
    let deleted = repo.commit("delete");
    let changed = repo.put("b", "cleaned");
    repo.put("c", "more");
    let found = repo.find();
    assert_eq!((found.introduced(0), found.removed(0)), (Some(added), Some(deleted)));
    assert_eq!(found.removed(1), Some(changed));
    assert!(!found.exposure(0).at_head && found.exposure(0).branches == 0 && !found.exposure(0).unreachable);
    assert!(!found.place(0).0.present);
}

#[test]
fn a_key_that_moves_to_another_file_was_not_removed() {
    let mut repo = Repo::new();
    repo.put("a", "old home of KEY-0");
    repo.write("b", "new home of KEY-0");
    let moved = repo.put("a", "clean");
    let found = repo.find();
    assert_eq!(found.removed(0), None);
    let mut places = found.places(0);
    places.sort_by_key(|p| p.present);
    assert_eq!(
        places.iter().map(|p| (found.path(p), p.present)).collect::<Vec<_>>(),
        [("a".to_owned(), false), ("b".to_owned(), true)]
    );
    assert_eq!(found.commit(&places[1]), Some(moved));
}

#[test]
fn an_unmerged_branch_and_a_tag_alone() {
    let mut repo = Repo::new();
    repo.put("a", "start");
    repo.git(&["checkout", "-q", "-b", "side"]);
    let side = repo.put("b", "KEY-0");
    repo.git(&["checkout", "-q", "-b", "tagged", "main"]);
    let tagged = repo.put("c", "KEY-1");
    repo.git(&["tag", "-a", "-m", "release", "v1"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["branch", "-q", "-D", "tagged"]);
    let found = repo.find();
    let exposure = found.exposure(0);
    assert_eq!((found.introduced(0), found.removed(0)), (Some(side), None));
    assert_eq!((exposure.at_head, exposure.branches, exposure.unreachable), (false, 1, false));
    let exposure = found.exposure(1);
    assert_eq!((found.introduced(1), found.removed(1)), (Some(tagged), None));
    assert_eq!((exposure.at_head, exposure.branches, exposure.unreachable), (false, 0, false));
    assert_eq!((found.place(1).0.reach, found.place(1).0.present), (Reach::Refs, false));
}

/// A merge commit with its own content.
fn merge(repo: &mut Repo, branches: &[&str], path: &str, text: &str) -> String {
    repo.git(&[&["merge", "-q", "--no-commit", "--no-ff"], branches].concat());
    repo.put(path, text)
}

#[test]
fn content_that_only_a_merge_has() {
    for sides in [vec!["one"], vec!["one", "two", "three"]] {
        let mut repo = Repo::new();
        repo.put("a", "start");
        for side in &sides {
            repo.git(&["checkout", "-q", "-b", side, "main"]);
            repo.put(side, "text");
        }
        repo.git(&["checkout", "-q", "main"]);
        repo.put("own", "text");
        let merged = merge(&mut repo, &sides, "evil", "KEY-0");
        repo.put("more", "text");
        let found = repo.find();
        assert_eq!(found.introduced(0), Some(merged.clone()));
        assert_eq!(found.commit(&found.place(0).0), Some(merged));
    }
}

#[test]
fn merges_of_branches_that_still_have_it_removed_nothing() {
    let mut repo = Repo::new();
    repo.put("key", "KEY-0");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.put("b", "text");
    repo.git(&["checkout", "-q", "main"]);
    let removed = repo.put("key", "cleaned");
    merge(&mut repo, &["side"], "c", "text");
    repo.git(&["branch", "-q", "-D", "side"]);
    let found = repo.find();
    assert_eq!(found.removed(0), Some(removed));
    // A merge that drops what only one side had: nothing else removed it.
    let mut repo = Repo::new();
    repo.put("a", "text");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.put("key", "KEY-0");
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-s", "ours", "-m", "theirs is dropped", "side"]);
    let dropped = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["branch", "-q", "-D", "side"]);
    assert_eq!(repo.find().removed(0), Some(dropped));
}

#[test]
fn dangling_objects() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    repo.run(&["hash-object", "-w", "--stdin"], b"KEY-0");
    let blob = String::from_utf8(repo.run(&["hash-object", "-w", "--stdin"], b"KEY-1")).unwrap();
    let inner =
        String::from_utf8(repo.run(&["mktree"], format!("100644 blob {}\tsecret.txt\n", blob.trim()).as_bytes()))
            .unwrap();
    repo.run(&["mktree"], format!("040000 tree {}\tlost\n", inner.trim()).as_bytes());
    let found = repo.find();
    let (place, path) = found.place(0);
    assert_eq!((place.kind, place.reach, place.commit, path.as_str()), (PlaceKind::Dangling, Reach::Nothing, None, ""));
    assert!(found.exposure(0).unreachable && found.exposure(0).introduced.is_none());
    let (place, path) = found.place(1);
    assert_eq!((place.kind, place.commit, path.as_str()), (PlaceKind::Dangling, None, "lost/secret.txt"));
}

#[test]
fn the_stash_is_reached_and_removes_nothing() {
    let mut repo = Repo::new();
    repo.put("a", "KEY-2");
    for n in 0..2 {
        repo.write("a", &format!("stashed KEY-{n}"));
        repo.now += 60;
        repo.git(&["stash", "push", "-q"]);
    }
    let found = repo.find();
    for n in 0..2 {
        assert_eq!((found.place(n).0.reach, found.exposure(n).unreachable), (Reach::Refs, false), "{n}");
        assert!(found.exposure(n).introduced.is_some() && found.exposure(n).removed.is_none());
    }
    // The stashed trees lack this one, which no line of work removed.
    assert_eq!((found.removed(2), found.exposure(2).at_head), (None, true));
}

#[test]
fn what_only_a_reflog_reaches_and_what_nothing_reaches() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    let lost = repo.put("key", "KEY-0");
    repo.git(&["reset", "-q", "--hard", "HEAD^"]);
    repo.put("b", "text");
    let found = repo.find();
    assert_eq!((found.place(0).0.reach, found.introduced(0)), (Reach::Reflog, Some(lost.clone())));
    assert!(found.exposure(0).unreachable);
    assert_eq!(found.exposure(0).warnings, ["reachable only from a reflog"]);
    repo.git(&["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
    repo.remove(".git/ORIG_HEAD");
    let found = repo.find();
    assert_eq!((found.place(0).0.reach, found.introduced(0)), (Reach::Nothing, Some(lost)));
    assert!(found.exposure(0).unreachable && found.exposure(0).warnings.is_empty());
}

#[test]
fn rewritten_history_is_told() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    let first = repo.put("key", "KEY-0");
    repo.now += 3600;
    repo.git(&["commit", "-q", "--amend", "-m", "again"]);
    let second = repo.git(&["rev-parse", "HEAD"]);
    let found = repo.find();
    assert_eq!(found.introduced(0), Some(second));
    let warning = &found.exposure(0).warnings[0];
    assert!(
        warning.contains("rewritten") && warning.contains(&first[..10]) && warning.contains("2023-11-14"),
        "{warning}"
    );
    assert!(!found.exposure(0).unreachable);
}

#[test]
fn notes_messages_and_tags() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    repo.git(&["notes", "add", "-m", "KEY-0"]);
    let commit = repo.commit("message with KEY-1");
    repo.git(&["tag", "-a", "-m", "tag with KEY-2", "v1"]);
    repo.commit("clean");
    let found = repo.find();
    assert_eq!((found.place(0).0.kind, found.place(0).0.reach), (PlaceKind::Blob, Reach::Refs));
    assert_eq!((found.place(1).0.kind, found.commit(&found.place(1).0)), (PlaceKind::Commit, Some(commit.clone())));
    assert_eq!((found.introduced(1), found.exposure(1).unreachable), (Some(commit), false));
    assert!(found.exposure(1).warnings[0].contains("no later commit removes"));
    assert_eq!((found.place(2).0.kind, found.place(2).0.reach), (PlaceKind::Tag, Reach::Refs));
    assert_eq!(found.commit(&found.place(2).0), found.introduced(1));
    assert!(!found.exposure(2).unreachable);
    repo.git(&["tag", "-d", "v1"]);
    assert!(repo.find().exposure(2).unreachable);
}

#[test]
fn tags_of_trees_and_blobs() {
    let mut repo = Repo::new();
    repo.put("dir/key", "KEY-0");
    let tree = repo.git(&["rev-parse", "HEAD:dir"]);
    let blob = String::from_utf8(repo.run(&["hash-object", "-w", "--stdin"], b"KEY-1")).unwrap();
    repo.git(&["tag", "-a", "-m", "a tree", "tree", &tree]);
    repo.git(&["tag", "-a", "-m", "a blob", "blob", blob.trim()]);
    let found = repo.find();
    let paths: Vec<String> = found.places(0).iter().map(|p| found.path(p)).collect();
    assert_eq!(paths, ["dir/key", "key"]);
    assert_eq!((found.place(1).0.kind, found.place(1).0.reach), (PlaceKind::Blob, Reach::Refs));
    assert!(!found.exposure(1).unreachable && found.exposure(1).introduced.is_none());
}

#[test]
fn the_index_alone() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    repo.write("dir/staged", "KEY-0");
    repo.git(&["add", "-A"]);
    repo.write("dir/staged", "changed again");
    let found = repo.find();
    let (place, path) = found.place(0);
    assert_eq!((place.kind, place.reach, path.as_str()), (PlaceKind::Index, Reach::Refs, "dir/staged"));
    assert!(!found.exposure(0).unreachable && found.exposure(0).introduced.is_none());
}

#[test]
fn a_renamed_file_has_two_paths() {
    let mut repo = Repo::new();
    let added = repo.put("old", "KEY-0");
    repo.git(&["mv", "old", "new"]);
    let moved = repo.commit("rename");
    let found = repo.find();
    let places: Vec<_> = found.places(0).iter().map(|p| (found.path(p), found.commit(p).unwrap(), p.present)).collect();
    assert_eq!(places, [("old".to_owned(), added.clone(), false), ("new".to_owned(), moved, true)]);
    assert_eq!((found.introduced(0), found.removed(0)), (Some(added), None));
}

#[test]
fn removed_and_brought_back_and_removed() {
    let mut repo = Repo::new();
    let first = repo.put("key", "KEY-0");
    repo.put("key", "clean");
    repo.put("other", "KEY-0 again");
    assert_eq!((repo.find().introduced(0), repo.find().removed(0)), (Some(first.clone()), None));
    let last = repo.put("other", "clean");
    repo.put("more", "text");
    let found = repo.find();
    assert_eq!((found.introduced(0), found.removed(0)), (Some(first), Some(last)));
}

#[test]
fn removed_on_one_branch_only() {
    let mut repo = Repo::new();
    repo.put("key", "KEY-0");
    for branch in ["b1", "b2"] {
        repo.git(&["branch", branch]);
    }
    repo.put("key", "clean");
    // A remote's branch of the same name is the same branch; its HEAD is none.
    let old = repo.git(&["rev-parse", "b1"]);
    repo.git(&["update-ref", "refs/remotes/origin/b1", &old]);
    repo.git(&["update-ref", "refs/remotes/origin/b3", &old]);
    repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/b3"]);
    repo.git(&["pack-refs", "--all"]);
    let found = repo.find();
    let exposure = found.exposure(0);
    assert_eq!((exposure.at_head, exposure.branches, found.removed(0)), (false, 3, None));
    assert!(found.place(0).0.present);
}

#[test]
fn implausible_dates_are_told() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    repo.now = 1000;
    repo.put("b", "KEY-0");
    repo.now = START + 500 * 24 * 3600;
    repo.put("c", "KEY-1");
    repo.now = START;
    repo.put("d", "KEY-2");
    let found = repo.find();
    let warnings = |n: u32| found.exposure(n).warnings.join("; ");
    assert!(warnings(0).contains("before 1980") && warnings(0).contains("before its parent"), "{}", warnings(0));
    assert!(warnings(1).contains("in the future") && !warnings(1).contains("parent"), "{}", warnings(1));
    assert!(warnings(2).contains("before its parent") && !warnings(2).contains("1980"), "{}", warnings(2));
}

#[test]
fn a_shallow_clone_says_where_history_ends() {
    let mut repo = Repo::new();
    repo.put("key", "KEY-0");
    repo.put("a", "text");
    let last = repo.put("b", "KEY-1");
    let url = format!("file://{}", repo.dir.display());
    repo.git(&["clone", "-q", "--depth", "1", &url, "../shallow"]);
    let found = repo.beside("shallow").find();
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    assert_eq!(found.introduced(0), Some(last));
    assert!(found.exposure(0).warnings[0].contains("history ends"));
    assert_eq!((found.exposure(0).at_head, found.exposure(0).branches), (true, 1));
}

#[test]
fn linked_worktrees_have_their_own_head_and_index() {
    let mut repo = Repo::new();
    repo.put("a", "text");
    repo.git(&["worktree", "add", "-q", "--detach", "../linked"]);
    let mut linked = repo.beside("linked");
    let detached = linked.put("key", "KEY-0");
    let found = linked.find();
    assert_eq!((found.introduced(0), found.exposure(0).at_head), (Some(detached.clone()), true));
    let found = repo.find();
    assert_eq!((found.introduced(0), found.exposure(0).at_head), (Some(detached), false));
    assert!(!found.exposure(0).unreachable);
}

#[test]
fn submodules_are_no_error() {
    let mut inner = Repo::new();
    inner.put("key", "KEY-0");
    let mut outer = Repo::new();
    outer.put("a", "KEY-0");
    outer.git(&["submodule", "--quiet", "add", &format!("file://{}", inner.dir.display()), "lib"]);
    outer.commit("submodule");
    let found = outer.find();
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    assert_eq!(found.place(0).1, "a");
    let mut module = outer.beside("repo");
    module.dir = outer.dir.join("lib");
    assert_eq!(module.find().place(0).1, "key");
}

#[test]
fn sha_256() {
    let mut repo = Repo::with(&["--object-format=sha256"]);
    let added = repo.put("dir/key", "KEY-0");
    let removed = repo.put("dir/key", "clean");
    repo.git(&["repack", "-q", "-a", "-d"]);
    let found = repo.find();
    assert_eq!(added.len(), 64);
    assert_eq!((found.introduced(0), found.removed(0)), (Some(added), Some(removed)));
}

#[test]
fn packing_changes_nothing() {
    let mut repo = Repo::new();
    for n in 0..30 {
        let many: String = (0..50).map(|i| format!("{}\n", (i * 7 + n) % 50)).collect();
        repo.put(&format!("d{}/f{n}", n % 3), &format!("{many} KEY-{}", n % 5));
    }
    let seen = |repo: &Repo| {
        let found = repo.find();
        (0..5)
            .map(|n| format!("{:?} {:?} {:?}", found.exposure(n), found.places(n).len(), found.notes))
            .collect::<Vec<_>>()
    };
    let loose = seen(&repo);
    repo.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    assert_eq!(seen(&repo), loose);
    assert!(loose[0].ends_with("6 []"), "{}", loose[0]);
}
