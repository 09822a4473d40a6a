//! Whether a journal is what was written.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::head::{self, Head};
use super::{JournalError, Record};

/// What the first line has as the hash of the line before.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A journal's text, taken apart.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub records: Vec<Record>,
    /// Hash of the last line.
    pub last: String,
    /// Hash of every line, in order.
    hashes: Vec<String>,
    /// What stands behind the last line end.
    pub torn: &'a [u8],
}

/// SHA-256 of a line without its end, hex.
pub(super) fn hash(line: &[u8]) -> String {
    crate::secret::hex(&Sha256::digest(line))
}

/// Reads all lines and follows the chain.
pub(super) fn read(bytes: &[u8]) -> Result<Read<'_>, String> {
    let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let mut read = Read { records: Vec::new(), last: NOTHING.to_owned(), hashes: Vec::new(), torn: &bytes[end..] };
    for (i, line) in bytes[..end].split_inclusive(|b| *b == b'\n').enumerate() {
        let line = &line[..line.len() - 1];
        let number = i + 1;
        let record: Record = serde_json::from_slice(line)
            .map_err(|_| format!("line {number} is no record, or one of a later version"))?;
        if record.seq != number as u64 {
            return Err(format!("line {number} has number {}: lines are missing or were moved", record.seq));
        }
        if record.prev != read.last {
            let before = number.saturating_sub(1);
            return Err(format!("line {number} does not follow line {before}: one of them was changed"));
        }
        // What was written is compact and complete: anything else that reads the same was edited.
        if serde_json::to_vec(&record).ok().as_deref() != Some(line) {
            return Err(format!("line {number} was written in another form"));
        }
        read.last = hash(line);
        read.hashes.push(read.last.clone());
        read.records.push(record);
    }
    Ok(read)
}

/// Compares with the head. A crash may leave it one line behind, or not yet there after the first line.
pub(super) fn against_head(read: &Read<'_>, head: Option<&Head>) -> Result<(), String> {
    let lines = read.hashes.len() as u64;
    let Some(head) = head else {
        return match lines {
            0 | 1 => Ok(()),
            _ => Err("its head file (.head) is gone: lines may have been cut from its end".into()),
        };
    };
    if head.seq > lines {
        return Err(format!("it has {lines} lines where there were {}: its end was cut off", head.seq));
    }
    match head.seq.checked_sub(1).and_then(|i| read.hashes.get(i as usize)) {
        Some(hash) if *hash == head.hash => Ok(()),
        Some(_) => Err(format!("line {} is not the one that was written last", head.seq)),
        None => Err("its head file (.head) is not what was written there".into()),
    }
}

/// What a verified journal holds.
#[derive(Debug)]
pub struct Summary {
    /// Its lines.
    pub records: Vec<Record>,
    /// Bytes of half a line at its end, left by a crash or under way.
    pub torn: usize,
    /// Lines behind the head: the last one may be so after a crash, and nothing vouches for its end.
    pub behind: u64,
}

/// Verifies a journal without changing anything; another process may be writing it.
///
/// # Errors
/// It cannot be read, or it is not intact: says where.
pub fn verify(path: &Path) -> Result<Summary, JournalError> {
    let io = |e: io::Error| JournalError::Io(path.to_owned(), e);
    // The head first: a line that is added meanwhile is then one more, not one less.
    let head = head::read(path).map_err(io)?;
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound && head.is_some() => Vec::new(),
        Err(e) => return Err(io(e)),
    };
    let broken = |what| JournalError::Broken { path: path.to_owned(), what };
    let read = read(&bytes).map_err(broken)?;
    against_head(&read, head.as_ref()).map_err(broken)?;
    let behind = read.hashes.len() as u64 - head.map_or(0, |h| h.seq);
    Ok(Summary { records: read.records, torn: read.torn.len(), behind })
}
