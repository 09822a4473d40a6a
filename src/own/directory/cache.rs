//! Answers of a directory, kept for a while: a file for each directory that only the user can read.
//!
//! Contract: never more than a help. A file that cannot be read, is damaged or too old counts as absent, and one that cannot be
//! written is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Wanted, private_folder};
use crate::model::Person;

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Kept {
    version: u32,
    /// Names that were asked for, and when.
    asked: BTreeMap<String, i64>,
    people: Vec<Person>,
}

const VERSION: u32 = 1;

/// The kept answers of one directory.
pub(super) struct Cache {
    file: Option<PathBuf>,
    kept: Kept,
    now: i64,
}

impl Cache {
    /// Reads what is kept and still good.
    pub fn open(folder: Option<&Path>, name: &str, ttl: Duration, now: i64) -> Self {
        let file = folder.map(|f| f.join(format!("{}.json", &crate::secret::hex(&Sha256::digest(name))[..24])));
        let text = file.as_ref().and_then(|f| std::fs::read(f).ok()).unwrap_or_default();
        let mut kept: Kept = serde_json::from_slice(&text).unwrap_or_default();
        if kept.version != VERSION {
            kept = Kept::default();
        }
        let oldest = now.saturating_sub(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
        kept.asked.retain(|_, at| *at > oldest && *at <= now);
        // Somebody of whom no name is good any more goes; the rest is asked for again when it is needed.
        let Kept { asked, people, .. } = &mut kept;
        people.retain(|p| p.emails.iter().chain(&p.logins).any(|n| asked.contains_key(n)));
        Self { file, kept, now }
    }

    /// Whether an answer about this name is kept; nobody of that name is an answer, too.
    pub fn knows(&self, name: &str) -> bool {
        self.kept.asked.contains_key(name)
    }

    /// Adds answers.
    pub fn add(&mut self, asked: &Wanted, people: Vec<Person>) {
        let fresh: BTreeSet<&str> = people.iter().map(|p| p.id.as_str()).collect();
        self.kept.people.retain(|p| !fresh.contains(p.id.as_str()));
        self.kept.people.extend(people);
        self.kept.asked.extend(asked.iter().map(|name| (name.clone(), self.now)));
        self.kept.version = VERSION;
    }

    /// Everybody who is known.
    pub fn people(&self) -> Vec<Person> {
        self.kept.people.clone()
    }

    /// Writes the file anew.
    pub fn save(&self) {
        let Some(file) = &self.file else { return };
        let Some(folder) = file.parent() else { return };
        let write = || -> std::io::Result<()> {
            private_folder(folder)?;
            let beside = file.with_extension(format!("{}.tmp", std::process::id()));
            let mut out =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            // Only those who were asked for are kept.
            let asked = &self.kept.asked;
            let people = self.kept.people.iter();
            let people = people.filter(|p| p.emails.iter().chain(&p.logins).any(|n| asked.contains_key(n))).cloned();
            let kept = Kept { version: VERSION, asked: asked.clone(), people: people.collect() };
            out.write_all(&serde_json::to_vec(&kept).map_err(std::io::Error::other)?)?;
            std::fs::rename(&beside, file)
        };
        // Without it, the next run asks again.
        let _ = write();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_are_kept_for_their_time_and_for_their_user() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let person = Person { id: "1".into(), emails: vec!["j@x.org".into()], ..Person::default() };
        let stranger = Person { id: "2".into(), emails: vec!["s@x.org".into()], ..Person::default() };
        let asked: Wanted = ["j@x.org".to_owned(), "nobody@x.org".to_owned()].into();
        let minute = Duration::from_secs(60);
        let open = |now| Cache::open(Some(folder.path()), "scim", minute, now);
        let mut cache = open(1000);
        cache.add(&asked, vec![person.clone(), stranger]);
        cache.save();
        let again = open(1059);
        assert!(again.knows("j@x.org") && again.knows("nobody@x.org") && !again.knows("s@x.org"));
        assert_eq!(again.people(), [person]);
        assert!(!open(1061).knows("j@x.org") && open(1061).people().is_empty());
        assert!(!Cache::open(Some(folder.path()), "other", minute, 1001).knows("j@x.org"));
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(file.path(), "{").unwrap();
        assert!(!open(1001).knows("j@x.org"));
    }
}
