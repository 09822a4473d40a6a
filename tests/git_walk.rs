//! What the walk shows is what git shows, for every form a repository can be stored in.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use unsprawl::model::{NoteKind, ObjectId};
use unsprawl::notes::Notes;
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};

/// Runs git in a folder without any configuration of this machine; its output.
fn git_in(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", dir);
    let identity =
        ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0", "-c", "maintenance.auto=0"];
    let mut child = command
        .current_dir(dir)
        .args(identity)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A repository with some history: texts that grow, a binary, a merge, a tag, an empty file.
fn repository(format: &str) -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("repo");
    std::fs::create_dir(&dir).unwrap();
    git_in(&dir, &["init", "-q", "-b", "main", &format!("--object-format={format}")], b"");
    for round in 0..12 {
        commit(&dir, round);
    }
    git_in(&dir, &["tag", "-a", "-m", "a tag", "v1"], b"");
    (top, dir)
}

/// One commit that changes a long text in the middle and at its end.
fn commit(dir: &Path, round: u32) {
    let mut text = String::new();
    for line in 0..400 {
        let word = if line % 50 == round % 50 { round } else { 0 };
        text += &format!("line {line} of the text, word {word} and {}\n", line * 7919 % 1000);
    }
    text += &format!("round {round}\n").repeat(round as usize);
    std::fs::write(dir.join("text"), text).unwrap();
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    std::fs::write(dir.join(format!("sub/{round}")), format!("file {round}")).unwrap();
    let noise: Vec<u8> = (0..3000u32).map(|i| (i * i % 251 + round * (i / 2900)) as u8).collect();
    std::fs::write(dir.join("noise"), noise).unwrap();
    std::fs::write(dir.join("empty"), "").unwrap();
    git_in(dir, &["add", "-A"], b"");
    git_in(dir, &["commit", "-q", "-m", &format!("round {round}")], b"");
}

/// All objects as git shows them.
fn expected(dir: &Path) -> BTreeMap<ObjectId, (Kind, Vec<u8>)> {
    let raw = git_in(dir, &["cat-file", "--batch-all-objects", "--batch"], b"");
    let mut rest = &raw[..];
    let mut all = BTreeMap::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let kind = match words[1] {
            "commit" => Kind::Commit,
            "tree" => Kind::Tree,
            "blob" => Kind::Blob,
            _ => Kind::Tag,
        };
        let size: usize = words[2].parse().unwrap();
        let data = rest[end + 1..end + 1 + size].to_vec();
        all.insert(ObjectId::from_hex(words[0].as_bytes()).unwrap(), (kind, data));
        rest = &rest[end + 2 + size..];
    }
    all
}

/// Collects what it is shown and checks that segments lead from the base to the object.
#[derive(Default)]
struct Collect {
    seen: Mutex<BTreeMap<ObjectId, (Kind, Vec<u8>)>>,
    firsts: Mutex<HashMap<ObjectId, u32>>,
    deltas: Mutex<u32>,
    unwanted: Mutex<u32>,
    parts: Mutex<HashMap<ObjectId, (Vec<u8>, u32)>>,
}

impl Collect {
    fn add(&self, object: Object<'_>) -> Vec<u8> {
        if object.wanted {
            self.seen.lock().unwrap().insert(object.id, (object.kind, object.data.to_vec()));
            *self.firsts.lock().unwrap().entry(object.id).or_default() += u32::from(object.first);
        } else {
            *self.unwanted.lock().unwrap() += 1;
        }
        object.data.to_vec()
    }
}

impl Visitor for Collect {
    type State = Vec<u8>;

    fn whole(&self, object: Object<'_>, _: bool) -> Vec<u8> {
        self.add(object)
    }

    fn delta(&self, object: Object<'_>, base: &Vec<u8>, segments: &[Segment], _: bool) -> Vec<u8> {
        *self.deltas.lock().unwrap() += 1;
        let mut at = 0;
        for segment in segments {
            let (start, len) = match *segment {
                Segment::Copy { start, base: from, len } => {
                    assert_eq!(&object.data[start..start + len], &base[from..from + len]);
                    (start, len)
                }
                Segment::Insert { start, len } => (start, len),
            };
            assert_eq!(start, at);
            at += len;
        }
        assert_eq!(at, object.data.len());
        self.add(object)
    }

    fn part(&self, id: ObjectId, part: &[u8], offset: u64, last: bool) {
        let mut parts = self.parts.lock().unwrap();
        let (bytes, ends) = parts.entry(id).or_default();
        assert_eq!(*ends, 0, "nothing comes after the last part");
        let known = bytes.len() - offset as usize;
        assert_eq!(bytes[offset as usize..], part[..known], "parts overlap");
        bytes.extend_from_slice(&part[known..]);
        *ends += u32::from(last);
    }
}

fn open(dir: &Path, hash_len: usize) -> (ObjectStore, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    (ObjectStore::open(&dir.join(".git/objects"), hash_len, Arc::clone(&notes)).unwrap(), notes)
}

