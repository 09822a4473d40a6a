//! Heads of packs, pack entries and loose objects, and the streams behind them.
#![no_main]

use common::Input;
use libfuzzer_sys::fuzz_target;
use unsprawl::source::git::inflate::{Inflater, plausible};
use unsprawl::source::git::{loose, pack};

/// No more than this is allocated, whatever is declared.
const MOST: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let _ = pack::head(data);
    let mut inflater = Inflater::default();
    if let Some(head) = loose::head(data) {
        assert!(head.len <= data.len() && head.len <= loose::LONGEST_HEAD);
    }
    let _ = loose::packed_head(data, &mut inflater);
    let mut input = Input(data);
    let offset = u64::from(input.byte());
    for hash_len in [20, 32] {
        let Ok(entry) = pack::entry(data, offset, hash_len) else { continue };
        assert!(entry.data <= data.len());
        let packed = &data[entry.data..];
        if entry.size > MOST || !plausible(entry.size, packed.len() as u64) {
            continue;
        }
        let mut whole = Vec::new();
        let same = inflater.whole(packed, &mut whole, entry.size as usize);
        // Without a look at the sum of the content nothing is lost, and no other size accepted.
        let mut summed = Vec::new();
        if inflater.entry(packed, true, &mut summed, entry.size as usize).is_ok() {
            assert_eq!(summed.len() as u64, entry.size);
        } else {
            assert!(same.is_err());
        }
        if same.is_ok() {
            assert_eq!(summed, whole);
        }
        let (mut pieces, mut kept) = (Vec::new(), 0);
        let streamed = inflater.pieces(packed, entry.size, &mut [0; 512], |bytes, _| {
            pieces.extend_from_slice(&bytes[kept..]);
            kept = bytes.len().min(32);
            kept
        });
        if same.is_ok() && streamed.is_ok() {
            assert_eq!(whole, pieces);
        }
        assert_eq!(same.is_ok(), streamed.is_ok(), "{same:?} {streamed:?}");
    }
});
