//! Damaged object databases: whatever is cut or flipped, what is shown is right or the damage is reported.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::repositories::{Collect, expected, git_in, repository};
use unsprawl::model::{NoteKind, ObjectId};
use unsprawl::notes::Notes;
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::{Kind, Kinds, WalkOptions};

type Objects = BTreeMap<ObjectId, (Kind, Vec<u8>)>;

/// A small repository: a text that grew twice, in one commit each.
fn small(extra: &[&str]) -> (tempfile::TempDir, PathBuf, Objects) {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("repo");
    std::fs::create_dir(&dir).unwrap();
    git_in(&dir, &["init", "-q"], b"");
    let mut text = String::new();
    for round in 0..3 {
        (0..8).for_each(|i| text += &format!("{} ", (i + 8 * round) * 7919 % 1000));
        std::fs::write(dir.join("text"), &text).unwrap();
        git_in(&dir, &["add", "-A"], b"");
    }
    git_in(&dir, &["commit", "-q", "-m", "m"], b"");
    if !extra.is_empty() {
        let all = git_in(&dir, &["cat-file", "--batch-all-objects", "--batch-check=%(objectname) text"], b"");
        git_in(&dir, &[extra, &["pack-objects", "-q", ".git/objects/pack/pack"]].concat(), &all);
        git_in(&dir, &["prune-packed"], b"");
    }
    let all = expected(&dir);
    (top, dir, all)
}

/// The file of a repository with an extension.
fn file(dir: &Path, extension: &str) -> PathBuf {
    let mut found = dir.join(".git/objects/pack").read_dir().unwrap().map(|e| e.unwrap().path());
    let path = found.find(|path| path.extension().is_some_and(|x| x == extension)).unwrap();
    // Git makes it read-only.
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    path
}

/// The file of a loose object.
fn loose(dir: &Path, id: &ObjectId) -> PathBuf {
    let hex = id.to_string();
    dir.join(".git/objects").join(&hex[..2]).join(&hex[2..])
}

/// Walks and reads everything: without a note it must be what git shows. Returns whether there was a note.
fn look(dir: &Path, all: &Objects, case: &str) -> bool {
    let notes = Arc::new(Notes::default());
    let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
    let collect = Collect::default();
    let options = WalkOptions { threads: 1, memory: 8 << 20, ..WalkOptions::default() };
    store.walk(Kinds::ALL, None, &collect, &options);
    let noted = !notes.take().1.is_empty();
    let seen = collect.seen.lock().unwrap();
    assert!(noted || *seen == *all, "{case}: wrong without a note");
    for (id, object) in all {
        match store.read(id) {
            Ok(Some(read)) => assert_eq!(read, *object, "{case}: {id} read wrong"),
            Ok(None) => assert!(noted, "{case}: {id} vanished without a note"),
            Err(_) => {}
        }
        let _ = store.header(id);
    }
    noted
}

/// Tries every cut and every flipped bit of a file.
fn every_damage(dir: &Path, path: &Path, all: &Objects) {
    let good = std::fs::read(path).unwrap();
    assert!(!look(dir, all, "undamaged"));
    for cut in 0..good.len() {
        std::fs::write(path, &good[..cut]).unwrap();
        assert!(look(dir, all, &format!("cut at {cut}")), "cut at {cut} went unnoticed");
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(path, &bad).unwrap();
        look(dir, all, &format!("bit {bit}"));
    }
    std::fs::write(path, good).unwrap();
}

#[test]
fn every_cut_and_flip_of_a_pack() {
    let (_top, dir, all) = small(&["-c", "core.compression=9"]);
    every_damage(&dir, &file(&dir, "pack"), &all);
}

#[test]
fn every_cut_and_flip_of_an_index() {
    let (_top, dir, all) = small(&["-c", "core.compression=9"]);
    every_damage(&dir, &file(&dir, "idx"), &all);
}

