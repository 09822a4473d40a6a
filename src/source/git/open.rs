//! Opening an object database: its folders, its packs and their indexes.
//!
//! Contract: a pack is used if anything in it can be. An index that is missing, damaged or of another pack is replaced
//! by one built from the pack itself where that finds every entry; what had to be repaired or is lost is reported.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::{fs, io};

use super::alternates;
use super::index::{Bytes, Index};
use super::loose::Loose;
use super::pack::{self, Pack};
use super::scan::{self, Scan};
use super::store::{Error, ObjectStore};
use crate::model::NoteKind;
use crate::notes::Notes;

/// A pack whose index cannot be used as it is.
struct Odd {
    path: PathBuf,
    data: Bytes,
    /// The index, if it can be used at all.
    index: Option<Index>,
    reason: &'static str,
}

impl ObjectStore {
    /// Opens an objects folder (`.git/objects`) and all it borrows from. `hash_len` is 20 for SHA-1 and 32 for SHA-256.
    pub fn open(objects_dir: &Path, hash_len: usize, notes: Arc<Notes>) -> Result<Self, Error> {
        if hash_len != 20 && hash_len != 32 {
            return Err(Error::HashLength(hash_len));
        }
        let unreadable = |source| Error::Unreadable { path: objects_dir.to_owned(), source };
        fs::read_dir(objects_dir).map_err(unreadable)?;
        let dirs = alternates::objects_dirs(objects_dir, &notes);
        let failed = |path: &Path, e: io::Error| note(&notes, NoteKind::Unreadable, path, &e.to_string());
        let loose = dirs.iter().map(|dir| Loose::list(dir, hash_len, failed)).collect();
        let mut store = Self {
            hash_len,
            packs: Vec::new(),
            loose,
            forest: OnceLock::new(),
            partial: false,
            notes: Arc::clone(&notes),
            noted: Mutex::default(),
        };
        let odd: Vec<Odd> = dirs.iter().flat_map(|dir| store.open_packs(&dir.join("pack"))).collect();
        // Last, since they may be built on objects of the others.
        for odd in odd {
            let pack = store.repair(odd);
            store.packs.extend(pack);
        }
        // The largest first: it is the one whose copies of objects count as the first ones.
        store.packs.sort_by(|a, b| b.data.len().cmp(&a.data.len()).then_with(|| a.name.cmp(&b.name)));
        Ok(store)
    }

    /// Opens all packs of a folder; returns those that need repair.
    fn open_packs(&mut self, dir: &Path) -> Vec<Odd> {
        let mut odd = Vec::new();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return odd,
            Err(e) => {
                note(&self.notes, NoteKind::Unreadable, dir, &e.to_string());
                return odd;
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
                "promisor" => self.partial = true,
                "idx" if !path.with_extension("pack").exists() => {
                    note(&self.notes, NoteKind::GitMissing, &path, "the pack of this index");
                }
                "pack" => match self.open_pack(path.clone()) {
                    Ok(Ok(pack)) => self.packs.push(pack),
                    Ok(Err(found)) => odd.push(found),
                    Err(e) => note(&self.notes, NoteKind::Unreadable, &path, &e.to_string()),
                },
                _ => {}
            }
        }
        odd
    }

    /// Opens one pack with its index.
    fn open_pack(&self, path: PathBuf) -> io::Result<Result<Pack, Odd>> {
        let data = pack::open(&path)?;
        let index = pack::open(&path.with_extension("idx")).map_err(|_| "the index cannot be read");
        let index = index.and_then(|bytes| Index::parse(bytes, self.hash_len));
        let (index, reason) = match index {
            Ok(index) if !index.check() => (Some(index), "the checksum of the index does not fit"),
            Ok(index) if !data.ends_with(index.pack_checksum()) => (Some(index), "the index is of another pack"),
            Ok(index) if pack::head(&data) != Ok(index.count()) => (Some(index), "the head of the pack is damaged"),
            Ok(index) => return Ok(Ok(self.pack(&path, data, index, false))),
            Err(reason) => (None, reason),
        };
        Ok(Err(Odd { path, data, index, reason }))
    }

    fn pack(&self, path: &Path, data: Bytes, index: Index, built: bool) -> Pack {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Pack { name, data, index, hash_len: self.hash_len, built, touched: AtomicU64::new(0) }
    }

    /// Builds an index where that helps. A pack with damaged entries keeps the index it has: it alone tells where the
    /// entries behind them start.
    fn repair(&self, odd: Odd) -> Option<Pack> {
        let Odd { path, data, index, reason } = odd;
        if let Some(index) = index
            && !scan::is_sound(&data, self.hash_len)
        {
            note(&self.notes, NoteKind::GitDamaged, &path, reason);
            return Some(self.pack(&path, data, index, false));
        }
        let Scan { index, damage, lost } = scan::scan(&data, self.hash_len, &|id| self.read(id).ok().flatten());
        let index = match Index::parse(Bytes::Held(index), self.hash_len) {
            Ok(index) => index,
            Err(reason) => {
                note(&self.notes, NoteKind::GitDamaged, &path, reason);
                return None;
            }
        };
        match damage {
            Some((offset, what)) => {
                let detail = format!("{reason}, and nothing can be found from offset {offset} on: {what}");
                note(&self.notes, NoteKind::GitDamaged, &path, &detail);
            }
            None if pack::head(&data) != Ok(index.count() + lost) => {
                note(&self.notes, NoteKind::GitDamaged, &path, "the pack does not have as many objects as it declares");
            }
            None => note(&self.notes, NoteKind::Other, &path, &format!("{reason}: it was built from the pack")),
        }
        if lost > 0 {
            note(&self.notes, NoteKind::GitMissing, &path, &format!("bases of {lost} objects"));
        }
        Some(self.pack(&path, data, index, true))
    }
}

fn note(notes: &Notes, kind: NoteKind, path: &Path, detail: &str) {
    notes.add(kind, path.as_os_str().as_encoded_bytes(), detail);
}
