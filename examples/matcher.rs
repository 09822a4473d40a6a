//! Times the matcher on the bytes of a file: the search for anchors alone, and the whole detection.
//!
//! Usage: cargo run --release --example matcher FILE [FILE...]
#![allow(clippy::print_stdout)]

use std::time::Instant;
use unsprawl::detect::candidate::Scratch;
use unsprawl::detect::{Cuts, Scanner, anchors::Anchors};
use unsprawl::model::Confidence;
use unsprawl::rules::{Selection, load};

fn main() {
    let selection = Selection { confidence: Confidence::Medium, ..Selection::default() };
    let begun = Instant::now();
    let catalog = load(&[] as &[&str], &selection).expect("embedded rules are sound");
    let loaded = begun.elapsed();
    let anchors = Anchors::new(&catalog);
    println!("rules {loaded:?}, anchors {:?}, {} literals", begun.elapsed() - loaded, anchors.len());
    let scanner = Scanner::new(catalog, Confidence::Medium);
    for path in std::env::args().skip(1) {
        let text = std::fs::read(&path).expect("a readable file");
        for _ in 0..3 {
            let begun = Instant::now();
            let mut seen = 0;
            anchors.find(&text, 0..text.len(), text.len(), |_| seen += 1);
            let find = begun.elapsed();
            let begun = Instant::now();
            let hits = scanner.scan(&text, &mut Scratch::default(), &mut Cuts::default());
            let rate = |t: std::time::Duration| text.len() as f64 / t.as_secs_f64() / 1e9;
            println!(
                "{path}: find {:.2} GB/s ({seen} literals), scan {:.2} GB/s ({} hits)",
                rate(find),
                rate(begun.elapsed()),
                hits.len()
            );
        }
    }
}
