//! Archives and compressed streams, nested, under small limits that must hold.
#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use unsprawl::model::PlaceKind;
use unsprawl::notes::Notes;
use unsprawl::source::archive::{Data, HEAD, expand, expand_stream, sniff};
use unsprawl::source::{Limits, Origin, Piece, Sink};

#[derive(Default)]
struct Count(AtomicU64);

impl Sink for Count {
    fn piece(&self, piece: Piece<'_>) {
        assert!(piece.origin.member.iter().all(|name| !name.chars().any(char::is_control)), "printable names");
        self.0.fetch_add(piece.bytes.len() as u64, Ordering::Relaxed);
    }
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits { depth: 3, expanded: 4 << 20, members: 200, ..Limits::default() };
    let origin = Origin { target: 0, kind: PlaceKind::File, path: b"f".to_vec(), object: None, member: Vec::new() };
    let notes = Notes::default();
    if let Some(format) = sniff(&data[..data.len().min(HEAD)]) {
        let sink = Count::default();
        let expanded = expand(Data::Memory(data), format, &origin, &limits, &notes, &sink);
        assert!(expanded.members <= limits.members, "{expanded:?}");
        // What is no archive after all comes as the text it is, besides what it expanded to.
        let most = limits.expanded + 2 * data.len() as u64 + (1 << 20);
        assert!(expanded.bytes <= most && sink.0.into_inner() <= 2 * most, "{expanded:?}");
    }
    let sink = Count::default();
    let mut reader = data;
    let expanded = expand_stream(&mut reader, &origin, &limits, &notes, &sink);
    assert!(expanded.members <= limits.members, "{expanded:?}");
});
