//! Deltas: what is applied has the declared size, its segments fit, and `fits` agrees.
#![no_main]

use common::{Input, assert_covers};
use libfuzzer_sys::fuzz_target;
use unsprawl::source::git::delta;

/// No more than this is allocated, whatever is declared.
const MOST: u64 = 1 << 22;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let base = input.short();
    let (base, delta) = (input.bytes(base), input.0);
    let Some(header) = delta::header(delta) else { return };
    let fits = delta::fits(delta, header);
    if header.result > MOST {
        return;
    }
    let (mut out, mut segments) = (Vec::with_capacity(header.result as usize), Vec::new());
    let room = out.capacity();
    match delta::apply(delta, header, base, &mut out, &mut segments) {
        Ok(()) => {
            assert!(fits && out.len() as u64 == header.result);
            assert_covers(&segments, &out, Some(base));
        }
        Err(_) => assert!(out.capacity() == room),
    }
});