/// Walks everything in several ways and compares with git.
fn compare(dir: &Path, hash_len: usize) -> Collect {
    let expected = expected(dir);
    assert!(!expected.is_empty());
    let mut last = Collect::default();
    for (threads, memory) in [(1, 1 << 30), (4, 1 << 30), (2, 60 << 10)] {
        let (store, notes) = open(dir, hash_len);
        let collect = Collect::default();
        let options = WalkOptions { threads, memory, ..WalkOptions::default() };
        let walked = store.walk(Kinds::ALL, None, &collect, &options);
        assert_eq!(notes.take().0, []);
        assert_eq!(*collect.seen.lock().unwrap(), expected);
        assert!(collect.firsts.lock().unwrap().values().all(|n| *n == 1), "each object is first once");
        assert_eq!(walked.objects, expected.len() as u64);
        assert_eq!(walked.bytes, expected.values().map(|(_, data)| data.len() as u64).sum::<u64>());
        last = collect;
    }
    let (store, notes) = open(dir, hash_len);
    for (id, (kind, data)) in &expected {
        assert_eq!(store.read(id).unwrap(), Some((*kind, data.clone())));
        assert_eq!(store.header(id).unwrap(), Some((*kind, data.len() as u64)));
        assert!(store.contains(id));
    }
    let mut ids: Vec<_> = store.ids().collect();
    ids.sort();
    ids.dedup();
    assert!(ids.iter().eq(expected.keys()));
    let nobody = ObjectId::from_bytes(&vec![1; hash_len]).unwrap();
    assert_eq!(store.read(&nobody).unwrap(), None);
    assert_eq!(notes.take().0, []);
    last
}

#[test]
fn loose_objects() {
    let (_top, dir) = repository("sha1");
    let collect = compare(&dir, 20);
    assert_eq!(*collect.deltas.lock().unwrap(), 0);
}

#[test]
fn one_pack() {
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf", "--depth=50"], b"");
    let collect = compare(&dir, 20);
    assert!(*collect.deltas.lock().unwrap() > 10);
    assert!(!dir.join(".git/objects/pack").read_dir().unwrap().next().unwrap().unwrap().path().ends_with("nothing"));
}

#[test]
fn sha256() {
    let (_top, dir) = repository("sha256");
    compare(&dir, 32);
    git_in(&dir, &["repack", "-qadf"], b"");
    let collect = compare(&dir, 32);
    assert!(*collect.deltas.lock().unwrap() > 10);
    commit(&dir, 77);
    compare(&dir, 32);
}

#[test]
fn version_1_index_and_bases_by_id() {
    let (_top, dir) = repository("sha1");
    let config = ["-c", "pack.indexVersion=1", "-c", "repack.useDeltaBaseOffset=false"];
    git_in(&dir, &[&config[..], &["repack", "-qadf"]].concat(), b"");
    let collect = compare(&dir, 20);
    assert!(*collect.deltas.lock().unwrap() > 10);
}

#[test]
fn several_packs_with_duplicates_and_loose_objects() {
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf"], b"");
    let all = git_in(&dir, &["rev-list", "--objects", "--all"], b"");
    for skip in [1, 2] {
        // Every so manyth object once more, in a pack of its own.
        let part: Vec<&[u8]> = all.split_inclusive(|b| *b == b'\n').step_by(skip + 1).collect();
        git_in(&dir, &["pack-objects", "-q", ".git/objects/pack/pack"], &part.concat());
    }
    let packs = dir.join(".git/objects/pack").read_dir().unwrap();
    assert!(packs.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "pack")).count() == 3);
    commit(&dir, 50);
    git_in(&dir, &["repack", "-qd"], b"");
    commit(&dir, 51);
    // Loose copies of packed objects.
    let first = git_in(&dir, &["rev-parse", "HEAD~3:text"], b"");
    let id = String::from_utf8(first).unwrap();
    let text = git_in(&dir, &["cat-file", "blob", id.trim()], b"");
    let loose = dir.join(".git/objects").join(&id[..2]).join(&id.trim()[2..]);
    std::fs::create_dir_all(loose.parent().unwrap()).unwrap();
    let mut packed =
        flate2::write::ZlibEncoder::new(std::fs::File::create(loose).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, format!("blob {}\0", text.len()).as_bytes()).unwrap();
    std::io::Write::write_all(&mut packed, &text).unwrap();
    packed.finish().unwrap();
    compare(&dir, 20);
}

