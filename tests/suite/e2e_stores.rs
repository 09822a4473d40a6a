//! However objects are stored and whatever kind of repository holds them, the same is found.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::support::*;

/// A history with deltas to be made of: a long file that changes, with one token for a while and another one for good.
struct History {
    repo: Repo,
    gone: String,
    stays: String,
    added: String,
}

fn text(keys: &[&str]) -> String {
    let mut text: String = (0..200).map(|n| format!("line {n} of a file that git stores as a delta\n")).collect();
    for key in keys {
        text += &format!("key = {key}\n");
    }
    text
}

fn history(word: &str, options: &[&str]) -> History {
    history_with(word, options, |_| {})
}

/// Calls `between` after each commit.
fn history_with(word: &str, options: &[&str], between: impl Fn(&Repo)) -> History {
    let (gone, stays) = (pat(&format!("{word} gone")), pat(&format!("{word} stays")));
    let mut repo = Repo::with(options);
    repo.put("conf/app.ini", text(&[]));
    between(&repo);
    let added = repo.put("conf/app.ini", text(&[&gone]));
    between(&repo);
    repo.put("conf/app.ini", text(&["none"]));
    between(&repo);
    repo.put("stays", format!("\n{stays}\n"));
    between(&repo);
    History { repo, gone, stays, added }
}

impl History {
    /// Both tokens are found where they are, in the target, and nothing else is.
    #[track_caller]
    fn found(&self, target: impl AsRef<std::ffi::OsStr>) -> Scan {
        let scan = scan(target);
        self.check(&scan);
        scan
    }

    #[track_caller]
    fn check(&self, scan: &Scan) {
        assert_eq!((scan.code, scan.places.len()), (1, 2), "{:#?}\n{}", scan.places, scan.stderr);
        let place = scan.one(&self.gone);
        assert_eq!((place.rule.as_str(), place.at()), (PAT, ("blob", "conf/app.ini", 201)));
        assert_eq!((place.commit(), place.present), (self.added.as_str(), Some(false)));
        let place = scan.one(&self.stays);
        assert_eq!((place.at(), place.commit()), (("blob", "stays", 2), self.repo.head().as_str()));
    }
}

#[test]
fn loose_objects_only() {
    let h = history("loose", &[]);
    assert_eq!((h.repo.objects(".pack").len(), h.repo.loose() > 10), (0, true));
    h.found(&h.repo.dir);
}

#[test]
fn one_pack_with_deltas() {
    let h = history("pack", &[]);
    h.repo.git(&["gc", "-q", "--prune=now"]);
    let packs = h.repo.objects(".pack");
    assert_eq!((packs.len(), h.repo.loose()), (1, 0));
    let listed = h.repo.git(&["verify-pack", "-v", packs[0].to_str().unwrap()]);
    assert!(listed.contains("chain length = 1"), "{listed}");
    h.found(&h.repo.dir);
}

#[test]
fn several_packs() {
    let h = history_with("packs", &[], |repo| {
        repo.git(&["repack", "-q", "-d"]);
    });
    assert_eq!((h.repo.objects(".pack").len(), h.repo.loose()), (4, 0));
    h.found(&h.repo.dir);
    h.repo.git(&["multi-pack-index", "write"]);
    h.found(&h.repo.dir);
}

#[test]
fn packs_with_indexes_of_version_one() {
    let h = history("version one", &[]);
    h.repo.git(&["-c", "pack.indexVersion=1", "repack", "-q", "-a", "-d"]);
    h.found(&h.repo.dir);
}

#[test]
fn alternates() {
    let h = history("alternates", &[]);
    h.repo.git(&["clone", "-q", "--shared", ".", "../borrower"]);
    let mut borrower = h.repo.beside("borrower");
    assert_eq!((borrower.loose(), borrower.objects(".pack").len()), (0, 0));
    borrower.settle();
    h.found(&borrower.dir);
    let own = pat("alternates own");
    borrower.now = h.repo.now;
    let added = borrower.put("own", &own);
    let scan = scan(&borrower.dir);
    assert_eq!((scan.code, scan.places.len()), (1, 3));
    assert_eq!((scan.one(&own).at(), scan.one(&own).commit()), (("blob", "own", 1), added.as_str()));
    assert_eq!(scan.one(&h.gone).commit(), h.added);
}

