//! A secret is found wherever git can hold it, and its place is told: the binary on repositories made by git.
#![allow(clippy::unwrap_used)]

use crate::support::*;

/// Text with the token in line 3.
fn third(token: &str) -> String {
    format!("# settings\nname = demo\nkey = \"{token}\"\nend\n")
}

#[test]
fn an_ordinary_commit() {
    let (mut repo, token) = (Repo::new(), pat("ordinary"));
    repo.put("README", "nothing");
    let added = repo.put("src/settings.py", third(&token));
    repo.put("README", "something");
    let scan = scan(&repo.dir);
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit()), (("blob", "src/settings.py", 3), added.as_str()));
    assert_eq!((place.column, place.reachable, place.present), (8, Some(true), Some(true)));
    let blob = repo.git(&["rev-parse", "HEAD:src/settings.py"]);
    assert_eq!(place.object.as_deref(), Some(blob.as_str()));
    let exposure = &scan.finding()["exposure"];
    assert_eq!(exposure["introduced"]["id"], added.as_str());
    assert_eq!((&exposure["removed"], &exposure["at_head"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!(exposure["introduced"]["author"]["email"], "a@example.org");
}

#[test]
fn a_file_deleted_later() {
    let (mut repo, token) = (Repo::new(), pat("deleted"));
    let added = repo.put("deploy/key.env", third(&token));
    repo.remove("deploy/key.env");
    let removed = repo.commit("clean up");
    repo.put("README", "more");
    let scan = scan(&repo.dir);
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit()), (("blob", "deploy/key.env", 3), added.as_str()));
    assert_eq!((place.reachable, place.present), (Some(true), Some(false)));
    assert_eq!(scan.finding()["exposure"]["removed"]["id"], removed.as_str());
}

#[test]
fn an_unmerged_branch() {
    let (mut repo, token) = (Repo::new(), pat("branch"));
    repo.put("a", "start");
    repo.git(&["checkout", "-q", "-b", "feature/x"]);
    let added = repo.put("b", third(&token));
    repo.git(&["checkout", "-q", "main"]);
    let scan = scan(&repo.dir);
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit(), place.reachable), (("blob", "b", 3), added.as_str(), Some(true)));
    assert_eq!(
        (&scan.finding()["exposure"]["at_head"], &scan.finding()["exposure"]["branches"]),
        (&false.into(), &1.into())
    );
}

#[test]
fn reachable_only_from_a_tag() {
    for annotated in [false, true] {
        let (mut repo, token) = (Repo::new(), pat("tag"));
        repo.put("a", "start");
        repo.git(&["checkout", "-q", "-b", "gone"]);
        let added = repo.put("b", third(&token));
        repo.git(if annotated { &["tag", "-a", "-m", "release", "v1"] } else { &["tag", "v1"] });
        repo.git(&["checkout", "-q", "main"]);
        repo.git(&["branch", "-q", "-D", "gone"]);
        std::fs::remove_dir_all(repo.dir.join(".git/logs")).unwrap();
        let scan = scan(&repo.dir);
        let place = scan.sole(&token);
        assert_eq!((place.at(), place.commit(), place.reachable), (("blob", "b", 3), added.as_str(), Some(true)));
    }
}

#[test]
fn content_that_only_a_merge_commit_has() {
    for sides in [&["one"][..], &["one", "two", "three"]] {
        let (mut repo, token) = (Repo::new(), pat("merge"));
        repo.put("a", "start");
        for side in sides {
            repo.git(&["checkout", "-q", "-b", side, "main"]);
            repo.put(side, "text");
        }
        repo.git(&["checkout", "-q", "main"]);
        repo.put("own", "text");
        repo.git(&[&["merge", "-q", "--no-commit", "--no-ff"], sides].concat());
        let merge = repo.put("evil", third(&token));
        assert_eq!(repo.git(&["log", "-1", "--format=%P"]).split(' ').count(), sides.len() + 1);
        repo.remove("evil");
        repo.commit("never mind");
        let scan = scan(&repo.dir);
        let place = scan.sole(&token);
        assert_eq!((place.at(), place.commit()), (("blob", "evil", 3), merge.as_str()));
    }
}

