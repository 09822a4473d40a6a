//! Reads commit and annotated tag objects.
//!
//! Contract: any bytes are accepted. A missing or broken header leaves its field empty or zero, an absurd date is cut to
//! what fits, and text is decoded lossily.

use super::walk::Kind;
use crate::model::{CommitInfo, ObjectId, Signature};

/// Longest subject that is kept, in characters.
const SUBJECT: usize = 200;
/// Longest name or e-mail address that is kept, in characters.
const NAME: usize = 200;

/// The headers that the graph is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The root tree.
    pub tree: Option<ObjectId>,
    /// The parents, in order.
    pub parents: Vec<ObjectId>,
    /// Committer date, seconds since 1970-01-01 UTC.
    pub time: i64,
}

/// The lines before the first empty one. A line that starts with a blank continues a header (signatures).
fn headers(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            return None;
        }
        let blank = memchr::memchr(b' ', line).unwrap_or(line.len());
        Some((&line[..blank], line.get(blank + 1..).unwrap_or_default()))
    })
}

/// Reads the headers of a commit. Parents of another hash than `width` bytes are left out.
pub fn header(data: &[u8], width: usize) -> Header {
    let mut out = Header::default();
    let id = |hex: &[u8]| ObjectId::from_hex(hex).filter(|id| id.as_bytes().len() == width);
    for (key, value) in headers(data) {
        match key {
            b"tree" if out.tree.is_none() => out.tree = id(value),
            b"parent" => out.parents.extend(id(value)),
            b"committer" => {
                out.time = when(value).0;
                break; // everything the graph needs comes before
            }
            _ => {}
        }
    }
    out
}

/// Author, committer and subject of a commit.
pub fn info(id: ObjectId, data: &[u8]) -> CommitInfo {
    let latin1 = headers(data).any(|(key, value)| key == b"encoding" && is_latin1(value));
    let person =
        |wanted: &[u8]| signature(headers(data).find(|(key, _)| *key == wanted).map_or(&[], |(_, v)| v), latin1);
    let message = memchr::memmem::find(data, b"\n\n").map_or(&data[..0], |at| &data[at + 2..]);
    let message = message.trim_ascii_start();
    let line = &message[..memchr::memchr(b'\n', message).unwrap_or(message.len())];
    CommitInfo {
        id,
        author: person(b"author"),
        committer: person(b"committer"),
        subject: text(line.trim_ascii_end(), latin1, SUBJECT),
    }
}

/// What an annotated tag stands for.
pub fn tag_target(data: &[u8]) -> Option<(ObjectId, Option<Kind>)> {
    let mut lines = headers(data);
    let (_, object) = lines.find(|(key, _)| *key == b"object")?;
    let kind = lines.find(|(key, _)| *key == b"type").and_then(|(_, kind)| match kind {
        b"commit" => Some(Kind::Commit),
        b"tree" => Some(Kind::Tree),
        b"blob" => Some(Kind::Blob),
        b"tag" => Some(Kind::Tag),
        _ => None,
    });
    Some((ObjectId::from_hex(object)?, kind))
}

fn is_latin1(name: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"iso-8859-1", b"iso8859-1", b"latin1", b"latin-1"];
    names.iter().any(|n| name.trim_ascii().eq_ignore_ascii_case(n))
}

/// Decodes at most `limit` characters.
fn text(raw: &[u8], latin1: bool, limit: usize) -> String {
    let raw = &raw[..raw.len().min(limit * 4)];
    if latin1 {
        raw.iter().map(|b| char::from(*b)).take(limit).collect()
    } else {
        String::from_utf8_lossy(raw).chars().take(limit).collect()
    }
}

/// `NAME <EMAIL> SECONDS OFFSET`.
fn signature(value: &[u8], latin1: bool) -> Signature {
    let close = memchr::memrchr(b'>', value);
    let who = &value[..close.unwrap_or(value.len())];
    let open = memchr::memchr(b'<', who);
    let (name, email) = open.map_or((who, &who[..0]), |at| (&who[..at], &who[at + 1..]));
    let (time, offset) = when(value);
    let decode = |raw: &[u8]| text(raw.trim_ascii(), latin1, NAME);
    Signature { name: decode(name), email: decode(email), time, offset }
}

/// Date and offset in minutes at the end of a signature; zero where they cannot be read.
fn when(value: &[u8]) -> (i64, i32) {
    let tail = &value[memchr::memrchr(b'>', value).map_or(0, |at| at + 1)..];
    let mut words = tail.split(|c| *c == b' ').filter(|w| !w.is_empty());
    let time = words.next().map_or(0, number);
    let zone = words.next().unwrap_or_default();
    let digits = number(zone.strip_prefix(b"+").unwrap_or(zone));
    let offset = digits / 100 * 60 + digits % 100;
    // Real offsets lie within a day; git keeps whatever was written.
    (time, i32::try_from(offset).ok().filter(|m| m.abs() < 24 * 60).unwrap_or(0))
}

