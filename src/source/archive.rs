//! Archives and compressed streams: the text of every member, without ever writing to disk.
//!
//! Contract: what an archive declares decides nothing that is not bounded: depth, members and expanded bytes have limits
//! for the outermost archive in all, a member is held in memory up to [`PIECE`] bytes (a nested zip, which must be read
//! from its end, up to [`HELD`]), decoders may use [`WINDOW`] bytes. Whatever a limit cuts or damage hides is noted, and
//! everything else is still looked at. Names of members are only names.
//!
//! Zip and tar are read by our own code because a scanner wants what a reader for extraction refuses: members of equal
//! name, members behind damage, directories of any length in bounded memory.

mod data;
mod decode;
mod expander;
mod packed;
mod tar;
mod zip;

use std::io::Read;

pub use data::Data;

use crate::notes::Notes;
use crate::source::archive::expander::Expander;
use crate::source::{Limits, Origin, Sink};

/// How many bytes of a file [`sniff`] wants to see.
pub const HEAD: usize = 512;
/// Bytes of nested zips that are held in memory at a time.
pub const HELD: usize = 256 << 20;
/// Memory that one decoder may use for what its stream refers back to.
const WINDOW: u64 = 128 << 20;
/// What an archive may expand to whatever its size, and how often its size beyond that; [`Limits::expanded`] is the end.
const FREE: u64 = 64 << 20;
const RATIO: u64 = 200;

/// A kind of archive or compressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// zip, and what is one: jar, whl, docx, apk.
    Zip,
    /// tar of any age.
    Tar,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

/// Tells an archive by the first [`HEAD`] bytes of a file.
pub fn sniff(head: &[u8]) -> Option<Format> {
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, b'P', b'K', 3, 4, ..] => Some(Format::Zip),
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Format::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
            if rest.starts_with(b"\x31\x41\x59\x26\x53\x59") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90") =>
        {
            Some(Format::Bzip2)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Format::Zstd),
        _ if tar::is_header(head) => Some(Format::Tar),
        _ => None,
    }
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Members looked at, those of nested archives too.
    pub members: u64,
    /// Bytes of text handed over.
    pub bytes: u64,
}

/// Hands the text of all members to the sink, at places that are `origin` with the names of the members behind it. What
/// turns out to be no archive at all is handed over as the text it is.
pub fn expand(
    data: Data<'_>,
    format: Format,
    origin: &Origin,
    limits: &Limits,
    notes: &Notes,
    sink: &dyn Sink,
) -> Expanded {
    let most = FREE.saturating_add(data.len().saturating_mul(RATIO)).min(limits.expanded);
    let expander = Expander::new(most, limits, notes, sink);
    let mut at = origin.clone();
    if limits.depth == 0 {
        expander.too_deep(&at);
        expander.text(&mut data.reader(), &mut Vec::new(), 0, &at);
    } else {
        expander.archive(data, format, &mut at, 1);
    }
    expander.finish(origin)
}

/// Like [`expand`], for what can only be read once from its start to its end. A zip is held in memory up to [`HELD`].
pub fn expand_stream(
    reader: &mut dyn Read,
    origin: &Origin,
    limits: &Limits,
    notes: &Notes,
    sink: &dyn Sink,
) -> Expanded {
    let expander = Expander::new(limits.expanded, limits, notes, sink);
    expander.content(reader, &mut origin.clone(), 0, false);
    expander.finish(origin)
}

/// A place as notes show it.
fn place(at: &Origin) -> Vec<u8> {
    let mut place = match at.object {
        _ if !at.path.is_empty() => at.path.clone(),
        Some(object) => object.to_string().into_bytes(),
        None => b"-".to_vec(),
    };
    for member in &at.member {
        place.push(b'!');
        place.extend_from_slice(member.as_bytes());
    }
    place
}

#[cfg(test)]
mod tests;
