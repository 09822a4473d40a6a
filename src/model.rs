//! The words of the project as types: what every stage hands to the next, and what a report is made of.
//!
//! Contract: plain data, no behaviour beyond construction and ordering, and no secret bytes outside [`Secret`].

mod checked;
mod object_id;
mod owned;
pub mod plan;
mod standards;

use std::fmt;
use std::path::PathBuf;

pub use checked::{Checked, How, Principal};
pub use object_id::ObjectId;
pub use owned::{Evidence, EvidenceSource, Owned, Owner, Person, PersonState, Posture, PostureKind, Severity, Weight};

pub use crate::rules::schema::BoundTo;
use crate::secret::{Fingerprint, Secret};

/// How sure we are that a finding is a credential.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A generic assignment, or a checksum that does not fit.
    Low,
    /// The shape fits and a word that names the issuer stands nearby.
    Medium,
    /// The token has a prefix of its own.
    High,
    /// The checksum inside the token fits.
    Certain,
}

impl Confidence {
    /// The lower-case name used in flags and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Certain => "certain",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the issuer still accepts the credential. Never a bool: not knowing is a result of its own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum Validity {
    /// The issuer accepted it.
    Active,
    /// The issuer said that it does not work any more.
    Inactive,
    /// Not asked, or the answer does not tell; with the reason.
    Unknown(String),
}

impl Validity {
    /// `active`, `inactive` or `unknown`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Index of a token type in the loaded catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenIndex(pub u32);

/// One detected credential in one piece of text, before grouping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which token type it is.
    pub token: TokenIndex,
    /// The value.
    pub secret: Secret,
    /// Further parts by name: an access key id, a user name, a host. Not secret by themselves.
    pub parts: Vec<(String, Vec<u8>)>,
    /// Further secrets that it only works with, by name: a session token, a consumer secret.
    pub secrets: Vec<(String, Secret)>,
    /// How sure.
    pub confidence: Confidence,
    /// Where in the text it starts and ends.
    pub span: TextSpan,
    /// Encodings that were undone to see it, outermost first (`base64`, `gzip`, `utf-16le`, ...).
    pub encoding: Vec<&'static str>,
    /// The private key is protected by a passphrase.
    pub encrypted: bool,
    /// An inline comment asks to ignore this line.
    pub ignored: bool,
}

/// Position of a hit: lines and columns count from 1, columns count bytes; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextSpan {
    /// Byte offset of the first byte in the text.
    pub start: u64,
    /// Byte offset after the last byte.
    pub end: u64,
    /// Line of the first byte.
    pub line: u64,
    /// Column of the first byte.
    pub column: u64,
    /// Line of the last byte.
    pub end_line: u64,
    /// Column after the last byte.
    pub end_column: u64,
}

/// A path as the source has it: any bytes.
pub type PathBytes = Vec<u8>;

/// What kind of place a credential stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// A file on disk, outside git or not committed in this form.
    File,
    /// Standard input.
    Stdin,
    /// A blob in git, at a path of a commit's tree.
    Blob,
    /// A blob in git that is in the index but in no commit.
    Index,
    /// A blob in git that no commit and no index entry names (dangling, or its trees are gone).
    Dangling,
    /// The text of a commit object: its message or headers.
    Commit,
    /// The text of an annotated tag object.
    Tag,
}

/// A person and a moment in a commit or tag, as the object says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Signature {
    /// Name, lossily decoded.
    pub name: String,
    /// E-mail address, lossily decoded.
    pub email: String,
    /// Seconds since 1970-01-01 UTC.
    pub time: i64,
    /// Offset from UTC in minutes.
    pub offset: i32,
}

/// A commit as reports show it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CommitInfo {
    /// Its id.
    pub id: ObjectId,
    /// Who wrote the change.
    pub author: Signature,
    /// Who committed it, and when.
    pub committer: Signature,
    /// First line of the message, lossily decoded, at most 200 characters.
    pub subject: String,
}

