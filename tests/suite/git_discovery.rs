//! What a path is, which names a repository has, and which files its index vouches for.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::git_repo::{Loaded, Repo};
use unsprawl::model::NoteKind;
use unsprawl::notes::Notes;
use unsprawl::source::git::discover::{DiscoverError, Position, Repository, discover};
use unsprawl::source::git::refs::{RefClass, Refs};
use unsprawl::source::git::rev::{RevError, resolve};

fn found(path: impl AsRef<Path>) -> Repository {
    discover(path.as_ref()).unwrap().unwrap()
}

#[test]
fn every_kind_of_place() {
    let mut repo = Repo::new();
    repo.put("dir/sub/file", "text");
    let root = fs::canonicalize(&repo.dir).unwrap();

    let at_root = found(&repo.dir);
    assert_eq!(
        (at_root.position.clone(), at_root.work_dir.clone(), at_root.hash_len),
        (Position::Root, Some(root.clone()), 20)
    );
    assert!(at_root.is_target() && at_root.link.is_none() && !at_root.partial && !at_root.bare);

    let inside = found(repo.dir.join("dir/sub"));
    assert_eq!(
        (inside.position.clone(), inside.work_dir.clone()),
        (Position::Inside(PathBuf::from("dir/sub")), Some(root.clone()))
    );
    assert!(!inside.is_target());
    assert_eq!(found(repo.dir.join("dir/sub/file")).position, Position::Inside(PathBuf::from("dir/sub/file")));

    let git_dir = found(repo.dir.join(".git"));
    assert_eq!(
        (git_dir.position.clone(), git_dir.work_dir.clone(), git_dir.git_dir),
        (Position::GitDir, None, root.join(".git"))
    );
    assert!(discover(&repo.dir.join(".git/hooks")).unwrap().is_none());

    repo.git(&["clone", "-q", "--bare", ".", "../bare"]);
    let bare = found(repo.beside("bare").dir);
    assert!(bare.position == Position::GitDir && bare.bare && bare.is_target());

    repo.git(&["worktree", "add", "-q", "../linked"]);
    let linked = found(repo.beside("linked").dir);
    assert_eq!(linked.position, Position::Root);
    assert_eq!((linked.common_dir, linked.objects_dir), (root.join(".git"), root.join(".git/objects")));
    assert_eq!(linked.link, Some(root.join(".git/worktrees/linked")));
    assert_eq!(linked.git_dir, root.join(".git/worktrees/linked"));

    repo.git(&["submodule", "--quiet", "add", &format!("file://{}", root.display()), "lib"]);
    let module = found(repo.dir.join("lib"));
    assert_eq!((module.position, module.link), (Position::Root, Some(root.join(".git/modules/lib"))));

    assert!(discover(repo.dir.parent().unwrap()).unwrap().is_none());
    assert!(matches!(discover(Path::new("/nonexistent/path")), Err(DiscoverError::Unreadable(..))));
}

#[test]
fn the_configuration_says_only_how_objects_are_stored() {
    let repo = Repo::with(&["--object-format=sha256"]);
    assert_eq!(found(&repo.dir).hash_len, 32);
    let repo = Repo::new();
    let elsewhere = tempfile::tempdir().unwrap();
    repo.git(&["config", "core.worktree", elsewhere.path().to_str().unwrap()]);
    repo.git(&["config", "core.bare", "true"]);
    repo.git(&["config", "remote.origin.promisor", "true"]);
    let seen = found(&repo.dir);
    // A repository cannot hide its files by calling itself bare or by naming another folder.
    assert_eq!(seen.work_dir, Some(fs::canonicalize(&repo.dir).unwrap()));
    assert!(seen.partial);
}

#[test]
fn broken_and_hostile_git_files() {
    let top = tempfile::tempdir().unwrap();
    let dot_git = top.path().join(".git");
    fs::write(&dot_git, "gitdir: /nonexistent/place\n").unwrap();
    let error = discover(top.path()).unwrap_err();
    assert!(
        matches!(&error, DiscoverError::BrokenLink { target, .. } if target == Path::new("/nonexistent/place")),
        "{error}"
    );
    for text in ["", "gitdir:", "gitdir:   \n", "garbage", &"gitdir: x".repeat(10_000)] {
        fs::write(&dot_git, text).unwrap();
        assert!(discover(top.path()).unwrap().is_none(), "{text:.20}");
    }
    // A FIFO in the place of a file is not opened.
    fs::remove_file(&dot_git).unwrap();
    assert!(Command::new("mkfifo").arg(&dot_git).status().unwrap().success());
    assert!(discover(top.path()).unwrap().is_none());
    // A damaged HEAD hides nothing.
    let repo = Repo::new();
    repo.write(".git/HEAD", "???");
    assert_eq!(found(&repo.dir).position, Position::Root);
    // A plain folder with such names is no repository.
    for name in ["objects", "refs"] {
        fs::create_dir(top.path().join(name)).unwrap();
    }
    assert!(discover(top.path()).unwrap().is_none());
}