#[test]
fn a_dangling_blob() {
    let (mut repo, token) = (Repo::new(), pat("dangling"));
    repo.put("a", "text");
    let blob = repo.blob(third(&token));
    let scan = scan(&repo.dir);
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit.as_ref(), place.reachable), (("dangling", "", 3), None, Some(false)));
    assert_eq!(place.object.as_deref(), Some(blob.as_str()));
    assert_eq!(scan.finding()["exposure"]["unreachable"], true);
}

#[test]
fn a_stash() {
    let (mut repo, token, untracked) = (Repo::new(), pat("stash"), pat("stashed untracked"));
    repo.put("a", "text");
    repo.write("a", third(&token));
    repo.write("new", third(&untracked));
    repo.git(&["stash", "push", "-q", "-u"]);
    let scan = scan(&repo.dir);
    assert_eq!((scan.code, scan.places.len()), (1, 2));
    let place = scan.one(&token);
    assert_eq!((place.at(), place.reachable), (("blob", "a", 3), Some(true)));
    assert_eq!(place.commit(), repo.git(&["rev-parse", "stash@{0}"]));
    let place = scan.one(&untracked);
    assert_eq!((place.at(), place.commit()), (("blob", "new", 3), repo.git(&["rev-parse", "stash@{0}^3"]).as_str()));
}

#[test]
fn a_commit_that_only_a_reflog_names() {
    let (mut repo, token) = (Repo::new(), pat("reflog"));
    repo.put("a", "text");
    let lost = repo.put("b", third(&token));
    repo.git(&["reset", "-q", "--hard", "HEAD^"]);
    repo.put("c", "text");
    let scan = scan(&repo.dir);
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit(), place.reachable), (("blob", "b", 3), lost.as_str(), Some(false)));
}

#[test]
fn notes() {
    let (mut repo, token) = (Repo::new(), pat("notes"));
    repo.put("a", "text");
    repo.git(&["notes", "add", "-m", &third(&token)]);
    let scan = scan(&repo.dir);
    let place = scan.sole(&token);
    assert_eq!((place.kind.as_str(), place.line, place.reachable), ("blob", 3, Some(true)));
    assert_eq!(place.commit(), repo.git(&["rev-parse", "refs/notes/commits"]));
}

#[test]
fn messages_of_commits_and_tags() {
    let (mut repo, message, tag) = (Repo::new(), pat("message"), pat("tag message"));
    repo.put("a", "text");
    let commit = repo.commit(&format!("rotate\n\nthe old one was {message}"));
    repo.git(&["tag", "-a", "-m", &format!("release\n\nwith {tag}"), "v1"]);
    repo.remove(".git/COMMIT_EDITMSG");
    let scan = scan(&repo.dir);
    assert_eq!((scan.code, scan.places.len()), (1, 2));
    let place = scan.one(&message);
    // Four lines of headers and an empty one stand before each message.
    assert_eq!((place.at(), place.commit(), place.rule.as_str()), (("commit", "", 8), commit.as_str(), PAT));
    let place = scan.one(&tag);
    assert_eq!(
        (place.at(), place.object.as_deref().unwrap()),
        (("tag", "", 8), repo.git(&["rev-parse", "v1"]).as_str())
    );
}

