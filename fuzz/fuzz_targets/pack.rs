//! A whole object database from bytes: a pack with or without its index, and a loose object.
//!
//! Whatever the bytes are: no panic, no hang, no allocation by declared size, and segments that fit what is shown.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use common::{Input, assert_covers, folder};
use libfuzzer_sys::fuzz_target;
use unsprawl::model::ObjectId;
use unsprawl::notes::Notes;
use unsprawl::source::git::hash::{Hasher, object_id};
use unsprawl::source::git::store::ObjectStore;
use unsprawl::source::git::walk::{Kinds, Object, Segment, Visitor, WalkOptions};

struct Check;

impl Visitor for Check {
    /// The bytes of the base.
    type State = Vec<u8>;

    fn whole(&self, object: Object<'_>, _: bool) -> Vec<u8> {
        object.data.to_vec()
    }

    fn delta(&self, object: Object<'_>, base: &Vec<u8>, segments: &[Segment], _: bool) -> Vec<u8> {
        assert_covers(segments, object.data, Some(base));
        object.data.to_vec()
    }

    fn part(&self, _: ObjectId, _: &[u8], _: u64, _: bool) {}
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let flags = input.byte();
    let hash_len = if flags & 1 == 0 { 20 } else { 32 };
    let (pack, loose) = (input.short(), input.short());
    let (mut pack, loose, mut index) = (input.bytes(pack).to_vec(), input.bytes(loose), input.0.to_vec());
    if flags & 2 != 0 {
        sign(&mut pack, &mut index, hash_len);
    }
    let objects = folder();
    write(objects, &pack, (flags & 4 == 0).then_some(&index[..]), loose, hash_len);
    let notes = Arc::new(Notes::default());
    let Ok(store) = ObjectStore::open(objects, hash_len, notes) else { return };
    let options = WalkOptions { memory: 8 << 20, whole_limit: 1 << 20, threads: 1, most: None };
    store.walk(Kinds::ALL, None, &Check, &options);
    for id in store.ids().take(64).collect::<Vec<_>>() {
        if let Ok(Some((kind, content))) = store.read(&id) {
            // An entry that the checksums of a forged index vouch for may be under a wrong name; never of no kind.
            assert!(object_id(hash_len, kind, &content).is_some());
        }
        let _ = store.header(&id);
    }
});

/// Makes the checksums fit, so that what is behind them is reached.
fn sign(pack: &mut Vec<u8>, index: &mut Vec<u8>, hash_len: usize) {
    let sum = |bytes: &[u8]| {
        let mut hasher = Hasher::new(hash_len);
        hasher.add(bytes);
        hasher.end()
    };
    if pack.len() > hash_len {
        pack.truncate(pack.len() - hash_len);
        pack.extend(sum(pack));
    }
    if index.len() > 2 * hash_len {
        index.truncate(index.len() - 2 * hash_len);
        index.extend_from_slice(&pack[pack.len().saturating_sub(hash_len)..]);
        index.extend(sum(index));
    }
}

fn write(objects: &Path, pack: &[u8], index: Option<&[u8]>, loose: &[u8], hash_len: usize) {
    let packs = objects.join("pack");
    let _ = std::fs::create_dir_all(&packs);
    let _ = std::fs::remove_file(packs.join("a.idx"));
    std::fs::write(packs.join("a.pack"), pack).expect("writable");
    if let Some(index) = index {
        std::fs::write(packs.join("a.idx"), index).expect("writable");
    }
    for (other, name) in [(32, "0".repeat(38)), (20, "0".repeat(62))] {
        let path = objects.join("00").join(name);
        if other == hash_len || loose.is_empty() {
            let _ = std::fs::remove_file(path);
        } else {
            let _ = std::fs::create_dir_all(objects.join("00"));
            std::fs::write(path, loose).expect("writable");
        }
    }
}
