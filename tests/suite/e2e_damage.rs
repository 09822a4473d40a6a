//! Damaged repositories: the damage is named, everything else is scanned, the exit code is 3.
#![allow(clippy::unwrap_used)]

use crate::support::tokens::Random;
use crate::support::*;

/// Text that does not compress well and is no delta of anything.
fn noise(word: &str, lines: usize) -> String {
    let mut random = Random::of(word);
    (0..lines).map(|_| format!("{} {}\n", random.base62(7), random.base62(13))).collect()
}

/// Commits with a token each, the middle one in a large blob of its own.
struct Sample {
    repo: Repo,
    first: String,
    hurt: String,
    last: String,
    blob: String,
}

fn sample(word: &str) -> Sample {
    let [first, hurt, last] = ["first", "hurt", "last"].map(|n| pat(&format!("{word} {n}")));
    let mut repo = Repo::new();
    repo.put("first", format!("{}{first}\n", noise("first", 50)));
    repo.put("hurt", format!("{}{hurt}\n", noise("hurt", 2000)));
    let blob = repo.git(&["rev-parse", "HEAD:hurt"]);
    repo.remove("hurt");
    repo.put("last", format!("{}{last}\n", noise("last", 50)));
    Sample { repo, first, hurt, last, blob }
}

impl Sample {
    /// Where the data of the large blob lies in its pack.
    fn offset(&self) -> usize {
        let index = std::fs::read(&self.repo.objects(".idx")[0]).unwrap();
        let listed = String::from_utf8(self.repo.run(&["show-index"], &index)).unwrap();
        let line = listed.lines().find(|l| l.contains(&self.blob)).unwrap();
        line.split(' ').next().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn names(&self, scan: &Scan, what: &str) {
        assert_eq!((scan.code, scan.report["complete"].as_bool()), (3, Some(false)), "{}", scan.stderr);
        let notes = scan.notes("git-damaged");
        assert!(notes.iter().any(|n| n.contains(what)), "{notes:?}");
        assert!(scan.stderr.contains(what) && scan.stderr.contains("git-damaged"), "{}", scan.stderr);
    }

    #[track_caller]
    fn rest_is_found(&self, scan: &Scan) {
        assert_eq!(
            (scan.one(&self.first).at(), scan.one(&self.last).at()),
            (("blob", "first", 51), ("blob", "last", 51))
        );
        assert_eq!(scan.one(&self.last).commit(), self.repo.head());
    }
}

#[test]
fn whole_it_is_clean() {
    let s = sample("whole");
    let scan = scan(&s.repo.dir);
    assert_eq!((scan.code, scan.places.len()), (1, 3));
    assert_eq!(scan.one(&s.hurt).at(), ("blob", "hurt", 2001));
}

#[test]
fn a_damaged_object_in_a_pack() {
    for flip in [0xff, 0x01, 0x80] {
        let s = sample("packed");
        s.repo.git(&["gc", "-q", "--prune=now"]);
        let offset = s.offset();
        // Far behind the header and before the end of the data, which takes more than 20 KB.
        Repo::damage(&s.repo.objects(".pack")[0], |pack| {
            pack[offset + 9000..offset + 9004].iter_mut().for_each(|b| *b ^= flip)
        });
        assert!(!s.repo.attempt(&["cat-file", "-p", &s.blob], b"").status.success());
        let scan = scan(&s.repo.dir);
        s.names(&scan, &s.blob);
        s.rest_is_found(&scan);
    }
}

#[test]
fn a_damaged_loose_object() {
    let s = sample("loose");
    let (dir, rest) = s.blob.split_at(2);
    let file = s.repo.dir.join(".git/objects").join(dir).join(rest);
    Repo::damage(&file, |bytes| bytes[9000..9004].iter_mut().for_each(|b| *b ^= 0xff));
    let damaged = scan(&s.repo.dir);
    s.names(&damaged, &s.blob);
    s.rest_is_found(&damaged);
    Repo::damage(&file, |bytes| bytes.truncate(0));
    let empty = scan(&s.repo.dir);
    s.names(&empty, &s.blob);
    s.rest_is_found(&empty);
}

#[test]
fn a_loose_object_of_another_name() {
    let s = sample("swapped");
    // Content that does not fit its name is still content: it is scanned.
    let other = pat("swapped content");
    let swapped = s.repo.blob(&other);
    let path = |id: &str| s.repo.dir.join(".git/objects").join(&id[..2]).join(&id[2..]);
    std::fs::remove_file(path(&s.blob)).unwrap();
    std::fs::rename(path(&swapped), path(&s.blob)).unwrap();
    let scan = scan(&s.repo.dir);
    s.rest_is_found(&scan);
    assert!(scan.has(&other) || scan.code == 3, "{}", scan.stderr);
}

#[test]
fn a_pack_cut_short() {
    let s = sample("cut");
    s.repo.git(&["repack", "-q", "-a", "-d"]);
    let mut repo = s.repo;
    let other = pat("cut other");
    repo.put("other", &other);
    let offset = {
        let index = std::fs::read(&repo.objects(".idx")[0]).unwrap();
        let listed = String::from_utf8(repo.run(&["show-index"], &index)).unwrap();
        let line = listed.lines().find(|l| l.contains(&s.blob)).unwrap().to_owned();
        line.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let pack = repo.objects(".pack")[0].clone();
    Repo::damage(&pack, |bytes| bytes.truncate(offset + 5000));
    let scan = scan(&repo.dir);
    assert_eq!(scan.code, 3, "{}", scan.stderr);
    let name = pack.file_name().unwrap().to_str().unwrap();
    let notes = scan.notes("git-damaged");
    assert!(notes.iter().any(|n| n.contains(name) || n.contains(&s.blob)), "{notes:?}");
    // What is whole is found: in another store for sure, in this pack if it lies before the cut.
    assert_eq!(scan.one(&other).at(), ("blob", "other", 1));
}

#[test]
fn a_damaged_header_of_a_pack() {
    for at in [0, 4] {
        let s = sample("header");
        let mut repo = s.repo;
        repo.git(&["repack", "-q", "-a", "-d"]);
        let other = pat("header other");
        repo.put("other", &other);
        let path = repo.objects(".pack")[0].clone();
        Repo::damage(&path, |bytes| bytes[at..at + 4].iter_mut().for_each(|b| *b ^= 0xa5));
        let scan = scan(&repo.dir);
        assert_eq!((scan.code, scan.has(&other)), (3, true), "{at}: {}", scan.stderr);
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(scan.stderr.contains(name), "{at}: {}", scan.stderr);
    }
}

#[test]
fn a_damaged_index_of_a_pack_loses_nothing() {
    for (at, length) in [(0, 4), (4, 4), (8, 600)] {
        let s = sample("index");
        s.repo.git(&["repack", "-q", "-a", "-d"]);
        let path = s.repo.objects(".idx")[0].clone();
        Repo::damage(&path, |bytes| bytes[at..at + length].iter_mut().for_each(|b| *b ^= 0xa5));
        let scan = scan(&s.repo.dir);
        s.rest_is_found(&scan);
        assert_eq!(scan.one(&s.hurt).at(), ("blob", "hurt", 2001));
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(scan.stderr.contains(name), "{at}: {}", scan.stderr);
    }
}

#[test]
fn an_empty_pack_and_a_pack_without_its_index() {
    let s = sample("empty");
    let mut repo = s.repo;
    repo.git(&["repack", "-q", "-a", "-d"]);
    let other = pat("empty other");
    repo.put("other", &other);
    let (pack, index) = (repo.objects(".pack")[0].clone(), repo.objects(".idx")[0].clone());
    Repo::damage(&pack, |bytes| bytes.clear());
    let empty = scan(&repo.dir);
    assert_eq!((empty.code, empty.has(&other)), (3, true), "{}", empty.stderr);
    std::fs::remove_file(index).unwrap();
    let alone = scan(&repo.dir);
    assert!(alone.has(&other), "{}", alone.stderr);
    assert_eq!(alone.code, 3, "{}", alone.stderr);
}

#[test]
fn a_damaged_tree_or_commit() {
    let s = sample("tree");
    let parent = s.repo.git(&["rev-parse", "HEAD^"]);
    let tree = s.repo.git(&["rev-parse", "HEAD^^{tree}"]);
    for id in [tree, parent] {
        let file = s.repo.dir.join(".git/objects").join(&id[..2]).join(&id[2..]);
        Repo::damage(&file, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..].iter_mut().for_each(|b| *b ^= 0x5a);
        });
        let scan = scan(&s.repo.dir);
        s.names(&scan, &id);
        assert!(scan.has(&s.first) && scan.has(&s.last) && scan.has(&s.hurt), "{id}");
    }
}

#[test]
fn refs_and_heads_that_are_nonsense() {
    let s = sample("refs");
    let git = s.repo.dir.join(".git");
    write(git.join("refs/heads/broken"), "not an id\n");
    write(git.join("refs/heads/nowhere"), format!("{}\n", "12".repeat(20)));
    write(git.join("refs/heads/circle"), "ref: refs/heads/circle\n");
    write(git.join("packed-refs"), b"\xff\xfe nonsense\n\0\n");
    write(git.join("logs/refs/heads/broken"), b"\x00\x01\x02\n");
    let found = scan(&s.repo.dir);
    assert!(found.has(&s.first) && found.has(&s.last) && found.has(&s.hurt), "{}", found.stderr);
    write(git.join("index"), b"DIRC\xff\xff\xff\xff nonsense");
    let found = scan(&s.repo.dir);
    assert!(found.has(&s.first) && found.has(&s.last) && found.has(&s.hurt), "{}", found.stderr);
}
