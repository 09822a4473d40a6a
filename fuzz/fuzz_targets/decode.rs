//! Decoders: runs lie inside the text, and the blocks of a change give what the whole text gives there; where they need not be looked
//! at for runs, there is none.
#![no_main]

use common::Input;
use libfuzzer_sys::fuzz_target;
use unsprawl::detect::decode::{Blocks, Decoded, each};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (from, to) = (input.short(), input.short());
    let text = input.0;
    let decode = |blocks: &Blocks| {
        let (mut all, range): (Vec<Decoded>, _) = (Vec::new(), &blocks.range);
        each(text, blocks, &mut |d| all.push(d), &mut |_| {});
        for run in &all {
            assert!(run.range.start >= range.start && run.range.end <= range.end, "{:?} outside of {range:?}", run.range);
            assert!(run.range.start < run.range.end && !run.layers.is_empty());
        }
        all
    };
    let all = decode(&Blocks::all(text));
    let (from, to) = (from.min(text.len()), to.min(text.len()));
    if from > to {
        return;
    }
    let blocks = Blocks::changed(text, from..to, false);
    let wide = &blocks.range;
    assert!(wide.start <= from && wide.end >= to && wide.end <= text.len() && blocks.runs);
    let some = decode(&blocks);
    let key = |d: &Decoded| (d.range.start, d.range.end, d.layers.clone(), d.bytes.clone());
    let inside = |d: &&Decoded| d.range.start < to && d.range.end > from;
    if !Blocks::changed(text, from..to, true).runs {
        let is_run = |d: &Decoded| matches!(d.layers.first(), Some(&("base64" | "hex")));
        assert!(!all.iter().filter(inside).any(is_run), "a run in {from}..{to} was passed over");
    }
    let (mut all, mut some): (Vec<_>, Vec<_>) =
        (all.iter().filter(inside).map(key).collect(), some.iter().filter(inside).map(key).collect());
    all.sort();
    some.sort();
    assert_eq!(all, some, "{from}..{to} widened to {wide:?}");
});
