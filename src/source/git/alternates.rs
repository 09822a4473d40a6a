//! Objects folders that a repository borrows from: `info/alternates`, followed through all folders it names.
//!
//! Contract: each folder is named once, so circles end; at most [`MOST`] are followed, and what is not there or left
//! out is reported.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::model::NoteKind;
use crate::notes::Notes;

/// How many objects folders one repository may name in all.
pub const MOST: usize = 64;
/// Longest `info/alternates` that is read.
const LONGEST: u64 = 1 << 20;

/// The folder itself and all it borrows from, nearest first.
pub fn objects_dirs(dir: &Path, notes: &Notes) -> Vec<PathBuf> {
    let mut dirs = vec![dir.to_owned()];
    let mut seen: Vec<PathBuf> = vec![fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())];
    let mut next = 0;
    while next < dirs.len() {
        let from = dirs[next].clone();
        next += 1;
        for path in read(&from.join("info").join("alternates"), notes) {
            let path = from.join(path);
            let real = match fs::canonicalize(&path) {
                Ok(real) if real.is_dir() => real,
                _ => {
                    notes.add(NoteKind::GitMissing, path.as_os_str().as_encoded_bytes(), "alternate objects folder");
                    continue;
                }
            };
            if seen.contains(&real) {
                continue;
            }
            if dirs.len() == MOST {
                let detail = format!("more than {MOST} alternate objects folders");
                notes.add(NoteKind::GitMissing, path.as_os_str().as_encoded_bytes(), detail);
                return dirs;
            }
            seen.push(real);
            dirs.push(path);
        }
    }
    dirs
}

/// The paths in a file of alternates.
fn read(file: &Path, notes: &Notes) -> Vec<PathBuf> {
    let unreadable = |detail: String| {
        notes.add(NoteKind::Unreadable, file.as_os_str().as_encoded_bytes(), detail);
        Vec::new()
    };
    match fs::metadata(file) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Vec::new(),
        Err(e) => return unreadable(e.to_string()),
        Ok(meta) if !meta.is_file() || meta.len() > LONGEST => {
            return unreadable("not a regular file of sensible size".into());
        }
        Ok(_) => {}
    }
    match fs::read(file) {
        Ok(text) => parse(&text),
        Err(e) => unreadable(e.to_string()),
    }
}

/// Paths of a file of alternates: one a line, `#` starts a comment, quotes as in C are undone.
pub fn parse(text: &[u8]) -> Vec<PathBuf> {
    text.split(|b| *b == b'\n')
        .filter(|line| !line.is_empty() && line[0] != b'#')
        .map(|line| path(&unquote(line).unwrap_or_else(|| line.to_vec())))
        .collect()
}

/// A path from the bytes in a file.
fn path(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    let name: OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec());
    #[cfg(not(unix))]
    let name: OsString = String::from_utf8_lossy(bytes).into_owned().into();
    PathBuf::from(name)
}

/// Undoes git's C-style quotes; `None` if there are none or they are wrong.
fn unquote(line: &[u8]) -> Option<Vec<u8>> {
    let inner = line.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'"' {
            return None;
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next()? {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            c @ (b'"' | b'\\') => c,
            c @ b'0'..=b'3' => {
                let mut value = c - b'0';
                for _ in 0..2 {
                    let digit = bytes.next().filter(|d| (b'0'..=b'7').contains(d))?;
                    value = value * 8 + (digit - b'0');
                }
                value
            }
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_comments_and_quotes() {
        let text = b"# borrowed\n/a b\n\n../x\n\"/q\\\"\\\\\\n\\303\\251\"\n\"half\nlast";
        let paths = parse(text);
        let expected = ["/a b", "../x", "/q\"\\\n\u{e9}", "\"half", "last"];
        assert_eq!(paths, expected.map(PathBuf::from));
    }

    #[test]
    fn circles_end_and_missing_folders_are_reported() {
        let top = tempfile::tempdir().unwrap();
        let dir = |name: &str, alternates: &str| {
            let dir = top.path().join(name);
            fs::create_dir_all(dir.join("info")).unwrap();
            fs::write(dir.join("info/alternates"), alternates).unwrap();
            dir
        };
        let a = dir("a", "../b\n../nowhere\n");
        let b = dir("b", &format!("{}\n../c\n", a.display()));
        let c = dir("c", "../a\n../b/../c\n");
        let notes = Notes::default();
        let found: Vec<_> = objects_dirs(&a, &notes).iter().map(|d| fs::canonicalize(d).unwrap()).collect();
        assert_eq!(found, [a, b, c].map(|d| fs::canonicalize(d).unwrap()));
        assert_eq!(notes.take().1, [(NoteKind::GitMissing, 1)]);
    }
}
