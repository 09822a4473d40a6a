//! An object database: packs, loose objects and alternates, opened without git, and random access to single objects.
//!
//! Contract: what is damaged or missing is reported to the notes once and the rest is used. Reading an object is bounded
//! in memory by [`MOST_READ`] and in time by [`LONGEST_CHAIN`], whatever its entry declares.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::delta;
use super::forest::Forest;
use super::hash::object_id;
use super::inflate::{self, Inflater};
use super::loose::{self, Loose};
use super::pack::{Pack, Stored};
use super::walk::Kind;
use crate::model::{NoteKind, ObjectId};
use crate::notes::Notes;

/// Most bytes that [`ObjectStore::read`] holds for one object and what it is built from.
pub const MOST_READ: u64 = 512 << 20;
/// Most deltas between an object and the whole one it is built from; git makes at most 4095.
pub const LONGEST_CHAIN: usize = 1 << 16;
/// What one step down a delta chain counts as, in bytes made.
const STEP: u64 = 4096;
/// What is wrong with an object whose bytes are whole but not those its id stands for.
pub(super) const WRONG_HASH: &str = "the hash of the object is not its id";
/// Larger objects are allocated as their bytes come, not by their declared size.
const TRUSTED: u64 = 1 << 20;

/// Why an object database could not be opened or an object not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The objects folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Neither SHA-1 (20) nor SHA-256 (32).
    #[error("object ids of {0} bytes are unknown")]
    HashLength(usize),
    /// All copies of the object are damaged.
    #[error("object {id}: {fault}")]
    Object {
        /// Which one.
        id: ObjectId,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// Why the bytes of an object could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its entry or one below it is damaged.
    #[error("{0}")]
    Damaged(&'static str),
    /// It is a delta of an object that is not here.
    #[error("delta base {0} is missing")]
    Missing(ObjectId),
    /// It needs more bytes than allowed.
    #[error("needs more memory than allowed")]
    TooLarge,
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Damaged(reason)
    }
}

impl Fault {
    /// The kind of note that tells it.
    pub fn note(&self) -> NoteKind {
        match self {
            Self::Damaged(_) => NoteKind::GitDamaged,
            Self::Missing(_) => NoteKind::GitMissing,
            Self::TooLarge => NoteKind::GitTooLarge,
        }
    }
}

/// Where the bytes of an object stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Number of the pack, and offset in it.
    Pack(usize, u64),
    /// Number of the objects folder, and position in its list of loose objects.
    Loose(usize, usize),
}

/// An open object database.
#[derive(Debug)]
pub struct ObjectStore {
    pub(super) hash_len: usize,
    pub(super) packs: Vec<Pack>,
    pub(super) loose: Vec<Loose>,
    pub(super) forest: OnceLock<Option<Forest>>,
    pub(super) partial: bool,
    pub(super) notes: Arc<Notes>,
    /// What was reported, so that it is reported once.
    pub(super) noted: Mutex<HashSet<Place>>,
}

impl ObjectStore {
    /// Length of an object id in bytes.
    pub fn hash_len(&self) -> usize {
        self.hash_len
    }

    /// Whether objects may be absent because this is a partial clone.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Number of entries and loose objects; an object that is here twice counts twice.
    pub fn object_count(&self) -> u64 {
        let packed: u64 = self.packs.iter().map(|p| u64::from(p.index.count())).sum();
        packed + self.loose.iter().map(|l| l.count() as u64).sum::<u64>()
    }

