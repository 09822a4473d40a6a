//! The ignore rules of a git work tree: its `.gitignore` files and `info/exclude`, nothing of the user's own.
//!
//! Contract: rules are data of the scanned place, so they only ever leave files out of the walk (and what they leave out
//! is counted by the caller); a rule file that is no regular file, too long or not to be understood is not obeyed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::model::NoteKind;
use crate::notes::Notes;
use crate::source::files::read;

/// Longest rule file that is obeyed.
const MAX_LEN: u64 = 256 << 10;

/// The rules of one folder, and of the folders above it.
#[derive(Debug)]
pub(super) struct Rules {
    here: Gitignore,
    /// Length of the path of the folder, with its slash: what is cut off before matching.
    prefix: usize,
    above: Option<Arc<Rules>>,
}

impl Rules {
    /// Adds the rules of the file at `file` for the folder whose path is `prefix` bytes long; without such a file, or
    /// with an empty one, the rules stay as they were.
    pub(super) fn with(above: Option<Arc<Rules>>, file: &Path, prefix: usize, notes: &Notes) -> Option<Arc<Rules>> {
        let Some(here) = load(file, notes).filter(|rules| !rules.is_empty()) else { return above };
        Some(Arc::new(Self { here, prefix, above }))
    }

    /// Whether the rules leave out `path`. The folders above it are known not to be left out.
    pub(super) fn ignore(&self, path: &[u8], folder: bool) -> bool {
        let mut rules = Some(self);
        while let Some(r) = rules {
            let below = path.get(r.prefix..).unwrap_or_default();
            match r.here.matched(Path::new(OsStr::from_bytes(below)), folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => rules = r.above.as_deref(),
            }
        }
        false
    }
}

/// Reads one rule file; `None` if there is none that can be obeyed.
fn load(path: &Path, notes: &Notes) -> Option<Gitignore> {
    let file = read::open(path, false).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() {
        return None;
    }
    let text = if meta.len() <= MAX_LEN { text(file) } else { None };
    let rules = text.and_then(|text| parse(&text));
    if rules.is_none() {
        notes.add(NoteKind::Other, path.as_os_str().as_bytes(), "these ignore rules are not obeyed");
    }
    rules
}

fn text(file: File) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut text).ok()?;
    Some(text)
}

/// A line that is no valid glob is left out, as git does.
fn parse(text: &[u8]) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in text.split(|b| *b == b'\n') {
        if let Ok(line) = std::str::from_utf8(line) {
            let _ = builder.add_line(None, line);
        }
    }
    builder.build().ok()
}