/// An index made to mislead has a right checksum. It may give wrong names, but it hides nothing and breaks nothing.
#[test]
fn every_flip_of_an_index_with_a_right_checksum() {
    let (_top, dir, all) = small(&["-c", "core.compression=9"]);
    let path = file(&dir, "idx");
    let good = std::fs::read(&path).unwrap();
    let end = good.len() - 20;
    let contents =
        |objects: &Objects| -> BTreeSet<Vec<u8>> { objects.values().map(|(_, data)| data.clone()).collect() };
    for bit in 0..end * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut hasher = unsprawl::source::git::hash::Hasher::new(20);
        hasher.add(&bad[..end]);
        bad[end..].copy_from_slice(&hasher.end());
        std::fs::write(&path, &bad).unwrap();
        let notes = Arc::new(Notes::default());
        let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
        let collect = Collect::default();
        store.walk(Kinds::ALL, None, &collect, &WalkOptions { threads: 1, ..WalkOptions::default() });
        let seen = collect.seen.lock().unwrap();
        assert!(!notes.take().1.is_empty() || contents(&seen) == contents(&all), "bit {bit}");
        for id in all.keys() {
            assert!(store.read(id).ok().flatten().is_none_or(|object| object == all[id]));
        }
    }
}

/// Without checksums of entries only hashing would find a wrong kind: nothing worse may happen.
#[test]
fn every_flip_of_a_pack_with_a_version_1_index() {
    let (_top, dir, all) = small(&["-c", "pack.indexVersion=1"]);
    let path = file(&dir, "pack");
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bad).unwrap();
        let notes = Arc::new(Notes::default());
        let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
        let collect = Collect::default();
        store.walk(Kinds::ALL, None, &collect, &WalkOptions { threads: 1, ..WalkOptions::default() });
        let seen = collect.seen.lock().unwrap();
        let noted = !notes.take().1.is_empty();
        assert!(noted || seen.keys().eq(all.keys()), "bit {bit}");
    }
}

#[test]
fn every_cut_and_flip_of_a_loose_object() {
    let (_top, dir, all) = small(&[]);
    let (id, _) = all.iter().max_by_key(|(_, (_, data))| data.len()).unwrap();
    let path = loose(&dir, id);
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    every_damage(&dir, &path, &all);
}

/// Its own checksum is right, its hash is not: both when it is shown whole and when it is shown in parts.
#[test]
fn a_loose_object_with_another_hash_is_told() {
    let (_top, dir, all) = small(&[]);
    let (id, (_, text)) = all.iter().find(|(_, (kind, _))| *kind == Kind::Blob).unwrap();
    let path = loose(&dir, id);
    std::fs::remove_file(&path).unwrap();
    for content in [text.clone(), vec![b'x'; 100], vec![b'x'; 300 << 10]] {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut zlib, format!("blob {}\0", content.len()).as_bytes()).unwrap();
        std::io::Write::write_all(&mut zlib, &content).unwrap();
        std::fs::write(&path, zlib.finish().unwrap()).unwrap();
        let notes = Arc::new(Notes::default());
        let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
        let collect = Collect::default();
        // The largest one needs two parts.
        store.walk(Kinds::ALL, None, &collect, &WalkOptions { memory: 400 << 10, ..WalkOptions::default() });
        let told: &[_] = if content == *text { &[] } else { &[(NoteKind::GitDamaged, 1)] };
        assert_eq!(notes.take().1, told, "{} bytes", content.len());
        let parts = collect.parts.lock().unwrap();
        let shown = parts.get(id).map(|(bytes, _)| bytes.clone());
        let shown = shown.or_else(|| collect.seen.lock().unwrap().get(id).map(|(_, bytes)| bytes.clone()));
        assert!(shown.is_some_and(|shown| shown == content), "it is shown all the same");
    }
}

/// An index that is gone is built from the pack, and one object that is damaged is read from another pack.
#[test]
fn what_can_be_repaired_is() {
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf"], b"");
    let all = expected(&dir);
    std::fs::remove_file(file(&dir, "idx")).unwrap();
    assert!(look(&dir, &all, "no index"));
    let notes = Arc::new(Notes::default());
    let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
    let collect = Collect::default();
    store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
    assert_eq!(notes.take().1, [(NoteKind::Other, 1)]);
    assert_eq!(*collect.seen.lock().unwrap(), all);
}