#[test]
fn alternates() {
    let (top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf"], b"");
    git_in(top.path(), &["clone", "-q", "--shared", "repo", "a clone"], b"");
    let clone = top.path().join("a clone");
    commit(&clone, 60);
    compare(&clone, 20);
    std::fs::write(clone.join(".git/objects/info/alternates"), "../../../repo/.git/objects\n").unwrap();
    std::fs::write(dir.join(".git/objects/info/alternates"), "../../../a clone/.git/objects\n").unwrap();
    let (store, notes) = open(&clone, 20);
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
    assert_eq!(notes.take().0, []);
    assert!(collect.firsts.lock().unwrap().values().all(|n| *n == 1));
}

/// Object kinds and single objects that are asked for, with no more decoded than needed.
#[test]
fn only_what_is_wanted() {
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf", "--depth=50"], b"");
    commit(&dir, 99);
    let expected = expected(&dir);
    let (store, _) = open(&dir, 20);
    for kind in [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag] {
        let collect = Collect::default();
        store.walk(Kinds::of(&[kind]), None, &collect, &WalkOptions::default());
        let of_kind = expected.iter().filter(|(_, (k, _))| *k == kind);
        assert!(collect.seen.lock().unwrap().iter().eq(of_kind), "{kind:?}");
        assert_eq!(*collect.unwanted.lock().unwrap(), 0);
    }
    for (wanted, (kind, data)) in &expected {
        let collect = Collect::default();
        let want = |id: &ObjectId| id == wanted;
        let walked = store.walk(Kinds::of(&[*kind]), Some(&want), &collect, &WalkOptions::default());
        assert_eq!(collect.seen.lock().unwrap().get(wanted), Some(&(*kind, data.clone())));
        assert_eq!(collect.seen.lock().unwrap().len(), 1);
        assert!(*collect.unwanted.lock().unwrap() < 51);
        assert_eq!((walked.objects, walked.bytes), (1, data.len() as u64));
    }
}

#[test]
fn large_blobs_come_in_parts() {
    let (_top, dir) = repository("sha1");
    let large: Vec<u8> = (0..20_000_000u32).map(|i| (i ^ i >> 7) as u8).collect();
    std::fs::write(dir.join("large"), &large).unwrap();
    git_in(&dir, &["add", "large"], b"");
    git_in(&dir, &["commit", "-qm", "large"], b"");
    let id = String::from_utf8(git_in(&dir, &["rev-parse", "HEAD:large"], b"")).unwrap();
    let id = ObjectId::from_hex(id.trim().as_bytes()).unwrap();
    for packed in [false, true] {
        if packed {
            git_in(&dir, &["-c", "core.bigFileThreshold=1m", "repack", "-qad"], b"");
        }
        let (store, notes) = open(&dir, 20);
        let collect = Collect::default();
        let options = WalkOptions { whole_limit: 1 << 20, memory: 16 << 20, threads: 2 };
        let walked = store.walk(Kinds::ALL, None, &collect, &options);
        assert_eq!(notes.take().0, []);
        let parts = collect.parts.lock().unwrap();
        assert!(parts[&id].0 == large && parts[&id].1 == 1);
        assert_eq!(walked.objects as usize, collect.seen.lock().unwrap().len() + 1);
    }
    // Without room for even one part it is reported, and the rest is shown.
    let (store, notes) = open(&dir, 20);
    let collect = Collect::default();
    let options = WalkOptions { whole_limit: 1 << 20, memory: 1 << 20, threads: 2 };
    store.walk(Kinds::ALL, None, &collect, &options);
    assert_eq!(notes.take().1, [(NoteKind::GitTooLarge, 1)]);
    assert_eq!(collect.seen.lock().unwrap().len() + 1, expected(&dir).len());
}

/// A visitor that fails on one object costs that object, and it is told.
#[test]
fn a_panic_of_the_visitor_is_reported() {
    struct Fails(Collect);
    impl Visitor for Fails {
        type State = ();
        fn whole(&self, object: Object<'_>, _: bool) {
            assert!(object.kind != Kind::Tag);
            self.0.add(object);
        }
        fn delta(&self, object: Object<'_>, (): &(), _: &[Segment], _: bool) {
            self.0.add(object);
        }
        fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
    }
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf"], b"");
    let (store, notes) = open(&dir, 20);
    let visitor = Fails(Collect::default());
    store.walk(Kinds::ALL, None, &visitor, &WalkOptions::default());
    assert_eq!(notes.take().1, [(NoteKind::GitDamaged, 1)]);
    assert_eq!(visitor.0.seen.lock().unwrap().len() + 1, expected(&dir).len());
}

#[test]
fn a_missing_base_is_named_and_another_copy_is_used() {
    let (top, dir) = repository("sha1");
    git_in(&dir, &["-c", "repack.useDeltaBaseOffset=false", "repack", "-qadf", "--depth=50"], b"");
    let all = expected(&dir);
    // A thin pack as it travels: bases by id that are not in it.
    let revisions = b"HEAD\n^HEAD~3\n";
    let thin = git_in(&dir, &["pack-objects", "-q", "--thin", "--stdout", "--revs"], revisions);
    let other = top.path().join("other");
    std::fs::create_dir_all(other.join(".git/objects/pack")).unwrap();
    std::fs::write(other.join(".git/objects/pack/pack-thin.pack"), thin).unwrap();
    let (store, notes) = open(&other, 20);
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
    let notes = notes.take().1;
    assert!(notes.iter().any(|(kind, n)| *kind == NoteKind::GitDamaged && *n >= 1), "{notes:?}");
    // With the other repository as an alternate, everything is there.
    std::fs::create_dir_all(other.join(".git/objects/info")).unwrap();
    std::fs::write(other.join(".git/objects/info/alternates"), dir.join(".git/objects").to_str().unwrap()).unwrap();
    let (store, _) = open(&other, 20);
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
    assert_eq!(*collect.seen.lock().unwrap(), all);
}
