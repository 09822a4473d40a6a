//! What a verdict is kept under.
//!
//! Contract: useless without the key, which is 32 random bytes in a file of mode 0600 beside the store.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::StoreError;

/// The hash that a verdict is kept under.
pub type Keyed = [u8; 32];

/// Bytes of a key.
const LEN: usize = 32;

/// The secret of a store.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; LEN]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; LEN]);
        getrandom::fill(&mut *bytes).map_err(io::Error::from)?;
        Ok(Self(bytes))
    }

    /// The one beside a store; made if there is none.
    ///
    /// # Errors
    /// When it cannot be read or made, or others may read it.
    pub fn beside(store: &Path) -> Result<Self, StoreError> {
        let mut name = store.as_os_str().to_owned();
        name.push(".key");
        let path = Path::new(&name);
        let failed = |e: io::Error| StoreError::File(path.to_owned(), e);
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let key = Self::random().map_err(failed)?;
                file.write_all(&*key.0).and_then(|()| file.sync_all()).map_err(failed)?;
                Ok(key)
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Self::read(path).map_err(failed),
            Err(e) => Err(failed(e)),
        }
    }

    fn read(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let file = File::open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::other("others may read or change this key: remove it, a new one is made then"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(LEN as u64 + 1).read_to_end(&mut bytes)?;
        let bytes: [u8; LEN] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| io::Error::other("this is no key: remove it, a new one is made then"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// What a verdict is kept under: every item counts, and none runs into the next.
    pub fn of<'a>(&self, items: impl IntoIterator<Item = &'a [u8]>) -> Keyed {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        for item in items {
            mac.update(&(item.len() as u64).to_le_bytes());
            mac.update(item);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("s.db");
        let first = Key::beside(&store).unwrap();
        let file = folder.path().join("s.db.key");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let of = |key: &Key, items: &[&[u8]]| key.of(items.iter().copied());
        assert_eq!(of(&Key::beside(&store).unwrap(), &[b"a"]), of(&first, &[b"a"]));
        assert_ne!(of(&first, &[b"ab", b"c"]), of(&first, &[b"a", b"bc"]));
        assert_ne!(of(&Key::random().unwrap(), &[b"a"]), of(&first, &[b"a"]));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Key::beside(&store).is_err());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "short").unwrap();
        assert!(Key::beside(&store).is_err());
    }
}
