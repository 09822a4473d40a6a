//! The record of every step of every revocation: JSON Lines, each with the hash of the line before.
//!
//! Contract: a line is on disk before [`Journal::append`] returns. An edit, a line that is gone or moved, and lines cut from
//! the end are found when the journal is opened or verified, and nothing is added to a journal that is not intact. One
//! process at a time writes; a journal that is moved, replaced or written by something else while it is open is an error.
//! What a crash left of a last line is set aside in a file of its own, never dropped. A journal has a head, a file beside
//! it, before it has a line: without one nobody can say whether lines are missing, so that is an error, too. Entries hold
//! fingerprints and no secret: there is no field for one.

mod check;
mod head;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

pub use check::{Summary, verify};
use head::Found;

use crate::model::plan::{By, Effect, Outcome};
use crate::secret::Fingerprint;

/// A credential that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its number in the plan.
    pub number: u32,
    /// `issuer.token-type`.
    pub rule: String,
    /// Keyed hash of the value.
    pub fingerprint: Fingerprint,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// A run begins.
    Begin {
        /// The run.
        run: String,
        /// The plan that it follows.
        plan: String,
        /// Who runs it.
        by: String,
        /// Items of the plan.
        items: usize,
        /// It brings back what was contained.
        undo: bool,
    },
    /// A request that changes something is about to be sent.
    Intent {
        /// The run.
        run: String,
        /// The plan.
        plan: String,
        /// What it is about.
        items: Vec<Subject>,
        /// The way, by its name in the rule file.
        way: String,
        /// Who can do it.
        by: By,
        /// What it does.
        effect: Effect,
        /// Where it goes.
        place: String,
        /// It brings back what was contained.
        undo: bool,
    },
    /// What came of the request.
    Acted {
        /// The run.
        run: String,
        /// The plan.
        plan: String,
        /// Number of its intent.
        intent: u64,
        /// `done`, `gone`, `refused` or `unknown`: what the issuer said, no proof.
        outcome: String,
        /// Why.
        reason: Option<String>,
        /// It was sent.
        sent: bool,
    },
    /// What became of a credential.
    Outcome {
        /// The run.
        run: String,
        /// The plan.
        plan: String,
        /// Number of the intent that led to it, if anything was sent.
        intent: Option<u64>,
        /// The credential.
        item: Subject,
        /// What.
        outcome: Outcome,
        /// Why.
        reason: Option<String>,
        /// When the issuer was last asked.
        seen_at: Option<String>,
    },
    /// Somebody was told of an outcome.
    Notified {
        /// The run.
        run: String,
        /// The plan.
        plan: String,
        /// The credential.
        fingerprint: Fingerprint,
        /// The outcome that they were told.
        outcome: String,
        /// By which channel.
        channel: String,
    },
    /// A run ends.
    End {
        /// The run.
        run: String,
        /// The plan.
        plan: String,
        /// How many items ended how.
        counts: BTreeMap<String, u64>,
    },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// From 1; this is the order, whatever clocks say.
    pub seq: u64,
    /// When, RFC 3339 with milliseconds.
    pub at: String,
    /// SHA-256 of the line before, hex; zeros in the first.
    pub prev: String,
    /// What.
    pub entry: Entry,
}

/// Why a journal does not serve.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("the journal {0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another process writes it.
    #[error("the journal {0} is in use by another run: wait for it, or name another file with --journal")]
    Busy(PathBuf),
    /// It is not what was written.
    #[error(
        "the journal {path} is not intact: {what}; nothing was added. Keep it as evidence and name another file with --journal"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        what: String,
    },
    /// It was moved, replaced, or written by something else while it was open.
    #[error(
        "the journal {0} was moved, replaced or written by another program while it was in use: nothing more is added to it"
    )]
    Changed(PathBuf),
    /// An earlier write failed half-way.
    #[error("the journal {0} could not be written before: nothing more is added to it")]
    Stuck(PathBuf),
}

/// An open journal; no other process can open it for writing while it lives.
#[derive(Debug)]
pub struct Journal {
    /// As it was named.
    path: PathBuf,
    /// Where the file is: the same for every name.
    real: PathBuf,
    file: File,
    records: Vec<Record>,
    /// SHA-256 of the last line, hex.
    last: String,
    /// Bytes that are known to be good.
    length: u64,
    torn: Option<String>,
    stuck: bool,
}