#[test]
fn files_that_are_not_committed() {
    let (mut repo, words) = (Repo::new(), ["staged", "modified", "untracked", "staged and gone", "clean"]);
    let [staged, modified, untracked, gone, clean] = words.map(pat);
    repo.put("modified", "text");
    let commit = repo.put("clean", third(&clean));
    repo.write("dir/staged", third(&staged));
    repo.write("gone", third(&gone));
    repo.git(&["add", "-A"]);
    repo.write("gone", "changed again");
    repo.write("modified", third(&modified));
    repo.write("dir/untracked", third(&untracked));
    let scan = scan(&repo.dir);
    assert_eq!(scan.code, 1);
    assert_eq!(scan.one(&modified).at(), ("file", "modified", 3));
    assert_eq!(scan.one(&untracked).at(), ("file", "dir/untracked", 3));
    assert_eq!(scan.one(&gone).at(), ("index", "gone", 3));
    let kinds: Vec<_> = scan.of(&staged).iter().map(|p| p.at()).collect();
    assert!(kinds.contains(&("index", "dir/staged", 3)), "{kinds:?}");
    let place = scan.of(&clean)[0];
    assert_eq!((place.at(), place.commit()), (("blob", "clean", 3), commit.as_str()));
    assert!(scan.places.iter().all(|p| p.kind != "file" || p.commit.is_none()));
}

#[test]
fn what_gitignore_leaves_out_is_counted() {
    let (mut repo, token, tracked) = (Repo::new(), pat("ignored"), pat("ignored but tracked"));
    repo.put(".gitignore", "*.env\nbuild/\n");
    repo.write("forced.env", "text");
    repo.git(&["add", "-f", "forced.env"]);
    repo.commit("forced");
    repo.write("a/local.env", third(&token));
    repo.write("build/out", third(&token));
    repo.write("forced.env", third(&tracked));
    let left_out = scan(&repo.dir);
    assert_eq!(left_out.sole(&tracked).at(), ("file", "forced.env", 3));
    assert_eq!(left_out.count("git-ignored"), 2);
    assert!(left_out.stderr.contains("2 entries left out by .gitignore"), "{}", left_out.stderr);
    let all = scan_with(&repo.dir, &["--no-ignore"]);
    let paths: Vec<_> = all.of(&token).iter().map(|p| p.at()).collect();
    assert_eq!((all.code, paths), (1, vec![("file", "a/local.env", 3), ("file", "build/out", 3)]));
    assert_eq!(all.count("git-ignored"), 0);
}

#[test]
fn links_to_submodules_and_pointers_to_large_files_are_no_error() {
    let (mut repo, token) = (Repo::new(), pat("links"));
    repo.put("a", third(&token));
    let foreign = "1".repeat(40);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{foreign},vendor/lib")]);
    repo.write(".gitmodules", "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = https://example.org/lib\n");
    let oid = "4d7a2146".repeat(8);
    repo.write("big.bin", format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n"));
    repo.git(&["add", ".gitmodules", "big.bin"]);
    repo.git(&["commit", "-q", "-m", "links"]);
    std::os::unix::fs::symlink("a", repo.dir.join("link")).unwrap();
    repo.git(&["add", "link"]);
    repo.git(&["commit", "-q", "-m", "symbolic link"]);
    let scan = scan(&repo.dir);
    assert_eq!(scan.sole(&token).at(), ("blob", "a", 3));
    assert_eq!((scan.count("git-missing"), scan.count("git-damaged")), (0, 0));
}

#[test]
fn a_credential_in_many_places_is_one_finding() {
    let (mut repo, token, other) = (Repo::new(), pat("many places"), pat("beside"));
    repo.put("one", third(&token));
    repo.put("two", format!("{}\n{}", third(&token), third(&other)));
    repo.write("three", format!("{token} {token}"));
    let scan = scan(&repo.dir);
    assert_eq!(scan.report["findings"].as_array().unwrap().len(), 2);
    let mut paths: Vec<_> = scan.of(&token).iter().map(|p| (p.path.as_str(), p.line, p.column)).collect();
    paths.sort_unstable();
    assert_eq!(paths, [("one", 3, 8), ("three", 1, 1), ("three", 1, 42), ("two", 3, 8)]);
    assert_eq!(scan.one(&other).line, 8);
}
