//! Places in SARIF: URIs, regions, and names for places that are no files.
//!
//! Contract: every place has a physical location with a URI that is not empty, because GitHub refuses a whole file for
//! one that has none; whatever the path, the URI is valid and stays below its base.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::Shown;
use super::super::view::Git;
use crate::model::{Location, PlaceKind, Target};
use crate::notes::printable;

/// One place: by URI, and besides by name where it is not a file itself.
pub(super) fn location(shown: &Shown<'_>, place: &Location) -> Value {
    // A position inside an archive member means nothing in the archive.
    let region = if place.member.is_empty() { region(place) } else { json!({ "startLine": 1 }) };
    let mut out = json!({ "physicalLocation": { "artifactLocation": artifact(shown, place), "region": region } });
    if let Some((name, kind)) = logical(shown, place) {
        out["logicalLocations"] = json!([{ "fullyQualifiedName": name, "kind": kind }]);
    }
    let mut properties = json!({ "target": shown.target(place), "kind": place.kind });
    if !place.member.is_empty() {
        properties["line"] = place.span.line.into();
        properties["column"] = place.span.column.into();
    }
    if !place.encoding.is_empty() {
        properties["encoding"] = json!(place.encoding);
    }
    if let Some(git) = Git::of(shown, place) {
        properties["git"] = json!(git);
    }
    out["properties"] = properties;
    out
}

/// A name for a place inside an archive, and for one without a path.
fn logical(shown: &Shown<'_>, place: &Location) -> Option<(String, &'static str)> {
    if !place.path.is_empty() && place.member.is_empty() {
        return None;
    }
    let (mut name, mut kind) = if place.path.is_empty() {
        let (kind, id) = without_path(place);
        (if id.is_empty() { kind.to_owned() } else { format!("{kind} {id}") }, kind)
    } else {
        (printable(&shown.mask.path(&place.path)), "file")
    };
    for member in shown.members(place) {
        name.push('!');
        name.push_str(&printable(member.as_bytes()));
        kind = "member";
    }
    Some((name, kind))
}

/// What a place without a path is, and its object id if it is in git.
fn without_path(place: &Location) -> (&'static str, String) {
    let kind = match place.kind {
        PlaceKind::Commit => "commit",
        PlaceKind::Tag => "tag",
        PlaceKind::Blob | PlaceKind::Index | PlaceKind::Dangling => "blob",
        PlaceKind::Stdin => "stdin",
        PlaceKind::File => "file",
    };
    (kind, place.git.as_ref().map(|g| g.object.to_string()).unwrap_or_default())
}

fn artifact(shown: &Shown<'_>, place: &Location) -> Value {
    if place.path.is_empty() {
        let (kind, id) = without_path(place);
        return json!({ "uri": if id.is_empty() { kind.to_owned() } else { format!("{kind}/{id}") } });
    }
    let path = shown.mask.path(&place.path);
    if path.starts_with(b"/") {
        return json!({ "uri": format!("file://{}", encode(&path)) });
    }
    let mut artifact = json!({ "uri": encode(&path) });
    if shown.report.targets.get(place.target).is_some_and(has_base) {
        artifact["uriBaseId"] = base_id(place.target).into();
    }
    artifact
}

/// Lines and columns count from 1 and the end is not before the start, whatever the location says.
fn region(place: &Location) -> Value {
    let span = place.span;
    let (line, column) = (span.line.max(1), span.column.max(1));
    let end_line = span.end_line.max(line);
    let end_column = if end_line == line { span.end_column.max(column) } else { span.end_column.max(1) };
    json!({
        "startLine": line,
        "startColumn": column,
        "endLine": end_line,
        "endColumn": end_column,
        "byteOffset": span.start,
        "byteLength": span.end.saturating_sub(span.start),
    })
}

/// Whether paths of a target are relative to a folder that has files: a bare repository's are not.
fn has_base(target: &Target) -> bool {
    target.root.is_some() && matches!(target.kind, "folder" | "repository")
}

fn base_id(target: usize) -> String {
    if target == 0 { "%SRCROOT%".to_owned() } else { format!("%SRCROOT{target}%") }
}

/// The folders that URIs are relative to.
pub(super) fn uri_bases(shown: &Shown<'_>) -> Map<String, Value> {
    let folders = shown.report.targets.iter().enumerate().filter(|(_, t)| has_base(t));
    let base = |(i, target): (usize, &Target)| {
        let uri = target.root.as_deref().and_then(|root| folder_uri(shown, root))?;
        Some((base_id(i), json!({ "uri": uri })))
    };
    folders.filter_map(base).collect()
}

/// `file:///home/me/project/`, without touching the disk.
fn folder_uri(shown: &Shown<'_>, root: &Path) -> Option<String> {
    let root = std::path::absolute(root).ok()?;
    let path = encode(&shown.mask.path(root.as_os_str().as_encoded_bytes()));
    Some(format!("file://{}/", path.trim_end_matches('/')))
}

/// Percent-encodes a path. Segments of dots only are encoded too, so that no reader walks up with them.
fn encode(path: &[u8]) -> String {
    let segment = |segment: &[u8]| {
        let dots = matches!(segment, b"." | b"..");
        percent(segment, |b| !dots && (b.is_ascii_alphanumeric() || b"-._~".contains(&b)))
    };
    path.split(|b| *b == b'/').map(segment).collect::<Vec<_>>().join("/")
}

/// An absolute URI without user and password, with everything encoded that may not stand in one. `None` if `text` is
/// something else, such as a path or git's `host:path`.
pub(super) fn uri(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let known = matches!(scheme, "https" | "http" | "ssh" | "git") && !name.is_empty() || scheme == "file";
    let name_is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !known || !name_is_plain || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:@?&=+,;".contains(&b);
    let fragment =
        if fragment.is_empty() { String::new() } else { format!("#{}", percent(fragment.as_bytes(), plain)) };
    Some(format!("{scheme}://{host}{}{fragment}", percent(path.as_bytes(), plain)))
}

fn percent(bytes: &[u8], keep: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &b in bytes {
        if keep(b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_uris_are_uris() {
        let safe = |text| uri(text).unwrap_or_default();
        assert_eq!(safe("https://example.org/a b?c=d#e#f"), "https://example.org/a%20b?c=d#e%23f");
        assert_eq!(safe("ssh://git@example.org:22/x"), "ssh://example.org:22/x");
        assert_eq!(safe("https://u:p/w@example.org/x"), "");
        for other in ["git@example.org:a/b", "/etc/x", "https:///x", "javascript://x", "https://a b/", "x://y", ""] {
            assert_eq!(uri(other), None, "{other}");
        }
    }

    #[test]
    fn paths_become_uris_that_stay_below_their_base() {
        assert_eq!(encode(b"a b/c\xff:d%/..//.x"), "a%20b/c%FF%3Ad%25/%2E%2E//.x");
    }
}
