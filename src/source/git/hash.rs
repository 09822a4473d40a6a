//! Ids of objects: the hash of kind, size and content.
//!
//! Contract: SHA-1 for ids of 20 bytes, SHA-256 for any other length.

use sha1::Digest;

use super::walk::Kind;
use crate::model::ObjectId;

/// A hash under way.
pub enum Hasher {
    /// For ids of 20 bytes.
    Sha1(sha1::Sha1),
    /// For ids of 32 bytes.
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// The hash that ids of this length are made with.
    pub fn new(hash_len: usize) -> Self {
        if hash_len == 20 { Self::Sha1(sha1::Sha1::new()) } else { Self::Sha256(sha2::Sha256::new()) }
    }

    /// The hash of an object of some kind and size, before its content.
    pub fn object(hash_len: usize, kind: Kind, size: u64) -> Self {
        let name = match kind {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        };
        let mut hasher = Self::new(hash_len);
        hasher.add(format!("{name} {size}\0").as_bytes());
        hasher
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// The hash of everything added.
    pub fn end(self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
        }
    }
}

/// Id of an object.
pub fn object_id(hash_len: usize, kind: Kind, content: &[u8]) -> Option<ObjectId> {
    let mut hasher = Hasher::object(hash_len, kind, content.len() as u64);
    hasher.add(content);
    ObjectId::from_bytes(&hasher.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_git() {
        let id = |len| object_id(len, Kind::Blob, b"").map(|id| id.to_string());
        assert_eq!(id(20).as_deref(), Some("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"));
        let long = "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813";
        assert_eq!(id(32).as_deref(), Some(long));
        let tree = object_id(20, Kind::Tree, b"").map(|id| id.to_string());
        assert_eq!(tree.as_deref(), Some("4b825dc642cb6eb9a060e54bf8d69288fbee4904"));
    }
}