#[test]
fn alternates_that_are_gone() {
    let h = history("lost alternates", &[]);
    h.repo.git(&["clone", "-q", "--shared", ".", "../borrower"]);
    let mut borrower = h.repo.beside("borrower");
    let own = pat("lost alternates own");
    borrower.put("own", &own);
    std::fs::remove_dir_all(&h.repo.dir).unwrap();
    let scan = scan(&borrower.dir);
    assert_eq!((scan.code, scan.has(&own)), (3, true), "{}", scan.stderr);
}

#[test]
fn a_sha_256_repository() {
    let h = history("sha256", &["--object-format=sha256"]);
    assert_eq!(h.added.len(), 64);
    // Its index is not read: the files of the work tree are scanned besides.
    let loose = scan(&h.repo.dir);
    let place = loose.one(&h.gone);
    assert_eq!((loose.code, place.at(), place.commit()), (1, ("blob", "conf/app.ini", 201), h.added.as_str()));
    h.repo.git(&["gc", "-q", "--prune=now"]);
    h.found(h.repo.dir.join(".git"));
}

#[test]
fn a_shallow_clone() {
    let h = history("shallow", &[]);
    let url = format!("file://{}", h.repo.dir.display());
    h.repo.git(&["clone", "-q", "--depth=1", &url, "../shallow"]);
    let shallow = h.repo.beside("shallow");
    shallow.settle();
    let scan = scan(&shallow.dir);
    let place = scan.sole(&h.stays);
    assert_eq!((place.at(), place.commit()), (("blob", "stays", 2), h.repo.head().as_str()));
    assert_eq!(scan.count("git-shallow"), 1);
}

#[test]
fn a_partial_clone() {
    let h = history("partial", &[]);
    h.repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", h.repo.dir.display());
    h.repo.git(&["clone", "-q", "--filter=blob:none", &url, "../partial"]);
    let partial = h.repo.beside("partial");
    partial.settle();
    let before = partial.objects("");
    let scan = scan(&partial.dir);
    let place = scan.sole(&h.stays);
    assert_eq!((place.at(), place.commit()), (("blob", "stays", 2), h.repo.head().as_str()));
    assert_eq!(scan.count("git-partial"), 1, "{:?}", scan.report["notes"]);
    assert_eq!(partial.objects(""), before, "nothing is fetched");
}

#[test]
fn a_linked_work_tree() {
    let h = history("linked", &[]);
    h.repo.git(&["worktree", "add", "-q", "-b", "other", "../linked"]);
    let mut linked = h.repo.beside("linked");
    linked.settle();
    let (own, draft) = (pat("linked own"), pat("linked draft"));
    linked.now = h.repo.now;
    let added = linked.put("own", &own);
    linked.write("draft", &draft);
    let scan_linked = scan(&linked.dir);
    assert_eq!((scan_linked.code, scan_linked.places.len()), (1, 4), "{:#?}", scan_linked.places);
    assert_eq!((scan_linked.one(&own).at(), scan_linked.one(&own).commit()), (("blob", "own", 1), added.as_str()));
    assert_eq!(scan_linked.one(&draft).at(), ("file", "draft", 1));
    assert_eq!(scan_linked.one(&h.gone).commit(), h.added);
    // From the main work tree, the history of the other one is seen, its files are not.
    let scan_main = scan(&h.repo.dir);
    assert_eq!((scan_main.places.len(), scan_main.has(&own), scan_main.has(&draft)), (3, true, false));
}