/// The git side of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitPlace {
    /// The object that holds the text (blob, commit or tag).
    pub object: ObjectId,
    /// The commit that first brought the credential to this path (oldest by topology); `None` for dangling blobs.
    pub commit: Option<CommitInfo>,
    /// In how many distinct blobs at this path the credential stands.
    pub versions: u32,
    /// Whether a ref, HEAD or the index reaches it.
    pub reachable: bool,
    /// Whether it still stands at this path in the tree of HEAD or of a branch.
    pub present: bool,
}

/// Names of the encodings that detection undoes, as [`Hit::encoding`] and [`Location::encoding`] have them.
pub const ENCODINGS: [&str; 8] = ["base64", "hex", "percent", "escape", "gzip", "zlib", "utf-16le", "utf-16be"];

/// One place where a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Index into [`Report::targets`].
    pub target: usize,
    /// What kind of place.
    pub kind: PlaceKind,
    /// Path below the target (or the target itself for a single file); empty where the place has none.
    pub path: PathBytes,
    /// Members inside nested archives, outermost first.
    pub member: Vec<String>,
    /// Position in that text; for encoded text, of the encoded run.
    pub span: TextSpan,
    /// Encodings that were undone, outermost first.
    pub encoding: Vec<&'static str>,
    /// For places in git.
    pub git: Option<GitPlace>,
}

/// History of one credential in git: who brought it, who removed it, where it still stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exposure {
    /// The commit that first brought it in, oldest by topology.
    pub introduced: Option<CommitInfo>,
    /// The newest commit that removed it, when no branch head has it any more.
    pub removed: Option<CommitInfo>,
    /// It stands in the tree of HEAD.
    pub at_head: bool,
    /// In how many branch heads it stands.
    pub branches: u32,
    /// It stands only in objects that no ref reaches.
    pub unreachable: bool,
    /// Dates that are not plausible, rewritten history, and the like.
    pub warnings: Vec<String>,
}

/// A credential with everything known about it: the unit of every report.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `issuer.token-type`.
    pub rule: String,
    /// Human name of the token type.
    pub name: String,
    /// Human name of the issuer.
    pub issuer: String,
    /// Issuer's documentation, if the rule has one.
    pub docs: Option<String>,
    /// How sure.
    pub confidence: Confidence,
    /// Keyed hash of the value.
    pub fingerprint: Fingerprint,
    /// The value. Reports show [`Secret::redacted`] unless `--show-secrets` was given.
    pub secret: Secret,
    /// Further parts by name (access key id, user, host): shown as they are.
    pub parts: Vec<(String, Vec<u8>)>,
    /// Further secrets that it only works with, by name (a session token): shown as [`secret`](Self::secret) is.
    pub secrets: Vec<(String, Secret)>,
    /// A private key that is protected by a passphrase.
    pub encrypted: bool,
    /// Whose authority a credential of this type carries.
    pub bound_to: BoundTo,
    /// Whether the issuer still accepts it, and the account behind it.
    pub checked: Checked,
    /// Whose it is, and what is wrong about it; `None` until the own stage has looked.
    pub owned: Option<Owned>,
    /// Its places, oldest in git first, then by path and position. Never empty.
    pub locations: Vec<Location>,
    /// Its history in git, if it was found there.
    pub exposure: Option<Exposure>,
}

impl Finding {
    /// Its value, and the further secrets that it only works with.
    pub fn all_secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.secret).chain(self.secrets.iter().map(|(_, secret)| secret))
    }
}

/// What was scanned.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Target {
    /// As the user named it (credentials in a URL removed).
    pub name: String,
    /// `file`, `folder`, `repository`, `bare-repository` or `stdin`.
    pub kind: &'static str,
    /// The folder that location paths are relative to, if there is one.
    #[serde(skip)]
    pub root: Option<PathBuf>,
    /// What a repository itself says of people.
    #[serde(skip)]
    pub people: PeopleFiles,
}