/// A decimal number, cut to what fits; 0 if it is none.
fn number(text: &[u8]) -> i64 {
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |d| (true, d));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let value = digits.iter().fold(0i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    const PARENT: &str = "5b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn commit(rest: &str) -> Vec<u8> {
        format!("tree {TREE}\nparent {PARENT}\n{rest}").into_bytes()
    }

    #[test]
    fn a_signed_merge_with_long_headers() {
        let data = commit(&format!(
            "parent {TREE}\nauthor A U Thor <a@b.example> 1700000000 +0530\ncommitter C <c@d> 1700000001 -0130\n\
             gpgsig -----BEGIN\n {}\n committer x <y> 5 +0000\nmergetag object {TREE}\n tagger z <z> 7 +0000\n\n\n  Subject line \nbody",
            "x".repeat(100_000)
        ));
        let head = header(&data, 20);
        assert_eq!(head.tree, ObjectId::from_hex(TREE.as_bytes()));
        assert_eq!(head.parents, [PARENT, TREE].map(|h| ObjectId::from_hex(h.as_bytes()).unwrap()));
        assert_eq!(head.time, 1_700_000_001);
        let info = info(head.tree.unwrap(), &data);
        assert_eq!((info.author.name.as_str(), info.author.email.as_str()), ("A U Thor", "a@b.example"));
        assert_eq!((info.author.offset, info.committer.offset), (330, -90));
        assert_eq!(info.committer.time, 1_700_000_001);
        assert_eq!(info.subject, "Subject line");
    }

    #[test]
    fn hostile_commits_read_as_far_as_they_go() {
        assert_eq!(header(b"", 20), Header::default());
        assert_eq!(header(b"\n\ntree x", 20), Header::default());
        let date = |who: &str| header(&commit(&format!("committer {who}\n\n")), 20).time;
        assert_eq!(date("a <b> 99999999999999999999999 +0000"), i64::MAX);
        assert_eq!(date("a <b> -5 +0000"), -5);
        assert_eq!(date("a <b> > 12 +0000"), 12);
        assert_eq!(date("a <b>"), 0);
        assert_eq!(date("12"), 12);
        assert_eq!(date("a <b> 1x +0000"), 0);
        let mut data = commit("committer <<>> 1 +9999999999\n");
        data.extend(b"author \xff\n");
        let info = info(ObjectId::from_hex(TREE.as_bytes()).unwrap(), &data);
        assert_eq!((info.subject.as_str(), info.committer.offset, info.committer.name.as_str()), ("", 0, ""));
        assert_eq!(header(&commit("committer a <b> 1 +0000"), 32), Header { time: 1, ..Header::default() });
    }

    #[test]
    fn latin1_is_decoded_when_the_header_says_so() {
        let mut data = b"author J\xf6rg <j@x> 1 +0000\nencoding ISO-8859-1\n\nGr\xfc\xdfe\n".to_vec();
        let id = ObjectId::from_hex(TREE.as_bytes()).unwrap();
        let seen = info(id, &data);
        assert_eq!((seen.author.name.as_str(), seen.subject.as_str()), ("J\u{f6}rg", "Gr\u{fc}\u{df}e"));
        data.extend(vec![b'x'; 1000]);
        let long = [b"\n\n".to_vec(), vec![b'x'; 1000]].concat();
        assert_eq!(info(id, &long).subject.len(), SUBJECT);
    }

    #[test]
    fn tags_say_what_they_stand_for() {
        let data = format!("object {TREE}\ntype tree\ntag v1\n\nx");
        assert_eq!(tag_target(data.as_bytes()), Some((ObjectId::from_hex(TREE.as_bytes()).unwrap(), Some(Kind::Tree))));
        assert_eq!(tag_target(b"object zz\n"), None);
        assert_eq!(tag_target(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(lines in prop::collection::vec(
            ("(tree |parent |author |committer |object |type |encoding | |x)", prop::collection::vec(any::<u8>(), 0..50)), 0..6)) {
            let data: Vec<u8> = lines.iter().flat_map(|(key, value)| [key.as_bytes(), value, b"\n"].concat()).collect();
            let id = ObjectId::from_hex(TREE.as_bytes()).unwrap();
            prop_assert!(header(&data, 20).parents.len() <= lines.len());
            prop_assert!(info(id, &data).subject.chars().count() <= SUBJECT);
            tag_target(&data);
        }
    }
}
