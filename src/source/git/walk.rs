//! The delta-tree walk: every object of an object database is decoded once, each after the base it is a delta of.
//!
//! Contract: the visitor sees each distinct object id of the wanted kinds at least once (`first` tells the first sight;
//! a duplicate in another pack is still shown when it is the base of something). Children come after their base, on any
//! thread. Memory is bounded by the budget, never by chain depth or declared sizes.

use super::forest::Forest;
use super::pack::Pack;
use super::plan::Plan;
use super::prefetch::prefetch;
use super::store::ObjectStore;
use super::walker::Walker;
use crate::model::{NoteKind, ObjectId};

/// Kind of a git object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
    /// An annotated tag.
    Tag,
}

/// One stretch of an object that is a delta: together the segments cover it from 0 to its end, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes `start..start+len` of the object equal bytes `base..base+len` of its base.
    Copy {
        /// Offset in this object.
        start: usize,
        /// Offset in the base.
        base: usize,
        /// Length.
        len: usize,
    },
    /// Bytes `start..start+len` are new.
    Insert {
        /// Offset in this object.
        start: usize,
        /// Length.
        len: usize,
    },
}

/// The id of an object where it stands in an index. It is read only when it is asked for: for most objects nobody does, and
/// that part of the index is seldom in the cache.
#[derive(Clone, Copy, Debug)]
pub struct RawId<'a>(&'a [u8]);

impl<'a> RawId<'a> {
    /// `None` unless there are 20 or 32 bytes.
    pub fn new(raw: &'a [u8]) -> Option<Self> {
        matches!(raw.len(), 20 | 32).then_some(Self(raw))
    }

    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Tells that it will be asked for.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.0);
    }

    /// A copy.
    pub fn get(self) -> ObjectId {
        ObjectId::of(self.0)
    }
}

/// An object as the walk shows it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its id.
    pub id: RawId<'a>,
    /// Its kind.
    pub kind: Kind,
    /// Its whole content.
    pub data: &'a [u8],
    /// Whether this id is shown for the first time in this walk (over all packs and loose objects).
    pub first: bool,
    /// Whether the caller asked for this object; bases that are decoded only for their children are not wanted.
    pub wanted: bool,
}

/// What is done with each object. `State` is what a base leaves to its children; it is kept as long as they need it.
pub trait Visitor: Sync {
    /// Handed from a base to its children.
    type State: Send + Sync;
    /// An object that is stored whole. `has_children` tells whether the state will be needed.
    fn whole(&self, object: Object<'_>, has_children: bool) -> Self::State;
    /// An object that is stored as a delta of a base that was visited before.
    fn delta(&self, object: Object<'_>, base: &Self::State, segments: &[Segment], has_children: bool) -> Self::State;
    /// A part of a blob too large to be held whole: overlapping parts, in order, from one thread.
    /// `offset` is the position of `part[0]`.
    fn part(&self, id: ObjectId, part: &[u8], offset: u64, last: bool);
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Every kind.
    pub const ALL: Self = Self(0x0f);

    /// The kinds in a list.
    pub fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8))
    }

    /// Whether a kind is in the set.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// Bounds of a walk.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions {
    /// Bytes that bases and buffers may take at once, over all threads.
    pub memory: u64,
    /// Blobs larger than this that are stored whole and are no needed base are shown in parts.
    pub whole_limit: u64,
    /// Threads to use; 0 means those of the current rayon pool.
    pub threads: usize,
    /// Bytes that may be made of deltas in all, since a small pack can declare any amount of work. `None` means 1 TiB,
    /// or 4096 times the size of the packs if that is more.
    pub most: Option<u64>,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self { memory: 256 << 20, whole_limit: 64 << 20, threads: 0, most: None }
    }
}

/// What a walk showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Distinct wanted objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Which objects are wanted.
pub type Want<'a> = Option<&'a (dyn Fn(&ObjectId) -> bool + Sync)>;

impl ObjectStore {
    /// Shows all objects of some kinds for which `want` holds to a visitor, on the threads of the current rayon pool.
    /// A delta has the kind of the whole object it is built from. Damage is reported to the notes of the store.
    pub fn walk<V: Visitor>(&self, kinds: Kinds, want: Want<'_>, visitor: &V, options: &WalkOptions) -> Walked {
        let Some(forest) = self.forest() else { return Walked::default() };
        // All pages of all packs were touched for the heads of their entries.
        let (plan, ()) = rayon::join(|| Plan::new(self, forest, kinds, want), || self.let_go());
        Walker::new(self, forest, &plan, kinds, visitor, options).run()
    }

    /// Lets go of the pages of all packs, which are read again when they are needed.
    pub fn let_go(&self) {
        self.packs.iter().for_each(Pack::let_go);
    }

    /// All entries and their links, built on first use. A store too large for that is reported.
    pub(super) fn forest(&self) -> Option<&Forest> {
        let forest = self.forest.get_or_init(|| {
            Forest::new(self)
                .inspect_err(|reason| self.notes.add(NoteKind::GitTooLarge, "object database", reason))
                .ok()
        });
        forest.as_ref()
    }
}
