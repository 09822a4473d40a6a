//! What the walk shows is what git shows, for every form a repository can be stored in.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::repositories::{Collect, commit, expected, git_in, repository};
use unsprawl::model::{NoteKind, ObjectId};
use unsprawl::notes::Notes;
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions};

fn open(dir: &Path, hash_len: usize) -> (ObjectStore, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    (ObjectStore::open(&dir.join(".git/objects"), hash_len, Arc::clone(&notes)).unwrap(), notes)
}

/// Walks everything in several ways and compares with git.
fn compare(dir: &Path, hash_len: usize) -> Collect {
    let expected = expected(dir);
    assert!(!expected.is_empty());
    let mut last = Collect::default();
    // Just enough to decode the largest object, so that bases have to be given up.
    let tight = expected.values().map(|(_, data)| data.len() as u64).max().unwrap() * 2 + 3000;
    for (threads, memory) in [(1, 1 << 30), (4, 1 << 30), (2, tight), (1, tight)] {
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
    // With little memory, some bases are given up, and what is built from them is shown whole.
    let (store, _) = open(&dir, 20);
    let roomy = Collect::default();
    store.walk(Kinds::ALL, None, &roomy, &WalkOptions::default());
    assert!(*collect.deltas.lock().unwrap() < *roomy.deltas.lock().unwrap());
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
        let options = WalkOptions { whole_limit: 1 << 20, memory: 16 << 20, ..WalkOptions::default() };
        let walked = store.walk(Kinds::ALL, None, &collect, &options);
        assert_eq!(notes.take().0, []);
        let parts = collect.parts.lock().unwrap();
        assert!(parts[&id].0 == large && parts[&id].1 == 1);
        assert_eq!(walked.objects as usize, collect.seen.lock().unwrap().len() + 1);
    }
    // With little memory the parts are smaller.
    let (store, notes) = open(&dir, 20);
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions { memory: 1 << 20, ..WalkOptions::default() });
    assert_eq!(notes.take().0, []);
    assert!(collect.parts.lock().unwrap()[&id].0 == large);
    // Without room for even one part it is reported, and the rest is shown.
    let (store, notes) = open(&dir, 20);
    let collect = Collect::default();
    let options = WalkOptions { whole_limit: 1 << 20, memory: 100 << 10, ..WalkOptions::default() };
    store.walk(Kinds::ALL, None, &collect, &options);
    assert_eq!(notes.take().1, [(NoteKind::GitTooLarge, 1)]);
    assert_eq!(collect.seen.lock().unwrap().len() + 1, expected(&dir).len());
}

/// Work is bounded: what is beyond the bound is reported, and nothing else is lost.
#[test]
fn work_is_bounded() {
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf", "--depth=50"], b"");
    let (store, notes) = open(&dir, 20);
    let collect = Collect::default();
    let options = WalkOptions { most: Some(60_000), threads: 1, ..WalkOptions::default() };
    store.walk(Kinds::ALL, None, &collect, &options);
    let seen = collect.seen.lock().unwrap().len();
    let counts = notes.take().1;
    assert!(matches!(counts[..], [(NoteKind::GitTooLarge, n)] if n > 0 && seen + n as usize == expected(&dir).len()));
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

/// A pack as it travels, with bases that are not in it and without an index.
#[test]
fn thin_pack_without_index() {
    let (top, dir) = repository("sha1");
    git_in(&dir, &["-c", "repack.useDeltaBaseOffset=false", "repack", "-qadf", "--depth=50"], b"");
    let all = expected(&dir);
    let thin = git_in(&dir, &["pack-objects", "-q", "--thin", "--stdout", "--revs"], b"HEAD\n^HEAD~3\n");
    let other = top.path().join("other");
    std::fs::create_dir_all(other.join(".git/objects/pack")).unwrap();
    std::fs::create_dir_all(other.join(".git/objects/info")).unwrap();
    std::fs::write(other.join(".git/objects/pack/pack-thin.pack"), &thin).unwrap();
    let (store, notes) = open(&other, 20);
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
    let kinds: Vec<_> = notes.take().1.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [NoteKind::GitMissing, NoteKind::Other]);
    let seen = collect.seen.lock().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|(id, object)| all[id] == *object));
    // With the other repository as an alternate, everything is there.
    std::fs::write(other.join(".git/objects/info/alternates"), dir.join(".git/objects").to_str().unwrap()).unwrap();
    let (store, notes) = open(&other, 20);
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
    assert_eq!(*collect.seen.lock().unwrap(), all);
    assert_eq!(notes.take().1, [(NoteKind::Other, 1)]);
    assert!(store.object_count() > all.len() as u64);
}

