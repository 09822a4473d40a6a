//! Trees: whole, and as a change of another tree, which must come to the same.
#![no_main]

use common::Input;
use libfuzzer_sys::fuzz_target;
use unsprawl::source::git::entries::{RawEntry, Reader, entries};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let width = if input.byte() & 1 == 0 { 20 } else { 32 };
    let base = input.short();
    let base = input.bytes(base);
    for entry in entries(base, width).flatten() {
        assert_eq!(entry.id.len(), width);
        let _ = (entry.is_tree(), entry.is_module());
    }
    let keep = |entry: RawEntry<'_>, items: &mut Vec<(u32, u32)>| {
        if entry.name.len() % 2 == 0 {
            items.push((entry.at as u32, entry.mode));
        }
    };
    let (known, whole) = Reader::new(base, width, keep).whole();
    let (text, segments) = input.change(base);
    if whole {
        let as_change = Reader::new(&text, width, keep).delta(&known, &segments);
        let as_whole = Reader::new(&text, width, keep).whole();
        assert_eq!(as_change.1, as_whole.1);
        if as_whole.1 {
            assert_eq!(as_change, as_whole);
        }
    }
});