#[test]
fn another_copy_replaces_a_damaged_one() {
    let (_top, dir) = repository("sha1");
    git_in(&dir, &["repack", "-qadf", "--depth=50"], b"");
    let all = expected(&dir);
    let (path, index) = (file(&dir, "pack"), file(&dir, "idx"));
    let (pack, away) = (std::fs::read(&path).unwrap(), dir.join("away"));
    // All objects loose, too.
    std::fs::rename(&index, &away).unwrap();
    std::fs::remove_file(&path).unwrap();
    git_in(&dir, &["unpack-objects", "-q"], &pack);
    std::fs::rename(&away, &index).unwrap();
    for at in (12..pack.len() - 20).step_by(pack.len() / 60) {
        let mut bad = pack.clone();
        bad[at] ^= 0xff;
        std::fs::write(&path, &bad).unwrap();
        let notes = Arc::new(Notes::default());
        let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
        let collect = Collect::default();
        store.walk(Kinds::ALL, None, &collect, &WalkOptions::default());
        assert_eq!(notes.take().1, [(NoteKind::GitDamaged, 1)], "flipped at {at}");
        assert_eq!(*collect.seen.lock().unwrap(), all, "flipped at {at}");
    }
}

/// Entries by hand: circles, bases that are nowhere, and sizes no one can have.
#[test]
fn hostile_packs() {
    let (_top, dir, all) = small(&[]);
    let objects = dir.join(".git/objects/pack");
    let id = |n: u8| ObjectId::from_bytes(&[n; 20]).unwrap();
    let zlib = |bytes: &[u8]| {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, bytes).unwrap();
        out.finish().unwrap()
    };
    let by_id =
        |base: ObjectId, delta: &[u8]| [&[0x70 | delta.len() as u8][..], base.as_bytes(), &zlib(delta)].concat();
    let copy = [4, 4, 0x90, 4];
    // 1 and 2 are built from each other, 3 from itself, 4 from nothing that is here, 5 declares 2^60 bytes,
    // 6 makes 2^40 bytes of a few, 7 is built from 4.
    let huge = [&[0xb0][..], &[0x80; 7], &[0x10], &zlib(b"x")].concat();
    let bomb = [&[4u8][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x20][..], &[0x90, 4]].concat();
    let whole = [&[0x34][..], &zlib(b"good")].concat();
    let entries = [
        (id(1), by_id(id(2), &copy)),
        (id(2), by_id(id(1), &copy)),
        (id(3), by_id(id(3), &copy)),
        (id(4), by_id(id(40), &copy)),
        (id(5), huge),
        (id(6), by_id(id(8), &bomb)),
        (id(7), by_id(id(4), &copy)),
        (id(8), whole),
    ];
    let mut pack = [&b"PACK\0\0\0\x02"[..], &(entries.len() as u32).to_be_bytes()].concat();
    let mut list = Vec::new();
    for (id, entry) in entries {
        list.push((id, crc32fast::hash(&entry), pack.len() as u64));
        pack.extend(entry);
    }
    pack.extend([9; 20]);
    std::fs::write(objects.join("pack-x.pack"), &pack).unwrap();
    std::fs::write(objects.join("pack-x.idx"), unsprawl::source::git::index::Index::build(list, &[9; 20])).unwrap();
    for threads in [1, 3] {
        let notes = Arc::new(Notes::default());
        let store = ObjectStore::open(&dir.join(".git/objects"), 20, Arc::clone(&notes)).unwrap();
        let collect = Collect::default();
        store.walk(Kinds::ALL, None, &collect, &WalkOptions { threads, ..WalkOptions::default() });
        // A second walk tells nothing twice.
        store.walk(Kinds::ALL, None, &Collect::default(), &WalkOptions { threads, ..WalkOptions::default() });
        let (found, counts) = notes.take();
        assert_eq!(counts, [(NoteKind::GitDamaged, 5), (NoteKind::GitMissing, 2)], "{found:?}");
        assert!(found.iter().any(|n| n.detail.contains(&id(40).to_string())), "the missing base is named");
        assert!(found.iter().filter(|n| n.detail.contains("circular")).count() >= 2);
        let mut seen = collect.seen.lock().unwrap();
        assert_eq!(seen.remove(&id(8)), Some((Kind::Blob, b"good".to_vec())));
        assert_eq!(*seen, all);
        for n in 1..8 {
            assert!(store.read(&id(n)).is_err());
            let _ = store.header(&id(n));
        }
    }
}
