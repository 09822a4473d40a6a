//! Git's delta format: a list of *copy a range of the base* and *insert these bytes*.
//!
//! Contract: any bytes are safe to parse. A delta is applied only if it says the size of the base at hand, every copy
//! lies inside the base, and the result has exactly the size that the delta declares.

use super::walk::Segment;

/// Beyond this many segments the object counts as new from start to end: the list must not grow past the memory budget.
pub const MOST_SEGMENTS: usize = 1 << 18;

/// The sizes a delta begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size of the base it was made for.
    pub base: u64,
    /// Size of the result.
    pub result: u64,
    /// Where the instructions start.
    pub len: usize,
}

/// Reads the two sizes at the front; `None` if they are cut short or do not fit 64 bits.
pub fn header(delta: &[u8]) -> Option<Header> {
    let (base, first) = size(delta)?;
    let (result, second) = size(&delta[first..])?;
    Some(Header { base, result, len: first + second })
}

/// A little-endian base-128 number and its length.
fn size(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if i == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

/// One instruction.
enum Op {
    Copy { base: usize, len: usize },
    Insert { len: usize },
}

/// Reads one instruction off the front; for an insert, its bytes are the next ones. `None` if it is cut short or of
/// the reserved kind 0.
#[inline(always)]
fn next_op(ops: &mut &[u8]) -> Option<Op> {
    let (&op, mut rest) = ops.split_first()?;
    if op & 0x80 == 0 {
        *ops = rest;
        return (op != 0).then_some(Op::Insert { len: usize::from(op) });
    }
    let mut base = 0u32;
    let mut len = 0u32;
    for i in 0..4 {
        if op & (1 << i) != 0 {
            let (&byte, tail) = rest.split_first()?;
            base |= u32::from(byte) << (8 * i);
            rest = tail;
        }
    }
    for i in 0..3 {
        if op & (0x10 << i) != 0 {
            let (&byte, tail) = rest.split_first()?;
            len |= u32::from(byte) << (8 * i);
            rest = tail;
        }
    }
    *ops = rest;
    Some(Op::Copy { base: base as usize, len: if len == 0 { 0x10000 } else { len as usize } })
}

/// Whether the instructions are whole and make exactly the declared size: to be asked before a large result is
/// allocated.
pub fn fits(delta: &[u8], header: Header) -> bool {
    let mut ops = &delta[header.len..];
    let mut sum = 0u64;
    while !ops.is_empty() {
        match next_op(&mut ops) {
            Some(Op::Copy { len, .. }) => sum += len as u64,
            Some(Op::Insert { len }) if len <= ops.len() => {
                ops = &ops[len..];
                sum += len as u64;
            }
            _ => return false,
        }
    }
    sum == header.result
}

/// Applies a delta: `out` becomes the object, `segments` tells where its bytes come from. `out` must have room for the
/// result, it is never grown past its capacity. A copy that goes on where the one before it ended, in the object and
/// in the base, is one segment with it, and so are inserts that follow each other.
pub fn apply(
    delta: &[u8],
    header: Header,
    base: &[u8],
    out: &mut Vec<u8>,
    segments: &mut Vec<Segment>,
) -> Result<(), &'static str> {
    segments.clear();
    out.clear();
    if header.base != base.len() as u64 {
        return Err("delta is for a base of another size");
    }
    let Some(size) = usize::try_from(header.result).ok().filter(|n| *n <= out.capacity()) else {
        return Err("delta result has no room");
    };
    let mut ops = &delta[header.len..];
    // The segment that is still growing.
    let (mut start, mut from) = (0, None);
    while !ops.is_empty() {
        let at = out.len();
        match next_op(&mut ops) {
            Some(Op::Copy { base: offset, len }) => {
                let Some(bytes) = base.get(offset..).and_then(|b| b.get(..len)) else {
                    return Err("delta copies from outside its base");
                };
                if len > size - at {
                    return Err("delta result is longer than declared");
                }
                out.extend_from_slice(bytes);
                if from.is_none_or(|from| from + (at - start) != offset) {
                    push(segments, start, from, at);
                    (start, from) = (at, Some(offset));
                }
            }
            Some(Op::Insert { len }) => {
                let Some((bytes, rest)) = ops.split_at_checked(len) else {
                    return Err("delta is cut short");
                };
                if len > size - at {
                    return Err("delta result is longer than declared");
                }
                out.extend_from_slice(bytes);
                ops = rest;
                if from.is_some() {
                    push(segments, start, from, at);
                    (start, from) = (at, None);
                }
            }
            None => return Err("delta has an unknown or cut instruction"),
        }
    }
    push(segments, start, from, out.len());
    if out.len() != size {
        return Err("delta result is shorter than declared");
    }
    if segments.len() >= MOST_SEGMENTS {
        segments.clear();
        segments.push(Segment::Insert { start: 0, len: size });
    }
    Ok(())
}

