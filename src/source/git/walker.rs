//! The threads of a walk: each takes a root, goes down depth first, and hands whole subtrees to threads that have
//! nothing to do.
//!
//! Contract: no thread ever waits for another, so no order of events can block. A node that finds no memory, or whose
//! entry is damaged, is put off; when all threads are done, what was put off is worked through by one thread that has
//! the whole budget. What does not fit then is reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::Scope;

use super::budget::{Budget, Buffer, Spare};
use super::delta;
use super::forest::{Forest, LOST};
use super::inflate::{self, Inflater, SLACK, SLACK_IN};
use super::loose;
use super::pack::Stored;
use super::plan::Plan;
use super::store::{Fault, ObjectStore, Place};
use super::walk::{Kind, Kinds, Object, Segment, Visitor, WalkOptions, Walked};
use crate::source::{OVERLAP, PIECE};

/// A subtree of fewer nodes is not worth handing to another thread.
const WORTH_SHARING: u32 = 16;
/// Results larger than this are allocated only after a look at all instructions of the delta.
const TRUSTED: u64 = 1 << 20;
/// Bytes that may be made in vain by reading what was put off: a bound on time, far above what real packs need.
const MOST_AGAIN: u64 = 64 << 30;

/// An object that is held because children are built from it.
struct Live<'a, S> {
    data: Buffer<'a>,
    /// `None` if the visitor failed on it: children are shown as if they were whole.
    state: Option<S>,
    kind: Kind,
}

/// A base and those of its children that are still to be visited.
struct Frame<'a, S> {
    base: Arc<Live<'a, S>>,
    next: u32,
    end: u32,
}

/// What a thread works with.
struct Desk<'a, S> {
    inflater: Inflater,
    segments: Vec<Segment>,
    spare: Spare<'a>,
    stack: Vec<Frame<'a, S>>,
    seen: Walked,
}

/// Why a node is put off.
#[derive(Clone, Copy)]
enum Why {
    /// There was no memory.
    Memory,
    /// It is damaged itself.
    Own(Fault),
    /// What it is built from is damaged.
    Below(Fault),
}

/// Why a node cannot be shown now.
enum Stop {
    Memory,
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Stop {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// A walk under way.
pub struct Walker<'a, V: Visitor> {
    store: &'a ObjectStore,
    forest: &'a Forest,
    plan: &'a Plan,
    kinds: Kinds,
    visitor: &'a V,
    options: WalkOptions,
    threads: usize,
    budget: Budget,
    /// Roots taken so far.
    taken: AtomicUsize,
    /// Threads at work.
    active: AtomicUsize,
    off: Mutex<Vec<(u32, Why)>>,
    seen: Mutex<Walked>,
    /// Bytes made by reading what was put off.
    again: AtomicU64,
}

impl<'a, V: Visitor> Walker<'a, V> {
    /// A walk of what is planned.
    pub fn new(
        store: &'a ObjectStore,
        forest: &'a Forest,
        plan: &'a Plan,
        kinds: Kinds,
        visitor: &'a V,
        options: &WalkOptions,
    ) -> Self {
        let threads = if options.threads == 0 { rayon::current_num_threads() } else { options.threads };
        Self {
            store,
            forest,
            plan,
            kinds,
            visitor,
            options: *options,
            threads,
            budget: Budget::new(options.memory),
            taken: AtomicUsize::new(0),
            active: AtomicUsize::new(threads),
            off: Mutex::default(),
            seen: Mutex::default(),
            again: AtomicU64::new(0),
        }
    }

