//! What a walk does with one node: get its bytes within the budget, and show them.
//!
//! Contract: sizes are checked against the budget and for plausibility before anything is allocated; a visitor that
//! panics costs the object it was shown, not the walk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::budget::Buffer;
use super::delta;
use super::forest::LOST;
use super::hash::Hasher;
use super::inflate::{self, SLACK, SLACK_IN};
use super::loose;
use super::pack::Stored;
use super::store::{Fault, Place, WRONG_HASH};
use super::walk::{Kind, Object, Visitor};
use super::walker::{Desk, Frame, Live, Stop, Walker, Why};
use crate::source::{OVERLAP, PIECE};

/// Results larger than this are allocated only after a look at all instructions of the delta.
const TRUSTED: u64 = 1 << 20;
/// After so many bytes read a thread tells the pack of them.
const TOUCHED: usize = 1 << 20;
/// What is reported when the visitor panics.
const PANIC: &str = "a fault of this program while looking at the object";

impl<'a, V: Visitor> Walker<'a, V> {
    /// Applies the delta of a node.
    pub(super) fn decode<'s>(
        &'s self,
        desk: &mut Desk<'s, V::State>,
        node: u32,
        base: &[u8],
    ) -> Result<Buffer<'s>, Stop> {
        let (size, packed, summed) = self.packed(desk, node)?;
        let mut delta = self.buffer(desk, size, base.len() as u64)?;
        desk.inflater.entry(packed, summed, &mut delta.bytes, size as usize)?;
        let header = delta::header(&delta).ok_or("delta has no header")?;
        self.make(desk, header.result)?;
        if header.result > TRUSTED && !delta::fits(&delta, header) {
            return Err("delta does not make the declared size".into());
        }
        let mut out = self.buffer(desk, header.result, base.len() as u64 + size)?;
        delta::apply(&delta, header, base, &mut out.bytes, &mut desk.segments)?;
        desk.spare.give(delta);
        Ok(out)
    }

    /// A buffer for `size` bytes; a fault if not even the whole budget has them on top of `held` ones.
    fn buffer<'s>(&'s self, desk: &mut Desk<'s, V::State>, size: u64, held: u64) -> Result<Buffer<'s>, Stop> {
        let room = size.saturating_add(SLACK as u64);
        if room.saturating_add(held) > self.budget.limit() {
            return Err(Fault::TooLarge.into());
        }
        usize::try_from(room).ok().and_then(|room| desk.spare.take(room)).ok_or(Stop::Memory)
    }

    /// Declared size and compressed bytes of the entry of a node in a pack, and whether their CRC-32 fits.
    fn packed(&self, desk: &mut Desk<'_, V::State>, node: u32) -> Result<(u64, &'a [u8], bool), Stop> {
        let Some((number, offset, end, crc)) = self.forest.entry(node) else {
            return Err("not in a pack".into());
        };
        let pack = &self.store.packs[number];
        let entries = pack.entries();
        let entry = pack.entry(offset)?;
        let raw = entries.get(offset as usize..end as usize).ok_or("entry is cut short")?;
        desk.read += raw.len();
        if desk.read >= TOUCHED {
            pack.touch(std::mem::take(&mut desk.read));
        }
        let summed = crc.map(|crc| crc == crc32fast::hash(raw));
        if summed == Some(false) {
            // Shown all the same if it can be decoded: better to look at too much.
            let fault = Fault::Damaged("CRC-32 of the entry does not fit");
            self.store.report(Place::Pack(number, offset), self.forest.id(self.store, node), fault, true);
        }
        let len = end.saturating_sub(entry.data as u64);
        if !inflate::plausible(entry.size, len) {
            return Err("declared size is not plausible".into());
        }
        let shown = (end as usize + SLACK_IN).min(entries.len());
        Ok((entry.size, entries.get(entry.data..shown).unwrap_or_default(), summed == Some(true)))
    }

    /// Visits a root. `offer` says whether it may be put off for lack of memory.
    pub(super) fn root<'s>(&'s self, desk: &mut Desk<'s, V::State>, node: u32, offer: bool) {
        let result = match self.forest.place(node) {
            _ if self.forest.kind(node) == LOST => Err(self.forest.why_lost(self.store, node).into()),
            Place::Pack(..) => self.packed_root(desk, node),
            Place::Loose(dir, position) => self.loose_root(desk, node, dir, position),
        };
        match result {
            Ok(()) => {}
            Err(Stop::Memory) if !offer => self.put_off(node, Fault::TooLarge.into()),
            Err(stop) => self.put_off(node, stop),
        }
    }

    /// Visits a root in a pack.
    fn packed_root<'s>(&'s self, desk: &mut Desk<'s, V::State>, node: u32) -> Result<(), Stop> {
        let (size, packed, summed) = self.packed(desk, node)?;
        let Place::Pack(number, offset) = self.forest.place(node) else { return Ok(()) };
        let Stored::Whole(kind) = self.store.packs[number].entry(offset)?.stored else {
            return Err("delta without a base".into());
        };
        if self.is_streamed(node, kind, size) {
            return self.stream(desk, node, packed, size, 0);
        }
        let mut data = self.buffer(desk, size, 0)?;
        desk.inflater.entry(packed, summed, &mut data.bytes, size as usize)?;
        self.show(desk, node, kind, data, None);
        Ok(())
    }

    /// Visits a loose object.
    fn loose_root<'s>(
        &'s self,
        desk: &mut Desk<'s, V::State>,
        node: u32,
        dir: usize,
        position: usize,
    ) -> Result<(), Stop> {
        let packed = self.store.loose[dir].open(position).map_err(|_| "loose object cannot be read")?;
        let head = loose::packed_head(&packed, &mut desk.inflater)?;
        if !self.kinds.has(head.kind) {
            return Ok(());
        }
        let size = head.size.saturating_add(head.len as u64);
        if !inflate::plausible(size, packed.len() as u64) {
            return Err("declared size is not plausible".into());
        }
        if self.is_streamed(node, head.kind, size) {
            return self.stream(desk, node, &packed, size, head.len);
        }
        let mut data = self.buffer(desk, size, 0)?;
        desk.inflater.whole(&packed, &mut data.bytes, size as usize)?;
        let mut hasher = Hasher::new(self.store.hash_len());
        hasher.add(&data);
        self.hold(node, hasher);
        data.bytes.drain(..head.len);
        self.show(desk, node, head.kind, data, None);
        Ok(())
    }

    /// Reports a loose object whose hash is not its id. An entry of a pack has a CRC-32, this has nothing else: an Adler-32 lets
    /// some flips of a bit pass. It is shown all the same: better to look at too much.
    fn hold(&self, node: u32, hasher: Hasher) {
        let id = self.forest.id(self.store, node);
        if id.is_some_and(|id| hasher.end() != id.as_bytes()) {
            self.store.report(self.forest.place(node), id, Fault::Damaged(WRONG_HASH), true);
        }
    }

    /// Whether a root is shown in parts. If it is a base, only when the budget leaves no other way.
    fn is_streamed(&self, node: u32, kind: Kind, size: u64) -> bool {
        let base = !self.plan.children(node).is_empty();
        let most = if base { u64::MAX } else { self.options.whole_limit };
        kind == Kind::Blob && size > most.min(self.budget.limit() / 2)
    }

    /// Shows a blob in parts, without the first `head` bytes of its stream. What is built from it is lost.
    fn stream<'s>(
        &'s self,
        desk: &mut Desk<'s, V::State>,
        node: u32,
        packed: &[u8],
        size: u64,
        head: usize,
    ) -> Result<(), Stop> {
        for at in self.plan.children(node) {
            self.put_off_as(self.plan.child(at), Why::Below(Fault::TooLarge));
        }
        if !self.plan.is_wanted(node) || self.forest.is_duplicate(node) {
            return Ok(());
        }
        let id = self.forest.id(self.store, node).ok_or("object without an id")?;
        let len = self.budget.limit().min(2 * PIECE as u64) / 2;
        let mut buffer = self.buffer(desk, len.max(2 * OVERLAP as u64), 0)?;
        buffer.bytes.resize(len.max(2 * OVERLAP as u64) as usize, 0);
        desk.seen.objects += 1;
        desk.seen.bytes += size - head as u64;
        let (mut offset, mut skip, mut panicked) = (0, head, false);
        let (mut hasher, mut again) = ((head > 0).then(|| Hasher::new(self.store.hash_len())), 0);
        let result = desk.inflater.pieces(packed, size, &mut buffer.bytes, |bytes, last| {
            hasher.iter_mut().for_each(|hasher| hasher.add(bytes.get(again..).unwrap_or_default()));
            let part = bytes.get(skip..).unwrap_or_default();
            let shown = || self.visitor.part(id, part, offset, last);
            panicked = panicked || catch_unwind(AssertUnwindSafe(shown)).is_err();
            let kept = part.len().min(OVERLAP);
            offset += (part.len() - kept) as u64;
            skip = 0;
            again = kept;
            kept
        });
        if let Some(hasher) = hasher.filter(|_| result.is_ok()) {
            self.hold(node, hasher);
        }
        if panicked {
            self.store.report(self.forest.place(node), Some(id), Fault::Damaged(PANIC), true);
        }
        result.map(drop).map_err(|reason| Stop::Fault(reason.into()))
    }

    /// Shows an object and puts it on the stack if it is the base of something.
    pub(super) fn show<'s>(
        &'s self,
        desk: &mut Desk<'s, V::State>,
        node: u32,
        kind: Kind,
        data: Buffer<'s>,
        base: Option<&V::State>,
    ) {
        let children = self.plan.children(node);
        let Some(id) = self.forest.raw_id(self.store, node) else { return };
        let first = !self.forest.is_duplicate(node);
        let wanted = self.plan.is_wanted(node);
        let object = Object { id, kind, data: &data, first, wanted };
        let more = !children.is_empty();
        let segments = &desk.segments;
        let visit = || match base {
            Some(base) => self.visitor.delta(object, base, segments, more),
            None => self.visitor.whole(object, more),
        };
        let state = catch_unwind(AssertUnwindSafe(visit)).ok();
        if state.is_none() {
            self.store.report(self.forest.place(node), Some(id.get()), Fault::Damaged(PANIC), true);
        }
        if first && wanted {
            desk.seen.objects += 1;
            desk.seen.bytes += data.len() as u64;
        }
        if more {
            let base = Arc::new(Live { data, state, kind });
            desk.stack.push(Frame { base, next: children.start, end: children.end });
        } else {
            desk.spare.give(data);
        }
    }
}
