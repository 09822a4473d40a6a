//! What a scan can be pointed at, and how much of a history it looks at.
#![allow(clippy::unwrap_used)]

use crate::support::server::Server;
use crate::support::*;

/// A repository with a token in a deleted file, cloned bare to where a server finds it.
fn served(word: &str) -> (Repo, String, String) {
    let (mut repo, token) = (Repo::new(), pat(word));
    repo.put("a", "text");
    let added = repo.put("key", format!("\n{token}"));
    repo.remove("key");
    repo.commit("remove");
    repo.git(&["clone", "-q", "--bare", ".", "../served/app.git"]);
    (repo, token, added)
}

fn entries(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_clone_url_and_nothing_is_left_behind() {
    let (repo, token, added) = served("http");
    let server = Server::start(&repo.top().join("served"), "");
    let temporary = folder();
    let url = format!("http://127.0.0.1:{}/app.git", server.port);
    let scan = unsprawl([&url]).env("TMPDIR", temporary.path()).scan();
    let place = scan.sole(&token);
    assert_eq!((place.at(), place.commit()), (("blob", "key", 2), added.as_str()));
    assert_eq!(scan.report["targets"][0]["name"], url.as_str());
    assert_eq!(entries(temporary.path()), [""; 0]);
}

#[test]
fn a_clone_is_kept_on_demand() {
    let (repo, token, _) = served("kept");
    let server = Server::start(&repo.top().join("served"), "");
    let (temporary, kept) = (folder(), folder());
    let dir = kept.path().join("clones");
    let url = format!("http://127.0.0.1:{}/app.git", server.port);
    let run = || unsprawl(["--keep-clone"]).arg(&dir).arg(&url).env("TMPDIR", temporary.path());
    run().scan().sole(&token);
    assert_eq!(entries(&dir), ["app.git"]);
    scan(dir.join("app.git")).sole(&token);
    assert_eq!(entries(temporary.path()), [""; 0]);
    // What is there is not overwritten.
    let again = unsprawl(["scan", "--keep-clone"]).arg(&dir).arg(&url).run();
    assert_eq!((again.code, again.stderr.contains("already there")), (2, true), "{}", again.stderr);
}

#[test]
fn a_clone_url_with_a_password() {
    let (repo, token, _) = served("password");
    let word = npm("password");
    let server = Server::start(&repo.top().join("served"), &format!("bob:{word}"));
    let url = format!("http://bob:{word}@127.0.0.1:{}/app.git", server.port);
    let found = scan(&url);
    found.sole(&token);
    assert!(!found.report.to_string().contains(&word) && !found.stderr.contains(&word));
    // Neither is it shown when the clone fails.
    let missing = unsprawl(["scan", &url.replace("app.git", "none.git")]).run();
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("cannot clone") && !missing.stderr.contains(&word), "{}", missing.stderr);
    let refused = unsprawl(["scan", &url.replace("bob:", "eve:")]).run();
    assert_eq!((refused.code, refused.stderr.contains(&word)), (2, false));
    // A redirect could take the password elsewhere.
    let redirected = unsprawl(["scan", &url.replace("/app.git", "/moved/app.git")]).run();
    assert_eq!((redirected.code, redirected.stderr.contains(&word)), (2, false), "{}", redirected.stderr);
}

#[test]
fn clone_urls_that_could_start_programs() {
    let dir = folder();
    let marker = dir.path().join("marker");
    for url in [
        format!("ext::sh -c touch% {}", marker.display()),
        format!("ext://sh -c touch {}", marker.display()),
        format!("ssh://-oProxyCommand=touch%20{}/x", marker.display()),
        format!("-oProxyCommand=touch {}@host:x", marker.display()),
    ] {
        let run = unsprawl(["scan", "--", &url]).run();
        assert_eq!((run.code, marker.exists()), (2, false), "{url}: {}", run.stderr);
    }
}

#[test]
fn standard_input() {
    let token = pat("stdin");
    let found = unsprawl(["-"]).input(format!("first\nexport TOKEN={token}\n")).scan();
    let place = found.sole(&token);
    assert_eq!((place.at(), place.column, &place.commit), (("stdin", "", 2), 14, &None));
    unsprawl(["-"]).scan().clean();
    // An archive is one there, too.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, token.as_bytes()).unwrap();
    unsprawl(["-"]).input(gzip.finish().unwrap()).scan().sole(&token);
}

#[test]
fn a_long_standard_input() {
    let (first, last) = (pat("long first"), pat("long last"));
    let mut text = format!("{first}\n").into_bytes();
    while text.len() < 20 << 20 {
        text.extend_from_slice(b"a line of text like any other, and then one more of the same kind\n");
    }
    let lines = text.iter().filter(|b| **b == b'\n').count() as u64;
    text.extend_from_slice(last.as_bytes());
    let found = unsprawl(["-"]).input(text).scan();
    assert_eq!((found.code, found.places.len()), (1, 2));
    assert_eq!((found.one(&first).line, found.one(&last).line), (1, lines + 1));
}

/// Tokens in a history with a side branch, one a commit, and one in what nothing reaches.
struct Histories {
    repo: Repo,
    commits: Vec<String>,
}

const WORDS: [&str; 7] = ["first", "second", "third", "side", "lost", "stash", "dangling"];