    /// Walks.
    pub fn run(&self) -> Walked {
        rayon::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|scope| self.work(scope, None));
            }
        });
        self.work_off();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's work: what it was handed, then roots until there are no more.
    fn work<'s>(&'s self, scope: &Scope<'s>, handed: Option<Frame<'s, V::State>>) {
        let mut desk = self.desk();
        desk.stack.extend(handed);
        loop {
            while !desk.stack.is_empty() {
                if self.taken.load(Ordering::Relaxed) >= self.plan.roots.len() {
                    self.share(scope, &mut desk);
                }
                self.step(&mut desk);
            }
            let Some(root) = self.plan.roots.get(self.taken.fetch_add(1, Ordering::Relaxed)) else { break };
            self.root(&mut desk, *root, true);
        }
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.count(&desk);
    }

    fn desk(&self) -> Desk<'_, V::State> {
        Desk {
            inflater: Inflater::default(),
            segments: Vec::new(),
            spare: Spare::new(&self.budget),
            stack: Vec::new(),
            seen: Walked::default(),
        }
    }

    fn count(&self, desk: &Desk<'_, V::State>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.objects += desk.seen.objects;
        seen.bytes += desk.seen.bytes;
    }

    /// Hands about half of the open children nearest to the root to a new thread, if one is idle and there is memory
    /// for another line of bases.
    fn share<'s>(&'s self, scope: &Scope<'s>, desk: &mut Desk<'s, V::State>) {
        let idle = self.active.load(Ordering::Relaxed) < self.threads;
        if !idle || self.budget.used() > self.budget.limit() / 2 {
            return;
        }
        let top = desk.stack.len() - 1;
        for (depth, frame) in desk.stack.iter_mut().enumerate() {
            let weights = (frame.next..frame.end).map(|at| self.plan.weight(self.plan.child(at)));
            let all: u64 = weights.clone().map(u64::from).sum();
            // The last children are the heaviest: give as few of them as make up half.
            let mut given = 0;
            let mut from = frame.end;
            for weight in weights.rev() {
                if given * 2 >= all || (depth == top && from - 1 == frame.next) {
                    break;
                }
                given += u64::from(weight);
                from -= 1;
            }
            if given < u64::from(WORTH_SHARING) || (depth == top && all - given < u64::from(WORTH_SHARING)) {
                continue;
            }
            let part = Frame { base: Arc::clone(&frame.base), next: from, end: frame.end };
            frame.end = from;
            if frame.next == frame.end {
                desk.stack.remove(depth);
            }
            self.active.fetch_add(1, Ordering::Relaxed);
            scope.spawn(move |scope| self.work(scope, Some(part)));
            return;
        }
    }

    /// Visits the next child of the base on top of the stack.
    fn step<'s>(&'s self, desk: &mut Desk<'s, V::State>) {
        let Some(frame) = desk.stack.last_mut() else { return };
        let node = self.plan.child(frame.next);
        frame.next += 1;
        let base = if frame.next < frame.end {
            Arc::clone(&frame.base)
        } else if let Some(frame) = desk.stack.pop() {
            frame.base
        } else {
            return;
        };
        let data = match self.decode(desk, node, &base.data) {
            Ok(data) => data,
            Err(stop) => return self.put_off(node, stop),
        };
        // The last child no longer needs the bytes of its base, only what the visitor left.
        let kind = base.kind;
        match Arc::try_unwrap(base) {
            Ok(Live { data: bytes, state, .. }) => {
                desk.spare.give(bytes);
                self.show(desk, node, kind, data, state.as_ref());
            }
            Err(base) => self.show(desk, node, kind, data, base.state.as_ref()),
        }
    }

    /// Applies the delta of a node.
    fn decode<'s>(&'s self, desk: &mut Desk<'s, V::State>, node: u32, base: &[u8]) -> Result<Buffer<'s>, Stop> {
        let (size, packed) = self.packed(node)?;
        let mut delta = self.buffer(desk, size, base.len() as u64)?;
        desk.inflater.whole(packed, &mut delta.bytes, size as usize)?;
        let header = delta::header(&delta).ok_or("delta has no header")?;
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

    /// Declared size and compressed bytes of the entry of a node in a pack.
    fn packed(&self, node: u32) -> Result<(u64, &'a [u8]), Stop> {
        let Some((number, offset, end, position)) = self.forest.entry(node) else {
            return Err("not in a pack".into());
        };
        let pack = &self.store.packs[number];
        let entries = pack.entries();
        let entry = pack.entry(offset)?;
        let raw = entries.get(offset as usize..end as usize).ok_or("entry is cut short")?;
        if pack.index.crc(position).is_some_and(|crc| crc != crc32fast::hash(raw)) {
            // Shown all the same if it can be decoded: better to look at too much.
            let fault = Fault::Damaged("CRC-32 of the entry does not fit");
            self.store.report(Place::Pack(number, offset), self.forest.id(self.store, node), fault, true);
        }
        let len = end.saturating_sub(entry.data as u64);
        if !inflate::plausible(entry.size, len) {
            return Err("declared size is not plausible".into());
        }
        let shown = (end as usize + SLACK_IN).min(entries.len());
        Ok((entry.size, entries.get(entry.data..shown).unwrap_or_default()))
    }

    /// Visits a root. `offer` says whether it may be put off for lack of memory.
    fn root<'s>(&'s self, desk: &mut Desk<'s, V::State>, node: u32, offer: bool) {
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
        let (size, packed) = self.packed(node)?;
        let Place::Pack(number, offset) = self.forest.place(node) else { return Ok(()) };
        let Stored::Whole(kind) = self.store.packs[number].entry(offset)?.stored else {
            return Err("delta without a base".into());
        };
        if self.is_streamed(node, kind, size) {
            return self.stream(desk, node, packed, size, 0);
        }
        let mut data = self.buffer(desk, size, 0)?;
        desk.inflater.whole(packed, &mut data.bytes, size as usize)?;
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
        data.bytes.drain(..head.len);
        self.show(desk, node, head.kind, data, None);
        Ok(())
    }

    /// Whether a root is shown in parts. If it is a base, only when the budget leaves no other way.
    fn is_streamed(&self, node: u32, kind: Kind, size: u64) -> bool {
        let base = !self.plan.children(node).is_empty();
        kind == Kind::Blob && size > if base { self.budget.limit() / 2 } else { self.options.whole_limit }
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
        let mut buffer = self.buffer(desk, PIECE as u64, 0)?;
        buffer.bytes.resize(PIECE, 0);
        desk.seen.objects += 1;
        desk.seen.bytes += size - head as u64;
        let (mut offset, mut skip, mut panicked) = (0, head, false);
        let result = desk.inflater.pieces(packed, size, &mut buffer.bytes, |bytes, last| {
            let part = bytes.get(skip..).unwrap_or_default();
            let shown = || self.visitor.part(id, part, offset, last);
            panicked = panicked || catch_unwind(AssertUnwindSafe(shown)).is_err();
            let kept = part.len().min(OVERLAP);
            offset += (part.len() - kept) as u64;
            skip = 0;
            kept
        });
        if panicked {
            self.store.report(self.forest.place(node), Some(id), Fault::Damaged(PANIC), true);
        }
        result.map(drop).map_err(|reason| Stop::Fault(reason.into()))
    }

    /// Shows an object and puts it on the stack if it is the base of something.
    fn show<'s>(
        &'s self,
        desk: &mut Desk<'s, V::State>,
        node: u32,
        kind: Kind,
        data: Buffer<'s>,
        base: Option<&V::State>,
    ) {
        let children = self.plan.children(node);
        let Some(id) = self.forest.id(self.store, node) else { return };
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
            self.store.report(self.forest.place(node), Some(id), Fault::Damaged(PANIC), true);
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

    fn put_off(&self, node: u32, stop: Stop) {
        self.put_off_as(
            node,
            match stop {
                Stop::Memory => Why::Memory,
                Stop::Fault(fault) => Why::Own(fault),
            },
        );
    }

    fn put_off_as(&self, node: u32, why: Why) {
        self.off.lock().unwrap_or_else(PoisonError::into_inner).push((node, why));
    }

    /// Works through what was put off, alone and with the whole budget.
    fn work_off(&self) {
        let mut desk = self.desk();
        loop {
            let next = self.off.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((node, why)) = next else { break };
            self.again(&mut desk, node, why);
            while !desk.stack.is_empty() {
                self.step(&mut desk);
            }
            desk.spare = Spare::new(&self.budget);
        }
        self.count(&desk);
    }

    /// Visits a node that was put off: for lack of memory by reading it with all it is built from, for damage by
    /// reading another copy of it.
    fn again<'s>(&'s self, desk: &mut Desk<'s, V::State>, node: u32, why: Why) {
        let place = self.forest.place(node);
        let id = self.forest.id(self.store, node);
        let (fault, own) = match why {
            Why::Memory if self.forest.base(node) == super::forest::NONE => return self.root(desk, node, false),
            Why::Memory => match self.read(desk, place) {
                Ok((kind, data)) => return self.show(desk, node, kind, data, None),
                Err(fault) => (fault, true),
            },
            Why::Own(fault) => (fault, true),
            Why::Below(fault) => (fault, false),
        };
        if own {
            self.store.report(place, id, fault, true);
        }
        let others = id.iter().flat_map(|id| self.store.places(id)).filter(|other| *other != place);
        for other in others {
            if let Ok((kind, data)) = self.read(desk, other) {
                if self.kinds.has(kind) {
                    self.show(desk, node, kind, data, None);
                }
                return;
            }
        }
        if !own && self.plan.is_wanted(node) {
            self.store.report(place, id, fault, false);
        }
        for at in self.plan.children(node) {
            self.put_off_as(self.plan.child(at), Why::Below(fault));
        }
    }

    /// Reads an object by its whole chain, while there is time for that.
    fn read<'s>(&'s self, desk: &mut Desk<'s, V::State>, place: Place) -> Result<(Kind, Buffer<'s>), Fault> {
        if self.again.load(Ordering::Relaxed) > MOST_AGAIN {
            return Err(Fault::TooLarge);
        }
        let mut made = 0;
        let result = self.store.read_at(place, self.budget.limit(), &mut desk.inflater, &mut made);
        self.again.fetch_add(made, Ordering::Relaxed);
        result.map(|(kind, data)| (kind, self.budget.adopt(data)))
    }
}

/// What is reported when the visitor panics.
const PANIC: &str = "a fault of this program while looking at the object";
