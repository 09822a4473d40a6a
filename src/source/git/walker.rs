//! The threads of a walk: each takes a root, goes down depth first, and hands whole subtrees to threads that have
//! nothing to do.
//!
//! Contract: no thread ever waits for another, so no order of events can block. A node that finds no memory, or whose
//! entry is damaged, is put off; when all threads are done, what was put off is worked through by one thread that has
//! the whole budget. What does not fit then is reported.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;
use rayon::Scope;

use super::budget::{Budget, Buffer, Spare};
use super::forest::{Forest, NONE};
use super::inflate::Inflater;
use super::plan::Plan;
use super::store::{Fault, ObjectStore, Place};
use super::walk::{Kind, Kinds, Segment, Visitor, WalkOptions, Walked};
use crate::model::ObjectId;

/// A subtree of fewer nodes is not worth handing to another thread.
const WORTH_SHARING: u32 = 16;
/// Bytes that may be made by reading what was put off: a bound on time, far above what real packs need.
const MOST_AGAIN: u64 = 64 << 30;
/// Bytes that a walk may make of deltas, or as many times the size of the packs if that is more.
const MOST_MADE: (u64, u64) = (1 << 40, 4096);
/// After so many bytes a thread adds what it made to the sum of all.
const TELL: u64 = 64 << 20;

/// An object that is held because children are built from it.
pub(super) struct Live<'a, S> {
    pub(super) data: Buffer<'a>,
    /// `None` if the visitor failed on it: children are shown as if they were whole.
    pub(super) state: Option<S>,
    pub(super) kind: Kind,
}

/// A base and those of its children that are still to be visited.
pub(super) struct Frame<'a, S> {
    pub(super) base: Arc<Live<'a, S>>,
    pub(super) next: u32,
    pub(super) end: u32,
}

/// What a thread works with.
pub(super) struct Desk<'a, S> {
    pub(super) inflater: Inflater,
    pub(super) segments: Vec<Segment>,
    pub(super) spare: Spare<'a>,
    pub(super) stack: Vec<Frame<'a, S>>,
    pub(super) seen: Walked,
    /// Bytes made that are not in the sum of all threads yet.
    made: u64,
    /// Bytes of packs read that none was told of yet; the one that is read then is.
    pub(super) read: usize,
}

/// Why a node is put off.
#[derive(Clone, Copy)]
pub(super) enum Why {
    /// There was no memory.
    Memory,
    /// It is damaged itself.
    Own(Fault),
    /// What it is built from is damaged.
    Below(Fault),
}

/// Why a node cannot be shown now.
pub(super) enum Stop {
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
    pub(super) store: &'a ObjectStore,
    pub(super) forest: &'a Forest,
    pub(super) plan: &'a Plan,
    pub(super) kinds: Kinds,
    pub(super) visitor: &'a V,
    pub(super) options: WalkOptions,
    threads: usize,
    pub(super) budget: Budget,
    /// Roots taken so far.
    taken: CachePadded<AtomicUsize>,
    /// Threads at work.
    active: AtomicUsize,
    off: Mutex<Vec<(u32, Why)>>,
    seen: Mutex<Walked>,
    /// Bytes made by reading what was put off.
    again: AtomicU64,
    /// Bytes made in all, and how many may be.
    made: AtomicU64,
    most: u64,
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
        let packs: u64 = store.packs.iter().map(|pack| pack.data.len() as u64).sum();
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
            taken: CachePadded::default(),
            active: AtomicUsize::new(threads),
            off: Mutex::default(),
            seen: Mutex::default(),
            again: AtomicU64::new(0),
            made: AtomicU64::new(0),
            most: options.most.unwrap_or(packs.saturating_mul(MOST_MADE.1).max(MOST_MADE.0)),
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
            made: 0,
            read: 0,
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

    /// Counts bytes that are about to be made; an error when it is enough.
    pub(super) fn make(&self, desk: &mut Desk<'_, V::State>, bytes: u64) -> Result<(), Stop> {
        desk.made += bytes;
        if desk.made >= TELL.min(self.most) {
            self.made.fetch_add(std::mem::take(&mut desk.made), Ordering::Relaxed);
        }
        if self.made.load(Ordering::Relaxed) > self.most { Err(Fault::TooLarge.into()) } else { Ok(()) }
    }

    pub(super) fn put_off(&self, node: u32, stop: Stop) {
        self.put_off_as(
            node,
            match stop {
                Stop::Memory => Why::Memory,
                Stop::Fault(fault) => Why::Own(fault),
            },
        );
    }

    pub(super) fn put_off_as(&self, node: u32, why: Why) {
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
            Why::Memory if self.forest.base(node) == NONE => return self.root(desk, node, false),
            Why::Memory => match self.read(desk, id, place) {
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
            if let Ok((kind, data)) = self.read(desk, id, other) {
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
    fn read<'s>(
        &'s self,
        desk: &mut Desk<'s, V::State>,
        id: Option<ObjectId>,
        place: Place,
    ) -> Result<(Kind, Buffer<'s>), Fault> {
        let id = id.ok_or("object without an id")?;
        if self.again.load(Ordering::Relaxed) > MOST_AGAIN {
            return Err(Fault::TooLarge);
        }
        let mut made = 0;
        let result = self.store.read_copy(&id, place, self.budget.limit(), &mut desk.inflater, &mut made);
        self.again.fetch_add(made, Ordering::Relaxed);
        result.map(|(kind, data)| (kind, self.budget.adopt(data)))
    }
}
