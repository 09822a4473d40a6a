//! Reads the few keys of a repository's `config` that say how its objects are stored. Nothing else in it is obeyed.
//!
//! Contract: includes are not followed, values are never expanded, and any bytes are accepted: what does not parse is
//! skipped to the end of its line.

/// What the configuration says about storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// `extensions.objectFormat` is `sha256`.
    pub sha256: bool,
    /// `extensions.objectFormat` is something we do not know.
    pub unknown_format: bool,
    /// `core.bare`.
    pub bare: bool,
    /// `extensions.partialClone` is set or a remote is a promisor.
    pub partial: bool,
    /// `extensions.refStorage` is `reftable`.
    pub reftable: bool,
}

/// Reads a `config` file's text.
pub fn storage(text: &[u8]) -> Storage {
    let mut out = Storage::default();
    entries(text, |section, subsection, key, value| match (section, subsection, key) {
        ("core", None, "bare") => out.bare = is_true(value),
        ("extensions", None, "objectformat") => {
            out.sha256 = value.eq_ignore_ascii_case(b"sha256");
            out.unknown_format = !out.sha256 && !value.eq_ignore_ascii_case(b"sha1");
        }
        ("extensions", None, "partialclone") => out.partial |= !value.is_empty(),
        ("extensions", None, "refstorage") => {
            out.reftable = value.get(..8).is_some_and(|v| v.eq_ignore_ascii_case(b"reftable"));
        }
        ("remote", Some(_), "promisor") => out.partial |= is_true(value),
        _ => {}
    });
    out
}

/// Git's reading of a boolean; a key without a value (empty here) is true.
fn is_true(value: &[u8]) -> bool {
    let word = value.to_ascii_lowercase();
    match word.as_slice() {
        b"" | b"true" | b"yes" | b"on" => true,
        _ => std::str::from_utf8(&word).ok().and_then(|w| w.parse::<i64>().ok()).is_some_and(|n| n != 0),
    }
}

/// Calls `f(section, subsection, key, value)` for every entry; section and key in lower case.
fn entries(text: &[u8], mut f: impl FnMut(&str, Option<&[u8]>, &str, &[u8])) {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut section, mut subsection) = (String::new(), None::<Vec<u8>>);
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return,
            Some(b'#' | b';') => rest = after_line(rest),
            Some(b'[') => match header(&rest[1..]) {
                Some((name, sub, tail)) => (section, subsection, rest) = (name, sub, tail),
                None => rest = after_line(rest),
            },
            Some(_) => {
                let end = rest.iter().position(|c| !(c.is_ascii_alphanumeric() || *c == b'-')).unwrap_or(rest.len());
                let key = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
                let blank = rest[end..].iter().take_while(|c| matches!(c, b' ' | b'\t')).count();
                rest = &rest[end + blank..];
                let value;
                (value, rest) = match rest.first() {
                    Some(b'=') => value_of(&rest[1..]),
                    _ => (Vec::new(), after_line(rest)),
                };
                if !key.is_empty() {
                    f(&section, subsection.as_deref(), &key, &value);
                }
            }
        }
    }
}

fn after_line(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text).map_or(&[], |end| &text[end + 1..])
}

/// Name and subsection of a section, and what follows its header.
type Section<'a> = (String, Option<Vec<u8>>, &'a [u8]);

/// Reads `name "sub"]`, what stands after the opening bracket.
fn header(text: &[u8]) -> Option<Section<'_>> {
    let end = text.iter().position(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.')))?;
    let name = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
    let mut rest = text[end..].trim_ascii_start();
    if let Some(tail) = rest.strip_prefix(b"]") {
        return Some((name, None, tail));
    }
    rest = rest.strip_prefix(b"\"")?;
    let mut sub = Vec::new();
    loop {
        match *rest {
            [b'\n', ..] | [] => return None,
            [b'\\', c, ref tail @ ..] => {
                sub.push(c);
                rest = tail;
            }
            [b'"', ref tail @ ..] => return Some((name, Some(sub), tail.trim_ascii_start().strip_prefix(b"]")?)),
            [c, ref tail @ ..] => {
                sub.push(c);
                rest = tail;
            }
        }
    }
}

/// The value after `=`, with quotes, escapes, continuation lines and comments resolved, and what follows its line.
fn value_of(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut value, mut rest, mut quoted) = (Vec::new(), text, false);
    let mut keep = 0; // trailing blanks outside quotes are dropped down to here
    loop {
        match *rest {
            [] => break,
            [b'\\', b'\r', b'\n', ref tail @ ..] | [b'\\', b'\n', ref tail @ ..] => rest = tail,
            [b'\\', c, ref tail @ ..] => {
                value.push(match c {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'b' => 8,
                    other => other,
                });
                keep = value.len();
                rest = tail;
            }
            [b'\n', ref tail @ ..] => {
                rest = tail;
                break;
            }
            [b'"', ref tail @ ..] => {
                quoted = !quoted;
                keep = value.len();
                rest = tail;
            }
            [b'#' | b';', ..] if !quoted => {
                rest = after_line(rest);
                break;
            }
            [c, ref tail @ ..] => {
                if quoted || !c.is_ascii_whitespace() {
                    value.push(c);
                    keep = value.len();
                } else if !value.is_empty() {
                    value.push(c);
                }
                rest = tail;
            }
        }
    }
    value.truncate(keep);
    (value, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn storage_keys_are_read_as_git_writes_them() {
        let text = b"[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n\
            \trefstorage = reftable\n[remote \"origin\"]\n\turl = x\n\tpromisor = true\n";
        let expected = Storage { sha256: true, unknown_format: false, bare: true, partial: true, reftable: true };
        assert_eq!(storage(text), expected);
        assert_eq!(storage(b"[core]\nbare\n"), Storage { bare: true, ..Storage::default() });
        assert_eq!(storage(b"[extensions] objectformat=sha3"), Storage { unknown_format: true, ..Storage::default() });
        assert_eq!(storage(b""), Storage::default());
    }

    #[test]
    fn quotes_comments_and_continuations() {
        let mut seen = Vec::new();
        let text = b"# c\n[a \"s\\\"]x\"] k = \"v ; w\" # c\nk2 = one\\\n two  ; c\n[b.c]\nk3=\\tx\nbroken = \"";
        entries(text, |s, sub, k, v| {
            seen.push(format!("{s}|{:?}|{k}|{}", sub.map(String::from_utf8_lossy), String::from_utf8_lossy(v)));
        });
        assert_eq!(
            seen,
            ["a|Some(\"s\\\"]x\")|k|v ; w", "a|Some(\"s\\\"]x\")|k2|one two", "b.c|None|k3|\tx", "b.c|None|broken|",]
        );
    }

    #[test]
    fn a_key_in_a_comment_or_a_subsection_does_not_count() {
        assert_eq!(storage(b"[core \"x\"]\nbare = true\n;[core]\n#bare = true\n"), Storage::default());
        assert_eq!(storage(b"[remote]\npromisor = true\n[[[\n[core\nbare\n"), Storage::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(parts in prop::collection::vec(prop_oneof![
            Just(b"[core]\n".to_vec()), Just(b"[remote \"a".to_vec()), Just(b"\"]".to_vec()), Just(b"bare=".to_vec()),
            Just(b"\\\r\n".to_vec()), prop::collection::vec(any::<u8>(), 0..20)], 0..12)) {
            storage(&parts.concat());
        }
    }
}
