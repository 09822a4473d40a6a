//! What each kind of note means and what a user can do about it.
//!
//! Contract: every [`NoteKind`] has its stable id and its words here and nowhere else; a new kind does not compile
//! until it has them.

use crate::model::NoteKind;

/// Words about one kind of note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteWords {
    /// The stable id, as in JSON.
    pub id: &'static str,
    /// What there was one of: `file larger than --max-file-size`.
    pub one: &'static str,
    /// The same for several.
    pub many: &'static str,
    /// What to do about it, or how it comes; may be empty.
    pub advice: &'static str,
}

/// All kinds, in the order of [`NoteKind`].
pub(crate) const ALL: [NoteKind; 23] = [
    NoteKind::Unreadable,
    NoteKind::Changed,
    NoteKind::NotAFile,
    NoteKind::Link,
    NoteKind::TooLarge,
    NoteKind::GitIgnored,
    NoteKind::Excluded,
    NoteKind::ArchiveDepth,
    NoteKind::ArchiveSize,
    NoteKind::ArchiveDamaged,
    NoteKind::ArchiveEncrypted,
    NoteKind::DecodeLimit,
    NoteKind::GitDamaged,
    NoteKind::GitMissing,
    NoteKind::GitShallow,
    NoteKind::GitPartial,
    NoteKind::GitTooLarge,
    NoteKind::LocationLimit,
    NoteKind::Filtered,
    NoteKind::State,
    NoteKind::Interrupted,
    NoteKind::Directory,
    NoteKind::Other,
];

/// The words about a kind of note.
pub fn words(kind: NoteKind) -> NoteWords {
    let (id, one, many, advice) = match kind {
        NoteKind::Unreadable => {
            ("unreadable", "entry could not be read", "entries could not be read", "check the permissions")
        }
        NoteKind::Changed => {
            ("changed", "file changed while it was read", "files changed while they were read", "scan again")
        }
        NoteKind::NotAFile => {
            ("not-a-file", "FIFO, socket or device left out", "FIFOs, sockets or devices left out", "")
        }
        NoteKind::Link => (
            "link",
            "symbolic link not followed",
            "symbolic links not followed",
            "they lead in a circle, nowhere or out of the target",
        ),
        NoteKind::TooLarge => {
            ("too-large", "file larger than the limit", "files larger than the limit", "--max-file-size raises it")
        }
        NoteKind::GitIgnored => {
            ("git-ignored", "entry left out by .gitignore", "entries left out by .gitignore", "--no-ignore scans them")
        }
        NoteKind::Excluded => {
            ("excluded", "entry left out by --exclude or --include", "entries left out by --exclude or --include", "")
        }
        NoteKind::ArchiveDepth => (
            "archive-depth",
            "archive nested too deep was not opened",
            "archives nested too deep were not opened",
            "unpack them and scan the folder",
        ),
        NoteKind::ArchiveSize => (
            "archive-size",
            "archive was cut because it expands to too much",
            "archives were cut because they expand to too much",
            "unpack them and scan the folder",
        ),
        NoteKind::ArchiveDamaged => (
            "archive-damaged",
            "archive or compressed stream is damaged",
            "archives or compressed streams are damaged",
            "what comes before the damage was scanned",
        ),
        NoteKind::ArchiveEncrypted => {
            ("archive-encrypted", "archive member is encrypted", "archive members are encrypted", "")
        }
        NoteKind::DecodeLimit => (
            "decode-limit",
            "encoded text was not decoded in full",
            "encoded texts were not decoded in full",
            "they are too long or nested too deep",
        ),
        NoteKind::GitDamaged => (
            "git-damaged",
            "git object, pack or index is damaged",
            "git objects, packs or indexes are damaged",
            "git fsck tells more; all the rest was scanned",
        ),
        NoteKind::GitMissing => (
            "git-missing",
            "git object is named but not there",
            "git objects are named but not there",
            "git fsck tells more",
        ),
        NoteKind::GitShallow => (
            "git-shallow",
            "shallow boundary ends history",
            "shallow boundaries end history",
            "git fetch --unshallow brings the rest",
        ),
        NoteKind::GitPartial => (
            "git-partial",
            "git object is absent from this partial clone",
            "git objects are absent from this partial clone",
            "a full clone has them",
        ),
        NoteKind::GitTooLarge => (
            "git-too-large",
            "git object is too large for memory and was left out",
            "git objects are too large for memory and were left out",
            "",
        ),
        NoteKind::LocationLimit => (
            "location-limit",
            "place is counted but not listed",
            "places are counted but not listed",
            "the credential stands in too many",
        ),
        NoteKind::Filtered => {
            ("filtered", "finding left out", "findings left out", "their validity is not what --only asks for")
        }
        NoteKind::State => ("state", "trouble with the store of verdicts", "troubles with the store of verdicts", ""),
        NoteKind::Interrupted => (
            "interrupted",
            "interruption before all credentials were asked about",
            "interruptions before all credentials were asked about",
            "what is left is unknown; --verify-timeout gives more time",
        ),
        NoteKind::Directory => (
            "directory",
            "directory of people did not answer",
            "directories of people did not answer",
            "owners may be unknown; nobody counts as gone for it",
        ),
        NoteKind::Other => ("other", "further note", "further notes", ""),
    };
    NoteWords { id, one, many, advice }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_those_of_json_and_all_kinds_are_listed() {
        for (i, kind) in ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
            assert_eq!(serde_json::to_value(kind).unwrap(), words(kind).id);
        }
        assert_eq!(ALL.last(), Some(&NoteKind::Other));
    }

    #[test]
    fn the_readme_explains_every_kind() {
        let readme = include_str!("../../README.md");
        for kind in ALL {
            let start = format!("| `{}` |", words(kind).id);
            let row = readme.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
            assert_eq!(row.ends_with("| yes |"), kind.cuts(), "{row}");
        }
    }
}