/// Files of a repository at HEAD that say who is who: scanned content, so hints at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleFiles {
    /// Its `.mailmap`; empty if it has none.
    pub mailmap: Vec<u8>,
    /// Its CODEOWNERS; empty if it has none.
    pub codeowners: Vec<u8>,
}

/// Why something was left out, cut or could not be read. The id is stable and documented in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// A file or folder could not be opened or read.
    Unreadable,
    /// A file changed size or vanished while it was read.
    Changed,
    /// Not a regular file (FIFO, socket, device).
    NotAFile,
    /// A symbolic link that leads in a circle or nowhere, or leaves the target.
    Link,
    /// Larger than `--max-file-size`.
    TooLarge,
    /// Left out because an ignore file of the work tree says so.
    GitIgnored,
    /// Left out by `--exclude` or not covered by `--include`.
    Excluded,
    /// An archive nests deeper than the limit.
    ArchiveDepth,
    /// An archive expands to more than the limit, or has more members.
    ArchiveSize,
    /// An archive or compressed stream is damaged.
    ArchiveDamaged,
    /// An archive member is encrypted.
    ArchiveEncrypted,
    /// A decoder stopped at its limit of depth or size.
    DecodeLimit,
    /// A git object, pack or index is damaged.
    GitDamaged,
    /// A git object is named but not here.
    GitMissing,
    /// History ends at a shallow boundary.
    GitShallow,
    /// Blobs are absent because this is a partial clone.
    GitPartial,
    /// An object is larger than what fits the memory budget.
    GitTooLarge,
    /// A token type was found so often that further places are only counted.
    LocationLimit,
    /// Findings whose validity was not asked for.
    Filtered,
    /// The store between runs does not serve.
    State,
    /// Checks were interrupted, or their time was over.
    Interrupted,
    /// A directory of people did not answer.
    Directory,
    /// Anything else worth telling.
    Other,
}

impl NoteKind {
    /// Whether a note of this kind means that the scan is not complete (exit code 3).
    pub fn cuts(self) -> bool {
        !matches!(
            self,
            Self::NotAFile
                | Self::Link
                | Self::GitIgnored
                | Self::Excluded
                | Self::ArchiveDamaged
                | Self::ArchiveEncrypted
                | Self::GitShallow
                | Self::GitPartial
                | Self::LocationLimit
                | Self::Filtered
                | Self::State
                | Self::Other
        )
    }
}

/// One kind of note at one place, or a count of equal ones.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// Where: a path or object id, made safe for a terminal.
    pub place: String,
    /// The details, made safe for a terminal.
    pub detail: String,
}

/// Numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Files read from disk.
    pub files: u64,
    /// Git objects looked at.
    pub objects: u64,
    /// Bytes of text looked at, after decompression.
    pub bytes: u64,
    /// Archive members looked at.
    pub members: u64,
    /// Hits left out because of an inline comment.
    pub ignored_inline: u64,
    /// Wall time in milliseconds.
    pub millis: u64,
}

/// Everything a run found out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// When the run began, seconds since 1970-01-01 UTC.
    pub started: i64,
    /// What was scanned.
    pub targets: Vec<Target>,
    /// The credentials, most certain first.
    pub findings: Vec<Finding>,
    /// What was left out or cut, at most some hundreds a kind.
    pub notes: Vec<Note>,
    /// How many notes of each kind there were in all.
    pub note_counts: Vec<(NoteKind, u64)>,
    /// Numbers.
    pub totals: Totals,
}

impl Report {
    /// Whether nothing was cut by a limit, a fault or damage.
    pub fn complete(&self) -> bool {
        !self.note_counts.iter().any(|(kind, n)| kind.cuts() && *n > 0)
    }

    /// Adds to the counts of notes.
    pub fn add_counts(&mut self, counts: Vec<(NoteKind, u64)>) {
        for (kind, n) in counts {
            match self.note_counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += n,
                None => self.note_counts.push((kind, n)),
            }
        }
        self.note_counts.sort_by_key(|(kind, _)| *kind);
    }
}