fn names(refs: &Refs) -> Vec<(String, RefClass)> {
    let mut seen: Vec<_> = refs.all.iter().map(|r| (String::from_utf8_lossy(&r.name).into_owned(), r.class)).collect();
    seen.dedup();
    seen
}

#[test]
fn all_names_loose_and_packed() {
    let mut repo = Repo::new();
    let first = repo.put("a", "text");
    repo.git(&["branch", "deep/er/name"]);
    repo.git(&["tag", "-a", "-m", "t", "v1"]);
    repo.git(&["notes", "add", "-m", "n"]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    repo.git(&["update-ref", "refs/pull/1/head", "HEAD"]);
    repo.write("a", "stashed");
    repo.git(&["stash", "-q"]);
    repo.git(&["pack-refs", "--all"]);
    let second = repo.put("a", "more");
    let expected = [
        ("HEAD", RefClass::Head),
        ("ORIG_HEAD", RefClass::Reflog),
        ("logs/HEAD", RefClass::Reflog),
        ("logs/refs/stash", RefClass::Stash),
        ("refs/heads/deep/er/name", RefClass::Branch),
        ("refs/heads/main", RefClass::Branch),
        ("refs/notes/commits", RefClass::Notes),
        ("refs/pull/1/head", RefClass::Other),
        ("refs/remotes/origin/HEAD", RefClass::RemoteBranch),
        ("refs/remotes/origin/main", RefClass::RemoteBranch),
        ("refs/stash", RefClass::Stash),
        ("refs/tags/v1", RefClass::Tag),
    ];
    let loaded = repo.load();
    let seen: Vec<_> = names(&loaded.refs).into_iter().filter(|(name, _)| name != "logs/refs/notes/commits").collect();
    assert_eq!(seen, expected.map(|(name, class)| (name.to_owned(), class)));
    let target = |name: &str| loaded.refs.get(name.as_bytes()).unwrap().target.to_string();
    // The loose ref hides the packed one; the tag is known both as an object and by what it stands for.
    assert_eq!(
        (target("refs/heads/main"), target("HEAD"), target("refs/heads/deep/er/name")),
        (second.clone(), second, first.clone())
    );
    assert_eq!(target("refs/tags/v1"), repo.git(&["rev-parse", "v1"]));
    assert_eq!(loaded.refs.get(b"refs/tags/v1").unwrap().peeled.unwrap().to_string(), first);
    assert_eq!(loaded.refs.get(b"refs/remotes/origin/HEAD").unwrap().branch(), None);
    assert_eq!(loaded.refs.get(b"refs/remotes/origin/main").unwrap().branch(), Some(&b"main"[..]));
    assert!(loaded.notes.take().1.is_empty());
}

#[test]
fn replaced_objects_are_told_and_ignored() {
    let mut repo = Repo::new();
    let first = repo.put("a", "KEY-0");
    let second = repo.put("a", "text");
    repo.git(&["replace", &second, &first]);
    let found = repo.find();
    assert_eq!(found.notes, [(NoteKind::Other, 1)]);
    assert_eq!((found.removed(0), found.exposure(0).at_head), (Some(second), false));
}

#[test]
fn hostile_refs() {
    let mut repo = Repo::new();
    let id = repo.put("a", "text");
    let refs = repo.dir.join(".git/refs");
    fs::write(refs.join("heads/esc\u{1b}[31m\nline"), &id).unwrap();
    fs::write(refs.join("heads/circle"), "ref: refs/heads/circle2").unwrap();
    fs::write(refs.join("heads/circle2"), "ref: refs/heads/circle").unwrap();
    fs::write(refs.join("heads/empty"), "").unwrap();
    fs::write(refs.join("heads/half.lock"), &id).unwrap();
    fs::write(refs.join("heads/huge"), vec![b'a'; 1 << 20]).unwrap();
    symlink("/etc/passwd", refs.join("heads/out")).unwrap();
    symlink("refs/heads/main", refs.join("heads/old-style")).unwrap();
    symlink("..", refs.join("heads/loop")).unwrap();
    assert!(Command::new("mkfifo").arg(refs.join("heads/fifo")).status().unwrap().success());
    let mut deep = refs.join("heads");
    for _ in 0..300 {
        deep = deep.join("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let packed = format!("# pack-refs with: peeled\n{id} refs/tags/t\n^{id}\n^{id}\n{id}refs/x\nshort refs/y\n{id} ");
    fs::write(repo.dir.join(".git/packed-refs"), packed.as_bytes()).unwrap();
    fs::write(repo.dir.join(".git/logs/HEAD"), format!("{} {id} x\nzz\n{id}", "0".repeat(40))).unwrap();

    let notes = Notes::default();
    let seen = Refs::load(&found(&repo.dir), &notes);
    let names: Vec<String> = names(&seen).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "HEAD",
            "logs/HEAD",
            "refs/heads/esc\u{1b}[31m\nline",
            "refs/heads/main",
            "refs/heads/old-style",
            "refs/tags/t"
        ]
    );
    let counts = notes.take().1;
    let of = |kind| counts.iter().find(|(k, _)| *k == kind).map_or(0, |(_, n)| *n);
    // Two circles, an empty ref, a huge one, three lines of packed-refs; links out; the FIFO; the depth.
    assert_eq!(
        (of(NoteKind::GitDamaged), of(NoteKind::Link), of(NoteKind::NotAFile), of(NoteKind::Other)),
        (7, 2, 1, 1)
    );
}

#[test]
fn revisions() {
    let mut repo = Repo::new();
    let ids: Vec<String> = (0..4).map(|n| repo.put("a", &format!("{n}"))).collect();
    repo.git(&["tag", "-a", "-m", "t", "v1", "HEAD~1"]);
    repo.git(&["update-ref", "refs/remotes/origin/far", &ids[0]]);
    repo.git(&["checkout", "-q", "-b", "side", &ids[0]]);
    let side = repo.put("b", "side");
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let merge = repo.git(&["rev-parse", "HEAD"]);
    let loaded = repo.load();
    let is = |rev: &str| resolve(&loaded.store, &loaded.refs, rev).map(|id| id.to_string());
    for (rev, id) in [
        ("HEAD", &merge),
        ("@", &merge),
        ("main", &merge),
        ("refs/heads/main", &merge),
        ("heads/main", &merge),
        ("HEAD^", &ids[3]),
        ("HEAD^1", &ids[3]),
        ("HEAD^2", &side),
        ("HEAD^0", &merge),
        ("HEAD~0", &merge),
        ("HEAD~2", &ids[2]),
        ("HEAD^2^", &ids[0]),
        ("HEAD^^~1", &ids[1]),
        ("v1", &ids[2]),
        ("v1^{commit}", &ids[2]),
        ("v1^{}~", &ids[1]),
        ("origin/far", &ids[0]),
        (&ids[1], &ids[1]),
        (&ids[1][..12], &ids[1]),
        (&ids[1][..11].to_uppercase(), &ids[1]),
        (&format!("{}^", &ids[1][..9]), &ids[0]),
    ] {
        assert_eq!(is(rev).as_ref(), Ok(id), "{rev}");
    }
    for rev in ["", "nothing", "zzzz", "abc", "v1x", "0000000000000000000000000000000000000000"] {
        assert!(matches!(is(rev), Err(RevError::Unknown(_))), "{rev}: {:?}", is(rev));
    }
    for rev in ["HEAD~9", "HEAD^3", "HEAD~99999999999999999999"] {
        assert!(matches!(is(rev), Err(RevError::NoParent(_))), "{rev}: {:?}", is(rev));
    }
    for rev in ["main@{1}", "a..b", "HEAD:a", "HEAD^x", "HEAD^{tree}", "HEAD^{}\u{e9}", "HEAD~1x"] {
        assert!(matches!(is(rev), Err(RevError::Unsupported(_))), "{rev}: {:?}", is(rev));
    }
    assert!(matches!(is(&repo.git(&["rev-parse", "HEAD:a"])), Err(RevError::NoCommit(_))));
}

#[test]
fn an_abbreviation_that_fits_two_commits() {
    let repo = Repo::new();
    let line = |n: u32| {
        format!(
            "commit refs/heads/x{n}\ncommitter A <a@b> {n} +0000\ndata 0\nfrom 0000000000000000000000000000000000000000\n\n"
        )
    };
    let script: String = (0..1500).map(line).collect();
    repo.run(&["fast-import", "--quiet"], script.as_bytes());
    let loaded = repo.load();
    let mut ids: Vec<String> = loaded.store.ids().map(|id| id.to_string()).collect();
    ids.sort();
    let (one, other) = ids.windows(2).map(|w| (&w[0], &w[1])).find(|(a, b)| a[..4] == b[..4]).unwrap();
    let error = resolve(&loaded.store, &loaded.refs, &one[..4]).unwrap_err();
    assert!(matches!(error, RevError::Ambiguous(..)), "{error}");
    assert_eq!(resolve(&loaded.store, &loaded.refs, one).unwrap().to_string(), *one);
    assert_ne!(one, other);
}

/// Whether the index vouches for a file.
fn unchanged(loaded: &Loaded, path: &str) -> bool {
    let file = loaded.repo.work_dir.as_ref().unwrap().join(path);
    let meta = fs::symlink_metadata(file).unwrap();
    loaded.tree.unchanged(path.as_bytes(), &meta, |id| loaded.store.header(id).ok().flatten().map(|(_, size)| size))
}

#[test]
fn the_index_vouches_only_for_what_it_can_know() {
    let mut repo = Repo::new();
    for name in ["same", "touched", "edited", "dir/same"] {
        repo.write(name, "some text");
    }
    repo.write(".gitattributes", "crlf text eol=crlf\n");
    repo.write("crlf", "line\r\n");
    symlink("same", repo.dir.join("link")).unwrap();
    // Git looks at a file and writes the index in the same moment: nothing is certain.
    repo.commit("all");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    repo.git(&["update-index", "--really-refresh"]);
    repo.write("later", "staged");
    repo.git(&["add", "later"]);
    repo.write("edited", "other txt");
    let file = fs::File::options().write(true).open(repo.dir.join("touched")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    repo.write("untracked", "x");
    let loaded = repo.load();
    assert!(loaded.tree.is_known());
    for (path, expected) in [
        ("same", true),
        ("dir/same", true),
        ("touched", false),
        ("edited", false),
        ("crlf", false),
        ("link", false),
        ("untracked", false),
    ] {
        assert_eq!(unchanged(&loaded, path), expected, "{path}");
    }
    // Same size, and its old time put back.
    let before = fs::metadata(repo.dir.join("same")).unwrap().modified().unwrap();
    repo.write("same", "SOME TEXT");
    fs::File::options().write(true).open(repo.dir.join("same")).unwrap().set_modified(before).unwrap();
    assert!(!unchanged(&loaded, "same"));
    // The blob is gone.
    let meta = fs::symlink_metadata(repo.dir.join("dir/same")).unwrap();
    assert!(!loaded.tree.unchanged(b"dir/same", &meta, |_| None));
}

#[test]
fn an_index_that_was_just_written_vouches_for_nothing_written_then() {
    let mut repo = Repo::new();
    repo.put("file", "text");
    let index = fs::File::options().write(true).open(repo.dir.join(".git/index")).unwrap();
    let written = fs::metadata(repo.dir.join("file")).unwrap().modified().unwrap();
    index.set_modified(written).unwrap();
    assert!(!unchanged(&repo.load(), "file"));
}

#[test]
fn an_index_that_cannot_be_read_vouches_for_nothing() {
    for (options, damage) in [(vec!["--object-format=sha256"], false), (vec![], true)] {
        let mut repo = Repo::with(&options);
        repo.put("file", "text");
        if damage {
            repo.write(".git/index", "garbage");
        }
        let loaded = repo.load();
        assert!(!loaded.tree.is_known() && loaded.tree.entries().is_empty());
        assert!(!unchanged(&loaded, "file"));
        assert_eq!(loaded.notes.take().1, [(NoteKind::Other, 1)]);
    }
    let repo = Repo::new();
    assert!(!repo.load().tree.is_known() && repo.load().notes.take().1.is_empty());
}

#[test]
fn nothing_that_is_configured_runs() {
    let mut repo = Repo::new();
    repo.put("key", "KEY-0");
    let mark = repo.dir.join("ran");
    let script = repo.dir.join("script");
    fs::write(&script, format!("#!/bin/sh\ntouch {}\ncat\n", mark.display())).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&script).status().unwrap().success());
    let run = script.to_str().unwrap();
    let hooks = repo.dir.join("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-checkout", "post-index-change", "reference-transaction", "pre-commit"] {
        fs::copy(&script, hooks.join(hook)).unwrap();
    }
    repo.write(".gitattributes", "* filter=f diff=d\n");
    let config = format!(
        "[core]\nfsmonitor = {run}\nhooksPath = {}\n[filter \"f\"]\nclean = {run}\nsmudge = {run}\nprocess = {run}\n\
         [diff \"d\"]\ntextconv = {run}\ncommand = {run}\n",
        hooks.display()
    );
    fs::write(repo.dir.join(".git/config"), config).unwrap();
    let found = repo.find();
    assert!(found.exposure(0).at_head);
    assert!(!unchanged(&found.loaded, ".gitattributes"));
    assert!(!mark.exists());
    repo.run(&["status"], b"");
    assert!(mark.exists(), "the test's own traps do not work");
}
