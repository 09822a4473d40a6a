//! One file of the commit that HEAD names.
//!
//! Contract: only regular files count (no link is followed), and nothing larger than the caller's limit is given. Damage
//! counts as absence: the walk over all objects tells of it.

use super::commit;
use super::entries::entries;
use super::refs::Refs;
use super::store::ObjectStore;
use super::walk::Kind;
use crate::model::ObjectId;

/// Mode of a regular file, executable or not.
const REGULAR: u32 = 0o100_000;

/// The content of the file at `path` (components separated by `/`) at HEAD.
pub fn read(store: &ObjectStore, refs: &Refs, path: &str, limit: u64) -> Option<Vec<u8>> {
    let (Kind::Commit, data) = store.read(&refs.head()?).ok()?? else { return None };
    let mut id = commit::header(&data, store.hash_len()).tree?;
    let mut components = path.split('/').peekable();
    while let Some(name) = components.next() {
        let (Kind::Tree, tree) = store.read(&id).ok()?? else { return None };
        let entry = entries(&tree, store.hash_len()).map_while(|e| e).find(|e| e.name == name.as_bytes())?;
        id = ObjectId::from_bytes(entry.id)?;
        let last = components.peek().is_none();
        if last != (entry.mode & 0o170_000 == REGULAR) || (!last && !entry.is_tree()) {
            return None;
        }
    }
    match store.header(&id).ok()?? {
        (Kind::Blob, size) if size <= limit => Some(store.read(&id).ok()??.1),
        _ => None,
    }
}
