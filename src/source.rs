//! Where text comes from: files, folders, standard input, archives and git object databases.
//!
//! Contract: a source hands [`Piece`]s to a [`Sink`] and problems to [`Notes`](crate::notes::Notes). It knows nothing of
//! rules, never starts a process in a scanned place, obeys no configuration found there, and bounds every size that
//! scanned content declares.

pub mod archive;
pub mod files;
pub mod git;
pub mod pieces;
pub mod spread;
pub mod stdin;

use crate::model::{ObjectId, PathBytes, PlaceKind};

/// Where a piece of text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the target in the report.
    pub target: usize,
    /// What kind of place.
    pub kind: PlaceKind,
    /// Path below the target, with `/` between components; empty if there is none.
    pub path: PathBytes,
    /// The git object, for places in git.
    pub object: Option<ObjectId>,
    /// Members inside nested archives, outermost first; a damaged or odd name is made printable first.
    pub member: Vec<String>,
}

/// Text, whole or (for long streams) an overlapping part.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Where it comes from.
    pub origin: &'a Origin,
    /// The bytes to look at.
    pub bytes: &'a [u8],
    /// Offset of `bytes[0]` in the whole text.
    pub offset: u64,
    /// Newlines before `bytes[0]` in the whole text.
    pub lines_before: u64,
    /// Column (from 0, in bytes) of `bytes[0]` in its line.
    pub column_before: u64,
    /// The piece before this one ended with its first [`OVERLAP`] bytes. Not so at the start of a text and behind a hole.
    pub overlaps: bool,
}

/// Takes pieces from a source, on any thread.
pub trait Sink: Sync {
    /// Looks at one piece. Overlapping pieces of one text may come in any order.
    fn piece(&self, piece: Piece<'_>);
}

/// Longest text that is handed over whole; longer ones come as overlapping pieces of this size.
pub const PIECE: usize = 8 << 20;
/// By how much neighbouring pieces overlap: more than the widest window of any rule.
pub const OVERLAP: usize = 64 << 10;

/// Limits on what scanned content may make us do. All are reported when they cut something.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How deep archives may nest.
    pub depth: u32,
    /// Bytes one outermost archive may expand to in all.
    pub expanded: u64,
    /// Members one outermost archive may have in all.
    pub members: u64,
    /// Files larger than this are left out (and reported).
    pub file_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 5, expanded: 4 << 30, members: 200_000, file_size: u64::MAX }
    }
}
