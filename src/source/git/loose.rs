//! Loose objects: one zlib file each, named by its id.
//!
//! Contract: file names that are no ids are passed over; files are data, any bytes are safe.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::index::Bytes;
use super::inflate::Inflater;
use super::pack;
use super::walk::Kind;
use crate::model::ObjectId;

/// Longest head of a loose object: kind, space, 20 digits, NUL.
pub const LONGEST_HEAD: usize = 32;
/// Files up to this size are read; larger ones are mapped.
const READ: u64 = 1 << 20;

/// The head of a loose object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its kind.
    pub kind: Kind,
    /// Declared size of the content.
    pub size: u64,
    /// Length of the head: where the content starts.
    pub len: usize,
}

/// Reads `kind size\0` off the front of inflated bytes.
pub fn head(bytes: &[u8]) -> Option<Head> {
    let end = bytes.iter().take(LONGEST_HEAD).position(|b| *b == 0)?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let (kind, size) = line.split_once(' ')?;
    let kind = match kind {
        "commit" => Kind::Commit,
        "tree" => Kind::Tree,
        "blob" => Kind::Blob,
        "tag" => Kind::Tag,
        _ => return None,
    };
    if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) || (size.len() > 1 && size.starts_with('0')) {
        return None;
    }
    Some(Head { kind, size: size.parse().ok()?, len: end + 1 })
}

/// The loose objects of one objects folder.
#[derive(Debug)]
pub struct Loose {
    dir: PathBuf,
    hash_len: usize,
    /// Raw ids in order, one after another.
    ids: Vec<u8>,
}

impl Loose {
    /// Lists an objects folder; what cannot be listed is handed to `failed`.
    pub fn list(dir: &Path, hash_len: usize, mut failed: impl FnMut(&Path, io::Error)) -> Self {
        let mut ids = Vec::new();
        let mut list = |folder: &Path| match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect(),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
            Err(e) => {
                failed(folder, e);
                Vec::new()
            }
        };
        for first in list(dir).into_iter().filter(|name| name.len() == 2) {
            for name in list(&dir.join(&first)) {
                let hex = [first.as_encoded_bytes(), name.as_encoded_bytes()].concat();
                let id = ObjectId::from_hex(&hex).filter(|id| id.as_bytes().len() == hash_len);
                ids.extend(id.filter(|_| !hex.iter().any(u8::is_ascii_uppercase)));
            }
        }
        ids.sort_unstable();
        let ids = ids.iter().flat_map(|id| id.as_bytes().iter().copied()).collect();
        Self { dir: dir.to_owned(), hash_len, ids }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ids.len() / self.hash_len
    }

    /// Raw id at a position; empty if there is no such position.
    pub fn id(&self, position: usize) -> &[u8] {
        let at = position.saturating_mul(self.hash_len);
        self.ids.get(at..at.saturating_add(self.hash_len)).unwrap_or_default()
    }

    /// Position of an object.
    pub fn find(&self, id: &[u8]) -> Option<usize> {
        let position = self.lower(id);
        (self.id(position) == id && !id.is_empty()).then_some(position)
    }

    /// Positions of the objects whose id starts with a byte.
    pub fn range(&self, first: u8) -> Range<u32> {
        let start = self.lower(&[first]) as u32;
        start..if first == 255 { self.count() as u32 } else { self.lower(&[first + 1]) as u32 }
    }

    /// Position of the first id that is not below some bytes.
    fn lower(&self, bytes: &[u8]) -> usize {
        let (mut start, mut end) = (0, self.count());
        while start < end {
            let middle = start + (end - start) / 2;
            if self.id(middle) < bytes {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    /// The compressed bytes of an object.
    pub fn open(&self, position: usize) -> io::Result<Bytes> {
        let hex = crate::secret::hex(self.id(position));
        let (folder, name) = hex.split_at(hex.len().min(2));
        let path = self.dir.join(folder).join(name);
        let meta = fs::metadata(&path)?;
        if meta.is_file() && meta.len() <= READ {
            return fs::read(&path).map(Bytes::Held);
        }
        pack::open(&path)
    }
}

/// Reads the head of a compressed loose object.
pub fn packed_head(packed: &[u8], inflater: &mut Inflater) -> Result<Head, &'static str> {
    let mut first = [0; LONGEST_HEAD];
    let n = inflater.first(packed, &mut first)?;
    head(&first[..n]).ok_or("loose object has no valid head")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn heads() {
        assert_eq!(head(b"blob 12\0abc"), Some(Head { kind: Kind::Blob, size: 12, len: 8 }));
        assert_eq!(head(b"tag 0\0"), Some(Head { kind: Kind::Tag, size: 0, len: 6 }));
        let max = format!("commit {}\0", u64::MAX);
        assert_eq!(head(max.as_bytes()), Some(Head { kind: Kind::Commit, size: u64::MAX, len: 28 }));
        for bad in [
            &b""[..],
            b"blob 12",
            b"blob  12\0",
            b"blob +1\0",
            b"blob -1\0",
            b"blob 012\0",
            b"blob \0",
            b"blob12\0",
            b"blub 1\0",
            b"tree 99999999999999999999\0",
            b"\0",
            b"blob \xff\0",
        ] {
            assert_eq!(head(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_ids_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("ab");
        fs::create_dir(&folder).unwrap();
        fs::write(dir.path().join("cd"), "a file").unwrap();
        for name in ["0".repeat(38), "f".repeat(38), "x".repeat(38), "0".repeat(37), "tmp_obj_1".into()] {
            fs::write(folder.join(name), "").unwrap();
        }
        let loose = Loose::list(dir.path(), 20, |path, e| panic!("{path:?}: {e}"));
        assert_eq!(loose.count(), 2);
        let id = ObjectId::from_hex(format!("ab{}", "f".repeat(38)).as_bytes()).unwrap();
        assert_eq!(loose.find(id.as_bytes()), Some(1));
        assert_eq!(loose.find(&[0xab; 20]), None);
    }
}
