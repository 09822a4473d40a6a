//! Pack indexes from bytes: every table is asked for every position.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsprawl::source::git::index::{Bytes, Index};

fuzz_target!(|data: &[u8]| {
    for hash_len in [20, 32] {
        let Ok(index) = Index::parse(Bytes::Held(data.to_vec()), hash_len) else { continue };
        let _ = (index.check(), index.pack_checksum());
        for at in 0..index.count().min(512) {
            let id = index.id(at).to_vec();
            assert_eq!(id.len(), hash_len);
            let _ = (index.offset(at), index.crc(at));
            if let Some(found) = index.find(&id) {
                assert_eq!(index.id(found), id);
            }
        }
        for first in 0..=255 {
            let range = index.range(first);
            assert!(range.start <= range.end && range.end <= index.count());
        }
        let _ = index.find(&[7; 32][..hash_len]);
    }
});