/// Ends the segment that started at `start`, unless it is empty or the list is full.
#[inline(always)]
fn push(segments: &mut Vec<Segment>, start: usize, from: Option<usize>, end: usize) {
    if end == start || segments.len() >= MOST_SEGMENTS {
        return;
    }
    let len = end - start;
    segments.push(match from {
        Some(base) => Segment::Copy { start, base, len },
        None => Segment::Insert { start, len },
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// An instruction as the tests write it down.
    #[derive(Clone, Debug)]
    enum Step {
        Copy(usize, usize),
        Insert(Vec<u8>),
    }

    fn number(mut n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    /// Encodes a delta and applies it the obvious way.
    fn encode(base: &[u8], steps: &[Step]) -> (Vec<u8>, Vec<u8>) {
        let (mut ops, mut result) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Copy(at, len) => {
                    let at_op = ops.len();
                    ops.push(0x80);
                    for i in 0..4 {
                        let byte = (at >> (8 * i)) as u8;
                        if byte != 0 {
                            ops[at_op] |= 1 << i;
                            ops.push(byte);
                        }
                    }
                    for i in 0..3 {
                        let byte = (len >> (8 * i)) as u8;
                        if byte != 0 && *len != 0x10000 {
                            ops[at_op] |= 0x10 << i;
                            ops.push(byte);
                        }
                    }
                    result.extend_from_slice(&base[*at..at + len]);
                }
                Step::Insert(bytes) => {
                    ops.push(bytes.len() as u8);
                    ops.extend_from_slice(bytes);
                    result.extend_from_slice(bytes);
                }
            }
        }
        let mut delta = number(base.len() as u64);
        delta.extend(number(result.len() as u64));
        delta.extend(ops);
        (delta, result)
    }

    fn run(delta: &[u8], base: &[u8]) -> Result<(Vec<u8>, Vec<Segment>), &'static str> {
        let header = header(delta).ok_or("no header")?;
        if header.result > 1 << 24 || !fits(delta, header) {
            return Err("does not fit");
        }
        let mut out = Vec::with_capacity(header.result as usize);
        let mut segments = Vec::new();
        apply(delta, header, base, &mut out, &mut segments)?;
        Ok((out, segments))
    }

    fn steps() -> impl Strategy<Value = (Vec<u8>, Vec<Step>)> {
        proptest::collection::vec(any::<u8>(), 1..100_000).prop_flat_map(|base| {
            let n = base.len();
            let copy = (0..n).prop_flat_map(move |at| (Just(at), 1..=(n - at).min(0xff_ffff)));
            let step = prop_oneof![
                copy.prop_map(|(at, len)| Step::Copy(at, len)),
                proptest::collection::vec(any::<u8>(), 1..128).prop_map(Step::Insert),
            ];
            (Just(base), proptest::collection::vec(step, 0..20))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn agrees_with_the_obvious_way((base, steps) in steps()) {
            let (delta, result) = encode(&base, &steps);
            let (out, segments) = run(&delta, &base).unwrap();
            prop_assert_eq!(&out, &result);
            let mut at = 0;
            for segment in segments {
                match segment {
                    Segment::Copy { start, base: from, len } => {
                        prop_assert_eq!(start, at);
                        prop_assert_eq!(&out[start..start + len], &base[from..from + len]);
                        at += len;
                    }
                    Segment::Insert { start, len } => {
                        prop_assert_eq!(start, at);
                        at += len;
                    }
                }
            }
            prop_assert_eq!(at, out.len());
        }

        #[test]
        fn any_bytes_are_safe(delta in proptest::collection::vec(any::<u8>(), 0..200), n in 0usize..300) {
            let _ = run(&delta, &vec![7; n]);
            if let Some(header) = header(&delta) {
                let mut out = Vec::with_capacity(64);
                let _ = apply(&delta, header, &vec![7; n], &mut out, &mut Vec::new());
                prop_assert!(out.capacity() <= 64);
            }
        }
    }

    #[test]
    fn neighbours_become_one_segment() {
        let base: Vec<u8> = (0..200).collect();
        let steps = [
            Step::Copy(10, 20),
            Step::Copy(30, 5),
            Step::Insert(vec![1, 2]),
            Step::Insert(vec![3]),
            Step::Copy(35, 5),
            Step::Copy(0, 5),
        ];
        let (delta, _) = encode(&base, &steps);
        let (_, segments) = run(&delta, &base).unwrap();
        assert_eq!(
            segments,
            [
                Segment::Copy { start: 0, base: 10, len: 25 },
                Segment::Insert { start: 25, len: 3 },
                Segment::Copy { start: 28, base: 35, len: 5 },
                Segment::Copy { start: 33, base: 0, len: 5 },
            ]
        );
    }

    #[test]
    fn wrong_deltas_are_refused() {
        let base = b"0123456789";
        let good = encode(base, &[Step::Copy(2, 5), Step::Insert(b"xy".to_vec())]).0;
        assert_eq!(run(&good, base).unwrap().0, b"23456xy");
        assert!(run(&good, b"012345678").is_err(), "base of another size");
        for cut in 0..good.len() {
            assert!(run(&good[..cut], base).is_err(), "cut at {cut}");
        }
        assert!(run(&[10, 5, 0x91, 8, 5], base).is_err(), "copy past the end");
        assert!(run(&[10, 5, 0xff, 255, 255, 255, 255, 255, 255, 255], base).is_err());
        assert!(run(&[10, 1, 0], base).is_err(), "reserved instruction");
        assert_eq!(header(&[0xff; 12]), None);
        let mut delta = number(u64::MAX);
        delta.extend(number(u64::MAX));
        assert_eq!(header(&delta).map(|h| h.result), Some(u64::MAX));
    }

    #[test]
    fn a_flood_of_segments_becomes_one() {
        let base = b"ab";
        let steps: Vec<Step> = (0..MOST_SEGMENTS + 10).map(|i| Step::Copy(0, 1 + i % 2)).collect();
        let (delta, result) = encode(base, &steps);
        let (out, segments) = run(&delta, base).unwrap();
        assert_eq!(out, result);
        assert_eq!(segments, [Segment::Insert { start: 0, len: result.len() }]);
    }
}