#[test]
fn a_submodule() {
    let h = history("submodule", &[]);
    let mut outer = h.repo.beside("outer");
    std::fs::create_dir(&outer.dir).unwrap();
    outer.git(&["init", "-q", "-b", "main"]);
    let url = h.repo.dir.to_str().unwrap().to_owned();
    outer.git(&["submodule", "--quiet", "add", &url, "vendor/lib"]);
    let token = pat("outer");
    let commit = outer.put("own", &token);
    h.repo.beside("outer/vendor/lib").settle();
    let draft = pat("submodule draft");
    outer.write("vendor/lib/draft", &draft);
    // The submodule as a target is a repository of its own.
    let inner = scan(outer.dir.join("vendor/lib"));
    assert_eq!((inner.code, inner.places.len()), (1, 3), "{:#?}", inner.places);
    assert_eq!(
        (inner.one(&h.gone).at(), inner.one(&h.gone).commit()),
        (("blob", "conf/app.ini", 201), h.added.as_str())
    );
    assert_eq!(inner.one(&draft).at(), ("file", "draft", 1));
    // From outside its files are seen.
    let all = scan(&outer.dir);
    assert_eq!((all.code, all.one(&token).commit()), (1, commit.as_str()));
    assert_eq!(all.one(&draft).at(), ("file", "vendor/lib/draft", 1));
    assert!(all.of(&h.stays).iter().any(|p| p.path == "vendor/lib/stays"), "{:#?}", all.places);
}

#[test]
fn a_bare_repository_and_a_git_folder() {
    let h = history("bare", &[]);
    h.found(h.repo.dir.join(".git"));
    h.repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let scan = h.found(h.repo.top().join("bare.git"));
    assert_eq!(scan.report["targets"][0]["kind"], "bare-repository");
}

#[test]
fn a_file_url() {
    let h = history("url", &[]);
    let path = h.repo.dir.to_str().unwrap().replace("repo", "%72epo");
    h.found(format!("file://{path}"));
    h.found(format!("file://localhost{path}/.git"));
}

#[test]
fn the_current_folder_and_a_folder_inside() {
    let h = history("inside", &[]);
    let none: [&str; 0] = [];
    h.check(&unsprawl(none).dir(&h.repo.dir).scan());
    // A folder of a work tree is a folder: its files alone.
    let inside = scan(h.repo.dir.join("conf"));
    inside.clean();
    let several = unsprawl([h.repo.dir.join("stays"), h.repo.dir.join("conf")]).scan();
    let place = several.sole(&h.stays);
    assert_eq!((place.kind.as_str(), place.line), ("file", 2));
    assert!(place.path.ends_with("stays"), "{place:?}");
}

#[test]
fn a_work_tree_without_history_is_scanned_all_the_same() {
    let (repo, token) = (Repo::new(), pat("unborn"));
    repo.write("draft", &token);
    assert_eq!(scan(&repo.dir).sole(&token).at(), ("file", "draft", 1));
    let empty = Repo::with(&["--bare"]);
    scan(&empty.dir).clean();
}

#[test]
fn a_moved_linked_work_tree_is_scanned_as_files() {
    let h = history("moved", &[]);
    h.repo.git(&["worktree", "add", "-q", "../linked"]);
    let linked = h.repo.top().join("linked");
    std::fs::write(linked.join(".git"), "gitdir: /nowhere/at/all\n").unwrap();
    let scan = scan(&linked);
    assert_eq!((scan.code, scan.places.len()), (3, 1), "{}", scan.stderr);
    assert_eq!(scan.one(&h.stays).at(), ("file", "stays", 2));
}

/// Files below a folder, to see that a scan leaves none behind.
fn listing(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                todo.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_scan_changes_nothing_in_the_repository() {
    let h = history("untouched", &[]);
    h.repo.write("draft", "text");
    let state = |paths: &[std::path::PathBuf]| -> Vec<_> {
        paths.iter().map(|p| (p.clone(), p.symlink_metadata().unwrap().modified().unwrap())).collect()
    };
    let before = state(&listing(h.repo.top()));
    h.found(&h.repo.dir);
    assert_eq!(state(&listing(h.repo.top())), before);
}
