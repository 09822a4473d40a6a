//! The delta-tree walk: every object of an object database is decoded once, each after the base it is a delta of.
//!
//! Contract: the visitor sees each distinct object id of the wanted kinds at least once (`first` tells the first sight;
//! a duplicate in another pack is still shown when it is the base of something). Children come after their base, on any
//! thread. Memory is bounded by the budget, never by chain depth or declared sizes.

use crate::model::ObjectId;

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

/// An object as the walk shows it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its id.
    pub id: ObjectId,
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
