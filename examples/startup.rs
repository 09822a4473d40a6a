//! Times the parts of a start: parsing rule files, building the catalog, building the automaton.
#![allow(clippy::print_stdout)]

use std::time::Instant;
use unsprawl::rules::{Catalog, Selection, read};
fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "rules".into());
    for _ in 0..3 {
        let t = Instant::now();
        let files = read(std::path::Path::new(&dir)).expect("rules");
        let parsed = t.elapsed();
        let t = Instant::now();
        let catalog = Catalog::build(&files, &Selection::default()).expect("catalog");
        let built = t.elapsed();
        let t = Instant::now();
        let anchors = unsprawl::detect::anchors::Anchors::new(&catalog);
        println!("parse {parsed:?} catalog {built:?} automaton {:?} ({} literals)", t.elapsed(), anchors.len());
    }
}