/// Bases that stand in another pack or loose.
#[test]
fn bases_outside_of_the_pack() {
    let (top, dir) = repository("sha1");
    git_in(&dir, &["-c", "repack.useDeltaBaseOffset=false", "repack", "-qadf", "--depth=50"], b"");
    let all = expected(&dir);
    let thin = git_in(&dir, &["pack-objects", "-q", "--thin", "--stdout", "--revs"], b"HEAD\n^HEAD~3\n");
    let objects = dir.join(".git/objects");
    // An index as a scan makes it; git itself would complete the pack first.
    let (store, _) = open(&dir, 20);
    let outside = |id: &ObjectId| store.read(id).unwrap();
    let scanned = unsprawl::source::git::scan::scan(&thin, 20, &outside);
    assert_eq!(scanned.lost, 0);
    drop(store);
    let put = || {
        std::fs::write(objects.join("pack/pack-thin.pack"), &thin).unwrap();
        std::fs::write(objects.join("pack/pack-thin.idx"), &scanned.index).unwrap();
    };
    put();
    let show = || {
        let (store, notes) = open(&dir, 20);
        let collect = Collect::default();
        store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
        assert_eq!(notes.take().0, []);
        assert_eq!(*collect.seen.lock().unwrap(), all);
        all.iter().for_each(|(id, object)| assert_eq!(store.read(id).unwrap().as_ref(), Some(object)));
    };
    show();
    // The same with all other objects loose.
    let away = top.path().join("away");
    std::fs::create_dir(&away).unwrap();
    for entry in objects.join("pack").read_dir().unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, away.join(path.file_name().unwrap())).unwrap();
    }
    for entry in away.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|x| x == "pack") && !path.ends_with("pack-thin.pack") {
            git_in(&dir, &["unpack-objects", "-q"], &std::fs::read(path).unwrap());
        }
    }
    put();
    show();
}

/// One delta tree of all objects is split between the threads.
#[test]
fn one_tree_keeps_all_threads_busy() {
    struct Slow(Mutex<HashMap<std::thread::ThreadId, u32>>);
    impl Visitor for Slow {
        type State = ();
        fn whole(&self, _: Object<'_>, _: bool) {
            *self.0.lock().unwrap().entry(std::thread::current().id()).or_default() += 1;
            // Longer than decoding takes, so that the number of cores does not matter.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        fn delta(&self, object: Object<'_>, (): &(), _: &[Segment], more: bool) {
            self.whole(object, more);
        }
        fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
    }
    let top = tempfile::tempdir().unwrap();
    let dir = top.path();
    git_in(dir, &["init", "-q"], b"");
    let mut stream = String::new();
    let mut lines: Vec<u32> = (0..200).map(|i| i * 7919 % 1000).collect();
    for version in 0..400 {
        lines[version * 31 % 200] = version as u32;
        let text: String = lines.iter().map(|line| format!("line {line}\n")).collect();
        let head = format!("commit refs/heads/main\ncommitter A <a@example.org> {version} +0000\ndata 0\n");
        stream += &format!("{head}M 644 inline f\ndata {}\n{text}\n", text.len());
    }
    git_in(dir, &["fast-import", "--quiet"], stream.as_bytes());
    git_in(dir, &["repack", "-qadf", "--window=20"], b"");
    let (store, _) = open(dir, 20);
    let slow = Slow(Mutex::default());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    pool.install(|| store.walk(Kinds::of(&[Kind::Blob]), None, &slow, &WalkOptions::default()));
    let shares: Vec<u32> = slow.0.into_inner().unwrap().into_values().collect();
    assert!(shares.iter().sum::<u32>() == 400 && shares.iter().all(|n| *n < 240), "{shares:?}");
}
