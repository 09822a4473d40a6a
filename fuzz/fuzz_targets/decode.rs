//! Decoders: runs lie inside the text, and the blocks of a change give what the whole text gives there.
#![no_main]

use common::Input;
use libfuzzer_sys::fuzz_target;
use unsprawl::detect::decode::{Decoded, blocks, each};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (from, to) = (input.short(), input.short());
    let text = input.0;
    let decode = |range: std::ops::Range<usize>| {
        let mut all: Vec<Decoded> = Vec::new();
        each(text, range.clone(), &mut |d| all.push(d), &mut |_| {});
        for run in &all {
            assert!(run.range.start >= range.start && run.range.end <= range.end, "{:?} outside of {range:?}", run.range);
            assert!(run.range.start < run.range.end && !run.layers.is_empty());
        }
        all
    };
    let all = decode(0..text.len());
    let (from, to) = (from.min(text.len()), to.min(text.len()));
    if from > to {
        return;
    }
    let wide = blocks(text, from..to);
    assert!(wide.start <= from && wide.end >= to && wide.end <= text.len());
    let some = decode(wide.clone());
    let key = |d: &Decoded| (d.range.start, d.range.end, d.layers.clone(), d.bytes.clone());
    let inside = |d: &&Decoded| d.range.start < to && d.range.end > from;
    let (mut all, mut some): (Vec<_>, Vec<_>) =
        (all.iter().filter(inside).map(key).collect(), some.iter().filter(inside).map(key).collect());
    all.sort();
    some.sort();
    assert_eq!(all, some, "{from}..{to} widened to {wide:?}");
});