    /// All ids, by pack and folder; an object that is here twice comes twice.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        let packed = self.packs.iter().flat_map(|p| (0..p.index.count()).map(|i| p.index.id(i)));
        let loose = self.loose.iter().flat_map(|l| (0..l.count()).map(|i| l.id(i)));
        packed.chain(loose).filter_map(ObjectId::from_bytes)
    }

    /// Whether an object is here.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.places(id).next().is_some()
    }

    /// Everywhere an object stands: packs first, then loose.
    pub(super) fn places(&self, id: &ObjectId) -> impl Iterator<Item = Place> {
        let raw = *id;
        let packed = self.packs.iter().enumerate().filter_map(move |(i, pack)| {
            let offset = pack.index.offset(pack.index.find(raw.as_bytes())?)?;
            Some(Place::Pack(i, offset))
        });
        let loose = self
            .loose
            .iter()
            .enumerate()
            .filter_map(move |(i, loose)| loose.find(raw.as_bytes()).map(|position| Place::Loose(i, position)));
        packed.chain(loose)
    }

    /// Where the base of a delta stands that names it by id: in the same pack if it is there.
    pub(super) fn base_place(&self, pack: usize, id: &ObjectId) -> Option<Place> {
        let index = &self.packs[pack].index;
        let here = index.find(id.as_bytes()).and_then(|position| index.offset(position));
        here.map(|offset| Place::Pack(pack, offset)).or_else(|| self.places(id).next())
    }

    /// Reads an object and checks its hash; `None` if it is not here. If one copy is damaged, the others are tried.
    pub fn read(&self, id: &ObjectId) -> Result<Option<(Kind, Vec<u8>)>, Error> {
        let mut fault = None;
        let mut inflater = Inflater::default();
        for place in self.places(id) {
            match self.read_copy(id, place, MOST_READ, &mut inflater, &mut 0) {
                Ok(object) => return Ok(Some(object)),
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        fault.map_or(Ok(None), |fault| Err(Error::Object { id: *id, fault }))
    }

    /// Reads one copy of an object and checks its hash.
    pub(super) fn read_copy(
        &self,
        id: &ObjectId,
        place: Place,
        limit: u64,
        inflater: &mut Inflater,
        made: &mut u64,
    ) -> Result<(Kind, Vec<u8>), Fault> {
        let (kind, data) = self.read_at(place, limit, inflater, made)?;
        if object_id(self.hash_len, kind, &data) != Some(*id) {
            return Err(WRONG_HASH.into());
        }
        Ok((kind, data))
    }

    /// Kind and size of an object, without inflating all of it; `None` if it is not here.
    pub fn header(&self, id: &ObjectId) -> Result<Option<(Kind, u64)>, Error> {
        let mut fault = None;
        let mut inflater = Inflater::default();
        for place in self.places(id) {
            match self.header_at(place, &mut inflater) {
                Ok(header) => return Ok(Some(header)),
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        fault.map_or(Ok(None), |fault| Err(Error::Object { id: *id, fault }))
    }

    /// Kind and size of the object at a place.
    fn header_at(&self, mut place: Place, inflater: &mut Inflater) -> Result<(Kind, u64), Fault> {
        let mut size = None;
        for _ in 0..LONGEST_CHAIN {
            let (i, offset) = match place {
                Place::Pack(i, offset) => (i, offset),
                Place::Loose(dir, position) => {
                    let packed = self.loose[dir].open(position).map_err(|_| "loose object cannot be read")?;
                    let head = loose::packed_head(&packed, inflater)?;
                    return Ok((head.kind, size.unwrap_or(head.size)));
                }
            };
            let entry = self.packs[i].entry(offset)?;
            if let Stored::Whole(kind) = entry.stored {
                return Ok((kind, size.unwrap_or(entry.size)));
            }
            if size.is_none() {
                let mut first = [0; 20];
                let packed = self.packs[i].entries().get(entry.data..).unwrap_or_default();
                let n = inflater.first(packed, &mut first)?;
                size = Some(delta::header(&first[..n]).ok_or("delta has no header")?.result);
            }
            place = self.below(i, entry.stored)?;
        }
        Err("delta chain is circular".into())
    }

    /// Where the base of an entry of a pack stands.
    fn below(&self, pack: usize, stored: Stored) -> Result<Place, Fault> {
        match stored {
            Stored::Offset(base) => Ok(Place::Pack(pack, base)),
            Stored::Id(id) => self.base_place(pack, &id).ok_or(Fault::Missing(id)),
            Stored::Whole(_) => Err("entry has no base".into()),
        }
    }

    /// Reads the object at a place by its whole delta chain, holding at most `limit` bytes. `made` grows with
    /// the work: the bytes of all objects on the way, and something for each step.
    fn read_at(
        &self,
        mut place: Place,
        limit: u64,
        inflater: &mut Inflater,
        made: &mut u64,
    ) -> Result<(Kind, Vec<u8>), Fault> {
        let mut deltas = Vec::new();
        let (kind, mut object) = loop {
            let (i, offset) = match place {
                Place::Pack(i, offset) => (i, offset),
                Place::Loose(dir, position) => break self.read_loose(dir, position, limit, inflater)?,
            };
            let entry = self.packs[i].entry(offset)?;
            let packed = self.packs[i].entries().get(entry.data..).unwrap_or_default();
            if let Stored::Whole(kind) = entry.stored {
                break (kind, unpack(packed, entry.size, limit, inflater)?);
            }
            if deltas.len() == LONGEST_CHAIN {
                return Err("delta chain is circular".into());
            }
            deltas.push((packed, entry.size));
            *made += STEP;
            place = self.below(i, entry.stored)?;
        };
        let (mut result, mut segments) = (Vec::new(), Vec::new());
        for (packed, size) in deltas.into_iter().rev() {
            let rest = limit.saturating_sub(object.len() as u64);
            let delta = unpack(packed, size, rest, inflater)?;
            let header = delta::header(&delta).ok_or("delta has no header")?;
            if header.result > rest - size {
                return Err(Fault::TooLarge);
            }
            if !delta::fits(&delta, header) {
                return Err("delta does not make the declared size".into());
            }
            result.clear();
            result.try_reserve_exact(header.result as usize).map_err(|_| Fault::TooLarge)?;
            delta::apply(&delta, header, &object, &mut result, &mut segments)?;
            std::mem::swap(&mut object, &mut result);
            *made += header.result;
        }
        Ok((kind, object))
    }

    /// Reads a loose object.
    fn read_loose(
        &self,
        dir: usize,
        position: usize,
        limit: u64,
        inflater: &mut Inflater,
    ) -> Result<(Kind, Vec<u8>), Fault> {
        let packed = self.loose[dir].open(position).map_err(|_| "loose object cannot be read")?;
        let head = loose::packed_head(&packed, inflater)?;
        let mut object = unpack(&packed, head.size.saturating_add(head.len as u64), limit, inflater)?;
        object.drain(..head.len);
        Ok((head.kind, object))
    }

    /// Name of a place for notes.
    pub(super) fn name(&self, place: Place) -> String {
        match place {
            Place::Pack(i, offset) => format!("{} at offset {offset}", self.packs[i].name),
            Place::Loose(dir, position) => format!("loose object {}", crate::secret::hex(self.loose[dir].id(position))),
        }
    }

    /// Reports a fault of an object, once. Objects that are lost because their base is are only counted.
    pub(super) fn report(&self, place: Place, id: Option<ObjectId>, fault: Fault, own: bool) {
        if !self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(place) {
            return;
        }
        if !own {
            return self.notes.count(fault.note(), 1);
        }
        let id = id.map_or(String::new(), |id| format!("object {id}: "));
        self.notes.add(fault.note(), self.name(place), format!("{id}{fault}"));
    }
}

/// Inflates a stream of a declared size that the caller has no reason to trust.
fn unpack(packed: &[u8], size: u64, limit: u64, inflater: &mut Inflater) -> Result<Vec<u8>, Fault> {
    if size > limit {
        return Err(Fault::TooLarge);
    }
    if !inflate::plausible(size, packed.len() as u64) {
        return Err("declared size is not plausible".into());
    }
    let mut out = Vec::new();
    if size <= TRUSTED {
        out.reserve_exact(size as usize + inflate::SLACK);
        inflater.whole(packed, &mut out, size as usize)?;
    } else {
        let mut room = true;
        inflater.pieces(packed, size, &mut vec![0; 64 << 10], |bytes, _| {
            if out.capacity() - out.len() < bytes.len() {
                // Twice what came so far, but never more than declared.
                let more = (size as usize).saturating_sub(out.len()).min(out.len()).max(bytes.len());
                room = room && out.try_reserve_exact(more).is_ok();
            }
            if room {
                out.extend_from_slice(bytes);
            }
            0
        })?;
        if !room {
            return Err(Fault::TooLarge);
        }
    }
    Ok(out)
}
