//! Whether a journal is what was written.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::head::{self, Found};
use super::{JournalError, Record};

/// What the first line has as the hash of the line before.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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

/// Compares with a head that was read before the lines; gives how many lines are newer than it.
pub(super) fn against_head(read: &Read<'_>, head: &Found) -> Result<u64, String> {
    let lines = read.hashes.len() as u64;
    let head = match head {
        Found::Head(head) => head,
        Found::Strange => return Err("its head file (.head) is not what was written there".into()),
        // A journal has a head before it has a line.
        Found::Nothing if lines == 0 => return Ok(0),
        Found::Nothing => return Err("its head file (.head) is gone: lines may have been cut from its end".into()),
    };
    if head.seq > lines {
        return Err(format!("it has {lines} lines where there were {}: its end was cut off", head.seq));
    }
    let written = match head.seq.checked_sub(1) {
        Some(i) => read.hashes.get(i as usize).map(String::as_str),
        None => Some(NOTHING),
    };
    if written != Some(&head.hash) {
        return Err(format!("line {} is not the one that was written last", head.seq));
    }
    Ok(lines - head.seq)
}

/// A crash leaves one line without a head and never two. `after` is the head when all lines were written.
fn not_ahead(read: &Read<'_>, after: &Found) -> Result<(), String> {
    let lines = read.hashes.len() as u64;
    match after {
        Found::Head(head) if lines > head.seq.saturating_add(1) => Err(format!(
            "it has {lines} lines and its head is of line {}: lines were added, or the head is an old one",
            head.seq
        )),
        _ => Ok(()),
    }
}

/// Checks a journal that nobody writes meanwhile.
pub(super) fn still(read: &Read<'_>, head: &Found) -> Result<u64, String> {
    let behind = against_head(read, head)?;
    not_ahead(read, head).map(|()| behind)
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
    // By another name, its head lies beside the file and not beside that name.
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // The head first: a line that is added meanwhile is then one more, not one less.
    let before = head::read(&real).map_err(io)?;
    let bytes = match std::fs::read(&real) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound && before != Found::Nothing => Vec::new(),
        Err(e) => return Err(io(e)),
    };
    // And after: it can be behind the lines that were read by one.
    let after = head::read(&real).map_err(io)?;
    let broken = |what| JournalError::Broken { path: path.to_owned(), what };
    let read = read(&bytes).map_err(broken)?;
    let behind = against_head(&read, &before).and_then(|n| not_ahead(&read, &after).map(|()| n)).map_err(broken)?;
    Ok(Summary { records: read.records, torn: read.torn.len(), behind })
}