fn histories() -> Histories {
    let mut repo = Repo::new();
    let mut commits = Vec::new();
    for word in &WORDS[..3] {
        repo.now += 24 * 3600;
        commits.push(repo.put(word, pat(word)));
    }
    repo.git(&["checkout", "-q", "-b", "side", &commits[1]]);
    repo.put("side", pat("side"));
    repo.git(&["checkout", "-q", "main"]);
    repo.put("lost", pat("lost"));
    repo.git(&["reset", "-q", "--hard", "HEAD^"]);
    repo.remove(".git/ORIG_HEAD");
    repo.write("third", pat("stash"));
    repo.git(&["stash", "-q"]);
    repo.blob(pat("dangling"));
    repo.settle();
    Histories { repo, commits }
}

impl Histories {
    /// The words whose tokens are found.
    fn found(&self, flags: &[&str]) -> Vec<&'static str> {
        let scan = scan_with(&self.repo.dir, flags);
        assert_eq!(scan.code, 1, "{}", scan.stderr);
        WORDS.into_iter().filter(|word| scan.has(&pat(word))).collect()
    }
}

#[test]
fn how_much_history() {
    let h = histories();
    assert_eq!(h.found(&[]), WORDS);
    assert_eq!(h.found(&["--history=full"]), WORDS);
    assert_eq!(h.found(&["--history=reachable"]), ["first", "second", "third", "side", "stash"]);
    let none = scan_with(&h.repo.dir, &["--history=none"]);
    let paths: Vec<_> = none.places.iter().map(|p| (p.at(), p.commit.as_deref())).collect();
    assert_eq!(paths, [(("file", "first", 1), None), (("file", "second", 1), None), (("file", "third", 1), None)]);
}

#[test]
fn since_a_date_or_a_revision() {
    let h = histories();
    // The commits were made on 15, 16 and 17 November 2023, a minute after 22:13:20 and later.
    assert_eq!(h.found(&["--since=2023-11-17"]), ["third", "side", "stash"]);
    assert_eq!(h.found(&["--since=2023-11-16T23:00:00+00:00"]), ["third", "side", "stash"]);
    assert_eq!(h.found(&["--since=2023-11-16T00:00:00Z"]), ["second", "third", "side", "stash"]);
    assert_eq!(h.found(&["--since", &h.commits[0]]), ["second", "third", "side", "stash"]);
    assert_eq!(h.found(&["--since", "main~1"]), ["third", "side", "stash"]);
    assert_eq!(h.found(&["--since", &h.commits[1][..10], "--branch=main"]), ["third"]);
    for flags in
        [&["--since=main", "--branch=main"][..], &["--since=2024-01-01"], &["--since=2024-01-01", "--branch=side"]]
    {
        let nothing = scan_with(&h.repo.dir, flags);
        assert_eq!((nothing.code, nothing.places.len()), (0, 0), "{flags:?} {:#?}", nothing.places);
    }
    // What is staged and not committed is always new.
    let staged = pat("staged since");
    h.repo.write("new", &staged);
    h.repo.git(&["add", "new"]);
    for flags in [["--since=2024-01-01"], ["--since=main"], ["--since=side"]] {
        let scan = scan_with(&h.repo.dir, &flags);
        assert_eq!(scan.one(&staged).at(), ("index", "new", 1), "{flags:?}");
        assert!(!scan.has(&pat("first")), "{flags:?} {:#?}", scan.places);
    }
}

#[test]
fn one_branch() {
    let h = histories();
    assert_eq!(h.found(&["--branch=main"]), ["first", "second", "third"]);
    assert_eq!(h.found(&["--branch=side"]), ["first", "second", "side"]);
    assert_eq!(h.found(&["--branch=refs/heads/side~1"]), ["first", "second"]);
    assert_eq!(h.found(&["--branch", &h.commits[0]]), ["first"]);
}

#[test]
fn revisions_and_targets_that_are_not_there() {
    let h = histories();
    let repo = h.repo.dir.to_str().unwrap();
    for (args, says) in [
        (vec!["--since=nosuch", repo], "nosuch"),
        (vec!["--since=2023-99-99", repo], "2023-99-99"),
        (vec!["--branch=nosuch", repo], "nosuch"),
        (vec!["--branch=main..side", repo], "main..side"),
        (vec!["/no/such/target"], "/no/such/target"),
        (vec![repo, "/no/such/target"], "/no/such/target"),
        (vec!["file:///no/such/target"], "/no/such/target"),
        (vec!["gopher://example.org/x"], "gopher"),
    ] {
        let run = unsprawl(["scan"].iter().chain(&args)).run();
        assert_eq!((run.code, run.stdout.len()), (2, 0), "{args:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(says), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn several_targets_in_one_run() {
    let (h, dir) = (histories(), folder());
    let token = pat("several");
    write(dir.path().join("x/key"), &token);
    let scan = unsprawl([dir.path(), &h.repo.dir]).arg("-").input(pat("first")).scan();
    assert_eq!(scan.report["targets"].as_array().unwrap().len(), 3);
    assert_eq!(scan.one(&token).at(), ("file", "x/key", 1));
    let kinds: Vec<_> = scan.of(&pat("first")).iter().map(|p| p.kind.as_str()).collect();
    assert_eq!(kinds, ["blob", "stdin"]);
}
