//! Texts under the whole catalog: what is inherited from a base is what looking at the whole text gives.
#![no_main]

use std::cell::RefCell;
use std::sync::OnceLock;

use common::Input;
use libfuzzer_sys::fuzz_target;
use unsprawl::detect::candidate::Scratch;
use unsprawl::detect::{Cuts, Scanner};
use unsprawl::model::Confidence;
use unsprawl::rules::{self, Selection};

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    SCANNER.get_or_init(|| {
        let selection = Selection { confidence: Confidence::Low, ..Selection::default() };
        let catalog = rules::load(&[] as &[&std::path::Path], &selection).expect("embedded rules are sound");
        Scanner::new(catalog, Confidence::Low)
    })
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let base = input.short();
    let base = input.bytes(base);
    let scanner = scanner();
    SCRATCH.with_borrow_mut(|scratch| {
        let mut cuts = Cuts::default();
        for hit in scanner.scan(base, scratch, &mut cuts) {
            assert!(hit.span.start <= hit.span.end && hit.span.end <= base.len() as u64, "{:?}", hit.span);
            assert!(hit.span.line >= 1 && hit.span.column >= 1);
        }
        let state = scanner.root(base, scratch, &mut cuts);
        let (text, segments) = input.change(base);
        let inherited = scanner.delta(&text, &state, &segments, scratch, &mut cuts);
        let whole = scanner.root(&text, scratch, &mut cuts);
        // Positions and values only: a failure must not print what may be a secret of somebody's corpus.
        assert!(inherited == whole, "the states differ: {segments:?}");
        assert!(scanner.finish(&text, &inherited) == scanner.finish(&text, &whole), "the hits differ: {segments:?}");
    });
});