impl Journal {
    /// Opens or makes a journal, for this process alone.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |e| JournalError::Io(path.to_owned(), e);
        let broken = |what| JournalError::Broken { path: path.to_owned(), what };
        let (mut file, real) = locked(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let read = check::read(&bytes).map_err(broken)?;
        let known = head::read(&real).map_err(io)?;
        let behind = check::still(&read, &known).map_err(broken)?;
        let torn = if read.torn.is_empty() { None } else { Some(set_aside(&real, read.torn).map_err(io)?) };
        let length = (bytes.len() - read.torn.len()) as u64;
        if torn.is_some() {
            file.set_len(length).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        head::sync_folder(&real).map_err(io)?;
        let (records, last) = (read.records, read.last);
        if behind > 0 || known == Found::Nothing {
            // The line was written whole before a crash: it counts from now on.
            file.sync_all().map_err(io)?;
            head::prepare(&real, records.len() as u64, &last).and_then(|()| head::take(&real)).map_err(io)?;
        }
        Ok(Self { path: path.to_owned(), real, file, records, last, length, torn, stuck: false })
    }

    /// Adds an entry; gives its number. It is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written: then it is not there, as far as the disk lets it be taken back.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, JournalError> {
        let failed = |e| JournalError::Io(self.path.clone(), e);
        if self.stuck {
            return Err(JournalError::Stuck(self.path.clone()));
        }
        if !same(&self.file, &self.real) || self.file.metadata().map_err(failed)?.len() != self.length {
            self.stuck = true;
            return Err(JournalError::Changed(self.path.clone()));
        }
        let seq = self.records.len() as u64 + 1;
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let record = Record { seq, at, prev: self.last.clone(), entry: entry.clone() };
        let mut line = serde_json::to_vec(&record).map_err(|e| failed(e.into()))?;
        let hash = check::hash(&line);
        line.push(b'\n');
        // Room for the head is had before the line stands there.
        head::prepare(&self.real, seq, &hash).map_err(failed)?;
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(&line));
        if let Err(e) = written.and_then(|()| self.file.sync_data()) {
            let undone = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            self.stuck = undone.is_err();
            return Err(JournalError::Io(self.path.clone(), e));
        }
        self.length += line.len() as u64;
        self.last = hash;
        self.records.push(record);
        // The line is there; a head that lags behind by it is no fault when the journal is opened again.
        head::take(&self.real).map_err(|e| {
            self.stuck = true;
            JournalError::Io(self.path.clone(), e)
        })?;
        Ok(seq)
    }

    /// All lines.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What was set aside when it was opened, if a crash had left half a line.
    pub fn torn(&self) -> Option<&str> {
        self.torn.as_deref()
    }

    /// Whether somebody was told of this outcome of a credential by this channel.
    pub fn notified(&self, fingerprint: Fingerprint, outcome: &str, channel: &str) -> bool {
        self.records.iter().any(|r| {
            matches!(&r.entry, Entry::Notified { fingerprint: f, outcome: o, channel: c, .. }
                if *f == fingerprint && o == outcome && c == channel)
        })
    }
}

/// Opens the file for this process alone; gives it with where it is.
fn locked(path: &Path) -> Result<(File, PathBuf), JournalError> {
    let io = |e| JournalError::Io(path.to_owned(), e);
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        make(folder).map_err(io)?;
    }
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(io(io::Error::other("a journal is a regular file")));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(JournalError::Busy(path.to_owned())),
        Err(e) => return Err(io(e.into())),
    }
    let real = std::fs::canonicalize(path).map_err(io)?;
    // Another file may have taken its place before the lock was had.
    if same(&file, &real) { Ok((file, real)) } else { Err(JournalError::Changed(path.to_owned())) }
}

/// Makes a folder and those above it, each on disk in the one above.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|f| !f.as_os_str().is_empty()) {
        make(above)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    head::sync_folder(folder)
}

/// Whether a file is still the one that stands there.
fn same(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Keeps half a line in a file beside the journal; gives what to tell.
fn set_aside(path: &Path, torn: &[u8]) -> io::Result<String> {
    for n in 1u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".torn-{n}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name) {
            Ok(mut file) => {
                file.write_all(torn)?;
                file.sync_all()?;
                // Its name must last before the bytes go from the journal.
                head::sync_folder(path)?;
                let name = Path::new(&name).display();
                return Ok(format!("a crash left half a line at the end of the journal: it was moved to {name}"));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("no name is free for the half line at the journal's end"))
}

#[cfg(test)]
mod tests;
