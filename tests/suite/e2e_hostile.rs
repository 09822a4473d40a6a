//! A scanned repository can make nothing run: each of its traps is shown to work with git, and then to be left alone.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::*;

/// A repository whose configuration, attributes and hooks all lead to a script that leaves a mark.
struct Trap {
    repo: Repo,
    token: String,
    marker: PathBuf,
}

const SETTINGS: &str = r#"
[core]
	fsmonitor = SCRIPT
	hooksPath = HOOKS
	sshCommand = SCRIPT
	gitProxy = SCRIPT
	askPass = SCRIPT
	pager = SCRIPT
	editor = SCRIPT
	alternateRefsCommand = SCRIPT
	attributesFile = ATTRIBUTES
[diff]
	external = SCRIPT
[diff "trap"]
	textconv = SCRIPT
	command = SCRIPT
[filter "trap"]
	clean = SCRIPT
	smudge = SCRIPT
	process = SCRIPT
	required = true
[merge "trap"]
	driver = SCRIPT
[alias]
	status = !SCRIPT
	log = !SCRIPT
	scan = !SCRIPT
[credential]
	helper = !SCRIPT
[gpg]
	program = SCRIPT
[uploadpack]
	packObjectsHook = SCRIPT
[remote "origin"]
	url = ext::SCRIPT
	uploadpack = SCRIPT
	promisor = true
	partialclonefilter = blob:none
	vcs = trap
[protocol "ext"]
	allow = always
[include]
	path = MORE
[includeIf "gitdir:**"]
	path = MORE
[safe]
	directory = *
"#;

fn trap() -> Trap {
    let mut repo = Repo::new();
    let token = pat("trap");
    let (marker, script) = (repo.top().join("marker"), repo.top().join("script"));
    write(&script, format!("#!/bin/sh\necho \"$0 $@\" >> {}\nexit 1\n", marker.display()));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.put("data.txt", format!("one\n{token}\n"));
    repo.put(".gitattributes", "* diff=trap filter=trap merge=trap\n");
    let hooks = repo.dir.join(".git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "pre-auto-gc",
        "fsmonitor-watchman",
        "query-watchman",
        "pre-commit",
    ] {
        std::os::unix::fs::symlink(&script, hooks.join(hook)).unwrap();
    }
    let more = repo.top().join("more.config");
    write(&more, format!("[core]\n\tfsmonitor = {}\n", script.display()));
    let attributes = repo.dir.join(".git/info/attributes");
    write(&attributes, "* filter=trap diff=trap\n");
    let text = SETTINGS
        .replace("SCRIPT", script.to_str().unwrap())
        .replace("HOOKS", hooks.to_str().unwrap())
        .replace("MORE", more.to_str().unwrap())
        .replace("ATTRIBUTES", attributes.to_str().unwrap());
    let config = repo.dir.join(".git/config");
    let old = std::fs::read_to_string(&config).unwrap();
    write(&config, old + &text);
    Trap { repo, token, marker }
}

impl Trap {
    /// What ran, and forgets it.
    fn ran(&self) -> String {
        let ran = std::fs::read_to_string(&self.marker).unwrap_or_default();
        let _ = std::fs::remove_file(&self.marker);
        ran
    }

    #[track_caller]
    fn scanned(&self, target: impl AsRef<Path>) {
        let target = target.as_ref();
        for flags in [&[][..], &["--history=reachable"], &["--branch=main"], &["--history=none"], &["--no-ignore"]] {
            let bare = !target.join(".git").exists();
            if bare && flags == ["--history=none"] {
                continue;
            }
            let scan = unsprawl(flags).arg(target).dir(&self.repo.dir).scan();
            assert_eq!((scan.has(&self.token), self.ran()), (true, String::new()), "{flags:?}: {}", scan.stderr);
        }
    }
}

#[test]
fn nothing_that_is_configured_runs() {
    let t = trap();
    // The traps do work: git itself walks into them.
    t.repo.attempt(&["status"], b"");
    assert!(!t.ran().is_empty(), "fsmonitor");
    t.repo.write("data.txt", "changed\n");
    t.repo.attempt(&["-c", "core.fsmonitor=false", "add", "data.txt"], b"");
    assert!(!t.ran().is_empty(), "filter");
    t.repo.attempt(&["-c", "core.fsmonitor=false", "fetch", "origin"], b"");
    assert!(!t.ran().is_empty(), "transport");
    t.repo.write("data.txt", format!("one\n{}\n", t.token));
    t.ran();
    t.scanned(&t.repo.dir);
    t.scanned(t.repo.dir.join(".git"));
}

#[test]
fn nothing_runs_with_changes_in_the_work_tree() {
    let t = trap();
    t.repo.write("new.txt", "text");
    t.repo.write("data.txt", format!("changed\n{}\n", t.token));
    std::fs::remove_file(t.repo.dir.join(".gitattributes")).unwrap();
    t.ran();
    t.scanned(&t.repo.dir);
}

#[test]
fn nothing_is_fetched_for_a_missing_object() {
    let t = trap();
    let blob = t.repo.blob("not there for long");
    let tree = t.repo.run(&["mktree"], format!("100644 blob {blob}\tgone\n").as_bytes());
    let tree = String::from_utf8(tree).unwrap();
    let commit = t.repo.git(&["-c", "core.hooksPath=/dev/null", "commit-tree", "-m", "gone", tree.trim()]);
    write(t.repo.dir.join(".git/refs/heads/gone"), commit + "\n");
    std::fs::remove_file(t.repo.dir.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    t.ran();
    t.scanned(&t.repo.dir);
}

#[test]
fn no_git_is_started_in_a_scanned_repository() {
    let t = trap();
    let bin = t.repo.top().join("bin");
    for name in ["git", "sh", "ssh", "python3"] {
        let program = bin.join(name);
        write(&program, format!("#!/bin/sh\necho \"{name} $@\" >> {}\n", t.marker.display()));
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    t.ran();
    let url = format!("file://{}", t.repo.dir.display());
    for target in [t.repo.dir.to_str().unwrap(), &url] {
        let scan = unsprawl([target]).env("PATH", &bin).dir(&t.repo.dir).scan();
        assert_eq!((scan.has(&t.token), t.ran()), (true, String::new()), "{}", scan.stderr);
    }
}

#[test]
fn a_worktree_setting_does_not_lead_elsewhere() {
    let (mut repo, token, outside) = (Repo::new(), pat("worktree setting"), pat("worktree outside"));
    let added = repo.put("a", &token);
    let other = repo.top().join("private");
    write(other.join("secret"), &outside);
    repo.git(&["config", "core.worktree", other.to_str().unwrap()]);
    let found = scan(&repo.dir);
    assert_eq!((found.sole(&token).commit(), found.has(&outside)), (added.as_str(), false));
}

#[test]
fn links_out_of_the_repository_are_not_followed() {
    let (mut repo, token, outside) = (Repo::new(), pat("links in"), pat("links out"));
    let other = repo.top().join("private");
    write(other.join("secret"), &outside);
    repo.put("a", &token);
    std::os::unix::fs::symlink(&other, repo.dir.join("folder")).unwrap();
    std::os::unix::fs::symlink(other.join("secret"), repo.dir.join("file")).unwrap();
    std::os::unix::fs::symlink(&other, repo.dir.join(".git/hooks-elsewhere")).unwrap();
    let found = scan(&repo.dir);
    found.sole(&token);
    assert!(!found.has(&outside));
    assert!(found.count("link") >= 2, "{}", found.stderr);
}
